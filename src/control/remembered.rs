//! What is remembered of a database's tunnels: its port, so that GUIs can be told once, and its last log.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::private_dir;
use crate::private_file;

/// The ports that tunnels are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl Default for PortRange {
    /// Above PostgreSQL's own with a 1 before it, and below the ephemeral ports of Linux.
    fn default() -> Self {
        Self {
            first: 15_432,
            last: 16_431,
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('-').and_then(|(first, last)| {
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last && first > 0).then_some(Self { first, last })
        });
        parsed.ok_or_else(|| {
            ErrorKind::Config
                .error(format!("`{text}` is not a range of ports"))
                .hint(format!("write it as: ports = \"{}\"", Self::default()))
        })
    }
}

/// A port that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// It was free a moment ago.
    pub port: u16,
    /// The database's own port, which another program has now.
    pub instead_of: Option<u16>,
}

/// What is remembered of one database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Database {
    /// The last name, for people who read the file.
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<PathBuf>,
}

type Databases = BTreeMap<String, Database>;

/// The file in which it is remembered.
#[derive(Debug, Clone)]
pub struct Remembered {
    path: PathBuf,
}

impl Remembered {
    /// The one in the state directory. Makes nothing yet.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("tunnels.json"),
        }
    }

    /// A port for the database `key`: its own, else a free one of `range` that no other database has, which is then its
    /// own.
    pub fn choose_port(
        &self,
        key: &str,
        name: &str,
        range: PortRange,
        is_free: impl Fn(u16) -> bool,
    ) -> Result<Chosen> {
        self.change(|databases| {
            let own = databases.get(key).and_then(|database| database.port);
            let own = own.filter(|own| range.ports().any(|port| port == *own));
            if let Some(port) = own.filter(|port| is_free(*port)) {
                return Ok(Chosen {
                    port,
                    instead_of: None,
                });
            }
            let taken: Vec<u16> = databases
                .iter()
                .filter(|(other, _)| *other != key)
                .filter_map(|(_, database)| database.port)
                .collect();
            // Where to begin follows from the key, so that a lost file leads to the same ports for most.
            let ports: Vec<u16> = range.ports().collect();
            let begin = usize::from_str_radix(key.get(..4).unwrap_or_default(), 16).unwrap_or(0);
            let port = (0..ports.len())
                .map(|nth| ports[(begin + nth) % ports.len()])
                .find(|port| !taken.contains(port) && is_free(*port))
                .ok_or_else(|| {
                    ErrorKind::CannotCreate
                        .error(format!("none of the ports {range} is free"))
                        .hint("set `tunnel.ports` to a wider range")
                        .hint("or use the Unix socket: --socket")
                })?;
            if own.is_none() {
                let database = databases.entry(key.to_owned()).or_default();
                name.clone_into(&mut database.name);
                database.port = Some(port);
            }
            Ok(Chosen {
                port,
                instead_of: own,
            })
        })
    }

    /// Remembers where the log of the database's last tunnel is.
    pub fn remember_log(&self, key: &str, name: &str, log: &Path) -> Result<()> {
        self.change(|databases| {
            let database = databases.entry(key.to_owned()).or_default();
            name.clone_into(&mut database.name);
            database.log = Some(log.to_owned());
            Ok(())
        })
    }

    /// The log of the last tunnel of the database that is called `name`.
    pub fn log_of(&self, name: &str) -> Result<Option<PathBuf>> {
        let databases = self.read()?;
        Ok(databases
            .into_values()
            .filter(|database| database.name == name)
            .find_map(|database| database.log))
    }

    /// The databases whose last tunnel has left a log, by name.
    pub fn with_logs(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self
            .read()?
            .into_values()
            .filter(|database| database.log.as_ref().is_some_and(|log| log.exists()))
            .map(|database| database.name)
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn read(&self) -> Result<Databases> {
        match fs::read_to_string(&self.path) {
            // It can be made again: a torn file is no reason not to open a tunnel.
            Ok(text) => Ok(serde_json::from_str(&text).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Databases::new()),
            Err(error) => Err(error).or_fail(ErrorKind::CannotCreate, || {
                format!("cannot read `{}`", self.path.display())
            }),
        }
    }

    /// Under a lock, and written whole or not at all.
    fn change<T>(&self, change: impl FnOnce(&mut Databases) -> Result<T>) -> Result<T> {
        let failed = || format!("cannot write `{}`", self.path.display());
        let dir = self.path.parent().unwrap_or(Path::new("."));
        private_dir::create(dir).or_fail(ErrorKind::CannotCreate, failed)?;
        let lock = File::create(self.path.with_extension("lock"))
            .or_fail(ErrorKind::CannotCreate, failed)?;
        lock.lock().or_fail(ErrorKind::CannotCreate, failed)?;
        let before = self.read()?;
        let mut databases = before.clone();
        let result = change(&mut databases)?;
        if databases != before {
            let write = || -> anyhow::Result<()> {
                let text = serde_json::to_vec_pretty(&databases)?;
                Ok(private_file::replace(&self.path, &text)?)
            };
            write().or_fail(ErrorKind::CannotCreate, failed)?;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> PortRange {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_has_two_ends() {
        assert_eq!(range("15432-16431"), PortRange::default());
        assert_eq!(range("7 - 7").to_string(), "7-7");
        for bad in ["", "7", "8-7", "0-7", "1-70000", "a-b"] {
            let error = bad.parse::<PortRange>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn a_database_keeps_its_port_and_nobody_else_gets_it() {
        let state = tempfile::tempdir().unwrap();
        let remembered = Remembered::new(state.path());
        let choose = |key: &str, taken: &[u16]| {
            remembered
                .choose_port(key, "payments", range("1000-1009"), |port| {
                    !taken.contains(&port)
                })
                .unwrap()
        };
        let own = |port| Chosen {
            port,
            instead_of: None,
        };
        // 0x0003 % 10.
        assert_eq!(choose("0003aa", &[]), own(1003));
        assert_eq!(choose("0003bb", &[]), own(1004), "1003 is another's");
        assert_eq!(choose("0003aa", &[]), own(1003));
        let stand_in = Chosen {
            port: 1005,
            instead_of: Some(1003),
        };
        assert_eq!(choose("0003aa", &[1003]), stand_in);
        assert_eq!(choose("0003aa", &[]), own(1003), "its own again");
        let all: Vec<u16> = (1000..1010).collect();
        let error = remembered
            .choose_port("0003cc", "orders", range("1000-1009"), |port| {
                !all.contains(&port)
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "none of the ports 1000-1009 is free");
        // A range that was changed counts, not the old port.
        let chosen = remembered.choose_port("0003aa", "payments", range("2000-2009"), |_| true);
        assert_eq!(chosen.unwrap(), own(2003));
    }

    #[test]
    fn a_torn_file_is_begun_again() {
        let state = tempfile::tempdir().unwrap();
        let remembered = Remembered::new(state.path());
        fs::write(&remembered.path, "{\"0003aa\":").unwrap();
        assert_eq!(remembered.log_of("payments").unwrap(), None);
        let log = Path::new("/s/payments.log");
        remembered.remember_log("0003aa", "payments", log).unwrap();
        assert_eq!(remembered.log_of("payments").unwrap().unwrap(), log);
        assert_eq!(remembered.log_of("orders").unwrap(), None);
    }

    #[test]
    fn eight_at_once_get_eight_ports() {
        let state = tempfile::tempdir().unwrap();
        let remembered = Remembered::new(state.path());
        std::thread::scope(|scope| {
            for nth in 0..8 {
                let remembered = &remembered;
                scope.spawn(move || {
                    let key = format!("{nth:04x}");
                    let port = remembered.choose_port(&key, &key, range("1-8"), |_| true);
                    port.unwrap();
                });
            }
        });
        let ports: Vec<_> = remembered
            .read()
            .unwrap()
            .into_values()
            .filter_map(|database| database.port)
            .collect();
        let mut sorted = ports.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=8).collect::<Vec<_>>());
    }
}
