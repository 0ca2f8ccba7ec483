//! Runs a program on this terminal, until it ends or bsql has to.

use std::io;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tokio::process::Child;

use crate::error::{ErrorKind, Result, ResultExt as _, cannot_start};
use crate::shutdown::Shutdown;

/// Runs `command` with bsql's own standard streams, and returns its exit status as a shell would: 128 and the signal's
/// number if a signal ended it.
///
/// Meanwhile Ctrl-C is the program's: the terminal sends it to both, and bsql leaves it alone. When bsql is told to end
/// otherwise, the program is told to (SIGTERM), and killed after `grace`; the error is then
/// [`Shutdown::error`]. When the returned future is dropped, the program is killed.
pub async fn run(command: Command, shutdown: &Shutdown, grace: Duration) -> Result<u8> {
    let program = command.get_program().to_string_lossy().into_owned();
    let _lent = shutdown.lend_terminal();
    let child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot_start(&program, error))?;
    tracing::debug!(program, pid = child.id(), "started");
    let status = wait_or_end(child, shutdown.requested(), grace)
        .await
        .or_fail(ErrorKind::Internal, || {
            format!("cannot wait for `{program}`")
        })?;
    tracing::debug!(program, ?status, "ended");
    status.map(exit_code).ok_or_else(|| shutdown.error())
}

/// The status of a child that ended by itself; `None` when it was told to. Either way it has been reaped.
async fn wait_or_end(
    mut child: Child,
    told_to: impl Future<Output = ()>,
    grace: Duration,
) -> io::Result<Option<ExitStatus>> {
    tokio::select! {
        biased;
        status = child.wait() => return status.map(Some),
        () = told_to => {}
    }
    if terminate(&child) && tokio::time::timeout(grace, child.wait()).await.is_ok() {
        return Ok(None);
    }
    child.kill().await?;
    Ok(None)
}

/// Asks the child to end. Not yet reaped, so the number is still its own.
#[cfg(unix)]
fn terminate(child: &Child) -> bool {
    use rustix::process::{Pid, Signal, kill_process};

    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok())
}

/// There is nothing to ask with.
#[cfg(not(unix))]
fn terminate(_: &Child) -> bool {
    false
}

pub(super) fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status.code().or(signal.map(|signal| 128 + signal));
    // Windows has wider codes; they all mean failure.
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::process::Stdio;

    use rustix::process::{Pid, test_kill_process};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn the_exit_status_is_the_programs() {
        let shutdown = Shutdown::default();
        for (script, expected) in [
            ("exit 0", 0),
            ("exit 3", 3),
            ("kill -TERM $$", 143),
            ("kill -KILL $$", 137),
        ] {
            let code = run(sh(script), &shutdown, Duration::ZERO).await.unwrap();
            assert_eq!(code, expected, "{script}");
        }
    }

    #[tokio::test]
    async fn a_program_that_cannot_start() {
        let command = Command::new("/nowhere/psql");
        let error = run(command, &Shutdown::default(), Duration::ZERO)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientMissing);
        assert_eq!(error.to_string(), "cannot start `/nowhere/psql`");
    }

    /// Starts a script and waits until it has written a line.
    async fn ready(script: &str) -> (Child, Pid) {
        let mut command = tokio::process::Command::from(sh(script));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_u8().await.unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        (child, pid)
    }

    #[tokio::test]
    async fn a_program_that_obeys_is_not_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("tidied-up");
        let script = format!(
            "trap 'echo > {}; exit 0' TERM; echo; while :; do sleep 0.01; done",
            mark.display()
        );
        let (child, pid) = ready(&script).await;
        let status = wait_or_end(child, async {}, Duration::from_secs(60)).await;
        assert!(status.unwrap().is_none());
        assert!(mark.exists());
        assert!(test_kill_process(pid).is_err(), "reaped");
    }

    #[tokio::test]
    async fn a_program_that_does_not_obey_is_killed() {
        let (child, pid) = ready("trap '' TERM; echo; exec sleep 60").await;
        let status = wait_or_end(child, async {}, Duration::from_millis(20)).await;
        assert!(status.unwrap().is_none());
        assert!(test_kill_process(pid).is_err(), "reaped");
    }
}
