//! What `mysql`, `mariadb` and `mycli` are told.
//!
//! No password: the tunnel signs in. So a password in `~/.my.cnf` is not sent either, and for a user that has one the client
//! asks.

use std::ffi::OsString;

use super::coordinates::Way;
use super::{Flavour, Login};
use crate::tunnel::Endpoint;

/// Where to go and as whom, and a prompt that says where one is.
///
/// <https://dev.mysql.com/doc/refman/8.4/en/mysql-command-options.html>,
/// <https://mariadb.com/kb/en/mariadb-command-line-client/>, `mycli --help`
pub(super) fn args(flavour: Flavour, login: &Login, endpoint: &Endpoint) -> Vec<OsString> {
    let option =
        |name: &str, value: &dyn std::fmt::Display| OsString::from(format!("--{name}={value}"));
    let (mut args, protocol) = match endpoint.into() {
        Way::Port(address) => {
            let args = vec![
                option("host", &address.ip()),
                option("port", &address.port()),
            ];
            (args, "tcp")
        }
        Way::File(file) => {
            let mut socket = OsString::from("--socket=");
            socket.push(file);
            (vec![socket], "socket")
        }
    };
    args.push(option("user", &login.user));
    if !login.database.is_empty() {
        args.push(option("database", &login.database));
    }
    let read_only = if login.read_only { " (read-only)" } else { "" };
    args.push(option("prompt", &format!("{}{read_only}> ", login.label())));
    match flavour {
        // "localhost" and an address mean different things to them: the protocol is said.
        Flavour::Mysql | Flavour::Mariadb => {
            args.push(option("protocol", &protocol));
            args.push(if login.asks_password {
                "--password".into()
            } else {
                "--skip-password".into()
            });
            // The way to the tunnel does not leave this machine; the tunnel encrypts the rest.
            args.push(match flavour {
                Flavour::Mysql => "--ssl-mode=DISABLED".into(),
                _ => "--skip-ssl".into(),
            });
        }
        // It asks for one only if it is refused without.
        _ => {}
    }
    args
}

#[cfg(test)]
mod tests {
    use super::super::client::tests::{ada, socket};
    use super::*;

    #[test]
    fn each_is_told_in_its_own_words() {
        let tcp = Endpoint::Tcp("127.0.0.1:13306".parse().unwrap());
        let here = [
            "--user=ada@acme.example",
            "--database=payments",
            "--prompt=payments-staging> ",
        ];
        let unix = "--socket=/run/user/1000/bsql/7-abcDEF/.s.PGSQL.5432";
        let by_socket = |flavour| args(flavour, &ada(), &socket());
        let by_tcp = |flavour| args(flavour, &ada(), &tcp);
        let start = [unix, here[0], here[1], here[2]];
        let end = ["--protocol=socket", "--skip-password"];
        assert_eq!(
            by_socket(Flavour::Mysql),
            [&start[..], &end, &["--ssl-mode=DISABLED"]].concat()
        );
        assert_eq!(
            by_socket(Flavour::Mariadb),
            [&start[..], &end, &["--skip-ssl"]].concat()
        );
        assert_eq!(by_socket(Flavour::Mycli), start);
        assert_eq!(
            by_tcp(Flavour::Mysql),
            [
                "--host=127.0.0.1",
                "--port=13306",
                here[0],
                here[1],
                here[2],
                "--protocol=tcp",
                "--skip-password",
                "--ssl-mode=DISABLED"
            ]
        );
    }

    #[test]
    fn production_says_so() {
        let login = Login {
            name: "payments".to_owned(),
            environment: Some("production".to_owned()),
            read_only: true,
            ..ada()
        };
        let args = args(Flavour::Mysql, &login, &socket());
        assert!(args.contains(&"--prompt=payments@production (read-only)> ".into()));
    }

    #[test]
    fn a_user_with_a_password_is_asked_for_it_and_no_database_is_none() {
        let login = Login {
            asks_password: true,
            database: String::new(),
            ..ada()
        };
        let args = args(Flavour::Mariadb, &login, &socket());
        assert!(args.contains(&"--password".into()), "{args:?}");
        let shown = format!("{args:?}");
        assert!(
            !shown.contains("skip-password") && !shown.contains("database"),
            "{shown}"
        );
    }
}
