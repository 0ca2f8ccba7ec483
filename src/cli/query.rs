//! `bsql query`: rows for scripts, without a client program and without a local port.

use std::io::Read as _;
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
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::sql::Connection;
use crate::ui::{RowFormat, RowPrinter, Ui};

/// Run SQL and print the rows; read-only unless --write
#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    /// A name from the catalog, project:region:instance, or an instance's DNS name
    #[arg(add = ArgValueCompleter::new(complete::databases))]
    name: String,
    /// The SQL; `-` reads it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    sql: Option<String>,
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
    let sql = read_sql(args.sql, args.file)?;
    let wanted = Wanted {
        name: &args.name,
        database: args.database.as_deref(),
        user: args.user.as_deref(),
        read_only: !args.write,
        via: &args.via,
        reason: args.reason.as_deref(),
        command: "query",
    };
    let mut reached = reach_named(&wanted, &args.naming, app, ui).await?;
    reached.login.statement_timeout = args.timeout;
    let connection = reached.open(app, ui).await?;
    print_rows(connection, &sql, args.output, reached, app, ui).await
}

fn read_sql(sql: Option<String>, file: Option<PathBuf>) -> Result<String> {
    match (sql, file) {
        (Some(sql), _) if sql == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).or_fail(
                ErrorKind::Usage,
                || "cannot read the SQL from standard input",
            )?;
            Ok(text)
        }
        (Some(sql), _) => Ok(sql),
        (None, Some(file)) => std::fs::read_to_string(&file).or_fail(ErrorKind::Usage, || {
            format!("cannot read the SQL from `{}`", file.display())
        }),
        (None, None) => unreachable!("clap requires one of them"),
    }
}

/// Runs `sql`, prints its rows as they come, and records it.
pub(super) async fn print_rows(
    mut connection: Connection<Stream>,
    sql: &str,
    format: Format,
    reached: Reached,
    app: &App,
    ui: &mut Ui,
) -> Result<u8> {
    let entry = app.audit().begin(reached.access)?;
    let mut printer = RowPrinter::new(ui, format.rows());
    let running =
        connection.run_interruptibly(sql, &mut printer, app.shutdown(), reached.dialer.as_ref());
    let result = match running.await {
        Ok(()) => printer.finish(),
        Err(_) if printer.reader_has_gone() => Ok(()),
        Err(error) => Err(error),
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
