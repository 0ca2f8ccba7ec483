//! `bsql open`: a program with windows, on a tunnel that keeps its port.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::tunnel::{TunnelOptions, ensure};
use crate::app::App;
use crate::control::Report;
use crate::error::{ErrorKind, Result, ResultExt as _, cannot_start};
use crate::launch::Login;
use crate::launch::gui::{self, Connection, GuiApp, Opening};
use crate::private_dir;
use crate::tunnel::Endpoint;
use crate::ui::Ui;

/// Open a database in a program with windows
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The tunnel stays open in the background: bsql ps, bsql stop. None of the programs needs a password."
)]
pub(crate) struct OpenArgs {
    /// A name from the catalog, or project:region:instance
    #[arg(add = ArgValueCompleter::new(complete::databases))]
    name: String,
    /// Which program; by default the first that is installed
    #[arg(long, value_name = "APP")]
    app: Option<AppName>,
    /// Start nothing, and print what to paste
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    options: TunnelOptions,
}

/// A program with windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AppName {
    /// DBeaver
    Dbeaver,
    /// DataGrip
    Datagrip,
    /// TablePlus
    Tableplus,
    /// pgAdmin 4
    Pgadmin,
}

impl From<AppName> for GuiApp {
    fn from(name: AppName) -> Self {
        match name {
            AppName::Dbeaver => Self::Dbeaver,
            AppName::Datagrip => Self::Datagrip,
            AppName::Tableplus => Self::Tableplus,
            AppName::Pgadmin => Self::Pgadmin,
        }
    }
}

pub(crate) async fn run(args: OpenArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let path = app.environment().path("PATH");
    let path = path.as_deref().map(Path::as_os_str);
    // Found out before a tunnel opens.
    let gui = match args.app {
        Some(name) => name.into(),
        None => GuiApp::ALL
            .into_iter()
            .find(|gui| gui.find(path).is_some())
            .ok_or_else(|| {
                let names = GuiApp::ALL.map(GuiApp::name);
                ErrorKind::ClientMissing
                    .error("cannot find a program with windows for databases")
                    .hint(format!("name one with --app: {}", names.join(", ")))
                    .hint(format!("for any other: bsql dsn {}", args.name))
            })?,
    };
    let report = ensure(&args.name, &args.options, app, ui).await?;
    let Endpoint::Tcp(address) = report.endpoint else {
        return Err(ErrorKind::Usage
            .error(format!("{gui} cannot use a Unix socket"))
            .hint(format!(
                "end the tunnel with `bsql stop {}`, and open it without --socket",
                args.name
            )));
    };
    let login = login(&report);
    let connection = Connection {
        protocol: report.engine,
        login: &login,
        address,
    };
    let opening = gui::opening(gui, &connection)?;
    let program = gui.find(path).filter(|_| !args.print);
    match (opening, program) {
        (Opening::Arguments { args, .. }, Some(program)) => {
            start(&program, args, app)?;
            ui.status(&format!("opened {} in {gui}", login.label()));
        }
        (Opening::Url(url), Some(program)) => {
            let (program, args) = gui::url_command(gui, &program, &url);
            start(&program, args, app)?;
            ui.status(&format!("opened {} in {gui}", login.label()));
        }
        (Opening::Arguments { paste, .. }, None) => {
            ui.status(&format!("for {gui}, in a shell:"));
            ui.print(&format!("{paste}\n"))?;
        }
        (Opening::Url(url), None) => {
            ui.status(&format!("for {gui}, where it imports a URL:"));
            ui.print(&format!("{url}\n"))?;
        }
        (
            Opening::Text {
                text,
                place,
                file_name: Some(file_name),
            },
            Some(_),
        ) => {
            let file = app.paths().state.join("open").join(file_name);
            write(&file, &text)?;
            ui.status(&format!("for {gui}, {place}:"));
            ui.print(&format!("{}\n", file.display()))?;
        }
        (Opening::Text { text, place, .. }, _) => {
            ui.status(&format!("for {gui}, {place}:"));
            ui.print(&text)?;
        }
    }
    Ok(0)
}

fn login(report: &Report) -> Login {
    Login {
        name: report.name.clone(),
        database: report.database.clone(),
        user: report.user.clone(),
        application_name: report.application_name.clone(),
        read_only: report.read_only,
        asks_password: false,
        environment: report.environment.clone(),
    }
}

/// Starts a program that outlives bsql, with nothing of bsql's own in its environment.
fn start(program: &Path, args: Vec<std::ffi::OsString>, app: &App) -> Result<()> {
    let variables = app.environment().variables();
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(variables.filter(|(name, _)| !name.to_string_lossy().starts_with("BSQL_")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C in this terminal is not for it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
        .spawn()
        .map(drop)
        .map_err(|error| cannot_start(&program.display().to_string(), error))
}

fn write(file: &Path, text: &str) -> Result<()> {
    let failed = || format!("cannot write `{}`", file.display());
    let dir = file.parent().unwrap_or(Path::new("."));
    private_dir::create(dir).or_fail(ErrorKind::CannotCreate, failed)?;
    std::fs::write(file, text).or_fail(ErrorKind::CannotCreate, failed)
}
