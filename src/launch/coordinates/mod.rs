//! How to reach a tunnel, in the words of each kind of client. Nothing of it is secret: the tunnel signs everybody in.
//!
//! Whatever differs between databases is a `match` on [`Protocol`], so that the compiler finds every place.

mod mysql;
mod postgres;
mod sqlserver;

pub(super) use mysql::Way;
pub(super) use postgres::host_and_port;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{ErrorKind, Result};
use crate::tunnel::{Endpoint, Protocol};

/// Where a database is for programs of this machine, and who one is there.
#[derive(Debug, Clone)]
pub struct Coordinates {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where the tunnel listens.
    pub endpoint: Endpoint,
    /// The database within the instance. May be empty: MySQL needs none.
    pub database: String,
    /// The database user. The tunnel fills it in whatever a client says, but for SQL Server; many clients want to say
    /// something.
    pub user: String,
    /// What the server shows of where a session comes from, as `bsql:ada`.
    pub application_name: String,
    /// The file with the authority that vouches for the tunnel, if that speaks TLS.
    pub authority: Option<PathBuf>,
}

impl Coordinates {
    /// A connection URI.
    pub fn uri(&self) -> String {
        let uri = uri(self.protocol, &self.user, &self.database, &self.endpoint);
        let authority = self.authority.as_deref();
        match self.protocol {
            Protocol::Postgres => postgres::verified(uri, authority),
            Protocol::MySql => mysql::verified(uri, authority),
            Protocol::SqlServer => uri,
        }
    }

    /// A URL for `SQLAlchemy`, with the driver that is psycopg 3, `PyMySQL` or pyodbc.
    pub fn sqlalchemy(&self) -> String {
        match self.protocol {
            Protocol::Postgres => postgres::sqlalchemy(self),
            Protocol::MySql => mysql::sqlalchemy(self),
            Protocol::SqlServer => sqlserver::sqlalchemy(self),
        }
    }

    /// Keywords and values: libpq's, those of MySQL's option files, and those of ODBC and ADO.NET.
    pub fn keywords(&self) -> String {
        match self.protocol {
            Protocol::Postgres => postgres::keywords(self),
            Protocol::MySql => mysql::keywords(self),
            Protocol::SqlServer => sqlserver::keywords(self),
        }
    }

    /// What Go's drivers take: pgx and lib/pq, go-sql-driver/mysql, and go-mssqldb.
    pub fn go(&self) -> String {
        match self.protocol {
            Protocol::Postgres => postgres::keywords(self),
            Protocol::MySql => mysql::go(self),
            Protocol::SqlServer => self.uri(),
        }
    }

    /// A JDBC URL. Java has no drivers for Unix sockets of its own.
    pub fn jdbc(&self) -> Result<String> {
        let Endpoint::Tcp(address) = &self.endpoint else {
            return Err(ErrorKind::Usage
                .error("JDBC cannot use a Unix socket")
                .hint("end the tunnel with `bsql stop`, and open it without --socket"));
        };
        Ok(match self.protocol {
            Protocol::Postgres => postgres::jdbc(self, *address),
            Protocol::MySql => mysql::jdbc(self, *address),
            Protocol::SqlServer => sqlserver::jdbc(self, *address),
        })
    }

    /// The environment variables that lead clients here, `DATABASE_URL` among them.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = match self.protocol {
            Protocol::Postgres => postgres::variables(self),
            Protocol::MySql => mysql::variables(self),
            Protocol::SqlServer => sqlserver::variables(self),
        };
        variables.push(("DATABASE_URL", self.uri().into()));
        variables
    }

    /// The command that opens a prompt with the protocol's usual client, for people to copy.
    pub fn command(&self) -> String {
        match self.protocol {
            Protocol::Postgres => format!("psql '{}'", self.keywords()),
            Protocol::MySql => mysql::command(self),
            Protocol::SqlServer => sqlserver::command(self),
        }
    }
}

/// A connection URI, as most drivers take it. No password: the tunnel signs in.
pub(super) fn uri(protocol: Protocol, user: &str, database: &str, endpoint: &Endpoint) -> String {
    match protocol {
        Protocol::Postgres => postgres::uri("postgresql", user, database, endpoint),
        Protocol::MySql => mysql::uri(user, database, endpoint),
        Protocol::SqlServer => sqlserver::uri(user, database, endpoint),
    }
}

/// Quoted where a value would not be one word, as libpq and option files want it.
fn keyword_value(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && c != '\'' && c != '\\';
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `keyword=value` of each, one word.
fn words(pairs: &[(&str, String)]) -> String {
    let words: Vec<String> = pairs
        .iter()
        .map(|(keyword, value)| format!("{keyword}={}", keyword_value(value)))
        .collect();
    words.join(" ")
}

/// One word of a shell's.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@,=+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn at(protocol: Protocol, endpoint: Endpoint) -> Coordinates {
        Coordinates {
            protocol,
            endpoint,
            database: "payments".to_owned(),
            user: "ada@acme.example".to_owned(),
            application_name: "bsql:ada@acme.example".to_owned(),
            authority: None,
        }
    }

    pub(super) fn port(protocol: Protocol) -> Coordinates {
        at(protocol, Endpoint::Tcp(([127, 0, 0, 1], 15_432).into()))
    }

    #[test]
    fn java_has_no_sockets() {
        let file = || Endpoint::SocketFile("/run/bsql/mysql.sock".into());
        for protocol in [Protocol::Postgres, Protocol::MySql, Protocol::SqlServer] {
            let error = at(protocol, file()).jdbc().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(port(protocol).jdbc().unwrap().starts_with("jdbc:"));
        }
    }

    #[test]
    fn the_url_is_one_of_the_variables() {
        for protocol in [Protocol::Postgres, Protocol::MySql, Protocol::SqlServer] {
            let here = port(protocol);
            let variables = here.variables();
            assert!(variables.contains(&("DATABASE_URL", here.uri().into())));
        }
    }

    #[test]
    fn words_of_a_shell_stay_whole() {
        for (text, expected) in [
            ("--host=127.0.0.1", "--host=127.0.0.1"),
            ("", "''"),
            ("it's $(id)", r"'it'\''s $(id)'"),
        ] {
            assert_eq!(shell_word(text), expected);
        }
    }
}
