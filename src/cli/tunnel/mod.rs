//! `bsql tunnel`: ports and sockets for every client, in the foreground or in the background.

mod background;
mod ending;
mod logs;
mod notify;
mod open;
mod ps;
mod run;
mod spec;
mod stop;

pub(crate) use logs::LogsArgs;
pub(crate) use ps::PsArgs;
pub(crate) use spec::Spec;
pub(crate) use stop::StopArgs;

use std::net::SocketAddr;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::query::duration;
use super::via::ViaArgs;
use crate::app::App;
use crate::control::{Open, Report, open_tunnels};
use crate::error::{ErrorKind, Result};
use crate::tunnel::Endpoint;
use crate::ui::Ui;

/// Open local ports or sockets to databases, for every client
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A database keeps its port. Only programs of your own user are let in. See also: bsql ps, bsql stop, bsql logs, bsql env, bsql dsn."
)]
pub(crate) struct TunnelArgs {
    /// Databases, each with where to listen if need be: a port, or an absolute path for a Unix socket
    #[arg(required = true, value_name = "NAME[=PORT|=/PATH]", add = ArgValueCompleter::new(complete::databases))]
    names: Vec<Spec>,
    /// Leave them open in the background, once they are ready
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    options: TunnelOptions,
    /// Answer /health and /metrics at this port or loopback address
    #[arg(long, value_name = "[IP:]PORT", value_parser = http_address)]
    http: Option<SocketAddr>,
    /// Let --http listen on an address that other machines can reach
    #[arg(long, requires = "http")]
    http_public: bool,
    /// This is the background process: its parent hears on stdout how it goes.
    #[arg(long, hide = true, value_name = "LOG")]
    in_background: Option<std::path::PathBuf>,
}

/// What goes for each tunnel, whoever opens it.
#[derive(Debug, Clone, Default, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line, each by itself"
)]
pub(crate) struct TunnelOptions {
    /// A Unix socket instead of a port
    #[arg(long)]
    socket: bool,
    /// The database, if not the one in the catalog
    #[arg(long)]
    database: Option<String>,
    /// The database user, if not yourself
    #[arg(short, long)]
    user: Option<String>,
    /// Ask the server for read-only transactions
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    via: ViaArgs,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
    /// Keep trying while something cannot be reached
    #[arg(long)]
    wait: bool,
    /// End when nobody has been connected for so long, for example 30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle_timeout: Option<Duration>,
    /// End after so long, for example 8h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
    /// Serve at most so many connections at a time
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Speak TLS with programs that insist on it, with a certificate of this machine's own
    #[arg(long, conflicts_with = "socket")]
    local_tls: bool,
}

/// A port on 127.0.0.1, or an address.
fn http_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(port) => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        Err(_) => text
            .parse()
            .map_err(|_| "expected a port, or an IP address and a port".to_owned()),
    }
}

impl TunnelArgs {
    /// Whether this is the process in the background.
    pub(crate) fn is_in_background(&self) -> bool {
        self.in_background.is_some()
    }
}

pub(crate) async fn tunnel(args: TunnelArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    if let Some(http) = args.http
        && !http.ip().is_loopback()
        && !args.http_public
    {
        return Err(ErrorKind::Usage
            .error(format!("other machines could reach `{http}`"))
            .because(anyhow::anyhow!(
                "what is there names your databases, and asks nobody for a password"
            ))
            .hint(format!("use --http {}", http.port()))
            .hint("or say that you mean it: --http-public"));
    }
    if args.options.socket
        && let Some(spec) = args.names.iter().find(|spec| spec.is_on_a_port())
    {
        return Err(ErrorKind::Usage
            .error(format!(
                "`{}` has a port, and `--socket` wants none",
                spec.to_arg()
            ))
            .hint("leave out one of them"));
    }
    if args.detach {
        background::start(&args.names, &args.options, args.http, app, ui).await
    } else {
        // Boxed, here and below: one future with all steps in it is too large for the main thread's stack.
        run::run(args, app, ui).await
    }
}

pub(crate) async fn ps(args: PsArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    ps::run(args, app, ui).await
}

pub(crate) async fn stop(args: StopArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    stop::run(args, app, ui).await
}

pub(crate) async fn logs(args: LogsArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    logs::run(args, app, ui).await
}

/// A tunnel that is open, as other commands show it.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct Shown {
    /// As in `bsql ps -o json`.
    value: serde_json::Value,
    /// In a line.
    #[serde(skip)]
    pub(crate) line: String,
}

/// The open tunnels of a catalog entity, of the profile in use. Asks nobody but the processes that have them.
pub(crate) async fn of_entity(entity: &str, profile: &str, app: &App) -> Result<Vec<Shown>> {
    let now = app.clock().now();
    let open = open_tunnels(&app.paths().runtime).await?;
    let reports = open
        .into_iter()
        .map(|open| open.report)
        .filter(|report| report.profile == profile && report.entity.as_deref() == Some(entity));
    let shown = reports.map(|report| Shown {
        value: ps::value(&report),
        line: ps::line(&report, now),
    });
    Ok(shown.collect())
}

/// The open tunnels that are called `name`, of the profile in use.
async fn called(name: &str, app: &App) -> Result<Vec<Open>> {
    let profile = app.profile_in_use(&app.files()?)?;
    let open = open_tunnels(&app.paths().runtime).await?;
    let is_meant =
        |open: &Open| open.report.profile == profile.as_str() && open.report.is_called(name);
    Ok(open.into_iter().filter(is_meant).collect())
}

/// The tunnel of `name` that is open, else one that is opened in the background.
pub(crate) async fn ensure(
    name: &str,
    options: &TunnelOptions,
    app: &App,
    ui: &mut Ui,
) -> Result<Report> {
    let mut open = called(name, app).await?;
    if open.len() == 1 {
        let report = open.remove(0).report;
        open::require_alike(&report, options, None)?;
        return Ok(report);
    }
    let opened = background::open(&[Spec::named(name)], options, None, app, ui).await?;
    let report = opened.into_iter().next();
    let report = report.ok_or_else(|| ErrorKind::Internal.error("nothing was opened"))??;
    ui.status(&format!(
        "opened a tunnel in the background; `bsql stop {name}` ends it"
    ));
    Ok(report)
}

/// The endpoint as people write it.
pub(super) fn shown(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix { .. } | Endpoint::SocketFile(_) => endpoint
            .socket_file()
            .unwrap_or_default()
            .display()
            .to_string(),
    }
}
