//! Servers that end with the sandbox, even if it is killed.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::home::Home;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};

/// A server starts in 0.2 s; a busy machine with a cold disk may need a while.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at whether a server is ready.
const READY_POLL: Duration = Duration::from_millis(10);
/// Servers disconnect everybody and write what they have, without waiting for a disk.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts a server and stops it when standard input ends, that is when the sandbox does, even if it is killed: nothing
/// that runs in the sandbox itself could still do that. `$0` is the signal that makes it stop at once.
///
/// `exec 3<&0` because a shell gives its background jobs no standard input; `read` because it needs no second process.
const UNTIL_INPUT_ENDS: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ while read -r _; do :; done <&3; kill -"$0" "$server"; } 2>/dev/null &
watch=$!
wait "$server"
status=$?
kill "$watch" 2>/dev/null
exit "$status"
"#;

/// A command that runs as the account of `home`, with nothing of the person's environment: `PGOPTIONS` and its kin are
/// meant for other servers.
pub(in crate::sandbox) fn command(home: &Home, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(account) = home.account() {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Runs `program`, a command's, to its end. What it says last is the cause of the error `failed`.
pub(in crate::sandbox) async fn complete(
    command: &mut Command,
    program: &str,
    failed: &str,
) -> Result<()> {
    let output = command
        .output()
        .await
        .or_fail(ErrorKind::CannotCreate, || {
            format!("cannot run `{program}`")
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(ErrorKind::CannotCreate
        .error(failed)
        .because(anyhow::anyhow!("{}", last_line(&said))))
}

/// A running server.
#[derive(Debug)]
pub(in crate::sandbox) struct Watched {
    /// As people call it.
    name: &'static str,
    /// The shell that watches over the server. Dropping it ends its standard input, and so the server.
    child: Mutex<Child>,
}

impl Watched {
    /// Starts `server`, a program and its arguments, which writes to `log`, and waits until it `answers`.
    pub(in crate::sandbox) async fn start<F: Future<Output = bool> + Send>(
        name: &'static str,
        server: &[&OsStr],
        stop_signal: &str,
        home: &Home,
        log: &Path,
        answers: impl Fn() -> F,
    ) -> Result<Self> {
        let log_file = File::create(log).or_fail(ErrorKind::CannotCreate, || {
            format!("cannot make `{}`", log.display())
        })?;
        let child = command(home, "/bin/sh")
            .args(["-c", UNTIL_INPUT_ENDS, stop_signal])
            .args(server)
            // Ctrl-C at the terminal is for us: we stop servers when their clients are gone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .or_fail(ErrorKind::CannotCreate, || format!("cannot start {name}"))?;
        let server = Self {
            name,
            child: Mutex::new(child),
        };
        match server.until(answers).await {
            Ok(()) => Ok(server),
            Err(error) => {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                Err(error.because(anyhow::anyhow!("{}", last_line(&said))))
            }
        }
    }

    async fn until<F: Future<Output = bool> + Send>(&self, answers: impl Fn() -> F) -> Result<()> {
        let not_started =
            || -> Error { ErrorKind::CannotCreate.error(format!("{} does not start", self.name)) };
        let waiting = async {
            while !answers().await {
                let ended = self.child.lock().await.try_wait();
                if !matches!(ended, Ok(None)) {
                    return Err(not_started());
                }
                tokio::time::sleep(READY_POLL).await;
            }
            Ok(())
        };
        crate::refresh::within(START_TIMEOUT, waiting, not_started).await
    }

    /// Ends it, and returns when it has ended.
    pub(in crate::sandbox) async fn stop(&self) {
        let mut child = self.child.lock().await;
        drop(child.stdin.take());
        if tokio::time::timeout(STOP_TIMEOUT, child.wait())
            .await
            .is_ok()
        {
            return;
        }
        tracing::warn!("{} did not stop in time and is killed", self.name);
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = child.wait().await;
        }
    }
}

/// Programs say last why they gave up.
fn last_line(said: &str) -> &str {
    said.trim_end().lines().last().unwrap_or("it said nothing")
}
