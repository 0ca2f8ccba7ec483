//! In the words of MySQL's clients.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{Coordinates, shell_word, words};
use crate::launch::other::escaped;
use crate::tunnel::Endpoint;

/// How clients that do not name sockets as libpq does get there.
pub(in crate::launch) enum Way {
    /// To a port.
    Port(SocketAddr),
    /// To the file of a socket.
    File(PathBuf),
}

impl From<&Endpoint> for Way {
    fn from(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Tcp(address) => Self::Port(*address),
            Endpoint::Unix { .. } | Endpoint::SocketFile(_) => {
                Self::File(endpoint.socket_file().unwrap_or_default())
            }
        }
    }
}

/// As most drivers take it. The file of a socket has no place in a URI; `socket` is what mycli and Ruby's mysql2 read.
pub(super) fn uri(user: &str, database: &str, endpoint: &Endpoint) -> String {
    url("mysql", "socket", user, database, endpoint)
}

/// A URI of a port, made to ask for TLS where the tunnel has some: as MySQL Shell and sqlx read it,
/// <https://dev.mysql.com/doc/refman/8.4/en/connecting-using-uri-or-key-value-pairs.html>.
pub(super) fn verified(uri: String, authority: Option<&Path>) -> String {
    match authority {
        Some(authority) => {
            let authority = escaped(&authority.to_string_lossy());
            format!("{uri}?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}")
        }
        None => uri,
    }
}

/// <https://docs.sqlalchemy.org/en/20/dialects/mysql.html#module-sqlalchemy.dialects.mysql.pymysql>
pub(super) fn sqlalchemy(here: &Coordinates) -> String {
    let url = url(
        "mysql+pymysql",
        "unix_socket",
        &here.user,
        &here.database,
        &here.endpoint,
    );
    match &here.authority {
        Some(authority) => format!("{url}?ssl_ca={}", escaped(&authority.to_string_lossy())),
        None => url,
    }
}

fn url(scheme: &str, socket: &str, user: &str, database: &str, endpoint: &Endpoint) -> String {
    let (user, database) = (escaped(user), escaped(database));
    match endpoint.into() {
        Way::Port(address) => format!("{scheme}://{user}@{address}/{database}"),
        Way::File(file) => {
            let file = escaped(&file.to_string_lossy());
            format!("{scheme}://{user}@localhost/{database}?{socket}={file}")
        }
    }
}

/// Where to go as the client's long options and option files name it:
/// <https://dev.mysql.com/doc/refman/8.4/en/connection-options.html>.
fn place(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    match endpoint.into() {
        Way::Port(address) => vec![
            ("host", address.ip().to_string()),
            ("port", address.port().to_string()),
        ],
        Way::File(file) => vec![("socket", file.display().to_string())],
    }
}

fn pairs(here: &Coordinates) -> Vec<(&'static str, String)> {
    let mut pairs = place(&here.endpoint);
    pairs.push(("user", here.user.clone()));
    if !here.database.is_empty() {
        pairs.push(("database", here.database.clone()));
    }
    // What both kinds of client know. Oracle's verifies then; MariaDB's does with `ssl-verify-server-cert`, and by itself
    // since 11.4.
    if let Some(authority) = &here.authority {
        pairs.push(("ssl-ca", authority.display().to_string()));
    }
    pairs
}

pub(super) fn keywords(here: &Coordinates) -> String {
    words(&pairs(here))
}

pub(super) fn command(here: &Coordinates) -> String {
    let options = pairs(here).into_iter().map(|(name, value)| {
        let option = format!("--{name}={value}");
        format!(" {}", shell_word(&option))
    });
    std::iter::once("mysql".to_owned()).chain(options).collect()
}

/// <https://github.com/go-sql-driver/mysql#dsn-data-source-name>. No authority has a place in it.
pub(super) fn go(here: &Coordinates) -> String {
    let (user, database) = (&here.user, escaped(&here.database));
    match (&here.endpoint).into() {
        Way::Port(address) => {
            let tls = match here.authority {
                Some(_) => "skip-verify",
                None => "false",
            };
            format!("{user}@tcp({address})/{database}?tls={tls}&allowNativePasswords=true")
        }
        Way::File(file) => format!("{user}@unix({})/{database}", file.display()),
    }
}

/// <https://dev.mysql.com/doc/connector-j/en/connector-j-reference-jdbc-url-format.html>. It verifies with Java's own key
/// stores only.
pub(super) fn jdbc(here: &Coordinates, address: SocketAddr) -> String {
    let (user, database) = (escaped(&here.user), escaped(&here.database));
    let mode = match here.authority {
        Some(_) => "REQUIRED",
        None => "DISABLED",
    };
    format!("jdbc:mysql://{address}/{database}?user={user}&sslMode={mode}")
}

/// What `mysql` itself reads, and the names that programs in containers are used to:
/// <https://dev.mysql.com/doc/refman/8.4/en/environment-variables.html>.
pub(super) fn variables(here: &Coordinates) -> Vec<(&'static str, OsString)> {
    let mut variables = match (&here.endpoint).into() {
        Way::Port(address) => vec![
            ("MYSQL_HOST", address.ip().to_string().into()),
            ("MYSQL_TCP_PORT", address.port().to_string().into()),
        ],
        // To these clients "localhost" is the socket.
        Way::File(file) => vec![
            ("MYSQL_HOST", "localhost".into()),
            ("MYSQL_UNIX_PORT", file.into()),
        ],
    };
    variables.push(("MYSQL_USER", here.user.clone().into()));
    if !here.database.is_empty() {
        variables.push(("MYSQL_DATABASE", here.database.clone().into()));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, port};
    use super::*;
    use crate::tunnel::Protocol;

    fn socket() -> Coordinates {
        at(
            Protocol::MySql,
            Endpoint::SocketFile("/run/bsql/payments/mysql.sock".into()),
        )
    }

    #[test]
    fn each_in_its_own_words() {
        let port = port(Protocol::MySql);
        let url = "ada%40acme.example@127.0.0.1:15432/payments";
        assert_eq!(port.uri(), format!("mysql://{url}"));
        assert_eq!(port.sqlalchemy(), format!("mysql+pymysql://{url}"));
        assert_eq!(
            port.keywords(),
            "host=127.0.0.1 port=15432 user=ada@acme.example database=payments"
        );
        assert_eq!(
            port.command(),
            "mysql --host=127.0.0.1 --port=15432 --user=ada@acme.example --database=payments"
        );
        assert_eq!(
            port.go(),
            "ada@acme.example@tcp(127.0.0.1:15432)/payments?tls=false&allowNativePasswords=true"
        );
        assert_eq!(
            port.jdbc().unwrap(),
            "jdbc:mysql://127.0.0.1:15432/payments?user=ada%40acme.example&sslMode=DISABLED"
        );
        assert_eq!(
            port.variables()[..4],
            [
                ("MYSQL_HOST", "127.0.0.1".into()),
                ("MYSQL_TCP_PORT", "15432".into()),
                ("MYSQL_USER", "ada@acme.example".into()),
                ("MYSQL_DATABASE", "payments".into()),
            ]
        );
    }

    #[test]
    fn a_tunnel_with_tls_is_verified_where_that_can_be_said() {
        let tls = Coordinates {
            authority: Some("/home/ada/local state/authority.pem".into()),
            ..port(Protocol::MySql)
        };
        let file = "%2Fhome%2Fada%2Flocal%20state%2Fauthority.pem";
        let url = "ada%40acme.example@127.0.0.1:15432/payments";
        assert_eq!(
            tls.uri(),
            format!("mysql://{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca={file}")
        );
        assert_eq!(
            tls.sqlalchemy(),
            format!("mysql+pymysql://{url}?ssl_ca={file}")
        );
        let ca = "ssl-ca='/home/ada/local state/authority.pem'";
        assert!(tls.keywords().ends_with(ca), "{}", tls.keywords());
        let ca = "'--ssl-ca=/home/ada/local state/authority.pem'";
        assert!(tls.command().ends_with(ca), "{}", tls.command());
        assert!(tls.jdbc().unwrap().ends_with("&sslMode=REQUIRED"));
        assert!(tls.go().contains("?tls=skip-verify&"), "{}", tls.go());
    }

    #[test]
    fn a_socket_is_a_file() {
        let here = socket();
        let file = "%2Frun%2Fbsql%2Fpayments%2Fmysql.sock";
        assert_eq!(
            here.uri(),
            format!("mysql://ada%40acme.example@localhost/payments?socket={file}")
        );
        assert_eq!(
            here.sqlalchemy(),
            format!("mysql+pymysql://ada%40acme.example@localhost/payments?unix_socket={file}")
        );
        assert_eq!(
            here.go(),
            "ada@acme.example@unix(/run/bsql/payments/mysql.sock)/payments"
        );
        assert_eq!(
            here.keywords(),
            "socket=/run/bsql/payments/mysql.sock user=ada@acme.example database=payments"
        );
        assert_eq!(
            here.variables()[..2],
            [
                ("MYSQL_HOST", "localhost".into()),
                ("MYSQL_UNIX_PORT", "/run/bsql/payments/mysql.sock".into()),
            ]
        );
    }

    #[test]
    fn no_database_is_none() {
        let here = Coordinates {
            database: String::new(),
            ..port(Protocol::MySql)
        };
        assert_eq!(here.uri(), "mysql://ada%40acme.example@127.0.0.1:15432/");
        assert_eq!(
            here.keywords(),
            "host=127.0.0.1 port=15432 user=ada@acme.example"
        );
        assert!(!here.command().contains("database"));
        assert!(here.go().contains(")/?tls=false"));
        let names: Vec<_> = here.variables().into_iter().map(|(name, _)| name).collect();
        assert!(!names.contains(&"MYSQL_DATABASE"), "{names:?}");
    }
}
