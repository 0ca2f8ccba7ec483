//! Client programs of all kinds, most of them made up.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::support::{TestEnv, world::psql};

fn program(env: &TestEnv, name: &str, script: &str) -> PathBuf {
    let file = env.file(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[test]
fn any_program_is_told_where_to_go() {
    let env = TestEnv::signed_in("ada");
    let tool = program(
        &env,
        "tool",
        "echo \"$1|$2|$PGUSER\"; test -S \"$3\" && echo socket",
    );
    let run = env
        .bsql(&[
            "connect",
            "payments-staging",
            "--client",
            tool.to_str().unwrap(),
            "--",
            "{url}",
            "{user}@{database}",
            "{socket}",
        ])
        .succeeds();
    assert!(
        run.stdout
            .starts_with("postgresql://ada%40acme.example@/payments?host=%2F"),
        "{run}"
    );
    assert!(
        run.stdout
            .ends_with("|ada@acme.example@payments|ada@acme.example\nsocket\n"),
        "{run}"
    );
}

#[test]
fn a_url_leads_psql_there_too() {
    let Some(psql) = psql() else {
        eprintln!("skipped: this machine has no psql");
        return;
    };
    let env = TestEnv::signed_in("ada");
    let script = format!(
        "exec {} -X -A -t -c 'select current_user' \"$1\"",
        psql.display()
    );
    let tool = program(&env, "tool", &script);
    let tool = tool.to_str().unwrap();
    let run = env
        .bsql(&[
            "connect",
            "payments-staging",
            "--client",
            tool,
            "--",
            "{url}",
        ])
        .succeeds();
    assert_eq!(run.stdout, "ada@acme.example\n", "{run}");
}

#[test]
fn a_psql_that_is_none_keeps_its_own_prompt() {
    let env = TestEnv::signed_in("ada");
    let wrapper = program(
        &env,
        "psql",
        "if [ \"$1\" = --version ]; then echo 'company tool 1'; else echo \"args: $*\"; fi",
    );
    let wrapper = wrapper.to_str().unwrap();
    let run = env
        .bsql(&[
            "connect",
            "payments-staging",
            "--client",
            wrapper,
            "--",
            "-x",
        ])
        .succeeds();
    assert_eq!(run.stdout, "args: -x\n", "{run}");
    run.says(&["is no psql by its own word"]);
    // One that is psql is told its prompt.
    let psql = program(
        &env,
        "psql",
        "if [ \"$1\" = --version ]; then echo 'psql (PostgreSQL) 17.2'; else echo \"args: $*\"; fi",
    );
    let psql = psql.to_str().unwrap();
    let run = env
        .bsql(&["connect", "payments-staging", "--client", psql])
        .succeeds();
    assert!(
        run.stdout
            .starts_with("args: --set=PROMPT1=payments-staging"),
        "{run}"
    );
}

#[test]
fn a_client_that_crashes_or_is_killed_is_a_shells_status_and_leaves_nothing() {
    let env = TestEnv::signed_in("ada");
    for (script, expected) in [
        ("kill -SEGV $$", 139),
        ("kill -KILL $$", 137),
        ("exit 4", 4),
    ] {
        let tool = program(&env, "tool", script);
        let run = env.bsql(&[
            "connect",
            "payments-staging",
            "--client",
            tool.to_str().unwrap(),
        ]);
        assert_eq!(run.code, expected, "{run}");
        assert!(env.sockets().is_empty(), "{:?}", env.sockets());
    }
    let records = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(records["records"][1]["exit"], 139);
}

#[test]
fn a_client_of_another_database_is_refused_before_it_starts() {
    let env = TestEnv::signed_in("ada");
    let mysql = program(&env, "mysql", "echo started");
    let run = env.bsql(&[
        "connect",
        "payments-staging",
        "--client",
        mysql.to_str().unwrap(),
    ]);
    run.fails(64)
        .says(&["does not speak to PostgreSQL", "psql, pgcli, usql, builtin"]);
    assert!(env.sockets().is_empty());
}

#[test]
fn the_settings_choose() {
    let env = TestEnv::signed_in("ada");
    let tool = program(&env, "tool", "echo mine");
    let chosen = |programs: &str| {
        env.edit_config(|text| {
            let kept = text.split("[clients]").next().unwrap().to_owned();
            kept + &format!("[clients]\npostgres = [{programs}]\n")
        });
        env.bsql(&["connect", "payments-staging"])
    };
    let run = chosen(&format!("'no-such-client', '{}'", tool.display())).succeeds();
    assert_eq!(run.stdout, "mine\n");
    // With an empty script.
    let run = chosen("'builtin', 'psql'").succeeds();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    chosen("7").fails(78).says(&["clients.postgres"]);
}
