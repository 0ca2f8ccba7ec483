//! `bsql logs`: what a tunnel in the background has said.

use std::fs;

use clap_complete::engine::ArgValueCompleter;

use super::called;
use crate::app::App;
use crate::cli::complete;
use crate::control::Remembered;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::ui::Ui;

/// Print the log of a tunnel in the background, also after its end
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The database, as `bsql ps` has it
    #[arg(add = ArgValueCompleter::new(complete::logs))]
    name: String,
    /// Only so many lines, the last
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
}

pub(super) async fn run(args: LogsArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    // One that is open goes by all of its names; of one that has ended, the catalog's is remembered.
    let open = called(&args.name, app).await?;
    let log = open.into_iter().find_map(|open| open.report.log);
    let log = log
        .map_or_else(
            || Remembered::new(&app.paths().state).log_of(&args.name),
            |log| Ok(Some(log)),
        )?
        .ok_or_else(|| {
            ErrorKind::NotFound
                .error(format!(
                    "`{}` has had no tunnel in the background",
                    args.name
                ))
                .hint("bsql ps")
        })?;
    let text = fs::read_to_string(&log).or_fail(ErrorKind::NotFound, || {
        format!("cannot read the log `{}`", log.display())
    })?;
    let lines: Vec<&str> = text.lines().collect();
    let first = args
        .lines
        .map_or(0, |most| lines.len().saturating_sub(most));
    for line in &lines[first..] {
        ui.print(&format!("{line}\n"))?;
    }
    Ok(0)
}
