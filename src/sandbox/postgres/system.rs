//! Servers made of the PostgreSQL that is installed on this machine: never the cluster that is there already, always new
//! ones in a private directory, without a network port.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, OnceCell};

use super::discover::Installation;
use super::engine::{Stream, place};
use super::furnish::{furnish, run};
use super::home::{Home, account};
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::sandbox::company::{INSTANCES, Instance};

/// A server starts in 0.2 s; a busy machine with a cold disk may need a while.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at whether a server is ready.
const READY_POLL: Duration = Duration::from_millis(10);
/// A fast shutdown disconnects everybody and writes a checkpoint, with `fsync` off at memory speed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Sockets are named after a port even when nobody listens on it.
const FIRST_PORT: usize = 5432;

/// Starts a server and stops it when standard input ends, that is when the sandbox does, even if it is killed: nothing
/// that runs in the sandbox itself could still do that. SIGINT is PostgreSQL's fast shutdown.
///
/// `exec 3<&0` because a shell gives its background jobs no standard input; `read` because it needs no second process.
const UNTIL_INPUT_ENDS: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ while read -r _; do :; done <&3; kill -INT "$server"; } 2>/dev/null &
watch=$!
wait "$server"
status=$?
kill "$watch" 2>/dev/null
exit "$status"
"#;

/// One server for each instance, as they are needed.
#[derive(Debug)]
pub(super) struct SystemServers {
    installation: Installation,
    home: Home,
    servers: [OnceCell<Server>; INSTANCES.len()],
}

#[derive(Debug)]
struct Server {
    socket: PathBuf,
    /// The shell that watches over the server. Dropping it ends its standard input, and so the server.
    child: Mutex<Child>,
}

impl SystemServers {
    pub(super) fn new(installation: Installation) -> Result<Self> {
        Ok(Self {
            installation,
            home: Home::new(account()?)?,
            servers: Default::default(),
        })
    }

    pub(super) fn describe(&self) -> String {
        let Installation { version, bin, .. } = &self.installation;
        format!("PostgreSQL {version} from {}", bin.display())
    }

    pub(super) fn major_version(&self) -> u32 {
        self.installation.major
    }

    pub(super) async fn connect(&self, instance: &'static Instance) -> Result<Box<dyn Stream>> {
        let server = self.servers[place(instance)]
            .get_or_try_init(|| self.start(instance))
            .await?;
        server.connect().await
    }

    async fn start(&self, instance: &'static Instance) -> Result<Server> {
        let place = place(instance);
        let port = FIRST_PORT + place;
        let data = self.initdb(place).await?;
        let log = self.home.path().join(format!("log-{place}"));
        let log_file = std::fs::File::create(&log).or_fail(ErrorKind::CannotCreate, || {
            format!("cannot make `{}`", log.display())
        })?;
        let mut command = self.command("/bin/sh");
        command
            .args(["-c", UNTIL_INPUT_ENDS, "sh"])
            .arg(self.installation.bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(self.home.path())
            .args(["-p", &port.to_string()])
            // Nothing here is worth a disk's time, and 100 clients of six servers are worth little memory.
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "unix_socket_permissions=0700",
            ])
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "synchronous_commit=off", "-c", "shared_buffers=16MB"])
            .args(["-c", "wal_level=minimal", "-c", "max_wal_senders=0"])
            // Ctrl-C at the terminal is for us: we stop servers when their clients are gone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(log_file);
        let child = command
            .spawn()
            .or_fail(ErrorKind::CannotCreate, || "cannot start PostgreSQL")?;
        let server = Server {
            socket: self.home.path().join(format!(".s.PGSQL.{port}")),
            child: Mutex::new(child),
        };
        if let Err(error) = server.ready().await {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(error.because(anyhow::anyhow!("{}", last_line(&said))));
        }
        furnish(instance, "postgres", || server.connect()).await?;
        tracing::info!(
            project = instance.project,
            name = instance.name,
            "started PostgreSQL"
        );
        Ok(server)
    }

    /// Makes a cluster. A copy of another one would be no faster: the time goes into a thousand small files.
    async fn initdb(&self, place: usize) -> Result<PathBuf> {
        let data = self.home.path().join(format!("data-{place}"));
        // Left behind by a start that failed.
        let _ = std::fs::remove_dir_all(&data);
        let output = self
            .command(self.installation.bin.join("initdb"))
            .args(["--no-sync", "--auth=trust", "-U", "postgres"])
            .args(["--locale=C", "--encoding=UTF8", "--wal-segsize=1", "-D"])
            .arg(&data)
            .output()
            .await
            .or_fail(ErrorKind::CannotCreate, || "cannot run `initdb`")?;
        if output.status.success() {
            return Ok(data);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(ErrorKind::CannotCreate
            .error("cannot make a PostgreSQL cluster for the sandbox")
            .because(anyhow::anyhow!("{}", last_line(&said))))
    }

    /// A command that runs as the account, with nothing of the person's environment: `PGOPTIONS` and its kin are meant
    /// for other servers.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(account) = self.home.account() {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    pub(super) async fn stop(&self) {
        let servers = self.servers.iter().filter_map(OnceCell::get);
        futures_util::future::join_all(servers.map(Server::stop)).await;
    }
}

impl Server {
    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .or_fail(ErrorKind::Unavailable, || "cannot reach PostgreSQL")?;
        Ok(Box::new(stream))
    }

    /// Waits until the server answers a query.
    async fn ready(&self) -> Result<()> {
        let answers = async {
            loop {
                if let Ok(stream) = self.connect().await
                    && run(stream, "postgres", "SELECT 1").await.is_ok()
                {
                    return Ok(());
                }
                let ended = self.child.lock().await.try_wait();
                if !matches!(ended, Ok(None)) {
                    return Err(not_started());
                }
                tokio::time::sleep(READY_POLL).await;
            }
        };
        crate::refresh::within(START_TIMEOUT, answers, not_started).await
    }

    async fn stop(&self) {
        let mut child = self.child.lock().await;
        drop(child.stdin.take());
        if tokio::time::timeout(STOP_TIMEOUT, child.wait())
            .await
            .is_ok()
        {
            return;
        }
        tracing::warn!("PostgreSQL did not stop in time and is killed");
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = child.wait().await;
        }
    }
}

fn not_started() -> Error {
    ErrorKind::CannotCreate.error("PostgreSQL does not start")
}

/// Programs say last why they gave up.
fn last_line(said: &str) -> &str {
    said.trim_end().lines().last().unwrap_or("it said nothing")
}
