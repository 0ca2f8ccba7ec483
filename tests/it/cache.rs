//! What is kept of Backstage's answers, and what the shell offers of it.

use std::fs;
use std::process::Command;

use crate::support::{TestEnv, files_below};

/// How many requests to the catalog a run logged.
fn requests(stderr: &str) -> usize {
    stderr
        .lines()
        .filter(|line| line.contains("/api/catalog/"))
        .count()
}

#[test]
fn a_second_dry_run_asks_backstage_nothing() {
    let env = TestEnv::signed_in("ada");
    let first = env
        .bsql(&["-vv", "connect", "payments-staging", "--dry-run"])
        .succeeds();
    assert!(requests(&first.stderr) > 0, "{first}");
    let second = env
        .bsql(&["-vv", "connect", "payments-staging", "--dry-run"])
        .succeeds();
    assert_eq!(requests(&second.stderr), 0, "{second}");
    assert_eq!(first.stdout, second.stdout);
    let refreshed = env
        .bsql(&[
            "-vv",
            "connect",
            "payments-staging",
            "--dry-run",
            "--refresh",
        ])
        .succeeds();
    assert!(requests(&refreshed.stderr) > 0, "{refreshed}");

    env.edit_config(|config| {
        config.replace(
            "[profiles.sandbox.backstage]",
            "[profiles.sandbox.catalog]\ncache_ttl = \"0s\"\n\n[profiles.sandbox.backstage]",
        )
    });
    let always = env
        .bsql(&["-vv", "connect", "payments-staging", "--dry-run"])
        .succeeds();
    assert!(requests(&always.stderr) > 0, "{always}");
}

#[test]
fn what_was_listed_is_there_offline() {
    let env = TestEnv::signed_in("ada");
    let listed = env.bsql(&["ls", "-o", "name"]).succeeds().stdout;
    assert!(listed.contains("payments-staging"), "{listed}");
    let fresh = env.bsql(&["-vv", "ls", "-o", "name"]).succeeds();
    assert_eq!(requests(&fresh.stderr), 0, "{fresh}");
    assert_eq!(fresh.stdout, listed);

    let offline = env
        .bsql(&["-vv", "ls", "-o", "name", "--offline"])
        .succeeds();
    assert_eq!(offline.stdout, listed);
    assert_eq!(requests(&offline.stderr), 0, "{offline}");
    env.bsql(&["ls", "--all", "--offline"])
        .fails(69)
        .says(&["it was not asked before", "without --offline"]);
}

#[test]
fn what_is_kept_is_for_the_person_alone_and_holds_no_token() {
    let env = TestEnv::signed_in("ada");
    // Every run looks for tokens in all files of the home.
    env.bsql(&["ls"]).succeeds();
    env.bsql(&["connect", "payments-staging", "--dry-run"])
        .succeeds();
    let files = files_below(&env.file("cache"));
    assert!(files.len() >= 4, "{files:?}");
    #[cfg(unix)]
    for file in &files {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        let dir = fs::metadata(file.parent().unwrap()).unwrap();
        assert_eq!(dir.permissions().mode() & 0o777, 0o700);
    }
    for file in &files {
        fs::write(file, "broken").unwrap();
    }
    env.bsql(&["ls", "-o", "name"]).succeeds();
}

/// What completion offers for a command line; the last word is the one that is typed.
pub(crate) fn offered(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let mut command = env.command(&[]);
    let mut line = Command::new(command.get_program());
    line.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            line.env(name, value);
        }
    }
    line.env("COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .args(["--", "bsql"])
        .args(words);
    command = line;
    let output = command.output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_shell_completes_names_from_the_cache() {
    let env = TestEnv::signed_in("ada");
    assert!(
        offered(&env, &["connect", "pay"]).is_empty(),
        "nothing is known, and nobody is asked"
    );
    env.bsql(&["ls", "--all"]).succeeds();
    let names = offered(&env, &["connect", "pay"]);
    assert!(names.contains(&"payments-staging".to_owned()), "{names:?}");
    assert!(
        names.iter().all(|name| name.starts_with("pay")),
        "{names:?}"
    );
    let names = offered(&env, &["connect", "warehouse/"]);
    assert_eq!(names, ["warehouse/inventory"]);
    let names = offered(&env, &["connect", "resource:payments-s"]);
    assert_eq!(names, ["resource:payments-staging"]);
    let names = offered(&env, &["connect", "resource:default/payments-s"]);
    assert_eq!(names, ["resource:default/payments-staging"]);
    let names = offered(&env, &["connect", "payments@"]);
    assert!(names.contains(&"payments@staging".to_owned()), "{names:?}");
    assert_eq!(offered(&env, &["--profile", "s"]), ["sandbox"]);
    assert_eq!(offered(&env, &["ls", "--env", "st"]), ["staging"]);
    assert_eq!(offered(&env, &["ls", "--owner", "pay"]), ["payments"]);
    let mut command = env.command(&["version-or-not"]);
    command.env("COMPLETE", "something-else");
    env.run(command).fails(64);
}

#[test]
fn aliases_stand_for_databases() {
    let env = TestEnv::signed_in("ada");
    env.edit_config(|config| {
        config + "\n[profiles.sandbox.aliases]\npay = \"resource:default/payments-staging\"\n"
    });
    let run = env.bsql(&["connect", "pay", "--dry-run"]).succeeds();
    assert!(run.stdout.contains("acme-staging"), "{run}");
    assert!(offered(&env, &["connect", "pa"]).contains(&"pay".to_owned()));
}

/// What a real Bash has in COMPREPLY after a press of the key.
#[cfg(unix)]
pub(crate) fn in_bash(env: &TestEnv, line: &str) -> Option<String> {
    let template = env.command(&[]);
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_bsql"))
        .parent()
        .unwrap();
    let mut bash = Command::new("bash");
    bash.env_clear();
    for (name, value) in template.get_envs() {
        if let Some(value) = value {
            bash.env(name, value);
        }
    }
    let path = format!("{}:{}", bin.display(), crate::support::world::system_path());
    // Bash splits the line itself only when it is interactive, so its words are given as it would split them.
    let script = r#"
        source <(bsql completions bash)
        COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
        _bsql bsql "${COMP_WORDS[COMP_CWORD]}" "" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let mut part = String::new();
        for c in word.chars() {
            let is_break = ":@=".contains(c);
            if is_break && !part.is_empty() {
                words.push(std::mem::take(&mut part));
            }
            part.push(c);
            if is_break {
                words.push(std::mem::take(&mut part));
            }
        }
        if !part.is_empty() || word.is_empty() || word.ends_with([':', '@', '=']) {
            words.push(part);
        }
    }
    let output = bash
        .env("PATH", path)
        .args(["--norc", "-c", script, "bash", line])
        .args(&words)
        .output()
        .ok()?;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[cfg(unix)]
#[test]
fn bash_completes_what_it_takes_apart() {
    let env = TestEnv::signed_in("ada");
    env.bsql(&["ls", "--all"]).succeeds();
    for (line, expected) in [
        ("bsql conn", "connect\n"),
        ("bsql connect payments-s", "payments-staging\n"),
        ("bsql connect warehouse/", "warehouse/inventory\n"),
        // Bash replaces only what is behind the last `:`, `@` or `=`.
        ("bsql connect resource:payments-s", "payments-staging\n"),
        ("bsql connect payments@st", "staging\n"),
        (
            "bsql --profile=sandbox connect payments-s",
            "payments-staging\n",
        ),
        ("bsql ls --owner=paym", "payments\n"),
    ] {
        let Some(reply) = in_bash(&env, line) else {
            return; // No Bash on this machine.
        };
        assert_eq!(reply, expected, "{line}");
    }
}
