//! `bsql dsn`: a connection string for a tunnel.

use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::tunnel::{TunnelOptions, ensure};
use crate::app::App;
use crate::control::Report;
use crate::error::Result;
use crate::launch::{Coordinates, Protocol};
use crate::ui::Ui;

/// Print a connection string of an open tunnel, else of one that is opened in the background
#[derive(Debug, clap::Args)]
pub(crate) struct DsnArgs {
    /// A name from the catalog, or project:region:instance
    #[arg(add = ArgValueCompleter::new(complete::databases))]
    name: String,
    /// For which client
    #[arg(long, default_value = "uri")]
    format: DsnFormat,
    #[command(flatten)]
    options: TunnelOptions,
}

/// Kinds of connection strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DsnFormat {
    /// postgresql://…, as most clients take it
    Uri,
    /// host=… port=…, as libpq takes it
    Kv,
    /// For Java
    Jdbc,
    /// For Python's `SQLAlchemy` with psycopg 3
    Sqlalchemy,
    /// For Go's pgx and lib/pq
    Go,
}

pub(crate) async fn run(args: DsnArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let report = ensure(&args.name, &args.options, app, ui).await?;
    let coordinates = coordinates(&report);
    let text = match args.format {
        DsnFormat::Uri => coordinates.uri(),
        DsnFormat::Kv | DsnFormat::Go => coordinates.keywords(),
        DsnFormat::Jdbc => coordinates.jdbc()?,
        DsnFormat::Sqlalchemy => coordinates.sqlalchemy(),
    };
    ui.print(&(text + "\n"))?;
    Ok(0)
}

/// Of an open tunnel. There is one engine that tunnels speak.
pub(super) fn coordinates(report: &Report) -> Coordinates {
    Coordinates {
        protocol: Protocol::Postgres,
        endpoint: report.endpoint.clone(),
        database: report.database.clone(),
        user: report.user.clone(),
        application_name: report.application_name.clone(),
    }
}
