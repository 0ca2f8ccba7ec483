//! `bsql config`: where settings are.

use crate::app::App;
use crate::error::Result;
use crate::ui::Ui;

/// See where settings are
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Print the path of your settings
    Path,
}

pub(crate) fn run(args: ConfigArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    match args.command {
        ConfigCommand::Path => ui.print(&format!("{}\n", app.paths().config_file.display()))?,
    }
    Ok(0)
}
