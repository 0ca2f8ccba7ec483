//! One bsql at a time works on a session.
//!
//! Providers that rotate refresh tokens take a second use of one for theft and end the whole session (RFC 9700 section
//! 4.14.2), so two processes must never refresh at once. The lock is a file of its own: the file with the tokens is
//! replaced on every save, and with it a lock on it would be.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::private_file;
use crate::error::{ErrorKind, Result, ResultExt as _};

/// How often to try. Polling, because a thread that blocks in `lock` cannot be called back.
const POLL: Duration = Duration::from_millis(50);

/// Held until dropped; the operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct SessionLock {
    _file: File,
    /// Somebody else held it when it was asked for.
    pub(super) waited: bool,
}

impl SessionLock {
    /// Takes the lock `name` in `directory`, waiting up to `limit` for whoever holds it. `on_wait` is called once if so.
    ///
    /// Fails with [`ErrorKind::TryLater`] when it is not free in time. Cancel safe.
    pub(super) async fn acquire(
        directory: &Path,
        name: &str,
        limit: Duration,
        mut on_wait: impl FnMut() + Send,
    ) -> Result<Self> {
        private_file::make_directory(directory)?;
        let path = directory.join(format!("{name}.lock"));
        let cannot_lock = || format!("cannot lock `{}`", path.display());
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(&path)
            .or_fail(ErrorKind::CannotCreate, cannot_lock)?;
        let deadline = Instant::now() + limit;
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(Self {
                        _file: file,
                        waited,
                    });
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(ErrorKind::TryLater
                        .error("another bsql is signing in or refreshing the session")
                        .hint("finish the sign-in there, then run it again"));
                }
                Err(TryLockError::WouldBlock) => {
                    if !waited {
                        waited = true;
                        on_wait();
                    }
                    tokio::time::sleep(POLL).await;
                }
                // Network file systems without a lock service, mostly.
                Err(TryLockError::Error(error)) => {
                    return Err(ErrorKind::CannotCreate
                        .error(cannot_lock())
                        .because(error)
                        .hint("keep bsql's state on a local disk: set XDG_STATE_HOME"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn acquire(directory: &Path, limit: Duration) -> Result<SessionLock> {
        SessionLock::acquire(directory, "s", limit, || {}).await
    }

    #[tokio::test]
    async fn one_at_a_time_and_only_so_long() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("locks");
        let held = acquire(&directory, Duration::ZERO).await.unwrap();
        assert!(!held.waited);
        let error = acquire(&directory, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TryLater);

        let mut told = 0;
        let limit = Duration::from_secs(30);
        let (waiting, ()) = tokio::join!(
            SessionLock::acquire(&directory, "s", limit, || told += 1),
            async { drop(held) }
        );
        assert!(waiting.unwrap().waited);
        assert_eq!(told, 1);
    }
}
