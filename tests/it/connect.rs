//! From a name to a prompt.

use std::process::Command;

use crate::support::{TestEnv, World, world::psql};

#[test]
fn one_statement_without_any_client_program() {
    let env = TestEnv::signed_in("ada").without_programs();
    let run = env.bsql(&[
        "connect",
        "payments-staging",
        "-c",
        "select current_user as me, count(*) > 0 as rows from payments",
    ]);
    let run = run.succeeds();
    assert_eq!(
        run.stdout, "me                rows\nada@acme.example  t\n",
        "{run}"
    );
    assert!(env.sockets().is_empty());
}

#[test]
fn by_component_and_environment_and_by_instance_connection_name() {
    let env = TestEnv::signed_in("ada");
    for name in ["payments-api@staging", "acme-staging:europe-west1:payments"] {
        let run = env.bsql(&["connect", name, "--dry-run"]).succeeds();
        assert!(
            run.stdout.contains("acme-staging:europe-west1:payments"),
            "{run}"
        );
    }
}

#[test]
fn a_name_costs_the_catalog_two_requests_at_most() {
    let env = TestEnv::signed_in("ada");
    for (name, most) in [
        ("payments-staging", 1),
        ("resource:default/payments-staging", 1),
        ("payments-api@staging", 2),
        ("payments-api-staging", 2),
    ] {
        let run = env.bsql(&["-vv", "connect", name, "--dry-run"]).succeeds();
        let asked = run
            .stderr
            .lines()
            .filter(|line| line.contains("answered") && line.contains("/api/catalog/"));
        let asked: Vec<&str> = asked.collect();
        assert!(
            (1..=most).contains(&asked.len()),
            "{name}: {asked:#?}\n{run}"
        );
    }
}

#[test]
fn what_the_importer_wrote_needs_no_configuration() {
    let env = TestEnv::signed_in("ada");
    let run = env
        .bsql(&["connect", "ledger-cloudsql", "--dry-run"])
        .succeeds();
    assert!(
        run.stdout.contains("acme-staging:europe-west4:ledger"),
        "the region was looked up:\n{run}"
    );
}

/// psql with a script on its standard input.
fn psql_says(env: &TestEnv, args: &[&str], script: &str) -> crate::support::Run {
    let input = env.file("script.sql");
    std::fs::write(&input, script).unwrap();
    let mut command = env.command(args);
    command.stdin(std::fs::File::open(input).unwrap());
    env.run(command)
}

#[test]
fn psql_on_a_private_socket() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let script = "\\conninfo\nselect current_user, current_setting('application_name');\n";
    let run = psql_says(
        &env,
        &["connect", "payments-staging", "--", "-A", "-t", "-X"],
        script,
    )
    .succeeds();
    assert!(
        run.stdout
            .contains("ada@acme.example|bsql:ada@acme.example"),
        "{run}"
    );
    assert!(run.stdout.contains("via socket in \"[HOME]/run/"), "{run}");
    assert!(env.sockets().is_empty(), "{:?}", env.sockets());
    let records = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    let end = &records["records"][1];
    assert_eq!(
        (
            end["event"].as_str(),
            end["exit"].as_u64(),
            end["connections"].as_u64()
        ),
        (Some("end"), Some(0), Some(1))
    );
}

#[test]
fn the_exit_status_is_psqls() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let run = psql_says(
        &env,
        &[
            "connect",
            "payments-staging",
            "--",
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
        ],
        "select nonsense;\n",
    );
    assert_eq!(run.code, 3, "{run}");
}

#[test]
fn read_only_is_asked_of_the_server() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let run = psql_says(
        &env,
        &[
            "connect",
            "payments-staging",
            "--read-only",
            "--",
            "-A",
            "-t",
            "-X",
        ],
        "show transaction_read_only;\n",
    );
    assert_eq!(run.stdout, "on\n", "{run}");
}

#[test]
fn the_clients_environment_has_no_secret_and_no_way_around() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let mut command = env.command(&["connect", "payments-staging", "--", "-X", "-c", "\\! env"]);
    command
        .env("PGPASSWORD", "not-for-psql")
        .env("PGSSLMODE", "verify-full")
        .env("PGHOSTADDR", "203.0.113.1");
    let run = env.run(command).succeeds();
    for absent in ["not-for-psql", "verify-full", "203.0.113.1", "BSQL_"] {
        assert!(!run.stdout.contains(absent), "{absent}\n{run}");
    }
    assert!(run.stdout.contains("PGUSER=ada@acme.example"), "{run}");
}

#[test]
fn a_refused_client_gets_the_reason_and_not_a_closed_connection() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    // The probe finds the refusal before psql starts; psql itself is refused when it asks for another database.
    let env = TestEnv::signed_in("ada");
    let run = psql_says(
        &env,
        &[
            "connect",
            "payments-staging",
            "--",
            "-X",
            "-c",
            "\\c nonsense",
        ],
        "",
    );
    assert!(
        run.stderr.contains("database \"nonsense\" does not exist"),
        "{run}"
    );
}

/// The socket cannot be opened by another user, because the directory cannot be entered.
#[cfg(unix)]
#[test]
fn another_user_cannot_reach_the_socket() {
    use std::os::unix::process::CommandExt as _;
    if psql().is_none() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs psql, and root to become another user");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let ready = env.file("ready");
    let script = format!(
        "\\! touch {}; exec >/dev/null 2>&1; while kill -0 $PPID; do sleep 0.05; done\n",
        ready.display()
    );
    let input = env.file("script.sql");
    std::fs::write(&input, script).unwrap();
    let mut command = env.command(&["connect", "payments-staging", "--", "-X"]);
    command.stdin(std::fs::File::open(input).unwrap());
    let mut child = command.spawn().unwrap();
    wait_until(|| ready.exists());
    let socket = env.sockets().pop().expect("psql is connected through it");
    let dir = socket.parent().unwrap();
    let other = Command::new(psql().unwrap())
        .args([
            "-X",
            "-c",
            "select 1",
            "-h",
            dir.to_str().unwrap(),
            "-U",
            "x",
            "-d",
            "payments",
        ])
        .uid(65534)
        .output()
        .unwrap();
    assert!(!other.status.success(), "{other:?}");
    assert!(
        String::from_utf8_lossy(&other.stderr).contains("Permission denied"),
        "{other:?}"
    );
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(env.sockets().is_empty());
}

/// Waits for something that another process does; fails after 20 s.
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed().as_secs() < 20, "it never happened");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_certificate_that_dies_young_is_no_trouble() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    let faults = bsql::sandbox::faults::Faults {
        certificate_life_seconds: Some(60),
        ..Default::default()
    };
    env.world().break_with(faults);
    env.bsql(&["connect", "payments-staging", "-c", "select 1"])
        .succeeds();
}

/// What other processes of this user, and root, can see of a process without any effort.
#[cfg(target_os = "linux")]
#[test]
fn no_secret_is_in_the_arguments_or_the_environment_of_any_process() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let (ready, seen) = (env.file("ready"), env.file("seen"));
    // The shell is psql's child, and psql is bsql's.
    let look = format!(
        "\\! parent=$(cut -d' ' -f4 /proc/$PPID/stat); cat /proc/$PPID/environ /proc/$PPID/cmdline /proc/$parent/environ /proc/$parent/cmdline >{}; touch {}",
        seen.display(),
        ready.display()
    );
    env.bsql(&["connect", "payments-staging", "--", "-X", "-c", &look])
        .succeeds();
    assert!(ready.exists());
    let seen = String::from_utf8_lossy(&std::fs::read(seen).unwrap()).into_owned();
    assert!(
        seen.contains("PGUSER=ada@acme.example") && seen.contains("BSQL_CONFIG="),
        "both were seen: {seen}"
    );
    for mark in ["sbx-secret-", "eyJ", "PRIVATE KEY"] {
        assert!(!seen.contains(mark), "{mark}: {seen}");
    }
}
