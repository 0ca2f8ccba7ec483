//! `bsql connect`: from a name to a prompt.

use std::ffi::OsString;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;
use tokio_util::sync::CancellationToken;

use super::access::{Reached, Wanted, outcome, reach_named};
use super::builtin;
use super::complete;
use super::named::NamingArgs;
use super::query::{Format, print_rows};
use super::via::ViaArgs;
use crate::app::{App, Chosen};
use crate::error::Result;
use crate::launch::{self, Client, Login};
use crate::tunnel::{Place, Protocol};
use crate::ui::Ui;

/// Open a prompt on a database, as yourself
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    /// A name from the catalog, project:region:instance, or an instance's DNS name
    #[arg(add = ArgValueCompleter::new(complete::databases))]
    name: String,
    #[command(flatten)]
    naming: NamingArgs,
    /// The database, if not the one in the catalog
    #[arg(short, long)]
    database: Option<String>,
    /// The database user, if not yourself
    #[arg(short, long)]
    user: Option<String>,
    /// The program to start: psql, pgcli, usql, mysql, mariadb, mycli, sqlcmd, any other by its path, or `builtin`, bsql's
    /// own prompt
    #[arg(long, value_name = "PROGRAM")]
    client: Option<String>,
    /// Ask the server for read-only transactions
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    via: ViaArgs,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
    /// Say what would be reached and stop
    #[arg(long)]
    dry_run: bool,
    /// Run this SQL and print the rows; needs no client program
    #[arg(short = 'c', long = "command", value_name = "SQL", conflicts_with_all = ["client", "client_args"])]
    command: Option<String>,
    /// Arguments for the client program; {url}, {host}, {port}, {user}, {database} and {socket} are filled in for those
    /// that bsql does not know
    #[arg(last = true, value_name = "CLIENT ARGS")]
    client_args: Vec<OsString>,
}

/// How long the client may take to end when it is told to, and open connections after that.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: ConnectArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    // Found out before a browser opens: nobody wants to sign in for a program that is not there.
    let named = args.client.as_deref();
    let named = named.map(|program| app.named_client(program, &args.name));
    let named = named.transpose()?;
    let wanted = Wanted {
        name: &args.name,
        database: args.database.as_deref(),
        user: args.user.as_deref(),
        read_only: args.read_only,
        via: &args.via,
        reason: args.reason.as_deref(),
        command: "connect",
    };
    let mut reached = reach_named(&wanted, &args.naming, app, ui).await?;
    if args.dry_run {
        let access = &reached.access;
        ui.print(&format!(
            "instance {}\ndatabase {}\nuser     {}\n",
            access.instance, access.database, access.database_user
        ))?;
        return Ok(0);
    }
    if let Some(sql) = args.command {
        let connection = reached.open(app, ui).await?;
        return print_rows(connection, sql.as_str(), Format::Table, reached, app, ui).await;
    }
    let client = match named {
        Some(client) => client,
        None => app.usual_client(reached.protocol(), &args.name)?,
    };
    match client {
        Chosen::Program(client) => {
            reached.prove(app, ui).await?;
            start_client(client, &args.client_args, reached, app, ui).await
        }
        Chosen::Builtin { instead_of } => {
            if let Some(missing) = instead_of {
                builtin::instead_of(missing, &args.client_args, ui)?;
            }
            let builtin_args = builtin::arguments(&args.client_args)?;
            let connection = reached.open(app, ui).await?;
            builtin::run(builtin_args, connection, reached, app, ui).await
        }
    }
}

async fn start_client(
    client: Client,
    client_args: &[OsString],
    reached: Reached,
    app: &App,
    ui: &Ui,
) -> Result<u8> {
    let identified = app
        .shutdown()
        .or_interrupted(async { Ok(client.identify(app.environment().variables()).await) })
        .await?;
    if let Some(warning) = &identified.warning {
        ui.warn(warning);
    }
    let protocol = reached.protocol();
    let asks_password = reached.asks_password();
    let place = match protocol {
        Protocol::Postgres | Protocol::MySql => Place::Private {
            runtime_dir: app.paths().runtime.clone(),
        },
        // Its clients dial ports alone.
        Protocol::SqlServer => Place::Tcp(([127, 0, 0, 1], 0).into()),
    };
    let tunnel = reached.tunnel(&place, None)?;
    let endpoint = tunnel.endpoint();
    let login = Login {
        name: reached.target.name.clone(),
        database: reached.login.database,
        user: reached.login.user,
        application_name: reached.login.application_name,
        read_only: reached.login.read_only,
        asks_password,
        environment: reached.target.environment,
    };
    let command = identified.client.command(
        protocol,
        &login,
        &endpoint,
        client_args,
        app.environment().variables(),
    )?;
    let entry = app.audit().begin(reached.access)?;

    let stop = CancellationToken::new();
    let serving = tokio::spawn(tunnel.serve(stop.clone(), GRACE));
    let status = launch::run(command, app.shutdown(), GRACE).await;
    stop.cancel();
    let summary = serving.await.expect("the tunnel's task does not panic");
    let exit = status
        .as_ref()
        .map_or_else(|error| error.kind().code(), |code| *code);
    entry.end(outcome(exit, &summary))?;
    status
}
