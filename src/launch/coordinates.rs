//! How to reach a tunnel, in the words of each kind of client. Nothing of it is secret: the tunnel signs everybody in.
//!
//! Whatever differs between databases is a `match` on [`Protocol`], so that the compiler finds every place.

use std::ffi::OsString;

use super::environment::libpq;
use super::other::escaped;
use crate::error::{ErrorKind, Result};
use crate::tunnel::Endpoint;

/// What the database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// PostgreSQL.
    Postgres,
}

/// Where a database is for programs of this machine, and who one is there.
#[derive(Debug, Clone)]
pub struct Coordinates {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where the tunnel listens.
    pub endpoint: Endpoint,
    /// The database within the instance.
    pub database: String,
    /// The database user. The tunnel fills it in whatever a client says; many clients want to say something.
    pub user: String,
    /// Shown in `pg_stat_activity`, as `bsql:ada`.
    pub application_name: String,
}

impl Coordinates {
    /// The host and the port as libpq takes them: of a Unix socket, the directory and the end of the file's name.
    fn host_and_port(&self) -> (String, u16) {
        match &self.endpoint {
            Endpoint::Unix { dir, port } => (dir.display().to_string(), *port),
            Endpoint::Tcp(address) => (address.ip().to_string(), address.port()),
        }
    }

    /// A connection URI: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.
    pub fn uri(&self) -> String {
        match self.protocol {
            Protocol::Postgres => self.postgres_uri("postgresql"),
        }
    }

    /// A URL for `SQLAlchemy`, with the driver that is psycopg 3.
    pub fn sqlalchemy(&self) -> String {
        match self.protocol {
            Protocol::Postgres => self.postgres_uri("postgresql+psycopg"),
        }
    }

    fn postgres_uri(&self, scheme: &str) -> String {
        postgres_uri(scheme, &self.user, &self.database, &self.endpoint)
    }

    /// libpq's keywords and values, which Go's drivers take as well.
    pub fn keywords(&self) -> String {
        let (host, port) = self.host_and_port();
        match self.protocol {
            Protocol::Postgres => [
                ("host", host),
                ("port", port.to_string()),
                ("user", self.user.clone()),
                ("dbname", self.database.clone()),
                ("sslmode", "disable".to_owned()),
            ]
            .map(|(keyword, value)| format!("{keyword}={}", keyword_value(&value)))
            .join(" "),
        }
    }

    /// A JDBC URL. Java has no drivers for Unix sockets of its own.
    pub fn jdbc(&self) -> Result<String> {
        let Endpoint::Tcp(address) = &self.endpoint else {
            return Err(ErrorKind::Usage
                .error("JDBC cannot use a Unix socket")
                .hint("end the tunnel with `bsql stop`, and open it without --socket"));
        };
        let (user, database) = (escaped(&self.user), escaped(&self.database));
        Ok(match self.protocol {
            Protocol::Postgres => {
                format!("jdbc:postgresql://{address}/{database}?user={user}&sslmode=disable")
            }
        })
    }

    /// The environment variables that lead clients here, `DATABASE_URL` among them.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        match self.protocol {
            Protocol::Postgres => {
                let (user, database) = (&self.user, &self.database);
                let libpq = libpq(user, database, &self.application_name, &self.endpoint);
                let mut variables = Vec::from(libpq);
                variables.push(("DATABASE_URL", self.uri().into()));
                variables
            }
        }
    }
}

/// A connection URI of PostgreSQL's, with any of the schemes that its drivers have.
pub(super) fn postgres_uri(
    scheme: &str,
    user: &str,
    database: &str,
    endpoint: &Endpoint,
) -> String {
    let (user, database) = (escaped(user), escaped(database));
    match endpoint {
        Endpoint::Tcp(address) => {
            format!("{scheme}://{user}@{address}/{database}?sslmode=disable")
        }
        Endpoint::Unix { dir, port } => {
            let dir = escaped(&dir.to_string_lossy());
            format!("{scheme}://{user}@/{database}?host={dir}&port={port}&sslmode=disable")
        }
    }
}

/// Quoted where libpq wants it to be.
fn keyword_value(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && c != '\'' && c != '\\';
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: Endpoint) -> Coordinates {
        Coordinates {
            protocol: Protocol::Postgres,
            endpoint,
            database: "payments".to_owned(),
            user: "ada@acme.example".to_owned(),
            application_name: "bsql:ada@acme.example".to_owned(),
        }
    }

    fn port() -> Coordinates {
        at(Endpoint::Tcp(([127, 0, 0, 1], 15_432).into()))
    }

    fn socket() -> Coordinates {
        at(Endpoint::Unix {
            dir: "/run/user/7/bsql/payments".into(),
            port: 5432,
        })
    }

    #[test]
    fn each_in_its_own_words() {
        assert_eq!(
            port().uri(),
            "postgresql://ada%40acme.example@127.0.0.1:15432/payments?sslmode=disable"
        );
        assert_eq!(
            socket().uri(),
            "postgresql://ada%40acme.example@/payments?host=%2Frun%2Fuser%2F7%2Fbsql%2Fpayments&port=5432&sslmode=disable"
        );
        assert_eq!(
            port().keywords(),
            "host=127.0.0.1 port=15432 user=ada@acme.example dbname=payments sslmode=disable"
        );
        assert_eq!(
            port().jdbc().unwrap(),
            "jdbc:postgresql://127.0.0.1:15432/payments?user=ada%40acme.example&sslmode=disable"
        );
        assert_eq!(socket().jdbc().unwrap_err().kind(), ErrorKind::Usage);
        assert!(
            port()
                .sqlalchemy()
                .starts_with("postgresql+psycopg://ada%40acme.example@127.0.0.1:15432/")
        );
    }

    #[test]
    fn odd_names_stay_whole() {
        let mut odd = port();
        odd.database = "it's a\\b?".to_owned();
        assert!(odd.keywords().contains("dbname='it\\'s a\\\\b?'"));
        assert!(odd.uri().contains("/it%27s%20a%5Cb%3F?sslmode"));
    }

    #[test]
    fn the_url_is_one_of_the_variables() {
        let variables = socket().variables();
        assert_eq!(variables[0], ("PGHOST", "/run/user/7/bsql/payments".into()));
        assert_eq!(variables[7], ("DATABASE_URL", socket().uri().into()));
    }
}
