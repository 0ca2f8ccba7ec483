//! Google's tokens from elsewhere than the company's own identity provider.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

#[cfg(unix)]
use crate::support::Browser;
use crate::support::{Run, TestEnv};

const ACCOUNT: &str = "bsql@acme-tools.iam.gserviceaccount.com";
const WHO: &str = "select current_user as me";

/// A machine where the catalog knows ada, and Google whoever `source` says.
struct Machine {
    env: TestEnv,
    /// Outside of her home, in which nothing secret may be.
    elsewhere: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Machine {
    fn new(source: &str) -> Self {
        let env = TestEnv::signed_in("ada").without_programs();
        env.edit_config(|text| {
            text.replace(
                "credentials = \"workforce\"",
                &format!("credentials = \"{source}\""),
            )
        });
        Self {
            env,
            elsewhere: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// Google's address in this machine's world.
    fn google(&self) -> String {
        let urls = self.env.world().urls();
        let mut google = urls.into_iter().filter(|(name, _)| *name == "GOOGLE");
        google.next().unwrap().1
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.elsewhere.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// With this for Application Default Credentials.
    fn with_adc(self, credentials: &Value) -> Self {
        let file = self.file("adc.json", &credentials.to_string());
        self.set("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())
    }

    fn bsql(&self, args: &[&str]) -> Run {
        let mut command = self.env.command(args);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        self.env.run(command)
    }

    #[track_caller]
    fn is(&self, member: &str, database_user: &str) {
        let who = self.bsql(&["whoami", "-o", "json"]).succeeds().json();
        assert_eq!(who["google_principal"], member);
        assert_eq!(who["database_users"]["PostgreSQL"], database_user);
        let run = self
            .bsql(&["query", "payments-staging", WHO, "-o", "csv"])
            .succeeds();
        assert_eq!(run.stdout, format!("me\n{database_user}\n"), "{run}");
    }
}

fn person(id: &str) -> Value {
    json!({
        "type": "authorized_user",
        "client_id": "764086051850.apps.googleusercontent.com",
        "client_secret": "sbx-secret-client",
        "refresh_token": format!("sbx-secret-google-refresh-{id}"),
    })
}

fn impersonated(source: Value) -> Value {
    json!({
        "type": "impersonated_service_account",
        "source_credentials": source,
        "service_account_impersonation_url": format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
        ),
        "delegates": [],
    })
}

#[test]
fn a_person_of_application_default_credentials() {
    let machine = Machine::new("adc").with_adc(&person("chloe"));
    machine.is("user:chloe@acme.example", "chloe@acme.example");
}

#[test]
fn in_gclouds_own_directory() {
    let machine = Machine::new("adc");
    machine.file(
        "application_default_credentials.json",
        &person("ada").to_string(),
    );
    let dir = machine.elsewhere.path().to_str().unwrap().to_owned();
    machine
        .set("CLOUDSDK_CONFIG", dir)
        .is("user:ada@acme.example", "ada@acme.example");
}

#[test]
fn a_person_who_becomes_an_account() {
    let machine = Machine::new("adc").with_adc(&impersonated(person("ada")));
    machine.is(&format!("serviceAccount:{ACCOUNT}"), "bsql@acme-tools.iam");
}

#[test]
fn by_impersonation_of_the_profile_and_for_a_short_time() {
    let machine = Machine::new("adc").with_adc(&person("ada"));
    let machine = machine
        .set("BSQL_GOOGLE_IMPERSONATE", ACCOUNT)
        .set("BSQL_GOOGLE_IMPERSONATE_LIFETIME", "900");
    machine.is(&format!("serviceAccount:{ACCOUNT}"), "bsql@acme-tools.iam");
}

#[test]
fn a_machine_of_google_cloud() {
    let machine = Machine::new("adc");
    let google = machine.google();
    let host = google
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let machine = machine.set("GCE_METADATA_HOST", host);
    machine.is(&format!("serviceAccount:{ACCOUNT}"), "bsql@acme-tools.iam");
}

#[test]
fn no_credentials_at_all() {
    let machine = Machine::new("adc").set("NO_GCE_CHECK", "true");
    machine
        .bsql(&["connect", "payments-staging", "-c", WHO])
        .fails(78)
        .says(&[
            "there are no Application Default Credentials",
            "gcloud auth application-default login",
        ]);
    let run = machine.bsql(&["whoami"]).succeeds();
    assert!(
        run.stdout.contains("google       not known: there are no"),
        "{run}"
    );
}

#[test]
fn credentials_that_are_over() {
    let machine = Machine::new("adc").with_adc(&person("nobody"));
    machine
        .bsql(&["connect", "payments-staging", "-c", WHO])
        .fails(67)
        .says(&[
            "your Application Default Credentials are over",
            "gcloud auth application-default login",
        ]);
}

#[test]
fn a_key_file_is_not_used_unasked() {
    let machine = Machine::new("adc").with_adc(&json!({
        "type": "service_account",
        "client_email": ACCOUNT,
        "private_key": "sbx-secret-key",
    }));
    machine
        .bsql(&["connect", "payments-staging", "-c", WHO])
        .fails(78)
        .says(&["google.allow_key_files = true", "google.impersonate"]);
}

#[test]
fn a_file_that_sends_secrets_elsewhere() {
    let mut file = impersonated(person("ada"));
    file["service_account_impersonation_url"] =
        json!("https://evil.example/v1/projects/-/serviceAccounts/x@y:generateAccessToken");
    Machine::new("adc")
        .with_adc(&file)
        .bsql(&["connect", "payments-staging", "-c", WHO])
        .fails(78)
        .says(&["`evil.example`, which is not Google's"]);
}

/// A token of the sandbox's Google for ada.
#[cfg(unix)]
fn token(machine: &Machine, scopes: &str) -> String {
    let url = format!("{}token", machine.google()).parse().unwrap();
    let answer = Browser::new().submit(
        &url,
        &[
            ("grant_type", "refresh_token"),
            ("client_id", "c"),
            ("client_secret", "s"),
            ("refresh_token", "sbx-secret-google-refresh-ada"),
            ("scope", scopes),
        ],
    );
    let answer: Value = answer.json().unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[cfg(unix)]
#[test]
fn whoever_is_signed_in_to_gcloud() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new("gcloud");
    let admin = token(
        &machine,
        "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/userinfo.email",
    );
    let login = token(&machine, "https://www.googleapis.com/auth/sqlservice.login");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n'auth print-access-token') echo {admin};;\n'sql generate-login-token') echo {login};;\n*) exit 2;;\nesac\n"
    );
    let program = machine.file("gcloud", &script);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let dir = machine.elsewhere.path().to_str().unwrap().to_owned();
    machine
        .set("PATH", dir)
        .is("user:ada@acme.example", "ada@acme.example");
}

#[test]
fn without_gcloud() {
    Machine::new("gcloud")
        .bsql(&["connect", "payments-staging", "-c", WHO])
        .fails(127)
        .says(&["cannot start `gcloud", "install the Google Cloud CLI"]);
}
