//! What was typed, for each database its own file: for this user only, bounded, and without what looks like a password.
//!
//! A statement a line, as JSON, so that statements of several lines stay whole. Nothing here is worth failing for.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use crate::private_dir;
use crate::private_file;

/// Statements that are remembered.
pub(super) const MOST: usize = 1_000;
/// Longer ones are not: nobody looks for a dump with the arrow keys.
const LONGEST: usize = 64 * 1024;
/// Longer names of files are cut.
const LONGEST_NAME: usize = 150;

/// A database's history.
#[derive(Debug)]
pub(super) struct History {
    file: PathBuf,
    /// The warning was given.
    warned: bool,
}

impl History {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self {
            file: dir.join(file_name(name)),
            warned: false,
        }
    }

    /// The statements, the oldest first; and a warning for the person when they cannot be read.
    pub(super) fn read(&mut self) -> (Vec<String>, Option<String>) {
        match self.try_read() {
            Ok(statements) => (statements, None),
            Err(error) => (Vec::new(), self.warning(&error)),
        }
    }

    /// Remembers a statement; a warning for the person, once, when that does not work: the disk is full, or is not ours.
    pub(super) fn add(&mut self, statement: &str) -> Option<String> {
        if !is_remembered(statement) {
            return None;
        }
        let added = private_dir::create(self.file.parent().unwrap_or(Path::new(".")))
            .and_then(|()| self.append(statement));
        added.err().and_then(|error| self.warning(&error))
    }

    fn try_read(&self) -> io::Result<Vec<String>> {
        let file = match File::open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let mut statements = Vec::new();
        let mut is_long = false;
        for line in BufReader::new(file).split(b'\n') {
            // A line that was cut by a full disk is left out.
            if let Ok(statement) = serde_json::from_slice(&line?) {
                statements.push(statement);
            }
            if statements.len() > 2 * MOST {
                statements.drain(..MOST);
                is_long = true;
            }
        }
        if statements.len() > MOST {
            statements.drain(..statements.len() - MOST);
        }
        if is_long {
            self.rewrite(&statements)?;
        }
        Ok(statements)
    }

    fn append(&self, statement: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let line = line(statement);
        // One write, so that two prompts do not mix their lines.
        options.open(&self.file)?.write_all(line.as_bytes())
    }

    fn rewrite(&self, statements: &[String]) -> io::Result<()> {
        let lines: String = statements.iter().map(|statement| line(statement)).collect();
        private_file::replace(&self.file, lines.as_bytes())
    }

    fn warning(&mut self, error: &io::Error) -> Option<String> {
        let first = !std::mem::replace(&mut self.warned, true);
        first.then(|| {
            format!(
                "what you type is not remembered: cannot keep `{}` ({error})",
                self.file.display()
            )
        })
    }
}

/// What begins with a blank is meant to be forgotten, as in a shell; and a password was not meant to be written down.
fn is_remembered(statement: &str) -> bool {
    let lower = statement.to_lowercase();
    let has_password = lower
        .find("password")
        .is_some_and(|at| lower[at..].contains('\''));
    !statement.trim().is_empty()
        && !statement.starts_with(' ')
        && !has_password
        && statement.len() <= LONGEST
}

/// A name that is one anywhere.
fn file_name(name: &str) -> String {
    let harmless = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(harmless).take(LONGEST_NAME).collect();
    format!("{}.jsonl", name.trim_start_matches('.'))
}

/// A statement as the file has it: on one line, whatever it holds.
fn line(statement: &str) -> String {
    serde_json::Value::from(statement).to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_come_back_and_passwords_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let mut history = History::new(&state, "acme:eu:payments/ledger");
        assert_eq!(history.read(), (vec![], None));
        for statement in [
            "select 1;",
            "select\n  'ü';",
            " select 'forget this';",
            "alter role ada PASSWORD 'hunter2';",
            "",
            "select password from users;",
        ] {
            assert_eq!(history.add(statement), None);
        }
        let expected = ["select 1;", "select\n  'ü';", "select password from users;"];
        assert_eq!(history.read().0, expected);
        let file = state.join("acme_eu_payments_ledger.jsonl");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        // A line that a full disk cut, and one that is not text.
        let mut text = std::fs::read(&file).unwrap();
        text.extend_from_slice(b"\"select cu\n\xff\xfe\n\"select 2;\"\n");
        std::fs::write(&file, text).unwrap();
        assert_eq!(history.read().0.last().unwrap(), "select 2;");
        assert_eq!(history.read().0.len(), 4);
    }

    #[test]
    fn the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::new(dir.path(), "db");
        let lines = |n: usize| {
            let lines: Vec<String> = (0..n).map(|n| format!("\"select {n};\"\n")).collect();
            lines.concat()
        };
        let file = dir.path().join("db.jsonl");
        std::fs::write(&file, lines(2 * MOST + 7)).unwrap();
        let statements = history.read().0;
        assert_eq!(statements.len(), MOST);
        assert_eq!(
            statements.last().unwrap(),
            &format!("select {};", 2 * MOST + 6)
        );
        let kept = std::fs::read_to_string(&file).unwrap();
        assert_eq!(kept.lines().count(), MOST);
    }

    #[test]
    fn a_disk_that_is_full_or_not_ours_is_said_once() {
        // A file where the directory should be fails for root too, and /dev/full is a disk that is full.
        let dir = tempfile::tempdir().unwrap();
        let in_the_way = dir.path().join("history");
        std::fs::write(&in_the_way, "").unwrap();
        let mut history = History::new(&in_the_way, "db");
        assert!(history.add("select 1;").unwrap().contains("not remembered"));
        assert_eq!(history.add("select 2;"), None);
        #[cfg(target_os = "linux")]
        {
            let file = dir.path().join("full.jsonl");
            std::os::unix::fs::symlink("/dev/full", &file).unwrap();
            let warning = History::new(dir.path(), "full").add("select 1;");
            assert!(warning.unwrap().contains("No space left"));
        }
    }
}
