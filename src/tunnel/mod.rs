//! Local programs that dial in: a socket that only this person's programs can open, and behind it the database.
//!
//! The room knows neither Cloud SQL nor its TLS; towards local programs it may have its own ([`LocalTls`]). It has [`Dial`],
//! which hands it an open stream to the database, and it understands PostgreSQL ([`pgwire`]) and MySQL ([`mysqlwire`]) at
//! start-up only: enough to sign the person in under the right name, and to tell the client in its own language why that
//! did not work. After that it moves bytes. For SQL Server it does nothing else.

use crate::error::Result;

mod bytes;
mod counted;
mod descriptors;
pub mod greeting;
#[cfg(unix)]
mod listener;
mod local;
mod local_tls;
mod meter;
mod mysql;
pub mod mysqlwire;
pub mod packets;
mod peer;
pub mod pgwire;
#[cfg(target_os = "linux")]
mod port_owner;
mod pump;
mod serve;
mod session;
mod spare;
mod tcp_owner;

pub use descriptors::room_for_connections;
pub use local_tls::LocalTls;
pub use meter::{Meter, Reading};
pub use peer::Stranger;
pub use serve::{Summary, Tunnel};

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

/// Opens streams to one database.
pub trait Dial: Send + Sync + 'static {
    /// An open, authenticated stream.
    type Conn: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a new stream.
    fn dial(&self) -> impl Future<Output = Result<Self::Conn>> + Send;

    /// Whether a stream that was opened a while ago, and not used, still lets somebody in.
    fn is_still_good(&self, _unused: &Self::Conn) -> bool {
        true
    }

    /// A stream that was opened before anybody asked, if there is one. It may have died unnoticed.
    fn spare(&self) -> impl Future<Output = Option<Self::Conn>> + Send {
        std::future::ready(None)
    }
}

/// What the database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// PostgreSQL's, version 3.
    Postgres,
    /// MySQL's, which `MariaDB` speaks too.
    MySql,
    /// Microsoft SQL Server's: TDS.
    SqlServer,
}

/// Whose it is, as people call it.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL",
            Self::SqlServer => "SQL Server",
        })
    }
}

/// How libpq names a socket in a directory, before the port.
pub const LIBPQ_SOCKET: &str = ".s.PGSQL.";
/// How a socket in a directory is called for MySQL's clients, who are told its whole path: the usual name.
pub const MYSQL_SOCKET: &str = "mysql.sock";
/// What libpq takes for the port when it is told none.
pub const LIBPQ_PORT: u16 = 5432;

/// Where local programs dial in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// A Unix socket `.s.PGSQL.PORT` in a directory, as libpq wants it named.
    Unix {
        /// What libpq takes as the host.
        dir: PathBuf,
        /// What libpq takes as the port: only part of the file's name.
        port: u16,
    },
    /// A Unix socket by its file, as MySQL's clients take it.
    SocketFile(PathBuf),
    /// A port on the loopback interface.
    Tcp(SocketAddr),
}

impl Endpoint {
    /// The socket's file; `None` for a port.
    pub fn socket_file(&self) -> Option<PathBuf> {
        match self {
            Self::Unix { dir, port } => Some(dir.join(format!("{LIBPQ_SOCKET}{port}"))),
            Self::SocketFile(file) => Some(file.clone()),
            Self::Tcp(_) => None,
        }
    }
}

/// Where a tunnel is to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A Unix socket in a fresh directory, gone with the tunnel. Its name is what the protocol's clients look for. A port
    /// where the system has none.
    Private {
        /// Below this directory, see [`for_sockets`](crate::private_dir::for_sockets).
        runtime_dir: PathBuf,
    },
    /// A Unix socket for libpq that is in the same place each time.
    Socket {
        /// What libpq takes as the host.
        dir: PathBuf,
        /// What libpq takes as the port.
        port: u16,
    },
    /// The same for clients that take the file itself.
    SocketFile(PathBuf),
    /// A port on the loopback interface; 0 is any free one. Only where the system tells whose programs dial in: Linux, macOS
    /// and Windows.
    Tcp(SocketAddr),
}

impl Place {
    /// The socket's file, where that is known before it is made.
    pub fn socket_file(&self) -> Option<PathBuf> {
        match self {
            Self::Socket { dir, port } => {
                let (dir, port) = (dir.clone(), *port);
                Endpoint::Unix { dir, port }.socket_file()
            }
            Self::SocketFile(file) => Some(file.clone()),
            Self::Private { .. } | Self::Tcp(_) => None,
        }
    }
}

/// What every connection is signed in with.
#[derive(Debug, Clone)]
pub struct Startup {
    /// What the database speaks.
    pub protocol: Protocol,
    /// The database user, whatever name the client gives: libpq gives the operating system's when it was told none. SQL
    /// Server's clients name it themselves.
    pub user: String,
    /// For clients that give none.
    pub application_name: String,
    /// Asks the server for read-only transactions, which SQL Server does not have. A guard rail: a session can turn it off
    /// again.
    pub read_only: bool,
}
