//! A tunnel between the real `mariadb` and a real server: what the scripted ones of the unit tests say is what these say.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bsql::error::{ErrorKind, Result, ResultExt as _};
use bsql::launch::{Client, Login};
use bsql::tunnel::{Dial, LocalTls, Place, Protocol, Startup, Summary, Tunnel};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::support::mariadb;

/// Who servers run as that root starts: a server does not want to be root.
const NOBODY: u32 = 65_534;

struct Server {
    child: Child,
    socket: PathBuf,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Server {
    /// `None` where there is none on this machine, which is said.
    fn start() -> Option<Self> {
        let daemon = mariadb::server().filter(|_| mariadb::is_installed())?;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let socket = dir.path().join("m.sock");
        let mut user = vec![];
        if is_root() {
            std::os::unix::fs::chown(dir.path(), Some(NOBODY), None).unwrap();
            user.push("--user=nobody");
        }
        let installed = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .arg("--skip-test-db")
            .arg(format!("--datadir={}", data.display()))
            // What others have in a directory that is shared, a server removes when it starts.
            .arg(format!("--tmpdir={}", dir.path().display()))
            .args(&user)
            .output()
            .unwrap();
        assert!(installed.status.success(), "{installed:?}");
        let child = Command::new(daemon)
            .args(["--no-defaults", "--skip-networking", "--skip-log-bin"])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--tmpdir={}", dir.path().display()))
            .arg(format!("--socket={}", socket.display()))
            .arg("--innodb-buffer-pool-size=8M")
            .args(&user)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            child,
            socket,
            _dir: dir,
        };
        server.prepare();
        Some(server)
    }

    /// A database, and a user that has no password: the tunnel's way in is the proof, as with IAM.
    fn prepare(&self) {
        let sql = "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT); \
            CREATE USER ada@localhost; GRANT ALL ON shop.* TO ada@localhost; \
            CREATE USER app@localhost IDENTIFIED BY 'hunter2'; GRANT ALL ON shop.* TO app@localhost;";
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let output = Command::new("mariadb")
                .args(["--no-defaults", "--user=root", "-e", sql])
                .arg(format!("--socket={}", self.socket.display()))
                .output()
                .unwrap();
            if output.status.success() {
                return;
            }
            assert!(Instant::now() < deadline, "{output:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

struct ToServer(PathBuf);

impl Dial for ToServer {
    type Conn = UnixStream;

    async fn dial(&self) -> Result<UnixStream> {
        let stream = UnixStream::connect(&self.0).await;
        stream.or_fail(ErrorKind::Unavailable, || "cannot reach `shop`")
    }
}

/// What `mariadb` says to `sql` through a tunnel at `place` that signs `user` in; and what the tunnel counted.
async fn through(
    socket: &Path,
    place: &Place,
    user: &str,
    read_only: bool,
    args: &[&str],
) -> (Output, Summary) {
    through_with(None, socket, place, user, read_only, args).await
}

async fn through_with(
    tls: Option<LocalTls>,
    socket: &Path,
    place: &Place,
    user: &str,
    read_only: bool,
    args: &[&str],
) -> (Output, Summary) {
    let startup = Startup {
        protocol: Protocol::MySql,
        user: user.to_owned(),
        application_name: "bsql:ada".to_owned(),
        read_only,
    };
    let dialer = Arc::new(ToServer(socket.to_owned()));
    let tunnel = Tunnel::bind(place, dialer, startup).unwrap().with_tls(tls);
    let login = Login {
        name: "shop-staging".to_owned(),
        database: "shop".to_owned(),
        // Not the one that is signed in.
        user: "somebody".to_owned(),
        application_name: "bsql:ada".to_owned(),
        read_only,
        asks_password: false,
        environment: None,
    };
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    let program = mariadb::client().unwrap();
    let client = Client::find(program.to_str().unwrap(), None, "shop").unwrap();
    let endpoint = tunnel.endpoint();
    let command = client.command(Protocol::MySql, &login, &endpoint, &args, []);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(tunnel.serve(stop.clone(), Duration::from_secs(10)));
    let mut command = tokio::process::Command::from(command.unwrap());
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    stop.cancel();
    (output, serving.await.unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_client_and_the_real_server() {
    let Some(server) = Server::start() else {
        return;
    };
    let runtime = tempfile::tempdir().unwrap();
    let private = Place::Private {
        runtime_dir: runtime.path().to_owned(),
    };
    let port = Place::Tcp(([127, 0, 0, 1], 0).into());
    let file = Place::SocketFile(runtime.path().join("shop.sock"));
    let who = "SELECT CURRENT_USER(), CONNECTION_ID(), DATABASE()";
    for place in [&private, &port, &file] {
        let args = ["-N", "-B", "-e", who];
        let (output, summary) = through(&server.socket, place, "ada", false, &args).await;
        assert!(output.status.success(), "{output:?}");
        let id = summary.backend_pids[0];
        assert_eq!(text(&output.stdout), format!("ada@localhost\t{id}\tshop\n"));
        assert_eq!((summary.connections, summary.failed), (1, 0));
        assert!(summary.bytes_down > 0 && summary.bytes_up > 0);
    }

    // A guard rail that the client cannot have forgotten: it never asked for it.
    let write = ["-e", "INSERT INTO orders VALUES (1)"];
    let (output, _) = through(&server.socket, &private, "ada", true, &write).await;
    let said = text(&output.stderr);
    assert!(
        said.contains("ERROR 1792 (25006)") && said.contains("READ ONLY"),
        "{said}"
    );
    let compressed = [
        "--compress",
        "-N",
        "-B",
        "-e",
        "SELECT COUNT(*) FROM orders",
    ];
    let (output, _) = through(&server.socket, &private, "ada", true, &compressed).await;
    assert_eq!(text(&output.stdout), "0\n", "{output:?}");
    let (output, _) = through(&server.socket, &private, "ada", false, &write).await;
    assert!(output.status.success(), "{output:?}");
    // Two capabilities that change how bytes look after the log-in.
    let (output, _) = through(&server.socket, &port, "ada", false, &compressed).await;
    assert_eq!(text(&output.stdout), "1\n", "{output:?}");

    // The server's own words.
    for user in ["bruno", "app"] {
        let args = ["--password=wrong", "-e", "SELECT 1"];
        let (output, summary) = through(&server.socket, &private, user, false, &args).await;
        let said = text(&output.stderr);
        let denied = format!("ERROR 1045 (28000): Access denied for user '{user}'@'localhost'");
        assert!(said.contains(&denied), "{said}");
        assert_eq!(
            (output.status.code(), summary.backend_pids.len()),
            (Some(1), 0)
        );
    }
    // A user's own password goes through where the client names that user, also when the server asks once more.
    let own = [
        "--user=app",
        "--password=hunter2",
        "-N",
        "-B",
        "-e",
        "SELECT CURRENT_USER()",
    ];
    let (output, _) = through(&server.socket, &private, "app", false, &own).await;
    assert_eq!(text(&output.stdout), "app@localhost\n", "{output:?}");

    // Over TLS to the tunnel, of which the server knows nothing: verified, with the packets of a further round counted
    // rightly, and refused in the server's words.
    let dir = tempfile::tempdir().unwrap();
    let tls = LocalTls::kept_in(dir.path(), bsql::clock::Clock::system().now()).unwrap();
    let ca = format!("--ssl-ca={}", tls.authority().display());
    let verified = ["--ssl", &ca, "--ssl-verify-server-cert", "-N", "-B"];
    for (user, read_only, args, expected) in [
        (
            "ada",
            true,
            &["-e", "SHOW STATUS LIKE 'Ssl_cipher'"][..],
            Ok("Ssl_cipher\t\n"),
        ),
        ("ada", true, &["-e", r"\s"], Ok("Cipher in use is TLS_")),
        (
            "app",
            false,
            &[&own[..2], &["-e", "SELECT CURRENT_USER()"]].concat(),
            Ok("app@localhost\n"),
        ),
        (
            "bruno",
            false,
            &["-e", "SELECT 1"],
            Err("ERROR 1045 (28000)"),
        ),
    ] {
        let args = [&verified[..], args].concat();
        let tls = Some(tls.clone());
        let (output, _) = through_with(tls, &server.socket, &port, user, read_only, &args).await;
        let (said, expected) = match expected {
            Ok(expected) => (text(&output.stdout), expected),
            Err(expected) => (text(&output.stderr), expected),
        };
        assert!(said.contains(expected), "{user}: {output:?}");
    }
    let other = tempfile::tempdir().unwrap();
    let other = LocalTls::kept_in(other.path(), bsql::clock::Clock::system().now()).unwrap();
    let args = [&verified[..], &["-e", "SELECT 1"]].concat();
    let (output, _) = through_with(Some(other), &server.socket, &port, "ada", false, &args).await;
    let said = text(&output.stderr);
    assert!(
        said.contains("ERROR 2026") && said.contains("SSL"),
        "{said}"
    );

    // The tunnel's.
    let nowhere = runtime.path().join("nowhere");
    let (output, summary) = through(&nowhere, &private, "ada", false, &["-e", "SELECT 1"]).await;
    let said = text(&output.stderr);
    assert!(
        said.contains("ERROR 1429") && said.contains("bsql: cannot reach `shop`"),
        "{said}"
    );
    assert_eq!(summary.failed, 1);
}
