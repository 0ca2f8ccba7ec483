//! `bsql stop`: ends tunnels.

use clap_complete::engine::ArgValueCompleter;
use futures_util::future::join_all;

use super::called;
use crate::app::App;
use crate::cli::complete;
use crate::control::{Open, open_tunnels};
use crate::error::{ErrorKind, Result};
use crate::ui::Ui;

/// End tunnels, wherever they were opened
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// The databases, by the names that `bsql ps` has
    #[arg(
        required_unless_present = "all",
        conflicts_with = "all",
        value_name = "NAME",
        add = ArgValueCompleter::new(complete::tunnels)
    )]
    names: Vec<String>,
    /// All, of every profile
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: StopArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let mut missing = Vec::new();
    let mut meant: Vec<Open> = Vec::new();
    if args.all {
        meant = open_tunnels(&app.paths().runtime).await?;
        if meant.is_empty() {
            ui.status("no tunnel is open");
        }
    }
    for name in &args.names {
        let open = called(name, app).await?;
        if open.is_empty() {
            missing.push(format!("`{name}`"));
        }
        // Two of its names may have been given.
        meant.extend(
            open.into_iter()
                .filter(|open| !meant.contains(open))
                .collect::<Vec<_>>(),
        );
    }
    let stopping = join_all(meant.iter().map(Open::stop));
    let stopping = app.shutdown().or_interrupted(async { Ok(stopping.await) });
    let stopped = ui.wait("waiting for connections to end", stopping).await?;
    for (open, result) in meant.iter().zip(stopped) {
        result?;
        ui.status(&format!("closed: {}", open.report.name));
    }
    if missing.is_empty() {
        return Ok(0);
    }
    Err(ErrorKind::NotFound
        .error(format!("no tunnel of {} is open", missing.join(", ")))
        .hint("bsql ps"))
}
