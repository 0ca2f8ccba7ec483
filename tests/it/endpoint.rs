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
