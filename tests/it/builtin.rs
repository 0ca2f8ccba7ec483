//! bsql's own prompt, fed with scripts. At a terminal: tests/e2e/builtin.

use std::fs;

use crate::support::{Run, TestEnv};

/// The prompt with a script on its standard input.
fn prompt(env: &TestEnv, args: &[&str], script: impl AsRef<[u8]>) -> Run {
    prompt_on("payments-staging", env, args, script)
}

/// The same, on another database.
pub(crate) fn prompt_on(name: &str, env: &TestEnv, args: &[&str], script: impl AsRef<[u8]>) -> Run {
    let input = env.file("script.sql");
    fs::write(&input, script).unwrap();
    let connect = ["connect", name, "--client", "builtin"];
    let mut command = env.command(&[&connect, args].concat());
    command.stdin(fs::File::open(input).unwrap());
    env.run(command)
}

#[test]
fn where_no_program_is_installed_it_is_there_and_says_so() {
    let env = TestEnv::signed_in("ada").without_programs();
    let input = env.file("script.sql");
    fs::write(&input, "select current_user as me;\n").unwrap();
    let mut command = env.command(&["connect", "payments-staging"]);
    command.stdin(fs::File::open(input).unwrap());
    let run = env.run(command).succeeds();
    assert_eq!(run.stdout, "me\nada@acme.example\n(1 row)\n", "{run}");
    run.says(&["cannot find the program `psql`", "bsql's own prompt"]);
    assert!(env.sockets().is_empty());
    let records = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(records["records"][1]["connections"], 1);
    assert_eq!(records["records"][1]["exit"], 0);
}

#[test]
fn statements_one_by_one_with_windows_line_ends() {
    let env = TestEnv::signed_in("ada");
    let script = "\u{feff}begin;\r\ncreate temp table t (x int, y text);\r\ninsert into t\r\n  values (1, 'a;b'), (2, null);\r\n\\x on\r\nselect * from t order by x;\r\ncommit;\r\n\\echo done\r\nselect 7 as seven";
    let run = prompt(&env, &[], script).succeeds();
    assert_eq!(
        run.stdout,
        "-[ RECORD 1 ]-\nx | 1\ny | a;b\n-[ RECORD 2 ]-\nx | 2\ny |\n(2 rows)\ndone\n-[ RECORD 1 ]-\nseven | 7\n(1 row)\n",
        "{run}"
    );
}

#[test]
fn a_script_stops_at_its_first_error() {
    let env = TestEnv::signed_in("ada");
    let script = "select 1 as one;\n\nselect\n  nonsense;\nselect 2 as two;\n";
    let run = prompt(&env, &[], script);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(run.stdout, "one\n1\n(1 row)\n", "{run}");
    let run = run.says(&[
        "standard input:3: ERROR:  column \"nonsense\" does not exist (SQLSTATE 42703)",
        "LINE 2:   nonsense;\n          ^",
    ]);
    drop(run);
    let run = prompt(&env, &["--", "--keep-going"], script);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stdout.ends_with("two\n2\n(1 row)\n"), "{run}");
    let file = env.file("file.sql");
    fs::write(&file, "\\i nowhere.sql\n").unwrap();
    let run = prompt(&env, &["--", "-f", file.to_str().unwrap()], "");
    assert_eq!(run.code, 1, "{run}");
    run.says(&["file.sql:1: error: cannot read `nowhere.sql`"]);
}

#[test]
fn what_is_no_sql_is_refused_in_words() {
    let env = TestEnv::signed_in("ada");
    prompt(&env, &[], b"s\0e\0l\0e\0c\0t\0".as_slice())
        .fails(64)
        .says(&["NUL byte", "iconv"]);
    prompt(&env, &[], b"select '\xfc';\n".as_slice())
        .fails(64)
        .says(&["not UTF-8", "iconv"]);
    let run = prompt(&env, &[], "\\nonsense\n");
    assert_eq!(run.code, 1, "{run}");
    run.says(&["there is no command `\\nonsense`"]);
    let run = env.bsql(&[
        "connect",
        "payments-staging",
        "--client",
        "builtin",
        "--",
        "-A",
    ]);
    run.fails(64).says(&["-A", "it takes: -f FILE"]);
}

#[test]
fn the_catalog_is_described() {
    let env = TestEnv::signed_in("ada");
    let script =
        "\\dt\n\\d payments\n\\d pay*\n\\dn\n\\du ada*\n\\l\n\\df public.no*\n\\conninfo\n";
    let run = prompt(&env, &[], script).succeeds();
    for expected in [
        "Schema  Name",
        "payments  table",
        "Column",
        "not null",
        "\nIndexes:\n",
        "PRIMARY KEY",
        "public",
        "ada@acme.example",
        "UTF8",
        "payments-staging: database `payments` as `ada@acme.example` on PostgreSQL",
    ] {
        assert!(run.stdout.contains(expected), "no {expected:?}: {run}");
    }
    assert_eq!(run.stderr, "", "{run}");
    let run = prompt(&env, &[], "\\d nonsense\n");
    assert_eq!(run.code, 1, "{run}");
    run.says(&["relation \"nonsense\" does not exist"]);
}

#[test]
fn another_database_read_only_and_a_new_connection() {
    let env = TestEnv::signed_in("ada");
    let run = prompt(
        &env,
        &["--read-only"],
        "create table mine (x int);\nselect 1;\n",
    );
    assert_eq!(run.code, 1, "{run}");
    run.says(&["read-only transaction", "connect without --read-only"]);
    if !env.world().has_system_postgres() {
        return;
    }
    let script = "\\c nonsense\nselect current_database() as db;\n";
    let run = prompt(&env, &["--", "--keep-going"], script);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(run.stdout, "", "a script does not go on elsewhere: {run}");
    let script = "select pg_terminate_backend(pg_backend_pid());\nselect 1;\n";
    let run = prompt(&env, &["--", "--keep-going"], script);
    assert!(run.code == 1 && run.stdout.is_empty(), "{run}");
    run.says(&["SQLSTATE 57P01"]);
}

#[test]
fn a_production_database_says_so_and_locale_c_is_fine() {
    let env = TestEnv::signed_in("ada");
    let input = env.file("script.sql");
    fs::write(&input, "select 'größe' as \"Größe\";\n").unwrap();
    let mut command = env.command(&["connect", "payments-staging", "--client", "builtin"]);
    command
        .env("LC_ALL", "C")
        .env("TERM", "dumb")
        .stdin(fs::File::open(input).unwrap());
    let run = env.run(command).succeeds();
    assert_eq!(run.stdout, "Größe\ngröße\n(1 row)\n", "{run}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_in_a_script_ends_it_and_its_query() {
    let env = TestEnv::signed_in("ada");
    if !env.world().has_system_postgres() {
        return;
    }
    let file = env.file("slow.sql");
    fs::write(
        &file,
        "do $$ begin raise notice 'started'; end $$;\nselect pg_sleep(60);\n",
    )
    .unwrap();
    let started = env.spawn(&[
        "connect",
        "payments-staging",
        "--client",
        "builtin",
        "--",
        "-f",
        file.to_str().unwrap(),
    ]);
    let started = started.until("started");
    started.signal(rustix::process::Signal::INT);
    assert_eq!(started.finish().code, 130);
}
