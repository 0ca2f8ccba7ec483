//! `bsql sandbox run -- CMD`.

use std::path::Path;
use std::time::Duration;

use std::process::Command;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{EngineArg, profile, up};
use crate::app::App;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::launch;
use crate::sandbox::Sandbox;
use crate::ui::Ui;

/// Run a command in a sandbox of its own, with settings of its own, and end the sandbox with it
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Sign USER in without asking
    #[arg(long, value_name = "USER", default_value = "ada")]
    auto_approve: String,
    /// The PostgreSQL behind the instances
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: EngineArg,
    /// Give Backstage a sign-in of its own, which `bsql login` then asks for as well
    #[arg(long)]
    backstage_sign_in: bool,
    /// Add so many generated databases to the catalog
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=200_000))]
    databases: u32,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<String>,
}

pub(super) async fn run(args: RunArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let world = World::start(
        &args.auto_approve,
        args.engine,
        args.backstage_sign_in,
        args.databases,
        app,
        ui,
    )
    .await?;
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    world.settle(&mut command);
    let status = launch::run(command, app.shutdown(), GRACE).await;
    world.stop().await;
    status
}

/// How long the command may take to end when it is told to.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A sandbox with files of its own, all gone at the end.
pub(super) struct World {
    dir: TempDir,
    sandbox: Sandbox,
}

impl World {
    pub(super) async fn start(
        user: &str,
        engine: EngineArg,
        backstage_sign_in: bool,
        databases: u32,
        app: &App,
        ui: &Ui,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("bsql-").tempdir().or_fail(
            ErrorKind::CannotCreate,
            || "cannot make a temporary directory",
        )?;
        let options = up::options(Some(user), engine, 3600, backstage_sign_in, databases, app)?;
        let starting = app.shutdown().or_interrupted(Sandbox::start(options));
        let sandbox = ui.wait("starting the sandbox", starting).await?;
        profile::write(&dir.path().join("config.toml"), &sandbox.profile())?;
        Ok(Self { dir, sandbox })
    }

    /// The engine in use.
    pub(super) fn engine(&self) -> &str {
        &self.sandbox.status().engine
    }

    /// Starts an instance's database ahead of time.
    pub(super) fn warm_up(&self, connection_name: &str) -> JoinHandle<()> {
        self.sandbox.warm_up(connection_name)
    }

    /// Makes any `bsql` that `command` starts live here.
    pub(super) fn settle(&self, command: &mut Command) {
        let path = |name: &str| -> std::path::PathBuf { Path::new(self.dir.path()).join(name) };
        command
            .env("BSQL_CONFIG", path("config.toml"))
            .env("BSQL_STATE_DIR", path("state"))
            .env("BSQL_CACHE_DIR", path("cache"))
            .env("BSQL_RUNTIME_DIR", path("run"))
            .env("BSQL_PROFILE", profile::NAME);
    }

    /// Ends the sandbox and removes its files.
    pub(super) async fn stop(self) {
        self.sandbox.stop().await;
    }
}
