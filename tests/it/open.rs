//! `open`: programs with windows, all of them made up.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::connect::wait_until;
use crate::support::{Run, TestEnv};

/// A program that writes its arguments down.
fn install(env: &TestEnv, name: &str) -> std::path::PathBuf {
    let seen = env.file("seen");
    let bin = env.file("bin");
    fs::create_dir_all(&bin).unwrap();
    let file = bin.join(name);
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" \"${{BSQL_CONFIG-clean}}\" >{0}.new; mv {0}.new {0}\n",
        seen.display()
    );
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    seen
}

fn open(env: &TestEnv, args: &[&str]) -> Run {
    let mut command = env.command(&[&["open"], args].concat());
    let path = format!("{}:/usr/bin:/bin", env.file("bin").display());
    command.env("PATH", path);
    env.run(command)
}

#[test]
fn the_program_that_is_installed_is_told_the_tunnels_port() {
    let env = TestEnv::signed_in("ada");
    let seen = install(&env, "dbeaver-ce");
    let run = open(&env, &["payments-staging"]).succeeds();
    assert_eq!(run.stdout, "", "{run}");
    let run = run.says(&["opened payments-staging in DBeaver"]);
    drop(run);
    wait_until(|| seen.exists());
    let told = fs::read_to_string(&seen).unwrap();
    let uri = env.bsql(&["dsn", "payments-staging"]).succeeds().stdout;
    let port = uri
        .split(':')
        .nth(2)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    assert!(
        told.starts_with("-con\ndriver=postgresql|name=payments-staging|host=127.0.0.1|port="),
        "{told}"
    );
    assert!(told.contains(&format!("|port={port}|")), "{told} {port}");
    assert!(told.ends_with("\nclean\n"), "{told}");
    // The next one finds the tunnel open, and keeps its port.
    let run = open(&env, &["payments-staging", "--app", "tableplus"]).succeeds();
    assert!(
        run.stdout
            .starts_with("postgresql://ada%40acme.example@127.0.0.1:"),
        "{run}"
    );
    assert!(run.stdout.contains(&format!(":{port}/payments?")), "{run}");
    let run = open(&env, &["payments-staging", "--app", "datagrip"]).succeeds();
    assert!(run.stdout.starts_with("#DataSourceSettings#\n"), "{run}");
    run.says(&["Import from Clipboard"]);
    install(&env, "pgadmin4");
    let run = open(&env, &["payments-staging", "--app", "pgadmin"]).succeeds();
    assert_eq!(
        run.stdout, "[HOME]/state/open/payments-staging.json\n",
        "{run}"
    );
    let file = env.file("state/open/payments-staging.json");
    let servers: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(servers["Servers"]["1"]["Port"].to_string(), port);
    let run = open(&env, &["payments-staging", "--app", "pgadmin", "--print"]).succeeds();
    assert!(run.stdout.starts_with('{'), "{run}");
    env.bsql(&["stop", "--all"]).succeeds();
}

#[test]
fn nothing_is_opened_for_a_program_that_is_not_there() {
    let env = TestEnv::signed_in("ada");
    open(&env, &["payments-staging"]).fails(127).says(&[
        "--app: datagrip, dbeaver, tableplus, pgadmin",
        "bsql dsn payments-staging",
    ]);
    assert!(
        env.bsql(&["ps", "-o", "json"]).succeeds().json()["tunnels"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );
}
