//! `bsql sandbox up`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::SignedDuration;

use super::running::Running;
use super::{EngineArg, profile};
use crate::app::App;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::private_dir;
use crate::sandbox::{Options, Sandbox, company};
use crate::ui::Ui;

/// Start the sandbox and write the profile `sandbox`
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Leave it running in the background
    #[arg(short, long)]
    detach: bool,
    /// Sign USER in without asking, for scripts [default user: ada]
    #[arg(long, value_name = "USER", num_args = 0..=1, default_missing_value = "ada", require_equals = true)]
    auto_approve: Option<String>,
    /// The PostgreSQL behind the instances
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: EngineArg,
    /// How long tokens live, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(10..=86400))]
    token_life: u32,
    /// Give Backstage a sign-in of its own, which `bsql login` then asks for as well
    #[arg(long)]
    backstage_sign_in: bool,
    /// Add so many generated databases to the catalog, to see how things go in a big company
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=200_000))]
    databases: u32,
    /// This is the background process: say on stdout when it is ready.
    #[arg(long, hide = true)]
    in_background: bool,
}

/// What the background process says on stdout when it is ready.
const READY: &str = "ready";

/// The sandbox's options for these choices.
pub(super) fn options(
    auto_approve: Option<&str>,
    engine: EngineArg,
    token_life: u32,
    backstage_sign_in: bool,
    databases: u32,
    app: &App,
) -> Result<Options> {
    let auto_approve = auto_approve
        .map(|id| {
            company::person(id).ok_or_else(|| {
                let ids: Vec<&str> = company::PEOPLE.iter().map(|person| person.id).collect();
                ErrorKind::Usage
                    .error(format!("nobody at Acme is called `{id}`"))
                    .hint(format!("use one of: {}", ids.join(", ")))
            })
        })
        .transpose()?;
    Ok(Options {
        auto_approve,
        engine: engine.choice(),
        token_life: SignedDuration::from_secs(token_life.into()),
        backstage_sign_in,
        databases: databases as usize,
        search_path: app.environment().path("PATH").map(Into::into),
    })
}

pub(super) async fn run(args: UpArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let state = &app.paths().state;
    if Running::find(state).await?.is_some() {
        ui.status("the sandbox is already running");
        say_next(ui, &app.paths().config_file);
        return Ok(0);
    }
    let dir = Running::dir(state);
    private_dir::create(&dir).or_fail(ErrorKind::CannotCreate, || {
        format!("cannot make `{}`", dir.display())
    })?;
    if args.detach {
        start_in_background(&args, &dir)?;
        ui.status("the sandbox is running in the background; `bsql sandbox down` ends it");
        say_next(ui, &app.paths().config_file);
        return Ok(0);
    }
    let Some(lock) = Running::lock(state)? else {
        return Err(ErrorKind::TryLater
            .error("another sandbox of yours is starting or ending")
            .hint("bsql sandbox status"));
    };
    let options = options(
        args.auto_approve.as_deref(),
        args.engine,
        args.token_life,
        args.backstage_sign_in,
        args.databases,
        app,
    )?;
    let starting = app.shutdown().or_interrupted(Sandbox::start(options));
    let sandbox = ui.wait("starting the sandbox", starting).await?;
    profile::write(&app.paths().config_file, &sandbox.profile())?;
    Running::save(sandbox.control(), state)?;
    if args.in_background {
        #[cfg(unix)]
        // The terminal's end is not the sandbox's. It fails only for a process group's leader, which has no terminal then.
        let _ = rustix::process::setsid();
        ui.print(&format!("{READY}\n"))?;
    } else {
        ui.status(&format!(
            "the sandbox is running on {}",
            sandbox.status().engine
        ));
        say_next(ui, &app.paths().config_file);
        ui.status("Ctrl-C ends it");
    }
    tokio::select! {
        () = app.shutdown().requested() => {}
        () = sandbox.shutdown_requested() => {}
    }
    Running::forget(state);
    sandbox.stop().await;
    profile::remove(&app.paths().config_file)?;
    drop(lock);
    Ok(0)
}

fn say_next(ui: &Ui, config_file: &Path) {
    let flag = if profile::is_default(config_file) {
        ""
    } else {
        " --profile sandbox"
    };
    ui.status(&format!(
        "next:\n  bsql login{flag}\n  bsql ls{flag}\n  bsql connect payments-staging{flag}"
    ));
}

/// Starts this program again without the terminal and waits until it is ready. What it says goes to `log`.
fn start_in_background(args: &UpArgs, dir: &Path) -> Result<()> {
    let failed = || "cannot start the sandbox in the background";
    let log = dir.join("log");
    let log_file = fs::File::create(&log).or_fail(ErrorKind::CannotCreate, failed)?;
    let program = std::env::current_exe().or_fail(ErrorKind::Internal, failed)?;
    let mut command = Command::new(program);
    command.args([
        "sandbox",
        "up",
        "--in-background",
        "--engine",
        args.engine.name(),
    ]);
    command.args(["--token-life", &args.token_life.to_string()]);
    command.args(["--databases", &args.databases.to_string()]);
    command.args(
        args.auto_approve
            .iter()
            .map(|user| format!("--auto-approve={user}")),
    );
    if args.backstage_sign_in {
        command.arg("--backstage-sign-in");
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file);
    let mut child = command.spawn().or_fail(ErrorKind::CannotCreate, failed)?;
    let stdout = child.stdout.take().expect("it is piped");
    let mut line = String::new();
    // The line comes when it is ready, or the pipe ends with the process.
    BufReader::new(stdout)
        .read_line(&mut line)
        .or_fail(ErrorKind::Internal, failed)?;
    if line.trim() == READY {
        return Ok(());
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    let said = said
        .lines()
        .map(|line| line.trim_start_matches("error: "))
        .collect::<Vec<_>>()
        .join("\n");
    let error = ErrorKind::CannotCreate
        .error(failed())
        .because(anyhow::anyhow!(said));
    Err(error
        .hint(format!("its log is `{}`", log.display()))
        .hint("bsql sandbox up"))
}
