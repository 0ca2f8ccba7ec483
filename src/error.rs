//! One error type for the whole crate: what could not be done, whose turn it is, why, and what to do next.
//!
//! Inside a room causes travel as [`anyhow::Error`]; at a room's border somebody has to say whose problem it is, with
//! [`ResultExt::or_fail`]. A bare `?` on an `io::Error` does not compile there, and that is the point: exit codes and
//! hints are decided where the failure is understood.

use std::fmt;

/// A failure as the person will read it.
///
/// Messages are lower case, have no full stop, put names in backticks and say what could not be done; the cause says why.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<anyhow::Error>,
    hints: Vec<String>,
}

/// The result of everything that crosses a room's border.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who can act on a failure. Each kind is one exit code; the codes keep clear of 0 to 3, which clients like `psql` use,
/// but for the one failure where bsql is the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The command line is wrong.
    Usage,
    /// The catalog entry is wrong: its owner can mend it.
    Catalog,
    /// Nobody is signed in, or the identity provider says the session is over. The only kind that may open a browser.
    SignedOut,
    /// No such database, or several.
    NotFound,
    /// A service could not be reached or is failing.
    Unavailable,
    /// A bug in bsql.
    Internal,
    /// A local port, socket or file cannot be made.
    CannotCreate,
    /// The service asks to come back later.
    TryLater,
    /// TLS or a protocol was refused: the other end is not what it should be.
    Refused,
    /// The person may not do this.
    Denied,
    /// A configuration file, variable or flag is wrong.
    Config,
    /// The client program is not installed.
    ClientMissing,
    /// The database did not run the person's statement.
    Statement,
    /// Ended by Ctrl-C.
    Interrupted,
    /// Ended by SIGTERM or SIGHUP.
    Terminated,
}

/// One row of the published contract, see docs/exit-codes.md.
#[derive(Debug, Clone, Copy)]
pub struct ExitCode {
    /// The kind this row is about.
    pub kind: ErrorKind,
    /// The process's exit status.
    pub code: u8,
    /// The kind's name in machine-readable errors.
    pub name: &'static str,
    /// What it means, for the documentation.
    pub meaning: &'static str,
    /// The next step when the error itself knows none.
    pub hint: Option<&'static str>,
}

const fn row(
    kind: ErrorKind,
    code: u8,
    name: &'static str,
    meaning: &'static str,
    hint: Option<&'static str>,
) -> ExitCode {
    ExitCode {
        kind,
        code,
        name,
        meaning,
        hint,
    }
}

/// Every exit code that is bsql's own. Any other status is the launched client's.
pub const EXIT_CODES: [ExitCode; 15] = [
    row(
        ErrorKind::Usage,
        64,
        "usage",
        "the command line is wrong",
        Some("bsql --help"),
    ),
    row(
        ErrorKind::Catalog,
        65,
        "catalog",
        "the catalog entry is wrong; its owner can mend it",
        None,
    ),
    row(
        ErrorKind::SignedOut,
        67,
        "signed-out",
        "nobody is signed in, or the session is over",
        Some("bsql login"),
    ),
    row(
        ErrorKind::NotFound,
        68,
        "not-found",
        "no such database, or several of that name",
        Some("bsql ls --all"),
    ),
    row(
        ErrorKind::Unavailable,
        69,
        "unavailable",
        "a service could not be reached or is failing",
        None,
    ),
    row(
        ErrorKind::Internal,
        70,
        "internal",
        "a bug in bsql",
        Some("run it again with -vv and report what it prints"),
    ),
    row(
        ErrorKind::CannotCreate,
        73,
        "cannot-create",
        "a local port, socket or file cannot be made",
        None,
    ),
    row(
        ErrorKind::TryLater,
        75,
        "try-later",
        "the service asks to come back later",
        Some("wait a minute and run it again"),
    ),
    row(
        ErrorKind::Refused,
        76,
        "refused",
        "TLS or a protocol was refused: the other end is not what it should be",
        None,
    ),
    row(ErrorKind::Denied, 77, "denied", "you may not do this", None),
    row(
        ErrorKind::Config,
        78,
        "config",
        "a configuration file, variable or flag is wrong",
        Some("bsql config path"),
    ),
    row(
        ErrorKind::ClientMissing,
        127,
        "client-missing",
        "the client program is not installed",
        None,
    ),
    row(
        ErrorKind::Statement,
        1,
        "statement",
        "the database did not run the statement, as with `psql -c`",
        None,
    ),
    row(
        ErrorKind::Interrupted,
        130,
        "interrupted",
        "ended by Ctrl-C",
        None,
    ),
    row(
        ErrorKind::Terminated,
        143,
        "terminated",
        "ended by SIGTERM or SIGHUP",
        None,
    ),
];

/// The exit status of a check that did its work and found something: an answer, not an error.
pub const ANSWER_NO: u8 = 1;

/// The exit statuses that are no errors, and what they mean, for the documentation.
pub const ANSWERS: [(u8, &str); 2] = [
    (0, "it worked"),
    (
        ANSWER_NO,
        "with `query` and `connect -c`: see `statement`; with `audit verify`: a line was changed or removed; \
         with `lint`: there is something to mend",
    ),
];

impl ErrorKind {
    /// The kind's row of the contract.
    pub fn row(self) -> &'static ExitCode {
        EXIT_CODES
            .iter()
            .find(|row| row.kind == self)
            .expect("every kind has a row, see the test")
    }

    /// The process's exit status for this kind.
    pub fn code(self) -> u8 {
        self.row().code
    }

    /// A new error of this kind.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error {
            kind: self,
            message: message.into(),
            source: None,
            hints: Vec::new(),
        }
    }
}

impl Error {
    /// Who can act on it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Adds a next step, best an exact command. Hints of the error replace the kind's default.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Says whose problem it is after all, keeping everything else.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same once more, for whoever asks again before it makes sense to try again.
    #[must_use]
    pub fn repeated(&self) -> Self {
        let causes = self.causes();
        Self {
            kind: self.kind,
            message: self.message.clone(),
            source: causes
                .into_iter()
                .rev()
                .fold(None, |inner, cause| match inner {
                    None => Some(anyhow::anyhow!(cause)),
                    Some(inner) => Some(anyhow::Error::context(inner, cause)),
                }),
            hints: self.hints.clone(),
        }
    }

    /// The causes, outermost first. A cause that only repeats the one above it is left out.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        for cause in self.source.iter().flat_map(anyhow::Error::chain) {
            let cause = cause.to_string();
            let repeats = causes.last().unwrap_or(&self.message).ends_with(&cause);
            if !repeats {
                causes.push(cause);
            }
        }
        causes
    }

    /// The next steps: the error's own, else the default of its kind.
    pub fn next_steps(&self) -> Vec<&str> {
        if self.hints.is_empty() {
            self.kind.row().hint.into_iter().collect()
        } else {
            self.hints.iter().map(String::as_str).collect()
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(AsRef::as_ref)
    }
}

/// Makes another system's text fit for a terminal and for one line: control characters, escape sequences among them,
/// become `\u{fffd}`, and what is longer than 300 characters is cut.
pub fn printable(text: &str) -> String {
    const LONGEST: usize = 300;
    let text = text.trim();
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|c| match c {
            '\n' | '\t' => ' ',
            // Bidirectional overrides can make text read as something else.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Says that `program` cannot be started: it is not there, or the system has no room for it.
pub fn cannot_start(program: &str, cause: std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
            ErrorKind::ClientMissing
        }
        _ => ErrorKind::CannotCreate,
    };
    kind.error(format!("cannot start `{program}`"))
        .because(cause)
}

/// Turns a cause into an [`Error`] at a room's border.
pub trait ResultExt<T> {
    /// Fails with `kind` and `message`, keeping the cause.
    fn or_fail<M: Into<String>>(self, kind: ErrorKind, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> ResultExt<T> for Result<T, E> {
    fn or_fail<M: Into<String>>(self, kind: ErrorKind, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|cause| kind.error(message()).because(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_row_and_code() {
        let mut codes: Vec<u8> = EXIT_CODES.iter().map(|row| row.kind.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), EXIT_CODES.len());
        codes.retain(|code| *code != ErrorKind::Statement.code());
        assert!(
            codes.iter().all(|code| *code > 3),
            "0 to 3 are the clients' own"
        );
    }

    #[test]
    fn own_hints_replace_the_default() {
        let error = ErrorKind::SignedOut.error("nobody is signed in");
        assert_eq!(error.next_steps(), ["bsql login"]);
        assert_eq!(
            error.hint("bsql login --profile acme").next_steps(),
            ["bsql login --profile acme"]
        );
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\nc\u{202e}"),
            "a\u{fffd}[31mb c\u{fffd}"
        );
        assert_eq!(printable(&"x".repeat(400)).chars().count(), 301);
    }

    #[test]
    fn causes_do_not_stutter() {
        let cause = anyhow::anyhow!("connection reset")
            .context("cannot reach the catalog: connection reset");
        let error = ErrorKind::Unavailable
            .error("cannot list databases")
            .because(cause);
        assert_eq!(
            error.causes(),
            ["cannot reach the catalog: connection reset"]
        );
    }
}
