//! One interface to both kinds of server.

use std::ffi::OsStr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;

#[cfg(feature = "embedded-postgres")]
use super::embedded::EmbeddedServers;
#[cfg(unix)]
use super::{discover, system::SystemServers};
use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::company::Instance;

/// Which PostgreSQL to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The installed one if there is one, else the embedded one.
    #[default]
    Auto,
    /// The installed one: `initdb` and `postgres` on `PATH` or where packages put them.
    System,
    /// The one built into bsql by its feature `embedded-postgres`. It serves one session at a time.
    Embedded,
}

/// Starts and reaches the servers. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Engine(Servers);

#[derive(Debug, Clone)]
enum Servers {
    #[cfg(unix)]
    System(Arc<SystemServers>),
    #[cfg(feature = "embedded-postgres")]
    Embedded(Arc<EmbeddedServers>),
}

/// A byte stream to a server.
pub(in crate::sandbox) trait Stream:
    AsyncRead + AsyncWrite + Unpin + Send
{
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A session with a server, from the start-up message on.
pub(in crate::sandbox) struct Session {
    /// The protocol's bytes.
    pub(in crate::sandbox) stream: Box<dyn Stream>,
    /// Present when the server serves one session at a time, and this is the one.
    turn: Option<OwnedSemaphorePermit>,
}

/// Why there is no session.
#[derive(Debug)]
pub(in crate::sandbox) enum NoSession {
    /// The server serves one session at a time and somebody else has it.
    #[cfg_attr(
        not(feature = "embedded-postgres"),
        expect(dead_code, reason = "the installed PostgreSQL serves many")
    )]
    Busy,
    /// The server cannot be started or reached.
    Failed(Error),
}

impl From<Error> for NoSession {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Engine {
    /// Decides for an engine; no server is started yet.
    ///
    /// `search_path` is the value of `PATH`, which is not asked for here.
    ///
    /// Fails with [`ErrorKind::ClientMissing`] when there is no such engine.
    pub(in crate::sandbox) async fn new(
        choice: EngineChoice,
        search_path: Option<&OsStr>,
    ) -> Result<Self> {
        #[cfg(unix)]
        if choice != EngineChoice::Embedded
            && let Some(installation) = discover::newest(search_path).await
        {
            let servers = SystemServers::new(installation)?;
            return Ok(Self(Servers::System(Arc::new(servers))));
        }
        #[cfg(feature = "embedded-postgres")]
        if choice != EngineChoice::System {
            let servers = EmbeddedServers::new()?;
            return Ok(Self(Servers::Embedded(Arc::new(servers))));
        }
        let _ = search_path;
        Err(none(choice))
    }

    /// What it is, in a few words for people.
    pub(in crate::sandbox) fn describe(&self) -> String {
        match &self.0 {
            #[cfg(unix)]
            Servers::System(servers) => servers.describe(),
            #[cfg(feature = "embedded-postgres")]
            Servers::Embedded(servers) => servers.describe(),
        }
    }

    /// The major version of PostgreSQL, for example 17.
    pub(in crate::sandbox) fn major_version(&self) -> u32 {
        match &self.0 {
            #[cfg(unix)]
            Servers::System(servers) => servers.major_version(),
            #[cfg(feature = "embedded-postgres")]
            Servers::Embedded(servers) => servers.major_version(),
        }
    }

    /// Whether the instance has no database of this name, for an engine that cannot say so itself. The other one can.
    pub(in crate::sandbox) fn lacks_database(&self, instance: &Instance, database: &str) -> bool {
        match &self.0 {
            #[cfg(unix)]
            Servers::System(_) => {
                let _ = (instance, database);
                false
            }
            #[cfg(feature = "embedded-postgres")]
            Servers::Embedded(servers) => servers.lacks_database(instance, database),
        }
    }

    /// A new session with the instance's server, which is started if need be.
    ///
    /// The server is up when this returns; nothing has been said to it yet.
    pub(in crate::sandbox) async fn session(
        &self,
        instance: &'static Instance,
    ) -> Result<Session, NoSession> {
        match &self.0 {
            #[cfg(unix)]
            Servers::System(servers) => Ok(Session {
                stream: servers.connect(instance).await?,
                turn: None,
            }),
            #[cfg(feature = "embedded-postgres")]
            Servers::Embedded(servers) => {
                let (stream, turn) = servers.connect(instance).await?;
                Ok(Session {
                    stream,
                    turn: Some(turn),
                })
            }
        }
    }

    /// Passes a `CancelRequest` on, a whole message. Like PostgreSQL itself it never says what became of it.
    pub(in crate::sandbox) async fn cancel(&self, instance: &'static Instance, request: &[u8]) {
        match &self.0 {
            #[cfg(unix)]
            Servers::System(servers) => {
                if let Ok(mut stream) = servers.connect(instance).await {
                    let _ = stream.write_all(request).await;
                    // The server closes when the signal is on its way: whoever waits for that has cancelled.
                    let _ = stream.read(&mut [0]).await;
                }
            }
            // It reads a second connection when the first has ended: then there is nothing left to cancel.
            #[cfg(feature = "embedded-postgres")]
            Servers::Embedded(_) => {}
        }
    }

    /// Stops all servers and removes their data.
    pub(in crate::sandbox) async fn stop(&self) {
        match &self.0 {
            #[cfg(unix)]
            Servers::System(servers) => servers.stop().await,
            #[cfg(feature = "embedded-postgres")]
            Servers::Embedded(servers) => servers.stop().await,
        }
    }
}

impl Session {
    /// With a server that serves many.
    pub(in crate::sandbox) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            turn: None,
        }
    }

    /// Ends the session when the client is gone: returns when the server is free again.
    pub(in crate::sandbox) async fn end(mut self) {
        if self.turn.is_none() {
            return;
        }
        // The embedded server takes a reset connection for a failure of its own, so nothing may be left unread.
        let _ = self.stream.shutdown().await;
        let _ = tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await;
    }
}

fn none(choice: EngineChoice) -> Error {
    let error = ErrorKind::ClientMissing;
    match choice {
        EngineChoice::Embedded => error
            .error("this bsql has no embedded PostgreSQL")
            .hint("install PostgreSQL (for example: apt install postgresql) and use that")
            .hint(
                "or build bsql with its own: cargo install --path . --features embedded-postgres",
            ),
        EngineChoice::System => error
            .error("cannot find an installed PostgreSQL: `initdb` and `postgres` 13 or later")
            .hint("install PostgreSQL (for example: apt install postgresql)"),
        EngineChoice::Auto => error
            .error(
                "there is no PostgreSQL for the sandbox: none is installed, and none is built in",
            )
            .hint("install PostgreSQL (for example: apt install postgresql)")
            .hint(
                "or build bsql with its own: cargo install --path . --features embedded-postgres",
            ),
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::{Config, NoTls};

    use super::*;
    use crate::sandbox::company::INSTANCES;

    /// Rows of `sql` as `user`, each as its columns' text.
    async fn ask(
        engine: &Engine,
        instance: &'static Instance,
        user: &str,
        sql: &str,
    ) -> Result<Vec<String>, tokio_postgres::Error> {
        let session = engine.session(instance).await.expect("there is a server");
        let Session { stream, turn } = session;
        let (client, connection) = Config::new()
            .user(user)
            .dbname(instance.database)
            .connect_raw(stream, NoTls)
            .await?;
        let query = async {
            let rows = client.simple_query(sql).await;
            drop(client);
            rows
        };
        let (rows, ended) = tokio::join!(query, connection);
        let rows = rows?;
        ended?;
        drop(turn);
        Ok(rows
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|column| row.get(column).unwrap_or("NULL"))
                        .collect::<Vec<_>>()
                        .join("|"),
                ),
                _ => None,
            })
            .collect())
    }

    async fn every_instance_is_furnished(engine: Engine) {
        let [payments, _, orders, _, ledger, ..] = &INSTANCES;
        let count = "SELECT count(*) FROM daily_revenue WHERE gross > 0";
        let rows = ask(&engine, payments, "ada@acme.example", count).await;
        assert!(rows.unwrap()[0].parse::<u32>().unwrap() >= 8);
        let rows = ask(&engine, orders, "app", "SELECT count(*) FROM open_orders").await;
        assert_eq!(rows.unwrap(), ["5"]);
        let unbalanced = "SELECT journal FROM entries GROUP BY journal HAVING sum(amount) <> 0";
        let rows = ask(&engine, ledger, "chloe@acme.example", unbalanced).await;
        assert_eq!(rows.unwrap(), [""; 0]);

        let write = "INSERT INTO customers (name, email, city, since)
            VALUES ('Nils', 'nils@customers.example', 'Kiel', current_date)";
        ask(&engine, orders, "bruno@acme.example", write)
            .await
            .unwrap();
        let refused = ask(&engine, orders, "bsql@acme-tools.iam", write).await;
        assert_eq!(refused.unwrap_err().code().unwrap().code(), "42501");

        // Each instance has its own roles: Ada is none of the users of orders.
        let roles = "SELECT count(*) FROM pg_roles WHERE rolname = 'ada@acme.example'";
        let rows = ask(&engine, orders, "app", roles).await;
        assert_eq!(rows.unwrap(), ["0"]);

        let version = "SHOW server_version_num";
        let rows = ask(&engine, orders, "app", version).await.unwrap();
        let major = rows[0].parse::<u32>().unwrap() / 10_000;
        assert_eq!(major, engine.major_version());
        engine.stop().await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_installed_one_furnishes_every_instance() {
        let Ok(engine) = Engine::new(EngineChoice::System, None).await else {
            println!("skipped: no PostgreSQL server is installed");
            return;
        };
        assert!(engine.describe().starts_with("PostgreSQL "));
        every_instance_is_furnished(engine).await;
    }

    #[cfg(feature = "embedded-postgres")]
    #[tokio::test]
    async fn the_embedded_one_furnishes_every_instance() {
        let engine = Engine::new(EngineChoice::Embedded, None).await.unwrap();
        every_instance_is_furnished(engine).await;
    }

    #[cfg(feature = "embedded-postgres")]
    #[tokio::test]
    async fn the_embedded_one_refuses_a_second_session_until_the_first_has_ended() {
        let engine = Engine::new(EngineChoice::Embedded, None).await.unwrap();
        let first = engine.session(&INSTANCES[0]).await.unwrap();
        let second = engine.session(&INSTANCES[0]).await;
        assert!(matches!(second, Err(NoSession::Busy)));
        // Another instance is another server.
        let other = engine.session(&INSTANCES[2]).await.unwrap();
        other.end().await;
        first.end().await;
        engine.session(&INSTANCES[0]).await.unwrap().end().await;
        engine.stop().await;
    }

    #[cfg(not(feature = "embedded-postgres"))]
    #[tokio::test]
    async fn without_the_feature_there_is_no_embedded_one() {
        let error = Engine::new(EngineChoice::Embedded, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientMissing);
        assert!(error.next_steps()[0].contains("apt install postgresql"));
    }
}
