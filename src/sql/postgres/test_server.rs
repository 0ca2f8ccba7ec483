//! A PostgreSQL server of the tests' own, where this machine has one.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;
use tokio::net::UnixStream;

use super::super::test_fixtures::account;
use super::super::{Connection, Login};
use crate::error::Result;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Runs until it is dropped. Everyone is trusted but `builtin`, whose password is `hunter2`.
pub(super) struct TestServer {
    /// Holds the data and the socket.
    dir: TempDir,
    user: Option<(u32, u32)>,
}

const ROLES: &str = "create role ada login; create role crowd login connection limit 0;
    create role builtin login password 'hunter2'; create table private (x int);";

impl TestServer {
    /// The server of all tests that run at the moment; the last one to end stops it. `None`, and the reason on standard
    /// output, where there is no PostgreSQL.
    pub(super) fn shared() -> Option<Arc<Self>> {
        static RUNNING: Mutex<Weak<TestServer>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap();
        let server = running.upgrade().or_else(|| Self::start().map(Arc::new))?;
        *running = Arc::downgrade(&server);
        Some(server)
    }

    fn start() -> Option<Self> {
        if !Path::new(BIN).join("initdb").exists() {
            println!("skipped: there is no {BIN}/initdb");
            return None;
        }
        let root = rustix::process::geteuid().is_root();
        let user = root.then(|| account("postgres")).flatten();
        if root && user.is_none() {
            println!("skipped: PostgreSQL does not run as root, and there is no user `postgres`");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let server = Self { dir, user };
        let data = server.data();
        let data = data.to_str().unwrap();
        server.run(
            "initdb",
            &[
                "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8",
            ],
        );
        let hba = "local all builtin scram-sha-256\nlocal all all trust\n";
        fs::write(server.data().join("pg_hba.conf"), hba).unwrap();
        let socket_dir = server.dir.path().to_str().unwrap();
        let options = format!("-k {socket_dir} -c listen_addresses= -c fsync=off");
        // Its log goes to a file: the server would hold our pipe open.
        let log = format!("{socket_dir}/log");
        server.run(
            "pg_ctl",
            &["start", "-w", "-D", data, "-o", &options, "-l", &log],
        );
        server.run(
            "psql",
            &["-h", socket_dir, "-U", "postgres", "-X", "-q", "-c", ROLES],
        );
        Some(server)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join(".s.PGSQL.5432")
    }

    pub(super) async fn open(&self, login: &Login) -> Result<Connection<UnixStream>> {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        Connection::open(stream, login).await
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(&self, program: &str, args: &[&str]) {
        let output = self.output(program, args);
        assert!(output.status.success(), "{program}: {output:?}");
    }

    fn output(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(Path::new(BIN).join(program));
        command
            .args(args)
            .current_dir("/")
            .env_clear()
            .env("LC_ALL", "C");
        if let Some((uid, gid)) = self.user {
            command.gid(gid).uid(uid);
        }
        command.output().unwrap()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let data = self.data();
        let args = ["stop", "-m", "immediate", "-D", data.to_str().unwrap()];
        let output = self.output("pg_ctl", &args);
        if !output.status.success() && !std::thread::panicking() {
            println!("{output:?}");
        }
    }
}
