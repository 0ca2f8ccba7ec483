//! A session with PostgreSQL.
//!
//! No task of its own drives the connection: whoever waits for an answer drives it meanwhile. So nothing has to be joined,
//! and dropping a session closes it.

use std::fmt;
use std::pin::pin;

use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{CancelToken, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::super::connection::Statement;
use super::super::failure::left_unfinished;
use super::super::rows::Silent;
use super::super::text;
use super::super::{Column, ColumnKind, Dialect, Login, RowSink, Transaction};
use super::failure::{at_login, in_statement, is_copy};
use super::overheard::Overheard;
use super::shared::Shared;
use super::wire::{Event, Wire};
use crate::error::{ErrorKind, Result, ResultExt as _, printable};

/// A session with PostgreSQL.
pub(in super::super) struct Session<S> {
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

/// What statements with values are called on the server, before their numbers.
const PREPARED: &str = "bsql_with_values";

impl<S> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user)
            .field("is_busy", &self.is_busy)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Signs in over `stream`.
    pub(in super::super) async fn open(stream: S, login: &Login) -> Result<Self> {
        let stream = Shared::new(stream);
        let (client, connection) = config(login)
            .connect_raw(stream.clone(), NoTls)
            .await
            .map_err(|error| at_login(error, login))?;
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
    pub(in super::super) fn parameter(&self, name: &str) -> Option<&str> {
        self.wire.connection.as_ref()?.parameter(name)
    }

    /// Whether a transaction is open, as of the last statement.
    pub(in super::super) fn transaction(&self) -> Transaction {
        self.stream.overheard(|heard| heard.transaction())
    }

    /// Whether another statement can be run: the connection is open as far as is known, and the statement before it ended.
    pub(in super::super) fn is_usable(&self) -> bool {
        !self.is_busy && !self.is_over && self.wire.connection.is_some()
    }

    /// Runs `statement`; several statements are one transaction for PostgreSQL, unless they say otherwise.
    pub(in super::super) async fn run(
        &mut self,
        statement: Statement<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let Statement { sql, values, .. } = statement;
        if self.is_busy {
            return Err(left_unfinished());
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
            Some(value) => text::literal(Dialect::Postgres, value),
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

    /// What asks the server to cancel the statement that is running.
    pub(in super::super) fn canceller(&self) -> Canceller {
        Canceller(self.client.cancel_token())
    }

    /// Says goodbye and waits until the server has closed.
    pub(in super::super) async fn close(self) {
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
        drop(client);
        wire.ended().await;
        // How the server closes says nothing.
        let _ = stream.read_to_end(&mut Vec::new()).await;
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

/// Asks the server, over another stream, to cancel a statement.
pub(in super::super) struct Canceller(CancelToken);

impl Canceller {
    pub(in super::super) async fn cancel<S>(self, stream: S) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.0
            .cancel_query_raw(stream, NoTls)
            .await
            .or_fail(ErrorKind::Unavailable, || "cannot cancel the statement")
    }
}
