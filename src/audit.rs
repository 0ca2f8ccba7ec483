//! The audit log: what bsql did for whom, as JSON lines that are chained by hashes, so that a changed or missing line
//! shows. It is evidence of what bsql did on this machine, not a guard: its owner can delete the whole file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::hex;
use crate::private_dir;

/// The `prev` of the first line.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// No event comes near this; the tail of the file of this length holds a whole last line.
const LONGEST_LINE: u64 = 64 * 1024;

/// Who reached what, and how: the same in the begin and the end of an access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The command: `connect`, `query`.
    pub command: String,
    /// The profile.
    pub profile: String,
    /// The person, as the identity provider knows them.
    pub person: String,
    /// The catalog entity, if the name was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// The instance connection name.
    pub instance: String,
    /// The database.
    pub database: String,
    /// The database user.
    pub database_user: String,
    /// The environment, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The person's reason, if they gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How an access ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// bsql's exit status.
    pub exit: u8,
    /// Connections that were served.
    pub connections: u64,
    /// Connections of other users that were refused.
    pub refused: u64,
    /// Bytes to the database.
    pub bytes_up: u64,
    /// Bytes from the database.
    pub bytes_down: u64,
    /// The database's processes that served the sessions, the first 256 of them: what joins this log with the server's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_pids: Vec<u32>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// An access began.
    Begin(Access),
    /// An access ended.
    End(Outcome),
    /// An access was refused or failed before it began.
    Refused {
        /// What was to be reached.
        #[serde(flatten)]
        access: Access,
        /// The error's kind.
        kind: String,
        /// The error's message.
        message: String,
    },
    /// bsql ended without saying how the access ended.
    Aborted,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// 1, 2, 3, …
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// Which access: the `seq` of its begin.
    pub access: u64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
    /// The `hash` of the line before.
    pub prev: String,
    /// SHA-256, in hex, of this line as JSON with an empty `hash`.
    pub hash: String,
}

impl Record {
    fn sealed(mut self) -> Self {
        self.hash = String::new();
        let line = serde_json::to_vec(&self).expect("a record is plain data");
        self.hash = hex::encode(ring::digest::digest(&ring::digest::SHA256, &line).as_ref());
        self
    }
}

/// The log.
#[derive(Debug, Clone)]
pub struct AuditLog {
    path: PathBuf,
    clock: Clock,
}

/// An access that has begun. Dropping it without [`end`](Self::end) records that it was aborted.
#[derive(Debug)]
pub struct AuditEntry {
    log: AuditLog,
    access: u64,
    open: bool,
}

/// A place where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The line in the file, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl AuditLog {
    /// The log in the state directory. Makes nothing yet.
    pub fn new(state_dir: &Path, clock: Clock) -> Self {
        Self {
            path: state_dir.join("audit.jsonl"),
            clock,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records that an access begins. An access that cannot be recorded does not happen.
    pub fn begin(&self, access: Access) -> Result<AuditEntry> {
        let seq = self.append(Event::Begin(access), None)?;
        Ok(AuditEntry {
            log: self.clone(),
            access: seq,
            open: true,
        })
    }

    /// Records that an access was refused.
    pub fn refused(&self, access: Access, error: &crate::error::Error) -> Result<()> {
        let kind = error.kind().row().name.to_owned();
        self.append(
            Event::Refused {
                access,
                kind,
                message: error.to_string(),
            },
            None,
        )?;
        Ok(())
    }

    fn append(&self, event: Event, access: Option<u64>) -> Result<u64> {
        self.try_append(event, access)
            .or_fail(ErrorKind::CannotCreate, || {
                format!("cannot write the audit log `{}`", self.path.display())
            })
    }

    fn try_append(&self, event: Event, access: Option<u64>) -> anyhow::Result<u64> {
        if let Some(dir) = self.path.parent() {
            private_dir::create(dir)?;
        }
        let mut file = open_private(&self.path)?;
        // Other bsql processes append too: read the last line and write the next one under one lock.
        file.lock()?;
        let (seq, prev) = match last_record(&mut file)? {
            Some(last) => (last.seq + 1, last.hash),
            None => (1, GENESIS.to_owned()),
        };
        let time = self.clock.now();
        let record = Record {
            seq,
            time,
            access: access.unwrap_or(seq),
            event,
            prev,
            hash: String::new(),
        }
        .sealed();
        let mut line = serde_json::to_string(&record)?;
        line.push('\n');
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        Ok(seq)
    }

    /// All lines, oldest first. Lines that are no records are left out: [`verify`](Self::verify) names them.
    pub fn records(&self) -> Result<Vec<Record>> {
        Ok(self
            .lines()?
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// The places where the chain does not hold, and how many lines there are.
    pub fn verify(&self) -> Result<(usize, Vec<Break>)> {
        let lines = self.lines()?;
        let mut breaks = Vec::new();
        let mut expected = (1, GENESIS.to_owned());
        for (line, number) in lines.iter().zip(1..) {
            let mut broken = |why: &str| {
                breaks.push(Break {
                    line: number,
                    why: why.to_owned(),
                });
            };
            let Ok(record) = serde_json::from_str::<Record>(line) else {
                broken("is not an audit record");
                continue;
            };
            if record.clone().sealed().hash != record.hash {
                broken("was changed");
            }
            if (record.seq, &record.prev) != (expected.0, &expected.1) {
                broken("does not follow the line before");
            }
            expected = (record.seq + 1, record.hash);
        }
        Ok((lines.len(), breaks))
    }

    fn lines(&self) -> Result<Vec<String>> {
        let failed = || format!("cannot read the audit log `{}`", self.path.display());
        match File::open(&self.path) {
            Ok(file) => BufReader::new(file)
                .lines()
                .collect::<Result<_, _>>()
                .or_fail(ErrorKind::Config, failed),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).or_fail(ErrorKind::Config, failed),
        }
    }
}

impl AuditEntry {
    /// Records how the access ended.
    pub fn end(mut self, outcome: Outcome) -> Result<()> {
        self.open = false;
        self.log
            .append(Event::End(outcome), Some(self.access))
            .map(|_| ())
    }
}

impl Drop for AuditEntry {
    fn drop(&mut self) {
        if self.open
            && let Err(error) = self.log.append(Event::Aborted, Some(self.access))
        {
            tracing::warn!(%error, "could not record that the access was aborted");
        }
    }
}

fn last_record(file: &mut File) -> anyhow::Result<Option<Record>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_LINE)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if tail.last().is_some_and(|byte| *byte != b'\n') {
        // A write that was cut off, say by a full disk: leave it as the evidence it is, on a line of its own.
        file.write_all(b"\n")?;
    }
    let mut lines = tail
        .split(|byte| *byte == b'\n')
        .rev()
        .filter(|line| !line.is_empty());
    Ok(lines.find_map(|line| serde_json::from_slice(line).ok()))
}

fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn access() -> Access {
        Access {
            command: "connect".into(),
            profile: "acme".into(),
            person: "ada@acme.example".into(),
            entity: Some("resource:default/payments-staging".into()),
            instance: "p:r:i".into(),
            database: "payments".into(),
            database_user: "ada@acme.example".into(),
            environment: Some("staging".into()),
            reason: None,
        }
    }

    fn log(dir: &tempfile::TempDir) -> AuditLog {
        AuditLog::new(&dir.path().join("state"), Clock::system())
    }

    #[test]
    fn an_access_begins_and_ends_in_a_chain() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        assert_eq!(log.records().unwrap(), []);
        log.begin(access())
            .unwrap()
            .end(Outcome {
                connections: 2,
                ..Outcome::default()
            })
            .unwrap();
        drop(log.begin(access()).unwrap());
        let records = log.records().unwrap();
        let accesses: Vec<u64> = records.iter().map(|record| record.access).collect();
        assert_eq!(accesses, [1, 1, 3, 3]);
        assert_eq!(
            records[1].event,
            Event::End(Outcome {
                connections: 2,
                ..Outcome::default()
            })
        );
        assert_eq!(records[3].event, Event::Aborted);
        assert_eq!(log.verify().unwrap(), (4, vec![]));
    }

    #[test]
    fn a_changed_a_missing_and_a_torn_line_show() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        for _ in 0..3 {
            log.begin(access())
                .unwrap()
                .end(Outcome::default())
                .unwrap();
        }
        let text = fs::read_to_string(log.path()).unwrap();
        fs::write(log.path(), text.replacen("ada@", "bob@", 1)).unwrap();
        assert_eq!(
            log.verify().unwrap().1,
            [Break {
                line: 1,
                why: "was changed".into()
            }]
        );

        let without: Vec<&str> = text
            .lines()
            .enumerate()
            .filter(|(nth, _)| *nth != 2)
            .map(|(_, line)| line)
            .collect();
        fs::write(log.path(), without.join("\n") + "\n").unwrap();
        assert_eq!(
            log.verify().unwrap().1,
            [Break {
                line: 3,
                why: "does not follow the line before".into()
            }]
        );

        fs::write(log.path(), format!("{text}{{\"seq\":7,")).unwrap();
        log.begin(access())
            .unwrap()
            .end(Outcome::default())
            .unwrap();
        let (lines, breaks) = log.verify().unwrap();
        assert_eq!(
            (lines, breaks),
            (
                9,
                vec![Break {
                    line: 7,
                    why: "is not an audit record".into()
                }]
            )
        );
    }

    #[test]
    fn eight_writers_make_one_chain() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    log.begin(access())
                        .unwrap()
                        .end(Outcome::default())
                        .unwrap();
                });
            }
        });
        assert_eq!(log.verify().unwrap(), (16, vec![]));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        log.begin(access())
            .unwrap()
            .end(Outcome::default())
            .unwrap();
        assert_eq!(
            fs::metadata(log.path()).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
