//! Runs a program as if bsql were not there: signals go through to it, and its exit status comes back.

use std::io;
use std::process::Command;

use tokio::process::Child;

use super::run::exit_code;
use crate::error::{ErrorKind, Result, ResultExt as _, cannot_start};
use crate::shutdown::Shutdown;

/// Runs `command` with bsql's own standard streams until it ends by itself, and returns its exit status as a shell would.
///
/// SIGTERM, SIGHUP and SIGINT are passed on, and what the program makes of them is its own business. Ctrl-C at a terminal
/// reaches both already and is not passed on a second time. When the returned future is dropped, the program is killed.
pub async fn run_through(command: Command, shutdown: &Shutdown) -> Result<u8> {
    let program = command.get_program().to_string_lossy().into_owned();
    let _lent = shutdown.lend_terminal();
    let mut signals =
        Signals::listen().or_fail(ErrorKind::Internal, || "cannot listen for signals")?;
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot_start(&program, error))?;
    tracing::debug!(program, pid = child.id(), "started");
    loop {
        let signal = tokio::select! {
            biased;
            status = child.wait() => {
                let status = status.or_fail(ErrorKind::Internal, || format!("cannot wait for `{program}`"))?;
                tracing::debug!(program, ?status, "ended");
                return Ok(exit_code(status));
            }
            signal = signals.next() => signal,
        };
        pass_on(signal, &child);
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
type Signal = rustix::process::Signal;

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        loop {
            let signal = tokio::select! {
                Some(()) = self.interrupt.recv() => Signal::INT,
                Some(()) = self.terminate.recv() => Signal::TERM,
                Some(()) = self.hangup.recv() => Signal::HUP,
                else => std::future::pending().await,
            };
            if signal != Signal::INT || !at_the_terminal() {
                return signal;
            }
        }
    }
}

/// Whether this is the terminal's foreground process group, all of which gets Ctrl-C.
#[cfg(unix)]
fn at_the_terminal() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    let foreground = terminal
        .ok()
        .and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok());
    foreground.is_some_and(|foreground| foreground == rustix::process::getpgrp())
}

/// Not yet reaped, so the number is still its own.
#[cfg(unix)]
fn pass_on(signal: Signal, child: &Child) {
    use rustix::process::{Pid, kill_process};

    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        tracing::debug!(?signal, "passed on");
        let _ = kill_process(pid, signal);
    }
}

/// There are none to pass on.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}

#[cfg(not(unix))]
fn pass_on((): (), _: &Child) {}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_exit_status_is_the_programs() {
        for (script, expected) in [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137)] {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            let code = run_through(command, &Shutdown::default()).await.unwrap();
            assert_eq!(code, expected, "{script}");
        }
        let error = run_through(Command::new("/nowhere/x"), &Shutdown::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientMissing);
    }
}
