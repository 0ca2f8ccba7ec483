//! A Unix socket in a directory that lets nobody else in. It goes away with the listener.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};

use super::Endpoint;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::private_dir;

/// Part of the socket's name only; with PostgreSQL's default, clients need no port.
const PORT: u16 = 5432;
/// What libpq looks for in the directory it is given as the host.
const SOCKET: &str = ".s.PGSQL.5432";
/// Random characters in a directory's name, for several tunnels of one process.
const RANDOM: usize = 6;

/// Listens for local programs.
#[derive(Debug)]
pub(super) struct SocketListener {
    listener: UnixListener,
    dir: Dir,
    port: u16,
}

/// The directory of a socket.
#[derive(Debug)]
enum Dir {
    /// Of this listener alone, and gone with it.
    Fresh(TempDir),
    /// The same each time. Only the socket goes, and the directory if it was made for it.
    Lasting { path: PathBuf, made: bool },
}

impl SocketListener {
    /// Binds a socket (0600) in a fresh directory (0700) below `runtime_dir`, which is made (0700) if need be.
    ///
    /// Removes what processes that were killed have left there. Must be called within the runtime.
    pub(super) fn bind(runtime_dir: &Path) -> Result<Self> {
        let prefix = format!("{}-", std::process::id());
        let runtime_dir = private_dir::for_sockets(runtime_dir)?;
        remove_stale(&runtime_dir);
        let dir = tempfile::Builder::new()
            .prefix(&prefix)
            .rand_bytes(RANDOM)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&runtime_dir)
            .or_fail(ErrorKind::CannotCreate, || {
                format!("cannot make a directory in `{}`", runtime_dir.display())
            })?;
        let listener = listen(&dir.path().join(SOCKET))?;
        Ok(Self {
            listener,
            dir: Dir::Fresh(dir),
            port: PORT,
        })
    }

    /// Binds the socket (0600) for `port` in `dir`, which is made (0700) if need be and may have nobody else write to it.
    ///
    /// Takes the place of a socket that nobody listens at any more. Must be called within the runtime.
    pub(super) fn bind_in(dir: &Path, port: u16) -> Result<Self> {
        let socket = dir.join(name(port));
        private_dir::require_short(&socket)?;
        let made = !dir.exists();
        private_dir::require(dir)?;
        let failed = || format!("cannot make the socket `{}`", socket.display());
        match BlockingStream::connect(&socket) {
            Ok(_) => {
                return Err(ErrorKind::CannotCreate
                    .error(failed())
                    .because(anyhow::anyhow!("another program listens there")));
            }
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(&socket) =>
            {
                fs::remove_file(&socket).or_fail(ErrorKind::CannotCreate, failed)?;
                tracing::debug!(socket = %socket.display(), "removed a stale socket");
            }
            // Not there, or not a socket: to bind says so.
            Err(_) => {}
        }
        Ok(Self {
            listener: listen(&socket)?,
            dir: Dir::Lasting {
                path: dir.to_owned(),
                made,
            },
            port,
        })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let dir = match &self.dir {
            Dir::Fresh(dir) => dir.path(),
            Dir::Lasting { path, .. } => path,
        };
        Endpoint::Unix {
            dir: dir.to_owned(),
            port: self.port,
        }
    }

    /// Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        if let Dir::Lasting { path, made } = &self.dir {
            // Before the listener is closed: as long as it answers, nobody else takes its place.
            let _ = fs::remove_file(path.join(name(self.port)));
            if *made {
                let _ = fs::remove_dir(path);
            }
        }
    }
}

/// Files of other kinds refuse connections as well.
fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// The file's name, as libpq makes it from the port.
fn name(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}

fn listen(socket: &Path) -> Result<UnixListener> {
    // Between bind and chmod the directory keeps others out.
    let listener = UnixListener::bind(socket)
        .and_then(|listener| {
            fs::set_permissions(socket, Permissions::from_mode(0o600)).map(|()| listener)
        })
        .or_fail(ErrorKind::CannotCreate, || {
            format!("cannot make the socket `{}`", socket.display())
        })?;
    tracing::debug!(socket = %socket.display(), "listening");
    Ok(listener)
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
    use std::os::unix::fs::MetadataExt as _;

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
    async fn a_runtime_dir_with_a_long_path_is_made_do_without() {
        let scratch = tempfile::tempdir().unwrap();
        let runtime_dir = scratch.path().join("x".repeat(90));
        let listener = SocketListener::bind(&runtime_dir).unwrap();
        let dir = dir_of(&listener);
        assert!(dir.starts_with("/tmp"), "{}", dir.display());
        UnixStream::connect(dir.join(SOCKET)).await.unwrap();
        drop(listener);
        fs::remove_dir(dir.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_lasting_place_is_taken_over_from_the_dead_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("payments");
        let first = SocketListener::bind_in(&dir, 5433).unwrap();
        let socket = dir.join(".s.PGSQL.5433");
        assert_eq!((mode(&dir), mode(&socket)), (0o700, 0o600));
        let error = SocketListener::bind_in(&dir, 5433).unwrap_err();
        assert_eq!(error.causes(), ["another program listens there"]);
        drop(first);
        assert!(!dir.exists(), "it was made for the socket");

        fs::create_dir(&dir).unwrap();
        // As a process leaves it that was killed.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        let second = SocketListener::bind_in(&dir, 5433).unwrap();
        UnixStream::connect(&socket).await.unwrap();
        drop(second);
        assert!(dir.exists() && !socket.exists());

        fs::write(&socket, "not a socket").unwrap();
        SocketListener::bind_in(&dir, 5433).unwrap_err();
        assert!(socket.exists(), "somebody else's file is left alone");
    }

    #[tokio::test]
    async fn a_given_place_may_be_too_long() {
        let dir = PathBuf::from("/tmp").join("x".repeat(100));
        let error = SocketListener::bind_in(&dir, 5432).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert!(!dir.exists());
    }
}
