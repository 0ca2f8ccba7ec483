//! `bsql exec`: runs a command with databases at hand.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::access::{Wanted, outcome, reach};
use super::complete;
use super::via::ViaArgs;
use crate::app::App;
use crate::audit::AuditEntry;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::launch::{self, Coordinates, OptionFile};
use crate::private_dir;
use crate::tunnel::{Place, Protocol, Summary};
use crate::ui::Ui;

/// Run a command with tunnels to databases, and the variables that lead clients to them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "PGHOST, PGPORT, PGUSER, PGDATABASE, DATABASE_URL and their kin (MYSQL_…, SQLCMD…) are set for the first database. \
        With several, and with --env-prefix, each has them with a prefix too: PAYMENTS_STAGING_PGHOST, PAYMENTS_STAGING_DATABASE_URL."
)]
pub(crate) struct ExecArgs {
    /// Names from the catalog, or project:region:instance; the first is the default
    #[arg(required = true, value_name = "NAME", add = ArgValueCompleter::new(complete::databases))]
    names: Vec<String>,
    /// Instead of the name in capitals, the prefix of the variables; once for each database
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    env_prefix: Vec<String>,
    /// Ports on 127.0.0.1, for programs that cannot use Unix sockets
    #[arg(long)]
    tcp: bool,
    /// Speak TLS with programs that insist on it, with a certificate of this machine's own
    #[arg(long, requires = "tcp")]
    local_tls: bool,
    /// The database, if not the one in the catalog
    #[arg(long)]
    database: Option<String>,
    /// The database user, if not yourself
    #[arg(short, long)]
    user: Option<String>,
    /// Ask the server for read-only transactions
    #[arg(long)]
    read_only: bool,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    via: ViaArgs,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// For connections to end after the command has.
const GRACE: Duration = Duration::from_secs(1);

fn prefix(text: &str) -> Result<String, String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && text.chars().all(sound) {
        Ok(text.trim_end_matches('_').to_owned())
    } else {
        Err("expected letters, digits and `_`, and no digit first".to_owned())
    }
}

/// A name as the beginning of a variable's.
fn prefix_of(name: &str) -> String {
    let upper = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    let prefix: String = upper.collect();
    if prefix.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{prefix}")
    } else {
        prefix
    }
}

/// One database, while the command runs.
struct Session {
    prefix: String,
    coordinates: Coordinates,
    entry: AuditEntry,
    serving: JoinHandle<Summary>,
}

pub(crate) async fn run(args: ExecArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let prefixes = prefixes(&args)?;
    if args.names.len() > 1 && args.database.is_some() {
        return Err(ErrorKind::Usage
            .error("`--database` is for one database, and several are named")
            .hint("run `bsql exec` once for each"));
    }
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let mut sessions = Vec::new();
    for (name, prefix) in args.names.iter().zip(prefixes) {
        sessions.push(open(name, prefix, &args, &stop, app, ui).await?);
    }
    let first = sessions[0].coordinates.protocol;
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    for (name, _) in app.environment().variables() {
        if launch::leads_astray(&name) && !launch::is_password(&name, first) {
            command.env_remove(name);
        }
    }
    command.envs(sessions[0].coordinates.variables());
    // Lives as long as the command.
    let option_file = match first {
        Protocol::MySql => Some(option_file(&sessions[0].coordinates, app, ui)?),
        Protocol::Postgres | Protocol::SqlServer => None,
    };
    if let Some(file) = &option_file {
        let (name, value) = file.variable();
        command.env(name, value);
    }
    if sessions.len() > 1 || !args.env_prefix.is_empty() {
        for session in &sessions {
            let variables = session.coordinates.variables().into_iter();
            command
                .envs(variables.map(|(name, value)| (format!("{}_{name}", session.prefix), value)));
        }
    }
    let status = launch::run_through(command, app.shutdown()).await;
    stop.cancel();
    let exit = status
        .as_ref()
        .map_or_else(|error| error.kind().code(), |code| *code);
    for session in sessions {
        let summary = session
            .serving
            .await
            .or_fail(ErrorKind::Internal, || "a tunnel's task failed")?;
        session.entry.end(outcome(exit, &summary))?;
    }
    status
}

/// Gets ahead of the machine's own option files. The person's own outranks it, and then the person is told.
fn option_file(here: &Coordinates, app: &App, ui: &Ui) -> Result<OptionFile> {
    let environment = app.environment();
    let home = environment.path("HOME");
    if let Some((file, option)) = home.and_then(|home| launch::outranked_by(&home, here)) {
        ui.warn(&format!(
            "`{}` has `{option}`, which outranks what exec says: give MySQL's clients \
            --defaults-file=\"$MYSQL_HOME/my.cnf\" as their first argument",
            file.display()
        ));
    }
    let before = environment.path("MYSQL_HOME");
    let runtime = &app.paths().runtime;
    private_dir::create(runtime).or_fail(ErrorKind::CannotCreate, || {
        format!("cannot make `{}`", runtime.display())
    })?;
    OptionFile::leading_to(here, before.as_deref(), runtime)
}

/// One for each database, all different.
fn prefixes(args: &ExecArgs) -> Result<Vec<String>> {
    let prefixes: Vec<String> = match args.env_prefix.len() {
        0 => args.names.iter().map(|name| prefix_of(name)).collect(),
        given if given == args.names.len() => args.env_prefix.clone(),
        given => {
            return Err(ErrorKind::Usage.error(format!(
                "there are {} databases and {given} prefixes",
                args.names.len()
            )));
        }
    };
    let mut seen = BTreeSet::new();
    let twice = |prefix: &&String| !seen.insert((*prefix).clone());
    match prefixes.iter().find(twice) {
        None => Ok(prefixes),
        Some(prefix) => Err(two_alike(prefix)),
    }
}

fn two_alike(prefix: &str) -> Error {
    ErrorKind::Usage
        .error(format!(
            "two databases would have the variable `{prefix}_PGHOST`"
        ))
        .hint("give each another prefix: --env-prefix ONE --env-prefix OTHER")
}

async fn open(
    name: &str,
    prefix: String,
    args: &ExecArgs,
    stop: &CancellationToken,
    app: &App,
    ui: &mut Ui,
) -> Result<Session> {
    let wanted = Wanted {
        name,
        database: args.database.as_deref(),
        user: args.user.as_deref(),
        read_only: args.read_only,
        reason: args.reason.as_deref(),
        command: "exec",
        via: &args.via,
    };
    let mut reached = reach(&wanted, app, ui).await?;
    super::engine::require_local_tls(args.local_tls, reached.protocol())?;
    reached.prove(app, ui).await?;
    let protocol = reached.protocol();
    let login = &reached.login;
    let place = if args.tcp || protocol == Protocol::SqlServer {
        Place::Tcp(([127, 0, 0, 1], 0).into())
    } else {
        Place::Private {
            runtime_dir: app.paths().runtime.clone(),
        }
    };
    let local_tls = args.local_tls.then(|| app.local_tls()).transpose()?;
    let tunnel = reached.tunnel(&place, local_tls.clone())?;
    let coordinates = Coordinates {
        protocol,
        endpoint: tunnel.endpoint(),
        database: login.database.clone(),
        user: login.user.clone(),
        application_name: login.application_name.clone(),
        authority: local_tls.map(|tls| tls.authority().to_owned()),
    };
    let entry = app.audit().begin(reached.access)?;
    let serving = tokio::spawn(tunnel.serve(stop.clone(), GRACE));
    Ok(Session {
        prefix,
        coordinates,
        entry,
        serving,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_name_in_capitals() {
        assert_eq!(prefix_of("payments-staging"), "PAYMENTS_STAGING");
        assert_eq!(prefix_of("payments@staging"), "PAYMENTS_STAGING");
        assert_eq!(prefix_of("2fa"), "_2FA");
        assert_eq!(prefix("SRC_"), Ok("SRC".to_owned()));
        for bad in ["", "2", "A-B", "A=B"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }
}
