//! `bsql sandbox`: the whole world on one machine, to try bsql and to test scripts.

mod demo;
mod down;
mod fault;
mod profile;
mod run;
mod running;
mod status;
mod up;

use clap::ValueEnum;

use crate::app::App;
use crate::error::Result;
use crate::sandbox::EngineChoice;
use crate::ui::Ui;

/// Try bsql without any account: a whole company on this machine
#[derive(Debug, clap::Args)]
pub(crate) struct SandboxArgs {
    #[command(subcommand)]
    command: SandboxCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SandboxCommand {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Status(status::StatusArgs),
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Fault(fault::FaultArgs),
}

/// Which PostgreSQL is behind the instances
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum EngineArg {
    /// The installed one, else the embedded one
    #[default]
    Auto,
    /// The one that is installed on this machine
    System,
    /// The one inside bsql (cargo feature `embedded-postgres`)
    Embedded,
}

impl EngineArg {
    /// As it is written on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::System => "system",
            Self::Embedded => "embedded",
        }
    }

    fn choice(self) -> EngineChoice {
        match self {
            Self::Auto => EngineChoice::Auto,
            Self::System => EngineChoice::System,
            Self::Embedded => EngineChoice::Embedded,
        }
    }
}

pub(crate) async fn run(args: SandboxArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    match args.command {
        SandboxCommand::Up(args) => up::run(args, app, ui).await,
        SandboxCommand::Down(args) => down::run(args, app, ui).await,
        SandboxCommand::Status(args) => status::run(args, app, ui).await,
        SandboxCommand::Run(args) => run::run(args, app, ui).await,
        SandboxCommand::Demo(args) => demo::run(args, app, ui).await,
        SandboxCommand::Fault(args) => fault::run(args, app, ui).await,
    }
}

impl SandboxArgs {
    pub(crate) fn is_json(&self) -> bool {
        matches!(&self.command, SandboxCommand::Status(args) if args.output.is_json())
    }
}
