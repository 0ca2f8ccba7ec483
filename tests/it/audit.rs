//! What is recorded.

use crate::support::TestEnv;

#[test]
fn every_access_in_a_chain_that_is_checked() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["audit", "list"])
        .succeeds()
        .says(&["no access from this machine yet"]);
    env.bsql(&[
        "query",
        "payments-staging",
        "select 1",
        "--reason",
        "ticket 42",
    ])
    .succeeds();
    env.bsql(&["connect", "payments-staging", "-c", "select 1"])
        .succeeds();
    let list = env.bsql(&["audit", "list"]).succeeds();
    let rows: Vec<&str> = list.stdout.lines().collect();
    assert_eq!(rows.len(), 3, "{list}");
    assert!(
        rows[1].contains("query")
            && rows[1].contains("payments-staging")
            && rows[1].contains("exit 0"),
        "{list}"
    );
    let records = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(records["records"][0]["reason"], "ticket 42");
    assert_eq!(
        records["records"][0]["instance"],
        "acme-staging:europe-west1:payments"
    );
    env.bsql(&["audit", "verify"]).succeeds();

    let log = env.file("state/audit.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replace("ticket 42", "ticket 43")).unwrap();
    let verify = env.bsql(&["audit", "verify"]);
    assert_eq!(
        (verify.code, verify.stdout.as_str()),
        (1, "line 1 was changed\n"),
        "{verify}"
    );
}

#[cfg(unix)]
#[test]
fn an_access_that_cannot_be_recorded_does_not_happen() {
    let env = TestEnv::signed_in("ada");
    std::fs::create_dir(env.file("state/audit.jsonl")).unwrap();
    env.bsql(&["query", "payments-staging", "select 1"])
        .fails(73)
        .says(&["audit log"]);
}
