//! `bsql ps`: the tunnels that are open.

use jiff::Timestamp;
use serde_json::json;

use super::shown;
use crate::app::App;
use crate::cli::Output;
use crate::control::{Report, open_tunnels};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::tunnel::Endpoint;
use crate::ui::{Table, Ui};

/// List the tunnels that are open, of every profile
#[derive(Debug, clap::Args)]
pub(crate) struct PsArgs {
    /// How to write them
    #[arg(short, long, default_value = "table")]
    pub(crate) output: Output,
}

pub(super) async fn run(args: PsArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let open = open_tunnels(&app.paths().runtime).await?;
    let reports: Vec<Report> = open.into_iter().map(|open| open.report).collect();
    match args.output {
        Output::Json => {
            let tunnels: Vec<_> = reports.iter().map(value).collect();
            let text = serde_json::to_string_pretty(&json!({ "version": 1, "tunnels": tunnels }))
                .or_fail(ErrorKind::Internal, || "cannot write JSON")?;
            ui.print(&(text + "\n"))?;
        }
        Output::Name => {
            for report in &reports {
                ui.print(&format!("{}\n", report.name))?;
            }
        }
        output => {
            let table = table(&reports, output == Output::Wide, app);
            match output {
                Output::Csv => ui.print(&table.to_csv())?,
                _ if reports.is_empty() => ui.status("no tunnel is open"),
                _ => ui.print_table(&table)?,
            }
        }
    }
    Ok(0)
}

fn table(reports: &[Report], wide: bool, app: &App) -> Table {
    let narrow = [
        "NAME", "ENDPOINT", "USER", "OPEN", "SERVED", "REFUSED", "UP", "PID",
    ];
    let more = ["PROFILE", "INSTANCE", "DATABASE", "READ-ONLY", "LOG"];
    let mut table = if wide {
        Table::new([narrow.as_slice(), more.as_slice()].concat())
    } else {
        Table::new(narrow)
    };
    for report in reports {
        let up = app.clock().now().duration_since(report.since);
        let traffic = &report.traffic;
        let mut cells = vec![
            report.name.clone(),
            shown(&report.endpoint),
            report.user.clone(),
            traffic.open.to_string(),
            traffic.connections.to_string(),
            traffic.refused.to_string(),
            age(up.as_secs()),
            report.pid.to_string(),
        ];
        if wide {
            let log = report.log.as_ref();
            cells.extend([
                report.profile.clone(),
                report.instance.clone(),
                report.database.clone(),
                if report.read_only { "yes" } else { "no" }.to_owned(),
                log.map_or_else(|| "-".to_owned(), |log| log.display().to_string()),
            ]);
        }
        table.row(cells);
    }
    table
}

/// One tunnel in a line, for `bsql show`.
pub(super) fn line(report: &Report, now: Timestamp) -> String {
    let traffic = &report.traffic;
    let read_only = if report.read_only { ", read-only" } else { "" };
    format!(
        "{} for {} as {}{read_only}, {} connected, {} served, process {}",
        shown(&report.endpoint),
        age(now.duration_since(report.since).as_secs()),
        report.user,
        traffic.open,
        traffic.connections,
        report.pid
    )
}

/// The two largest units.
fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    }
}

/// For programs: what they need to connect comes in their words.
pub(super) fn value(report: &Report) -> serde_json::Value {
    let (host, port) = match &report.endpoint {
        Endpoint::Tcp(address) => (address.ip().to_string(), Some(address.port())),
        Endpoint::Unix { dir, port } => (dir.display().to_string(), Some(*port)),
        Endpoint::SocketFile(file) => (file.display().to_string(), None),
    };
    json!({
        "name": report.name,
        "entity": report.entity,
        "profile": report.profile,
        "engine": report.engine,
        "environment": report.environment,
        "instance": report.instance,
        "host": host,
        "port": port,
        "database": report.database,
        "user": report.user,
        "read_only": report.read_only,
        "pid": report.pid,
        "since": report.since,
        "ends": report.ends,
        "log": report.log,
        "via": report.via,
        "connections": {
            "open": report.traffic.open,
            "served": report.traffic.connections,
            "refused": report.traffic.refused,
            "failed": report.traffic.failed,
        },
        "bytes_up": report.traffic.bytes_up,
        "bytes_down": report.traffic.bytes_down,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in [
            (-1, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_720, "1 h 2 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }
}
