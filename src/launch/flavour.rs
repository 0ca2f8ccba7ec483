//! What kind of program a client is: by its name, and where names mislead by what it says of itself.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::Client;
use crate::tunnel::Protocol;

/// For a program to say its version. Wrappers that ask something, or start a container, take longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The clients that speak a protocol, the usual one first.
pub(super) fn clients_of(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Postgres => &["psql", "pgcli", "usql", "builtin"],
        Protocol::MySql => &["mysql", "mariadb", "mycli", "usql"],
        Protocol::SqlServer => &["sqlcmd", "usql"],
    }
}

/// How a client wants to be told where to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// PostgreSQL's own: bsql sets its prompt too.
    Psql,
    /// libpq's environment, and its own prompt.
    Pgcli,
    /// A URL, for any database.
    Usql,
    /// Oracle's `mysql`.
    Mysql,
    /// MariaDB's client, which is often called `mysql`, and does not know all of that one's options.
    Mariadb,
    /// Options like `mysql`'s, a few of them.
    Mycli,
    /// Microsoft's.
    Sqlcmd,
    /// Any other: libpq's environment where that is the database, and templates in its arguments.
    Other,
}

impl Flavour {
    /// By the name, as `psql`, `psql.exe` or `psql-17`.
    pub(super) fn of_name(program: &Path) -> Self {
        let stem = program
            .file_stem()
            .map(|stem| stem.to_string_lossy().to_ascii_lowercase())
            .unwrap_or_default();
        let name = stem.trim_end_matches(|c: char| c.is_ascii_digit() || "-_.".contains(c));
        match name {
            "psql" => Self::Psql,
            "pgcli" => Self::Pgcli,
            "usql" => Self::Usql,
            "mysql" => Self::Mysql,
            "mariadb" => Self::Mariadb,
            "mycli" => Self::Mycli,
            "sqlcmd" => Self::Sqlcmd,
            _ => Self::Other,
        }
    }

    pub(super) fn speaks(self, protocol: Protocol) -> bool {
        match self {
            Self::Psql | Self::Pgcli => protocol == Protocol::Postgres,
            Self::Mysql | Self::Mariadb | Self::Mycli => protocol == Protocol::MySql,
            Self::Sqlcmd => protocol == Protocol::SqlServer,
            Self::Usql | Self::Other => true,
        }
    }

    /// What a program of this name is after it has said its version.
    fn corrected(self, said: &str) -> Self {
        match self {
            // A wrapper of that name that is something else would not know psql's options.
            Self::Psql if !said.contains("psql (") => Self::Other,
            Self::Mysql if said.contains("MariaDB") => Self::Mariadb,
            flavour => flavour,
        }
    }
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The client, and the flavour it really has.
    pub client: Client,
    /// What the person should know of it.
    pub warning: Option<String>,
}

impl Client {
    /// Asks the program for its version where its name may mislead, without the terminal and for 2 s at most: a
    /// `psql` may be somebody's wrapper, and a `mysql` may be MariaDB's. `inherited` is bsql's own environment.
    ///
    /// A program that does not answer is what its name says.
    pub async fn identify(
        self,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Identified {
        if !matches!(self.flavour, Flavour::Psql | Flavour::Mysql) {
            return Identified {
                client: self,
                warning: None,
            };
        }
        let passed_on = |(name, _): &(OsString, OsString)| super::environment::is_passed_on(name);
        let said = version(
            self.program.as_os_str(),
            inherited.into_iter().filter(passed_on),
        )
        .await;
        tracing::debug!(program = %self.program.display(), ?said, "asked for its version");
        let Some(said) = said else {
            return Identified {
                client: self,
                warning: None,
            };
        };
        let flavour = self.flavour.corrected(&said);
        let warning = match (self.flavour, flavour) {
            (Flavour::Psql, Flavour::Other) => Some(format!(
                "`{}` is no psql by its own word, so its prompt is left alone",
                self.program.display()
            )),
            // Older libpqs know neither `application_name` nor `PGAPPNAME`, and their prompts count colours as width.
            (Flavour::Psql, Flavour::Psql) => {
                major(&said).filter(|major| *major < 9).map(|major| {
                    format!("psql {major} is too old to know all it is told: use 9 or later")
                })
            }
            _ => None,
        };
        Identified {
            client: Client { flavour, ..self },
            warning,
        }
    }
}

/// What a program prints for `--version`; `None` if it prints nothing, fails or takes too long.
async fn version(
    program: &OsStr,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command
        .arg("--version")
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .ok()?
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}

/// 17 of `psql (PostgreSQL) 17.2 (Debian …)`.
fn major(said: &str) -> Option<u32> {
    let number = said
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs() {
        for (name, expected) in [
            ("psql", Flavour::Psql),
            ("/usr/lib/postgresql/17/bin/psql", Flavour::Psql),
            ("PSQL.EXE", Flavour::Psql),
            ("psql-17", Flavour::Psql),
            ("pgcli", Flavour::Pgcli),
            ("usql", Flavour::Usql),
            ("mysql", Flavour::Mysql),
            ("mariadb", Flavour::Mariadb),
            ("mycli", Flavour::Mycli),
            ("sqlcmd", Flavour::Sqlcmd),
            ("./tool", Flavour::Other),
            ("pg_dump", Flavour::Other),
        ] {
            assert_eq!(Flavour::of_name(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn what_a_program_says_counts_more_than_its_name() {
        let debian = "psql (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)";
        assert_eq!(Flavour::Psql.corrected(debian), Flavour::Psql);
        assert_eq!(major(debian), Some(15));
        assert_eq!(major("psql (PostgreSQL) 8.4.22"), Some(8));
        assert_eq!(major("psql (PostgreSQL) 18devel"), Some(18));
        assert_eq!(
            Flavour::Psql.corrected("Docker version 28.1"),
            Flavour::Other
        );
        let debians = "mysql  Ver 15.1 Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)";
        assert_eq!(Flavour::Mysql.corrected(debians), Flavour::Mariadb);
        let oracles = "mysql  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)";
        assert_eq!(Flavour::Mysql.corrected(oracles), Flavour::Mysql);
    }

    #[cfg(unix)]
    fn script(dir: &tempfile::TempDir, text: &str) -> Client {
        use std::os::unix::fs::PermissionsExt as _;
        let program = dir.path().join("psql");
        std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Client {
            program,
            flavour: Flavour::Psql,
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn wrappers_old_ones_and_the_silent() {
        let dir = tempfile::tempdir().unwrap();
        let asked = async |text: &str| {
            let Identified { client, warning } = script(&dir, text).identify([]).await;
            (client.flavour, warning)
        };
        assert_eq!(
            asked("echo 'psql (PostgreSQL) 17.2'").await,
            (Flavour::Psql, None)
        );
        let (flavour, warning) = asked("echo 'my company database tool'").await;
        assert_eq!(flavour, Flavour::Other);
        assert!(warning.unwrap().contains("is no psql by its own word"));
        let (flavour, warning) = asked("echo 'psql (PostgreSQL) 8.4.22'").await;
        assert_eq!(flavour, Flavour::Psql);
        assert!(warning.unwrap().starts_with("psql 8 is too old"));
        for silent in ["exit 0", "echo broken; exit 3", "exec sleep 60"] {
            assert_eq!(asked(silent).await, (Flavour::Psql, None), "{silent}");
        }
    }
}
