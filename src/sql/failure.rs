//! What a failure of the database means, and whose turn it is.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Error, ErrorKind, printable};

/// What the server said, safe to print. As a cause it is one line, then one for each of place, context and detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The SQLSTATE, see <https://www.postgresql.org/docs/current/errcodes-appendix.html>. MySQL says one too, though
    /// mostly the general `HY000`.
    pub sqlstate: String,
    /// MySQL's own number, see <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>.
    pub code: Option<u16>,
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
    pub(super) more: Option<Box<Line>>,
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

    /// With what comes below the message, from the parts that are set.
    pub(super) fn with_more(mut self) -> Self {
        let lines = [
            self.place.as_ref().map(Place::to_string),
            self.detail.as_ref().map(|text| format!("detail: {text}")),
            self.context.as_ref().map(|text| format!("context: {text}")),
        ];
        self.more = lines
            .into_iter()
            .flatten()
            .rev()
            .fold(None, |next, text| Some(Box::new(Line { text, next })));
        self
    }

    /// As the cause of `error`, with its hint.
    pub(super) fn explain(self, error: Error) -> Error {
        let error = match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        };
        error.because(self)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(
                f,
                "{} (error {code}, SQLSTATE {})",
                self.message, self.sqlstate
            ),
            None => write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate),
        }
    }
}

impl StdError for ServerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.more.as_deref().map(|line| line as _)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
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
pub(super) fn place(sql: &str, position: u32) -> Place {
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

/// A statement on a connection that is still busy with the one before.
pub(super) fn left_unfinished() -> Error {
    ErrorKind::Internal
        .error("cannot run the statement")
        .because(anyhow::anyhow!("the one before it was left unfinished"))
}

/// The server wants a password, and there is none.
#[derive(Debug)]
pub(super) struct PasswordAsked;

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
}
