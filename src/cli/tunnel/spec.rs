//! What a person asks for: a name, and where its tunnel is to listen.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::private_dir;
use crate::tunnel::{LIBPQ_PORT, LIBPQ_SOCKET, MYSQL_SOCKET, Place, Protocol};

/// `NAME`, `NAME=PORT` or `NAME=/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    /// As typed.
    pub(super) name: String,
    pub(super) place: Asked,
}

/// Where it is to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// At the database's own port, or with `--socket` at its own socket.
    Own,
    /// At this port.
    Port(u16),
    /// At this socket, or at one in this directory.
    Path(PathBuf),
}

impl Spec {
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            place: Asked::Own,
        }
    }

    pub(super) fn is_on_a_port(&self) -> bool {
        matches!(self.place, Asked::Port(_))
    }

    /// As [`FromStr`] reads it.
    pub(super) fn to_arg(&self) -> String {
        match &self.place {
            Asked::Own => self.name.clone(),
            Asked::Port(port) => format!("{}={port}", self.name),
            Asked::Path(path) => format!("{}={}", self.name, path.display()),
        }
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, place) = match text.split_once('=') {
            None => (text, Asked::Own),
            Some((name, place)) if place.starts_with('/') => (name, Asked::Path(place.into())),
            Some((name, port)) => {
                let port = port.parse().ok().filter(|port| *port > 0);
                let expected = "expected a port or an absolute path after the `=`";
                (name, Asked::Port(port.ok_or(expected)?))
            }
        };
        if name.is_empty() {
            return Err("expected a name before the `=`".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            place,
        })
    }
}

/// At a path that somebody gave: a directory, or the socket in one.
///
/// libpq's sockets are known by their names. Those of MySQL's clients may have any: what ends in `.sock`, or is a socket
/// already, is one.
pub(super) fn on_path(path: &Path, protocol: Protocol) -> Result<Place> {
    let named = |file: &Path| {
        let port = file
            .file_name()?
            .to_str()?
            .strip_prefix(LIBPQ_SOCKET)?
            .parse();
        Some((file.parent()?.to_owned(), port.ok()?))
    };
    match protocol {
        Protocol::Postgres => {
            let (dir, port) = named(path).unwrap_or_else(|| (path.to_owned(), LIBPQ_PORT));
            Ok(Place::Socket { dir, port })
        }
        Protocol::MySql => {
            let ends_so = path.extension().is_some_and(|end| end == "sock");
            Ok(Place::SocketFile(
                if !path.is_dir() && (ends_so || path.exists()) {
                    path.to_owned()
                } else {
                    path.join(MYSQL_SOCKET)
                },
            ))
        }
        Protocol::SqlServer => Err(no_sockets(protocol)),
    }
}

fn no_sockets(protocol: Protocol) -> Error {
    ErrorKind::Usage
        .error(format!("clients of {protocol} cannot dial a Unix socket"))
        .hint("use a port: NAME=PORT, or NAME alone and no --socket")
}

/// On the loopback interface.
pub(super) fn on_port(port: u16) -> Place {
    Place::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A database's own socket: a directory that is named for it, or for its key where the name would not do.
pub(super) fn own_socket(
    sockets: &Path,
    name: &str,
    key: &str,
    protocol: Protocol,
) -> Result<Place> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    // What is named for a process is removed when that is gone.
    let named_for_a_process = name.starts_with(|c: char| c.is_ascii_digit());
    let socket = sockets
        .join(name)
        .join(format!("{LIBPQ_SOCKET}{LIBPQ_PORT}"));
    let fits = private_dir::require_short(&socket).is_ok();
    let sound = !name.is_empty() && name.chars().all(harmless) && !named_for_a_process;
    let dir = if sound && fits { name } else { key };
    on_path(&sockets.join(dir), protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        text.parse::<Spec>().unwrap().place
    }

    #[test]
    fn a_name_and_where() {
        assert_eq!(asked("payments-staging"), Asked::Own);
        assert_eq!(asked("acme:europe-west1:payments"), Asked::Own);
        assert_eq!(asked("payments@staging=15500"), Asked::Port(15_500));
        assert_eq!(asked("payments=/tmp/ada"), Asked::Path("/tmp/ada".into()));
        for bad in [
            "=5432",
            "payments=",
            "payments=0",
            "payments=70000",
            "payments=tmp",
        ] {
            assert!(bad.parse::<Spec>().is_err(), "{bad}");
        }
        for text in [
            "payments",
            "payments=15500",
            "payments=/tmp/ada/.s.PGSQL.5433",
        ] {
            assert_eq!(text.parse::<Spec>().unwrap().to_arg(), text);
        }
    }

    #[test]
    fn a_path_is_a_directory_or_the_socket_in_it() {
        let at = |path: &str, protocol| on_path(Path::new(path), protocol);
        let socket = |dir: &str, port| Place::Socket {
            dir: dir.into(),
            port,
        };
        for (path, expected) in [
            ("/tmp/ada", socket("/tmp/ada", 5432)),
            ("/tmp/ada/.s.PGSQL.5433", socket("/tmp/ada", 5433)),
            ("/tmp/ada.sock", socket("/tmp/ada.sock", 5432)),
        ] {
            assert_eq!(at(path, Protocol::Postgres).unwrap(), expected);
        }
        let scratch = tempfile::tempdir().unwrap();
        let odd = scratch.path().join("odd.sock");
        std::fs::create_dir(&odd).unwrap();
        let odd = odd.display().to_string();
        for (path, expected) in [
            ("/tmp/ada", "/tmp/ada/mysql.sock"),
            ("/tmp/ada/payments.sock", "/tmp/ada/payments.sock"),
            (&odd, &format!("{odd}/mysql.sock")),
        ] {
            let expected = Place::SocketFile(expected.into());
            assert_eq!(at(path, Protocol::MySql).unwrap(), expected);
        }
        let error = at("/tmp/ada", Protocol::SqlServer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }

    #[test]
    fn a_socket_is_named_for_its_database_where_that_can_be() {
        let dir = |sockets: &str, name: &str| match own_socket(
            Path::new(sockets),
            name,
            "0a1b2c3d4e5f",
            Protocol::Postgres,
        )
        .unwrap()
        {
            Place::Socket { dir, port: 5432 } => dir.display().to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            dir("/run/bsql", "payments-staging"),
            "/run/bsql/payments-staging"
        );
        let long = format!("/{}", "x".repeat(70));
        assert_eq!(dir(&long, "orders"), format!("{long}/orders"));
        assert_eq!(
            dir(&long, "payments-staging-eu"),
            format!("{long}/0a1b2c3d4e5f")
        );
        for odd in ["", "..", "a/b", "acme:r:i", "7-abcDEF"] {
            assert_eq!(dir("/run/bsql", odd), "/run/bsql/0a1b2c3d4e5f", "{odd}");
        }
    }
}
