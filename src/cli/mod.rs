//! The list of errands: one file is one command, with its arguments and its `run`.

mod access;
mod audit;
mod builtin;
mod complete;
mod completions;
mod config;
mod connect;
mod dsn;
mod engine;
mod env;
mod exec;
mod freshness;
mod init;
mod lint;
mod login;
mod logout;
mod ls;
mod named;
mod open;
mod pick;
mod profile;
mod query;
mod report;
#[cfg(feature = "sandbox")]
mod sandbox;
mod show;
mod token;
mod tunnel;
mod via;
mod whoami;
mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::Pin;
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
    Open(open::OpenArgs),
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
            Self::Login(args) => on_heap(|| login::run(args, app, ui)).await,
            Self::Logout(args) => on_heap(|| logout::run(args, app, ui)).await,
            Self::Whoami(args) => on_heap(|| whoami::run(args, app, ui)).await,
            Self::Ls(args) => on_heap(|| ls::run(args, app, ui)).await,
            Self::Show(args) => on_heap(|| show::run(args, app, ui)).await,
            Self::Connect(args) => on_heap(|| connect::run(args, app, ui)).await,
            Self::Query(args) => on_heap(|| query::run(args, app, ui)).await,
            Self::Exec(args) => on_heap(|| exec::run(args, app, ui)).await,
            Self::Tunnel(args) => on_heap(|| tunnel::tunnel(args, app, ui)).await,
            Self::Ps(args) => on_heap(|| tunnel::ps(args, app, ui)).await,
            Self::Stop(args) => on_heap(|| tunnel::stop(args, app, ui)).await,
            Self::Logs(args) => on_heap(|| tunnel::logs(args, app, ui)).await,
            Self::Env(args) => on_heap(|| env::run(args, app, ui)).await,
            Self::Dsn(args) => on_heap(|| dsn::run(args, app, ui)).await,
            Self::Open(args) => on_heap(|| open::run(args, app, ui)).await,
            Self::Token(args) => on_heap(|| token::run(args, app, ui)).await,
            Self::Audit(args) => audit::run(args, app, ui),
            Self::Lint(args) => on_heap(|| lint::run(args, app, ui)).await,
            Self::Init(args) => on_heap(|| init::run(args, app, ui)).await,
            Self::Profile(args) => on_heap(|| profile::run(args, app, ui)).await,
            Self::Config(args) => config::run(args, app, ui),
            Self::Completions(args) => completions::run(args, ui),
            #[cfg(feature = "sandbox")]
            Self::Sandbox(args) => on_heap(|| sandbox::run(args, app, ui)).await,
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
    /// For programs and people
    Yaml,
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
    /// For programs and people
    Yaml,
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
        hyperlinks: shows_links(&environment),
    });
    // Without a command and with a person: they choose a database.
    if cli.command.is_none() && !ui.can_ask() {
        ui.must_say(&Cli::command().render_help().to_string());
        return ErrorKind::Usage.code().into();
    }
    let style = cli
        .command
        .as_ref()
        .map_or(Style::Text, Command::error_style);
    let code = run(cli.global, cli.command, environment, &mut ui)
        .unwrap_or_else(|error| report::report(&error, style, &ui));
    code.into()
}

fn run(
    global: GlobalArgs,
    command: Option<Command>,
    environment: Environment,
    ui: &mut Ui,
) -> Result<u8> {
    let background = matches!(&command, Some(Command::Tunnel(args)) if args.is_in_background());
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
        match command {
            Some(command) => on_heap(|| command.run(&app, ui)).await,
            None => on_heap(|| pick_and_connect(&app, ui)).await,
        }
    });
    // A thread that is stuck in a name look-up must not hold the prompt.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Bare `bsql`: as if the name of the database that was chosen had been typed.
async fn pick_and_connect(app: &App, ui: &mut Ui) -> Result<u8> {
    let Some(name) = pick::run(app, ui).await? else {
        return Ok(0);
    };
    let cli = Cli::try_parse_from(["bsql", "connect", &name])
        .or_fail(ErrorKind::Internal, || {
            format!("cannot connect to `{name}`")
        })?;
    match cli.command {
        Some(command) => on_heap(|| command.run(app, ui)).await,
        None => unreachable!("the command line has a command"),
    }
}

/// Makes a large future on the heap, in a frame that is gone when it runs: without optimisation each place that makes one
/// takes room on the stack for as long as its function runs, and commands are made of many.
#[inline(never)]
fn on_heap<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(make())
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
        Color::Auto if environment.text("TERM") == Some("dumb") => Some(false),
        Color::Auto => None,
    }
}

/// Whether the terminal shows links. There is no way to ask one, so these are those that are known to, by what they put
/// into the environment; `FORCE_HYPERLINK` decides otherwise, as it does in other programs.
fn shows_links(environment: &Environment) -> bool {
    let text = |name| environment.text(name).unwrap_or_default();
    if let Some(forced) = environment.text("FORCE_HYPERLINK") {
        return forced != "0";
    }
    let term = text("TERM");
    // Between the terminal and the program, these may or may not pass them on.
    if matches!(term, "dumb" | "linux") || term.starts_with("screen") || term.starts_with("tmux") {
        return false;
    }
    let programs = [
        "iTerm.app",
        "WezTerm",
        "vscode",
        "ghostty",
        "Hyper",
        "Tabby",
        "WarpTerminal",
    ];
    let terms = [
        "xterm-kitty",
        "xterm-ghostty",
        "alacritty",
        "foot",
        "foot-extra",
        "contour",
    ];
    programs.contains(&text("TERM_PROGRAM"))
        || terms.contains(&term)
        || ["WT_SESSION", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "DOMTERM"]
            .iter()
            .any(|name| environment.text(name).is_some())
        // GNOME's terminals count their version as 5004 for 0.50.4; older ones crashed on links.
        || text("VTE_VERSION").parse().is_ok_and(|version: u32| version >= 5_004)
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

    #[test]
    fn links_only_where_they_are_shown() {
        for (variables, expected) in [
            ([("TERM", "xterm-256color"), ("VTE_VERSION", "7600")], true),
            ([("TERM", "xterm-256color"), ("VTE_VERSION", "4999")], false),
            ([("TERM", "xterm-kitty"), ("X", "")], true),
            (
                [("TERM", "tmux-256color"), ("TERM_PROGRAM", "WezTerm")],
                false,
            ),
            ([("TERM", "tmux-256color"), ("FORCE_HYPERLINK", "1")], true),
            ([("TERM", "xterm-kitty"), ("FORCE_HYPERLINK", "0")], false),
            ([("TERM", "dumb"), ("VTE_VERSION", "7600")], false),
            ([("TERM", "xterm-256color"), ("X", "")], false),
        ] {
            assert_eq!(
                shows_links(&Environment::from(variables)),
                expected,
                "{variables:?}"
            );
        }
    }

    #[test]
    fn a_dumb_terminal_has_no_colours() {
        let dumb = Environment::from([("TERM", "dumb")]);
        assert_eq!(color(Color::Auto, &dumb), Some(false));
        assert_eq!(color(Color::Always, &dumb), Some(true));
    }
}
