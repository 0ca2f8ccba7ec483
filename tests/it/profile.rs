//! Setting up: profiles that are fetched, listed, chosen, shown and removed, and settings that are read and checked.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::support::{Browser, TestEnv};

fn backstage(env: &TestEnv) -> String {
    let urls = env.world().urls();
    let found = urls.into_iter().find(|(name, _)| *name == "BACKSTAGE");
    found.unwrap().1
}

fn config(env: &TestEnv) -> String {
    fs::read_to_string(env.file("config.toml")).unwrap()
}

/// Answers one request with exactly this, and says where.
fn answer_once(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/bsql.toml", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = client.read(&mut request);
        let _ = client.write_all(answer.as_bytes());
    });
    url
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_company_s_profile_is_fetched_shown_and_used() {
    let env = TestEnv::new();
    fs::remove_file(env.file("config.toml")).unwrap();
    let url = backstage(&env);
    let url = url.as_str();
    // Nobody was asked, so nothing is saved.
    env.bsql(&["init", url])
        .fails(64)
        .says(&["[profiles.sandbox.identity]", "hint: to save it: --yes"]);
    assert!(!env.file("config.toml").exists());
    env.bsql(&["init", url, "--yes"])
        .succeeds()
        .says(&["[profiles.sandbox.identity]", "hint: bsql login"]);
    assert!(config(&env).contains("default_profile = \"sandbox\""));
    let env = env.sign_in("ada");
    env.bsql(&["ls"]).succeeds();
    env.bsql(&["init", url]).succeeds().says(&["up to date"]);
}

#[test]
fn nothing_is_replaced_unasked() {
    let env = TestEnv::new();
    let mine = "# mine\n[profiles.sandbox]\nidentity.client_id = 'mine'\n";
    env.edit_config(|_| mine.to_owned());
    let url = backstage(&env);
    env.bsql(&["init", &url, "--yes"])
        .fails(64)
        .says(&["there is a profile `sandbox` already", "--yes --replace"]);
    assert_eq!(config(&env), mine);
    env.bsql(&["init", &url, "--yes", "--name", "other"])
        .succeeds()
        .says(&["bsql profile use other"]);
    assert!(config(&env).starts_with(mine), "{}", config(&env));
    env.bsql(&["init", &url, "--yes", "--replace"]).succeeds();
    assert!(!config(&env).contains("'mine'"), "{}", config(&env));
    assert!(config(&env).contains("profiles.other.identity"));
}

#[test]
fn what_is_no_profile_is_refused() {
    let env = TestEnv::new();
    let before = config(&env);
    let good = env.world().profile();
    for (answer, says) in [
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
            "302 Found",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "404 Not Found",
        ),
        (
            ok(&format!("{good}\n# {}", "x".repeat(64 * 1024))),
            "64 KiB",
        ),
        (ok("<!doctype html><title>Sign in</title>"), "not TOML"),
        (
            ok(&format!("{good}\n[clients]\npostgres = ['sh']")),
            "programs to run",
        ),
        (
            ok(&format!(
                "{good}\n[profiles.sandbox.more]\npassword = 'hunter2'"
            )),
            "looks like a secret",
        ),
        (
            ok(&format!("{good}\n[profiles.sandbox.more]\nx = 1")),
            "does not know",
        ),
        (
            ok(&good.replace("client_id = \"bsql\"", "client_id = \"\\u001b[2J\"")),
            "cannot be shown",
        ),
    ] {
        let run = env.bsql(&["init", &answer_once(answer), "--yes", "--replace"]);
        let run = run.fails(78).says(&[says]);
        assert!(!run.stderr.contains("hunter2") && !run.stderr.contains('\u{1b}'));
    }
    env.bsql(&["init", "http://backstage.example", "--yes"])
        .fails(78)
        .says(&["not https"]);
    assert_eq!(config(&env), before);
}

#[test]
fn profiles_are_listed_chosen_and_removed_and_comments_stay() {
    let env = TestEnv::new();
    let mine = "# Mine.\ndefault_profile = 'a' # for now\n\n[profiles.a] # the first\nidentity.issuer = 'https://a.example'\n\n[profiles.b]\nidentity.issuer = 'https://b.example' # the second\n";
    env.edit_config(|_| mine.to_owned());
    let listed = env.bsql(&["profile", "ls"]).succeeds().stdout;
    let line = |name: &str| {
        let mut lines = listed.lines();
        lines
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(line("a ").contains("yes") && line("a ").contains("https://a.example"));
    assert!(!line("b ").contains("yes"));
    let json = env.bsql(&["profile", "ls", "-o", "json"]).succeeds().json();
    assert_eq!(json["profiles"][1]["issuer"], "https://b.example");
    assert_eq!(
        env.bsql(&["profile", "ls", "-o", "name"]).succeeds().stdout,
        "a\nb\n"
    );

    env.bsql(&["profile", "use", "b"]).succeeds();
    assert_eq!(config(&env), mine.replace("'a' # for", "\"b\" # for"));
    env.bsql(&["profile", "use", "c"])
        .fails(78)
        .says(&["use one of: a, b"]);
    assert_eq!(
        env.bsql(&["profile", "show"]).succeeds().stdout,
        "[profiles.b]\nidentity.issuer = \"https://b.example\" # [HOME]/config.toml\n"
    );
    let mut command = env.command(&["profile", "show", "b"]);
    command.env("BSQL_IDENTITY_FLOW", "device");
    let shown = env.run(command).succeeds().stdout;
    assert!(shown.contains("identity.flow = \"device\" # environment\n"));

    env.bsql(&["profile", "rm", "a"]).fails(64).says(&["--yes"]);
    env.bsql(&["profile", "rm", "b", "--yes"]).succeeds();
    let after = config(&env);
    assert!(
        after.contains("# the first") && !after.contains("profiles.b"),
        "{after}"
    );
    let path = env.bsql(&["profile", "path"]).succeeds().stdout;
    assert_eq!(path, "[HOME]/config.toml\n");
}

#[test]
fn one_setting_for_scripts() {
    let env = TestEnv::new();
    let get = |args: &[&str]| env.bsql(&[&["config", "get"], args].concat());
    assert_eq!(get(&["identity.client_id"]).succeeds().stdout, "bsql\n");
    assert_eq!(
        get(&["identity.scopes", "--show-origin"]).succeeds().stdout,
        ["openid", "email", "profile", "offline_access"]
            .map(|scope| format!("[HOME]/config.toml\t{scope}\n"))
            .concat()
    );
    let mut command = env.command(&["config", "get", "identity.issuer", "--show-origin"]);
    command.env("BSQL_IDENTITY_ISSUER", "https://other.example");
    assert_eq!(
        env.run(command).succeeds().stdout,
        "environment\thttps://other.example\n"
    );
    get(&["identity.isuer"])
        .fails(64)
        .says(&["bsql config get identity.issuer"]);
    get(&["identity.flow"]).fails(78).says(&["is not set"]);
}

#[test]
fn settings_are_checked_before_they_are_needed() {
    let env = TestEnv::new();
    let sound = env.bsql(&["config", "validate"]).succeeds();
    assert_eq!(sound.stdout, "sound: sandbox\n");
    env.edit_config(|text| {
        format!(
            "default_profile = 'gone'\n{text}\n[profiles.b]\nidentity.issuer = 'http://b.example'\n"
        )
        .replace(
            "[profiles.sandbox.identity]",
            "[profiles.sandbox.identity]\nflow = 'magic'",
        )
    });
    env.bsql(&["config", "validate"]).fails(78).says(&[
        "`profiles.sandbox.identity.flow`",
        "`magic`",
        "`profiles.b.google.workforce_provider` is missing",
        "no profile `gone`",
        "3 problems",
    ]);
}

/// A second profile of the same provider, as another client, signed in like the first.
fn signed_in_twice() -> TestEnv {
    let env = TestEnv::signed_in("ada");
    env.edit_config(|text| {
        let other = text.replace("profiles.sandbox", "profiles.other");
        let other = other.replace("\"profile\", ", "");
        format!("default_profile = 'sandbox'\n{text}\n{other}")
    });
    let login = env.spawn(&["login", "--flow", "device", "--profile", "other"]);
    let (login, url) = login.until_url();
    Browser::new().answer_device(&url, "bruno");
    login.finish().succeeds();
    env
}

#[test]
fn out_of_all_profiles() {
    let env = signed_in_twice();
    env.bsql(&["logout", "--all"])
        .succeeds()
        .says(&["signed out (profile sandbox)", "signed out (profile other)"]);
    for profile in ["sandbox", "other"] {
        env.bsql(&["whoami", "--profile", profile]).fails(67);
    }
    env.bsql(&["logout", "--all"])
        .succeeds()
        .says(&["nobody was signed in"]);
}

#[test]
fn what_could_not_be_revoked_is_said_and_the_rest_goes_on() {
    let env = signed_in_twice();
    // This profile's settings are broken: its session cannot even be found.
    env.edit_config(|text| format!("{text}\n[profiles.broken]\nidentity.issuer = 'x'\n"));
    env.bsql(&["logout", "--all"]).fails(78).says(&[
        "still signed in (profile broken)",
        "signed out (profile sandbox)",
        "signed out (profile other)",
    ]);
    env.bsql(&["whoami"]).fails(67);
}
