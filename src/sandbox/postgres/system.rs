//! Servers made of the PostgreSQL that is installed on this machine: never the cluster that is there already, always new
//! ones in a private directory, without a network port.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;
use tokio::sync::OnceCell;

use super::discover::Installation;
use super::engine::Stream;
use super::furnish::{furnish, run};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::sandbox::company::{INSTANCES, Instance};
use crate::sandbox::home::{Home, account};
use crate::sandbox::watched::{Watched, command, complete};

/// Sockets are named after a port even when nobody listens on it.
const FIRST_PORT: usize = 5432;

/// Nothing here is worth a disk's time, and 100 clients of six servers are worth little memory.
const SETTINGS: [&str; 8] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "shared_buffers=16MB",
    "wal_level=minimal",
    "max_wal_senders=0",
];

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
    server: Watched,
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
        let server = self.servers[instance.place()]
            .get_or_try_init(|| self.start(instance))
            .await?;
        connect(&server.socket).await
    }

    async fn start(&self, instance: &'static Instance) -> Result<Server> {
        let place = instance.place();
        let port = FIRST_PORT + place;
        let data = self.initdb(place).await?;
        let log = self.home.path().join(format!("log-{place}"));
        let socket = self.home.path().join(format!(".s.PGSQL.{port}"));
        let postgres = self.installation.bin.join("postgres");
        let port = port.to_string();
        let mut server: Vec<&OsStr> = vec![
            postgres.as_ref(),
            "-D".as_ref(),
            data.as_ref(),
            "-k".as_ref(),
            self.home.path().as_ref(),
            "-p".as_ref(),
            port.as_ref(),
        ];
        for setting in SETTINGS {
            server.extend([OsStr::new("-c"), OsStr::new(setting)]);
        }
        let answers = || async {
            match connect(&socket).await {
                Ok(stream) => run(stream, "postgres", "SELECT 1").await.is_ok(),
                Err(_) => false,
            }
        };
        // SIGINT is its fast shutdown.
        let server =
            Watched::start("PostgreSQL", &server, "INT", &self.home, &log, answers).await?;
        let server = Server { socket, server };
        furnish(instance, "postgres", || connect(&server.socket)).await?;
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
        let mut initdb = command(&self.home, self.installation.bin.join("initdb"));
        initdb
            .args(["--no-sync", "--auth=trust", "-U", "postgres"])
            .args(["--locale=C", "--encoding=UTF8", "--wal-segsize=1", "-D"])
            .arg(&data);
        let failed = "cannot make a PostgreSQL cluster for the sandbox";
        complete(&mut initdb, "initdb", failed).await?;
        Ok(data)
    }

    pub(super) async fn stop(&self) {
        let servers = self.servers.iter().filter_map(OnceCell::get);
        futures_util::future::join_all(servers.map(|server| server.server.stop())).await;
    }
}

async fn connect(socket: &Path) -> Result<Box<dyn Stream>> {
    let stream = UnixStream::connect(socket)
        .await
        .or_fail(ErrorKind::Unavailable, || "cannot reach PostgreSQL")?;
    Ok(Box::new(stream))
}
