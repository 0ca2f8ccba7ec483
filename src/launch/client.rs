//! The clients bsql knows how to start, and what any of them is told.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::flavour::{Flavour, clients_of};
use super::{environment, mysql, other, programs, psql, sqlserver};
use crate::error::{ErrorKind, Result};
use crate::tunnel::{Endpoint, Protocol};

/// Environments whose prompt is red.
const PRODUCTION: [&str; 2] = ["production", "prod"];

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
    /// Whether the client is to ask for a password: the tunnel does not sign this user in.
    pub asks_password: bool,
    /// The catalog's environment, as `production`.
    pub environment: Option<String>,
}

impl Login {
    /// Whether the catalog says that this is production.
    pub fn is_production(&self) -> bool {
        let environment = self.environment.as_deref().unwrap_or_default();
        PRODUCTION
            .iter()
            .any(|name| environment.eq_ignore_ascii_case(name))
    }

    /// What a prompt calls the database: it says `production` in words, as colour alone must not say it. The name comes
    /// from the catalog, and nothing in the label means anything to a prompt.
    pub fn label(&self) -> String {
        let label = harmless(&self.name);
        match &self.environment {
            Some(environment) if self.is_production() && !label.contains(environment.as_str()) => {
                format!("{label}@{}", harmless(environment))
            }
            _ => label,
        }
    }
}

/// `%` and `\` start commands in prompts, and control characters steer the terminal.
fn harmless(name: &str) -> String {
    let is_harmless = |c: char| c.is_alphanumeric() || "-_.:/@".contains(c);
    name.chars()
        .map(|c| if is_harmless(c) { c } else { '?' })
        .collect()
}

/// A program that speaks to databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub(super) program: PathBuf,
    pub(super) flavour: Flavour,
}

impl Client {
    /// Finds `program`, which is a name to look for on `path` (the value of `PATH`), or a path of its own. `name` is the
    /// database's, for the hints.
    ///
    /// Fails with [`ErrorKind::ClientMissing`](crate::error::ErrorKind::ClientMissing).
    pub fn find(program: &str, path: Option<&OsStr>, name: &str) -> Result<Self> {
        let file = programs::find(program, path, name)?;
        // The name as it was typed: a link called `psql` may lead to a file of any name.
        let flavour = Flavour::of_name(Path::new(program));
        Ok(Self {
            program: file,
            flavour,
        })
    }

    /// What kind of program it is.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The command that opens `login` at `endpoint`, with `args` after bsql's own so that they win.
    ///
    /// `inherited` is bsql's own environment: what would lead a client elsewhere, and what is bsql's alone, is left out.
    ///
    /// Fails with [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) when the program does not speak `protocol`, or not
    /// over this kind of endpoint.
    pub fn command(
        &self,
        protocol: Protocol,
        login: &Login,
        endpoint: &Endpoint,
        args: &[OsString],
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Command> {
        if !self.flavour.speaks(protocol) {
            return Err(ErrorKind::Usage
                .error(format!(
                    "`{}` does not speak to {protocol}",
                    self.program.display()
                ))
                .hint(format!(
                    "use --client with one of: {}",
                    clients_of(protocol).join(", ")
                )));
        }
        let mut command = Command::new(&self.program);
        let mut colour = true;
        command.env_clear();
        for (name, value) in inherited {
            colour &= name != "NO_COLOR" || value.is_empty();
            if environment::is_passed_on(&name) || environment::is_password(&name, protocol) {
                command.env(name, value);
            }
        }
        if protocol == Protocol::Postgres {
            command.envs(environment::libpq(
                &login.user,
                &login.database,
                &login.application_name,
                endpoint,
            ));
        }
        match self.flavour {
            Flavour::Psql => {
                command.args(psql::prompt_args(login, colour));
            }
            // libpq's environment says the rest.
            Flavour::Pgcli => {
                command.args(psql::pgcli_args(login, colour));
            }
            Flavour::Usql => {
                command.arg(other::usql_url(protocol, login, endpoint));
            }
            Flavour::Mysql | Flavour::Mariadb | Flavour::Mycli => {
                command.args(mysql::args(self.flavour, login, endpoint));
            }
            Flavour::Sqlcmd => {
                command.args(sqlserver::args(login, endpoint)?);
            }
            Flavour::Other => {
                command.args(other::filled_in(args, protocol, login, endpoint));
                return Ok(command);
            }
        }
        command.args(args);
        Ok(command)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    pub(in super::super) fn ada() -> Login {
        Login {
            name: "payments-staging".to_owned(),
            database: "payments".to_owned(),
            user: "ada@acme.example".to_owned(),
            application_name: "bsql:ada@acme.example".to_owned(),
            read_only: false,
            asks_password: false,
            environment: Some("staging".to_owned()),
        }
    }

    pub(in super::super) fn socket() -> Endpoint {
        Endpoint::Unix {
            dir: "/run/user/1000/bsql/7-abcDEF".into(),
            port: 5432,
        }
    }

    fn client(flavour: Flavour) -> Client {
        Client {
            program: "/usr/bin/client".into(),
            flavour,
        }
    }

    fn args(command: &Command) -> Vec<&str> {
        command
            .get_args()
            .map(|arg| arg.to_str().unwrap())
            .collect()
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
            ("MYSQL_PWD", "hunter2"),
            ("MYSQL_HOST", "elsewhere"),
            ("SQLCMDPASSWORD", "hunter2"),
            ("DATABASE_URL", "postgres://elsewhere"),
            ("BSQL_PROFILE", "acme"),
        ];
        variables
            .map(|(name, value)| (name.into(), value.into()))
            .into()
    }

    #[test]
    fn the_environment_leads_to_the_tunnel_and_nowhere_else() {
        let command = client(Flavour::Psql)
            .command(Protocol::Postgres, &ada(), &socket(), &[], inherited())
            .unwrap();
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
    fn a_password_goes_to_who_has_to_sign_in_by_itself() {
        let tcp = Endpoint::Tcp("127.0.0.1:11433".parse().unwrap());
        let command = client(Flavour::Sqlcmd)
            .command(Protocol::SqlServer, &ada(), &tcp, &[], inherited())
            .unwrap();
        let environment = environment(&command);
        assert_eq!(environment["SQLCMDPASSWORD"], "hunter2");
        assert!(!environment.contains_key("MYSQL_PWD"));
    }

    #[test]
    fn a_loopback_port_works_alike() {
        let endpoint = Endpoint::Tcp("[::1]:15432".parse().unwrap());
        let command = client(Flavour::Pgcli)
            .command(
                Protocol::Postgres,
                &ada(),
                &endpoint,
                &["--less-chatty".into()],
                [],
            )
            .unwrap();
        let environment = environment(&command);
        assert_eq!(environment["PGHOST"], "::1");
        assert_eq!(environment["PGPORT"], "15432");
        assert_eq!(args(&command), ["--less-chatty"]);
    }

    #[test]
    fn the_persons_arguments_come_last() {
        let command = client(Flavour::Psql)
            .command(
                Protocol::Postgres,
                &ada(),
                &socket(),
                &["-c".into(), "select '{host}'".into()],
                [],
            )
            .unwrap();
        let args = args(&command);
        assert_eq!(args[args.len() - 2..], ["-c", "select '{host}'"]);
        assert!(args[0].starts_with("--set=PROMPT1=payments-staging"));
    }

    #[test]
    fn any_program_can_be_told_where_to_go_in_its_arguments() {
        let command = client(Flavour::Other)
            .command(
                Protocol::Postgres,
                &ada(),
                &socket(),
                &["--dsn={url}".into(), "{database}".into()],
                [],
            )
            .unwrap();
        assert_eq!(
            args(&command),
            [
                "--dsn=postgresql://ada%40acme.example@/payments?host=%2Frun%2Fuser%2F1000%2Fbsql%2F7-abcDEF&port=5432&sslmode=disable",
                "payments"
            ]
        );
        assert_eq!(environment(&command)["PGPORT"], "5432");
    }

    #[test]
    fn a_client_of_another_database_is_an_error() {
        let error = client(Flavour::Mysql)
            .command(Protocol::Postgres, &ada(), &socket(), &[], [])
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(
            error.to_string(),
            "`/usr/bin/client` does not speak to PostgreSQL"
        );
        assert_eq!(
            error.next_steps(),
            ["use --client with one of: psql, pgcli, usql, builtin"]
        );
    }

    #[test]
    fn colour_can_be_declined() {
        let production = Login {
            environment: Some("production".to_owned()),
            ..ada()
        };
        let red = |variables: Vec<(OsString, OsString)>| {
            let command = client(Flavour::Psql)
                .command(Protocol::Postgres, &production, &socket(), &[], variables)
                .unwrap();
            args(&command)[0].contains("%033[")
        };
        assert!(red(vec![]));
        assert!(red(vec![("NO_COLOR".into(), "".into())]));
        assert!(!red(vec![("NO_COLOR".into(), "1".into())]));
    }

    #[test]
    fn production_is_in_the_label_and_nothing_in_it_is_a_command() {
        for (name, environment, expected) in [
            ("payments-staging", Some("staging"), "payments-staging"),
            ("payments", None, "payments"),
            (
                "payments-production",
                Some("production"),
                "payments-production",
            ),
            ("payments", Some("production"), "payments@production"),
            ("payments", Some("Prod"), "payments@Prod"),
            ("a%`id`b\\u\u{1b}[0m", None, "a??id?b?u??0m"),
        ] {
            let login = Login {
                name: name.to_owned(),
                environment: environment.map(str::to_owned),
                ..ada()
            };
            assert_eq!(login.label(), expected);
        }
    }
}
