//! What a failure of MySQL means, and whose turn it is.
//!
//! <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>

use std::io;

use mysql_common::io::ParseBuf;

use super::super::Login;
use super::super::failure::ServerError;
use crate::error::{Error, ErrorKind, printable};

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The server says so, and listens again.
    Said(Box<ServerError>),
    /// The stream failed, or what came over it was not the protocol.
    Stream(io::Error),
    /// Ours to say, with the server listening.
    Told(Error),
    /// The sink's: the server is still talking.
    Sink(Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Stream(error)
    }
}

/// An ERR packet, from its first byte on.
pub(super) fn said(packet: &[u8]) -> Box<ServerError> {
    let mut rest = ParseBuf(packet);
    rest.checked_skip(1);
    let code = rest.checked_eat_u16_le().unwrap_or_default();
    // Before the handshake there is no SQLSTATE.
    let (sqlstate, message) = match rest.0 {
        [b'#', after @ ..] if after.len() >= 5 => after.split_at(5),
        message => (&b"HY000"[..], message),
    };
    let text = |bytes| printable(&String::from_utf8_lossy(bytes));
    Box::new(ServerError {
        sqlstate: text(sqlstate),
        code: Some(code),
        message: text(message),
        hint: None,
        severity: "ERROR".to_owned(),
        place: None,
        detail: None,
        context: None,
        more: None,
    })
}

/// Whose turn it is when the server says so; `otherwise` for what only concerns the statement.
fn kind_of(server: &ServerError, otherwise: ErrorKind) -> ErrorKind {
    match server.code.unwrap_or_default() {
        // ER_BAD_DB_ERROR
        1049 => ErrorKind::NotFound,
        // Access denied to the database, a table, a column, a routine, or for want of a privilege; the host is not let in;
        // the account is locked or its password has expired; the transaction or the server is read-only.
        1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1290 | 1370 | 1698 | 1792 | 1820 | 1836
        | 1862 | 3118 | 4151 => ErrorKind::Denied,
        // Too many connections, of all or of the user's; too many queries in an hour.
        1040 | 1203 | 1226 => ErrorKind::TryLater,
        code if ends_the_session(code) => ErrorKind::Unavailable,
        _ if server.sqlstate.starts_with("28") => ErrorKind::Denied,
        _ if server.sqlstate.starts_with("08") => ErrorKind::Unavailable,
        _ => otherwise,
    }
}

/// Whether the server hangs up after it: it shuts down, the session was killed, or it was idle for too long.
pub(super) fn ends_the_session(code: u16) -> bool {
    matches!(code, 1053 | 1077 | 1079 | 1080 | 1152 | 1184 | 1927 | 4031)
}

/// Why there is no session.
pub(super) fn at_login(stopped: Stopped, login: &Login) -> Error {
    let Login { database, user, .. } = login;
    let no_session = || match database.as_str() {
        "" => "cannot open a session".to_owned(),
        database => format!("cannot open a session in database `{database}`"),
    };
    let server = match stopped {
        Stopped::Said(server) => server,
        Stopped::Stream(error) => return broken(error, no_session()),
        Stopped::Told(error) | Stopped::Sink(error) => return error,
    };
    let kind = kind_of(&server, ErrorKind::Refused);
    let error = match kind {
        ErrorKind::NotFound => kind
            .error(format!("there is no database `{database}` on this server"))
            .hint("name another one with -d"),
        ErrorKind::Denied => kind.error(format!(
            "cannot sign in to database `{database}` as `{user}`"
        )),
        _ => kind.error(no_session()),
    };
    let error = match server.code {
        // It may also not be there: MySQL tells only those who may know.
        Some(1044) => error.hint(format!(
            "ask the database's owner to grant `{user}` privileges on it"
        )),
        _ => error,
    };
    server.explain(error)
}

/// Why a statement did not run to its end.
pub(super) fn in_statement(stopped: Stopped, user: &str) -> Error {
    let message = "cannot run the statement";
    let server = match stopped {
        Stopped::Said(server) => server,
        Stopped::Stream(error) => return broken(error, message.to_owned()),
        Stopped::Told(error) | Stopped::Sink(error) => return error,
    };
    let error = kind_of(&server, ErrorKind::Statement).error(message);
    let error = match server.code.unwrap_or_default() {
        1792 => error.hint("add --write if it is meant to change data"),
        1044 | 1142 | 1143 | 1227 | 1370 => {
            error.hint(format!("ask the database's owner to grant it to `{user}`"))
        }
        // The time limit's, of MySQL and of MariaDB.
        3024 | 1969 => error.hint("give it more time with --timeout"),
        1046 => error.hint("name one with -d"),
        _ => error,
    };
    server.explain(error)
}

/// The stream failed, or what came over it was not what it should be.
fn broken(error: io::Error, message: String) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ErrorKind::Unavailable
            .error(message)
            .because(anyhow::anyhow!("the server closed the connection")),
        // What is not MySQL, and what TLS calls an alert of the other end.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            ErrorKind::Refused.error(message).because(error)
        }
        _ => ErrorKind::Unavailable.error(message).because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says() {
        let server = said(b"\xff\x15\x04#28000Access denied \x1b[2J");
        assert_eq!(
            server.to_string(),
            "Access denied \u{fffd}[2J (error 1045, SQLSTATE 28000)"
        );
        let early = said(b"\xff\x10\x04Too many connections");
        assert_eq!(
            early.to_string(),
            "Too many connections (error 1040, SQLSTATE HY000)"
        );
        for cut in [&b"\xff"[..], b"\xff\x01", b"\xff\x01\x02#28", b""] {
            said(cut);
        }
    }

    #[test]
    fn kinds_by_number() {
        for (code, expected) in [
            (1049, ErrorKind::NotFound),
            (1045, ErrorKind::Denied),
            (1044, ErrorKind::Denied),
            (1142, ErrorKind::Denied),
            (1792, ErrorKind::Denied),
            (1040, ErrorKind::TryLater),
            (1053, ErrorKind::Unavailable),
            (4031, ErrorKind::Unavailable),
            (1064, ErrorKind::Statement),
            (3024, ErrorKind::Statement),
            (1213, ErrorKind::Statement),
        ] {
            let packet = [&[0xff][..], &u16::to_le_bytes(code), b"no"].concat();
            assert_eq!(
                kind_of(&said(&packet), ErrorKind::Statement),
                expected,
                "{code}"
            );
        }
        let by_state = said(b"\xff\x01\x30#08S01gone");
        assert_eq!(
            kind_of(&by_state, ErrorKind::Statement),
            ErrorKind::Unavailable
        );
    }
}
