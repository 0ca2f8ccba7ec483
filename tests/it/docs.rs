//! What is written must be so. `BSQL_UPDATE=1` writes the generated parts anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use bsql::config::{PROFILE_KEYS, PublishedProfile, TOP_KEYS, variable};
use bsql::error::{ANSWERS, EXIT_CODES};

use crate::support::TestEnv;

fn is_current(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("BSQL_UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, expected).unwrap();
    }
    let actual = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        actual == expected,
        "{path} is not current: BSQL_UPDATE=1 cargo test --test it docs"
    );
}

#[test]
fn exit_codes() {
    let mut text = "# Exit codes\n\nThe contract for scripts, made from `src/error.rs`.\n\n\
        | code | name | meaning | next step |\n|--:|---|---|---|\n"
        .to_owned();
    for (code, meaning) in ANSWERS {
        writeln!(text, "| {code} | | {meaning} | |").unwrap();
    }
    for row in EXIT_CODES {
        let hint = row.hint.map(|hint| format!("`{hint}`")).unwrap_or_default();
        writeln!(
            text,
            "| {} | `{}` | {} | {hint} |",
            row.code, row.name, row.meaning
        )
        .unwrap();
    }
    text.push_str(
        "\n`connect`, `sandbox run` and everything else that starts a program end with that program's own status; psql uses 0 to 3.\n\
         Every error says its next step itself where it knows a better one.\n\
         With `-o json` an error is one line of JSON on stderr: `{\"error\":{\"kind\",\"exit\",\"message\",\"causes\":[],\"next\":[]}}`, where `kind` is the name above.\n",
    );
    is_current("docs/exit-codes.md", &text);
}

#[test]
fn completions() {
    let env = TestEnv::new();
    for (shell, file) in [
        ("bash", "bsql.bash"),
        ("zsh", "_bsql"),
        ("fish", "bsql.fish"),
        ("powershell", "_bsql.ps1"),
        ("elvish", "bsql.elv"),
    ] {
        let script = env.bsql(&["completions", shell]).succeeds().stdout;
        is_current(&format!("completions/{file}"), &script);
    }
}

#[test]
fn every_setting_is_documented() {
    let docs = include_str!("../../docs/configuration.md");
    for key in PROFILE_KEYS.iter().chain(&TOP_KEYS) {
        assert!(
            docs.contains(&format!("`{}`", key.path)),
            "{} is not in docs/configuration.md",
            key.path
        );
    }
    assert!(docs.contains(&variable("identity.issuer")));
}

#[test]
fn the_readme_names_commands_that_exist() {
    let env = TestEnv::new();
    let readme = include_str!("../../README.md");
    let commands: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.trim().strip_prefix("$ bsql "))
        .collect();
    assert!(!commands.is_empty());
    for command in commands {
        let first = command.split_whitespace().next().unwrap();
        env.bsql(&[first, "--help"]).succeeds();
    }
    for command in [
        "cargo run --features embedded-postgres -- sandbox demo",
        "cargo test --features embedded-postgres",
    ] {
        assert!(readme.contains(command), "{command}");
    }
}

#[test]
fn documented_profiles_can_be_published() {
    let docs = [
        include_str!("../../docs/configuration.md"),
        include_str!("../../docs/identity.md"),
    ];
    for doc in docs {
        let mut profiles = doc
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .filter(|block| block.starts_with("[profiles.") && !block.contains(".aliases]"))
            .peekable();
        assert!(profiles.peek().is_some());
        for profile in profiles {
            PublishedProfile::read("the documentation", profile).unwrap();
        }
    }
}
