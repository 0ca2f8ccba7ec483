//! MySQL, end to end: the sandbox's instance with a real MariaDB behind it, asked by bsql itself and by its own client.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::builtin::prompt_on;
use crate::support::mariadb::{self, is_installed};
use crate::support::{Run, TestEnv};

const NAME: &str = "storefront-staging";
/// Who and where one is.
const WHO: &str = "select current_user(), database()";

/// Ada, where there is a MariaDB.
fn ada() -> Option<TestEnv> {
    is_installed().then(|| TestEnv::signed_in("ada"))
}

fn query(env: &TestEnv, sql: &str, args: &[&str]) -> Run {
    env.bsql(&[&["query", NAME, sql], args].concat())
}

#[test]
fn rows_in_every_format() {
    let Some(env) = ada() else {
        return;
    };
    let sql = "select sku, cents, null as nothing, 0xfffe as raw, title from products where cents < 2000 order by sku";
    let rows = |format: &str| query(&env, sql, &["-o", format]).succeeds().stdout;
    assert_eq!(
        rows("csv"),
        "sku,cents,nothing,raw,title\nGLUE-1,450,,0xfffe,\"Glue, jar\"\nROPE-20,1990,,0xfffe,\"Rope, 20 m\"\n"
    );
    let glue = r#"{"sku":"GLUE-1","cents":450,"nothing":null,"raw":"0xfffe","title":"Glue, jar"}"#;
    let rope =
        r#"{"sku":"ROPE-20","cents":1990,"nothing":null,"raw":"0xfffe","title":"Rope, 20 m"}"#;
    assert_eq!(rows("jsonl"), format!("{glue}\n{rope}\n"));
    let all: serde_json::Value = serde_json::from_str(&rows("json")).unwrap();
    let expected = format!("[{glue},{rope}]");
    assert_eq!(
        all,
        serde_json::from_str::<serde_json::Value>(&expected).unwrap()
    );
    let table = rows("table");
    assert!(table.starts_with("sku "), "{table}");
    assert!(
        table.contains("GLUE-1 ") && table.contains(" 450 "),
        "{table}"
    );
}

#[test]
fn whose_engine_only_google_knows() {
    let Some(env) = ada() else {
        return;
    };
    let raw = "acme-staging:europe-west1:storefront";
    let sql = "select current_user() as me, database() as db";
    let run = env.bsql(&["query", raw, "--database", "storefront", "-o", "csv", sql]);
    assert_eq!(run.succeeds().stdout, "me,db\nada@%,storefront\n");
}

#[test]
fn parameters_are_the_servers_business() {
    let Some(env) = ada() else {
        return;
    };
    let sql = "select :n + 1 as n, :text as t, :nothing is null as gone, ':n' as kept, $1 as again";
    let args = [
        "-p",
        "n=41",
        "-p",
        "text='; drop table products; -- \\",
        "--param",
        "nothing",
        "-o",
        "jsonl",
    ];
    let run = query(&env, sql, &args).succeeds();
    let row = run.json();
    assert_eq!(row["n"], 42, "{run}");
    assert_eq!(row["t"], "'; drop table products; -- \\");
    assert_eq!((&row["gone"], &row["kept"]), (&json!(1), &json!(":n")));
    assert_eq!(row["again"], "41", "{run}");
    query(&env, "select 1", &["-p", "n=1"])
        .fails(64)
        .says(&["does not use the parameter `n`"]);
    let run = query(&env, "select 1; select :n", &["-p", "n=1"]);
    assert_eq!(run.code, 1, "several statements take no parameters: {run}");
}

#[test]
fn read_only_unless_told_otherwise() {
    let Some(env) = ada() else {
        return;
    };
    query(&env, "delete from cart_lines", &[]).fails(77).says(&[
        "READ ONLY transaction",
        "1792",
        "--write",
    ]);
    let sql =
        "create temporary table mine (x int); insert into mine values (1); select x from mine";
    let run = query(&env, sql, &["--write", "-o", "csv"]).succeeds();
    assert_eq!(run.stdout, "x\n1\n", "{run}");
    // What no one granted is not granted by --write.
    query(&env, "drop table cart_lines", &["--write"])
        .fails(77)
        .says(&["DROP command denied", "1142", "grant it to `ada`"]);
}

#[test]
fn a_statement_that_fails_says_what_the_server_says() {
    let Some(env) = ada() else {
        return;
    };
    let run = query(&env, "select nonsense from products", &[]);
    assert_eq!(run.code, 1, "{run}");
    run.says(&["Unknown column 'nonsense'", "1054", "42S22"]);
    let run = query(&env, "select from", &["-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!((run.code, &error["error"]["exit"]), (1, &json!(1)));
    let raw = "acme-staging:europe-west1:storefront";
    env.bsql(&["query", raw, "select 1", "-d", "nowhere"])
        .fails(77)
        .says(&["Access denied", "1044", "grant `ada` privileges"]);
}

#[test]
fn several_statements_and_standard_input() {
    let Some(env) = ada() else {
        return;
    };
    let file = env.file("q.sql");
    let run = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let mut command = env.command(&["query", NAME, "-", "-o", "csv"]);
        command.stdin(fs::File::open(&file).unwrap());
        env.run(command)
    };
    let windows = "\u{feff}select 1 as n,\r\n 'a;b' as t; -- ;\r\nselect 2 as m;\r\n";
    assert_eq!(
        run(windows.as_bytes()).succeeds().stdout,
        "n,t\n1,a;b\nm\n2\n"
    );
    let half = run(b"select 1 as n; select nonsense; select 2 as m");
    assert_eq!((half.code, half.stdout.as_str()), (1, "n\n1\n"), "{half}");
    run(b"s\0e\0l\0").fails(64).says(&["NUL byte", "iconv"]);
    run(b"select '\xfc'")
        .fails(64)
        .says(&["not UTF-8", "iconv"]);
}

#[test]
fn bytes_that_are_no_text_do_not_pass_for_some() {
    let Some(env) = ada() else {
        return;
    };
    // Latin 1 is the server's to convert; what it calls bytes is shown as such.
    let sql = "select convert(0xfc using latin1) as t, cast(0x00ff00 as binary) as b, char(0 using utf8mb4) as z";
    let run = query(&env, sql, &["-o", "jsonl"]).succeeds();
    assert_eq!(run.json(), json!({ "t": "ü", "b": "0x00ff00", "z": "\0" }));
    let run = query(
        &env,
        "set character_set_results = latin1; select convert(0xfc using latin1) as t",
        &[],
    );
    assert_eq!(run.code, 1, "{run}");
    run.says(&["not UTF-8"]);
}

#[test]
fn it_has_only_so_much_time() {
    let Some(env) = ada() else {
        return;
    };
    let run = query(&env, "select sleep(30)", &["--timeout", "200ms"]);
    assert_eq!(run.code, 1, "{run}");
    run.says(&["max_statement_time exceeded", "1969", "--timeout"]);
}

#[test]
fn together_with_postgresql() {
    let Some(env) = ada() else {
        return;
    };
    let on = ["--on", "ledger-staging", "-o", "csv"];
    let run = query(&env, "select 7 as n", &on).succeeds();
    let mut lines: Vec<&str> = run.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["database,n", "ledger-staging,7", "storefront-staging,7"]
    );
}

#[test]
fn the_prompt_describes_the_catalog() {
    let Some(env) = ada() else {
        return;
    };
    let script = "\\dt\n\\d cart_lines\n\\l store*\n\\di\n\\du\n\\conninfo\n";
    let run = prompt_on(NAME, &env, &[], script).succeeds();
    for expected in [
        "Schema      Name",
        "storefront  products    table  InnoDB",
        "quantity",
        "\nIndexes:\n",
        "unique btree (cart, sku)",
        "\nForeign keys:\n",
        "(sku) references storefront.products (sku)",
        "storefront  utf8mb4",
        "'ada'@'%'",
        "storefront-staging: database `storefront` as `ada` on MariaDB",
    ] {
        assert!(run.stdout.contains(expected), "no {expected:?}: {run}");
    }
    assert_eq!(run.stderr, "", "{run}");
    let run = prompt_on(NAME, &env, &[], "\\d nonsense\n");
    assert_eq!(run.code, 1, "{run}");
    run.says(&["Table 'storefront.nonsense' doesn't exist"]);
}

#[test]
fn the_prompt_runs_scripts() {
    let Some(env) = ada() else {
        return;
    };
    let script = "\\timing on\n\\x on\nselect sku, cents from products where sku = 'GLUE-1';\n\\x off\n\\timing off\n\
        delimiter //\nselect 'a;b' as t//\ndelimiter ;\nselect 7 as seven";
    let run = prompt_on(NAME, &env, &[], script).succeeds();
    assert_eq!(
        run.stdout,
        "-[ RECORD 1 ]-\nsku   | GLUE-1\ncents | 450\n(1 row)\nt\na;b\n(1 row)\nseven\n7\n(1 row)\n",
        "{run}"
    );
    assert_eq!(run.stderr.matches("Time: ").count(), 1, "{run}");

    let script = "select 1 as one;\n\nselect\n  nonsense;\nselect 2 as two;\n";
    let run = prompt_on(NAME, &env, &[], script);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (1, "one\n1\n(1 row)\n"),
        "{run}"
    );
    run.says(&["standard input:3: ERROR:  Unknown column 'nonsense'"]);
    let run = prompt_on(NAME, &env, &["--", "--keep-going"], script);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stdout.ends_with("two\n2\n(1 row)\n"), "{run}");
}

#[test]
fn the_prompt_refuses_what_it_should() {
    let Some(env) = ada() else {
        return;
    };
    prompt_on(NAME, &env, &[], b"s\0e\0l\0".as_slice())
        .fails(64)
        .says(&["NUL byte", "iconv"]);
    prompt_on(NAME, &env, &[], b"select '\xfc';\n".as_slice())
        .fails(64)
        .says(&["not UTF-8", "iconv"]);
    let run = prompt_on(NAME, &env, &["--read-only"], "delete from cart_lines;\n");
    assert_eq!(run.code, 1, "{run}");
    run.says(&["READ ONLY transaction", "connect without --read-only"]);
    let script = "kill connection_id();\nselect 1 as one;\n";
    let run = prompt_on(NAME, &env, &["--", "--keep-going"], script);
    assert!(run.code == 1 && run.stdout.is_empty(), "{run}");
}

#[test]
fn its_client_is_signed_in() {
    let Some(env) = ada() else {
        return;
    };
    let run = env
        .bsql(&[
            "connect", NAME, "--client", "mariadb", "--", "-N", "-e", WHO,
        ])
        .succeeds();
    assert_eq!(run.stdout, "ada@%\tstorefront\n");
    env.bsql(&["connect", "warehouse-staging"])
        .fails(64)
        .says(&["SQL Server on Cloud SQL has no IAM login", "-u USER"]);
}

/// `exec` with MariaDB's client, in an environment with more in it.
fn exec(env: &TestEnv, args: &[&str], client: &[&str], more: &[(&str, &Path)]) -> Run {
    let program = mariadb::client().unwrap();
    let program = [NAME, "--", program.to_str().unwrap()];
    let mut command = env.command(&[&["exec"], args, &program, client].concat());
    command.envs(more.iter().copied());
    env.run(command)
}

/// An option file of that name, in a directory that is returned, for a server that is not there.
fn of_another_server(env: &TestEnv, name: &str) -> PathBuf {
    let dir = env.file("other");
    fs::create_dir_all(&dir).unwrap();
    let text = "[client]\nsocket=/nowhere.sock\nport=1\nuser=root\npassword=hunter2\n[mysql]\nprompt=mine\n";
    fs::write(dir.join(name), text).unwrap();
    dir
}

#[test]
fn exec_gets_ahead_of_the_machines_option_files() {
    let Some(env) = ada() else {
        return;
    };
    let ask = ["-N", "-e", WHO];
    // Where Debian has installed a server, its file names that one's socket.
    let run = exec(&env, &[], &ask, &[]).succeeds();
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("ada@%\tstorefront\n", "")
    );
    assert_eq!(
        exec(&env, &["--tcp"], &ask, &[]).succeeds().stdout,
        run.stdout
    );
    let elsewhere = of_another_server(&env, "my.cnf");
    let more = [("MYSQL_HOME", &*elsewhere)];
    for args in [&[][..], &["--tcp"]] {
        let run = exec(&env, args, &ask, &more).succeeds();
        assert_eq!(run.stdout, "ada@%\tstorefront\n", "{run}");
        let run = exec(&env, args, &["--print-defaults"], &more).succeeds();
        assert!(
            run.stdout.contains("--prompt=mine"),
            "the rest still counts: {run}"
        );
    }
    assert!(env.sockets().is_empty());
}

#[test]
fn exec_says_when_the_persons_own_option_file_outranks_it() {
    let Some(env) = ada() else {
        return;
    };
    let ask = ["-N", "-e", WHO];
    let home = of_another_server(&env, ".my.cnf");
    let more = [("HOME", &*home)];
    let run = exec(&env, &[], &ask, &more);
    assert_eq!(run.code, 1, "{run}");
    drop(run.says(&[
        "/other/.my.cnf` has `socket`, which outranks what exec says",
        "--defaults-file=\"$MYSQL_HOME/my.cnf\"",
    ]));
    // What it says to do helps.
    let script = format!("mariadb --defaults-file=\"$MYSQL_HOME/my.cnf\" -N -e '{WHO}'");
    let mut command = env.command(&["exec", NAME, "--", "sh", "-c", &script]);
    command.env("HOME", &home);
    assert_eq!(env.run(command).succeeds().stdout, "ada@%\tstorefront\n");
}

#[cfg(target_os = "linux")]
#[test]
fn clients_that_insist_on_tls_get_it() {
    let Some(env) = ada() else {
        return;
    };
    let status = ["-e", r"\s"];
    let run = exec(&env, &["--tcp", "--local-tls"], &status, &[]).succeeds();
    assert!(run.stdout.contains("Cipher in use is TLS_"), "{run}");
    let run = exec(&env, &["--tcp"], &status, &[]).succeeds();
    assert!(run.stdout.contains("Not in use"), "{run}");
    // Whoever trusts somebody else is not fooled.
    let args = ["--ssl-ca=/dev/null", "-e", "select 1"];
    let run = exec(&env, &["--tcp", "--local-tls"], &args, &[]);
    assert_eq!(run.code, 1, "{run}");
    env.bsql(&[
        "exec",
        "--tcp",
        "--local-tls",
        "warehouse-staging",
        "-u",
        "app",
        "--",
        "true",
    ])
    .fails(64)
    .says(&["`--local-tls` is for PostgreSQL and MySQL"]);
}
