//! An option file for MySQL's clients, which leads them to a tunnel whatever the machine's own files say.
//!
//! `MYSQL_UNIX_PORT` and its kin are defaults: what an option file says outranks them, and the one that Debian installs
//! names a socket for every client. Clients read `/etc/my.cnf` and `/etc/mysql/my.cnf`, then `my.cnf` in the directory
//! `MYSQL_HOME`, then `~/.my.cnf`, and the last to say something wins: so the variable gets ahead of the machine's files, and
//! only the person's own outranks it.
//!
//! <https://mariadb.com/kb/en/configuring-mariadb-with-option-files/>,
//! <https://dev.mysql.com/doc/refman/8.4/en/option-files.html>

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::coordinates::{Coordinates, Way};
use crate::error::{ErrorKind, Result, ResultExt as _};

/// What every client calls it.
const NAME: &str = "my.cnf";
/// The person's own, in the home directory.
const OF_PERSON: &str = ".my.cnf";

/// An option file in a directory of its own, 0700, which goes away with this.
#[derive(Debug)]
pub struct OptionFile(TempDir);

impl OptionFile {
    /// Makes one that leads to `here`, in `runtime_dir`. `before` is the directory that `MYSQL_HOME` named so far: what
    /// its file says of other things still counts.
    ///
    /// Fails with [`CannotCreate`](ErrorKind::CannotCreate).
    pub fn leading_to(
        here: &Coordinates,
        before: Option<&Path>,
        runtime_dir: &Path,
    ) -> Result<Self> {
        let before = before.map(|dir| dir.join(NAME));
        let text = text(here, before.as_deref().filter(|file| file.is_file()));
        let make = || -> io::Result<TempDir> {
            let mut dir = tempfile::Builder::new();
            dir.prefix("mysql-");
            #[cfg(unix)]
            dir.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
            let dir = dir.tempdir_in(runtime_dir)?;
            fs::write(dir.path().join(NAME), text)?;
            Ok(dir)
        };
        make().map(Self).or_fail(ErrorKind::CannotCreate, || {
            format!(
                "cannot write an option file for MySQL in `{}`",
                runtime_dir.display()
            )
        })
    }

    /// The variable, and its value, that make clients read it.
    pub fn variable(&self) -> (&'static str, &Path) {
        ("MYSQL_HOME", self.0.path())
    }
}

/// Options in groups. What Oracle's and MariaDB's clients do not both know is in a group that the other does not read.
fn text(here: &Coordinates, before: Option<&Path>) -> String {
    let mut client = match (&here.endpoint).into() {
        Way::Port(address) => vec![
            ("host", address.ip().to_string()),
            ("port", address.port().to_string()),
            ("protocol", "tcp".to_owned()),
        ],
        Way::File(file) => vec![
            ("host", "localhost".to_owned()),
            ("socket", file.display().to_string()),
            ("protocol", "socket".to_owned()),
        ],
    };
    client.push(("user", here.user.clone()));
    let of_mariadb = match &here.authority {
        Some(authority) => {
            client.push(("ssl-ca", authority.display().to_string()));
            "ssl-verify-server-cert"
        }
        // Since 11.4 it wants TLS by itself.
        None => "skip-ssl",
    };
    let mut lines = Vec::new();
    if let Some(before) = before {
        lines.push(format!("!include {}", before.display()));
    }
    let option = |name: &str, value: &str| format!("{name}={}", quoted(value));
    lines.push("[client]".to_owned());
    lines.extend(client.iter().map(|(name, value)| option(name, value)));
    lines.extend(["[client-mariadb]", of_mariadb].map(str::to_owned));
    // Not for every client: dumps are of the database that they are told.
    if !here.database.is_empty() {
        lines.extend(["[mysql]".to_owned(), option("database", &here.database)]);
    }
    lines.join("\n") + "\n"
}

/// One value, whatever is in it.
fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The person's own option file, and the option in it that leads clients elsewhere than `here` all the same; `None` when
/// there is none. Files that it includes are not looked into.
pub fn outranked_by(home: &Path, here: &Coordinates) -> Option<(PathBuf, &'static str)> {
    let file = home.join(OF_PERSON);
    let text = fs::read_to_string(&file).ok()?;
    let option = leads_elsewhere(&text, &(&here.endpoint).into())?;
    Some((file, option))
}

fn leads_elsewhere(text: &str, way: &Way) -> Option<&'static str> {
    let mut is_read = false;
    for line in text.lines().map(str::trim) {
        if let Some(group) = line.strip_prefix('[') {
            is_read = is_clients(group.split(']').next().unwrap_or_default().trim());
        }
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let value = value.trim().trim_matches(['"', '\'']);
        let option = match (name.trim(), way) {
            ("host", Way::File(_)) if value == "localhost" => None,
            ("host", _) => Some("host"),
            ("socket", Way::File(_)) => Some("socket"),
            ("port", Way::Port(_)) => Some("port"),
            ("protocol", _) => Some("protocol"),
            _ => None,
        };
        if is_read && option.is_some() {
            return option;
        }
    }
    None
}

/// Groups that programs read which dial in: those for all of them, and those of the usual ones.
fn is_clients(group: &str) -> bool {
    const PROGRAMS: [&str; 7] = [
        "mysql",
        "mysqladmin",
        "mysqldump",
        "mysqlimport",
        "mariadb-admin",
        "mariadb-dump",
        "mariadb-import",
    ];
    let family = [
        "client",
        "client-server",
        "client-mariadb",
        "mariadb-client",
    ];
    family.contains(&group) || PROGRAMS.contains(&group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::{Endpoint, Protocol};

    fn at(endpoint: Endpoint) -> Coordinates {
        Coordinates {
            protocol: Protocol::MySql,
            endpoint,
            database: "storefront".to_owned(),
            user: "ada".to_owned(),
            application_name: "bsql:ada".to_owned(),
            authority: None,
        }
    }

    fn socket() -> Coordinates {
        at(Endpoint::SocketFile("/run/bsql/7-abcDEF/mysql.sock".into()))
    }

    fn port() -> Coordinates {
        at(Endpoint::Tcp(([127, 0, 0, 1], 13_306).into()))
    }

    #[test]
    fn each_kind_of_endpoint() {
        assert_eq!(
            text(&socket(), None),
            "[client]\nhost=\"localhost\"\nsocket=\"/run/bsql/7-abcDEF/mysql.sock\"\nprotocol=\"socket\"\nuser=\"ada\"\n\
            [client-mariadb]\nskip-ssl\n[mysql]\ndatabase=\"storefront\"\n"
        );
        let tls = Coordinates {
            authority: Some("/home/ada/authority.pem".into()),
            database: String::new(),
            ..port()
        };
        assert_eq!(
            text(&tls, Some(Path::new("/home/ada/mysql/my.cnf"))),
            "!include /home/ada/mysql/my.cnf\n\
            [client]\nhost=\"127.0.0.1\"\nport=\"13306\"\nprotocol=\"tcp\"\nuser=\"ada\"\nssl-ca=\"/home/ada/authority.pem\"\n\
            [client-mariadb]\nssl-verify-server-cert\n"
        );
    }

    #[test]
    fn a_value_stays_one() {
        assert_eq!(quoted("a#b \"c\"\\\n[d]"), r#""a#b \"c\"\\\n[d]""#);
    }

    #[test]
    fn it_is_private_and_goes_away() {
        let runtime = tempfile::tempdir().unwrap();
        let file = OptionFile::leading_to(&socket(), None, runtime.path()).unwrap();
        let (name, dir) = file.variable();
        assert_eq!(name, "MYSQL_HOME");
        assert!(dir.join(NAME).is_file());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            assert_eq!(fs::metadata(dir).unwrap().mode() & 0o777, 0o700);
        }
        drop(file);
        assert_eq!(fs::read_dir(runtime.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_outranks_it() {
        let [file, port] = [socket(), port()].map(|here| Way::from(&here.endpoint));
        for (text, by_file, by_port) in [
            ("", None, None),
            ("[client]\nuser=root\npassword=x\n", None, None),
            ("[client]\n socket = /run/m.sock\n", Some("socket"), None),
            ("[mysqld]\nsocket=/run/m.sock\n", None, None),
            ("[client]\n#socket=/run/m.sock\n", None, None),
            ("[mysqldump]\nquick\nport=3306\n", None, Some("port")),
            ("[client]\nhost=\"localhost\"\n", None, Some("host")),
            (
                "[ client ]\nhost=db.acme.example\n",
                Some("host"),
                Some("host"),
            ),
            (
                "[mysqld]\n[mysql]\nprotocol=tcp\n",
                Some("protocol"),
                Some("protocol"),
            ),
            ("[client]\n[mysqld]\nport=3306\n", None, None),
        ] {
            assert_eq!(leads_elsewhere(text, &file), by_file, "{text}");
            assert_eq!(leads_elsewhere(text, &port), by_port, "{text}");
        }
    }
}
