//! Signing in and out, and who one is.

use bsql::sandbox::faults::Faults;

use crate::connect::wait_until;
use crate::support::{Browser, TestEnv, World};

#[test]
fn in_the_browser_with_pkce() {
    let env = TestEnv::new();
    let (login, url) = env
        .spawn(&["login", "--flow", "browser", "--no-browser"])
        .until_url();
    let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["code_challenge_method"], "S256");
    assert!(query.contains_key("state") && query.contains_key("nonce"));
    let page = Browser::new().sign_in(&url, "ada");
    assert!(page.status.is_success(), "{}", page.excerpt());
    assert!(
        page.excerpt().contains("ada@acme.example"),
        "the page says who: {}",
        page.excerpt()
    );
    login
        .finish()
        .succeeds()
        .says(&["signed in as ada@acme.example (profile sandbox)"]);
    env.bsql(&["whoami"]).succeeds();
}

#[test]
fn the_browser_may_come_back_over_ipv6() {
    let env = TestEnv::new();
    env.edit_config(|text| {
        text.replace(
            "[profiles.sandbox.identity]",
            "[profiles.sandbox.identity]\nredirect_host = '[::1]'",
        )
    });
    let (login, url) = env
        .spawn(&["login", "--flow", "browser", "--no-browser"])
        .until_url();
    let redirect = url
        .query_pairs()
        .find(|(name, _)| name == "redirect_uri")
        .unwrap()
        .1;
    assert!(redirect.starts_with("http://[::1]:"), "{redirect}");
    let page = Browser::new().sign_in(&url, "ada");
    assert!(page.status.is_success(), "{}", page.excerpt());
    login.finish().succeeds();

    env.edit_config(|text| text.replace("[::1]", "0.0.0.0"));
    env.bsql(&["login", "--force"])
        .fails(78)
        .says(&["`0.0.0.0`", "identity.redirect_host"]);
}

#[test]
fn with_a_code_on_another_device() {
    let env = TestEnv::signed_in("bruno");
    let who = env.bsql(&["whoami", "-o", "json"]).succeeds().json();
    assert_eq!(who["email"], "bruno@acme.example");
    assert_eq!(who["catalog_user"], "user:default/bruno");
    assert_eq!(who["groups"], serde_json::json!(["group:default/orders"]));
    assert_eq!(who["database_users"]["PostgreSQL"], "bruno@acme.example");
    assert_eq!(
        who["google_principal"],
        "principal://iam.googleapis.com/locations/global/workforcePools/acme/subject/bruno@acme.example"
    );
}

#[test]
fn a_script_signs_in_where_the_provider_approves() {
    let env = TestEnv::in_world(World::approving("chloe"));
    env.bsql(&["login", "--flow", "device", "--no-input"])
        .succeeds()
        .says(&["signed in as chloe@acme.example"]);
}

#[test]
fn who_am_i_for_people() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["whoami"]).succeeds();
    for text in [
        "ada@acme.example (Ada Berg)",
        "user:default/ada, in payments",
        "principal://",
        "renewed by itself",
    ] {
        assert!(run.stdout.contains(text), "{text}\n{run}");
    }
}

#[test]
fn backstage_may_want_a_sign_in_of_its_own() {
    let world = World::with(|options| bsql::sandbox::Options {
        auto_approve: bsql::sandbox::company::person("ada"),
        backstage_sign_in: true,
        ..options
    });
    let env = TestEnv::in_world(world);
    let mut first = env.command(&["login", "--flow", "device"]);
    first.env("BSQL_BACKSTAGE_AUTH", "id-token");
    env.run(first).succeeds();
    // Backstage finds out by itself that its own sign-in is on.
    let mut listing = env.command(&["ls"]);
    listing.env("BSQL_BACKSTAGE_AUTH", "auto");
    env.run(listing).fails(67).says(&["hint: bsql login"]);

    let (login, url) = env
        .spawn(&["login", "--flow", "browser", "--no-browser"])
        .until_url();
    assert!(url.path().starts_with("/oauth2/authorize/"), "{url}");
    let page = Browser::new().visit(&url);
    assert!(page.status.is_success(), "{}", page.excerpt());
    login.finish().succeeds().says(&[
        "already signed in as ada@acme.example",
        "signed in to Backstage as user:default/ada",
    ]);
    let listed = env.bsql(&["ls", "-o", "name"]).succeeds();
    assert!(listed.stdout.contains("payments-staging"), "{listed}");
    env.bsql(&["login"])
        .succeeds()
        .says(&["already signed in to Backstage as user:default/ada"]);

    env.bsql(&["logout"])
        .succeeds()
        .says(&["signed out of Backstage", "signed out (profile sandbox)"]);
    env.bsql(&["ls"]).fails(67);
}

#[test]
fn a_person_may_say_no() {
    let env = TestEnv::new();
    let (login, url) = env
        .spawn(&["login", "--flow", "browser", "--no-browser"])
        .until_url();
    let _ = Browser::new().sign_in(&url, "deny");
    login.finish().fails(77).says(&["said no"]);

    let (login, url) = env.spawn(&["login", "--flow", "device"]).until_url();
    Browser::new().answer_device(&url, "deny");
    login.finish().fails(77);
}

#[test]
fn a_code_that_is_expired_or_used_signs_nobody_in() {
    let env = TestEnv::in_world(World::own());
    let (login, url) = env
        .spawn(&["login", "--flow", "browser", "--no-browser"])
        .until_url();
    // The token endpoint's answer is then `invalid_grant`.
    env.world().break_with(Faults {
        token_status: Some(400),
        ..Faults::default()
    });
    let page = Browser::new().sign_in(&url, "ada");
    assert!(
        !page.excerpt().contains("ada@acme.example"),
        "{}",
        page.excerpt()
    );
    login.finish().fails(67).says(&["hint: bsql login"]);
    env.world().break_with(Faults::default());
    env.bsql(&["whoami"]).fails(67);
}

#[test]
fn twice_is_once_unless_forced() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["login"])
        .succeeds()
        .says(&["already signed in as ada@acme.example"]);
}

#[test]
fn out_again() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["logout"]).succeeds().says(&["signed out"]);
    env.bsql(&["whoami"]).fails(67).says(&["hint: bsql login"]);
    env.bsql(&["logout"])
        .succeeds()
        .says(&["nobody was signed in"]);
}

#[test]
fn nobody_waits_for_ever() {
    let env = TestEnv::new();
    env.bsql(&[
        "login",
        "--flow",
        "browser",
        "--no-browser",
        "--timeout",
        "200ms",
    ])
    .fails(67)
    .says(&["within 200ms"]);
}

#[test]
fn a_provider_that_is_down_is_not_a_sign_out() {
    let env = TestEnv::in_world(World::own());
    env.world().break_with(Faults {
        discovery_status: Some(503),
        ..Faults::default()
    });
    env.bsql(&["login", "--flow", "device"]).fails(69);
}

#[test]
fn a_refresh_that_cannot_reach_the_provider_keeps_the_sign_in() {
    let world = World::with(|options| bsql::sandbox::Options {
        token_life: jiff::SignedDuration::from_secs(2),
        ..options
    });
    let env = TestEnv::in_world(world).sign_in("ada");
    env.world().break_with(Faults {
        token_status: Some(503),
        ..Faults::default()
    });
    // While the tokens last, nobody notices.
    wait_until(|| env.bsql(&["ls", "--refresh"]).code == 69);
    env.world().break_with(Faults::default());
    env.bsql(&["ls"]).succeeds();
}

#[cfg(unix)]
#[test]
fn tokens_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = TestEnv::signed_in("ada");
    let files = crate::support::files_below(&env.file("state").join("tokens"));
    assert!(!files.is_empty());
    for file in files {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
}

/// A machine whose sessions go where `store` says, and which has no keyring: no bus is at that address.
fn with_store<'a>(
    env: &'a TestEnv,
    store: &'a str,
) -> impl Fn(&[&str]) -> std::process::Command + 'a {
    move |args| {
        let mut command = env.command(args);
        command.env("BSQL_IDENTITY_TOKEN_STORE", store).env(
            "DBUS_SESSION_BUS_ADDRESS",
            format!("unix:path={}", env.file("no-bus").display()),
        );
        command
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_keyring_a_file_and_one_warning() {
    let env = TestEnv::in_world(World::approving("ada"));
    let command = with_store(&env, "auto");
    let login = ["login", "--flow", "device", "--no-input"];
    env.run(command(&login)).succeeds().says(&[
        "warning: the session will be in files in `[HOME]/state/tokens`, because no keyring can be reached: ",
        "signed in as ada@acme.example",
    ]);
    let listing = env.run(command(&["ls"])).succeeds();
    assert!(!listing.stderr.contains("warning"), "said once: {listing}");
    let who = env
        .run(command(&["whoami", "-o", "json"]))
        .succeeds()
        .json();
    assert_eq!(who["token_store"], "files in `[HOME]/state/tokens`");
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_wants_a_keyring_gets_no_file() {
    let env = TestEnv::in_world(World::approving("ada"));
    let command = with_store(&env, "keyring");
    env.run(command(&["login", "--flow", "device", "--no-input"]))
        .fails(69)
        .says(&[
            "no keyring can be reached",
            "hint: keep the session in a file",
        ]);
    env.run(command(&["ls"])).fails(67);
    let files = crate::support::files_below(&env.file("state").join("tokens"));
    assert!(
        files
            .iter()
            .all(|file| file.extension().is_some_and(|end| end == "lock")),
        "{files:?}"
    );
}

#[test]
fn a_session_in_memory_is_not_for_login() {
    let env = TestEnv::new();
    env.bsql(&["login", "--store", "memory"])
        .fails(64)
        .says(&["bsql --store memory connect NAME"]);
    env.run(with_store(&env, "cloud")(&["ls"]))
        .fails(78)
        .says(&["there is no token store `cloud`"]);
}
