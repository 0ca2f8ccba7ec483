//! Servers made of the PostgreSQL that is built into bsql: PGlite, PostgreSQL compiled to WebAssembly.
//!
//! Each serves one session at a time. PGlite would let a second client wait without a word until the first leaves; here
//! it is refused at once, and says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pglite_oxide::PgliteServer;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::engine::{NoSession, Stream};
use super::furnish::furnish;
#[cfg(unix)]
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::sandbox::company::{INSTANCES, Instance};
use crate::sandbox::home::Home;

/// Of the PostgreSQL in pglite-oxide 0.5.
const VERSION: &str = "17.5";
const MAJOR_VERSION: u32 = 17;
/// The one database of a new PGlite that clients use.
const MAINTENANCE: &str = "template1";
/// A server in the middle of a statement cannot be interrupted.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// One server for each instance, as they are needed.
#[derive(Debug)]
pub(super) struct EmbeddedServers {
    #[cfg(unix)]
    dir: Home,
    #[cfg(not(unix))]
    dir: tempfile::TempDir,
    servers: [Slot; INSTANCES.len()],
}

#[derive(Debug)]
struct Slot {
    /// Whose session it is.
    turn: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    server: Option<Running>,
    furnished: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            state: Mutex::default(),
        }
    }
}

impl EmbeddedServers {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            dir: Home::new(None)?,
            #[cfg(not(unix))]
            dir: tempfile::tempdir()
                .or_fail(ErrorKind::CannotCreate, || "cannot make a directory")?,
            servers: Default::default(),
        })
    }

    #[expect(clippy::unused_self, reason = "as the other kind of server has it")]
    pub(super) fn describe(&self) -> String {
        format!("embedded PostgreSQL {VERSION} (pglite), one session at a time")
    }

    #[expect(clippy::unused_self, reason = "as the other kind of server has it")]
    pub(super) fn major_version(&self) -> u32 {
        MAJOR_VERSION
    }

    /// PGlite cannot refuse an unknown database: its start-up fails in a way that clients do not understand. Nobody but
    /// the superuser, whom the door lets nobody be, can make another one.
    #[expect(clippy::unused_self, reason = "as the other kind of server has it")]
    pub(super) fn lacks_database(&self, instance: &Instance, database: &str) -> bool {
        ![instance.database, MAINTENANCE, "postgres"].contains(&database)
    }

    /// A session, and the turn to keep until it is over.
    pub(super) async fn connect(
        &self,
        instance: &'static Instance,
    ) -> Result<(Box<dyn Stream>, OwnedSemaphorePermit), NoSession> {
        let slot = &self.servers[instance.place()];
        let turn = Arc::clone(&slot.turn)
            .try_acquire_owned()
            .map_err(|_| NoSession::Busy)?;
        let mut state = slot.state.lock().await;
        if let Some(server) = &state.server
            && let Ok(stream) = server.connect().await
        {
            return Ok((stream, turn));
        }
        // There is none yet, or an error in a session, which it takes for its own, has ended it.
        state.server = None;
        let root = self.dir.path().join(instance.place().to_string());
        let server = Running::start(root).await?;
        if !state.furnished {
            furnish(instance, MAINTENANCE, || server.connect()).await?;
            state.furnished = true;
        }
        let stream = server.connect().await?;
        state.server = Some(server);
        Ok((stream, turn))
    }

    pub(super) async fn stop(&self) {
        for slot in &self.servers {
            if let Some(server) = slot.state.lock().await.server.take() {
                server.stop().await;
            }
        }
    }
}

#[derive(Debug)]
struct Running(Option<PgliteServer>);

impl Running {
    async fn start(root: PathBuf) -> Result<Self> {
        tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&root)?;
            let server = PgliteServer::builder().path(&root);
            #[cfg(unix)]
            let server = server.unix(root.join(".s.PGSQL.5432"));
            server.start()
        })
        .await
        .expect("PGlite does not panic while it starts")
        .map(|server| Self(Some(server)))
        .or_fail(
            ErrorKind::CannotCreate,
            || "cannot start the embedded PostgreSQL",
        )
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let server = self.0.as_ref().expect("it runs until it is stopped");
        let stream = connect(server).await;
        stream.or_fail(
            ErrorKind::Unavailable,
            || "cannot reach the embedded PostgreSQL",
        )
    }

    async fn stop(mut self) {
        if let Some(server) = self.0.take() {
            // It waits for its thread.
            let stopping = tokio::task::spawn_blocking(move || server.shutdown());
            let _ = tokio::time::timeout(STOP_TIMEOUT, stopping).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.0.take() {
            // Dropping it waits for its thread, perhaps for a client of ours: that would be a deadlock here. The new
            // thread ends when the server's does.
            std::thread::spawn(move || drop(server));
        }
    }
}

#[cfg(unix)]
async fn connect(server: &PgliteServer) -> std::io::Result<Box<dyn Stream>> {
    let path = server.socket_path().expect("it was asked for a socket");
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn connect(server: &PgliteServer) -> std::io::Result<Box<dyn Stream>> {
    let address = server.tcp_addr().expect("it listens on a port");
    Ok(Box::new(tokio::net::TcpStream::connect(address).await?))
}
