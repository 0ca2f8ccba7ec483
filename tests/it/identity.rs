//! Providers, browsers and machines that are not as they should be.

use std::collections::BTreeMap;
use std::fs;

use bsql::sandbox::faults::Faults;
use serde_json::{Value, json};
use url::Url;

use crate::support::{Browser, TestEnv, World, files_below};

/// A machine in a world of its own with a provider whose metadata say this otherwise.
fn with_metadata(name: &str, value: Value) -> TestEnv {
    let env = TestEnv::in_world(World::approving("ada"));
    env.world().break_with(Faults {
        provider_metadata: BTreeMap::from([(name.to_owned(), value)]),
        ..Faults::default()
    });
    env
}

const DEVICE: [&str; 3] = ["login", "--flow", "device"];

/// As if the tokens had ended meanwhile.
fn expire(env: &TestEnv) {
    for file in files_below(&env.file("state/tokens")) {
        let text = fs::read_to_string(&file).unwrap();
        if let Ok(mut tokens) = serde_json::from_str::<Value>(&text) {
            tokens["expires_at"] = json!(1);
            fs::write(&file, tokens.to_string()).unwrap();
        }
    }
}

/// Where the browser is to come back to, with this query after the state of the sign-in at `url`.
fn answer(url: &Url, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Url {
    let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let issuer = url.origin().ascii_serialization();
    let mut query = BTreeMap::from([
        ("state".to_owned(), asked["state"].clone()),
        ("iss".to_owned(), issuer),
    ]);
    change(&mut query);
    let mut back: Url = asked["redirect_uri"].parse().unwrap();
    back.query_pairs_mut().extend_pairs(query);
    back
}

#[test]
fn another_issuer_answers() {
    with_metadata("issuer", json!("https://evil.example"))
        .bsql(&DEVICE)
        .fails(78)
        .says(&["says that it is `https://evil.example`"]);
}

#[test]
fn an_issuer_without_tls() {
    let env = TestEnv::new();
    env.edit_config(|text| {
        text.lines()
            .map(|line| {
                if line.starts_with("issuer") {
                    "issuer = 'http://login.acme.example'\n".to_owned()
                } else {
                    format!("{line}\n")
                }
            })
            .collect()
    });
    env.bsql(&DEVICE)
        .fails(78)
        .says(&["`http://login.acme.example`", "an https URL"]);
}

#[test]
fn a_provider_without_pkce() {
    with_metadata("code_challenge_methods_supported", json!(["plain"]))
        .bsql(&DEVICE)
        .fails(78)
        .says(&["does not offer PKCE with S256"]);
}

#[test]
fn a_provider_without_a_device_flow() {
    let env = with_metadata("device_authorization_endpoint", Value::Null);
    env.bsql(&DEVICE)
        .fails(78)
        .says(&["device", "hint: ", "--flow browser"]);
    // Nobody is at a terminal here, so nobody could paste.
    env.bsql(&["login", "--timeout", "200ms"])
        .fails(67)
        .says(&["the provider has no device flow"]);
}

#[test]
fn a_provider_without_refresh_tokens() {
    let env = TestEnv::in_world(World::approving("ada"));
    env.world().break_with(Faults {
        token_answer: BTreeMap::from([("refresh_token".to_owned(), Value::Null)]),
        ..Faults::default()
    });
    env.bsql(&DEVICE).succeeds();
    env.bsql(&["whoami"]).succeeds();
    expire(&env);
    env.bsql(&["whoami"])
        .fails(67)
        .says(&["the session ended", "hint: bsql login"]);
    env.bsql(&["logout"]).succeeds().says(&["signed out"]);
}

#[test]
fn a_key_that_the_provider_does_not_publish() {
    let env = TestEnv::in_world(World::approving("ada"));
    env.world().break_with(Faults {
        other_keys: true,
        ..Faults::default()
    });
    env.bsql(&DEVICE)
        .fails(76)
        .says(&["ID token cannot be trusted", "key"]);
    env.bsql(&["whoami"]).fails(67);
}

#[test]
fn answers_that_are_not_to_this_sign_in() {
    let env = TestEnv::new();
    let login = ["login", "--flow", "browser", "--no-browser"];
    let (login, url) = env.spawn(&login).until_url();
    let browser = Browser::new();
    let forged = [
        answer(&url, |query| {
            query.insert("state".into(), "forged".into());
            query.insert("code".into(), "stolen".into());
        }),
        answer(&url, |query| {
            query.insert("iss".into(), "https://evil.example".into());
            query.insert("code".into(), "mixed-up".into());
        }),
        answer(&url, |query| {
            query.remove("iss");
            query.insert("error".into(), "access_denied".into());
        }),
    ];
    for url in &forged {
        assert_eq!(browser.visit(url).status, 400, "{url}");
    }
    // It waits on for the right one.
    let page = browser.sign_in(&url, "ada");
    assert!(page.status.is_success(), "{}", page.excerpt());
    login.finish().succeeds().says(&["signed in as ada"]);
}

#[test]
fn words_that_would_move_the_cursor() {
    let words = "\u{1b}[2Jgone\u{7}\r\u{202e}";
    let env = TestEnv::new();
    let login = ["login", "--flow", "browser", "--no-browser"];
    let (login, url) = env.spawn(&login).until_url();
    let page = Browser::new().visit(&answer(&url, |query| {
        query.insert("error".into(), "access_denied".into());
        query.insert("error_description".into(), words.into());
    }));
    assert!(!page.excerpt().contains('\u{1b}'));
    let run = login.finish().fails(77).says(&["gone"]);
    assert!(
        !run.stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']),
        "{run}"
    );

    let env = TestEnv::in_world(World::approving("ada"));
    env.world().break_with(Faults {
        token_status: Some(400),
        token_refusal: Some(words.to_owned()),
        ..Faults::default()
    });
    let run = env.bsql(&DEVICE);
    assert_ne!(run.code, 0, "{run}");
    assert!(
        !run.stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']),
        "{run}"
    );
}

#[cfg(unix)]
#[test]
fn no_input_asks_nobody_and_opens_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = TestEnv::new();
    let browser = env.file("browser");
    fs::write(&browser, "#!/bin/sh\ntouch \"$HOME/opened\"\n").unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    for args in [
        &["ls"][..],
        &["whoami"],
        &["query", "payments-staging", "select 1"],
        &["login", "--flow", "browser", "--timeout", "200ms"],
        &["login", "--flow", "paste", "--timeout", "200ms"],
    ] {
        let mut command = env.command(args);
        command.arg("--no-input").env("BROWSER", &browser);
        env.run(command).fails(67);
    }
    assert!(!env.file("opened").exists());
}

#[test]
fn a_place_where_nothing_can_be_kept() {
    let env = TestEnv::in_world(World::approving("ada"));
    let mut command = env.command(&DEVICE);
    // Below a file there are no directories, for root neither.
    command.env("BSQL_STATE_DIR", env.file("config.toml").join("state"));
    env.run(command)
        .fails(73)
        .says(&["cannot make the directory `[HOME]/config.toml/state"]);
}

#[test]
fn a_clock_that_is_ten_minutes_off() {
    for ahead in [600, -600] {
        let env = TestEnv::in_world(World::with(|options| bsql::sandbox::Options {
            auto_approve: bsql::sandbox::company::person("ada"),
            // Tokens of a clock that is behind have ended when they come.
            token_life: jiff::SignedDuration::from_mins(5),
            ..options
        }));
        env.world().break_with(Faults {
            provider_clock_ahead_seconds: ahead,
            ..Faults::default()
        });
        env.bsql(&DEVICE)
            .fails(76)
            .says(&["check this machine's clock"]);
    }
}

#[test]
fn twelve_at_once_refresh_once() {
    let env = TestEnv::in_world(World::approving("ada"));
    env.bsql(&DEVICE).succeeds();
    expire(&env);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..12)
            .map(|number| {
                let env = &env;
                let args = [["whoami"], ["ls"]][number % 2];
                scope.spawn(move || env.bsql(&args))
            })
            .collect();
        for run in runs {
            run.join().unwrap().succeeds();
        }
    });
    assert_eq!(env.world().sandbox().refreshes(), 1);
    // The provider ends a session whose refresh token comes twice: this one goes on.
    expire(&env);
    env.bsql(&["whoami"]).succeeds();
}

/// The limit on file sizes stands for a full disk: what is longer than 512 bytes cannot be written.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_session() {
    let env = TestEnv::in_world(World::approving("ada"));
    env.bsql(&DEVICE).succeeds();
    let sessions = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let files = files_below(&env.file("state/tokens"));
        let read = |file: std::path::PathBuf| {
            let bytes = fs::read(&file).unwrap();
            (file, bytes)
        };
        files
            .into_iter()
            .map(read)
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect()
    };
    let before = sessions();
    assert!(!before.is_empty());
    let bsql = env.command(&["login", "--flow", "device", "--force"]);
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(bsql.get_program())
        .args(bsql.get_args().skip(2)); // Without the log file, which is too long as well.
    command.env_clear().envs(
        bsql.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    env.run(command)
        .fails(73)
        .says(&["cannot keep the session"]);
    assert_eq!(sessions(), before);
    env.bsql(&["whoami"]).succeeds();
}
