//! The database, when bsql itself speaks to it.
