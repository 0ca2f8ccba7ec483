//! Snippets of YAML and what is found in them.

use super::*;

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

fn lint(text: &str) -> Report {
    let mut linter = Linter::new(Conventions::default());
    linter.file("catalog-info.yaml", text.as_bytes());
    linter.finish()
}

/// `line:column rule`, of every finding.
fn places(report: &Report) -> Vec<String> {
    let place = |found: &Finding| {
        let start = found.span.start;
        let id = found.rule.id.trim_start_matches("bsql/");
        format!("{}:{} {id}", start.line, start.column)
    };
    report.findings.iter().map(place).collect()
}

#[test]
fn what_is_as_it_should_be() {
    let importer = "\
apiVersion: backstage.io/v1beta1
kind: Resource
metadata:
  name: payments-staging-cloudsql
  namespace: acme-staging
  annotations:
    backstage.io/managed-by-location: gcp-cloudsql:acme-staging
    backtostage.app/google-project: acme-staging
    backtostage.app/google-sql-database-version: POSTGRES_15
    backtostage.app/google-sql-database-installed-version: POSTGRES_15_7
  links:
    - url: https://console.cloud.google.com/sql/instances/payments/overview?project=acme-staging
      title: Database URL
spec:
  type: CloudSQL
  owner: default/payments
  dependencyOf: [component:default/payments-api]
";
    let skeleton = "\
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: ${{ values.name }}-db
  annotations:
    bsql.dev/instance-connection-name: ${{ values.project }}:europe-west1:${{ values.name }}
    bsql.dev/engine: ${{ values.engine }}
  labels:
    environment: ${{ values.environment }}
spec:
  type: database
  owner: ${{ values.owner }}
";
    let per_environment = "\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: payments-api
  annotations:
    bsql.dev/engine: postgres
    bsql.dev/staging.instance-connection-name: acme-staging:europe-west1:payments
    bsql.dev/staging.database: payments
    bsql.dev/production.instance-connection-name: acme-prod:europe-west1:payments
    bsql.dev/production.ip-type: private
spec:
  type: service
  lifecycle: production
  owner: payments
";
    let others = "\
# Only a comment.
---
---
apiVersion: backstage.io/v1alpha1
kind: Location
metadata: { name: all }
spec: { targets: [./a.yaml] }
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: { name: ada }
spec: { memberOf: [payments] }
";
    for text in [GOOD, importer, skeleton, per_environment, others, ""] {
        let report = lint(text);
        assert!(report.findings.is_empty(), "{text}\n{:#?}", report.findings);
    }
    let crlf = GOOD.replace('\n', "\r\n");
    assert!(lint(&format!("\u{feff}{crlf}")).findings.is_empty());
    assert_eq!((lint(GOOD).entities, lint(GOOD).databases), (1, 1));
    assert_eq!((lint(others).entities, lint(others).databases), (2, 0));
}

/// What a change of the good entity leads to: the text to replace, its replacement, the findings, and a word each of
/// the first one's message and fix.
type Case = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
);

const NAME: &str = "acme-staging:europe-west1:payments";
const CONNECTION: &str =
    "    bsql.dev/instance-connection-name: acme-staging:europe-west1:payments\n";

const CASES: &[Case] = &[
    (
        CONNECTION,
        "    a/b: c\n",
        &["5:3 instance-missing"],
        "does not say which",
        "bsql.dev/instance-connection-name",
    ),
    (
        NAME,
        "acme-staging:payments",
        &["6:40 instance-malformed"],
        "the old form `project:instance`",
        "project:region:instance",
    ),
    (
        NAME,
        "0123456789ab.3xample.europe-west1.sql.goog",
        &["6:40 instance-malformed"],
        "no colons",
        "DNS names are for the command line",
    ),
    (
        NAME,
        "acme staging:eu/west:payments",
        &["6:40 instance-malformed"],
        "the project cannot be `acme staging`, the region cannot be `eu/west`",
        "gcloud",
    ),
    (
        NAME,
        "\"acme:\\e[31m:payments\"",
        &["6:40 control-character", "6:40 instance-malformed"],
        "control",
        "remove",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    bsql.dev/engine: postgers",
        &["7:22 engine-unknown"],
        "`postgers`",
        "`postgres`?",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    bsql.dev/engine: oracle",
        &["7:22 engine-unknown"],
        "`oracle`",
        "one of",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    bsql.dev/ip-type: pcs",
        &["7:23 ip-type-unknown"],
        "`pcs`",
        "public, private, psc, auto",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    bsql.dev/project: acme-prod",
        &["7:23 instance-contradiction"],
        "`acme-prod`, but `bsql.dev/instance-connection-name` says",
        "keep",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    google.com/cloudsql-instance: acme-staging:europe-west1:other",
        &["7:35 instance-contradiction"],
        "other",
        "keep",
    ),
    (
        CONNECTION,
        "    bsql.dev/project: acme-staging\n",
        &["6:23 instance-malformed"],
        "without `bsql.dev/instance`",
        "add",
    ),
    (
        CONNECTION,
        "    bsql.dev/project: p\n    bsql.dev/instance: i/j\n",
        &["7:24 instance-malformed"],
        "i/j",
        "id",
    ),
    (
        "environment: staging",
        "environment: stagign",
        &["8:18 environment-unknown"],
        "`stagign`",
        "`staging`?",
    ),
    (
        "environment: staging",
        "environment: production",
        &[
            "6:40 environment-doubtful",
            "8:18 environment-contradiction",
        ],
        "looks like `staging`",
        "check",
    ),
    (
        "name: payments-staging",
        "name: payments-production",
        &["8:18 environment-contradiction"],
        "label `environment` says `staging`, but the name `payments-production` says `production`",
        "mend",
    ),
    (
        "environment: staging",
        "environment: staging\n    env: prod",
        &["8:18 environment-contradiction"],
        "label `env`",
        "mend",
    ),
    (
        "  owner: group:default/payments\n",
        "",
        &["4:9 owner-missing"],
        "nobody owns",
        "spec.owner",
    ),
    (
        "owner: group:default/payments",
        "owner:",
        &["11:3 owner-missing"],
        "nobody owns",
        "spec.owner",
    ),
    (
        "bsql.dev/instance-connection-name",
        "bsql.dev/instance-conection-name",
        &["5:3 instance-missing", "6:5 unknown-annotation"],
        "which",
        "add",
    ),
    (
        "annotations:\n",
        "annotations:\n    bsql.dev/colour: red\n",
        &["6:5 unknown-annotation"],
        "colour",
        "remove",
    ),
    (
        "annotations:\n",
        "annotations:\n    bsql.dev/stagign.database: x\n",
        &["6:5 environment-unknown"],
        "stagign",
        "`staging`?",
    ),
    (
        "labels:\n",
        "labels:\n    connection: acme-staging:europe-west1:payments\n",
        &["8:17 instance-in-label"],
        "no colons",
        "annotations",
    ),
    (
        "environment: staging",
        "environment: staging\n    size: a b",
        &["9:11 label"],
        "`a b`",
        "annotation",
    ),
    (
        "environment: staging",
        "environment: staging\n    -x: a",
        &["9:5 label"],
        "`-x`",
        "domain",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    acme.example/port: 5432",
        &["7:24 not-text"],
        "is a number",
        "quotes",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    acme.example/on: true",
        &["7:22 not-text"],
        "is a boolean",
        "quotes",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    bsql.dev/database:",
        &["7:22 not-text"],
        "nothing",
        "remove",
    ),
    (
        NAME,
        "acme-staging:europe-west1:payments\n    x: [a]",
        &["7:8 not-text"],
        "a list",
        "one text",
    ),
    (
        "name: payments-staging",
        "name: payments_staging!",
        &["4:9 name"],
        "payments_staging!",
        "letter",
    ),
    (
        "name: payments-staging",
        "namespace: Team A\n  name: payments-staging",
        &["4:14 name"],
        "Team A",
        "small letters",
    ),
    (
        "kind: Resource",
        "kind: My-Resource",
        &["2:7 name"],
        "My-Resource",
        "letters",
    ),
    (
        "  labels:",
        "  tags: [PostgreSQL]\n  labels:",
        &["7:10 tag"],
        "PostgreSQL",
        "small letters",
    ),
    (
        "  type: database",
        "  type: database\n  dependsOn: [payments-vpc]",
        &["11:15 reference"],
        "`payments-vpc` in `spec.dependsOn` does not say its kind",
        "resource:payments-vpc",
    ),
    (
        "apiVersion: backstage.io/v1alpha1\n",
        "",
        &["1:1 not-an-entity"],
        "`apiVersion`",
        "add",
    ),
    (
        "kind: Resource\n",
        "",
        &["1:1 not-an-entity"],
        "`kind`",
        "add",
    ),
    (
        "metadata:\n  name: payments-staging\n",
        "metadata:\n",
        &["1:1 not-an-entity"],
        "`metadata.name`",
        "add",
    ),
    (
        "  labels:\n    environment: staging\n",
        "  labels: production\n",
        &["1:1 not-an-entity"],
        "`metadata.labels`",
        "descriptor-format",
    ),
    (
        "spec:\n",
        "spec:\n  type: database\n",
        &["11:3 duplicate-key"],
        "line 10",
        "keep",
    ),
    (
        "    environment: staging",
        "\tenvironment: staging",
        &["8:2 yaml-syntax"],
        "not YAML",
        "tabs",
    ),
    (
        "spec:\n",
        "spec: [\n",
        &["11:8 yaml-syntax"],
        "not YAML",
        "mend",
    ),
    (
        "spec:\n",
        "# \u{1b}[31m\u{202e}\nspec:\n",
        &["9:3 control-character"],
        "U+001B",
        "remove",
    ),
];

#[test]
fn what_is_found_where() {
    let mut wrong = Vec::new();
    for (text, instead, expected, message, fix) in CASES {
        assert!(GOOD.contains(text), "{text}");
        let changed = GOOD.replacen(text, instead, 1);
        let report = lint(&changed);
        let places = places(&report);
        let says = |first: &Finding| first.message.contains(message) && first.fix.contains(fix);
        if places != *expected || !report.findings.first().is_some_and(says) {
            let said = report
                .findings
                .first()
                .map(|first| (&first.message, &first.fix));
            wrong.push(format!(
                "{instead}: {places:?} instead of {expected:?}: {said:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_says_the_environment() {
    let text = GOOD
        .replace("  labels:\n    environment: staging\n", "")
        .replace("name: payments-staging", "name: payments");
    let report = lint(&text);
    assert_eq!(places(&report), ["4:9 environment-missing"]);
    assert!(
        report.findings[0]
            .fix
            .contains("development, staging, production")
    );
}

#[test]
fn engines_that_differ() {
    let text = GOOD.replace(
        "  labels:",
        "    bsql.dev/engine: mysql\n  tags: [postgresql]\n  labels:",
    );
    let report = lint(&text);
    assert_eq!(places(&report), ["7:22 engine-contradiction"]);
    assert_eq!(
        report.findings[0].message,
        "annotation `bsql.dev/engine` says MySQL, but a tag says PostgreSQL"
    );
}

#[test]
fn an_environment_of_a_component_is_checked_like_a_database() {
    let text = "\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: payments-api
  annotations:
    bsql.dev/staging.instance-connection-name: acme:payments
    bsql.dev/production.instance-connection-name: acme-staging:r:i
    bsql.dev/development.database: payments
spec: { type: service, owner: payments }
";
    assert_eq!(
        places(&lint(text)),
        [
            "5:3 instance-missing",
            "6:48 instance-malformed",
            "7:51 environment-doubtful"
        ]
    );
    let text = text.replace("acme:payments", "acme:r:payments");
    assert_eq!(
        places(&lint(&text)),
        ["5:3 instance-missing", "7:51 environment-doubtful"],
        "development says no instance"
    );
}

#[test]
fn an_entity_comes_once() {
    let mut linter = Linter::new(Conventions::default());
    linter.file("a.yaml", GOOD.as_bytes());
    linter.file(
        "b.yaml",
        GOOD.replace("payments-staging", "Payments-Staging")
            .as_bytes(),
    );
    let report = linter.finish();
    assert_eq!(places(&report), ["4:9 duplicate-entity"]);
    assert_eq!(
        report.findings[0].message,
        "`resource:default/payments-staging` is in a.yaml:4 already"
    );
    assert_eq!((report.files, report.entities), (2, 2));
}

#[test]
fn secrets_are_found_and_not_shown() {
    for secret in [
        "acme.example/dsn: postgres://ada:hunter2@10.0.0.1/payments",
        "acme.example/dsn: host=db password=hunter2",
        "acme.example/db-password: hunter2",
        "acme.example/db-password:\n      hunter2",
        "acme.example/db-password: |\n      hunter2\n      hunter2",
        "acme.example/db-password: \"hunter2\\\n      hunter2\"",
        "acme.example/key: |\n      -----BEGIN PRIVATE KEY-----\n      hunter2\n      -----END PRIVATE KEY-----",
        // As values that other rules show.
        "bsql.dev/ip-type: postgres://ada:hunter2@db",
        "google.com/cloudsql-instance: postgres://ada:hunter2@db",
        "acme.example/db-password: hunter2\n\tx: y",
    ] {
        let report =
            lint(&GOOD.replace("annotations:\n", &format!("annotations:\n    {secret}\n")));
        let found = places(&report);
        let is_found = |rule| found.iter().any(|place| place.ends_with(rule));
        assert!(
            is_found(" secret") || is_found(" yaml-syntax"),
            "{secret} {found:?}"
        );
        for finding in &report.findings {
            assert!(!format!("{finding:?}").contains("hunter2"), "{finding:#?}");
        }
    }
    let link = GOOD.replace(
        "spec:\n",
        "  links: [{ url: 'https://a:hunter2@b.example' }]\nspec:\n",
    );
    assert_eq!(places(&lint(&link)), ["9:18 secret"]);
}

#[test]
fn the_rest_of_a_broken_file_is_still_checked() {
    let text = format!("{}---\na: [\n", GOOD.replace(NAME, "x"));
    assert_eq!(
        places(&lint(&text)),
        ["6:40 instance-malformed", "14:1 yaml-syntax"]
    );
}

#[test]
fn files_that_are_no_text() {
    let mut linter = Linter::new(Conventions::default());
    linter.file("a", b"a: b\nc: \xff\n");
    linter.file("b", &vec![b'#'; LARGEST_FILE + 1]);
    assert_eq!(
        places(&linter.finish()),
        ["2:1 yaml-syntax", "1:1 yaml-limit"]
    );
}

#[test]
fn a_companys_own_conventions_count() {
    let mut linter = Linter::new(Conventions {
        instance_annotations: vec!["acme.example/sql".to_owned()],
        environments: crate::catalog::Environments::new(["green", "blue"]),
        ..Conventions::default()
    });
    let text = GOOD
        .replace("bsql.dev/instance-connection-name", "acme.example/sql")
        .replace("environment: staging", "environment: gren");
    linter.file("a", text.as_bytes());
    let report = linter.finish();
    assert_eq!(places(&report), ["8:18 environment-unknown"]);
    assert_eq!(report.findings[0].fix, "did you mean `green`?");
}

#[test]
fn files_of_any_shape_take_no_time() {
    let head = "apiVersion: v\nkind: Component\nmetadata:\n  name: x\n  annotations: ";
    let flow = |part: fn(usize) -> String| {
        let parts: Vec<String> = (0..10_000).map(part).collect();
        format!("{head}{{ {} }}\n", parts.join(", "))
    };
    for text in [
        flow(|at| format!("a{at}/password: hunter{at}")),
        flow(|at| format!("bsql.dev/e{at}.instance: x")),
        flow(|at| format!("bsql.dev/x{at}: x")),
        flow(|_| "a: b".to_owned()),
        format!("# {}\n", "\u{7}\n".repeat(100_000)),
    ] {
        let report = lint(&text);
        assert_eq!(report.findings.len(), MOST_FINDINGS, "{}", &text[..100]);
    }
}

#[test]
fn many_hostile_bytes_do_not_crash() {
    // Every prefix of a file with a bit of everything, and every byte of it replaced.
    let text = format!("{GOOD}---\n&a [*b, {{x: !!str 1}}, \"\\u0000\", 'y', >-\n  z]\n");
    for at in 0..text.len() {
        lint(&text[..at]);
        for byte in [
            b'\0', b'\t', b'{', b'*', b'&', b'!', b'|', b'\n', b':', 0xff,
        ] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = byte;
            let mut linter = Linter::new(Conventions::default());
            linter.file("x", &bytes);
            linter.finish();
        }
    }
}
