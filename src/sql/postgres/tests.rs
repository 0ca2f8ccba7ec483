//! Against a PostgreSQL server, and against what is none.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::UnixStream;

use super::super::test_fixtures::{Impatient, Script, fails, run};
use super::super::{
    Connection, Dialect, Login, ServerError, Statement, Transaction, is_user_refused,
};
use super::test_server::TestServer;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::secret::Secret;
use crate::tunnel::Dial;

fn as_user(user: &str) -> Login {
    Login {
        dialect: Dialect::Postgres,
        database: "postgres".to_owned(),
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
    assert!(ada.parameter("server_version").is_some());

    assert_eq!(
        run(&mut ada, "select 1 as one, null as none, 'a' as \"A\"").await,
        ["one Text, none Text, A Text", "1|NULL|a", "done 1"]
    );
    let several = "create temp table t (x int); insert into t values (1), (2); \
        do $$ begin raise warning 'careful'; end $$; select x from t where false; \
        update t set x = x + 1;";
    let mut lines = run(&mut ada, several).await;
    // Remarks may overtake what the server had not flushed yet.
    let remark = lines.iter().position(|line| line == "WARNING: careful");
    lines.remove(remark.expect("the remark arrives"));
    assert_eq!(
        lines,
        ["done 0", "done 2", "done 0", "x Text", "done 0", "done 2"]
    );
    assert_eq!(run(&mut ada, "").await, ["done 0"]);

    let mut json = Script {
        kinds: true,
        ..Script::default()
    };
    let typed = "select 1::int8 as i, 2.5::numeric as n, 1.5::float4 as f, true as b, \
        '{}'::jsonb as j, 'x' as t, now() as at, 3::pg_temp.age as age, 'm'::pg_temp.mood as e";
    run(
        &mut ada,
        "create domain pg_temp.age as int; create type pg_temp.mood as enum ('m')",
    )
    .await;
    ada.run(typed, &mut json).await.unwrap();
    assert_eq!(
        json.lines[0],
        "i Number, n Number, f Number, b Bool, j Json, t Text, at Text, age Number, e Text"
    );
    assert!(
        json.lines[1].starts_with("1|2.5|1.5|t|{}|x|"),
        "{}",
        json.lines[1]
    );
    json.lines.clear();
    ada.run("select 1 as a; select 2 as b", &mut json)
        .await
        .unwrap();
    assert_eq!(
        json.lines,
        ["a Text", "1", "done 1", "b Text", "2", "done 1"]
    );

    let many = run(
        &mut ada,
        "select repeat('x', 100) from generate_series(1, 100000)",
    )
    .await;
    assert_eq!(many.len(), 100_002);
    ada.close().await;
}

#[tokio::test]
async fn what_the_server_does_not_run() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut ada = server.open(&as_user("ada")).await.unwrap();

    for kinds in [false, true] {
        let mut script = Script {
            kinds,
            ..Script::default()
        };
        let error = ada
            .run("select 1,\n  nonsense from pg_class", &mut script)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Statement);
        assert_eq!(error.to_string(), "cannot run the statement");
        assert_eq!(
            error.causes(),
            [
                "column \"nonsense\" does not exist (SQLSTATE 42703)",
                "at line 2, column 3: `nonsense from pg_class`"
            ]
        );
        let error = ada.run("selct 1", &mut script).await.unwrap_err();
        assert_eq!(ServerError::of(&error).unwrap().sqlstate, "42601");
        assert!(script.lines.is_empty());
    }
    let error = fails(&mut ada, "select lowerr('A')").await;
    assert!(
        error.next_steps()[0].contains("No function matches"),
        "the server's own hint"
    );

    let error = fails(&mut ada, "select * from private").await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(
        error.next_steps(),
        ["ask the database's owner to grant it to \"ada\""]
    );
    assert!(!is_user_refused(&error));

    let partial = "create temp table t (x int unique); insert into t values (1); \
        insert into t values (1)";
    let mut script = Script::default();
    let error = ada.run(partial, &mut script).await.unwrap_err();
    assert_eq!(script.lines, ["done 0", "done 1"]);
    assert!(
        error
            .causes()
            .contains(&"detail: Key (x)=(1) already exists.".to_owned())
    );
    assert_eq!(run(&mut ada, "select 7").await[1], "7", "listening again");

    let mut script = Script::default();
    let values = [Some("it's \\".to_owned()), None, Some("7".to_owned())];
    let statement = |sql| Statement {
        sql,
        values: &values,
        is_one: false,
    };
    let sql = "select $1 as a, $2::int as b, $3 + 1 as c; -- end";
    ada.run(statement(sql), &mut script).await.unwrap();
    assert_eq!(
        script.lines,
        ["a Text, b Number, c Number", "it's \\|NULL|8", "done 1"]
    );
    let error = ada
        .run(statement("select $1, $2, nonsense"), &mut script)
        .await
        .unwrap_err();
    assert_eq!(
        error.causes()[1],
        "at line 1, column 16: `select $1, $2, nonsense`"
    );
    let error = ada
        .run(statement("select $1"), &mut script)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let error = ada
        .run(statement("select $1::int, $2, $3"), &mut script)
        .await
        .unwrap_err();
    assert_eq!(
        error.causes(),
        ["invalid input syntax for type integer: \"it's \\\" (SQLSTATE 22P02)"]
    );
    assert_eq!(ada.transaction(), Transaction::None);
    run(&mut ada, "begin").await;
    assert_eq!(ada.transaction(), Transaction::Open);
    fails(&mut ada, "nonsense").await;
    assert_eq!(ada.transaction(), Transaction::Failed);
    run(&mut ada, "rollback").await;
    assert_eq!(ada.transaction(), Transaction::None);
    assert!(ada.is_usable());

    let error = fails(&mut ada, "copy (select 1) to stdout").await;
    assert!(!ada.is_usable());
    assert_eq!(error.kind(), ErrorKind::Statement);
    assert_eq!(
        error.causes(),
        ["COPY to or from the client needs a client"]
    );
    ada.close().await;

    let limited = Login {
        read_only: true,
        statement_timeout: Some(Duration::from_millis(50)),
        ..as_user("ada")
    };
    let mut limited = server.open(&limited).await.unwrap();
    let error = fails(&mut limited, "create table t (x int)").await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(
        error.next_steps(),
        ["add --write if it is meant to change data"]
    );
    let error = fails(&mut limited, "select pg_sleep(60)").await;
    assert_eq!(error.kind(), ErrorKind::Statement);
    assert_eq!(error.next_steps(), ["give it more time with --timeout"]);
}

#[tokio::test]
async fn who_is_let_in() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let refused = async |login: Login| server.open(&login).await.unwrap_err();

    let error = refused(as_user("nobody")).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(
        error.to_string(),
        "cannot sign in to database `postgres` as `nobody`"
    );
    assert_eq!(
        error.causes(),
        ["role \"nobody\" does not exist (SQLSTATE 28000)"]
    );
    assert!(is_user_refused(&error));

    let error = refused(as_user("builtin")).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(
        error.causes(),
        ["the server asks for a password, so it does not know the user as an IAM user"]
    );
    assert!(is_user_refused(&error));

    let with = |password: &str| Login {
        password: Some(Secret::from(password.to_owned())),
        ..as_user("builtin")
    };
    let error = refused(with("wrong")).await;
    assert_eq!(ServerError::of(&error).unwrap().sqlstate, "28P01");
    assert!(is_user_refused(&error));
    server.open(&with("hunter2")).await.unwrap().close().await;

    let error = refused(Login {
        database: "payments".to_owned(),
        ..as_user("ada")
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "there is no database `payments` on this server"
    );
    assert!(!is_user_refused(&error));

    assert_eq!(refused(as_user("crowd")).await.kind(), ErrorKind::TryLater);
}

#[tokio::test]
async fn a_closed_session_is_gone_when_close_returns() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut witness = server.open(&as_user("ada")).await.unwrap();
    let count = "select count(*) from pg_stat_activity where application_name = 'bsql:probe'";
    for _ in 0..20 {
        let probe = Login {
            application_name: "bsql:probe".to_owned(),
            ..as_user("ada")
        };
        let probe = server.open(&probe).await.unwrap();
        assert_eq!(run(&mut witness, count).await[1], "1");
        probe.close().await;
        assert_eq!(run(&mut witness, count).await[1], "0");
    }
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

/// In the select list, where the server sends rows as it makes them.
const ENDLESS: &str = "select generate_series(1, 1000000000)";

#[tokio::test]
async fn statements_can_be_left() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let started = Instant::now();
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let redial = Redial(server.socket());
    for sql in ["select pg_sleep(60)", ENDLESS] {
        let mut script = Script::default();
        let told_to = tokio::time::sleep(Duration::from_millis(50));
        let outcome = ada.run_until(sql, &mut script, told_to, &redial).await;
        assert!(outcome.is_none());
        assert_eq!(
            run(&mut ada, "select 7").await[1],
            "7",
            "cancelled on the server too"
        );
    }
    let mut sink = Impatient::default();
    let error = ada.run(ENDLESS, &mut sink).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), sink.0),
        ("the pipe is closed", 10)
    );
    assert_eq!(
        fails(&mut ada, "select 1").await.kind(),
        ErrorKind::Internal
    );
    ada.close().await;
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "nothing was waited for"
    );
}

#[tokio::test]
async fn a_connection_that_is_cut() {
    let Some(server) = TestServer::shared() else {
        return;
    };
    let mut ada = server.open(&as_user("ada")).await.unwrap();
    let error = fails(&mut ada, "select pg_terminate_backend(pg_backend_pid())").await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(ServerError::of(&error).unwrap().sqlstate, "57P01");
    assert!(!ada.is_usable());
    let error = fails(&mut ada, "select 1").await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    ada.close().await;
}

/// What comes of a server that reads the start-up packet, answers `answer` and hangs up.
async fn against(answer: &[u8]) -> Error {
    let (here, mut there) = duplex(1024);
    let server = async move {
        let length = there.read_u32().await.unwrap();
        let mut rest = vec![0; length as usize - 4];
        there.read_exact(&mut rest).await.unwrap();
        there.write_all(answer).await.unwrap();
    };
    let login = as_user("ada");
    let (opened, ()) = tokio::join!(Connection::<DuplexStream>::open(here, &login), server);
    opened.unwrap_err()
}

#[tokio::test]
async fn what_is_not_a_postgresql_server() {
    let hung_up = against(b"").await;
    assert_eq!(hung_up.kind(), ErrorKind::Unavailable);
    assert_eq!(
        hung_up.to_string(),
        "cannot open a session in database `postgres`"
    );
    assert_eq!(hung_up.causes(), ["the server closed the connection"]);
    // AuthenticationKerberosV5, and a message of no known type.
    for nonsense in [&b"R\0\0\0\x08\0\0\0\x02"[..], b"@\0\0\0\x04"] {
        assert_eq!(against(nonsense).await.kind(), ErrorKind::Refused);
    }
    let hostile = against(b"E\0\0\0\x1bSFATAL\0C28000\0M\x1b[2Jno\0\0").await;
    assert_eq!(hostile.causes(), ["\u{fffd}[2Jno (SQLSTATE 28000)"]);
}
