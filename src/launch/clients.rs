//! The clients bsql knows how to start, and what any of them is told.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use super::{programs, psql};
use crate::error::Result;
use crate::tunnel::Endpoint;

/// What a client is told about the session it will have. Nothing of it is secret.
#[derive(Debug, Clone)]
pub struct Login {
    /// What the person calls the database, as `payments-staging`: for the prompt.
    pub name: String,
    /// The database within the instance.
    pub database: String,
    /// The database user.
    pub user: String,
    /// Shown in `pg_stat_activity`, as `bsql:ada`.
    pub application_name: String,
    /// For the prompt only: the tunnel is what asks the server for it.
    pub read_only: bool,
    /// The catalog's environment, as `production`.
    pub environment: Option<String>,
}

/// A program that speaks to databases.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Client {
    /// `psql`: bsql sets its prompt too.
    Psql(PathBuf),
    /// Whatever heeds libpq's environment variables, as `pgcli` does.
    Libpq(PathBuf),
}

impl Client {
    /// Finds `program`, which is a name to look for on `path` (the value of `PATH`), or a path of its own. `name` is the
    /// database's, for the hints.
    ///
    /// Fails with [`ErrorKind::ClientMissing`](crate::error::ErrorKind::ClientMissing).
    pub fn find(program: &str, path: Option<&OsStr>, name: &str) -> Result<Self> {
        let file = programs::find(program, path, name)?;
        let is_psql = file.file_stem().is_some_and(|stem| stem == "psql");
        Ok(if is_psql {
            Self::Psql(file)
        } else {
            Self::Libpq(file)
        })
    }

    /// The command that opens `login` at `endpoint`, with `args` after bsql's own so that they win.
    ///
    /// `inherited` is bsql's own environment: what would lead a client elsewhere, and what is bsql's alone, is left out.
    pub fn command(
        &self,
        login: &Login,
        endpoint: &Endpoint,
        args: &[OsString],
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Command {
        let (Self::Psql(file) | Self::Libpq(file)) = self;
        let mut command = Command::new(file);
        let mut colour = true;
        command.env_clear();
        for (name, value) in inherited {
            colour &= name != "NO_COLOR" || value.is_empty();
            if is_passed_on(&name) {
                command.env(name, value);
            }
        }
        command.envs(libpq_environment(login, endpoint));
        if let Self::Psql(_) = self {
            command.args(psql::prompt_args(login, colour));
        }
        command.args(args);
        command
    }
}

/// libpq's variables that say how the person likes things, not where to go or as whom.
///
/// <https://www.postgresql.org/docs/current/libpq-envars.html>
const PREFERENCES: [&str; 8] = [
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATESTYLE",
    "PGGEQO",
    "PGLOCALEDIR",
    // Read-only still wins: the tunnel appends it.
    "PGOPTIONS",
    "PGSYSCONFDIR",
    "PGTZ",
];

/// Every other `PG…` is dropped, known or not: a new one must not lead astray before bsql has heard of it.
fn is_passed_on(name: &OsStr) -> bool {
    let ours = name
        .to_string_lossy()
        .to_ascii_uppercase()
        .starts_with("BSQL_");
    !leads_astray(name) && !ours
}

/// Whether a variable may lead a client elsewhere than to the tunnel.
pub fn leads_astray(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    name.starts_with("PG") && !PREFERENCES.contains(&name.as_str())
}

fn libpq_environment(login: &Login, endpoint: &Endpoint) -> [(&'static str, OsString); 7] {
    let (host, port) = match endpoint {
        Endpoint::Unix { dir, port } => (dir.into(), *port),
        Endpoint::Tcp(address) => (address.ip().to_string().into(), address.port()),
    };
    [
        ("PGHOST", host),
        ("PGPORT", port.to_string().into()),
        ("PGUSER", login.user.clone().into()),
        ("PGDATABASE", login.database.clone().into()),
        ("PGAPPNAME", login.application_name.clone().into()),
        // The way to the tunnel does not leave this machine; the tunnel encrypts the rest.
        ("PGSSLMODE", "disable".into()),
        ("PGGSSENCMODE", "disable".into()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ada() -> Login {
        Login {
            name: "payments-staging".to_owned(),
            database: "payments".to_owned(),
            user: "ada@acme.example".to_owned(),
            application_name: "bsql:ada@acme.example".to_owned(),
            read_only: false,
            environment: Some("staging".to_owned()),
        }
    }

    fn socket() -> Endpoint {
        Endpoint::Unix {
            dir: "/run/user/1000/bsql/7-abcDEF".into(),
            port: 5432,
        }
    }

    fn environment(command: &Command) -> BTreeMap<String, String> {
        let shown = |text: &OsStr| text.to_str().unwrap().to_owned();
        let set = |(name, value): (&OsStr, Option<&OsStr>)| (shown(name), shown(value.unwrap()));
        command.get_envs().map(set).collect()
    }

    fn inherited() -> Vec<(OsString, OsString)> {
        let variables = [
            ("HOME", "/home/ada"),
            ("PSQL_PAGER", "less"),
            ("PGTZ", "Europe/Berlin"),
            ("PGOPTIONS", "-c search_path=audit"),
            ("PGHOST", "elsewhere"),
            ("PGHOSTADDR", "192.0.2.1"),
            ("PGPASSWORD", "hunter2"),
            ("PGSERVICE", "elsewhere"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLCERT", "/home/ada/cert"),
            ("PGTARGETSESSIONATTRS", "read-write"),
            ("PGCLUSTER", "15/main"),
            ("PGNEWTHING", "elsewhere"),
            ("BSQL_PROFILE", "acme"),
        ];
        variables
            .map(|(name, value)| (name.into(), value.into()))
            .into()
    }

    #[test]
    fn the_environment_leads_to_the_tunnel_and_nowhere_else() {
        let psql = Client::Psql("/usr/bin/psql".into());
        let command = psql.command(&ada(), &socket(), &[], inherited());
        let expected = [
            ("HOME", "/home/ada"),
            ("PGAPPNAME", "bsql:ada@acme.example"),
            ("PGDATABASE", "payments"),
            ("PGGSSENCMODE", "disable"),
            ("PGHOST", "/run/user/1000/bsql/7-abcDEF"),
            ("PGOPTIONS", "-c search_path=audit"),
            ("PGPORT", "5432"),
            ("PGSSLMODE", "disable"),
            ("PGTZ", "Europe/Berlin"),
            ("PGUSER", "ada@acme.example"),
            ("PSQL_PAGER", "less"),
        ];
        let shown = environment(&command);
        let shown: Vec<_> = shown
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_loopback_port_works_alike() {
        let client = Client::Libpq("/usr/bin/pgcli".into());
        let endpoint = Endpoint::Tcp("[::1]:15432".parse().unwrap());
        let command = client.command(&ada(), &endpoint, &["--less-chatty".into()], []);
        let environment = environment(&command);
        assert_eq!(environment["PGHOST"], "::1");
        assert_eq!(environment["PGPORT"], "15432");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["--less-chatty"]);
    }

    #[test]
    fn the_persons_arguments_come_last() {
        let psql = Client::Psql("/usr/bin/psql".into());
        let command = psql.command(&ada(), &socket(), &["-c".into(), "select 1".into()], []);
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args[args.len() - 2..], ["-c", "select 1"]);
        assert!(
            args[0]
                .to_str()
                .unwrap()
                .starts_with("--set=PROMPT1=payments-staging")
        );
    }

    #[test]
    fn colour_can_be_declined() {
        let psql = Client::Psql("/usr/bin/psql".into());
        let production = Login {
            environment: Some("production".to_owned()),
            ..ada()
        };
        let red = |variables: Vec<(OsString, OsString)>| {
            let command = psql.command(&production, &socket(), &[], variables);
            command
                .get_args()
                .next()
                .unwrap()
                .to_str()
                .unwrap()
                .contains("%033[")
        };
        assert!(red(vec![]));
        assert!(red(vec![("NO_COLOR".into(), "".into())]));
        assert!(!red(vec![("NO_COLOR".into(), "1".into())]));
    }
}
