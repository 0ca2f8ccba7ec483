//! The list of errands: one file is one command, with its arguments and its `run`.

mod access;
mod audit;
mod complete;
mod completions;
mod config;
mod connect;
mod dsn;
mod env;
mod exec;
mod freshness;
mod init;
mod lint;
mod login;
mod logout;
mod ls;
mod profile;
mod query;
mod report;
#[cfg(feature = "sandbox")]
mod sandbox;
mod show;
mod token;
mod tunnel;
mod whoami;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::app::App;
use crate::auth::StoreChoice;
use crate::config::Environment;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::shutdown::Shutdown;
use crate::ui::{Ui, UiOptions};

use report::Style;

/// Databases as catalog items: from a name in Backstage to a SQL prompt, signed in as yourself.
#[derive(Debug, Parser)]
#[command(
    name = "bsql",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(after_help = "Try it without any account: bsql sandbox demo")]
pub(crate) struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
struct GlobalArgs {
    /// The profile to use
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    profile: Option<String>,
    /// Where the session is kept: auto (the keyring, else a file), keyring, file or memory
    #[arg(long, global = true, value_name = "STORE")]
    store: Option<StoreChoice>,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more; twice for every request
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Never ask and never open a browser
    #[arg(long, global = true)]
    no_input: bool,
    /// Colour what is for people
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Also write the log, as JSON lines, to this file
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    Whoami(whoami::WhoamiArgs),
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    Connect(connect::ConnectArgs),
    Query(query::QueryArgs),
    Exec(exec::ExecArgs),
    Tunnel(tunnel::TunnelArgs),
    Ps(tunnel::PsArgs),
    Stop(tunnel::StopArgs),
    Logs(tunnel::LogsArgs),
    Env(env::EnvArgs),
    Dsn(dsn::DsnArgs),
    Token(token::TokenArgs),
    Audit(audit::AuditArgs),
    Lint(lint::LintArgs),
    Init(init::InitArgs),
    Profile(profile::ProfileArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::SandboxArgs),
}

impl Command {
    /// Scripts that ask for JSON get their errors as JSON too.
    fn error_style(&self) -> Style {
        let json = match self {
            Self::Whoami(args) => args.output.is_json(),
            Self::Ls(args) => args.output.is_json(),
            Self::Show(args) => args.output.is_json(),
            Self::Query(args) => args.output.is_json(),
            Self::Ps(args) => args.output.is_json(),
            Self::Audit(args) => args.is_json(),
            Self::Lint(args) => args.is_json(),
            Self::Profile(args) => args.is_json(),
            #[cfg(feature = "sandbox")]
            Self::Sandbox(args) => args.is_json(),
            _ => false,
        };
        if json { Style::Json } else { Style::Text }
    }

    async fn run(self, app: &App, ui: &mut Ui) -> Result<u8> {
        match self {
            Self::Login(args) => login::run(args, app, ui).await,
            Self::Logout(args) => logout::run(args, app, ui).await,
            Self::Whoami(args) => whoami::run(args, app, ui).await,
            Self::Ls(args) => ls::run(args, app, ui).await,
            Self::Show(args) => show::run(args, app, ui).await,
            Self::Connect(args) => connect::run(args, app, ui).await,
            Self::Query(args) => query::run(args, app, ui).await,
            Self::Exec(args) => exec::run(args, app, ui).await,
            Self::Tunnel(args) => tunnel::tunnel(args, app, ui).await,
            Self::Ps(args) => tunnel::ps(args, app, ui).await,
            Self::Stop(args) => tunnel::stop(args, app, ui).await,
            Self::Logs(args) => tunnel::logs(&args, app, ui),
            Self::Env(args) => env::run(args, app, ui).await,
            Self::Dsn(args) => dsn::run(args, app, ui).await,
            Self::Token(args) => token::run(args, app, ui).await,
            Self::Audit(args) => audit::run(args, app, ui),
            Self::Lint(args) => lint::run(args, app, ui).await,
            Self::Init(args) => init::run(args, app, ui).await,
            Self::Profile(args) => profile::run(args, app, ui).await,
            Self::Config(args) => config::run(args, app, ui),
            Self::Completions(args) => completions::run(args, ui),
            #[cfg(feature = "sandbox")]
            Self::Sandbox(args) => sandbox::run(args, app, ui).await,
        }
    }
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For people with wide terminals
    Wide,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
    /// One name a line
    Name,
}

/// How one thing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputOne {
    /// For people
    Text,
    /// For programs
    Json,
}

impl Output {
    fn is_json(self) -> bool {
        self == Self::Json
    }
}

impl OutputOne {
    fn is_json(self) -> bool {
        self == Self::Json
    }
}

/// Runs the command line. The whole program.
pub(crate) fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let environment = Environment::of_process();
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(answered) = complete::answer(&args, &environment) {
        return answered;
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is a command line that is wrong.
            let asked_for = !error.use_stderr();
            let _ = error.print();
            return if asked_for {
                ExitCode::SUCCESS
            } else {
                ErrorKind::Usage.code().into()
            };
        }
    };
    let mut ui = Ui::new(UiOptions {
        quiet: cli.global.quiet,
        no_input: cli.global.no_input,
        color: color(cli.global.color, &environment),
    });
    let Some(command) = cli.command else {
        ui.must_say(&Cli::command().render_help().to_string());
        return ErrorKind::Usage.code().into();
    };
    let style = command.error_style();
    let code = run(cli.global, command, environment, &mut ui)
        .unwrap_or_else(|error| report::report(&error, style, &ui));
    code.into()
}

fn run(global: GlobalArgs, command: Command, environment: Environment, ui: &mut Ui) -> Result<u8> {
    let background = matches!(&command, Command::Tunnel(args) if args.is_in_background());
    log(
        global.verbose,
        background,
        global.log_file.as_deref(),
        &environment,
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .or_fail(ErrorKind::Internal, || "cannot start the runtime")?;
    let result = runtime.block_on(async {
        let shutdown =
            Shutdown::on_signals().or_fail(ErrorKind::Internal, || "cannot listen for signals")?;
        let app = App::new(environment, global.profile, global.store, shutdown)?;
        command.run(&app, ui).await
    });
    // A thread that is stuck in a name look-up must not hold the prompt.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// `NO_COLOR` and `CLICOLOR_FORCE` as in no-color.org and bixense.com/clicolors.
fn color(flag: Color, environment: &Environment) -> Option<bool> {
    match flag {
        Color::Always => Some(true),
        Color::Never => Some(false),
        Color::Auto if environment.text("NO_COLOR").is_some() => Some(false),
        Color::Auto
            if environment
                .text("CLICOLOR_FORCE")
                .is_some_and(|value| value != "0") =>
        {
            Some(true)
        }
        Color::Auto => None,
    }
}

/// Logging is off by default: `-v`, `-vv` and `BSQL_LOG` turn it on, on stderr; `--log-file` keeps it. In the background
/// stderr is a log, where people look for times.
fn log(
    verbose: u8,
    background: bool,
    file: Option<&std::path::Path>,
    environment: &Environment,
) -> Result<()> {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

    let verbose = verbose.max(u8::from(background));
    let by_count = ["off", "bsql=info", "bsql=debug"][usize::from(verbose.min(2))];
    let filter = |default: &str| {
        let text = environment.text("BSQL_LOG").unwrap_or(default);
        EnvFilter::try_new(text).or_fail(ErrorKind::Config, || {
            format!("cannot read the log filter `{text}`")
        })
    };
    let to_stderr = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let to_stderr = if background {
        to_stderr.with_filter(filter(by_count)?).boxed()
    } else {
        let untimed = to_stderr.without_time();
        untimed.with_filter(filter(by_count)?).boxed()
    };
    let to_file = match file {
        None => None,
        Some(path) => {
            let file = std::fs::File::create(path).or_fail(ErrorKind::CannotCreate, || {
                format!("cannot write the log to `{}`", path.display())
            })?;
            Some(
                fmt::layer()
                    .json()
                    .with_writer(std::sync::Mutex::new(file))
                    .with_filter(filter("bsql=debug")?),
            )
        }
    };
    let subscriber = registry().with(to_stderr).with(to_file);
    // Only fails when a logger is set already, as it is when tests call `main` twice.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
