//! A Unix socket in a directory of its own. The directory lets nobody else in, and goes away with the listener.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;

use rustix::process::{Pid, geteuid, test_kill_process};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};

use super::Endpoint;
use crate::error::{ErrorKind, Result, ResultExt as _};

/// Part of the socket's name only; with PostgreSQL's default, clients need no port.
const PORT: u16 = 5432;
/// What libpq looks for in the directory it is given as the host.
const SOCKET: &str = ".s.PGSQL.5432";
/// `sun_path` on macOS and the BSDs, with the final NUL. Linux has 108; one limit for all keeps paths portable.
const LONGEST_PATH: usize = 104;
/// Random characters in a directory's name, for several tunnels of one process.
const RANDOM: usize = 6;

/// Listens for local programs.
#[derive(Debug)]
pub(super) struct SocketListener {
    listener: UnixListener,
    /// Removed, with the socket in it, when this is dropped.
    dir: TempDir,
}

impl SocketListener {
    /// Binds a socket (0600) in a fresh directory (0700) below `runtime_dir`, which is made (0700) if need be.
    ///
    /// Removes what processes that were killed have left there. Must be called within the runtime.
    pub(super) fn bind(runtime_dir: &Path) -> Result<Self> {
        let prefix = format!("{}-", std::process::id());
        require_short(runtime_dir, &prefix)?;
        require_private(runtime_dir)?;
        remove_stale(runtime_dir);
        let dir = tempfile::Builder::new()
            .prefix(&prefix)
            .rand_bytes(RANDOM)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(runtime_dir)
            .or_fail(ErrorKind::CannotCreate, || {
                format!("cannot make a directory in `{}`", runtime_dir.display())
            })?;
        let socket = dir.path().join(SOCKET);
        // Between bind and chmod the directory keeps others out.
        let listener = UnixListener::bind(&socket)
            .and_then(|listener| {
                fs::set_permissions(&socket, Permissions::from_mode(0o600)).map(|()| listener)
            })
            .or_fail(ErrorKind::CannotCreate, || {
                format!("cannot make the socket `{}`", socket.display())
            })?;
        tracing::debug!(socket = %socket.display(), "listening");
        Ok(Self { listener, dir })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::Unix {
            dir: self.dir.path().to_owned(),
            port: PORT,
        }
    }

    /// Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

fn require_short(runtime_dir: &Path, prefix: &str) -> Result<()> {
    // "/" twice and the NUL.
    let length =
        runtime_dir.as_os_str().as_bytes().len() + prefix.len() + RANDOM + SOCKET.len() + 3;
    if length <= LONGEST_PATH {
        return Ok(());
    }
    let longest_dir = LONGEST_PATH - (length - runtime_dir.as_os_str().len());
    Err(ErrorKind::CannotCreate
        .error(format!(
            "cannot make a socket in `{}`: the path is too long",
            runtime_dir.display()
        ))
        .because(anyhow::anyhow!(
            "socket paths are limited to {LONGEST_PATH} bytes; this one would have {length}"
        ))
        .hint(format!(
            "set XDG_RUNTIME_DIR to a directory that leaves at most {longest_dir} bytes for `{}`",
            runtime_dir.display()
        )))
}

/// Whoever can rename entries of this directory can put a socket of their own in the place of ours.
fn require_private(runtime_dir: &Path) -> Result<()> {
    let message = || format!("cannot use `{}` for sockets", runtime_dir.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(runtime_dir)
        .or_fail(ErrorKind::CannotCreate, message)?;
    let metadata = fs::metadata(runtime_dir).or_fail(ErrorKind::CannotCreate, message)?;
    let (owner, us) = (metadata.uid(), geteuid().as_raw());
    let problem = if owner != us {
        format!("it belongs to user {owner}, not to {us}")
    } else if metadata.mode() & 0o022 != 0 {
        format!(
            "others may write to it (mode {:04o})",
            metadata.mode() & 0o7777
        )
    } else {
        return Ok(());
    };
    Err(ErrorKind::CannotCreate
        .error(message())
        .because(anyhow::anyhow!(problem))
        .hint(format!("chmod 0700 '{}'", runtime_dir.display()))
        .hint("or set XDG_RUNTIME_DIR to a directory of your own"))
}

/// Removes the directories of processes that ended without tidying up. Failing to is no reason not to go on.
fn remove_stale(runtime_dir: &Path) {
    let entries = fs::read_dir(runtime_dir).into_iter().flatten().flatten();
    for dir in entries.map(|entry| entry.path()) {
        if is_stale(&dir) {
            match fs::remove_dir_all(&dir) {
                Ok(()) => tracing::debug!(dir = %dir.display(), "removed a stale socket"),
                Err(error) => tracing::debug!(dir = %dir.display(), %error, "kept a stale socket"),
            }
        }
    }
}

/// Whether `dir` is of our making, and its process is gone.
fn is_stale(dir: &Path) -> bool {
    let Some(pid) = pid_in_name(dir) else {
        return false;
    };
    let gone = matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    // In another PID namespace, as with containers that share the runtime directory, the number says nothing: ask.
    gone && BlockingStream::connect(dir.join(SOCKET)).is_err()
}

fn pid_in_name(dir: &Path) -> Option<Pid> {
    let (pid, random) = dir.file_name()?.to_str()?.split_once('-')?;
    let ours = random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric());
    Pid::from_raw(pid.parse().ok()?).filter(|pid| ours && pid.as_raw_nonzero().get() > 0)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn dir_of(listener: &SocketListener) -> PathBuf {
        match listener.endpoint() {
            Endpoint::Unix { dir, port: 5432 } => dir,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn private_while_it_lives_and_gone_afterwards() {
        let scratch = tempfile::tempdir().unwrap();
        let runtime_dir = scratch.path().join("run/bsql");
        let listener = SocketListener::bind(&runtime_dir).unwrap();
        let dir = dir_of(&listener);
        assert_eq!(mode(&runtime_dir), 0o700);
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join(SOCKET)), 0o600);
        let second = SocketListener::bind(&runtime_dir).unwrap();
        assert_ne!(dir_of(&second), dir, "one process, two tunnels");
        drop(listener);
        assert!(!dir.exists());
        assert!(dir_of(&second).exists());
    }

    #[tokio::test]
    async fn leftovers_of_dead_processes_are_removed_and_nothing_else() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let runtime_dir = tempfile::tempdir().unwrap();
        let make = |name: String| {
            let dir = runtime_dir.path().join(name);
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join(SOCKET), "").unwrap();
            dir
        };
        let stale = make(format!("{dead}-abcDEF"));
        let keep = [
            make(format!("{}-abcDEF", std::process::id())),
            make(format!("{dead}-notours")),
            make("0-abcDEF".to_owned()),
            make("-1-abcDE".to_owned()),
            make("payments".to_owned()),
        ];
        // A dead number, but somebody answers: the number is from another namespace.
        let answered = runtime_dir.path().join(format!("{dead}-answer"));
        fs::create_dir(&answered).unwrap();
        let _answering = UnixListener::bind(answered.join(SOCKET)).unwrap();

        let _listener = SocketListener::bind(runtime_dir.path()).unwrap();
        assert!(!stale.exists());
        for dir in keep.iter().chain([&answered]) {
            assert!(dir.exists(), "{}", dir.display());
        }
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_told_before_anything_is_made() {
        let scratch = tempfile::tempdir().unwrap();
        let runtime_dir = scratch.path().join("x".repeat(90));
        let error = SocketListener::bind(&runtime_dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert!(
            error.to_string().ends_with("the path is too long"),
            "{error}"
        );
        assert!(error.next_steps()[0].contains("XDG_RUNTIME_DIR"));
        assert!(!runtime_dir.exists());
    }

    #[tokio::test]
    async fn the_longest_path_works() {
        let scratch = tempfile::tempdir().unwrap();
        let prefix = format!("{}-", std::process::id());
        let rest = prefix.len() + RANDOM + SOCKET.len() + 3;
        let base = scratch.path().as_os_str().len() + 1;
        let runtime_dir = scratch.path().join("x".repeat(LONGEST_PATH - rest - base));
        let listener = SocketListener::bind(&runtime_dir).unwrap();
        let socket = dir_of(&listener).join(SOCKET);
        assert_eq!(socket.as_os_str().len() + 1, LONGEST_PATH);
        UnixStream::connect(&socket).await.unwrap();
        assert!(require_short(&runtime_dir.join("x"), &prefix).is_err());
    }

    #[tokio::test]
    async fn a_directory_that_others_may_write_to_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
        let error = SocketListener::bind(scratch.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert_eq!(error.causes(), ["others may write to it (mode 0777)"]);
    }
}
