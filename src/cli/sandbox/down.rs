//! `bsql sandbox down`.

use std::time::Duration;

use super::profile;
use super::running::Running;
use crate::app::App;
use crate::error::{ErrorKind, Result};
use crate::ui::Ui;

/// End the sandbox and remove its profile
#[derive(Debug, clap::Args)]
pub(crate) struct DownArgs {}

/// A fast shutdown of several PostgreSQL servers takes about a second.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

pub(super) async fn run(_: DownArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let state = &app.paths().state;
    let Some((running, _)) = Running::find(state).await? else {
        Running::forget(state);
        profile::remove(&app.paths().config_file)?;
        ui.status("no sandbox is running");
        return Ok(0);
    };
    running.shut_down().await?;
    // It answers no more before it has ended: the lock tells.
    let gone = async {
        while Running::lock(state)?.is_none() {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    let waiting = tokio::time::timeout(LONGEST_SHUTDOWN, gone);
    ui.wait("ending the sandbox", waiting)
        .await
        .unwrap_or_else(|_| {
            Err(ErrorKind::TryLater.error(format!(
                "the sandbox has not ended after {} s",
                LONGEST_SHUTDOWN.as_secs()
            )))
        })?;
    ui.status("the sandbox has ended");
    Ok(0)
}
