//! DBeaver takes a connection as an argument. It has no parameter for a colour: production is in the name and in a folder.
//!
//! <https://dbeaver.com/docs/dbeaver/Command-Line/>

use super::{Connection, Opening};
use crate::tunnel::Protocol;

pub(super) fn opening(connection: &Connection<'_>) -> Opening {
    let driver = match connection.protocol {
        Protocol::Postgres => "postgresql",
        Protocol::MySql => "mysql8",
        Protocol::SqlServer => "sqlserver",
    };
    let login = connection.login;
    let folder = if login.is_production() {
        "|folder=PRODUCTION"
    } else {
        ""
    };
    let spec = format!(
        "driver={driver}|name={}|host={}|port={}|database={}|user={}|savePassword=false{folder}|create=true|save=true|connect=true|openConsole=true",
        connection.title(),
        connection.address.ip(),
        connection.address.port(),
        harmless(&login.database),
        harmless(&login.user),
    );
    Opening::Arguments {
        paste: format!("dbeaver -con '{}'", spec.replace('\'', "'\\''")),
        args: vec!["-con".into(), spec.into()],
    }
}

/// `|` ends a parameter, and there is no way to write it.
fn harmless(value: &str) -> String {
    value.replace('|', "?")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{connection, production};
    use super::*;

    #[test]
    fn one_argument_says_all() {
        let login = production();
        let Opening::Arguments { args, paste } = opening(&connection(&login)) else {
            panic!("it is started");
        };
        let spec = "driver=postgresql|name=payments?????co?@production|host=127.0.0.1|port=15432|database=payments|user=ada@acme.example|savePassword=false|folder=PRODUCTION|create=true|save=true|connect=true|openConsole=true";
        assert_eq!(args, ["-con", &spec.replace("?????", "????")]);
        assert!(paste.starts_with("dbeaver -con 'driver="));
    }
}
