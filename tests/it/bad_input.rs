//! Everything that is refused: the exit status, the reason, and the next step.

use bsql::sandbox::faults::Faults;

use crate::support::{TestEnv, World};

#[test]
fn an_unknown_name_gets_near_ones() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["connect", "paymentz-staging", "-c", "select 1"])
        .fails(68)
        .says(&["`paymentz-staging`", "payments-staging"]);
}

#[test]
fn an_ambiguous_name_gets_all_candidates() {
    let env = TestEnv::signed_in("chloe");
    env.bsql(&["show", "inventory"])
        .fails(68)
        .says(&["default/inventory", "warehouse/inventory"]);
    env.bsql(&["show", "payments-api"])
        .fails(68)
        .says(&["payments-staging", "payments-production"]);
}

#[test]
fn a_wrong_entry_names_the_annotation_and_its_owner() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["connect", "billing-staging", "-c", "select 1"])
        .fails(65)
        .says(&[
            "bsql.dev/instance-connection-name",
            "project:region:instance",
            "group:default/",
        ]);
    env.bsql(&["connect", "legacy-reports", "-c", "select 1"])
        .fails(65)
        .says(&["bsql.dev/instance-connection-name", "group:default/"]);
}

#[test]
fn nobody_signed_in() {
    let env = TestEnv::new();
    for args in [
        &["ls"][..],
        &["show", "x"],
        &["connect", "x", "-c", "select 1"],
        &["query", "x", "select 1"],
        &["whoami"],
    ] {
        env.bsql(args).fails(67).says(&["hint: bsql login"]);
    }
}

#[test]
fn services_that_are_down() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    let connect = ["connect", "payments-staging", "-c", "select 1"];
    env.world().break_with(Faults {
        catalog_status: Some(503),
        ..Faults::default()
    });
    env.bsql(&connect).fails(69).says(&["catalog"]);
    env.world().break_with(Faults {
        catalog_status: Some(429),
        ..Faults::default()
    });
    env.bsql(&connect).fails(75);
    env.world().break_with(Faults {
        sts_status: Some(400),
        ..Faults::default()
    });
    env.bsql(&connect).fails(77);
    env.world().break_with(Faults {
        admin_status: Some(429),
        ..Faults::default()
    });
    env.bsql(&connect).fails(75);
    env.world().break_with(Faults {
        admin_status: Some(403),
        ..Faults::default()
    });
    env.bsql(&connect)
        .fails(77)
        .says(&["roles/cloudsql.client"]);
}

#[test]
fn a_catalog_that_cannot_be_reached() {
    let env = TestEnv::signed_in("ada");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let backstage = env
        .world()
        .urls()
        .into_iter()
        .find(|(name, _)| *name == "BACKSTAGE")
        .unwrap()
        .1;
    env.edit_config(|text| text.replace(&backstage, &format!("http://127.0.0.1:{port}")));
    env.bsql(&["ls"])
        .fails(69)
        .says(&["cannot reach the catalog"]);
}

#[test]
fn a_provider_that_cannot_be_reached() {
    let env = TestEnv::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let issuer = env
        .world()
        .urls()
        .into_iter()
        .find(|(name, _)| *name == "ISSUER")
        .unwrap()
        .1;
    env.edit_config(|text| text.replace(&issuer, &format!("http://127.0.0.1:{port}")));
    env.bsql(&["login", "--flow", "device"])
        .fails(69)
        .says(&["cannot reach"]);
}

#[test]
fn a_certificate_for_another_instance() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    let faults = Faults {
        certificate_of: Some("acme-staging:europe-west1:orders".to_owned()),
        ..Faults::default()
    };
    env.world().break_with(faults);
    env.bsql(&["connect", "payments-staging", "-c", "select 1"])
        .fails(76)
        .says(&["payments", "certificate"]);
}

#[test]
fn no_role_on_the_project() {
    let env = TestEnv::signed_in("dmitri");
    env.bsql(&["connect", "payments-staging", "-c", "select 1"])
        .fails(77)
        .says(&["roles/cloudsql.client", "acme-staging"]);
}

#[test]
fn no_database_user_on_the_instance() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["connect", "orders-staging", "-c", "select 1"])
        .fails(77)
        .says(&[
            "Cloud SQL IAM user authentication failed for user \"ada@acme.example\"",
            "gcloud sql users create ada@acme.example --instance=orders --project=acme-staging",
            "group:default/orders",
        ]);
    let refused = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(refused["records"][0]["event"], "refused");
    assert_eq!(refused["records"][0]["kind"], "denied");
}

#[test]
fn a_client_that_is_not_there_is_found_out_first() {
    // Nobody is signed in either: the missing program is said before anybody is sent to a browser.
    let env = TestEnv::new().without_programs();
    env.bsql(&["connect", "payments-staging", "--client", "psql"])
        .fails(127)
        .says(&["psql", "-c"]);
    // What is meant for psql is not for bsql's own prompt, which would be there.
    let signed_in = TestEnv::signed_in("ada").without_programs();
    signed_in
        .bsql(&["connect", "payments-staging", "--", "-A"])
        .fails(127)
        .says(&["psql"]);
    env.bsql(&["connect", "payments-staging", "--client", "no-such-client"])
        .fails(127)
        .says(&["no-such-client"]);
}

#[test]
fn a_password_in_the_settings() {
    let env = TestEnv::new();
    env.edit_config(|text| format!("{text}\n[profiles.other.identity]\npassword = \"hunter2\"\n"));
    let run = env
        .bsql(&["ls"])
        .fails(78)
        .says(&["profiles.other.identity.password", "bsql login"]);
    assert!(!run.stderr.contains("hunter2"), "{run}");
}

#[test]
fn odd_names() {
    let env = TestEnv::signed_in("ada");
    let long = "x".repeat(300);
    for name in [
        "",
        "a/b/c",
        "ünïcode",
        "a b",
        "../../etc/passwd",
        "resource:",
        long.as_str(),
        "'; drop table x",
        "a\u{1b}[31m",
    ] {
        let run = env.bsql(&["show", "--", name]);
        assert!([64, 68].contains(&run.code), "{name:?}\n{run}");
        assert!(!run.stderr.contains('\u{1b}'), "{run}");
    }
}

#[test]
fn wrong_command_lines() {
    let env = TestEnv::new();
    for args in [
        &["connect"][..],
        &["nonsense"],
        &["ls", "--owner"],
        &["query", "x"],
        &["--color", "blue", "ls"],
    ] {
        let run = env.bsql(args);
        assert_eq!(run.code, 64, "{run}");
    }
    let bare = env.bsql(&[]);
    assert_eq!(bare.code, 64, "{bare}");
    assert!(bare.stderr.contains("Usage: bsql"), "{bare}");
}

#[test]
fn errors_for_programs() {
    let env = TestEnv::new();
    let run = env.bsql(&["ls", "-o", "json"]).fails(67);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "signed-out");
    assert_eq!(error["error"]["exit"], 67);
    assert_eq!(error["error"]["next"], serde_json::json!(["bsql login"]));
}
