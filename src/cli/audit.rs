//! `bsql audit`: what this machine's log says.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Output, OutputOne};
use crate::app::App;
use crate::audit::{Access, AuditLog, Event, Record};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::ui::{Table, Ui};

/// Look at the log of every access from this machine
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    /// List accesses, newest last
    List {
        /// At most this many, the newest
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// How to write them
        #[arg(short, long, default_value = "table")]
        output: Output,
    },
    /// Check that no line was changed or removed
    Verify {
        /// How to write the answer
        #[arg(short, long, default_value = "text")]
        output: OutputOne,
    },
}

impl AuditArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.command {
            AuditCommand::List { output, .. } => output.is_json(),
            AuditCommand::Verify { output } => output.is_json(),
        }
    }
}

pub(crate) fn run(args: AuditArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let log = app.audit();
    match args.command {
        AuditCommand::List { limit, output } => list(&log, limit, output, ui),
        AuditCommand::Verify { output } => verify(&log, output, ui),
    }
}

/// An access, put together from its records.
struct Row {
    began: Timestamp,
    access: Access,
    /// Seconds, while both ends are known.
    lasted: Option<i64>,
    result: String,
}

fn rows(records: &[Record]) -> Vec<Row> {
    let end_of = |begin: &Record| {
        records
            .iter()
            .find(|record| record.access == begin.seq && record.seq != begin.seq)
    };
    let row = |record: &Record| match &record.event {
        Event::Begin(access) => {
            let end = end_of(record);
            let result = match end.map(|end| &end.event) {
                Some(Event::End(outcome)) if outcome.refused > 0 => {
                    format!("exit {}, {} refused", outcome.exit, outcome.refused)
                }
                Some(Event::End(outcome)) => format!("exit {}", outcome.exit),
                Some(Event::Aborted) => "aborted".to_owned(),
                _ => "open".to_owned(),
            };
            let lasted = end.map(|end| end.time.duration_since(record.time).as_secs());
            Some(Row {
                began: record.time,
                access: access.clone(),
                lasted,
                result,
            })
        }
        Event::Refused { access, kind, .. } => Some(Row {
            began: record.time,
            access: access.clone(),
            lasted: None,
            result: kind.clone(),
        }),
        Event::End(_) | Event::Aborted => None,
    };
    records.iter().filter_map(row).collect()
}

fn list(log: &AuditLog, limit: usize, output: Output, ui: &mut Ui) -> Result<u8> {
    let records = log.records()?;
    if output.is_json() {
        let newest = records.len().saturating_sub(limit);
        let text =
            serde_json::to_string_pretty(&json!({ "version": 1, "records": records[newest..] }))
                .or_fail(ErrorKind::Internal, || "cannot write the records as JSON")?;
        ui.print(&(text + "\n"))?;
        return Ok(0);
    }
    let rows = rows(&records);
    let newest = &rows[rows.len().saturating_sub(limit)..];
    if output == Output::Name {
        for row in newest {
            ui.print(&format!(
                "{}\n",
                row.access.entity.as_ref().unwrap_or(&row.access.instance)
            ))?;
        }
        return Ok(0);
    }
    let mut table = Table::new(["TIME", "COMMAND", "DATABASE", "USER", "LASTED", "RESULT"]);
    for Row {
        began,
        access,
        lasted,
        result,
    } in newest
    {
        let entity = access.entity.as_deref().unwrap_or(&access.instance);
        let entity = entity.strip_prefix("resource:default/").unwrap_or(entity);
        table.row([
            began
                .to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string(),
            access.command.clone(),
            entity.to_owned(),
            access.database_user.clone(),
            lasted.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s")),
            result.clone(),
        ]);
    }
    match output {
        Output::Csv => ui.print(&table.to_csv())?,
        _ if newest.is_empty() => ui.status("no access from this machine yet"),
        _ => ui.print_table(&table)?,
    }
    ui.status(&format!(
        "the log is `{}`; `bsql audit verify` checks it",
        log.path().display()
    ));
    Ok(0)
}

fn verify(log: &AuditLog, output: OutputOne, ui: &mut Ui) -> Result<u8> {
    let (lines, breaks) = log.verify()?;
    if output.is_json() {
        let breaks: Vec<_> = breaks
            .iter()
            .map(|at| json!({ "line": at.line, "why": at.why }))
            .collect();
        ui.print(&format!(
            "{}\n",
            json!({ "version": 1, "lines": lines, "intact": breaks.is_empty(), "breaks": breaks })
        ))?;
    } else if breaks.is_empty() {
        ui.print(&format!(
            "{lines} records, none changed or missing between them\n"
        ))?;
    } else {
        for at in &breaks {
            ui.print(&format!("line {} {}\n", at.line, at.why))?;
        }
    }
    Ok(u8::from(!breaks.is_empty()))
}
