//! `bsql exec`.

#![cfg(unix)]

use std::os::unix::process::CommandExt as _;

use rustix::process::Signal;

use crate::connect::wait_until;
use crate::support::TestEnv;

#[test]
fn variables_and_the_commands_own_status() {
    let env = TestEnv::signed_in("ada");
    let script = "env | grep -E 'PG|DATABASE_URL' | sort; exit 7";
    let mut command = env.command(&["exec", "payments-staging", "--", "sh", "-c", script]);
    command
        .env("PGPASSWORD", "hunter2")
        .env("PGSERVICE", "elsewhere");
    let run = env.run(command);
    assert_eq!(run.code, 7, "{run}");
    let names: Vec<&str> = run
        .stdout
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    let expected = [
        "DATABASE_URL",
        "PGAPPNAME",
        "PGDATABASE",
        "PGGSSENCMODE",
        "PGHOST",
        "PGPORT",
        "PGSSLMODE",
        "PGUSER",
    ];
    assert_eq!(names, expected, "{run}");
    assert!(run.stdout.contains("PGUSER=ada@acme.example\n"), "{run}");
    assert!(env.sockets().is_empty());
    let records = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(records["records"][0]["command"], "exec");
    assert_eq!(records["records"][1]["exit"], 7);
}

#[test]
fn several_databases_with_prefixes() {
    let env = TestEnv::signed_in("ada");
    let script =
        "echo $PGDATABASE; echo $PAYMENTS_STAGING_PGDATABASE; echo $LEDGER_STAGING_PGDATABASE";
    let run = env.bsql(&[
        "exec",
        "payments-staging",
        "ledger-staging",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(run.succeeds().stdout, "payments\npayments\nledger\n");
    let script = "echo $PGDATABASE; echo $FROM_PGDATABASE; echo ${TO_DATABASE_URL%%:*}";
    let run = env.bsql(&[
        "exec",
        "payments-staging",
        "ledger-staging",
        "--env-prefix",
        "FROM",
        "--env-prefix",
        "TO_",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(run.succeeds().stdout, "payments\npayments\npostgresql\n");
    env.bsql(&["exec", "payments-staging", "payments@staging", "--", "true"])
        .fails(64)
        .says(&["two databases would have the variable `PAYMENTS_STAGING_PGHOST`"]);
    env.bsql(&[
        "exec",
        "payments-staging",
        "--env-prefix",
        "A",
        "--env-prefix",
        "B",
        "--",
        "true",
    ])
    .fails(64)
    .says(&["1 databases and 2 prefixes"]);
    // Nothing is started when one of them cannot be reached.
    env.bsql(&[
        "exec",
        "payments-staging",
        "nosuch",
        "--",
        "echo",
        "started",
    ])
    .fails(68);
    env.bsql(&["exec", "payments-staging", "--", "/nowhere/program"])
        .fails(127);
    env.bsql(&["exec", "payments-staging"]).fails(64);
}

#[cfg(target_os = "linux")]
#[test]
fn ports_for_programs_that_cannot_use_sockets() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&[
        "exec",
        "payments-staging",
        "--tcp",
        "--",
        "sh",
        "-c",
        "echo $PGHOST",
    ]);
    assert_eq!(run.succeeds().stdout, "127.0.0.1\n");
}

#[test]
fn it_reaches_the_database() {
    if crate::support::world::psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let sql = "select current_user, current_setting('application_name')";
    let read_only = [
        "exec",
        "payments-staging",
        "--read-only",
        "--",
        "psql",
        "-XAtc",
        sql,
    ];
    let run = env.bsql(&read_only).succeeds();
    assert_eq!(run.stdout, "ada@acme.example|bsql:ada@acme.example\n");
    let write = [
        "exec",
        "payments-staging",
        "--read-only",
        "--",
        "psql",
        "-Xc",
        "create table t (a int)",
    ];
    let run = env.bsql(&write);
    assert_eq!(run.code, 1, "{run}");
    drop(run.says(&["read-only transaction"]));
}

#[test]
fn signals_are_the_commands_business() {
    let env = TestEnv::signed_in("ada");
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
    ] {
        let ready = env.file(&format!("ready-{name}"));
        let script = format!(
            "trap 'echo got {name}; exit 9' {name}; touch {}; while :; do sleep 0.05; done",
            ready.display()
        );
        let mut exec = env.command(&["exec", "payments-staging", "--", "sh", "-c", &script]);
        // Where tests run at a terminal: its Ctrl-C would reach both, so bsql passes none on.
        exec.process_group(0);
        let exec = env.start(exec);
        wait_until(|| ready.exists());
        exec.signal(signal);
        let run = exec.finish();
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (9, format!("got {name}\n").as_str()),
            "{run}"
        );
        assert!(env.sockets().is_empty());
    }
    let last = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(last["records"][5]["exit"], 9);
}
