//! Settings and profiles.

use crate::support::TestEnv;

#[test]
fn a_new_machine_says_what_to_do() {
    let env = TestEnv::new();
    std::fs::remove_file(env.file("config.toml")).unwrap();
    env.bsql(&["ls"])
        .fails(78)
        .says(&["no profile", "bsql sandbox demo"]);
    let path = env.bsql(&["config", "path"]).succeeds();
    assert_eq!(path.stdout, "[HOME]/config.toml\n");
}

#[test]
fn variables_win_over_files() {
    let env = TestEnv::signed_in("ada");
    let mut command = env.command(&["ls"]);
    command.env("BSQL_BACKSTAGE_AUTH", "none");
    // Without a token the catalog refuses.
    env.run(command).fails(77);
    let mut command = env.command(&["ls"]);
    command.env("BSQL_BACKSTAGE_AUTH", "magic");
    env.run(command)
        .fails(78)
        .says(&["`magic`", "expected auto, backstage, id-token"]);
}

#[test]
fn unknown_keys_warn_and_unknown_profiles_fail() {
    let env = TestEnv::signed_in("ada");
    env.edit_config(|text| {
        text.replace(
            "[profiles.sandbox.backstage]",
            "[profiles.sandbox.backstage]\nurll = 'x'",
        )
    });
    env.bsql(&["ls"]).succeeds().says(&[
        "profiles.sandbox.backstage.urll",
        "did you mean `backstage.url`?",
    ]);
    env.bsql(&["ls", "--profile", "nope"])
        .fails(78)
        .says(&["use one of: sandbox"]);
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let env = TestEnv::new();
    env.edit_config(|_| "x = 1\ny = = 2\n".to_owned());
    env.bsql(&["ls"])
        .fails(78)
        .says(&["[HOME]/config.toml", "line 2"]);
}
