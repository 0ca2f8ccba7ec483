//! Google Cloud SQL.
