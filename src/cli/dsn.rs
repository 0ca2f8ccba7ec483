//! `bsql dsn`: a connection string for a tunnel.

use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::tunnel::{TunnelOptions, ensure};
use crate::app::App;
use crate::control::Report;
use crate::error::Result;
use crate::launch::Coordinates;
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
    /// postgresql://…, mysql://… or sqlserver://…, as most clients take it
    Uri,
    /// Keywords and values: of libpq, of MySQL's options, of ODBC and ADO.NET
    Kv,
    /// For Java
    Jdbc,
    /// For Python's `SQLAlchemy` with psycopg 3, `PyMySQL` or pyodbc
    Sqlalchemy,
    /// For Go: pgx and lib/pq, go-sql-driver/mysql, go-mssqldb
    Go,
}

pub(crate) async fn run(args: DsnArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let report = ensure(&args.name, &args.options, app, ui).await?;
    let coordinates = coordinates(&report);
    let text = match args.format {
        DsnFormat::Uri => coordinates.uri(),
        DsnFormat::Kv => coordinates.keywords(),
        DsnFormat::Go => coordinates.go(),
        DsnFormat::Jdbc => coordinates.jdbc()?,
        DsnFormat::Sqlalchemy => coordinates.sqlalchemy(),
    };
    ui.print(&(text + "\n"))?;
    Ok(0)
}

/// Of an open tunnel.
pub(super) fn coordinates(report: &Report) -> Coordinates {
    Coordinates {
        protocol: report.engine,
        endpoint: report.endpoint.clone(),
        database: report.database.clone(),
        user: report.user.clone(),
        application_name: report.application_name.clone(),
        authority: report.authority.clone(),
    }
}
