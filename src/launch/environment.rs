//! What a client's environment has: what was inherited, without what would lead it elsewhere, and where the tunnel is.

use std::ffi::{OsStr, OsString};

use super::coordinates::host_and_port;
use crate::tunnel::{Endpoint, Protocol};

/// libpq's variables that say how the person likes things, not where to go or as whom.
///
/// <https://www.postgresql.org/docs/current/libpq-envars.html>
const PREFERENCES: [&str; 8] = [
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATESTYLE",
    "PGGEQO",
    "PGLOCALEDIR",
    // Read-only still wins: the tunnel appends it.
    "PGOPTIONS",
    "PGSYSCONFDIR",
    "PGTZ",
];

/// What other clients read of where to go and with which password: `mysql`, `mycli`, `usql` and `sqlcmd`.
const LEAD_ELSEWHERE: [&str; 13] = [
    "DATABASE_URL",
    "DSN",
    "MYCLI_DSN",
    "MYSQL_DATABASE",
    "MYSQL_GROUP_SUFFIX",
    "MYSQL_HOST",
    "MYSQL_PWD",
    "MYSQL_TCP_PORT",
    "MYSQL_TEST_LOGIN_FILE",
    "MYSQL_UNIX_PORT",
    "MYSQL_USER",
    "USQL_DSN",
    "USQLPASS",
];

/// What a client is given of bsql's own environment.
pub(super) fn is_passed_on(name: &OsStr) -> bool {
    let ours = name
        .to_string_lossy()
        .to_ascii_uppercase()
        .starts_with("BSQL_");
    !leads_astray(name) && !ours
}

/// The password of a user that the tunnel does not sign in: the person's own business, and no way to anywhere.
pub fn is_password(name: &OsStr, protocol: Protocol) -> bool {
    match protocol {
        Protocol::Postgres | Protocol::MySql => false,
        Protocol::SqlServer => name == "SQLCMDPASSWORD",
    }
}

/// Whether a variable may lead a client elsewhere than to the tunnel. Every `PG…` that is no preference and every
/// `SQLCMD…` does, known or not: a new one must not lead astray before bsql has heard of it.
pub fn leads_astray(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    (name.starts_with("PG") && !PREFERENCES.contains(&name.as_str()))
        || name.starts_with("SQLCMD")
        || LEAD_ELSEWHERE.contains(&name.as_str())
}

/// For everything that is made with libpq, and for the drivers that read its variables.
pub(super) fn libpq(
    user: &str,
    database: &str,
    application_name: &str,
    endpoint: &Endpoint,
) -> [(&'static str, OsString); 7] {
    let (host, port) = host_and_port(endpoint);
    [
        ("PGHOST", host),
        ("PGPORT", port.to_string().into()),
        ("PGUSER", user.into()),
        ("PGDATABASE", database.into()),
        ("PGAPPNAME", application_name.into()),
        // The way to the tunnel does not leave this machine; the tunnel encrypts the rest.
        ("PGSSLMODE", "disable".into()),
        ("PGGSSENCMODE", "disable".into()),
    ]
}
