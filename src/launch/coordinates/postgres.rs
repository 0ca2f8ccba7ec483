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

/// For psycopg 3.
pub(super) fn sqlalchemy(here: &Coordinates) -> String {
    let scheme = "postgresql+psycopg";
    let uri = uri(scheme, &here.user, &here.database, &here.endpoint);
    verified(uri, here.authority.as_deref())
}

/// A URI that asks for no TLS, made to ask for it where the tunnel has some.
pub(super) fn verified(uri: String, authority: Option<&Path>) -> String {
    match (authority, uri.strip_suffix("sslmode=disable")) {
        (Some(authority), Some(rest)) => {
            let authority = escaped(&authority.to_string_lossy());
            format!("{rest}sslmode=verify-full&sslrootcert={authority}")
        }
        _ => uri,
    }
}

/// libpq's, which Go's drivers take as well.
pub(super) fn keywords(here: &Coordinates) -> String {
    let (host, port) = host_and_port(&here.endpoint);
    let mut pairs = vec![
        ("host", host.to_string_lossy().into_owned()),
        ("port", port.to_string()),
        ("user", here.user.clone()),
        ("dbname", here.database.clone()),
    ];
    match &here.authority {
        None => pairs.push(("sslmode", "disable".to_owned())),
        Some(authority) => pairs.extend([
            ("sslmode", "verify-full".to_owned()),
            ("sslrootcert", authority.display().to_string()),
        ]),
    }
    words(&pairs)
}

/// <https://jdbc.postgresql.org/documentation/use/>
pub(super) fn jdbc(here: &Coordinates, address: SocketAddr) -> String {
    let (user, database) = (escaped(&here.user), escaped(&here.database));
    let url = format!("jdbc:postgresql://{address}/{database}?user={user}&sslmode=disable");
    verified(url, here.authority.as_deref())
}

pub(super) fn variables(here: &Coordinates) -> Vec<(&'static str, OsString)> {
    let (user, database) = (&here.user, &here.database);
    let libpq = libpq(user, database, &here.application_name, &here.endpoint);
    let mut variables = Vec::from(libpq);
    if let Some(authority) = &here.authority {
        variables.retain(|(name, _)| *name != "PGSSLMODE");
        variables.push(("PGSSLMODE", "verify-full".into()));
        variables.push(("PGSSLROOTCERT", authority.into()));
    }
    variables
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
    fn a_tunnel_with_tls_is_verified() {
        let mut tls = port(Protocol::Postgres);
        tls.authority = Some("/home/ada/local state/authority.pem".into());
        let ends = "sslmode=verify-full&sslrootcert=%2Fhome%2Fada%2Flocal%20state%2Fauthority.pem";
        assert!(tls.uri().ends_with(ends), "{}", tls.uri());
        assert!(tls.sqlalchemy().ends_with(ends));
        assert!(tls.jdbc().unwrap().ends_with(ends));
        let ends = "sslmode=verify-full sslrootcert='/home/ada/local state/authority.pem'";
        assert!(tls.keywords().ends_with(ends), "{}", tls.keywords());
        let variables = tls.variables();
        let of = |wanted: &str| {
            let mut found = variables.iter().filter(|(name, _)| *name == wanted);
            let value = found.next().unwrap().1.clone();
            assert!(found.next().is_none(), "{wanted} twice");
            value
        };
        assert_eq!(of("PGSSLMODE"), "verify-full");
        assert_eq!(of("PGSSLROOTCERT"), "/home/ada/local state/authority.pem");
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
