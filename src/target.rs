//! The catalog entity as a database.
