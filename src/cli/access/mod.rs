//! The top half of every command that reaches a database: who, what, where, how, and one login to prove it.

mod again;
mod steps;
mod timings;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::LocalBoxFuture;

use self::again::Again;
use self::steps::reach_once;
pub(super) use self::steps::{reach, reach_named};
use self::timings::Timings;
use super::engine;
use super::via::ViaArgs;
use crate::app::{App, GoogleCredentials, InstanceDialer};
use crate::audit::{Access, Outcome};
use crate::auth::{Claims, Session};
use crate::catalog::{Freshness, Usage};
use crate::cloudsql::{ClientProtocol, Connection as Stream, Engine, InstanceConnectionName, Via};
use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Connection, Login, is_user_refused};
use crate::target::DatabaseTarget;
use crate::tunnel::{Dial as _, LocalTls, Place, Protocol, Startup, Summary, Tunnel};
use crate::ui::Ui;

/// What a command wants to reach, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// As typed.
    pub(super) name: &'a str,
    /// The database, if not the entry's.
    pub(super) database: Option<&'a str>,
    /// The database user, if not the person's.
    pub(super) user: Option<&'a str>,
    /// Ask the server for read-only transactions.
    pub(super) read_only: bool,
    /// The way to the instance.
    pub(super) via: &'a ViaArgs,
    /// Why, in the person's words.
    pub(super) reason: Option<&'a str>,
    /// The command, for the audit.
    pub(super) command: &'static str,
}

/// A database that is known, and a way to it.
pub(super) struct Reached {
    pub(super) target: DatabaseTarget,
    pub(super) login: Login,
    pub(super) dialer: Arc<InstanceDialer>,
    pub(super) credentials: Arc<GoogleCredentials>,
    /// The way to the instance: [`Via::Direct`] only where that is not the same as any other.
    pub(super) via: Via,
    /// The way that [`Via::Direct`] stands for here.
    pub(super) straight: Via,
    instance: InstanceConnectionName,
    engine: Engine,
    /// Whether the certificate is the login. Else the client is asked for a password, where there is one.
    iam_login: bool,
    /// The database user, if it is one's own.
    iam_user: Option<IamUser>,
    /// For the audit.
    pub(super) access: Access,
    timings: Timings,
    /// How to find it once more, if it was found in what is kept of the catalog: that may be out of date.
    again: Option<Again>,
    usage: Usage,
}

/// A database user of Google's, as `gcloud sql users create` wants it.
#[derive(Debug)]
struct IamUser {
    name: String,
    user_type: &'static str,
}

/// For the audit, what went through a tunnel until it ended with the status `exit`.
pub(super) fn outcome(exit: u8, summary: &Summary) -> Outcome {
    Outcome {
        exit,
        connections: summary.connections,
        refused: summary.refused,
        bytes_up: summary.bytes_up,
        bytes_down: summary.bytes_down,
        backend_pids: summary.backend_pids.clone(),
    }
}

impl Reached {
    /// What the database speaks.
    pub(super) fn protocol(&self) -> Protocol {
        engine::protocol(self.engine)
    }

    /// Whether a client has to ask for the password: MySQL's do not by themselves.
    pub(super) fn asks_password(&self) -> bool {
        !self.iam_login
    }

    /// What a tunnel's connections are signed in with.
    fn startup(&self) -> Startup {
        Startup {
            protocol: self.protocol(),
            user: self.login.user.clone(),
            application_name: self.login.application_name.clone(),
            read_only: self.login.read_only,
        }
    }

    /// A tunnel to it that listens at `place`, and speaks TLS there with whoever asks for it if `tls` is given.
    pub(super) fn tunnel(
        &self,
        place: &Place,
        tls: Option<LocalTls>,
    ) -> Result<Tunnel<InstanceDialer>> {
        self.dialer.for_clients(match place {
            // Not of those that do without on such a port; it matters to users with a password alone.
            Place::Tcp(_) if tls.is_some() => ClientProtocol::Tls,
            Place::Tcp(_) => ClientProtocol::Tcp,
            Place::Private { .. } | Place::Socket { .. } | Place::SocketFile(_) => {
                ClientProtocol::Uds
            }
        });
        let tunnel = Tunnel::bind(place, Arc::clone(&self.dialer), self.startup())?.with_tls(tls);
        Ok(if self.dialer.is_free() {
            tunnel.with_spare()
        } else {
            tunnel
        })
    }

    /// Logs in once. A refusal is recorded, and said in words that lead on.
    pub(super) async fn open(&mut self, app: &App, ui: &mut Ui) -> Result<Connection<Stream>> {
        match self.proven(true, app, ui).await? {
            Some(connection) => Ok(connection),
            None => Err(
                engine::speaks_not(&self.target.name, self.engine).hint(format!(
                    "use a client program: bsql connect {}",
                    self.target.name
                )),
            ),
        }
    }

    /// Proves that a program will get in, as far as that goes: where the program asks for a password, it is the instance
    /// that lets bsql in.
    pub(super) async fn prove(&mut self, app: &App, ui: &mut Ui) -> Result<()> {
        if let Some(connection) = self.proven(self.iam_login, app, ui).await? {
            // Its session must be over: an instance may allow only one.
            connection.close().await;
        }
        Ok(())
    }

    /// `None` where bsql itself has nothing to say.
    async fn proven(
        &mut self,
        logs_in: bool,
        app: &App,
        ui: &mut Ui,
    ) -> Result<Option<Connection<Stream>>> {
        let result = match self.try_open(logs_in, app, ui).await {
            Err(error)
                if error.kind() == ErrorKind::NotFound && self.find_again(app, ui).await? =>
            {
                self.try_open(logs_in, app, ui).await
            }
            result => result,
        };
        self.timings.say(ui);
        match result {
            Ok(connection) => {
                if let Some(entity_ref) = &self.target.entity_ref {
                    self.usage.record(entity_ref);
                }
                Ok(connection)
            }
            Err(error) => {
                let error = self.explained(error);
                app.audit().refused(self.access.clone(), &error)?;
                Err(error)
            }
        }
    }

    /// Asks Backstage, if what is kept of it was gone by. False when that says the same: then the instance is gone.
    async fn find_again(&mut self, app: &App, ui: &mut Ui) -> Result<bool> {
        let Some(again) = self.again.take() else {
            return Ok(false);
        };
        tracing::info!("asks Backstage anew: what is kept may be out of date");
        let wanted = again.wanted();
        let naming = &again.naming;
        let found = reach_once(&wanted, naming, Freshness::Refresh, &mut None, app, ui).await?;
        if found.instance == self.instance {
            return Ok(false);
        }
        let statement_timeout = self.login.statement_timeout;
        *self = found;
        self.login.statement_timeout = statement_timeout;
        Ok(true)
    }

    fn try_open<'a>(
        &'a mut self,
        logs_in: bool,
        app: &'a App,
        ui: &'a Ui,
    ) -> LocalBoxFuture<'a, Result<Option<Connection<Stream>>>> {
        Box::pin(async move {
            let result = self.log_in(logs_in, app, ui).await;
            // In TLS 1.3 a certificate is refused after the handshake, when nothing but the log-in shows it.
            if result.is_err() && self.dialer.was_refused() {
                tracing::info!("the instance refused the certificate: once more, with a new one");
                return self.log_in(logs_in, app, ui).await;
            }
            result
        })
    }

    async fn log_in(
        &mut self,
        logs_in: bool,
        app: &App,
        ui: &Ui,
    ) -> Result<Option<Connection<Stream>>> {
        let start = Instant::now();
        let dialing = app.shutdown().or_interrupted(self.dialer.dial());
        let stream = ui
            .wait("opening the connection to the instance", dialing)
            .await?;
        self.timings.add("instance", start);
        if let Some(info) = self.dialer.known_info().await {
            engine::require_same(&self.target.name, self.target.engine, info.engine)?;
        }
        if !logs_in || engine::dialect(self.engine).is_none() {
            return Ok(None);
        }
        let start = Instant::now();
        let opening = app
            .shutdown()
            .or_interrupted(Connection::open(stream, &self.login));
        let opened = ui.wait("logging in to the database", opening).await;
        self.timings.add("login", start);
        opened.map(Some)
    }

    /// Adds to the database's refusal what only bsql knows: the instance, and who can help.
    fn explained(&self, error: Error) -> Error {
        if !is_user_refused(&error) {
            return error;
        }
        let owner = self
            .target
            .owner
            .as_ref()
            .map(|owner| format!(", {owner},"))
            .unwrap_or_default();
        let (user, instance, project) = (
            &self.login.user,
            self.instance.instance(),
            self.instance.project(),
        );
        let error = error.hint(format!(
            "ask the database's owner{owner} for the IAM database user `{user}` on `{}`",
            self.instance
        ));
        match &self.iam_user {
            Some(IamUser { name, user_type }) => error.hint(format!(
                "they run: gcloud sql users create {name} --instance={instance} --project={project} --type={user_type}"
            )),
            None => error,
        }
    }
}

/// The claims of whoever is signed in. On a terminal, somebody who is not is asked to sign in first.
pub(super) async fn signed_in(
    session: &Session,
    app: &App,
    profile: &Profile,
    ui: &mut Ui,
) -> Result<Claims> {
    let looking = app
        .shutdown()
        .or_interrupted(super::login::signed_in(session));
    match ui.wait("renewing the session", looking).await {
        Err(error) if error.kind() == ErrorKind::SignedOut && ui.can_ask() => {
            ui.status(&format!("{error}: signing in first"));
            super::login::sign_in(
                &super::login::LoginArgs::default(),
                session,
                app,
                profile,
                ui,
            )
            .await
        }
        result => result,
    }
}
