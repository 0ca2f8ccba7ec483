//! Ctrl-C and SIGTERM at each stage: the right exit status, and nothing left behind.

#![cfg(unix)]

use rustix::process::Signal;

use crate::connect::wait_until;
use crate::support::{Run, TestEnv, World, world::psql};

fn left_nothing(env: &TestEnv, run: Run, code: i32) {
    assert_eq!(run.code, code, "{run}");
    assert!(env.sockets().is_empty(), "{:?}\n{run}", env.sockets());
}

#[test]
fn while_signing_in() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let env = TestEnv::new();
        let (login, _) = env
            .spawn(&["login", "--flow", "browser", "--no-browser"])
            .until_url();
        login.signal(signal);
        left_nothing(&env, login.finish(), code);
    }
    let env = TestEnv::new();
    let (login, _) = env.spawn(&["login", "--flow", "device"]).until_url();
    login.signal(Signal::INT);
    left_nothing(&env, login.finish(), 130);
}

#[test]
fn while_a_service_is_slow() {
    // 5xx answers are retried for some seconds: long enough to be interrupted in between.
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    env.world().break_with(bsql::sandbox::faults::Faults {
        admin_status: Some(503),
        ..Default::default()
    });
    let query = env
        .spawn(&["-v", "query", "payments-staging", "select 1"])
        .until("will be asked again");
    query.signal(Signal::INT);
    left_nothing(&env, query.finish(), 130);
}

#[test]
fn while_a_query_runs() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    if !env.world().has_system_postgres() {
        eprintln!(
            "skipped: the embedded engine has no room for a second session that cancels the first"
        );
        return;
    }
    let sql = "do $$ begin raise warning 'it runs'; perform pg_sleep(600); end $$";
    let query = env
        .spawn(&["query", "payments-staging", sql])
        .until("it runs");
    query.signal(Signal::INT);
    left_nothing(&env, query.finish(), 130);
    // The server was told, and does not go on for nobody.
    let count = "select count(*) as n from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()";
    wait_until(|| {
        env.bsql(&["query", "payments-staging", count, "-o", "jsonl"])
            .succeeds()
            .stdout
            == "{\"n\":0}\n"
    });
    let end = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(end["records"][1]["exit"], 130);
}

/// A psql that says when it is there: the shell command runs while psql owns the terminal.
fn psql_that_waits<'a>(
    env: &'a TestEnv,
    ready: &std::path::Path,
) -> crate::support::run::Started<'a> {
    // It ends with psql, and holds none of the pipes that the test reads to their end.
    let wait = format!(
        "\\! touch {}; exec >/dev/null 2>&1; while kill -0 $PPID; do sleep 0.05; done",
        ready.display()
    );
    let started = env.spawn(&["connect", "payments-staging", "--", "-X", "-c", &wait]);
    wait_until(|| ready.exists());
    started
}

#[test]
fn sigterm_ends_the_client_too() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let connect = psql_that_waits(&env, &env.file("ready"));
    assert!(!env.sockets().is_empty());
    connect.signal(Signal::TERM);
    left_nothing(&env, connect.finish(), 143);
    let end = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(end["records"][1]["event"], "end");
}

#[test]
fn ctrl_c_is_the_clients_while_it_runs() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let connect = psql_that_waits(&env, &env.file("ready"));
    // Only bsql gets it here; a terminal would send it to psql as well.
    connect.signal(Signal::INT);
    connect.signal(Signal::TERM);
    left_nothing(&env, connect.finish(), 143);
}
