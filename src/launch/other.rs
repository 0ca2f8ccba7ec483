//! What any other program is told: in its arguments, wherever these have a template.

use std::ffi::OsString;
use std::path::Path;

use super::Login;
use super::coordinates::{self, host_and_port};
use crate::tunnel::{Endpoint, Protocol};

/// The endpoint as a URL, as most drivers take it. No password: the tunnel signs in.
pub fn url(protocol: Protocol, login: &Login, endpoint: &Endpoint) -> String {
    coordinates::uri(protocol, &login.user, &login.database, endpoint)
}

/// `usql` takes a URL, and on a socket one of its own: <https://github.com/xo/dburl#dsn-building>. A path without
/// `+unix` is the socket's directory to it, and it does not know the parameters `host` and `socket`.
pub(super) fn usql_url(protocol: Protocol, login: &Login, endpoint: &Endpoint) -> String {
    let path = |path: &Path| {
        let text = path.to_string_lossy();
        let parts: Vec<String> = text.split('/').map(escaped).collect();
        parts.join("/")
    };
    let (user, database) = (escaped(&login.user), escaped(&login.database));
    match (protocol, endpoint) {
        (_, Endpoint::Tcp(_)) => url(protocol, login, endpoint),
        (_, Endpoint::Unix { dir, port }) => {
            let dir = path(dir);
            format!("postgres+unix://{user}@{dir}:{port}/{database}?sslmode=disable")
        }
        (_, Endpoint::SocketFile(file)) => {
            format!("mysql+unix://{user}@{}/{database}", path(file))
        }
    }
}

/// `{host}`, `{port}`, `{user}`, `{database}`, `{url}` and `{socket}`, wherever they are in an argument. On a socket
/// `{host}` is its directory, as libpq wants it; on a port `{socket}` is empty. Every other brace is left alone.
pub(super) fn filled_in(
    args: &[OsString],
    protocol: Protocol,
    login: &Login,
    endpoint: &Endpoint,
) -> Vec<OsString> {
    let (host, port) = match endpoint {
        // To MySQL's clients that is the socket.
        Endpoint::SocketFile(_) => ("localhost".to_owned(), String::new()),
        Endpoint::Unix { .. } | Endpoint::Tcp(_) => {
            let (host, port) = host_and_port(endpoint);
            (host.to_string_lossy().into_owned(), port.to_string())
        }
    };
    let socket = endpoint.socket_file().unwrap_or_default();
    let values = [
        ("{host}", host),
        ("{port}", port),
        ("{user}", login.user.clone()),
        ("{database}", login.database.clone()),
        ("{url}", url(protocol, login, endpoint)),
        ("{socket}", socket.to_string_lossy().into_owned()),
    ];
    let fill = |arg: &OsString| match arg.to_str() {
        Some(text) if text.contains('{') => fill(text, &values).into(),
        // What is not text has no template.
        _ => arg.clone(),
    };
    args.iter().map(fill).collect()
}

/// One pass: a value that looks like a template is not filled in again.
fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, value)) = values.iter().find(|(name, _)| rest.starts_with(name)) {
            filled.push_str(value);
            rest = &rest[name.len()..];
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}

/// Percent-encoded but for RFC 3986's unreserved characters, so that it is safe anywhere in a URL.
pub(super) fn escaped(text: &str) -> String {
    use std::fmt::Write as _;

    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::client::tests::{ada, socket};
    use super::*;

    #[test]
    fn urls_by_database_and_endpoint() {
        let tcp = Endpoint::Tcp("127.0.0.1:15432".parse().unwrap());
        let v6 = Endpoint::Tcp("[::1]:15432".parse().unwrap());
        for (protocol, endpoint, expected) in [
            (
                Protocol::Postgres,
                &tcp,
                "postgresql://ada%40acme.example@127.0.0.1:15432/payments?sslmode=disable",
            ),
            (
                Protocol::Postgres,
                &v6,
                "postgresql://ada%40acme.example@[::1]:15432/payments?sslmode=disable",
            ),
            (
                Protocol::MySql,
                &tcp,
                "mysql://ada%40acme.example@127.0.0.1:15432/payments",
            ),
            (
                Protocol::SqlServer,
                &tcp,
                "sqlserver://ada%40acme.example@127.0.0.1:15432?database=payments&encrypt=false&TrustServerCertificate=true",
            ),
        ] {
            assert_eq!(url(protocol, &ada(), endpoint), expected);
        }
        assert_eq!(
            usql_url(Protocol::Postgres, &ada(), &socket()),
            "postgres+unix://ada%40acme.example@/run/user/1000/bsql/7-abcDEF:5432/payments?sslmode=disable"
        );
        let file = Endpoint::SocketFile("/run/ada's/mysql.sock".into());
        assert_eq!(
            usql_url(Protocol::MySql, &ada(), &file),
            "mysql+unix://ada%40acme.example@/run/ada%27s/mysql.sock/payments"
        );
        assert_eq!(
            usql_url(Protocol::MySql, &ada(), &tcp),
            "mysql://ada%40acme.example@127.0.0.1:15432/payments"
        );
    }

    #[test]
    fn templates_are_filled_in_once_and_other_braces_are_left() {
        let login = Login {
            database: "{user}".to_owned(),
            ..ada()
        };
        let args = [
            "{host}:{port}",
            "{database}",
            "--json={\"a\":{}}",
            "{socket}",
            "{hos",
            "{HOST}{",
        ]
        .map(OsString::from);
        assert_eq!(
            filled_in(&args, Protocol::Postgres, &login, &socket()),
            [
                "/run/user/1000/bsql/7-abcDEF:5432",
                "{user}",
                "--json={\"a\":{}}",
                "/run/user/1000/bsql/7-abcDEF/.s.PGSQL.5432",
                "{hos",
                "{HOST}{",
            ]
        );
        let tcp = Endpoint::Tcp("127.0.0.1:15432".parse().unwrap());
        assert_eq!(
            filled_in(&args[..1], Protocol::Postgres, &login, &tcp),
            ["127.0.0.1:15432"]
        );
    }
}
