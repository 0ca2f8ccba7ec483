//! Servers made of the MariaDB that is installed on this machine: never the one that is there already, always new ones in a
//! private directory, without a network port.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::OnceCell;

use super::discover::{self, Installation};
use super::furnish::init_file;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::sandbox::company::{INSTANCES, Instance};
use crate::sandbox::home::{Home, account};
use crate::sandbox::http::opaque_secret;
use crate::sandbox::watched::{Watched, command, complete};
use crate::secret::Secret;

/// Nothing here is worth a disk's time or much memory. `--no-defaults` has to come first: what the machine's own server is
/// told is not for this one.
const SETTINGS: [&str; 10] = [
    "--skip-networking",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
    "--key-buffer-size=1M",
    "--performance-schema=off",
    "--max-connections=200",
];

/// One server for each MySQL instance, as they are needed.
#[derive(Debug)]
pub(in crate::sandbox) struct MySql {
    installation: Option<Installation>,
    home: OnceLock<Home>,
    /// Of every account, and for the door alone.
    password: Secret,
    servers: [OnceCell<Server>; INSTANCES.len()],
}

#[derive(Debug)]
struct Server {
    socket: PathBuf,
    server: Watched,
}

impl MySql {
    /// Looks for MariaDB, and starts nothing yet. `search_path` is the value of `PATH`, which is not asked for here.
    pub(in crate::sandbox) async fn new(search_path: Option<&OsStr>) -> Self {
        Self {
            installation: discover::find(search_path).await,
            home: OnceLock::new(),
            password: Secret::from(opaque_secret()),
            servers: Default::default(),
        }
    }

    /// What it is, in a few words for people; `None` when there is none.
    pub(in crate::sandbox) fn describe(&self) -> Option<String> {
        let Installation {
            mariadbd, version, ..
        } = self.installation.as_ref()?;
        let dir = mariadbd.parent().unwrap_or(Path::new("/"));
        Some(format!("MariaDB {version} from {}", dir.display()))
    }

    /// A stream to the instance's server, which is started if need be and speaks first.
    ///
    /// Fails with [`ErrorKind::ClientMissing`] when no MariaDB is installed.
    pub(in crate::sandbox) async fn connect(
        &self,
        instance: &'static Instance,
    ) -> Result<UnixStream> {
        let server = self.servers[instance.place()]
            .get_or_try_init(|| self.start(instance))
            .await?;
        UnixStream::connect(&server.socket)
            .await
            .or_fail(ErrorKind::Unavailable, || "cannot reach MariaDB")
    }

    /// What the servers ask of whoever logs in.
    pub(in crate::sandbox) fn password(&self) -> &Secret {
        &self.password
    }

    async fn start(&self, instance: &'static Instance) -> Result<Server> {
        let place = instance.place();
        let installation = self.installation.as_ref().ok_or_else(not_installed)?;
        let home = if let Some(home) = self.home.get() {
            home
        } else {
            let home = Home::new(account()?)?;
            self.home.get_or_init(|| home)
        };
        let file = |name: &str| home.path().join(format!("{name}-{place}"));
        let (data, temporary) = (file("data"), file("tmp"));
        let (log, socket, init) = (file("log"), file("sock"), file("init"));
        std::fs::write(&init, init_file(instance, &self.password))
            .and_then(|()| std::fs::create_dir_all(&temporary))
            .and_then(|()| home.give(&init))
            .and_then(|()| home.give(&temporary))
            .or_fail(ErrorKind::CannotCreate, || {
                format!("cannot prepare `{}` for MariaDB", home.path().display())
            })?;
        install(installation, home, &data, &temporary).await?;
        let paths = [
            option("--datadir=", &data),
            option("--socket=", &socket),
            option("--pid-file=", &file("pid")),
            option("--tmpdir=", &temporary),
            option("--init-file=", &init),
        ];
        let mut server = vec![
            installation.mariadbd.as_os_str(),
            OsStr::new("--no-defaults"),
        ];
        server.extend(paths.iter().map(OsString::as_os_str));
        server.extend(SETTINGS.map(OsStr::new));
        // It answers when the file has been read.
        let answers = || is_ready(&socket);
        let server = Watched::start("MariaDB", &server, "TERM", home, &log, answers).await?;
        tracing::info!(
            project = instance.project,
            name = instance.name,
            "started MariaDB"
        );
        Ok(Server { socket, server })
    }

    /// Stops all servers.
    pub(in crate::sandbox) async fn stop(&self) {
        let servers = self.servers.iter().filter_map(OnceCell::get);
        futures_util::future::join_all(servers.map(|server| server.server.stop())).await;
    }
}

/// Makes the system tables, which takes 1.5 s.
///
/// It has a `temporary` directory of its own, as every server must: one that starts removes what it takes for leftovers
/// there, and so what another one, the machine's perhaps, is working on.
async fn install(
    installation: &Installation,
    home: &Home,
    data: &Path,
    temporary: &Path,
) -> Result<()> {
    // Left behind by a start that failed.
    let _ = std::fs::remove_dir_all(data);
    let mut install_db = command(home, &installation.install_db);
    install_db
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .arg("--no-defaults")
        .args([option("--datadir=", data), option("--tmpdir=", temporary)])
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .args(["--skip-name-resolve", "--innodb-flush-method=nosync"]);
    let failed = "cannot make a MariaDB data directory for the sandbox";
    complete(&mut install_db, "mariadb-install-db", failed).await
}

/// `name` ends with `=`.
fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

/// Whether it greets: a packet of protocol version 10.
async fn is_ready(socket: &Path) -> bool {
    let greeted = async {
        let mut stream = UnixStream::connect(socket).await?;
        let mut start = [0; 5];
        stream.read_exact(&mut start).await?;
        std::io::Result::Ok(start[4] == 10)
    };
    greeted.await.unwrap_or(false)
}

fn not_installed() -> Error {
    ErrorKind::ClientMissing
        .error("there is no MariaDB for the sandbox's MySQL instance")
        .hint("install it (for example: apt install mariadb-server) and restart the sandbox")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::company::{BUILT_IN_PASSWORD, BUILT_IN_USER, Engine};

    /// What MariaDB's own client says who goes straight to the socket, as the system's user `uid` if that is another.
    async fn knock(socket: &Path, user: &str, password: &str, uid: Option<u32>) -> String {
        let mut client = tokio::process::Command::new("mariadb");
        client
            .args(["--no-defaults", "--skip-ssl", "-N", "-e", "SELECT USER()"])
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--user={user}"))
            .env("MYSQL_PWD", password);
        if let Some(uid) = uid {
            client.uid(uid);
        }
        let output = client.output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn nobody_gets_around_the_door() {
        let mysql = MySql::new(None).await;
        let mut instances = INSTANCES.iter();
        let instance = instances.find(|one| one.engine() == Engine::MySql).unwrap();
        if let Err(error) = mysql.connect(instance).await {
            assert_eq!(error.kind(), ErrorKind::ClientMissing, "{error}");
            println!("passed over: {error}");
            return;
        }
        let socket = &mysql.servers[instance.place()].get().unwrap().socket;
        for (user, password) in [
            ("root", ""),
            ("ada", ""),
            ("mariadb.sys", ""),
            (BUILT_IN_USER, BUILT_IN_PASSWORD),
        ] {
            let said = knock(socket, user, password, None).await;
            assert!(said.contains("Access denied"), "{user}: {said}");
        }
        let password = mysql.password().expose();
        assert_eq!(
            knock(socket, "ada", password, None).await,
            "ada@localhost\n"
        );
        if rustix::process::geteuid().is_root() {
            let said = knock(socket, "ada", password, Some(12_345)).await;
            assert!(said.contains("(13)"), "it is no other user's: {said}");
        }
        for file in std::fs::read_dir(mysql.home.get().unwrap().path()).unwrap() {
            let text = std::fs::read(file.unwrap().path()).unwrap_or_default();
            let found = text
                .windows(password.len())
                .any(|part| part == password.as_bytes());
            assert!(!found, "the password is in a file");
        }
        mysql.stop().await;
    }
}
