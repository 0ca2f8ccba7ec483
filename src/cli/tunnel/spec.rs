//! What a person asks for: a name, and where its tunnel is to listen.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::private_dir;
use crate::tunnel::Place;

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
    /// At a socket in this directory, for this port.
    Socket { dir: PathBuf, port: u16 },
}

/// What clients use when they are told no port.
const PORT: u16 = 5432;
/// How libpq names a socket.
const SOCKET: &str = ".s.PGSQL.";

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
            Asked::Socket { dir, port } => {
                let socket = dir.join(format!("{SOCKET}{port}"));
                format!("{}={}", self.name, socket.display())
            }
        }
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, place) = match text.split_once('=') {
            None => (text, Asked::Own),
            Some((name, place)) if place.starts_with('/') => (name, socket(Path::new(place))),
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

/// A directory, or the socket in one.
fn socket(path: &Path) -> Asked {
    let port = path
        .file_name()
        .and_then(|name| name.to_str()?.strip_prefix(SOCKET)?.parse().ok());
    match (port, path.parent()) {
        (Some(port), Some(dir)) => Asked::Socket {
            dir: dir.to_owned(),
            port,
        },
        _ => Asked::Socket {
            dir: path.to_owned(),
            port: PORT,
        },
    }
}

/// On the loopback interface.
pub(super) fn on_port(port: u16) -> Place {
    Place::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A database's own socket: a directory that is named for it, or for its key where the name would not do.
pub(super) fn own_socket(sockets: &Path, name: &str, key: &str) -> Place {
    let harmless = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    // What is named for a process is removed when that is gone.
    let named_for_a_process = name.starts_with(|c: char| c.is_ascii_digit());
    let socket = sockets.join(name).join(format!("{SOCKET}{PORT}"));
    let fits = private_dir::require_short(&socket).is_ok();
    let sound = !name.is_empty() && name.chars().all(harmless) && !named_for_a_process;
    let dir = if sound && fits { name } else { key };
    Place::Socket {
        dir: sockets.join(dir),
        port: PORT,
    }
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
        let socket = |dir: &str, port| Asked::Socket {
            dir: dir.into(),
            port,
        };
        assert_eq!(asked("payments=/tmp/ada"), socket("/tmp/ada", 5432));
        assert_eq!(
            asked("payments=/tmp/ada/.s.PGSQL.5433"),
            socket("/tmp/ada", 5433)
        );
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
    fn a_socket_is_named_for_its_database_where_that_can_be() {
        let dir = |sockets: &str, name: &str| match own_socket(
            Path::new(sockets),
            name,
            "0a1b2c3d4e5f",
        ) {
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
