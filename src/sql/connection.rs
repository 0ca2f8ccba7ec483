//! A session with the database, whatever it speaks.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Dialect, Login, RowSink, Transaction};
use super::{mysql, postgres};
use crate::error::{ErrorKind, Result};
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
pub struct Connection<S>(Session<S>);

/// By what the database speaks. Boxed, as the one is much larger than the other.
enum Session<S> {
    Postgres(Box<postgres::Session<S>>),
    MySql(Box<mysql::Session<S>>),
}

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// One statement; without values it may be several.
    pub sql: &'a str,
    /// What `$1`, `$2` and so on stand for in PostgreSQL, and each `?` in MySQL, for the server to read as whatever type
    /// it expects there. `None` is NULL.
    pub values: &'a [Option<String>],
    /// It is one statement even if there are semicolons in it, as in the body of a procedure: MySQL takes one at a time,
    /// so several are otherwise taken apart.
    pub is_one: bool,
}

impl<'a> From<&'a str> for Statement<'a> {
    fn from(sql: &'a str) -> Self {
        Self {
            sql,
            values: &[],
            is_one: false,
        }
    }
}

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Session::Postgres(session) => session.fmt(f),
            Session::MySql(session) => session.fmt(f),
        }
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
        let opened = async {
            Ok(Self(match login.dialect {
                Dialect::Postgres => {
                    Session::Postgres(Box::new(postgres::Session::open(stream, login).await?))
                }
                Dialect::MySql => {
                    Session::MySql(Box::new(mysql::Session::open(stream, login).await?))
                }
            }))
        };
        within(LOGIN_TIMEOUT, opened, || {
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
        .await
    }

    /// A setting that the server reports, as `server_version`; that is all that MySQL reports.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        match &self.0 {
            Session::Postgres(session) => session.parameter(name),
            Session::MySql(session) => session.parameter(name),
        }
    }

    /// Whether a transaction is open, as of the last statement.
    pub fn transaction(&self) -> Transaction {
        match &self.0 {
            Session::Postgres(session) => session.transaction(),
            Session::MySql(session) => session.transaction(),
        }
    }

    /// Whether another statement can be run: the connection is open as far as is known, and the statement before it ended.
    pub fn is_usable(&self) -> bool {
        match &self.0 {
            Session::Postgres(session) => session.is_usable(),
            Session::MySql(session) => session.is_usable(),
        }
    }

    /// Runs `statement`, which may be several statements: PostgreSQL then runs them as one transaction, unless they say
    /// otherwise, and MySQL one after the other, up to the first that fails. Rows go to `sink` as they come.
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
        let statement = statement.into();
        match &mut self.0 {
            Session::Postgres(session) => session.run(statement, sink).await,
            Session::MySql(session) => session.run(statement, sink).await,
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
        let canceller = match &mut self.0 {
            Session::Postgres(session) => Canceller::Postgres(session.canceller()),
            Session::MySql(session) => Canceller::MySql(session.canceller()),
        };
        let mut run = pin!(self.run(statement, sink));
        tokio::select! {
            biased;
            outcome = &mut run => return Some(outcome),
            () = told_to => {}
        }
        // Until it hears of it, the server may wait for its rows to be read.
        let both = async { tokio::join!(canceller.cancel(dialer), &mut run) };
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
        let closed = async {
            match self.0 {
                Session::Postgres(session) => session.close().await,
                Session::MySql(session) => session.close().await,
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::debug!("the server has not closed the connection");
        }
    }
}

/// What asks the server to cancel the statement that is running.
enum Canceller {
    Postgres(postgres::Canceller),
    MySql(mysql::Canceller),
}

impl Canceller {
    async fn cancel<D: Dial>(self, dialer: &D) -> Result<()> {
        // Before anything is dialled: nothing more is to begin meanwhile.
        if let Self::MySql(canceller) = &self {
            canceller.begin_no_more();
        }
        let stream = dialer.dial().await?;
        match self {
            Self::Postgres(canceller) => canceller.cancel(stream).await,
            Self::MySql(canceller) => canceller.cancel(stream).await,
        }
    }
}
