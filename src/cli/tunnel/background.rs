//! Starts the process in the background, and hears from it how its tunnels go.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::TunnelOptions;
use super::run::tell_ready;
use super::spec::Spec;
use crate::app::App;
use crate::auth::StoreChoice;
use crate::cli::access::signed_in;
use crate::cli::report::{Style, report as report_error};
use crate::control::Report;
use crate::error::{EXIT_CODES, Error, ErrorKind, Result, ResultExt as _};
use crate::private_dir;
use crate::ui::Ui;

/// A tunnel that can be used.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) report: Box<Report>,
    /// Another process has had it open.
    pub(super) already: bool,
    /// What the person should know.
    pub(super) notice: Option<String>,
}

/// What the process in the background says of a tunnel, as a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Word {
    Ready(Ready),
    Failed {
        name: String,
        kind: String,
        message: String,
        causes: Vec<String>,
        hints: Vec<String>,
    },
}

/// What it is told when all has been heard: from now on it is on its own.
pub(super) const GO: &str = "go";
/// A log that is longer is moved aside.
const LONGEST_LOG: u64 = 1 << 20;

impl Word {
    pub(super) fn failed(name: &str, error: &Error) -> Self {
        Self::Failed {
            name: name.to_owned(),
            kind: error.kind().row().name.to_owned(),
            message: error.to_string(),
            causes: error.causes(),
            hints: error.next_steps().into_iter().map(String::from).collect(),
        }
    }

    fn result(self) -> Result<Ready> {
        let (kind, message, causes, hints) = match self {
            Self::Ready(ready) => return Ok(ready),
            Self::Failed {
                kind,
                message,
                causes,
                hints,
                ..
            } => (kind, message, causes, hints),
        };
        let row = EXIT_CODES.iter().find(|row| row.name == kind);
        let kind = row.map_or(ErrorKind::Internal, |row| row.kind);
        let mut error = kind.error(message);
        // The innermost cause comes last.
        let cause = causes.into_iter().rev().fold(None, |cause, text| {
            Some(match cause {
                None => anyhow::anyhow!(text),
                Some(cause) => anyhow::Error::context(cause, text),
            })
        });
        if let Some(cause) = cause {
            error = error.because(cause);
        }
        Err(hints.into_iter().fold(error, Error::hint))
    }
}

/// `bsql tunnel --detach`: opens them all, says how each went, and leaves.
pub(super) async fn start(
    specs: &[Spec],
    options: &TunnelOptions,
    http: Option<SocketAddr>,
    app: &App,
    ui: &mut Ui,
) -> Result<u8> {
    let mut failed = None;
    for result in open_with_word(specs, options, http, app, ui).await? {
        match result {
            Ok(ready) => tell_ready(&ready, ui)?,
            Err(error) => {
                let code = report_error(&error, Style::Text, ui);
                failed.get_or_insert(code);
            }
        }
    }
    Ok(failed.unwrap_or(0))
}

/// Opens them all in the background; a result for each.
pub(super) async fn open(
    specs: &[Spec],
    options: &TunnelOptions,
    http: Option<SocketAddr>,
    app: &App,
    ui: &mut Ui,
) -> Result<Vec<Result<Report>>> {
    let results = open_with_word(specs, options, http, app, ui).await?;
    Ok(results
        .into_iter()
        .map(|result| result.map(|ready| *ready.report))
        .collect())
}

async fn open_with_word(
    specs: &[Spec],
    options: &TunnelOptions,
    http: Option<SocketAddr>,
    app: &App,
    ui: &mut Ui,
) -> Result<Vec<Result<Ready>>> {
    // Whatever asks the person something, a browser or a locked keyring, does so here, where there is a terminal.
    let profile = app.profile(ui)?;
    if app.store_choice(&profile)? == StoreChoice::Memory {
        return Err(ErrorKind::Usage
            .error("a session that is kept in memory ends with this process")
            .hint("leave out --detach, or keep it elsewhere: --store file"));
    }
    let session = app.session(&profile)?;
    signed_in(&session, app, &profile, ui).await?;

    let log = log_for(specs, &app.paths().state)?;
    let mut child = spawn(specs, options, http, profile.name.as_str(), &log, app)?;
    let stdout = child.stdout.take().expect("it is piped");
    let listening =
        app.shutdown()
            .or_interrupted(hear(BufReader::new(stdout).lines(), specs, &log));
    let heard = ui.wait("opening in the background", listening).await?;
    // Until it has heard this, it ends when we do.
    let mut stdin = child.stdin.take().expect("it is piped");
    let told = stdin.write_all(format!("{GO}\n").as_bytes()).await;
    // One that has opened nothing has left already.
    let has_opened = |result: &Result<Ready>| result.as_ref().is_ok_and(|ready| !ready.already);
    if heard.iter().any(has_opened) {
        told.or_fail(
            ErrorKind::Internal,
            || "the process in the background has ended",
        )?;
    }
    Ok(heard)
}

/// A result for each of `specs`, in the order in which they come.
async fn hear(
    mut lines: Lines<BufReader<ChildStdout>>,
    specs: &[Spec],
    log: &Path,
) -> Result<Vec<Result<Ready>>> {
    let mut heard = Vec::new();
    while heard.len() < specs.len() {
        let line = lines.next_line().await.or_fail(
            ErrorKind::Internal,
            || "cannot hear the process in the background",
        )?;
        let word = line.map(|line| serde_json::from_str::<Word>(&line));
        heard.push(match word {
            Some(Ok(word)) => word.result(),
            // It has ended, or has gone mad: its log says why.
            Some(Err(_)) | None => Err(lost(&specs[heard.len()].name, log)),
        });
    }
    Ok(heard)
}

fn lost(name: &str, log: &Path) -> Error {
    let said = fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    ErrorKind::CannotCreate
        .error(format!(
            "cannot open the tunnel of `{name}` in the background"
        ))
        .because(anyhow::anyhow!("{last}"))
        .hint(format!("its log is `{}`", log.display()))
}

/// Starts this program again, without the terminal. Nothing secret is in its arguments.
fn spawn(
    specs: &[Spec],
    options: &TunnelOptions,
    http: Option<SocketAddr>,
    profile: &str,
    log: &Path,
    app: &App,
) -> Result<Child> {
    let failed = || "cannot start a process in the background";
    let mut file = fs::OpenOptions::new();
    file.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    let stderr = file.open(log).or_fail(ErrorKind::CannotCreate, failed)?;
    let program = std::env::current_exe().or_fail(ErrorKind::Internal, failed)?;
    let mut command = Command::new(program);
    command.args(["--profile", profile, "--no-input"]);
    if let Some(store) = app.store_flag() {
        command.args(["--store", store.name()]);
    }
    command.args(["tunnel", "--in-background"]).arg(log);
    command.args(options.to_args());
    if let Some(http) = http {
        // What was public has been agreed to.
        command.args(["--http", &http.to_string(), "--http-public"]);
    }
    command.arg("--").args(specs.iter().map(Spec::to_arg));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr);
    // Not a process group of its own: the group's leader could not leave for a session of its own.
    command.spawn().or_fail(ErrorKind::CannotCreate, failed)
}

impl TunnelOptions {
    /// As the command line reads them.
    fn to_args(&self) -> Vec<String> {
        let texts = [
            ("--database", self.database.clone()),
            ("--user", self.user.clone()),
            ("--via", self.via.asked()),
            ("--reason", self.reason.clone()),
            ("--idle-timeout", self.idle_timeout.map(milliseconds)),
            ("--ttl", self.ttl.map(milliseconds)),
            ("--max-connections", Some(self.max_connections.to_string())),
        ];
        let flags = [
            ("--socket", self.socket),
            ("--read-only", self.read_only),
            ("--wait", self.wait),
            ("--local-tls", self.local_tls),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let flags = flags
            .into_iter()
            .filter(|(_, set)| *set)
            .map(|(name, _)| name.to_owned());
        texts.chain(flags).collect()
    }
}

fn milliseconds(duration: std::time::Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// The log of the process that opens `specs`: one file, named for the first of them.
fn log_for(specs: &[Spec], state: &Path) -> Result<PathBuf> {
    let dir = state.join("tunnels");
    private_dir::create(&dir).or_fail(ErrorKind::CannotCreate, || {
        format!("cannot make `{}`", dir.display())
    })?;
    let first: String = specs[0]
        .name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.@".contains(c) {
                c
            } else {
                '_'
            }
        })
        .take(100)
        .collect();
    let more = match specs.len() {
        1 => String::new(),
        many => format!("+{}", many - 1),
    };
    let log = dir.join(format!("{first}{more}.log"));
    if fs::metadata(&log).is_ok_and(|metadata| metadata.len() > LONGEST_LOG) {
        // If it cannot be moved it grows; no reason not to open a tunnel.
        let _ = fs::rename(&log, log.with_extension("log.old"));
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_pipe() {
        let error = ErrorKind::Denied
            .error("cannot reach `payments`")
            .because(anyhow::anyhow!("403").context("Google says no"))
            .hint("bsql why payments")
            .hint("or ask");
        let text = serde_json::to_string(&Word::failed("payments", &error)).unwrap();
        let word: Word = serde_json::from_str(&text).unwrap();
        let again = word.result().unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Denied);
        assert_eq!(again.to_string(), error.to_string());
        assert_eq!(again.causes(), ["Google says no", "403"]);
        assert_eq!(again.next_steps(), ["bsql why payments", "or ask"]);
    }

    #[test]
    fn options_survive_the_command_line() {
        use clap::Parser as _;

        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: TunnelOptions,
        }
        let line = [
            "bsql",
            "--socket",
            "--database=a b",
            "--user=-x",
            "--read-only",
            "--reason=why?",
            "--wait",
            "--idle-timeout=30m",
            "--ttl=8h",
            "--max-connections=7",
        ];
        let options = Line::parse_from(line).options;
        let again = std::iter::once("bsql".to_owned()).chain(options.to_args());
        let again = Line::parse_from(again).options;
        assert_eq!(format!("{again:?}"), format!("{options:?}"));
    }

    #[test]
    fn a_long_log_is_moved_aside() {
        let state = tempfile::tempdir().unwrap();
        let specs: Vec<Spec> = ["acme:r:i", "orders"]
            .map(|name| name.parse().unwrap())
            .into();
        let log = log_for(&specs, state.path()).unwrap();
        assert_eq!(log, state.path().join("tunnels/acme_r_i+1.log"));
        fs::write(&log, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert_eq!(log_for(&specs, state.path()).unwrap(), log);
        assert!(!log.exists());
        assert!(log.with_extension("log.old").exists());
    }
}
