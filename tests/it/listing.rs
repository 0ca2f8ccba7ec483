//! `ls` and `show`.

use crate::support::TestEnv;

#[test]
fn mine_by_default() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["ls"]).succeeds().says(&["of ada and payments"]);
    insta::assert_snapshot!("ls_of_ada", run.to_string());
}

#[test]
fn everything_on_request() {
    let env = TestEnv::signed_in("dmitri");
    let mine = env
        .bsql(&["ls"])
        .succeeds()
        .says(&["0 databases of dmitri", "hint: bsql ls --all"]);
    assert_eq!(mine.stdout, "");
    let all = env.bsql(&["ls", "--all", "-o", "name"]).succeeds();
    for name in [
        "payments-staging",
        "orders-production",
        "legacy-reports",
        "warehouse/inventory",
    ] {
        assert!(all.stdout.lines().any(|line| line == name), "{name}\n{all}");
    }
    assert!(!all.stdout.contains('\u{1b}'), "{all}");
}

#[test]
fn of_another_team_environment_and_name() {
    let env = TestEnv::signed_in("ada");
    let orders = env
        .bsql(&["ls", "--owner", "orders", "-o", "name"])
        .succeeds();
    assert!(
        orders.stdout.contains("orders-staging") && !orders.stdout.contains("payments"),
        "{orders}"
    );
    let production = env.bsql(&["ls", "--env", "prod", "-o", "name"]).succeeds();
    assert!(
        production.stdout.contains("payments-production") && !production.stdout.contains("staging"),
        "{production}"
    );
    let named = env.bsql(&["ls", "ledger", "-o", "name"]).succeeds();
    assert!(
        named.stdout.contains("ledger-staging") && !named.stdout.contains("payments"),
        "{named}"
    );
}

#[test]
fn for_programs() {
    let env = TestEnv::signed_in("ada");
    let list = env.bsql(&["ls", "-o", "json"]).succeeds().json();
    assert_eq!(list["version"], 1);
    let databases = list["databases"].as_array().unwrap();
    let payments = databases
        .iter()
        .find(|database| database["name"] == "payments-staging")
        .unwrap();
    assert_eq!(payments["ref"], "resource:default/payments-staging");
    assert_eq!(payments["instance"], "acme-staging:europe-west1:payments");
    assert_eq!(payments["environment"], "staging");
    assert_eq!(payments["owner"], "group:default/payments");
    assert_eq!(payments["problem"], serde_json::Value::Null);
    let csv = env.bsql(&["ls", "-o", "csv"]).succeeds();
    assert!(
        csv.stdout
            .starts_with("NAME,ENV,ENGINE,OWNER,SYSTEM,INSTANCE,DATABASE,TITLE\n"),
        "{csv}"
    );
}

#[test]
fn one_database_in_full() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["show", "payments-staging"]).succeeds();
    insta::assert_snapshot!("show_payments_staging", run.to_string());
    let json = env
        .bsql(&["show", "resource:default/payments-staging", "-o", "json"])
        .succeeds()
        .json();
    assert_eq!(json["database_user"], "ada@acme.example");
}

#[test]
fn foreign_text_cannot_steer_the_terminal() {
    let env = TestEnv::signed_in("chloe");
    let run = env.bsql(&["ls", "--all", "-o", "wide"]).succeeds();
    assert!(
        !run.stdout.contains('\u{1b}') && run.stdout.contains('\u{fffd}'),
        "{run}"
    );
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let env = TestEnv::signed_in("ada");
    let mut command = env.command(&["ls", "--all"]);
    // A pipe whose reading end is closed at once.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    env.run(command).succeeds();
}
