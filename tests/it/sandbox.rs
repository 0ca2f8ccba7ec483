//! The sandbox as a product: its commands on the real program.

use std::process::Stdio;

use crate::support::{TestEnv, mariadb};

#[test]
fn up_in_the_background_status_and_down() {
    let env = TestEnv::new();
    std::fs::write(env.file("config.toml"), "# mine\n").unwrap();
    env.bsql(&["sandbox", "status"])
        .fails(68)
        .says(&["bsql sandbox up --detach"]);
    let up = env
        .bsql(&["sandbox", "up", "--detach", "--auto-approve=bruno"])
        .succeeds();
    let up = up.says(&["bsql login", "bsql ls", "bsql connect payments-staging"]);
    drop(up);
    env.bsql(&["sandbox", "up", "--detach"])
        .succeeds()
        .says(&["already running"]);
    let status = env
        .bsql(&["sandbox", "status", "-o", "json"])
        .succeeds()
        .json();
    assert!(
        status["engine"].as_str().unwrap().contains("PostgreSQL"),
        "{status}"
    );
    let text = env.bsql(&["sandbox", "status"]).succeeds().stdout;
    if mariadb::server().is_some() {
        let mariadb = status["mysql"].as_str().unwrap();
        assert!(mariadb.starts_with("MariaDB 1"), "{status}");
        assert!(text.contains(&format!("mysql      {mariadb}\n")), "{text}");
    } else {
        assert!(text.contains("mysql      none: install MariaDB"), "{text}");
    }
    env.bsql(&["login", "--flow", "device"])
        .succeeds()
        .says(&["signed in as bruno@acme.example (profile sandbox)"]);
    let ls = env.bsql(&["ls", "-o", "name"]).succeeds();
    assert!(ls.stdout.contains("orders-staging"), "{ls}");
    let rows = env
        .bsql(&[
            "query",
            "orders-staging",
            "select count(*) > 0 as some from orders",
            "-o",
            "csv",
        ])
        .succeeds();
    assert_eq!(rows.stdout, "some\nt\n");
    env.bsql(&["sandbox", "down"])
        .succeeds()
        .says(&["has ended"]);
    env.bsql(&["sandbox", "down"])
        .succeeds()
        .says(&["no sandbox is running"]);
    assert_eq!(
        std::fs::read_to_string(env.file("config.toml")).unwrap(),
        "# mine\n"
    );
}

#[test]
fn one_after_the_other_does_not_take_the_next_ones_profile_away() {
    let env = TestEnv::new();
    std::fs::write(env.file("config.toml"), "").unwrap();
    for _ in 0..2 {
        env.bsql(&["sandbox", "up", "--detach", "--auto-approve"])
            .succeeds();
        env.bsql(&["login", "--flow", "device"]).succeeds();
        // A database that runs takes its time to end.
        env.bsql(&["query", "payments-staging", "select 1"])
            .succeeds();
        env.bsql(&["sandbox", "down"]).succeeds();
        assert_eq!(
            std::fs::read_to_string(env.file("config.toml")).unwrap(),
            ""
        );
    }
}

#[test]
fn run_gives_a_command_a_world_of_its_own() {
    let env = TestEnv::new();
    let bsql = env!("CARGO_BIN_EXE_bsql");
    let script = format!("{bsql} login --flow device && {bsql} ls -o name && exit 7");
    let run = env.bsql(&["sandbox", "run", "--", "/bin/sh", "-c", &script]);
    assert_eq!(run.code, 7, "{run}");
    assert!(run.stdout.contains("payments-staging"), "{run}");
    assert!(
        !env.file("state/tokens").exists(),
        "it had files of its own"
    );
}

#[test]
fn the_catalog_may_be_as_big_as_one_likes() {
    let env = TestEnv::new();
    let bsql = env!("CARGO_BIN_EXE_bsql");
    let script = format!(
        "{bsql} login --flow device && {bsql} ls -o name && {bsql} connect invoices-00400-staging --dry-run"
    );
    let run = env
        .bsql(&[
            "sandbox",
            "run",
            "--databases",
            "1000",
            "--",
            "/bin/sh",
            "-c",
            &script,
        ])
        .succeeds();
    assert!(run.stdout.contains("acme-staging:"), "{run}");
    let generated = run.stdout.matches("invoices-00000-").count();
    assert_eq!(generated, 2, "{run}");
}

#[test]
fn the_demo_shows_everything_and_leaves_nothing() {
    let env = TestEnv::new();
    let mut command = env.command(&["sandbox", "demo"]);
    command
        .env("TMPDIR", env.file("tmp"))
        .stderr(Stdio::piped());
    std::fs::create_dir(env.file("tmp")).unwrap();
    // Another user's PostgreSQL must get there when root runs the tests.
    #[cfg(unix)]
    for dir in [env.file(""), env.file("tmp")] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let run = env.run(command).succeeds();
    for text in [
        "$ bsql login",
        "$ bsql ls",
        "payments-staging",
        "$ bsql connect payments-staging -c",
        "$ bsql whoami",
        "$ bsql audit list",
        "exit 0",
    ] {
        assert!(run.stdout.contains(text), "{text}\n{run}");
    }
    let left = crate::support::files_below(&env.file("tmp"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nobody_of_that_name() {
    let env = TestEnv::new();
    env.bsql(&["sandbox", "up", "--auto-approve=eve"])
        .fails(64)
        .says(&["use one of: ada, bruno"]);
}
