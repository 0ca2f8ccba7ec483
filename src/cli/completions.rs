//! `bsql completions`: a script for the shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;
use crate::error::Result;
use crate::ui::Ui;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    shell: Shell,
}

pub(crate) fn run(args: CompletionsArgs, ui: &mut Ui) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bsql", &mut script);
    ui.print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
