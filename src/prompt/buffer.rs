//! Lines become statements and commands: what was typed and is not yet run.

use super::command::{self, Command};
use crate::sql::Dialect;
use crate::sql::text::{Progress, is_blank};

/// What is to be done, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// SQL, with its semicolon.
    Statement(String),
    /// A command of bsql's own.
    Command(Command),
    /// A command that there is not, and why.
    Bad(String),
}

/// The statement that is being typed.
#[derive(Debug)]
pub(super) struct Buffer {
    dialect: Dialect,
    text: String,
    progress: Progress,
}

impl Buffer {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            text: String::new(),
            progress: Progress::new(dialect),
        }
    }

    /// Takes a line, without its end.
    pub(super) fn feed(&mut self, line: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = line;
        loop {
            if let Some(command) = self.command(rest) {
                pieces.push(command);
                return pieces;
            }
            let (before, go) = self.without_go(rest);
            // The end of the line may end a comment.
            let fed = format!("{before}\n");
            let Some(end) = self.progress.end(&fed) else {
                if !(self.text.is_empty() && before.trim().is_empty()) {
                    self.text.push_str(&fed);
                }
                pieces.extend(go.map(Piece::Command));
                return pieces;
            };
            self.text.push_str(&fed[..end]);
            let statement = std::mem::take(&mut self.text);
            let statement = self.progress.without_delimiter(statement.trim()).trim_end();
            if !is_blank(self.dialect, statement.trim_end_matches(';')) {
                pieces.push(Piece::Statement(statement.to_owned()));
            }
            // The end of the line may have belonged to it.
            rest = rest.get(end..).unwrap_or_default();
        }
    }

    /// The whole rest of a line is a command if it begins with a backslash where SQL could not.
    fn command(&self, rest: &str) -> Option<Piece> {
        let is_command = self.progress.is_at_rest() && rest.trim_start().starts_with('\\');
        is_command.then(|| match command::parse(rest) {
            Ok(command) => Piece::Command(command),
            Err(why) => Piece::Bad(why),
        })
    }

    /// `select 1 \gx` runs without a semicolon, unless that is within a text. `\G` is what MySQL's people type for it.
    fn without_go<'a>(&self, rest: &'a str) -> (&'a str, Option<Command>) {
        let words = [("\\gx", true), ("\\g", false), ("\\G", true)];
        let known = match self.dialect {
            Dialect::Postgres => &words[..2],
            Dialect::MySql => &words,
        };
        for &(word, expanded) in known {
            if let Some(before) = rest.trim_end().strip_suffix(word) {
                let mut progress = self.progress.clone();
                // A semicolon before it has run the statement already.
                if progress.end(before).is_none() && progress.is_at_rest() {
                    return (before, Some(Command::Go { expanded }));
                }
            }
        }
        (rest, None)
    }

    /// What was typed of the statement; empty when nothing was.
    pub(super) fn text(&self) -> &str {
        self.text.trim_end()
    }

    /// What was typed, which is to be run or forgotten.
    pub(super) fn take(&mut self) -> String {
        self.progress.restart();
        std::mem::take(&mut self.text).trim().to_owned()
    }

    /// What the prompt shows before `>`: `=`, or what is open.
    pub(super) fn mark(&self) -> char {
        if self.text.is_empty() {
            '='
        } else {
            self.progress.mark()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Piece {
        Piece::Statement(text.to_owned())
    }

    #[test]
    fn lines_become_statements_and_commands() {
        let mut buffer = Buffer::new(Dialect::Postgres);
        assert_eq!(
            buffer.feed("select 1; select 2; \\x on"),
            [
                statement("select 1;"),
                statement("select 2;"),
                Piece::Command(Command::Expanded(command::Switch::On))
            ]
        );
        assert_eq!(buffer.mark(), '=');
        assert_eq!(buffer.feed(""), []);
        assert_eq!(buffer.mark(), '=');
        assert_eq!(buffer.feed("select '"), []);
        assert_eq!(buffer.mark(), '\'');
        assert_eq!(buffer.feed("\\q"), [], "within a text");
        assert_eq!(buffer.feed("' from"), []);
        assert_eq!(buffer.mark(), '-');
        assert_eq!(buffer.text(), "select '\n\\q\n' from");
        assert_eq!(
            buffer.feed("t; ;; -- done"),
            [statement("select '\n\\q\n' from\nt;")]
        );
        assert_eq!(buffer.take(), "-- done");
        assert_eq!(buffer.feed("\\nonsense").len(), 1);
    }

    #[test]
    fn go_runs_what_was_typed() {
        let mut buffer = Buffer::new(Dialect::Postgres);
        let go = |expanded| Piece::Command(Command::Go { expanded });
        assert_eq!(buffer.feed("select 1 \\gx"), [go(true)]);
        assert_eq!(buffer.take(), "select 1");
        assert_eq!(buffer.feed("select '\\g"), []);
        assert_eq!(buffer.feed("'"), []);
        assert_eq!(buffer.feed(" \\g"), [go(false)]);
        assert_eq!(buffer.take(), "select '\\g\n'");
    }

    #[test]
    fn mysql_has_other_ends() {
        let mut buffer = Buffer::new(Dialect::MySql);
        let go = Piece::Command(Command::Go { expanded: true });
        assert_eq!(buffer.feed("select 1\\G"), [go]);
        assert_eq!(buffer.take(), "select 1");
        assert_eq!(buffer.feed("delimiter //"), []);
        assert_eq!(buffer.feed("create procedure p()"), []);
        assert_eq!(
            buffer.feed("if true then select 1; end if //"),
            [statement(
                "create procedure p()\nif true then select 1; end if"
            )]
        );
        assert_eq!(buffer.feed("select 1;"), []);
        assert_eq!(buffer.take(), "select 1;");
        assert_eq!(buffer.feed("select 2 //"), [statement("select 2")]);
        assert_eq!(buffer.feed("DELIMITER ;"), []);
        assert_eq!(buffer.feed("select `;`;"), [statement("select `;`;")]);
        assert_eq!(buffer.mark(), '=');
    }
}
