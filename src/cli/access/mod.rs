//! The top half of every command that reaches a database: who, what, where, how, and one login to prove it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;

use super::engine;
use super::named::{Candidates, NamingArgs, candidates, choose, say_note, without_alias};
use super::via::ViaArgs;
use crate::app::{App, GoogleCredentials, InstanceDialer};
use crate::audit::{Access, Outcome};
use crate::auth::{Claims, Session};
use crate::catalog::{Freshness, Usage};
use crate::cloudsql::{
    ClientProtocol, Connection as Stream, CredentialSource, Engine, InstanceConnectionName, IpType,
    Scope, Via, database_user,
};
use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Connection, Dialect, Login, is_user_refused};
use crate::target::DatabaseTarget;
use crate::tunnel::{Dial as _, Place, Protocol, Startup, Summary, Tunnel};
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

/// What was wanted, to ask for it once more.
#[derive(Debug, Clone)]
struct Again {
    name: String,
    database: Option<String>,
    user: Option<String>,
    read_only: bool,
    reason: Option<String>,
    command: &'static str,
    via: ViaArgs,
    naming: NamingArgs,
}

impl Again {
    fn new(wanted: &Wanted<'_>, naming: &NamingArgs, entity: String) -> Self {
        Self {
            name: entity,
            database: wanted.database.map(str::to_owned),
            user: wanted.user.map(str::to_owned),
            read_only: wanted.read_only,
            reason: wanted.reason.map(str::to_owned),
            command: wanted.command,
            via: wanted.via.clone(),
            naming: naming.clone(),
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            name: &self.name,
            database: self.database.as_deref(),
            user: self.user.as_deref(),
            read_only: self.read_only,
            reason: self.reason.as_deref(),
            command: self.command,
            via: &self.via,
        }
    }
}

/// How long each step took.
#[derive(Debug, Default)]
struct Timings(Vec<(&'static str, Duration)>);

impl Timings {
    fn add(&mut self, step: &'static str, since: Instant) {
        self.0.push((step, since.elapsed()));
    }

    fn total(&self) -> Duration {
        self.0.iter().map(|(_, took)| *took).sum()
    }
}

/// Slower than this, the person wants to know why.
const SLOW: Duration = Duration::from_secs(3);

/// Who, what, where, how: everything but the first packet to the instance.
pub(super) async fn reach(wanted: &Wanted<'_>, app: &App, ui: &mut Ui) -> Result<Reached> {
    reach_named(wanted, &NamingArgs::default(), app, ui).await
}

/// [`reach`], with what the command line says of how the name is to be taken.
///
/// What is kept of the catalog may be out of date: when Google does not know the instance, Backstage is asked once.
pub(super) async fn reach_named(
    wanted: &Wanted<'_>,
    naming: &NamingArgs,
    app: &App,
    ui: &mut Ui,
) -> Result<Reached> {
    let mut again = None;
    match reach_once(wanted, naming, naming.freshness(), &mut again, app, ui).await {
        Err(error) if error.kind() == ErrorKind::NotFound => match again {
            Some(again) => {
                tracing::info!(%error, "asks Backstage anew: what is kept may be out of date");
                let wanted = again.wanted();
                reach_once(&wanted, naming, Freshness::Refresh, &mut None, app, ui).await
            }
            None => Err(error),
        },
        Ok(reached) => Ok(Reached { again, ..reached }),
        Err(error) => Err(error),
    }
}

/// `again` is set when the name was found in what is kept. The steps make a large future, so it is on the heap: no caller
/// has to see to that.
fn reach_once<'a>(
    wanted: &'a Wanted<'a>,
    naming: &'a NamingArgs,
    freshness: Freshness,
    again: &'a mut Option<Again>,
    app: &'a App,
    ui: &'a mut Ui,
) -> LocalBoxFuture<'a, Result<Reached>> {
    Box::pin(take_the_steps(wanted, naming, freshness, again, app, ui))
}

async fn take_the_steps(
    wanted: &Wanted<'_>,
    naming: &NamingArgs,
    freshness: Freshness,
    again: &mut Option<Again>,
    app: &App,
    ui: &mut Ui,
) -> Result<Reached> {
    let profile = app.profile(ui)?;
    let via = wanted.via.way(&profile)?;
    let session = app.session(&profile)?;
    let mut timings = Timings::default();

    let start = Instant::now();
    let claims = naming
        .person(&session, signed_in(&session, app, &profile, ui))
        .await?;
    timings.add("token", start);
    // On its own thread from now on: where there is none yet, making it takes longer than all that comes before its use.
    let certificates = app.client_certificates(&session);

    let start = Instant::now();
    let credentials = app.credentials(&profile, &session)?;
    let name = without_alias(wanted.name, app, &profile, ui);
    let finding = candidates(&name, naming, freshness, app, &profile, &session);
    // The tokens will be needed whatever the name stands for. If they fail, dialling says so.
    let found = ui
        .wait(
            "asking Backstage",
            app.shutdown().or_interrupted(async {
                // Not where a certificate of the last run will do.
                let warming = async {
                    if !App::kept(&session).is_warm(app.clock().now()).await {
                        warm_up(&credentials).await;
                    }
                };
                tokio::join!(finding, warming).0
            }),
        )
        .await?;
    timings.add("catalog", start);
    let (target, domain) = match found {
        Candidates::Instance(target, domain) => (*target, domain),
        Candidates::Entities(found, directory) => {
            let conventions = directory.conventions();
            let found = choose(
                wanted.name,
                found,
                conventions,
                wanted.command,
                app,
                &profile,
                ui,
            )
            .await?;
            say_note(&found, freshness, ui);
            if found.from_cache && freshness == Freshness::Usual {
                let mut entity = found.value.entity_ref().to_string();
                // A component may say itself where its databases are, one for each environment.
                if let Some(environment) = (found.value.is_kind("component"))
                    .then(|| conventions.environments.of(&found.value))
                    .flatten()
                {
                    entity = format!("{entity}@{environment}");
                }
                *again = Some(Again::new(wanted, naming, entity));
            }
            (
                DatabaseTarget::from_entity(&found.value, conventions)?,
                None,
            )
        }
    };

    let person = claims
        .email
        .clone()
        .unwrap_or_else(|| claims.subject.clone());
    let ip_type = match target.ip_type {
        Some(ip_type) => ip_type,
        None => profile.google.ip_type.parse::<IpType>()?,
    };
    let dialer = |iam_login: bool| -> Result<InstanceDialer> {
        let (shared, locator) = (Arc::clone(&credentials), target.instance.clone());
        let certificates = certificates.clone().with_login(iam_login);
        let domain = domain.clone();
        let dialer = app.dialer(&profile, shared, certificates, locator, domain, ip_type)?;
        Ok(dialer.via(via.clone()))
    };
    let mut asked = None;
    let engine = if let Some(engine) = target.engine {
        engine
    } else if matches!(via, Via::DataApi) {
        // The SQL Data service has PostgreSQL alone, and asks for no settings.
        Engine::Postgres
    } else {
        // Nobody says it but Google, with all that is needed to dial.
        let dialer = asked.insert(dialer(true)?);
        let asking = app.shutdown().or_interrupted(dialer.connection_info());
        let info = ui.wait("asking Google about the instance", asking).await?;
        engine::known(&target.name, info.engine, &info.database_version)?
    };
    engine::require_able(
        engine,
        wanted.command,
        wanted.name,
        wanted.user,
        wanted.read_only,
    )?;
    // PostgreSQL does not care whose name a certificate has where the user has a password.
    let who = if wanted.user.is_none() || engine == Engine::MySql {
        let asking = app.shutdown().or_interrupted(credentials.principal());
        Some(ui.wait("asking Google who you are", asking).await?)
    } else {
        None
    };
    let own = who
        .as_ref()
        .map(|who| database_user(&who.login, engine))
        .unwrap_or_default();
    let iam_login = engine::is_iam_login(engine, wanted.user, &own);
    let user = wanted.user.map_or_else(|| own.clone(), str::to_owned);
    let iam_user = who.filter(|_| user == own && iam_login).map(|who| IamUser {
        name: match engine {
            Engine::Postgres | Engine::SqlServer => own.clone(),
            // Known by the part before the @, and made by the whole.
            Engine::MySql => who.login,
        },
        user_type: who.user_type,
    });
    let start = Instant::now();
    let dialer = match asked {
        Some(dialer) if iam_login => dialer,
        _ => dialer(iam_login)?,
    };
    let dialer = Arc::new(dialer);
    let locating = app.shutdown().or_interrupted(dialer.locate());
    let instance = ui
        .wait("asking Google where the instance is", locating)
        .await?;
    timings.add("region", start);
    let database = wanted
        .database
        .or(target.database_on(engine))
        .unwrap_or_default()
        .to_owned();
    let access = Access {
        command: wanted.command.to_owned(),
        profile: profile.name.to_string(),
        person,
        entity: target.entity_ref.as_ref().map(ToString::to_string),
        instance: instance.to_string(),
        database: database.clone(),
        database_user: user.clone(),
        environment: target.environment.clone(),
        reason: wanted.reason.map(str::to_owned),
    };
    let login = Login {
        dialect: engine::dialect(engine).unwrap_or(Dialect::Postgres),
        application_name: format!("bsql:{}", access.person),
        user,
        database,
        password: None,
        read_only: wanted.read_only,
        statement_timeout: None,
    };
    Ok(Reached {
        target,
        login,
        dialer,
        credentials,
        instance,
        engine,
        iam_login,
        iam_user,
        access,
        timings,
        again: None,
        usage: app.usage(&profile),
    })
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

    /// A tunnel to it that listens at `place`.
    pub(super) fn tunnel(&self, place: &Place) -> Result<Tunnel<InstanceDialer>> {
        self.dialer.for_clients(match place {
            Place::Tcp(_) => ClientProtocol::Tcp,
            Place::Private { .. } | Place::Socket { .. } | Place::SocketFile(_) => {
                ClientProtocol::Uds
            }
        });
        Tunnel::bind(place, Arc::clone(&self.dialer), self.startup())
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
        self.say_timings(ui);
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

    /// One line when it was slow; with `-v` always.
    fn say_timings(&self, ui: &Ui) {
        let steps: Vec<String> = self
            .timings
            .0
            .iter()
            .map(|(step, took)| format!("{step} {} ms", took.as_millis()))
            .collect();
        let line = steps.join(" · ");
        if self.timings.total() > SLOW {
            ui.status(&line);
        }
        tracing::info!("{line}");
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

/// Fetches both tokens, so that they are there when they are needed.
async fn warm_up(credentials: &impl CredentialSource) {
    let (admin, login) = tokio::join!(
        credentials.access_token(Scope::Admin),
        credentials.access_token(Scope::Login)
    );
    for failed in [admin.err(), login.err()].into_iter().flatten() {
        tracing::debug!(error = %failed, "a token will be asked for again");
    }
}
