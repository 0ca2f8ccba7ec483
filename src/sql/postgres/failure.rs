//! What a failure of PostgreSQL means, and whose turn it is.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::{DbError, ErrorPosition};

use super::super::Login;
use super::super::failure::{PasswordAsked, ServerError, place};
use crate::error::{Error, ErrorKind, printable};

/// Whose turn it is when the server says so; `otherwise` for what only concerns the statement.
fn kind_of(sqlstate: &str, otherwise: ErrorKind) -> ErrorKind {
    match sqlstate {
        // invalid_catalog_name
        "3D000" => ErrorKind::NotFound,
        // insufficient_privilege, read_only_sql_transaction
        "42501" | "25006" => ErrorKind::Denied,
        // too_many_connections, cannot_connect_now
        "53300" | "57P03" => ErrorKind::TryLater,
        // admin_shutdown, crash_shutdown, idle_session_timeout
        "57P01" | "57P02" | "57P05" => ErrorKind::Unavailable,
        // Invalid authorization specification, connection exception.
        _ if sqlstate.starts_with("28") => ErrorKind::Denied,
        _ if sqlstate.starts_with("08") => ErrorKind::Unavailable,
        _ => otherwise,
    }
}

/// Why there is no session.
pub(super) fn at_login(error: tokio_postgres::Error, login: &Login) -> Error {
    let Login { database, user, .. } = login;
    let not_signed_in = format!("cannot sign in to database `{database}` as `{user}`");
    let Some(server) = error.as_db_error() else {
        let asked = login.password.is_none()
            && error
                .source()
                .is_some_and(|cause| cause.to_string() == "password missing");
        return if asked {
            ErrorKind::Denied
                .error(not_signed_in)
                .because(PasswordAsked)
        } else {
            let message = format!("cannot open a session in database `{database}`");
            broken(error, message)
        };
    };
    let server = said(server, None);
    let kind = kind_of(&server.sqlstate, ErrorKind::Refused);
    let error = match kind {
        ErrorKind::NotFound => kind
            .error(format!("there is no database `{database}` on this server"))
            .hint("name another one with -d"),
        ErrorKind::Denied => kind.error(not_signed_in),
        _ => kind.error(format!("cannot open a session in database `{database}`")),
    };
    server.explain(error)
}

/// Why `sql` did not run to its end; `None` when what ran is not what the person wrote.
pub(super) fn in_statement(error: tokio_postgres::Error, sql: Option<&str>, user: &str) -> Error {
    let message = "cannot run the statement";
    let Some(server) = error.as_db_error() else {
        return broken(error, message.to_owned());
    };
    let server = said(server, sql);
    let error = kind_of(&server.sqlstate, ErrorKind::Statement).error(message);
    let error = match server.sqlstate.as_str() {
        "25006" => error.hint("add --write if it is meant to change data"),
        "42501" => error.hint(format!(
            "ask the database's owner to grant it to \"{user}\""
        )),
        // query_canceled: nobody but the time limit or an administrator cancels it.
        "57014" => error.hint("give it more time with --timeout"),
        _ => error,
    };
    server.explain(error)
}

/// `sql` is what the server's positions are in; `None` when that is not what the person wrote.
fn said(error: &DbError, sql: Option<&str>) -> ServerError {
    let place = match (error.position(), sql) {
        (Some(ErrorPosition::Original(position)), Some(sql)) => Some(place(sql, *position)),
        (Some(ErrorPosition::Internal { position, query }), _) => Some(place(query, *position)),
        _ => None,
    };
    ServerError {
        sqlstate: printable(error.code().code()),
        code: None,
        message: printable(error.message()),
        hint: error.hint().map(printable),
        severity: printable(error.severity()),
        place,
        detail: error.detail().map(printable),
        context: error.where_().map(printable),
        more: None,
    }
    .with_more()
}

/// The stream failed, or what came over it was not what it should be.
fn broken(error: tokio_postgres::Error, message: String) -> Error {
    if error.is_closed() {
        return ErrorKind::Unavailable
            .error(message)
            .because(anyhow::anyhow!("the server closed the connection"));
    }
    let io = error
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>());
    let kind = match io.map(io::Error::kind) {
        // What is not PostgreSQL, and what TLS calls an alert of the other end.
        None | Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => ErrorKind::Refused,
        Some(_) => ErrorKind::Unavailable,
    };
    kind.error(message).because(error)
}

/// A statement that needs more than rows: COPY to or from the client.
pub(super) fn is_copy(error: &tokio_postgres::Error) -> bool {
    error.source().is_none() && error.to_string() == "unexpected message from server"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_sqlstate() {
        for (sqlstate, expected) in [
            ("28000", ErrorKind::Denied),
            ("28P01", ErrorKind::Denied),
            ("42501", ErrorKind::Denied),
            ("25006", ErrorKind::Denied),
            ("3D000", ErrorKind::NotFound),
            ("53300", ErrorKind::TryLater),
            ("57P03", ErrorKind::TryLater),
            ("57P01", ErrorKind::Unavailable),
            ("08006", ErrorKind::Unavailable),
            ("57014", ErrorKind::Statement),
            ("42P01", ErrorKind::Statement),
            ("P0001", ErrorKind::Statement),
        ] {
            assert_eq!(
                kind_of(sqlstate, ErrorKind::Statement),
                expected,
                "{sqlstate}"
            );
        }
        assert_eq!(kind_of("22023", ErrorKind::Refused), ErrorKind::Refused);
    }
}
