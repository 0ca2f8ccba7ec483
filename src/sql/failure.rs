//! What a failure of the database means, and whose turn it is.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use tokio_postgres::error::{DbError, ErrorPosition};

use super::Login;
use crate::error::{Error, ErrorKind, printable};

/// What the server said, safe to print. As a cause it is one line, then one for each of place, context and detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The SQLSTATE, see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    pub sqlstate: String,
    /// The server's own words.
    pub message: String,
    /// The server's own hint.
    pub hint: Option<String>,
    /// How bad it is, in the server's language, as `ERROR`.
    pub severity: String,
    /// Where in the statement.
    pub place: Option<Place>,
    /// More of the message.
    pub detail: Option<String>,
    /// Where in the server's own code, as in a function.
    pub context: Option<String>,
    more: Option<Box<Line>>,
}

/// A place in a statement, both numbers from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
    /// The whole line, safe to print.
    pub text: String,
}

impl ServerError {
    /// What the server said, if `error` is because of that.
    pub fn of(error: &Error) -> Option<&Self> {
        error.source()?.downcast_ref()
    }

    /// `sql` is what the server's positions are in; `None` when that is not what the person wrote.
    fn new(error: &DbError, sql: Option<&str>) -> Self {
        let place = match (error.position(), sql) {
            (Some(ErrorPosition::Original(position)), Some(sql)) => Some(place(sql, *position)),
            (Some(ErrorPosition::Internal { position, query }), _) => Some(place(query, *position)),
            _ => None,
        };
        let detail = error.detail().map(printable);
        let context = error.where_().map(printable);
        let lines = [
            place.as_ref().map(Place::to_string),
            detail.as_ref().map(|text| format!("detail: {text}")),
            context.as_ref().map(|text| format!("context: {text}")),
        ];
        let more = lines
            .into_iter()
            .flatten()
            .rev()
            .fold(None, |next, text| Some(Box::new(Line { text, next })));
        Self {
            sqlstate: printable(error.code().code()),
            message: printable(error.message()),
            hint: error.hint().map(printable),
            severity: printable(error.severity()),
            place,
            detail,
            context,
            more,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

impl StdError for ServerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.more.as_deref().map(|line| line as _)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    next: Option<Box<Line>>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Line {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.next.as_deref().map(|line| line as _)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at line {}, column {}: `{}`",
            self.line,
            self.column,
            self.text.trim_start()
        )
    }
}

/// Where in `sql` the character number `position` is; the first is 1.
fn place(sql: &str, position: u32) -> Place {
    let before = usize::try_from(position)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let at = sql
        .char_indices()
        .nth(before)
        .map_or(sql.len(), |(at, _)| at);
    let start = sql[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = sql[..start].matches('\n').count() + 1;
    let column = sql[start..at].chars().count() + 1;
    let text = sql[start..].lines().next().unwrap_or_default();
    let blanks = text.chars().take_while(|c| c.is_whitespace()).count();
    Place {
        line,
        column,
        // The columns are counted from the line's start.
        text: " ".repeat(blanks) + &printable(text),
    }
}

/// The server wants a password, and there is none.
#[derive(Debug)]
struct PasswordAsked;

impl fmt::Display for PasswordAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server asks for a password, so it does not know the user as an IAM user")
    }
}

impl StdError for PasswordAsked {}

/// Whether the server refused the database user at login: it does not exist, is not an IAM user, or is not the person's.
/// The place for advice on how to create it.
pub fn is_user_refused(error: &Error) -> bool {
    let asked = error
        .source()
        .is_some_and(<dyn StdError>::is::<PasswordAsked>);
    asked || ServerError::of(error).is_some_and(|server| server.sqlstate.starts_with("28"))
}

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
    let server = ServerError::new(server, None);
    let kind = kind_of(&server.sqlstate, ErrorKind::Refused);
    let error = match kind {
        ErrorKind::NotFound => kind
            .error(format!("there is no database `{database}` on this server"))
            .hint("name another one with -d"),
        ErrorKind::Denied => kind.error(not_signed_in),
        _ => kind.error(format!("cannot open a session in database `{database}`")),
    };
    with_server(error, server)
}

/// Why `sql` did not run to its end; `None` when what ran is not what the person wrote.
pub(super) fn in_statement(error: tokio_postgres::Error, sql: Option<&str>, user: &str) -> Error {
    let message = "cannot run the statement";
    let Some(server) = error.as_db_error() else {
        return broken(error, message.to_owned());
    };
    let server = ServerError::new(server, sql);
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
    with_server(error, server)
}

fn with_server(error: Error, server: ServerError) -> Error {
    let error = match &server.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    };
    error.because(server)
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
    fn places_are_counted_in_characters() {
        for (sql, position, expected) in [
            ("selct 1", 1, "at line 1, column 1: `selct 1`"),
            ("select 'é', x", 13, "at line 1, column 13: `select 'é', x`"),
            ("select 1,\n  x\nfrom y", 13, "at line 2, column 3: `x`"),
            ("select", 7, "at line 1, column 7: `select`"),
            ("", 0, "at line 1, column 1: ``"),
            ("a\n", 99, "at line 2, column 1: ``"),
        ] {
            assert_eq!(place(sql, position).to_string(), expected, "{sql:?}");
        }
    }

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
