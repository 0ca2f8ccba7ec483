//! A session with the database.
//!
//! No task of its own drives the connection: whoever waits for an answer drives it meanwhile. So nothing has to be joined,
//! and dropping a connection closes it.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, CancelToken, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::failure::{at_login, in_statement, is_copy};
use super::overheard::{Overheard, Transaction};
use super::shared::Shared;
use super::text;
use super::{Column, ColumnKind, Login, Notice, RowSink};
use crate::error::{ErrorKind, Result, ResultExt as _, printable};
use crate::refresh::within;
use crate::shutdown::Shutdown;
use crate::tunnel::Dial;

/// For the server to let us in: half of PostgreSQL's own `authentication_timeout`, as nobody types a password here.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// For the server to close after it was told goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// For a statement to end after it was asked to, on a connection of its own.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// A session with the database.
pub struct Connection<S> {
    client: tokio_postgres::Client,
    wire: Wire<S>,
    stream: Shared<S>,
    user: String,
    /// A statement was left before its end, so the server is not listening.
    is_busy: bool,
    /// The server has said that it hangs up.
    is_over: bool,
    /// How many statements with values there were.
    prepared: u32,
}

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// One statement; without values it may be several.
    pub sql: &'a str,
    /// What `$1`, `$2` and so on stand for, for the server to read as whatever type it expects there. `None` is NULL.
    pub values: &'a [Option<String>],
}

impl<'a> From<&'a str> for Statement<'a> {
    fn from(sql: &'a str) -> Self {
        Self { sql, values: &[] }
    }
}

/// What statements with values are called on the server, before their numbers.
const PREPARED: &str = "bsql_with_values";

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("user", &self.user)
            .field("is_busy", &self.is_busy)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Signs in over `stream`.
    ///
    /// Fails with [`Denied`](ErrorKind::Denied) when the server refuses the user (see
    /// [`is_user_refused`](super::is_user_refused)), [`NotFound`](ErrorKind::NotFound) when there is no such database,
    /// [`TryLater`](ErrorKind::TryLater) when the server is full or starting,
    /// [`Unavailable`](ErrorKind::Unavailable) when it does not answer.
    pub async fn open(stream: S, login: &Login) -> Result<Self> {
        let stream = Shared::new(stream);
        let config = config(login);
        let opened = async {
            config
                .connect_raw(stream.clone(), NoTls)
                .await
                .map_err(|error| at_login(error, login))
        };
        let (client, connection) = within(LOGIN_TIMEOUT, opened, || {
            ErrorKind::Unavailable
                .error(format!(
                    "cannot open a session in database `{}`",
                    login.database
                ))
                .because(anyhow::anyhow!(
                    "the server did not answer within {} s",
                    LOGIN_TIMEOUT.as_secs()
                ))
        })
        .await?;
        Ok(Self {
            client,
            wire: Wire::new(connection),
            stream,
            user: login.user.clone(),
            is_busy: false,
            is_over: false,
            prepared: 0,
        })
    }

    /// A setting that the server reports, as `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.wire.connection.as_ref()?.parameter(name)
    }

    /// Whether a transaction is open, as of the last statement.
    pub fn transaction(&self) -> Transaction {
        self.stream.overheard(|heard| heard.transaction())
    }

    /// Whether another statement can be run: the connection is open as far as is known, and the statement before it ended.
    pub fn is_usable(&self) -> bool {
        !self.is_busy && !self.is_over && self.wire.connection.is_some()
    }

    /// Runs `statement`, which may be several statements: PostgreSQL then runs them as one transaction, unless they say
    /// otherwise. Rows go to `sink` as they come.
    ///
    /// Fails with [`Statement`](ErrorKind::Statement) or [`Denied`](ErrorKind::Denied) when the server does not run it,
    /// [`Usage`](ErrorKind::Usage) when it takes more or fewer values than there are,
    /// [`Unavailable`](ErrorKind::Unavailable) when the connection is lost, or as `sink` does.
    ///
    /// Not cancel safe: when the returned future is dropped, the server may go on, and the connection is of no further use.
    pub async fn run<'a>(
        &mut self,
        statement: impl Into<Statement<'a>>,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let Statement { sql, values } = statement.into();
        if self.is_busy {
            return Err(ErrorKind::Internal
                .error("cannot run the statement")
                .because(anyhow::anyhow!("the one before it was left unfinished")));
        }
        self.stream.overheard(Overheard::forget_tags);
        self.is_busy = true;
        if values.is_empty() {
            let kinds = match self.kinds(sql, sink.wants_kinds()).await {
                Ok(kinds) => kinds,
                Err(error) => return self.ended(Err(error), Some(sql)),
            };
            let outcome = self.run_to_end(sql, &kinds, sink).await?;
            return self.ended(outcome, Some(sql));
        }
        self.prepared += 1;
        let kinds = match self.prepare(sql, values.len()).await? {
            Ok(kinds) => kinds,
            Err(error) => return self.ended(Err(error), Some(sql)),
        };
        self.stream.overheard(Overheard::forget_tags);
        let literals = values.iter().map(|value| match value {
            Some(value) => text::literal(value),
            None => "NULL".to_owned(),
        });
        let execute = format!(
            "EXECUTE {PREPARED}_{}({})",
            self.prepared,
            literals.collect::<Vec<_>>().join(", ")
        );
        let outcome = self.run_to_end(&execute, &kinds, sink).await?;
        // What the server says of `execute` has its places there.
        self.ended(outcome, None)
    }

    /// After the last answer to a statement.
    fn ended(
        &mut self,
        outcome: std::result::Result<(), tokio_postgres::Error>,
        sql: Option<&str>,
    ) -> Result<()> {
        match outcome {
            // The server is listening again after its own errors.
            Err(error) if error.as_db_error().is_some() => {
                self.is_busy = false;
                self.is_over = error.as_db_error().is_some_and(ends_the_session);
                Err(in_statement(error, sql, &self.user))
            }
            Err(error) if is_copy(&error) => Err(ErrorKind::Statement
                .error("cannot run the statement")
                .because(anyhow::anyhow!("COPY to or from the client needs a client"))
                .hint("run it with psql: bsql connect NAME -- -c SQL, or select the rows instead")),
            Err(error) => Err(in_statement(error, sql, &self.user)),
            Ok(()) => {
                self.is_busy = false;
                Ok(())
            }
        }
    }

    /// Runs a statement as [`run`](Self::run) does. When the program is to end meanwhile, asks the server over a stream of
    /// `dialer` to cancel it, waits a moment, and fails with [`Shutdown::error`].
    pub async fn run_interruptibly<'a, D: Dial>(
        &mut self,
        statement: impl Into<Statement<'a>>,
        sink: &mut dyn RowSink,
        shutdown: &Shutdown,
        dialer: &D,
    ) -> Result<()> {
        self.run_until(statement, sink, shutdown.requested(), dialer)
            .await
            .unwrap_or_else(|| Err(shutdown.error()))
    }

    /// Runs a statement as [`run`](Self::run) does, until `told_to` completes: then the server is asked over a stream of
    /// `dialer` to cancel it, and the result is `None` a moment later. Whether the connection is of further use says
    /// [`is_usable`](Self::is_usable).
    pub async fn run_until<'a, D: Dial>(
        &mut self,
        statement: impl Into<Statement<'a>>,
        sink: &mut dyn RowSink,
        told_to: impl Future<Output = ()>,
        dialer: &D,
    ) -> Option<Result<()>> {
        let token = self.client.cancel_token();
        let mut run = pin!(self.run(statement, sink));
        tokio::select! {
            biased;
            outcome = &mut run => return Some(outcome),
            () = told_to => {}
        }
        // Until it hears of it, the server may wait for its rows to be read.
        let both = async { tokio::join!(cancel(token, dialer), &mut run) };
        match tokio::time::timeout(CANCEL_TIMEOUT, both).await {
            Ok((Err(error), _)) => tracing::warn!(%error, "the statement may still be running"),
            Ok((Ok(()), outcome)) => tracing::debug!(?outcome, "cancelled"),
            Err(_) => tracing::warn!("the statement may still be running"),
        }
        None
    }

    /// Says goodbye and waits until the server has closed: a server of one session is free again then.
    ///
    /// After a statement that was left unfinished it just hangs up, as the server would not hear it.
    pub async fn close(self) {
        let Self {
            client,
            mut wire,
            mut stream,
            is_busy,
            ..
        } = self;
        if is_busy {
            return;
        }
        let closed = async {
            drop(client);
            wire.ended().await;
            // How the server closes says nothing.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::debug!("the server has not closed the connection");
        }
    }

    /// The outer error is the sink's.
    async fn run_to_end(
        &mut self,
        sql: &str,
        kinds: &[ColumnKind],
        sink: &mut dyn RowSink,
    ) -> Result<std::result::Result<(), tokio_postgres::Error>> {
        let answers = match self.client.simple_query_raw(sql).await {
            Ok(answers) => answers,
            Err(error) => return Ok(Err(self.wire.reason(error))),
        };
        let mut answers = pin!(answers);
        loop {
            let event = self.wire.drive(answers.next()).await;
            for notice in self.wire.notices.drain(..) {
                sink.notice(&notice);
            }
            let message = match event {
                Event::Remarked => continue,
                Event::Done(None) => return Ok(Ok(())),
                Event::Done(Some(Err(error))) => return Ok(Err(self.wire.reason(error))),
                Event::Done(Some(Ok(message))) => message,
            };
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    let names = columns.iter().map(|column| column.name().to_owned());
                    let known = kinds
                        .iter()
                        .copied()
                        .chain(std::iter::repeat(ColumnKind::Text));
                    let columns: Vec<Column> = names
                        .zip(known)
                        .map(|(name, kind)| Column { name, kind })
                        .collect();
                    sink.columns(&columns)?;
                }
                SimpleQueryMessage::Row(row) => sink.row(&values(&row)?)?,
                SimpleQueryMessage::CommandComplete(rows) => {
                    if let Some(tag) = self.stream.overheard(Overheard::next_tag) {
                        sink.tag(&printable(&tag));
                    }
                    sink.done(rows)?;
                }
                // The enum may grow.
                other => tracing::debug!(?other, "ignored"),
            }
        }
    }

    /// The kinds of the columns that `sql` returns, if they are wanted; none for several statements, which cannot be
    /// prepared.
    async fn kinds(
        &mut self,
        sql: &str,
        wanted: bool,
    ) -> std::result::Result<Vec<ColumnKind>, tokio_postgres::Error> {
        if !wanted {
            return Ok(Vec::new());
        }
        match self.parse(sql).await {
            Ok(statement) => Ok(kinds_of(&statement)),
            // What the server says to several statements. If it is a real mistake, it will say so again.
            Err(error) if error.code() == Some(&SqlState::SYNTAX_ERROR) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Makes `sql` a prepared statement that takes as many values, and says what its columns are.
    async fn prepare(
        &mut self,
        sql: &str,
        values: usize,
    ) -> Result<std::result::Result<Vec<ColumnKind>, tokio_postgres::Error>> {
        // Parsed by itself first: then what is wrong is wrong at the person's line and column.
        let parsed = match self.parse(sql).await {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Err(error)),
        };
        let takes = parsed.params().len();
        if takes != values {
            self.is_busy = false;
            return Err(ErrorKind::Usage.error(format!(
                "the statement takes {takes} values, and there are {values}"
            )));
        }
        // The second of several statements would run at once, but they do not parse as one.
        let prepare = format!("PREPARE {PREPARED}_{} AS {sql}", self.prepared);
        let outcome = self.run_to_end(&prepare, &[], &mut Silent).await?;
        Ok(outcome.map(|()| kinds_of(&parsed)))
    }

    async fn parse(
        &mut self,
        sql: &str,
    ) -> std::result::Result<tokio_postgres::Statement, tokio_postgres::Error> {
        let mut prepare = pin!(self.client.prepare(sql));
        let prepared = loop {
            // Notices of it come again with the statement itself.
            if let Event::Done(prepared) = self.wire.drive(&mut prepare).await {
                break prepared;
            }
            self.wire.notices.clear();
        };
        prepared.map_err(|error| self.wire.reason(error))
    }
}

fn ends_the_session(error: &DbError) -> bool {
    use tokio_postgres::error::Severity;
    matches!(
        error.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    )
}

fn kinds_of(statement: &tokio_postgres::Statement) -> Vec<ColumnKind> {
    let columns = statement.columns().iter();
    columns
        .map(|column| ColumnKind::of(column.type_()))
        .collect()
}

/// For what the person did not write.
struct Silent;

impl RowSink for Silent {
    fn columns(&mut self, _: &[Column]) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &[Option<&str>]) -> Result<()> {
        Ok(())
    }

    fn done(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}

fn config(login: &Login) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .user(&login.user)
        .dbname(&login.database)
        .application_name(&login.application_name);
    if let Some(password) = &login.password {
        config.password(password.expose());
    }
    let read_only = login
        .read_only
        .then(|| "-c default_transaction_read_only=on".to_owned());
    let timeout = login.statement_timeout.map(|limit| {
        // 0 would mean no limit at all.
        format!("-c statement_timeout={}ms", limit.as_millis().max(1))
    });
    let options: Vec<String> = read_only.into_iter().chain(timeout).collect();
    if !options.is_empty() {
        config.options(options.join(" "));
    }
    config
}

fn values(row: &SimpleQueryRow) -> Result<Vec<Option<&str>>> {
    (0..row.len())
        .map(|index| row.try_get(index))
        .collect::<std::result::Result<_, _>>()
        // A database in SQL_ASCII may hold anything.
        .or_fail(
            ErrorKind::Statement,
            || "cannot read a row: it is not UTF-8",
        )
}

async fn cancel<D: Dial>(token: CancelToken, dialer: &D) -> Result<()> {
    let stream = dialer.dial().await?;
    token
        .cancel_query_raw(stream, NoTls)
        .await
        .or_fail(ErrorKind::Unavailable, || "cannot cancel the statement")
}

/// The protocol's side of a connection, driven by whoever waits for it.
struct Wire<S> {
    /// `None` once it has ended: the client's answers then end too.
    connection: Option<tokio_postgres::Connection<Shared<S>, NoTlsStream>>,
    /// Why it ended.
    failure: Option<tokio_postgres::Error>,
    notices: VecDeque<Notice>,
}

/// What [`Wire::drive`] came back for.
enum Event<T> {
    /// There are notices; the answer is still to come.
    Remarked,
    /// The answer.
    Done(T),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(connection: tokio_postgres::Connection<Shared<S>, NoTlsStream>) -> Self {
        Self {
            connection: Some(connection),
            failure: None,
            notices: VecDeque::new(),
        }
    }

    /// Drives the connection until `answer` is there. Cancel safe if `answer` is.
    async fn drive<T>(&mut self, answer: impl Future<Output = T>) -> Event<T> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            self.poll(cx);
            // The answer first, or it would starve behind a stream of notices.
            match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Event::Done(answer)),
                Poll::Pending if self.notices.is_empty() => Poll::Pending,
                Poll::Pending => Poll::Ready(Event::Remarked),
            }
        })
        .await
    }

    /// Drives the connection to its end.
    async fn ended(&mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            match self.connection {
                None => Poll::Ready(()),
                Some(_) => Poll::Pending,
            }
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some(connection) = &mut self.connection {
            match connection.poll_message(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    self.notices.push_back(notice_of(&notice));
                }
                // Nobody listens to notifications.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => {
                    self.failure = Some(error);
                    self.connection = None;
                }
                Poll::Ready(None) => self.connection = None,
            }
        }
    }

    /// Why the connection ended, if all that is known of it is that it did.
    fn reason(&mut self, error: tokio_postgres::Error) -> tokio_postgres::Error {
        match self.failure.take() {
            Some(failure) if error.is_closed() => failure,
            _ => error,
        }
    }
}

fn notice_of(notice: &DbError) -> Notice {
    Notice {
        severity: printable(notice.severity()),
        message: printable(notice.message()),
        detail: notice.detail().map(printable),
        hint: notice.hint().map(printable),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::net::UnixStream;

    use super::super::test_server::TestServer;
    use super::super::{Dialect, ServerError, is_user_refused};
    use super::*;
    use crate::error::Error;
    use crate::secret::Secret;

    /// Writes down everything, one line each.
    #[derive(Default)]
    struct Script {
        lines: Vec<String>,
        kinds: bool,
    }

    impl RowSink for Script {
        fn wants_kinds(&self) -> bool {
            self.kinds
        }

        fn columns(&mut self, columns: &[Column]) -> Result<()> {
            let columns = columns
                .iter()
                .map(|column| format!("{} {:?}", column.name, column.kind));
            self.lines.push(columns.collect::<Vec<_>>().join(", "));
            Ok(())
        }

        fn row(&mut self, values: &[Option<&str>]) -> Result<()> {
            let values = values.iter().map(|value| value.unwrap_or("NULL"));
            self.lines.push(values.collect::<Vec<_>>().join("|"));
            Ok(())
        }

        fn done(&mut self, rows: u64) -> Result<()> {
            self.lines.push(format!("done {rows}"));
            Ok(())
        }

        fn notice(&mut self, notice: &Notice) {
            self.lines
                .push(format!("{}: {}", notice.severity, notice.message));
        }
    }

    /// Stops at the tenth row.
    #[derive(Default)]
    struct Impatient(u64);

    impl RowSink for Impatient {
        fn columns(&mut self, _: &[Column]) -> Result<()> {
            Ok(())
        }

        fn row(&mut self, _: &[Option<&str>]) -> Result<()> {
            self.0 += 1;
            if self.0 < 10 {
                Ok(())
            } else {
                Err(ErrorKind::CannotCreate.error("the pipe is closed"))
            }
        }

        fn done(&mut self, _: u64) -> Result<()> {
            Ok(())
        }
    }

    async fn run(connection: &mut Connection<UnixStream>, sql: &str) -> Vec<String> {
        let mut script = Script::default();
        connection.run(sql, &mut script).await.unwrap();
        script.lines
    }

    async fn fails(connection: &mut Connection<UnixStream>, sql: &str) -> Error {
        let mut script = Script::default();
        connection.run(sql, &mut script).await.unwrap_err()
    }

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
}
