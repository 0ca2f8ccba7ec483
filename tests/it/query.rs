//! `query`: rows for scripts.

use crate::support::TestEnv;

const VALUES: &str =
    "select 1 as n, 'a,b' as t, null as nothing, true as yes, '{\"k\": [1, 2]}'::jsonb as j";

#[test]
fn in_every_format() {
    let env = TestEnv::signed_in("ada").without_programs();
    let rows = |format: &str| {
        env.bsql(&["query", "payments-staging", VALUES, "-o", format])
            .succeeds()
            .stdout
    };
    assert_eq!(
        rows("csv"),
        "n,t,nothing,yes,j\n1,\"a,b\",,t,\"{\"\"k\"\": [1, 2]}\"\n"
    );
    assert_eq!(
        rows("jsonl"),
        "{\"n\":1,\"t\":\"a,b\",\"nothing\":null,\"yes\":true,\"j\":{\"k\":[1,2]}}\n"
    );
    let array: serde_json::Value = serde_json::from_str(&rows("json")).unwrap();
    assert_eq!(
        array,
        serde_json::json!([{ "n": 1, "t": "a,b", "nothing": null, "yes": true, "j": { "k": [1, 2] } }])
    );
    assert!(rows("table").starts_with("n  t"), "{}", rows("table"));
}

#[test]
fn read_only_unless_told_otherwise() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["query", "payments-staging", "create table mine (x int)"]);
    run.fails(77).says(&["read-only transaction", "--write"]);
    let sql =
        "create temporary table mine (x int); insert into mine values (1); select * from mine";
    let run = env
        .bsql(&["query", "payments-staging", sql, "--write", "-o", "csv"])
        .succeeds();
    assert_eq!(run.stdout, "x\n1\n", "{run}");
}

#[test]
fn a_statement_that_fails_says_what_postgresql_says() {
    let env = TestEnv::signed_in("ada");
    let run = env.bsql(&["query", "payments-staging", "select nonsense from payments"]);
    assert_eq!(run.code, 1, "{run}");
    run.says(&["column \"nonsense\" does not exist"]);
    let run = env.bsql(&["query", "payments-staging", "select nonsense", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(error["error"]["exit"], 1);
}

#[test]
fn from_a_file_from_standard_input_and_with_a_time_limit() {
    let env = TestEnv::signed_in("ada");
    let file = env.file("q.sql");
    std::fs::write(&file, "select 1 as n;\nselect 2 as m;\n").unwrap();
    let run = env
        .bsql(&[
            "query",
            "payments-staging",
            "-f",
            file.to_str().unwrap(),
            "-o",
            "csv",
        ])
        .succeeds();
    assert_eq!(run.stdout, "n\n1\nm\n2\n");
    let mut command = env.command(&["query", "payments-staging", "-", "-o", "csv"]);
    command.stdin(std::fs::File::open(&file).unwrap());
    assert_eq!(env.run(command).succeeds().stdout, "n\n1\nm\n2\n");
    if env.world().has_system_postgres() {
        let run = env.bsql(&[
            "query",
            "payments-staging",
            "select pg_sleep(30)",
            "--timeout",
            "100ms",
        ]);
        assert_eq!(run.code, 1, "{run}");
        run.says(&["statement timeout"]);
    }
}

#[test]
fn many_rows_are_streamed() {
    let env = TestEnv::signed_in("ada");
    let run = env
        .bsql(&[
            "query",
            "payments-staging",
            "select * from generate_series(1, 100000) as n",
            "-o",
            "csv",
        ])
        .succeeds();
    assert_eq!(run.stdout.lines().count(), 100_001);
}

/// The sandbox's names are made of its instances' names: these are staging's `payments` and production's `orders`.
#[test]
fn an_instance_by_its_dns_name() {
    let env = TestEnv::signed_in("ada");
    let ada = "e6c89bb51c0a.cf8b241f759c8.europe-west1.sql.goog";
    let sql = "select current_user, current_database()";
    for name in [ada, &format!("{}.", ada.to_uppercase())] {
        let args = ["query", name, sql, "-d", "payments", "-o", "csv"];
        let run = env.bsql(&args).succeeds();
        assert!(run.stdout.contains("ada@acme.example,payments"), "{run}");
    }
    let run = env.bsql(&["connect", ada, "--dry-run"]).succeeds();
    let instance = "instance acme-staging:europe-west1:payments\n";
    assert!(run.stdout.starts_with(instance), "{run}");
    let records = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    let record = &records["records"][0];
    assert_eq!(record["instance"], "acme-staging:europe-west1:payments");
    assert!(record["entity"].is_null(), "{record}");
    // Not Ada's, not anybody's, and not in that region.
    for name in [
        "215b7f8e667b.f3135607e56ac.europe-west1.sql.goog",
        "000000000000.cf8b241f759c8.europe-west1.sql.goog",
        "e6c89bb51c0a.cf8b241f759c8.europe-west4.sql.goog",
    ] {
        env.bsql(&["query", name, sql])
            .fails(77)
            .says(&[name, "roles/cloudsql.client"]);
    }
}

#[test]
fn parameters_are_the_servers_business() {
    let env = TestEnv::signed_in("ada");
    let run = env
        .bsql(&[
            "query",
            "payments-staging",
            "select :n + 1 as n, :text as t, $3::text is null as gone, ':n' as kept",
            "-p",
            "n=41",
            "-p",
            "text='; drop table payments; -- \\",
            "--param",
            "nothing",
            "-o",
            "jsonl",
        ])
        .succeeds();
    assert_eq!(
        run.stdout,
        "{\"n\":42,\"t\":\"'; drop table payments; -- \\\\\",\"gone\":true,\"kept\":\":n\"}\n",
        "{run}"
    );
    let query =
        |sql: &str, parameter: &str| env.bsql(&["query", "payments-staging", sql, "-p", parameter]);
    query("select 1", "n=1")
        .fails(64)
        .says(&["does not use the parameter `n`"]);
    let run = query("select 1;\nselect :n::int, nonsense", "n=1");
    assert_eq!(run.code, 1, "several statements take no parameters: {run}");
    let run = query("select 1 from payments where :n = nonsense", "n=1");
    run.says(&["at line 1, column 35: `select 1 from payments where $1 = nonsense`"]);
    let run = query("select :n::int", "n=x");
    run.says(&["invalid input syntax for type integer: \"x\""]);
    query("select 1", "1x").fails(64);
}

#[test]
fn a_failure_half_way_leaves_whole_lines_and_its_exit_status() {
    let env = TestEnv::signed_in("ada");
    let sql = "select 100000 / (50000 - n) as x from generate_series(1, 100000) as n";
    for format in ["csv", "jsonl"] {
        let run = env.bsql(&["query", "payments-staging", sql, "-o", format]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stdout.ends_with('\n'));
        let rows = run.stdout.lines().count();
        assert!((40_000..=50_000).contains(&rows), "{rows}");
        if format == "csv" {
            run.says(&["division by zero"]);
        }
    }
    // What is not all there is no JSON.
    let run = env.bsql(&["query", "payments-staging", sql, "-o", "json"]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.ends_with("}\n"));
    assert!(serde_json::from_str::<serde_json::Value>(&run.stdout).is_err());
}

#[test]
fn several_databases_at_once() {
    let env = TestEnv::signed_in("ada");
    if !env.world().has_system_postgres() {
        return;
    }
    let query = |on: &[&str], sql: &str, format: &str| {
        let mut args = vec!["query", "payments-staging", sql, "-o", format];
        args.extend(on.iter().flat_map(|name| ["--on", name]));
        env.bsql(&args)
    };
    let other = "acme-staging:europe-west4:ledger";
    let run = query(&[other], "select 1 as n union all select 2", "csv").succeeds();
    let mut lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.remove(0), "database,n");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            &format!("{other},1"),
            &format!("{other},2"),
            "payments-staging,1",
            "payments-staging,2"
        ]
    );
    run.says(&["payments-staging: 2 rows"]);
    let rows = query(&[other], "select true as yes", "json")
        .succeeds()
        .json();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(rows[0]["yes"], true);
    let table = query(&[other], "select 1 as n", "table").succeeds();
    assert!(table.stdout.starts_with("database"), "{table}");

    // One of two fails: the other's rows are there, and the status says it.
    let run = query(&[other], "select count(*) >= 0 as ok from payments", "csv");
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(run.stdout, "database,ok\npayments-staging,t\n", "{run}");
    run.says(&[
        "1 of 2 databases failed",
        "relation \"payments\" does not exist",
    ]);
    // A name that is wrong is found out before anything runs.
    query(&["no-such-database"], "select 1", "csv").fails(68);
}

#[test]
fn what_is_no_sql_is_refused_in_words() {
    let env = TestEnv::signed_in("ada");
    let file = env.file("q.sql");
    let run = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let mut command = env.command(&["query", "payments-staging", "-", "-o", "csv"]);
        command.stdin(std::fs::File::open(&file).unwrap());
        env.run(command)
    };
    run(b"s\0e\0l\0").fails(64).says(&["NUL byte", "iconv"]);
    run(b"select '\xfc'").fails(64).says(&["not UTF-8"]);
    let windows = "\u{feff}select 1 as n,\r\n  'a' as t;\r\n";
    assert_eq!(run(windows.as_bytes()).succeeds().stdout, "n,t\n1,a\n");
}
