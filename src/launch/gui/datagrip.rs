//! `DataGrip` imports data sources from the clipboard, in the form in which it copies them: "Copy Settings". The colour is not
//! part of that; production is in the name, and read-only is.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

use super::{Connection, Opening};
use crate::tunnel::Protocol;

pub(super) fn opening(connection: &Connection<'_>) -> Opening {
    let (driver, class) = match connection.protocol {
        Protocol::Postgres => ("postgresql", "org.postgresql.Driver"),
        Protocol::MySql => ("mysql.8", "com.mysql.cj.jdbc.Driver"),
        Protocol::SqlServer => (
            "sqlserver.ms",
            "com.microsoft.sqlserver.jdbc.SQLServerDriver",
        ),
    };
    let login = connection.login;
    let name = connection.title();
    let read_only = if login.read_only {
        " read-only=\"true\""
    } else {
        ""
    };
    let text = format!(
        "#DataSourceSettings#\n#LocalDataSource: {name}\n#BEGIN#\n\
        <data-source source=\"LOCAL\" name=\"{}\" uuid=\"{}\"{read_only}>\
        <driver-ref>{driver}</driver-ref><synchronize>true</synchronize><jdbc-driver>{class}</jdbc-driver>\
        <jdbc-url>{}</jdbc-url><user-name>{}</user-name></data-source>\n#END#\n",
        escaped(&name),
        uuid(&name),
        escaped(&connection.jdbc_url()),
        escaped(&login.user),
    );
    Opening::Text {
        text,
        place: "in the Database Explorer: + > Import from Clipboard; the authentication is \"No auth\"",
        file_name: None,
    }
}

/// The same for the same database, so that it is one data source however often it is imported.
fn uuid(name: &str) -> String {
    let hash = digest(&SHA256, format!("bsql {name}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    // RFC 9562, version 8: of the program's own making.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut uuid = String::new();
    for (nth, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&nth) {
            uuid.push('-');
        }
        let _ = write!(uuid, "{byte:02x}");
    }
    uuid
}

/// For XML, in text and in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{connection, production};
    use super::*;
    use crate::launch::Login;

    #[test]
    fn a_data_source_for_the_clipboard() {
        let login = Login {
            read_only: true,
            user: "a&b".to_owned(),
            ..production()
        };
        let Opening::Text { text, .. } = opening(&connection(&login)) else {
            panic!("it is pasted");
        };
        assert!(text.starts_with("#DataSourceSettings#\n#LocalDataSource: payments"));
        assert!(text.contains(" read-only=\"true\">"));
        assert!(text.contains("<user-name>a&amp;b</user-name>"));
        assert!(text.contains(
            "<jdbc-url>jdbc:postgresql://127.0.0.1:15432/payments?sslmode=disable</jdbc-url>"
        ));
        assert!(text.ends_with("#END#\n"));
    }

    #[test]
    fn the_same_database_is_the_same_data_source() {
        assert_eq!(uuid("payments"), uuid("payments"));
        assert_ne!(uuid("payments"), uuid("ledger"));
        let uuid = uuid("payments");
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"), "{uuid}");
    }
}
