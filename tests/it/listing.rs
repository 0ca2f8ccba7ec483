//! `ls` and `show`.

use serde_json::Value;

use crate::support::{Run, TestEnv};

#[test]
fn mine_by_default() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["ls"]).succeeds().says(&["of ada and payments"]);
    insta::assert_snapshot!("ls_of_ada", run.to_string());
    let again = env.bsql(&["ls", "--mine"]).succeeds();
    assert_eq!(again.stdout, run.stdout);
}

#[test]
fn everything_on_request() {
    let env = TestEnv::signed_in("dmitri");
    let mine = env.bsql(&["ls"]).succeeds().says(&[
        "no databases of dmitri, or none that you may see",
        "hint: bsql ls --all",
    ]);
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

fn names(run: &Run) -> Vec<&str> {
    run.stdout.lines().collect()
}

#[test]
fn of_others_teams_environments_engines_and_systems() {
    let env = TestEnv::signed_in("ada");
    let ls = |args: &[&str]| env.bsql(&[&["ls", "-o", "name"], args].concat()).succeeds();
    let orders = ls(&["--owner", "orders"]);
    assert!(orders.stdout.contains("orders-staging"), "{orders}");
    assert!(!orders.stdout.contains("payments"), "{orders}");
    let both = ls(&["--owner", "orders", "--owner", "group:default/payments"]);
    assert!(both.stdout.contains("orders-staging"), "{both}");
    assert!(both.stdout.contains("payments-staging"), "{both}");
    assert_eq!(
        names(&ls(&["--env", "prod"])),
        ["ledger-production", "payments-production"]
    );
    assert_eq!(
        names(&ls(&["--system", "checkout"])),
        ["payments-production", "payments-staging"]
    );
    assert_eq!(names(&ls(&["--engine", "mysql"])), [""; 0]);
    assert_eq!(names(&ls(&["--engine", "postgres"])).len(), 4);
    env.bsql(&["ls", "--engine", "oracle"]).fails(64);
    env.bsql(&["ls", "--all", "--owner", "x"]).fails(64);
}

#[test]
fn what_is_looked_for_is_in_the_name_or_like_it() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["ls", "ledger", "-o", "name"]).succeeds();
    assert_eq!(names(&run), ["ledger-production", "ledger-staging"]);
    // The system has it in its name; hits in the database's own name come first.
    let run = env
        .bsql(&["ls", "--all", "Checkout", "-o", "name"])
        .succeeds();
    assert_eq!(names(&run), ["payments-production", "payments-staging"]);
    let run = env
        .bsql(&["ls", "pymtstaging"])
        .succeeds()
        .says(&["nothing has `pymtstaging` in it; these are like it"]);
    assert!(run.stdout.contains("payments-staging"), "{run}");
    let run = env.bsql(&["ls", "zzz"]).succeeds();
    assert_eq!(run.stdout, "");
    run.says(&["none of the 4 databases of ada and payments fits"]);
    env.bsql(&["ls", "ledger"])
        .succeeds()
        .says(&["2 of 4 databases of ada and payments"]);
}

#[test]
fn a_limit_says_what_it_left_out() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["ls", "--limit", "1"]).succeeds();
    assert_eq!(run.stdout.lines().count(), 2, "{run}");
    run.says(&["--limit left out 3"]);
    let best = env
        .bsql(&["ls", "payments stag", "--limit", "1", "-o", "name"])
        .succeeds();
    assert_eq!(names(&best), ["payments-staging"]);
}

#[test]
fn an_answer_that_was_kept_says_its_age() {
    let env = TestEnv::signed_in("ada");
    let first = env.bsql(&["ls"]).succeeds();
    assert!(!first.stderr.contains("old"), "{first}");
    env.bsql(&["ls"])
        .succeeds()
        .says(&["less than a minute old", "`--refresh` asks again"]);
    let offline = env.bsql(&["ls", "--offline"]).succeeds();
    assert!(!offline.stderr.contains("warning"), "{offline}");
    let fresh = env.bsql(&["ls", "--refresh"]).succeeds();
    assert!(!fresh.stderr.contains("old"), "{fresh}");
    assert_eq!(fresh.stdout, first.stdout);
    let json = env
        .bsql(&["ls", "--offline", "-o", "json"])
        .succeeds()
        .json();
    assert_eq!(json["from_cache"], true);
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
    assert_eq!(payments["problem"], Value::Null);
    let csv = env.bsql(&["ls", "-o", "csv"]).succeeds();
    assert!(
        csv.stdout.starts_with(
            "NAME,ENV,ENGINE,OWNER,SYSTEM,INSTANCE,DATABASE,TITLE,REGION,REF,PROBLEM\n"
        ),
        "{csv}"
    );
    let yaml = env.bsql(&["ls", "-o", "yaml"]).succeeds();
    assert!(
        yaml.stdout.starts_with("version: 1\nas_of: \"")
            && yaml.stdout.contains("\n  - database: ledger\n"),
        "{yaml}"
    );
    let none = env.bsql(&["ls", "zzz", "-o", "json"]).succeeds().json();
    assert_eq!(none["databases"], serde_json::json!([]));
    let none = env.bsql(&["ls", "zzz", "-o", "yaml"]).succeeds();
    assert!(none.stdout.ends_with("databases: []\n"), "{none}");
}

/// Checks a value against the parts of JSON Schema that docs/ls.schema.json uses.
fn obeys(value: &Value, schema: &Value, at: &str) {
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" | "format" => {}
            "const" => assert_eq!(value, rule, "{at}"),
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{at}: {value}"),
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{at}: the check does not know the type {other}"),
                };
                let one = std::slice::from_ref(rule);
                let any = rule.as_array().map_or(one, Vec::as_slice);
                assert!(any.iter().any(is), "{at}: {value} is not {rule}");
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    let name = name.as_str().unwrap();
                    assert!(value.get(name).is_some(), "{at}: {name} is missing");
                }
            }
            "additionalProperties" => {
                assert_eq!(rule, false);
                for name in value.as_object().unwrap().keys() {
                    assert!(
                        schema["properties"].get(name).is_some(),
                        "{at}: the schema does not know {name}"
                    );
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        obeys(value, schema, &format!("{at}.{name}"));
                    }
                }
            }
            "items" => {
                for (nth, item) in value.as_array().unwrap().iter().enumerate() {
                    obeys(item, rule, &format!("{at}[{nth}]"));
                }
            }
            other => panic!("{at}: the check does not know {other}"),
        }
    }
}

#[test]
fn the_json_is_as_its_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/ls.schema.json")).unwrap();
    let env = TestEnv::signed_in("ada");
    let list = env.bsql(&["ls", "--all", "-o", "json"]).succeeds().json();
    let databases = list["databases"].as_array().unwrap();
    assert!(
        databases
            .iter()
            .any(|database| database["problem"].is_string())
    );
    assert!(
        databases
            .iter()
            .any(|database| database["links"] != serde_json::json!([]))
    );
    obeys(&list, &schema, "ls");
}

#[test]
fn a_wrong_entry_is_a_row() {
    let env = TestEnv::signed_in("ada");
    let run = env
        .bsql(&["ls", "--all", "legacy-reports"])
        .succeeds()
        .says(&["`bsql show NAME` says what is wrong with an entry"]);
    assert!(
        run.stdout.contains("PostgreSQL") && run.stdout.contains("(the entry is wrong)"),
        "{run}"
    );
    let show = env.bsql(&["show", "legacy-reports"]).succeeds();
    for text in [
        "problem",
        "does not say which Cloud SQL instance it is",
        "fix",
        "tell its owner",
    ] {
        assert!(show.stdout.contains(text), "{text}\n{show}");
    }
    let json = env
        .bsql(&["show", "legacy-reports", "-o", "json"])
        .succeeds()
        .json();
    assert_eq!(json["instance"], Value::Null);
    assert!(
        json["problems"][0]["fix"][0]
            .as_str()
            .unwrap()
            .contains("annotation")
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
    assert_eq!(json["version"], 1);
    assert_eq!(json["database_user"], "ada@acme.example");
    assert_eq!(json["ref"], "resource:default/payments-staging");
    let yaml = env
        .bsql(&["show", "payments-staging", "-o", "yaml"])
        .succeeds();
    assert!(
        yaml.stdout
            .contains("database_user: \"ada@acme.example\"\n"),
        "{yaml}"
    );
    // Nobody is themselves on SQL Server.
    env.bsql(&["show", "warehouse-staging"])
        .succeeds()
        .says(&["next: bsql connect warehouse-staging -u USER"]);
}

#[test]
fn a_page_to_open_where_nobody_sees_a_browser() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["show", "payments-staging", "--web"]).succeeds();
    assert_eq!(
        run.stdout,
        "[BACKSTAGE]/catalog/default/resource/payments-staging\n"
    );
    env.edit_config(|config| {
        config.replace(
            "[profiles.sandbox.backstage]",
            "[profiles.sandbox.backstage]\nweb_url = \"https://portal.acme.example\"",
        )
    });
    let run = env
        .bsql(&["show", "payments-staging", "--web", "--offline"])
        .succeeds();
    assert_eq!(
        run.stdout,
        "https://portal.acme.example/catalog/default/resource/payments-staging\n"
    );
}

#[test]
fn several_are_a_choice_for_somebody_and_an_error_for_nobody() {
    let env = TestEnv::signed_in("ada");
    for command in ["show", "connect"] {
        let args = [command, "inventory"];
        let args = if command == "connect" {
            [&args[..], &["--dry-run"]].concat()
        } else {
            args.to_vec()
        };
        env.bsql(&args).fails(68).says(&[
            "`inventory` could be any of 2 databases",
            "resource:warehouse/inventory",
        ]);
    }
    let run = env
        .bsql(&["show", "inventory", "--env", "production"])
        .succeeds();
    assert!(run.stdout.contains("resource:warehouse/inventory"), "{run}");
}

#[test]
fn an_instance_is_not_in_the_catalog() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["show", "acme-staging:europe-west1:payments"])
        .fails(64)
        .says(&["bsql connect acme-staging:europe-west1:payments"]);
}

#[test]
fn what_was_reached_is_counted() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["query", "payments-staging", "select 1"])
        .succeeds();
    env.bsql(&["query", "payments@staging", "select 1"])
        .succeeds();
    let text = std::fs::read_to_string(env.file("state/usage.json")).unwrap();
    let usage: Value = serde_json::from_str(&text).unwrap();
    let uses = &usage["profiles"]["sandbox"]["resource:default/payments-staging"];
    assert_eq!(uses["count"], 2, "{text}");
}

#[test]
fn without_a_terminal_there_is_nothing_to_choose_from() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&[]).fails(64).says(&["Usage: bsql"]);
}

#[test]
fn foreign_text_cannot_steer_the_terminal() {
    let env = TestEnv::signed_in("chloe");
    for output in ["wide", "json", "yaml", "csv", "name"] {
        let run = env.bsql(&["ls", "--all", "-o", output]).succeeds();
        assert!(!run.stdout.contains('\u{1b}'), "{run}");
    }
    let run = env.bsql(&["ls", "--all", "-o", "wide"]).succeeds();
    assert!(run.stdout.contains('\u{fffd}'), "{run}");
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
