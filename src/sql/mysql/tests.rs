//! Against a MariaDB server.

use std::time::{Duration, Instant};

use tokio::net::UnixStream;

use super::super::test_fixtures::{Impatient, Script, fails, run};
use super::super::{
    Column, Dialect, Login, RowSink, ServerError, Statement, Transaction, is_user_refused,
};
use super::test_server::TestServer;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::secret::Secret;
use crate::tunnel::Dial;

pub(super) fn as_user(user: &str) -> Login {
    Login {
        dialect: Dialect::MySql,
        database: "shop".to_owned(),
        user: user.to_owned(),
        password: None,
        application_name: format!("bsql:{user}"),
        read_only: false,
        statement_timeout: None,
    }
}

#[tokio::test]
async fn rows_kinds_and_remarks() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let version = ada.parameter("server_version").unwrap();
    assert!(version.contains("MariaDB") && !version.starts_with("5.5.5-"));

    assert_eq!(
        run(&mut ada, "select 1 as one, null as none, 'ä' as `A`").await,
        ["one Number, none Text, A Text", "1|NULL|ä", "done 1"]
    );
    let several = "create temporary table t (x int); insert into t values (1), (2); \
        select x from t where false; update t set x = x + 1; -- end";
    assert_eq!(
        run(&mut ada, several).await,
        ["done 0", "done 2", "x Number", "done 0", "done 2"]
    );
    assert_eq!(run(&mut ada, " -- nothing\n;").await, ["done 0"]);

    let typed = "create temporary table k (i bigint unsigned, n decimal(5, 2), d double, \
        z int(5) zerofill, b varbinary(9), t text, e enum('m'), at datetime(3), y year, bits bit(9)); \
        insert into k values (18446744073709551615, 2.5, 1e20, 7, 0x00ff, 'x', 'm', \
        '2026-01-02 03:04:05.6', 2026, b'101'); select * from k";
    let expected = [
        "i Number, n Number, d Number, z Text, b Text, t Text, e Text, at Text, y Text, bits Text",
        "18446744073709551615|2.50|1e20|00007|0x00ff|x|m|2026-01-02 03:04:05.600|2026|0x0005",
        "done 1",
    ];
    assert_eq!(run(&mut ada, typed).await[2..], expected);

    let warned = "select 1 + 'x' as n";
    let lines = run(&mut ada, warned).await;
    assert_eq!(lines[1], "1");
    assert!(
        lines[3].starts_with("WARNING: Truncated incorrect DOUBLE value"),
        "{lines:?}"
    );
    // Of what another statement may ask for, nothing is taken away.
    let lines = run(&mut ada, &format!("{warned}; select row_count() as n")).await;
    assert_eq!(
        lines[3..],
        [
            "WARNING: 1 warning: SHOW WARNINGS lists them",
            "n Number",
            "-1",
            "done 1"
        ]
    );
    ada.close().await;
}

#[tokio::test]
async fn procedures_return_several_times() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let sql = "delimiter //\ncreate or replace procedure twice()\nbegin\n  select 1 as a;\n  \
        if true then select 2 as b; end if;\nend //\ndelimiter ;\ncall twice(); select 3 as c";
    let expected = [
        "done 0", "a Number", "1", "done 1", "b Number", "2", "done 1", "done 0", "c Number", "3",
        "done 1",
    ];
    assert_eq!(run(&mut ada, sql).await, expected);
    let one = Statement {
        sql: "create or replace procedure once() if true then select 1; end if",
        values: &[],
        is_one: true,
    };
    ada.run(one, &mut Script::default()).await.unwrap();
}

#[tokio::test]
async fn values_are_the_servers_business() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let values = [Some("it's \\".to_owned()), None, Some("41".to_owned())];
    let statement = |sql| Statement {
        sql,
        values: &values,
        is_one: false,
    };
    let mut script = Script::default();
    let sql = "select ? as a, ? as b, ? + 1 as c, cast('2026-01-02 03:04:05' as datetime) as d, \
        cast('-26:03:04' as time) as t, 2.5 as n, 1e20 as f, x'00ff' as x, 7 as i; -- end";
    ada.run(statement(sql), &mut script).await.unwrap();
    assert_eq!(
        script.lines,
        [
            "a Text, b Text, c Number, d Text, t Text, n Number, f Number, x Text, i Number",
            "it's \\|NULL|42|2026-01-02 03:04:05|-26:03:04|2.5|1e20|0x00ff|7",
            "done 1"
        ]
    );
    let error = ada
        .run(statement("select ?"), &mut script)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let error = ada
        .run(statement("select ?, ?, ?, nonsense"), &mut script)
        .await
        .unwrap_err();
    assert_eq!(ServerError::of(&error).unwrap().code, Some(1054));
    let error = ada
        .run(statement("select ?; select ?, ?"), &mut script)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Statement);
    // Longer than a packet: the value goes in pieces, and the answer comes in pieces.
    let long = [Some("x".repeat(17 << 20))];
    let mut script = Script::default();
    let sql = Statement {
        sql: "select ? as long_one",
        values: &long,
        is_one: false,
    };
    ada.run(sql, &mut script).await.unwrap();
    assert!(script.lines[1] == *long[0].as_ref().unwrap());
    assert_eq!(run(&mut ada, "select 7").await[1], "7");
    let held = "show session status like 'prepared_stmt_count'";
    assert!(
        run(&mut ada, held).await[1].ends_with("|0"),
        "all are closed"
    );
}

#[tokio::test]
async fn what_the_server_does_not_run() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let error = fails(&mut ada, "select nonsense from dual").await;
    assert_eq!(error.kind(), ErrorKind::Statement);
    assert_eq!(ServerError::of(&error).unwrap().code, Some(1054));
    let said = &error.causes()[0];
    assert!(said.starts_with("Unknown column 'nonsense'"), "{said}");
    assert!(said.ends_with("(error 1054, SQLSTATE 42S22)"), "{said}");
    let error = fails(&mut ada, "select * from vault.secrets").await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(
        error.next_steps(),
        ["ask the database's owner to grant it to `ada`"]
    );
    assert!(!is_user_refused(&error));

    let mut script = Script::default();
    let partial = "create temporary table t (x int unique); insert into t values (1); \
        insert into t values (1); select 'never'";
    ada.run(partial, &mut script).await.unwrap_err();
    assert_eq!(script.lines, ["done 0", "done 1"]);
    assert_eq!(run(&mut ada, "select 7").await[1], "7", "listening again");

    run(&mut ada, "begin; select 1").await;
    assert_eq!(ada.transaction(), Transaction::Open);
    fails(&mut ada, "nonsense").await;
    assert_eq!(ada.transaction(), Transaction::Open);
    run(&mut ada, "rollback").await;
    assert_eq!(ada.transaction(), Transaction::None);
    // MariaDB asks for a file only of clients that offer them.
    fails(
        &mut ada,
        "load data local infile '/etc/passwd' into table t",
    )
    .await;
    assert!(ada.is_usable());
    ada.close().await;

    let limited = Login {
        read_only: true,
        statement_timeout: Some(Duration::from_millis(50)),
        ..as_user("ada")
    };
    let mut limited = server.open(&limited).await.unwrap();
    let error = fails(&mut limited, "create table mine (x int)").await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(
        error.next_steps(),
        ["add --write if it is meant to change data"]
    );
    let error = fails(&mut limited, "select sleep(60)").await;
    assert_eq!(error.kind(), ErrorKind::Statement);
    assert_eq!(error.next_steps(), ["give it more time with --timeout"]);
}

#[tokio::test]
async fn who_is_let_in() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let refused = async |login: Login| server.open(&login).await.unwrap_err();
    for user in ["nobody", "builtin"] {
        let error = refused(as_user(user)).await;
        assert_eq!(error.kind(), ErrorKind::Denied);
        let expected = format!("cannot sign in to database `shop` as `{user}`");
        assert_eq!(error.to_string(), expected);
        assert_eq!(ServerError::of(&error).unwrap().code, Some(1045));
        assert!(is_user_refused(&error));
    }
    let with = |password: &str| Login {
        password: Some(Secret::from(password.to_owned())),
        ..as_user("builtin")
    };
    assert!(is_user_refused(&refused(with("wrong")).await));
    server.open(&with("hunter2")).await.unwrap().close().await;

    let elsewhere = |database: &str| Login {
        database: database.to_owned(),
        ..as_user("ada")
    };
    let error = refused(elsewhere("vault")).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(!is_user_refused(&error), "{error:?}");
    let mut nowhere = server.open(&elsewhere("")).await.unwrap();
    assert_eq!(run(&mut nowhere, "select database() as d").await[1], "NULL");
    let error = fails(&mut nowhere, "select * from t").await;
    assert_eq!(error.next_steps(), ["name one with -d"]);

    let crowd = Login {
        database: String::new(),
        ..as_user("crowd")
    };
    let first = server.open(&crowd).await.unwrap();
    assert_eq!(refused(crowd.clone()).await.kind(), ErrorKind::TryLater);
    first.close().await;
    server.open(&crowd).await.unwrap();
}

/// Dials the test's server.
struct Redial(std::path::PathBuf);

impl Dial for Redial {
    type Conn = UnixStream;

    async fn dial(&self) -> Result<UnixStream> {
        UnixStream::connect(&self.0)
            .await
            .or_fail(ErrorKind::Unavailable, || "cannot dial")
    }
}

const ENDLESS: &str = "select seq from seq_1_to_1000000000";

#[tokio::test]
async fn statements_can_be_left() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let started = Instant::now();
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let redial = Redial(server.socket());
    for sql in [
        "select sleep(60)",
        ENDLESS,
        "select sleep(60); select sleep(60)",
    ] {
        let mut script = Script::default();
        let told_to = tokio::time::sleep(Duration::from_millis(50));
        let outcome = ada.run_until(sql, &mut script, told_to, &redial).await;
        assert!(outcome.is_none());
        let after = run(&mut ada, "select 7").await;
        assert_eq!(after[1], "7", "cancelled on the server too");
    }
    let mut sink = Impatient::default();
    let error = ada.run(ENDLESS, &mut sink).await.unwrap_err();
    assert_eq!(error.to_string(), "the pipe is closed");
    assert_eq!(sink.0, 10);
    assert_eq!(
        fails(&mut ada, "select 1").await.kind(),
        ErrorKind::Internal
    );
    ada.close().await;
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_connection_that_is_cut() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let error = fails(&mut ada, "kill connection_id()").await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!ada.is_usable());
    ada.close().await;
}

/// Counts, and keeps nothing.
#[derive(Default)]
struct Counted(u64);

impl RowSink for Counted {
    fn columns(&mut self, _: &[Column]) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &[Option<&str>]) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn done(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_million_rows_are_not_kept() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let resident = || -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4 / 1024
    };
    let before = resident();
    let mut counted = Counted::default();
    let sql = "select seq, repeat('x', 300) from seq_1_to_1000000";
    ada.run(sql, &mut counted).await.unwrap();
    assert_eq!(counted.0, 1_000_000);
    let grown = resident().saturating_sub(before);
    // The rows are 300 MB; other tests run meanwhile.
    assert!(grown < 150, "{grown} MB more");
}
