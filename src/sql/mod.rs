//! The database, when bsql itself speaks to it: for `bsql query`, for `connect -c`, and to prove a login before anything
//! says "ready".
//!
//! The stream is somebody else's business, and so is how rows look: a [`Connection`] works over any stream, and hands rows
//! to a [`RowSink`] as they come, so that memory does not grow with the answer.

mod connection;
mod failure;
mod mysql;
mod postgres;
mod rows;
#[cfg(test)]
#[cfg(unix)]
mod test_fixtures;
pub mod text;

#[cfg(test)]
#[cfg(unix)]
pub(crate) use mysql::test_server::TestServer as TestMySql;

pub use connection::{Connection, Statement};
pub use failure::{Place, ServerError, is_user_refused};
pub use rows::{Column, ColumnKind, Notice, RowSink};

use std::time::Duration;

use crate::secret::Secret;

/// What a database speaks: its protocol, and its SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL, and what was made of it, as MariaDB.
    MySql,
}

/// How to sign in to a database.
#[derive(Debug, Clone)]
pub struct Login {
    /// What the database speaks.
    pub dialect: Dialect,
    /// The database within the instance.
    pub database: String,
    /// The database user.
    pub user: String,
    /// For users that are not IAM's: those are known by the stream's certificate.
    pub password: Option<Secret>,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// Asks the server for read-only transactions. A guard rail: a statement can turn it off again.
    pub read_only: bool,
    /// The server ends statements that take longer.
    pub statement_timeout: Option<Duration>,
}

/// Whether a transaction is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transaction {
    /// There is none.
    #[default]
    None,
    /// There is one.
    Open,
    /// There is one, and a statement in it has failed: it can only be rolled back.
    Failed,
}
