//! One process has a database's tunnel: the lock that says so, and the socket at which it can be asked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{Ask, LOCK, LONGEST_LINE, PATIENCE, Report, SOCKET};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::hex;
use crate::private_dir;

/// What a database is known by: short, and the same each time for the same `parts`.
pub fn key(parts: &[&str]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, parts.join("\0").as_bytes());
    hex::encode(&hash.as_ref()[..6])
}

/// The right to have the tunnel of a key, until this is dropped or the process ends.
#[derive(Debug)]
pub struct Claim {
    /// Locked.
    _lock: File,
    socket: PathBuf,
}

impl Claim {
    /// Claims the tunnel of `key`; `None` when another process has it.
    pub fn make(runtime_dir: &Path, key: &str) -> Result<Option<Self>> {
        let dir = private_dir::for_sockets(runtime_dir)?;
        let lock = lock(&dir.join(format!("{key}{LOCK}")))?;
        Ok(lock.map(|lock| Self {
            _lock: lock,
            socket: dir.join(format!("{key}{SOCKET}")),
        }))
    }

    /// Opens the control socket. It is ready when this returns. Must be called within the runtime.
    pub fn open(self) -> Result<Control> {
        // With the claim in hand, one that is there is a dead process's.
        let _ = fs::remove_file(&self.socket);
        // Between bind and chmod the directory keeps others out.
        let listener = UnixListener::bind(&self.socket)
            .and_then(|listener| {
                let owner_only = fs::Permissions::from_mode(0o600);
                fs::set_permissions(&self.socket, owner_only).map(|()| listener)
            })
            .or_fail(ErrorKind::CannotCreate, || {
                format!("cannot make the socket `{}`", self.socket.display())
            })?;
        let gone = CancellationToken::new();
        Ok(Control {
            listener,
            claim: self,
            gone: gone.clone(),
            _gone_when_dropped: gone.drop_guard(),
        })
    }
}

/// `None` when somebody else has it.
pub(super) fn lock(path: &Path) -> Result<Option<File>> {
    let failed = || format!("cannot lock `{}`", path.display());
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .or_fail(ErrorKind::CannotCreate, failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).or_fail(ErrorKind::CannotCreate, failed),
    }
}

/// The control socket of an open tunnel. It goes away when this is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    claim: Claim,
    gone: CancellationToken,
    /// The last field, so the last to be dropped: whoever hears of the end may claim the tunnel at once.
    _gone_when_dropped: DropGuard,
}

impl Control {
    /// Answers with what `report` says, and cancels `stop` when asked to. Never completes. Whoever has asked for the end
    /// learns that it has come when the control socket is dropped, not before.
    pub async fn serve(
        &self,
        report: impl Fn() -> Report + Clone + Send + Sync + 'static,
        stop: CancellationToken,
    ) {
        let askers = TaskTracker::new();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_us(&stream) => {
                    let (report, stop) = (report.clone(), stop.clone());
                    let gone = self.gone.clone();
                    askers.spawn(async move {
                        if let Err(error) = answer(stream, report, &stop, &gone).await {
                            tracing::debug!(%error, "somebody asked, and left");
                        }
                    });
                }
                Ok(_) => tracing::warn!("refused another user at the control socket"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept at the control socket");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // While the claim is still ours.
        let _ = fs::remove_file(&self.claim.socket);
    }
}

fn is_us(stream: &UnixStream) -> bool {
    let us = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == us)
}

async fn answer(
    mut stream: UnixStream,
    report: impl Fn() -> Report,
    stop: &CancellationToken,
    gone: &CancellationToken,
) -> std::io::Result<()> {
    let mut line = String::new();
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read.take(LONGEST_LINE));
    timeout(PATIENCE, read.read_line(&mut line)).await??;
    match serde_json::from_str(&line)? {
        Ask::Report => {
            let mut text = serde_json::to_string(&report())?;
            text.push('\n');
            timeout(PATIENCE, write.write_all(text.as_bytes())).await??;
        }
        Ask::Stop => {
            stop.cancel();
            gone.cancelled().await;
        }
    }
    Ok(())
}
