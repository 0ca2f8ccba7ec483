//! The connection behind the prompt: what is run on it, what interrupts that, and a new one when it is lost.

use futures_util::FutureExt as _;

use crate::error::{ErrorKind, Result};
use crate::shutdown::Shutdown;
use crate::sql::{Column, Connection, Login, RowSink, Statement, Transaction};
use crate::tunnel::Dial;

/// A session that may outlive its connection.
pub(super) struct Session<'a, D: Dial> {
    connection: Connection<D::Conn>,
    dialer: &'a D,
    login: Login,
    shutdown: &'a Shutdown,
    /// Whether Ctrl-C cancels the statement and no more.
    owns_terminal: bool,
    /// How many connections there were.
    connections: u64,
}

impl<'a, D: Dial> Session<'a, D> {
    pub(super) fn new(
        connection: Connection<D::Conn>,
        dialer: &'a D,
        login: Login,
        shutdown: &'a Shutdown,
        owns_terminal: bool,
    ) -> Self {
        Self {
            connection,
            dialer,
            login,
            shutdown,
            owns_terminal,
            connections: 1,
        }
    }

    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    pub(super) fn shutdown(&self) -> &'a Shutdown {
        self.shutdown
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections
    }

    pub(super) fn transaction(&self) -> Transaction {
        self.connection.transaction()
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.connection.parameter(name)
    }

    pub(super) fn is_lost(&self) -> bool {
        !self.connection.is_usable()
    }

    /// Runs `sql`, which is one statement. Ctrl-C cancels it: [`Interrupted`](ErrorKind::Interrupted), and the session goes on. When the program
    /// is to end, the error is [`Shutdown::error`].
    pub(super) async fn run(&mut self, sql: &str, sink: &mut dyn RowSink) -> Result<()> {
        let owns_terminal = self.owns_terminal;
        let shutdown = self.shutdown;
        let told_to = async {
            tokio::select! {
                () = shutdown.requested() => {}
                result = tokio::signal::ctrl_c(), if owns_terminal => {
                    if result.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        };
        let statement = Statement {
            sql,
            values: &[],
            is_one: true,
        };
        let running = self
            .connection
            .run_until(statement, sink, told_to, self.dialer);
        match running.await {
            Some(result) => result,
            None if shutdown.requested().now_or_never().is_some() => Err(shutdown.error()),
            None => Err(ErrorKind::Interrupted.error("cancelled")),
        }
    }

    /// The first column of what `sql` returns.
    pub(super) async fn names(&mut self, sql: &str) -> Result<Vec<String>> {
        let mut names = Names::default();
        self.run(sql, &mut names).await?;
        Ok(names.0)
    }

    /// Opens the connection anew.
    pub(super) async fn reconnect(&mut self) -> Result<()> {
        let login = self.login.clone();
        self.open(login).await
    }

    /// Goes to another database of the instance. If that does not work the session stays where it is.
    pub(super) async fn connect_to(&mut self, database: &str) -> Result<()> {
        let login = Login {
            database: database.to_owned(),
            ..self.login.clone()
        };
        self.open(login).await
    }

    async fn open(&mut self, login: Login) -> Result<()> {
        let opening = async { Connection::open(self.dialer.dial().await?, &login).await };
        let connection = if self.owns_terminal {
            tokio::select! {
                biased;
                Ok(()) = tokio::signal::ctrl_c() => {
                    return Err(ErrorKind::Interrupted.error("cancelled"));
                }
                opened = self.shutdown.or_interrupted(opening) => opened?,
            }
        } else {
            self.shutdown.or_interrupted(opening).await?
        };
        let before = std::mem::replace(&mut self.connection, connection);
        self.login = login;
        self.connections += 1;
        before.close().await;
        Ok(())
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        self.connection.close().await;
    }
}

#[derive(Default)]
struct Names(Vec<String>);

impl RowSink for Names {
    fn columns(&mut self, _: &[Column]) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, values: &[Option<&str>]) -> Result<()> {
        self.0
            .extend(values.first().copied().flatten().map(str::to_owned));
        Ok(())
    }

    fn done(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}
