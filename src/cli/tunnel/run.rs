//! The process that has the tunnels, in the foreground or in the background.

use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::background::{GO, Ready, Word};
use super::ending::{Board, Ended, Ends, serve};
use super::open::{Attempt, open};
use super::{TunnelArgs, TunnelOptions, notify, shown};
use crate::app::App;
use crate::cli::report::{Style, report as report_error};
use crate::control::serve_http;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::tunnel::room_for_connections;
use crate::ui::Ui;

pub(super) async fn run(args: TunnelArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let options = within_limits(&args, ui);
    let log = args.in_background.as_deref();
    let all = CancellationToken::new();
    // Owned here, and gone with this command.
    let mut watching = JoinSet::new();
    watching.spawn(cancel_on_signal(app, all.clone()));
    if log.is_some() {
        #[cfg(unix)]
        // The terminal's end is not the tunnels'. It fails only for a group's leader, which has no terminal then.
        let _ = rustix::process::setsid();
        watching.spawn(cancel_without_parent(all.clone()));
    }
    let board = Board::default();
    if let Some(address) = args.http {
        let listener = TcpListener::bind(address)
            .await
            .or_fail(ErrorKind::CannotCreate, || {
                format!("cannot listen on `{address}`")
            })?;
        let address = listener
            .local_addr()
            .or_fail(ErrorKind::Internal, || "cannot tell the port")?;
        ui.status(&format!(
            "http://{address}/health, http://{address}/metrics"
        ));
        let board = board.clone();
        watching.spawn(serve_http(listener, move || board.reports()));
    }

    let mut serving = JoinSet::new();
    let mut failed: Option<u8> = None;
    for spec in &args.names {
        let opening = open(spec, &options, log, app, ui);
        let attempt = tokio::select! {
            biased;
            () = all.cancelled() => Err(app.shutdown().error()),
            attempt = opening => attempt,
        };
        match attempt {
            Ok(Attempt::Opened(opened)) => {
                let ready = Ready {
                    report: Box::new(opened.report.clone()),
                    already: false,
                    notice: opened.notice.clone(),
                };
                let ends = Ends {
                    all: all.clone(),
                    idle_timeout: options.idle_timeout,
                    shutdown: app.shutdown().clone(),
                };
                serving.spawn(serve(
                    *opened,
                    ends,
                    board.clone(),
                    app.audit(),
                    app.clock(),
                ));
                say_ready(ready, log, ui)?;
            }
            Ok(Attempt::AlreadyOpen(report)) => {
                let ready = Ready {
                    report,
                    already: true,
                    notice: None,
                };
                say_ready(ready, log, ui)?;
            }
            // Independent: the others go on.
            Err(error) => {
                failed.get_or_insert(error.kind().code());
                say_failed(&spec.name, &error, log, ui)?;
            }
        }
        if all.is_cancelled() {
            break;
        }
    }
    if let Some(socket) = app.environment().path("NOTIFY_SOCKET")
        && log.is_none()
        && !serving.is_empty()
    {
        notify::ready(&socket);
    }
    while let Some(ended) = serving.join_next().await {
        match ended.or_fail(ErrorKind::Internal, || "a tunnel's task failed")? {
            Ok(ended) => say_ended(&ended, ui),
            Err(error) => {
                failed.get_or_insert(report_error(&error, Style::Text, ui));
            }
        }
    }
    if let Some(code) = failed {
        return Ok(code);
    }
    // Ctrl-C is how one ends it in the foreground; the exit status says so all the same.
    Ok(if all.is_cancelled() {
        app.shutdown().error().kind().code()
    } else {
        0
    })
}

/// The options, with no more connections than the process has descriptors for: who got none could not be told why.
fn within_limits(args: &TunnelArgs, ui: &Ui) -> TunnelOptions {
    let mut options = args.options.clone();
    let room = room_for_connections(args.names.len());
    let room = u16::try_from(room).unwrap_or(u16::MAX);
    if room < options.max_connections {
        ui.warn(&format!(
            "the limit of open files (`ulimit -n`) leaves room for {room} connections at a time, not {}",
            options.max_connections
        ));
        options.max_connections = room;
    }
    options
}

fn cancel_on_signal(app: &App, all: CancellationToken) -> impl Future<Output = ()> + use<> {
    let shutdown = app.shutdown().clone();
    async move {
        shutdown.requested().await;
        all.cancel();
    }
}

/// The process that started this one says when all is well, and then leaves. If it goes before, nobody knows of the
/// tunnels, and nobody would end them.
async fn cancel_without_parent(all: CancellationToken) {
    let mut line = String::new();
    let read = BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await;
    if read.is_err() || line.trim() != GO {
        tracing::warn!("the process that started this one has gone");
        all.cancel();
    }
}

/// What is said of a tunnel that is ready.
fn say_ready(ready: Ready, log: Option<&Path>, ui: &mut Ui) -> Result<()> {
    let Some(_) = log else {
        return tell_ready(&ready, ui);
    };
    let (name, endpoint) = (&ready.report.name, shown(&ready.report.endpoint));
    tracing::info!(name, endpoint, ready.already, ready.notice, "ready");
    say_to_parent(&Word::Ready(ready), ui)
}

fn say_failed(name: &str, error: &Error, log: Option<&Path>, ui: &mut Ui) -> Result<()> {
    report_error(error, Style::Text, ui);
    match log {
        None => Ok(()),
        Some(_) => say_to_parent(&Word::failed(name, error), ui),
    }
}

fn say_to_parent(word: &Word, ui: &mut Ui) -> Result<()> {
    let text = serde_json::to_string(word).or_fail(ErrorKind::Internal, || "cannot write JSON")?;
    ui.print(&(text + "\n"))
}

/// The person learns where it is: on stdout for scripts, and with the command for a prompt on stderr.
pub(super) fn tell_ready(ready: &Ready, ui: &mut Ui) -> Result<()> {
    let report = &ready.report;
    if let Some(notice) = &ready.notice {
        ui.warn(notice);
    }
    ui.print(&format!("{} {}\n", report.name, shown(&report.endpoint)))?;
    let how = if ready.already {
        format!("open already, in process {}", report.pid)
    } else {
        "ready".to_owned()
    };
    let read_only = if report.read_only { ", read-only" } else { "" };
    let environment = report
        .environment
        .as_ref()
        .map(|environment| format!(" ({environment})"))
        .unwrap_or_default();
    ui.status(&format!(
        "{how}: {}{environment} as {}{read_only}: {}",
        report.name,
        report.user,
        crate::cli::dsn::coordinates(report).command()
    ));
    if let Some(authority) = &report.authority {
        ui.status(&format!(
            "programs that verify the server trust the certificate authority in {}",
            authority.display()
        ));
    }
    Ok(())
}

fn say_ended(ended: &Ended, ui: &Ui) {
    let summary = &ended.summary;
    let forced = match summary.forced {
        0 => String::new(),
        1 => "; cut 1 that was still open".to_owned(),
        many => format!("; cut {many} that were still open"),
    };
    let refused = match summary.refused {
        0 => String::new(),
        many => format!("; turned away {many} of other users"),
    };
    let why = ended.why.map(|why| format!(", {why}")).unwrap_or_default();
    let noun = if summary.connections == 1 {
        "connection"
    } else {
        "connections"
    };
    ui.status(&format!(
        "closed: {}{why}: {} {noun}{refused}{forced}",
        ended.report.name, summary.connections
    ));
}
