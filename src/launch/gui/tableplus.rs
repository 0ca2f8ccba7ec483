//! `TablePlus` opens URLs, with more about the connection in the query, as its own "Copy as URL" writes them.
//!
//! <https://tableplus.com/docs/gui-tools/manage-connections>

use super::{Connection, Opening, RED};
use crate::launch::other::escaped;
use crate::tunnel::Protocol;

/// Its own for connections without one.
const PLAIN: &str = "F8F8F8";

pub(super) fn opening(connection: &Connection<'_>) -> Opening {
    let login = connection.login;
    let scheme = match connection.protocol {
        Protocol::Postgres => "postgresql",
        Protocol::MySql => "mysql",
        Protocol::SqlServer => "sqlserver",
    };
    let environment = login.environment.as_deref().unwrap_or_default();
    let (color, env, safe_mode) = if login.is_production() {
        // Its third level asks before it writes.
        (RED, "production", 3)
    } else {
        let known = match environment {
            "staging" => "staging",
            "testing" | "test" => "testing",
            "development" | "dev" => "development",
            _ => "local",
        };
        (PLAIN, known, 0)
    };
    let safe_mode = if login.read_only { 3 } else { safe_mode };
    Opening::Url(format!(
        "{scheme}://{}@{}/{}?statusColor={color}&env={env}&name={}&tLSMode=0&usePrivateKey=false&safeModeLevel={safe_mode}",
        escaped(&login.user),
        connection.address,
        escaped(&login.database),
        escaped(&connection.title()),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::client::tests::ada;
    use super::super::tests::{connection, production};
    use super::*;

    #[test]
    fn production_is_red_and_asks() {
        let login = production();
        let Opening::Url(url) = opening(&connection(&login)) else {
            panic!("it is a URL");
        };
        assert!(url.starts_with(
            "postgresql://ada%40acme.example@127.0.0.1:15432/payments?statusColor=B3261E&env=production&name=payments"
        ));
        assert!(url.ends_with("&safeModeLevel=3"));
        let login = ada();
        let Opening::Url(url) = opening(&connection(&login)) else {
            panic!("it is a URL");
        };
        assert!(url.contains("statusColor=F8F8F8&env=staging") && url.ends_with("Level=0"));
    }
}
