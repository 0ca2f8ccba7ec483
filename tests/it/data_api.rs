//! `--via data-api`: the database through Google's SQL Data service, without a certificate and without port 3307.

use std::fs::File;
use std::path::Path;

use bsql::sandbox::faults::Faults;
use ring::digest::{Context, SHA256};

use crate::support::{Run, TestEnv, World, world::psql};

/// Rows of a table of some 50 MB.
const ROWS: u64 = 500_000;

fn query(env: &TestEnv, name: &str) -> Run {
    env.bsql(&[
        "-vv",
        "query",
        name,
        "--via",
        "data-api",
        "select current_user as me",
    ])
}

#[test]
fn as_oneself_and_without_a_certificate() {
    let env = TestEnv::signed_in("ada");
    let run = query(&env, "payments-staging").succeeds();
    assert_eq!(run.stdout, "me\nada@acme.example\n");
    assert!(!run.stderr.contains("generateEphemeralCert"), "{run}");
    assert!(!run.stderr.contains("connectSettings"), "{run}");

    // The same by the settings, and no other way for a flag that outranks them.
    env.edit_config(|config| {
        config.replace(
            "[profiles.sandbox.google]\n",
            "[profiles.sandbox.google]\nvia = \"data-api\"\n",
        )
    });
    let select = ["-vv", "query", "payments-staging", "select 1 as one"];
    let run = env.bsql(&select).succeeds();
    assert!(!run.stderr.contains("generateEphemeralCert"), "{run}");
    let run = env
        .bsql(&[
            "-vv",
            "query",
            "payments-staging",
            "--via",
            "direct",
            "select 1",
        ])
        .succeeds();
    assert!(run.stderr.contains("generateEphemeralCert"), "{run}");
}

#[test]
fn what_the_service_refuses() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    query(&env, "payments-production").fails(78).says(&[
        "`acme-production:europe-west1:payments` cannot be reached by the data API",
        "unsupported instance edition",
        "use another --via",
    ]);
    for (code, exit, words) in [
        (8, 75, "wait 10 s"),
        (16, 77, "does not accept your access token"),
        (
            7,
            77,
            "you may not connect to `acme-staging:europe-west1:payments`",
        ),
        (14, 69, "the SQL Data service is failing"),
        (12, 69, "the SQL Data service"),
    ] {
        env.world().break_with(Faults {
            sql_data_status: Some(code),
            ..Faults::default()
        });
        query(&env, "payments-staging").fails(exit).says(&[words]);
    }
    env.world().break_with(Faults::default());
    query(&env, "payments-staging").succeeds();

    // Whom the instance does not know, its database refuses.
    let env = TestEnv::in_world(env.world().clone()).sign_in("bruno");
    query(&env, "payments-staging")
        .fails(77)
        .says(&["IAM user authentication failed"]);
}

#[test]
fn nobody_answers() {
    let env = TestEnv::signed_in("ada");
    env.edit_config(|config| replaced(&config, "http://127.0.0.1:1/"));
    query(&env, "payments-staging").fails(69).says(&[
        "cannot reach the SQL Data service",
        "TCP to 127.0.0.1:1 was refused",
    ]);
    // What answers is no such service.
    let url = url_in(&env.world().profile(), "issuer");
    env.edit_config(|config| replaced(&config, &url));
    query(&env, "payments-staging").fails(69).says(&[
        "cannot reach the SQL Data service",
        "what answers is not gRPC",
    ]);
}

/// The configuration with another address of the service.
fn replaced(config: &str, url: &str) -> String {
    let mut lines: Vec<String> = config.lines().map(str::to_owned).collect();
    for line in &mut lines {
        if line.starts_with("sql_data = ") {
            *line = format!("sql_data = \"{url}\"");
        }
    }
    lines.join("\n")
}

fn url_in(config: &str, key: &str) -> String {
    let start = format!("{key} = \"");
    let line = config.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap().trim_end_matches('"').to_owned()
}

#[test]
fn with_tls_from_whom_the_settings_trust() {
    let env = TestEnv::signed_in("ada");
    let profile = env.world().profile();
    let url = url_in(&profile, "sql_data").replace("http://127.0.0.1", "https://localhost");
    env.edit_config(|config| replaced(&config, &url));
    query(&env, "payments-staging")
        .fails(69)
        .says(&["cannot reach the SQL Data service", "certificate"]);

    let ca = format!("{}sandbox/ca.pem", url_in(&profile, "sql_admin"));
    let ca = crate::support::Browser::new().visit(&ca.parse().unwrap());
    let file = env.file("ca.pem");
    std::fs::write(&file, ca.body()).unwrap();
    env.edit_config(|config| {
        let key = format!(
            "[profiles.sandbox.google]\nca_file = \"{}\"\n",
            file.display()
        );
        config.replace("[profiles.sandbox.google]\n", &key)
    });
    let run = query(&env, "payments-staging").succeeds();
    assert_eq!(run.stdout, "me\nada@acme.example\n");
}

#[test]
fn psql_moves_fifty_megabytes_each_way() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let (there, back) = (env.file("there.txt"), env.file("back.txt"));
    std::fs::write(&there, rows()).unwrap();
    let script = env.file("script.sql");
    std::fs::write(
        &script,
        format!(
            "create temp table bulk (line text);\n\\copy bulk from '{}'\n\\copy (select line from bulk order by line) to '{}'\nselect count(*) from bulk;\n",
            there.display(),
            back.display()
        ),
    )
    .unwrap();
    let mut command = env.command(&[
        "connect",
        "payments-staging",
        "--via",
        "data-api",
        "--",
        "-X",
        "-A",
        "-t",
    ]);
    command.stdin(File::open(script).unwrap());
    let run = env.run(command).succeeds();
    assert!(run.stdout.ends_with(&format!("{ROWS}\n")), "{run}");
    assert_eq!(digest(&back), digest(&there));
}

/// In alphabetical order, and each different.
fn rows() -> Vec<u8> {
    let mut rows = Vec::new();
    for row in 0..ROWS {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        rows.extend(format!("{row:08} {mixed:016x} {:064x}\n", mixed.rotate_left(7)).bytes());
    }
    rows
}

fn digest(file: &Path) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    context.update(&std::fs::read(file).unwrap());
    context.finish().as_ref().to_vec()
}
