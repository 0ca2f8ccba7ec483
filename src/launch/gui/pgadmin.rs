//! pgAdmin imports servers from a JSON file, colours among them.
//!
//! <https://www.pgadmin.org/docs/pgadmin4/latest/import_export_servers.html>

use serde_json::json;

use super::{Connection, Opening, RED};

pub(super) fn opening(connection: &Connection<'_>) -> Opening {
    let login = connection.login;
    let mut server = json!({
        "Name": connection.title(),
        "Group": if login.is_production() { "bsql PRODUCTION" } else { "bsql" },
        "Host": connection.address.ip().to_string(),
        "Port": connection.address.port(),
        "MaintenanceDB": login.database,
        "Username": login.user,
        "Comment": "through the tunnel of `bsql open`",
        // Before version 7, and since.
        "SSLMode": "disable",
        "ConnectionParameters": { "sslmode": "disable", "connect_timeout": 10 },
    });
    if login.is_production() {
        server["BGColor"] = format!("#{RED}").into();
        server["FGColor"] = "#FFFFFF".into();
    }
    let servers = json!({ "Servers": { "1": server } });
    Opening::Text {
        text: format!("{servers:#}\n"),
        place: "in Tools > Import/Export Servers, or: python setup.py load-servers FILE",
        file_name: Some(format!(
            "{}.json",
            login.label().replace(['/', ':', '@'], "-")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{connection, production};
    use super::*;

    #[test]
    fn a_server_in_red() {
        let login = production();
        let Opening::Text {
            text, file_name, ..
        } = opening(&connection(&login))
        else {
            panic!("it is a file");
        };
        let servers: serde_json::Value = serde_json::from_str(&text).unwrap();
        let server = &servers["Servers"]["1"];
        assert_eq!(server["BGColor"], "#B3261E");
        assert_eq!(
            (server["Port"].as_u64(), server["Host"].as_str()),
            (Some(15432), Some("127.0.0.1"))
        );
        let name = file_name.unwrap();
        assert!(
            name.ends_with("-production.json") && !name.contains('/'),
            "{name}"
        );
    }
}
