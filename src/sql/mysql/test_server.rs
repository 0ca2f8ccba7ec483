//! A MariaDB server of the tests' own, where this machine has one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;
use tokio::net::UnixStream;

use super::super::test_fixtures::account;
use super::super::{Connection, Login};
use crate::error::Result;

const INSTALL: &str = "/usr/bin/mariadb-install-db";
const SERVER: &str = "/usr/sbin/mariadbd";

/// Runs until it is dropped. `ada` needs no password, and `builtin`'s is `hunter2`.
pub(crate) struct TestServer {
    /// Holds the data and the socket.
    dir: TempDir,
    server: Child,
    /// The server's log: read no further than to where it is ready.
    _log: Box<dyn std::any::Any + Send + Sync>,
}

/// A statement a line.
const SETUP: &str = "\
create database shop character set utf8mb4;
create database vault;
create table vault.secrets (x int);
create user ada@localhost;
grant all on shop.* to ada@localhost;
create user builtin@localhost identified by 'hunter2';
grant select on shop.* to builtin@localhost;
create user crowd@localhost with max_user_connections 1;
";

impl TestServer {
    /// The server of all tests that run at the moment; the last one to end stops it. `None`, and the reason on standard
    /// output, where there is no MariaDB.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static RUNNING: Mutex<Weak<TestServer>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap();
        let server = running.upgrade().or_else(|| Self::start().map(Arc::new))?;
        *running = Arc::downgrade(&server);
        Some(server)
    }

    fn start() -> Option<Self> {
        for program in [INSTALL, SERVER] {
            if !Path::new(program).exists() {
                println!("skipped: there is no {program}");
                return None;
            }
        }
        let root = rustix::process::geteuid().is_root();
        let user = root.then(|| account("mysql")).flatten();
        if root && user.is_none() {
            println!("skipped: MariaDB does not run as root, and there is no user `mysql`");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        fs::write(path("setup.sql"), SETUP).unwrap();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let command = |program: &str| {
            let mut command = Command::new(program);
            command
                .args(["--no-defaults", &format!("--datadir={}", path("data"))])
                // What others have in a directory that is shared, a server removes when it starts.
                .arg(format!("--tmpdir={}", dir.path().display()))
                .current_dir("/")
                .env_clear()
                .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
                .stdin(Stdio::null());
            if let Some((uid, gid)) = user {
                command.gid(gid).uid(uid);
            }
            command
        };
        let installed = command(INSTALL)
            .args([
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ])
            .output()
            .unwrap();
        assert!(installed.status.success(), "{installed:?}");
        let mut server = command(SERVER)
            .args([
                format!("--socket={}", path("mysql.sock")),
                format!("--pid-file={}", path("pid")),
                format!("--init-file={}", path("setup.sql")),
            ])
            .args([
                "--skip-networking",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=32M",
                "--max-allowed-packet=64M",
                "--character-set-server=utf8mb4",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("ready for connections") {
            assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
        }
        Some(Self {
            dir,
            server,
            _log: Box::new(log),
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("mysql.sock")
    }

    pub(crate) async fn open(&self, login: &Login) -> Result<Connection<UnixStream>> {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        Connection::open(stream, login).await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // Its data goes with it.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
