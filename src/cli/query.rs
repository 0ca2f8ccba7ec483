//! `bsql query`: rows for scripts, without a client program and without a local port.

mod many;
mod sql;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;

use super::access::{Reached, Wanted, reach_named};
use super::complete;
use super::named::NamingArgs;
use super::via::ViaArgs;
use crate::app::App;
use crate::audit::Outcome;
use crate::cloudsql::Connection as Stream;
use crate::error::Result;
use crate::sql::{Connection, Statement};
use crate::ui::{RowFormat, RowPrinter, Ui};

use sql::{Bound, Parameter};

/// Run SQL and print the rows; read-only unless --write
#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    /// A name from the catalog, project:region:instance, or an instance's DNS name
    #[arg(add = ArgValueCompleter::new(complete::databases))]
    name: String,
    /// The SQL; `-` reads it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    sql: Option<String>,
    /// Another database to ask the same, at the same time; the rows get a column `database`
    #[arg(long = "on", value_name = "NAME", add = ArgValueCompleter::new(complete::databases))]
    on: Vec<String>,
    /// With --on: how many databases to ask at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: u8,
    /// A value for `:NAME` in the SQL, or for $1, $2 and so on in the order given; NAME alone is NULL
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE", value_parser = sql::parameter)]
    parameters: Vec<Parameter>,
    /// Read the SQL from a file
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// How to write the rows
    #[arg(short, long, default_value = "table")]
    pub(super) output: Format,
    /// Allow writing
    #[arg(long)]
    write: bool,
    /// Let the server end a statement that takes longer, for example 30s or 5m
    #[arg(long, value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    naming: NamingArgs,
    /// The database, if not the one in the catalog
    #[arg(short, long)]
    database: Option<String>,
    /// The database user, if not yourself
    #[arg(short, long)]
    user: Option<String>,
    #[command(flatten)]
    via: ViaArgs,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// One array of objects
    Json,
    /// An object a line
    Jsonl,
}

impl Format {
    pub(super) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }

    fn rows(self) -> RowFormat {
        match self {
            Self::Table => RowFormat::Table,
            Self::Csv => RowFormat::Csv,
            Self::Json => RowFormat::Json,
            Self::Jsonl => RowFormat::JsonLines,
        }
    }
}

/// `500ms`, `30s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits]
        .parse()
        .map_err(|_| "expected a number and a unit, for example 30s".to_owned())?;
    let milliseconds = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("expected the unit ms, s, m or h".to_owned()),
    };
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(|| "that is too long".to_owned())
}

pub(crate) async fn run(args: QueryArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let sql = sql::read(args.sql, args.file.as_deref())?;
    let bound = |reached: &Reached| sql::bind(reached.login.dialect, &sql, &args.parameters);
    let wanted = |name| Wanted {
        name,
        database: args.database.as_deref(),
        user: args.user.as_deref(),
        read_only: !args.write,
        via: &args.via,
        reason: args.reason.as_deref(),
        command: "query",
    };
    let first = wanted(&args.name);
    let mut reached = reach_named(&first, &args.naming, app, ui).await?;
    reached.login.statement_timeout = args.timeout;
    if !args.on.is_empty() {
        // All names are known before anything runs: a wrong one is a mistake, and not one database's failure.
        let mut all = vec![(args.name.as_str(), bound(&reached)?, reached)];
        for name in &args.on {
            let next = wanted(name);
            let mut reached = reach_named(&next, &args.naming, app, ui).await?;
            reached.login.statement_timeout = args.timeout;
            all.push((name.as_str(), bound(&reached)?, reached));
        }
        let parallel = usize::from(args.parallel);
        return many::run(all, args.output, parallel, app, ui).await;
    }
    let bound = bound(&reached)?;
    let connection = reached.open(app, ui).await?;
    let statement = bound.statement();
    print_rows(connection, statement, args.output, reached, app, ui).await
}

/// Runs a statement, prints its rows as they come, and records it.
pub(super) async fn print_rows<'a>(
    mut connection: Connection<Stream>,
    statement: impl Into<Statement<'a>>,
    format: Format,
    reached: Reached,
    app: &App,
    ui: &mut Ui,
) -> Result<u8> {
    let entry = app.audit().begin(reached.access)?;
    let mut printer = RowPrinter::new(ui, format.rows());
    let running = connection.run_interruptibly(
        statement,
        &mut printer,
        app.shutdown(),
        reached.dialer.as_ref(),
    );
    let result = match running.await {
        Ok(()) => printer.finish(),
        Err(_) if printer.reader_has_gone() => Ok(()),
        Err(error) => {
            // The rows that came before it are whole lines.
            printer.leave_off()?;
            Err(error)
        }
    };
    connection.close().await;
    let exit = result
        .as_ref()
        .map_or_else(|error| error.kind().code(), |()| 0);
    entry.end(Outcome {
        exit,
        connections: 1,
        ..Outcome::default()
    })?;
    result.map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for bad in [
            "",
            "30",
            "s",
            "1d",
            "-1s",
            "99999999999999999999s",
            "99999999999999999h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
