//! In the words of SQL Server's clients. They dial ports alone, and ask for the password themselves.
//!
//! None of them is to check a certificate: the way to the tunnel does not leave this machine, and the tunnel encrypts the
//! rest. (A log-in is encrypted all the same, with whatever certificate the server has.)

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};

use super::{Coordinates, shell_word};
use crate::launch::other::escaped;
use crate::tunnel::Endpoint;

/// Where the tunnel listens. It never listens anywhere but at a port; port 0 is one that nobody can dial.
fn address(endpoint: &Endpoint) -> SocketAddr {
    match endpoint {
        Endpoint::Tcp(address) => *address,
        Endpoint::Unix { .. } | Endpoint::SocketFile(_) => (Ipv4Addr::LOCALHOST, 0).into(),
    }
}

/// As `SqlClient`, ODBC and `sqlcmd` name a server.
fn server(endpoint: &Endpoint) -> String {
    let address = address(endpoint);
    format!("tcp:{},{}", address.ip(), address.port())
}

/// As go-mssqldb, and so usql and the newer `sqlcmd`, take it:
/// <https://github.com/microsoft/go-mssqldb#the-connection-string-can-be-specified-in-one-of-three-formats>.
pub(super) fn uri(user: &str, database: &str, endpoint: &Endpoint) -> String {
    let (user, database) = (escaped(user), escaped(database));
    let address = address(endpoint);
    format!(
        "sqlserver://{user}@{address}?database={database}&encrypt=false&TrustServerCertificate=true"
    )
}

/// <https://docs.sqlalchemy.org/en/20/dialects/mssql.html#hostname-connections>
pub(super) fn sqlalchemy(here: &Coordinates) -> String {
    let (user, database) = (escaped(&here.user), escaped(&here.database));
    let address = address(&here.endpoint);
    format!(
        "mssql+pyodbc://{user}@{address}/{database}?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=no&TrustServerCertificate=yes"
    )
}

/// The names that ODBC and ADO.NET have in common:
/// <https://learn.microsoft.com/sql/connect/odbc/dsn-connection-string-attribute>.
pub(super) fn keywords(here: &Coordinates) -> String {
    [
        ("Server", server(&here.endpoint)),
        ("Database", here.database.clone()),
        ("UID", here.user.clone()),
        ("Encrypt", "no".to_owned()),
        ("TrustServerCertificate", "yes".to_owned()),
    ]
    .map(|(keyword, value)| format!("{keyword}={}", keyword_value(&value)))
    .join(";")
}

/// In braces where a value would not end where it does.
fn keyword_value(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.@:,".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    format!("{{{}}}", value.replace('}', "}}"))
}

/// <https://learn.microsoft.com/sql/connect/jdbc/building-the-connection-url>
pub(super) fn jdbc(here: &Coordinates, address: SocketAddr) -> String {
    let (user, database) = (keyword_value(&here.user), keyword_value(&here.database));
    format!(
        "jdbc:sqlserver://{address};databaseName={database};user={user};encrypt=false;trustServerCertificate=true"
    )
}

/// <https://learn.microsoft.com/sql/tools/sqlcmd/sqlcmd-use-scripting-variables>
pub(super) fn variables(here: &Coordinates) -> Vec<(&'static str, OsString)> {
    vec![
        ("SQLCMDSERVER", server(&here.endpoint).into()),
        ("SQLCMDUSER", here.user.clone().into()),
        ("SQLCMDDBNAME", here.database.clone().into()),
    ]
}

pub(super) fn command(here: &Coordinates) -> String {
    let words = [&server(&here.endpoint), &here.database, &here.user].map(|word| shell_word(word));
    let [server, database, user] = words;
    format!("sqlcmd -S {server} -d {database} -U {user} -C")
}

#[cfg(test)]
mod tests {
    use super::super::tests::port;
    use super::*;
    use crate::tunnel::Protocol;

    fn app() -> Coordinates {
        Coordinates {
            user: "app".to_owned(),
            database: "warehouse".to_owned(),
            ..port(Protocol::SqlServer)
        }
    }

    #[test]
    fn each_in_its_own_words() {
        let here = app();
        assert_eq!(
            here.uri(),
            "sqlserver://app@127.0.0.1:15432?database=warehouse&encrypt=false&TrustServerCertificate=true"
        );
        assert_eq!(here.go(), here.uri());
        assert_eq!(
            here.sqlalchemy(),
            "mssql+pyodbc://app@127.0.0.1:15432/warehouse?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=no&TrustServerCertificate=yes"
        );
        assert_eq!(
            here.keywords(),
            "Server=tcp:127.0.0.1,15432;Database=warehouse;UID=app;Encrypt=no;TrustServerCertificate=yes"
        );
        assert_eq!(
            here.jdbc().unwrap(),
            "jdbc:sqlserver://127.0.0.1:15432;databaseName=warehouse;user=app;encrypt=false;trustServerCertificate=true"
        );
        assert_eq!(
            here.command(),
            "sqlcmd -S tcp:127.0.0.1,15432 -d warehouse -U app -C"
        );
        assert_eq!(
            here.variables()[..3],
            [
                ("SQLCMDSERVER", "tcp:127.0.0.1,15432".into()),
                ("SQLCMDUSER", "app".into()),
                ("SQLCMDDBNAME", "warehouse".into()),
            ]
        );
    }

    #[test]
    fn odd_names_stay_whole() {
        let odd = Coordinates {
            database: "a;Encrypt=yes}".to_owned(),
            ..app()
        };
        let quoted = "{a;Encrypt=yes}}}";
        assert!(odd.keywords().contains(&format!("Database={quoted};UID")));
        assert!(
            odd.jdbc()
                .unwrap()
                .contains(&format!("databaseName={quoted};user"))
        );
        assert!(odd.uri().contains("database=a%3BEncrypt%3Dyes%7D&"));
    }
}
