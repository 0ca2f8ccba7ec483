//! In the words of PostgreSQL's clients.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{Coordinates, words};
use crate::launch::environment::libpq;
use crate::launch::other::escaped;
use crate::tunnel::Endpoint;

/// The host and the port as libpq takes them: of a Unix socket, the directory and the end of the file's name.
pub(in crate::launch) fn host_and_port(endpoint: &Endpoint) -> (OsString, u16) {
    match endpoint {
        Endpoint::Unix { dir, port } => (dir.into(), *port),
        // No tunnel of PostgreSQL's has one: libpq makes the file's name itself.
        Endpoint::SocketFile(file) => (file.parent().unwrap_or(Path::new("/")).into(), 5432),
        Endpoint::Tcp(address) => (address.ip().to_string().into(), address.port()),
    }
}

/// With any of the schemes that drivers have:
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.
pub(super) fn uri(scheme: &str, user: &str, database: &str, endpoint: &Endpoint) -> String {
    let (user, database) = (escaped(user), escaped(database));
    if let Endpoint::Tcp(address) = endpoint {
        return format!("{scheme}://{user}@{address}/{database}?sslmode=disable");
    }
    let (dir, port) = host_and_port(endpoint);
    let dir = escaped(&dir.to_string_lossy());
    format!("{scheme}://{user}@/{database}?host={dir}&port={port}&sslmode=disable")
}

/// libpq's, which Go's drivers take as well.
pub(super) fn keywords(here: &Coordinates) -> String {
    let (host, port) = host_and_port(&here.endpoint);
    words(&[
        ("host", host.to_string_lossy().into_owned()),
        ("port", port.to_string()),
        ("user", here.user.clone()),
        ("dbname", here.database.clone()),
        ("sslmode", "disable".to_owned()),
    ])
}

/// <https://jdbc.postgresql.org/documentation/use/>
pub(super) fn jdbc(here: &Coordinates, address: SocketAddr) -> String {
    let (user, database) = (escaped(&here.user), escaped(&here.database));
    format!("jdbc:postgresql://{address}/{database}?user={user}&sslmode=disable")
}

pub(super) fn variables(here: &Coordinates) -> Vec<(&'static str, OsString)> {
    let (user, database) = (&here.user, &here.database);
    libpq(user, database, &here.application_name, &here.endpoint).into()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, port};
    use super::*;
    use crate::tunnel::Protocol;

    fn socket() -> Coordinates {
        let endpoint = Endpoint::Unix {
            dir: "/run/user/7/bsql/payments".into(),
            port: 5432,
        };
        at(Protocol::Postgres, endpoint)
    }

    #[test]
    fn each_in_its_own_words() {
        let port = port(Protocol::Postgres);
        assert_eq!(
            port.uri(),
            "postgresql://ada%40acme.example@127.0.0.1:15432/payments?sslmode=disable"
        );
        assert_eq!(
            socket().uri(),
            "postgresql://ada%40acme.example@/payments?host=%2Frun%2Fuser%2F7%2Fbsql%2Fpayments&port=5432&sslmode=disable"
        );
        assert_eq!(
            port.keywords(),
            "host=127.0.0.1 port=15432 user=ada@acme.example dbname=payments sslmode=disable"
        );
        assert_eq!(port.go(), port.keywords());
        assert_eq!(port.command(), format!("psql '{}'", port.keywords()));
        assert_eq!(
            port.jdbc().unwrap(),
            "jdbc:postgresql://127.0.0.1:15432/payments?user=ada%40acme.example&sslmode=disable"
        );
        assert!(
            port.sqlalchemy()
                .starts_with("postgresql+psycopg://ada%40acme.example@127.0.0.1:15432/")
        );
        let variables = socket().variables();
        assert_eq!(variables[0], ("PGHOST", "/run/user/7/bsql/payments".into()));
    }

    #[test]
    fn odd_names_stay_whole() {
        let mut odd = port(Protocol::Postgres);
        odd.database = "it's a\\b?".to_owned();
        assert!(odd.keywords().contains("dbname='it\\'s a\\\\b?'"));
        assert!(odd.uri().contains("/it%27s%20a%5Cb%3F?sslmode"));
    }
}
