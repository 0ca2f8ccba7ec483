//! `lint`: catalog files before they are in the catalog.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::{Run, TestEnv};

const GOOD: &str = "\
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: payments-staging
  annotations:
    bsql.dev/instance-connection-name: acme-staging:europe-west1:payments
  labels:
    environment: staging
spec:
  type: database
  owner: group:default/payments
";

fn write(env: &TestEnv, name: &str, text: &str) -> String {
    let file = env.file(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn with_stdin(env: &TestEnv, args: &[&str], text: &str) -> Run {
    let file = write(env, "stdin.txt", text);
    let mut command = env.command(args);
    command.stdin(std::fs::File::open(file).unwrap());
    env.run(command)
}

/// A machine on which bsql was never set up.
fn bare() -> TestEnv {
    let env = TestEnv::new();
    std::fs::remove_file(env.file("config.toml")).unwrap();
    env
}

#[test]
fn files_need_no_profile_and_no_sign_in() {
    let env = bare();
    let file = write(&env, "catalog-info.yaml", GOOD);
    let run = env
        .bsql(&["lint", &file])
        .succeeds()
        .says(&["1 database in 1 file: nothing to mend"]);
    assert_eq!(run.stdout, "");
    let run = with_stdin(&env, &["lint", "-"], GOOD).succeeds();
    assert_eq!(run.stdout, "");
}

#[test]
fn findings_read_like_a_compilers() {
    let env = bare();
    let bad = GOOD.replace("acme-staging:europe-west1:", "acme-staging:");
    let run = with_stdin(&env, &["lint", "-"], &bad);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(
        run.stdout,
        "stdin:6:40: error[bsql/instance-malformed]: annotation `bsql.dev/instance-connection-name` is \
         `acme-staging:payments`: the region is missing: this is the old form `project:instance`\n\
         \x20 6 |     bsql.dev/instance-connection-name: acme-staging:payments\n\
         \x20   |                                        ^^^^^^^^^^^^^^^^^^^^^\n\
         \x20 fix: write `project:region:instance`, as `gcloud sql instances describe` shows it\n"
    );
    run.says(&["1 database in 1 file: 1 error"]);
}

#[test]
fn directories_are_walked() {
    let env = bare();
    let bad = GOOD.replace("environment: staging", "environment: stagign");
    write(&env, "repo/catalog-info.yaml", GOOD);
    write(
        &env,
        "repo/services/a/catalog-info.yml",
        &bad.replace("payments", "a"),
    );
    write(&env, "repo/.git/catalog-info.yaml", "a: [");
    write(&env, "repo/node_modules/x/catalog-info.yaml", "a: [");
    write(&env, "repo/other.yaml", "a: [");
    let repo = env.file("repo");
    let run = env.bsql(&["lint", repo.to_str().unwrap(), "-o", "json"]);
    assert_eq!(run.code, 1, "{run}");
    let json = run.json();
    assert_eq!(
        (&json["files"], &json["warnings"]),
        (&2.into(), &1.into()),
        "{json}"
    );
    let finding = &json["findings"][0];
    assert_eq!(finding["rule"], "bsql/environment-unknown");
    assert_eq!(finding["entity"], "resource:default/a-staging");
    assert_eq!(
        (&finding["line"], &finding["column"]),
        (&8.into(), &18.into())
    );
    assert_eq!(finding["fix"], "did you mean `staging`?");
    let lenient = env.bsql(&["lint", repo.to_str().unwrap(), "--fail-on", "error"]);
    assert_eq!(lenient.code, 0, "{lenient}");
    let empty = env.file("empty");
    std::fs::create_dir(&empty).unwrap();
    env.bsql(&["lint", empty.to_str().unwrap()])
        .fails(64)
        .says(&["there is no `catalog-info.yaml` below"]);
}

#[cfg(unix)]
#[test]
fn links_that_lead_around_are_not_followed() {
    let env = bare();
    write(&env, "repo/catalog-info.yaml", GOOD);
    std::os::unix::fs::symlink(env.file("repo"), env.file("repo/again")).unwrap();
    let json = env
        .bsql(&["lint", env.file("repo").to_str().unwrap(), "-o", "json"])
        .succeeds()
        .json();
    assert_eq!(json["files"], 1);
}

#[test]
fn what_cannot_be_read() {
    let env = bare();
    env.bsql(&["lint"]).fails(64);
    for missing in ["missing.yaml", "./missing", "/missing", "no name"] {
        env.bsql(&["lint", missing])
            .fails(64)
            .says(&["cannot read", missing]);
    }
    // Everything else is a name, and names take a profile.
    env.bsql(&["lint", "payments-staging"]).fails(78);
    env.bsql(&["lint", "-", "--profile", "nobody"]).fails(78);
}

#[test]
fn the_profiles_conventions_count() {
    let env = TestEnv::new();
    env.edit_config(|text| {
        format!("{text}\n[profiles.sandbox.catalog]\nenvironments = [\"blue\", \"green\"]\n")
    });
    let blue = GOOD.replace("staging", "blue");
    with_stdin(&env, &["lint", "-"], &blue).succeeds();
    let run = with_stdin(&env, &["lint", "-"], GOOD);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stdout.contains("use one of: blue, green"), "{run}");
}

#[test]
fn secrets_are_not_repeated() {
    let env = bare();
    let bad = GOOD.replace(
        "annotations:\n",
        "annotations:\n    acme.example/dsn: postgres://ada:sbx-secret-7@10.0.0.1/x\n    acme.example/db-password: sbx-secret-8\n",
    );
    // The file itself is not among what bsql may leave behind.
    let lint = |format: &str| {
        let mut command = env.command(&["lint", "-", "-o", format, "-vv"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(bad.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    for format in ["text", "json", "sarif", "github"] {
        let said = lint(format);
        assert!(said.contains("bsql/secret"), "{said}");
        assert!(!said.contains("sbx-secret"), "{said}");
    }
    // Whatever else was written while it ran is looked at too.
    env.bsql(&["--version"]).succeeds();
}

#[test]
fn for_code_scanning() {
    let env = bare();
    let bad = GOOD
        .replace("environment: staging", "environment: production")
        .replace("europe-west1:", "");
    let run = with_stdin(&env, &["lint", "-", "-o", "sarif"], &bad);
    assert_eq!(run.code, 1, "{run}");
    let mut sarif = run.json();
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].take();
    for rule in rules.as_array().unwrap() {
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(!rule[text]["text"].as_str().unwrap().is_empty(), "{rule}");
        }
    }
    for result in sarif["runs"][0]["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]["id"]);
        assert_eq!(
            result["level"],
            rules[index]["defaultConfiguration"]["level"]
        );
    }
    let golden = serde_json::to_string_pretty(&sarif)
        .unwrap()
        .replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    insta::assert_snapshot!("lint_sarif", golden);
}

#[test]
fn for_github_actions() {
    let env = bare();
    let bad = GOOD.replace("environment: staging", "environment: stagign");
    let run = with_stdin(&env, &["lint", "-", "-o", "github"], &bad);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(
        run.stdout,
        "::warning file=stdin,line=8,endLine=8,col=18,endColumn=24,title=bsql/environment-unknown::label `environment` \
         is `stagign`, which is not a known environment%0Afix: did you mean `staging`?\n"
    );
}

#[test]
fn an_entity_as_it_is_in_the_catalog() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["lint", "payments-staging"])
        .succeeds()
        .says(&["1 database in 1 file: nothing to mend"]);
    let error = TestEnv::new().bsql(&["lint", "payments-staging", "-o", "json"]);
    assert_eq!(error.code, 67, "{error}");
    let error: serde_json::Value = serde_json::from_str(&error.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "signed-out");
}

/// Every block of YAML that the documentation tells people to copy.
#[test]
fn what_the_documentation_says_is_right() {
    let env = bare();
    let docs = include_str!("../../docs/catalog.md");
    let mut entities = 0;
    for block in docs.split("```yaml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let run = with_stdin(&env, &["lint", "-", "-o", "json"], block);
        let json = run.json();
        let is_entity = block.contains("\nkind: ");
        entities += usize::from(is_entity);
        for finding in json["findings"].as_array().unwrap() {
            // Settings of Backstage and of CI systems are YAML as well.
            let is_other = !is_entity && finding["rule"] == "bsql/not-an-entity";
            assert!(is_other, "{finding}\n{block}");
        }
    }
    assert!(entities >= 4, "{entities}");
    for rule in bsql::lint::RULES {
        let row = format!("| `{}` | {} |", rule.id, rule.severity.name());
        assert!(docs.contains(&row), "docs/catalog.md has no row {row}");
    }
}
