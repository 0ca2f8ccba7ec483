//! Who may use the local end, and what other programs are told of it: `env`, `dsn`, `token`.

#![cfg(unix)]

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::connect::wait_until;
use crate::support::{TestEnv, World, world::psql};
use crate::tunnel::{Background, open, port};

const NOBODY: u32 = 65_534;

/// Needs root, to become somebody else.
#[cfg(target_os = "linux")]
#[test]
fn another_user_is_turned_away_and_that_is_recorded() {
    let Some(psql) = psql().filter(|_| rustix::process::geteuid().is_root()) else {
        eprintln!("skipped: needs root, to dial in as somebody else, and psql");
        return;
    };
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    env.bsql(&["tunnel", "-d", "payments-staging"]).succeeds();
    let tunnel = &open(&env)[0];
    let dsn = format!(
        "host=127.0.0.1 port={} dbname=payments user=ada sslmode=disable",
        port(tunnel)
    );
    let knock = |uid: u32| {
        Command::new(&psql)
            .args(["-X", "-At", &dsn, "-c", "select 1"])
            .env_clear()
            .uid(uid)
            .current_dir("/")
            .output()
            .unwrap()
    };
    let us = rustix::process::geteuid().as_raw();
    assert_eq!(knock(us).stdout, b"1\n");
    let refused = knock(NOBODY);
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("server closed the connection"), "{said}");
    let counts = &open(&env)[0]["connections"];
    assert_eq!(
        (&counts["served"], &counts["refused"]),
        (&1.into(), &1.into())
    );

    let refusal = || {
        let list = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
        let records = list["records"].as_array().unwrap().clone();
        records
            .into_iter()
            .find(|record| record["event"] == "refused")
    };
    wait_until(|| refusal().is_some());
    let refusal = refusal().unwrap();
    assert_eq!(refusal["message"], "turned away user 65534");
    assert_eq!(refusal["kind"], "denied");
    assert_eq!(refusal["entity"], "resource:default/payments-staging");
    let list = env.bsql(&["audit", "list"]).succeeds();
    assert!(list.stdout.contains("denied"), "{list}");
    let log = env.bsql(&["logs", "payments-staging"]).succeeds();
    assert!(
        log.stdout
            .contains("refused a connection of another user stranger=user 65534"),
        "{log}"
    );
    env.bsql(&["stop", "--all"]).succeeds();
    let list = env.bsql(&["audit", "list"]).succeeds();
    assert!(list.stdout.contains("exit 0, 1 refused"), "{list}");
}

/// Says the first words of every protocol to a port or to a socket's file, and prints what comes of it.
#[cfg(target_os = "linux")]
const KNOCK: &str = r#"
use IO::Socket::INET;
use IO::Socket::UNIX;
my ($place, $words) = @ARGV;
my $door = $place =~ m{^/} ? IO::Socket::UNIX->new(Peer => $place) : IO::Socket::INET->new($place);
die "no connection: $!\n" unless $door;
$door->syswrite(pack "H*", $words);
$door->sysread(my $answer, 1024);
print unpack "H*", $answer // "";
"#;

/// A tunnel of each engine, at a port and at a socket that somebody has opened to everybody: its file's permissions are not
/// all that there is. Needs root, to become somebody else.
#[cfg(target_os = "linux")]
#[test]
fn strangers_get_nothing_out_of_any_engine() {
    use std::os::unix::fs::PermissionsExt as _;

    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root, to dial in as somebody else");
        return;
    }
    let everybody = |file: &std::path::Path| {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    let apart = Command::new("unshare").args(["-n", "true"]).status();
    let has_namespaces = apart.is_ok_and(|apart| apart.success());
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    // Where the other user can go.
    let dir = tempfile::tempdir().unwrap();
    everybody(dir.path());
    // A request for TLS, nothing because the server begins, and a PRELOGIN.
    let (postgres, mysql, sql_server) = ("0000000804d2162f", "", "120100090000010000ff");
    let mut engines = vec![("payments-staging", postgres, &[][..], true)];
    if crate::support::mariadb::is_installed() {
        engines.push(("storefront-staging", mysql, &[], true));
    }
    // Its clients have no sockets.
    engines.push(("warehouse-staging", sql_server, &["-u", "app"], false));
    for (name, words, more, has_sockets) in engines {
        let file = if words == mysql {
            "door.sock"
        } else {
            ".s.PGSQL.5432"
        };
        let socket = dir.path().join(name).join(file);
        let mut places = vec![name.to_owned()];
        if has_sockets {
            places.push(format!("{name}={}", socket.display()));
        }
        for place in places {
            let tunnel = [&["tunnel", "-d", &place], more].concat();
            env.bsql(&tunnel).succeeds();
            let door = if place == name {
                format!("127.0.0.1:{}", port(&open(&env)[0]))
            } else {
                everybody(&dir.path().join(name));
                everybody(&socket);
                socket.display().to_string()
            };
            let knock = |as_whom: &[&str]| {
                let perl = ["perl", "-e", KNOCK, &door, words];
                let command = [as_whom, &perl].concat();
                let mut knock = Command::new(command[0]);
                knock.args(&command[1..]).current_dir("/");
                let output = knock.output().unwrap();
                String::from_utf8(output.stdout).unwrap()
            };
            assert_ne!(knock(&[]), "", "we are let in at {place}");
            let nobody = [
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ];
            assert_eq!(knock(&nobody), "", "{place}");
            // From a container there is no way to the port, and the socket's file may have been mounted.
            let contained = [&["unshare", "-n"], &nobody[..]].concat();
            assert_eq!(knock(&contained), "", "{place}");
            let turned_away = if place == name || !has_namespaces {
                1
            } else {
                2
            };
            wait_until(|| open(&env)[0]["connections"]["refused"] == turned_away);
            assert_eq!(open(&env)[0]["connections"]["served"], 1, "{place}");
            env.bsql(&["stop", "--all"]).succeeds();
            let list = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
            let records = list["records"].as_array().unwrap();
            let end = records.iter().rfind(|record| record["event"] == "end");
            assert_eq!(end.unwrap()["refused"], turned_away, "{place}");
            let refusals = records.iter().filter(|record| {
                record["event"] == "refused"
                    && record["entity"] == format!("resource:default/{name}")
                    && record["message"]
                        .as_str()
                        .is_some_and(|message| message.starts_with("turned away user 65534"))
            });
            assert!(refusals.count() >= turned_away, "{place}: {records:#?}");
        }
    }
}

/// Needs root, to make a network namespace. A container has its own 127.0.0.1.
#[cfg(target_os = "linux")]
#[test]
fn another_network_namespace_does_not_reach_it() {
    let apart = Command::new("unshare").args(["-n", "true"]).output();
    let Some(psql) = psql().filter(|_| apart.is_ok_and(|apart| apart.status.success())) else {
        eprintln!("skipped: needs root, to make a network namespace, and psql");
        return;
    };
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    env.bsql(&["tunnel", "-d", "payments-staging"]).succeeds();
    let dsn = format!(
        "host=127.0.0.1 port={} dbname=payments",
        port(&open(&env)[0])
    );
    let output = Command::new("unshare")
        .args([
            "-n",
            "sh",
            "-c",
            "ip link set lo up 2>/dev/null; exec \"$@\"",
            "sh",
        ])
        .arg(&psql)
        .args(["-X", &dsn, "-c", "select 1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let counts = &open(&env)[0]["connections"];
    assert_eq!(
        (&counts["served"], &counts["refused"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn variables_for_each_shell() {
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    let first = env
        .bsql(&["env", "payments-staging", "--socket"])
        .succeeds();
    let first =
        first.says(&["opened a tunnel in the background; `bsql stop payments-staging` ends it"]);
    let dir = env.file("run/payments-staging");
    assert!(
        first
            .stdout
            .contains("export PGHOST='[HOME]/run/payments-staging'\n"),
        "{first}"
    );
    assert!(
        first.stdout.contains("export PGUSER='ada@acme.example'\n"),
        "{first}"
    );
    // The second time there is one, and nothing to be said.
    let fish = env
        .bsql(&["env", "payments-staging", "--shell", "fish"])
        .succeeds();
    assert!(
        fish.stdout.contains("set -gx PGDATABASE 'payments'\n"),
        "{fish}"
    );
    assert_eq!(fish.stderr, "");
    let pwsh = env
        .bsql(&["env", "payments-staging", "--shell", "pwsh"])
        .succeeds();
    assert!(
        pwsh.stdout.contains("$Env:PGSSLMODE = 'disable'\n"),
        "{pwsh}"
    );
    assert_eq!(open(&env).len(), 1);
    if let Some(psql) = psql() {
        let mut sh = env.command(&["env", "payments-staging", "--shell", "bash"]);
        let script = format!(
            "eval \"$({} env payments-staging --shell bash)\"; {} -XAtc 'select current_user'",
            env!("CARGO_BIN_EXE_bsql"),
            psql.display()
        );
        let variables: Vec<_> = sh
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        sh = Command::new("/bin/sh");
        let output = sh
            .args(["-c", &script])
            .env_clear()
            .envs(variables)
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"ada@acme.example\n", "{output:?}");
    }
    assert!(dir.exists());
}

#[test]
fn connection_strings_for_each_client() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: on this system tunnels have sockets only");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    let uri = env.bsql(&["dsn", "payments-staging"]).succeeds().stdout;
    let port = port(&open(&env)[0]);
    let at = format!("ada%40acme.example@127.0.0.1:{port}/payments?sslmode=disable");
    assert_eq!(uri, format!("postgresql://{at}\n"));
    for (format, expected) in [
        (
            "kv",
            format!(
                "host=127.0.0.1 port={port} user=ada@acme.example dbname=payments sslmode=disable"
            ),
        ),
        (
            "jdbc",
            format!(
                "jdbc:postgresql://127.0.0.1:{port}/payments?user=ada%40acme.example&sslmode=disable"
            ),
        ),
        ("sqlalchemy", format!("postgresql+psycopg://{at}")),
    ] {
        let dsn = env
            .bsql(&["dsn", "payments-staging", "--format", format])
            .succeeds();
        assert_eq!(dsn.stdout, format!("{expected}\n"));
    }
    env.bsql(&["dsn", "payments-staging", "--socket"])
        .fails(73)
        .says(&["has a tunnel already", "listens at"]);
    env.bsql(&["dsn", "nosuch"]).fails(68);
    env.bsql(&["stop", "--all"]).succeeds();
    env.bsql(&["dsn", "payments-staging", "--socket", "--format", "jdbc"])
        .fails(64)
        .says(&["JDBC cannot use a Unix socket"]);
}

/// The one command that prints a secret, so it is run without the look for leaks.
#[test]
fn a_login_token_for_a_password_command() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    let output = env
        .command(&["token", "payments-staging"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();
    assert!(
        token.starts_with("sbx-secret-google-") && token.ends_with('\n'),
        "one line"
    );
    // In no file and not in the audit log, which has that it was given out.
    let list = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(list["records"][0]["command"], "token");
    env.bsql(&["token", "nosuch"]).fails(68);
}
