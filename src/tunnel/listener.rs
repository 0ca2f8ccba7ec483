//! A Unix socket in a directory that lets nobody else in. It goes away with the listener.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};

use super::{Endpoint, LIBPQ_PORT, MYSQL_SOCKET, Protocol};
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::private_dir;

/// Random characters in a directory's name, for several tunnels of one process.
const RANDOM: usize = 6;

/// Listens for local programs.
#[derive(Debug)]
pub(super) struct SocketListener {
    listener: UnixListener,
    socket: PathBuf,
    endpoint: Endpoint,
    dir: Dir,
}

/// The directory of a socket.
#[derive(Debug)]
enum Dir {
    /// Of this listener alone, and gone with it.
    Fresh { _removed_with_it: TempDir },
    /// The same each time. Only the socket goes, and the directory if it was `made` for it.
    Lasting { made: bool },
}

impl SocketListener {
    /// Binds a socket (0600) in a fresh directory (0700) below `runtime_dir`, which is made (0700) if need be.
    ///
    /// Removes what processes that were killed have left there. Must be called within the runtime. Fails with
    /// [`ErrorKind::Usage`] for a protocol whose clients know no sockets.
    pub(super) fn bind(runtime_dir: &Path, protocol: Protocol) -> Result<Self> {
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
        let endpoint = private_endpoint(dir.path(), protocol)?;
        let socket = file_of(&endpoint)?;
        Ok(Self {
            listener: listen(&socket)?,
            socket,
            endpoint,
            dir: Dir::Fresh {
                _removed_with_it: dir,
            },
        })
    }

    /// Binds the socket (0600) of `endpoint` in its directory, which is made (0700) if need be and may have nobody else
    /// write to it.
    ///
    /// Takes the place of a socket that nobody listens at any more. Must be called within the runtime.
    pub(super) fn bind_at(endpoint: Endpoint) -> Result<Self> {
        let socket = file_of(&endpoint)?;
        private_dir::require_short(&socket)?;
        let dir = socket.parent().unwrap_or(Path::new("/"));
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
            socket,
            endpoint,
            dir: Dir::Lasting { made },
        })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        if let Dir::Lasting { made } = self.dir {
            // Before the listener is closed: as long as it answers, nobody else takes its place.
            let _ = fs::remove_file(&self.socket);
            if let (true, Some(dir)) = (made, self.socket.parent()) {
                let _ = fs::remove_dir(dir);
            }
        }
    }
}

/// Files of other kinds refuse connections as well.
fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// The socket in `dir`, under the name that the protocol's clients look for.
fn private_endpoint(dir: &Path, protocol: Protocol) -> Result<Endpoint> {
    match protocol {
        Protocol::Postgres => Ok(Endpoint::Unix {
            dir: dir.to_owned(),
            port: LIBPQ_PORT,
        }),
        Protocol::MySql => Ok(Endpoint::SocketFile(dir.join(MYSQL_SOCKET))),
        Protocol::SqlServer => Err(no_sockets(protocol)),
    }
}

/// Nobody would dial it.
fn no_sockets(protocol: Protocol) -> Error {
    ErrorKind::Usage
        .error(format!("clients of {protocol} cannot dial a Unix socket"))
        .hint("use a port: leave out --socket")
}

fn file_of(endpoint: &Endpoint) -> Result<PathBuf> {
    endpoint
        .socket_file()
        .ok_or_else(|| ErrorKind::Internal.error("a port has no socket file"))
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
    let answers = |protocol| {
        let socket = private_endpoint(dir, protocol).and_then(|endpoint| file_of(&endpoint));
        socket.is_ok_and(|socket| BlockingStream::connect(socket).is_ok())
    };
    gone && ![Protocol::Postgres, Protocol::MySql]
        .into_iter()
        .any(answers)
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

    const SOCKET: &str = ".s.PGSQL.5432";

    fn bind(runtime_dir: &Path) -> SocketListener {
        SocketListener::bind(runtime_dir, Protocol::Postgres).unwrap()
    }

    fn bind_in(dir: &Path, port: u16) -> Result<SocketListener> {
        let dir = dir.to_owned();
        SocketListener::bind_at(Endpoint::Unix { dir, port })
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn dir_of(listener: &SocketListener) -> PathBuf {
        match listener.endpoint() {
            Endpoint::Unix {
                dir,
                port: LIBPQ_PORT,
            } => dir,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn private_while_it_lives_and_gone_afterwards() {
        let scratch = tempfile::tempdir().unwrap();
        let runtime_dir = scratch.path().join("run/bsql");
        let listener = bind(&runtime_dir);
        let dir = dir_of(&listener);
        assert_eq!(mode(&runtime_dir), 0o700);
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join(SOCKET)), 0o600);
        let second = bind(&runtime_dir);
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
        let answered_too = runtime_dir.path().join(format!("{dead}-mysql1"));
        fs::create_dir(&answered_too).unwrap();
        let _answering_too = UnixListener::bind(answered_too.join(MYSQL_SOCKET)).unwrap();

        let _listener = bind(runtime_dir.path());
        assert!(!stale.exists());
        for dir in keep.iter().chain([&answered, &answered_too]) {
            assert!(dir.exists(), "{}", dir.display());
        }
    }

    #[tokio::test]
    async fn a_runtime_dir_with_a_long_path_is_made_do_without() {
        let scratch = tempfile::tempdir().unwrap();
        let runtime_dir = scratch.path().join("x".repeat(90));
        let listener = bind(&runtime_dir);
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
        let first = bind_in(&dir, 5433).unwrap();
        let socket = dir.join(".s.PGSQL.5433");
        assert_eq!((mode(&dir), mode(&socket)), (0o700, 0o600));
        let error = bind_in(&dir, 5433).unwrap_err();
        assert_eq!(error.causes(), ["another program listens there"]);
        drop(first);
        assert!(!dir.exists(), "it was made for the socket");

        fs::create_dir(&dir).unwrap();
        // As a process leaves it that was killed.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        let second = bind_in(&dir, 5433).unwrap();
        UnixStream::connect(&socket).await.unwrap();
        drop(second);
        assert!(dir.exists() && !socket.exists());

        fs::write(&socket, "not a socket").unwrap();
        bind_in(&dir, 5433).unwrap_err();
        assert!(socket.exists(), "somebody else's file is left alone");
    }

    #[tokio::test]
    async fn each_protocol_has_its_own_name_for_a_socket() {
        let scratch = tempfile::tempdir().unwrap();
        let listener = SocketListener::bind(scratch.path(), Protocol::MySql).unwrap();
        let Endpoint::SocketFile(file) = listener.endpoint() else {
            panic!("{:?}", listener.endpoint());
        };
        assert_eq!(
            (file.file_name().unwrap(), mode(&file)),
            ("mysql.sock".as_ref(), 0o600)
        );
        UnixStream::connect(&file).await.unwrap();
        drop(listener);
        assert!(!file.parent().unwrap().exists());

        let given = Endpoint::SocketFile(scratch.path().join("payments.sock"));
        let listener = SocketListener::bind_at(given.clone()).unwrap();
        assert_eq!(listener.endpoint(), given);
        UnixStream::connect(given.socket_file().unwrap())
            .await
            .unwrap();
        drop(listener);
        assert!(!given.socket_file().unwrap().exists() && scratch.path().exists());

        let error = SocketListener::bind(scratch.path(), Protocol::SqlServer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(
            error.to_string(),
            "clients of SQL Server cannot dial a Unix socket"
        );
        assert_eq!(
            fs::read_dir(scratch.path()).unwrap().count(),
            0,
            "nothing is left"
        );
    }

    #[tokio::test]
    async fn a_given_place_may_be_too_long() {
        let dir = PathBuf::from("/tmp").join("x".repeat(100));
        let error = bind_in(&dir, 5432).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert!(!dir.exists());
    }
}
