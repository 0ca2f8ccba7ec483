//! What any other program is told: in its arguments, wherever these have a template.

use std::ffi::OsString;

use super::coordinates::postgres_uri;
use super::mysql::socket_file;
use super::{Dialect, Login};
use crate::tunnel::Endpoint;

/// The endpoint as a URL, as most drivers take it. No password: the tunnel signs in.
///
/// For PostgreSQL as in <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.
pub fn url(dialect: Dialect, login: &Login, endpoint: &Endpoint) -> String {
    let scheme = dialect.scheme();
    if dialect == Dialect::Postgres {
        return postgres_uri(scheme, &login.user, &login.database, endpoint);
    }
    let user = escaped(&login.user);
    let database = escaped(&login.database);
    match endpoint {
        Endpoint::Unix { .. } => {
            let file = socket_file(endpoint).unwrap_or_default();
            let file = escaped(&file.to_string_lossy());
            format!("{scheme}://{user}@localhost/{database}?socket={file}")
        }
        Endpoint::Tcp(address) if dialect == Dialect::SqlServer => {
            format!("{scheme}://{user}@{address}?database={database}")
        }
        Endpoint::Tcp(address) => format!("{scheme}://{user}@{address}/{database}"),
    }
}

/// `usql` takes a URL. For PostgreSQL on a socket its drivers read the rest from libpq's environment, because the URL's
/// `host` is not what they listen to.
pub(super) fn usql_url(dialect: Dialect, login: &Login, endpoint: &Endpoint) -> String {
    match (dialect, endpoint) {
        (Dialect::Postgres, Endpoint::Unix { .. }) => {
            format!("postgres:///{}?sslmode=disable", escaped(&login.database))
        }
        _ => url(dialect, login, endpoint),
    }
}

/// `{host}`, `{port}`, `{user}`, `{database}`, `{url}` and `{socket}`, wherever they are in an argument. On a socket
/// `{host}` is its directory, as libpq wants it; on a port `{socket}` is empty. Every other brace is left alone.
pub(super) fn filled_in(
    args: &[OsString],
    dialect: Dialect,
    login: &Login,
    endpoint: &Endpoint,
) -> Vec<OsString> {
    let (host, port) = match endpoint {
        Endpoint::Unix { dir, port } => (dir.to_string_lossy().into_owned(), port.to_string()),
        Endpoint::Tcp(address) => (address.ip().to_string(), address.port().to_string()),
    };
    let socket = socket_file(endpoint).unwrap_or_default();
    let values = [
        ("{host}", host),
        ("{port}", port),
        ("{user}", login.user.clone()),
        ("{database}", login.database.clone()),
        ("{url}", url(dialect, login, endpoint)),
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
        for (dialect, endpoint, expected) in [
            (
                Dialect::Postgres,
                &tcp,
                "postgresql://ada%40acme.example@127.0.0.1:15432/payments?sslmode=disable",
            ),
            (
                Dialect::Postgres,
                &v6,
                "postgresql://ada%40acme.example@[::1]:15432/payments?sslmode=disable",
            ),
            (
                Dialect::Mysql,
                &tcp,
                "mysql://ada%40acme.example@127.0.0.1:15432/payments",
            ),
            (
                Dialect::Mysql,
                &socket(),
                "mysql://ada%40acme.example@localhost/payments?socket=%2Frun%2Fuser%2F1000%2Fbsql%2F7-abcDEF%2F.s.PGSQL.5432",
            ),
            (
                Dialect::SqlServer,
                &tcp,
                "sqlserver://ada%40acme.example@127.0.0.1:15432?database=payments",
            ),
        ] {
            assert_eq!(url(dialect, &ada(), endpoint), expected);
        }
        assert_eq!(
            usql_url(Dialect::Postgres, &ada(), &socket()),
            "postgres:///payments?sslmode=disable"
        );
        assert_eq!(
            usql_url(Dialect::Mysql, &ada(), &tcp),
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
            filled_in(&args, Dialect::Postgres, &login, &socket()),
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
            filled_in(&args[..1], Dialect::Postgres, &login, &tcp),
            ["127.0.0.1:15432"]
        );
    }
}
