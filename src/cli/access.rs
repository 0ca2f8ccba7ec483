//! The top half of every command that reaches a database: who, what, where, how, and one login to prove it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::{App, GoogleCredentials, InstanceDialer};
use crate::audit::Access;
use crate::auth::{Claims, Session};
use crate::catalog::find_database;
use crate::cloudsql::{
    ClientKey, Connection as Stream, CredentialSource, Engine, InstanceConnectionName,
    InstanceDnsName, IpType, Scope, database_user,
};
use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Connection, Login, is_user_refused};
use crate::target::DatabaseTarget;
use crate::tunnel::Dial as _;
use crate::ui::Ui;

/// What a command wants to reach, and how.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// As typed.
    pub(super) name: &'a str,
    /// The database, if not the entry's.
    pub(super) database: Option<&'a str>,
    /// The database user, if not the person's.
    pub(super) user: Option<&'a str>,
    /// Ask the server for read-only transactions.
    pub(super) read_only: bool,
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
    /// Of the database user, if it is one's own.
    user_type: Option<&'static str>,
    /// For the audit.
    pub(super) access: Access,
    timings: Timings,
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
    // On its own thread from now on: it takes longer than everything before it is needed.
    let key = ClientKey::generate_in_background();
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    let mut timings = Timings::default();

    let start = Instant::now();
    let claims = signed_in(&session, app, &profile, ui).await?;
    timings.add("session", start);

    let start = Instant::now();
    let credentials = app.credentials(&profile, &session)?;
    let finding = find(wanted.name, app, &profile, &session, &*credentials);
    // The tokens will be needed whatever the name stands for. If they fail, dialling says so.
    let target = ui
        .wait(
            "asking Backstage",
            app.shutdown()
                .or_interrupted(async { tokio::join!(finding, warm_up(&credentials)).0 }),
        )
        .await?;
    timings.add("catalog", start);

    let engine = target.engine.unwrap_or(Engine::Postgres);
    if engine != Engine::Postgres {
        return Err(ErrorKind::Catalog
            .error(format!(
                "`{}` is a {engine} database, which this version cannot connect to",
                target.name
            ))
            .hint("this version connects to PostgreSQL"));
    }
    let person = claims
        .email
        .clone()
        .unwrap_or_else(|| claims.subject.clone());
    let (user, user_type) = if let Some(user) = wanted.user {
        (user.to_owned(), None)
    } else {
        let asking = app.shutdown().or_interrupted(credentials.principal());
        let who = ui.wait("asking Google who you are", asking).await?;
        (database_user(&who.login, engine), Some(who.user_type))
    };
    let start = Instant::now();
    let locating = app.shutdown().or_interrupted(async {
        let admin = app.sql_admin(&profile)?;
        match target.instance.connection_name() {
            Some(name) => Ok(name),
            None => {
                admin
                    .locate(
                        &credentials.access_token(Scope::Admin).await?,
                        &target.instance,
                    )
                    .await
            }
        }
    });
    let instance = ui
        .wait("asking Google where the instance is", locating)
        .await?;
    timings.add("region", start);
    let database = wanted
        .database
        .or(target.database_on(engine))
        .unwrap_or("postgres")
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
        application_name: format!("bsql:{}", access.person),
        user,
        database,
        password: None,
        read_only: wanted.read_only,
        statement_timeout: None,
    };
    let ip_type = match target.ip_type {
        Some(ip_type) => ip_type,
        None => profile.google.ip_type.parse::<IpType>()?,
    };
    let shared = Arc::clone(&credentials);
    let dialer = Arc::new(app.dialer(&profile, shared, instance.clone(), key, ip_type)?);
    Ok(Reached {
        target,
        login,
        dialer,
        credentials,
        instance,
        user_type,
        access,
        timings,
    })
}

impl Reached {
    /// Logs in once. A refusal is recorded, and said in words that lead on.
    pub(super) async fn open(&mut self, app: &App, ui: &Ui) -> Result<Connection<Stream>> {
        let start = Instant::now();
        let dialing = app.shutdown().or_interrupted(self.dialer.dial());
        let result = match ui
            .wait("opening the connection to the instance", dialing)
            .await
        {
            Ok(stream) => {
                self.timings.add("instance", start);
                let start = Instant::now();
                let opening = app
                    .shutdown()
                    .or_interrupted(Connection::open(stream, &self.login));
                let opened = ui.wait("logging in to the database", opening).await;
                self.timings.add("login", start);
                opened
            }
            Err(error) => Err(error),
        };
        self.say_timings(ui);
        match result {
            Ok(connection) => Ok(connection),
            Err(error) => {
                let error = self.explained(error);
                app.audit().refused(self.access.clone(), &error)?;
                Err(error)
            }
        }
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
        match self.user_type {
            Some(user_type) => error.hint(format!(
                "they run: gcloud sql users create {user} --instance={instance} --project={project} --type={user_type}"
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
    match app
        .shutdown()
        .or_interrupted(super::login::signed_in(session))
        .await
    {
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

/// The instance that somebody named without the catalog: by its connection name, or by its DNS name, for which Google is
/// asked.
pub(super) async fn named_directly(
    name: &str,
    app: &App,
    profile: &Profile,
    credentials: &impl CredentialSource,
) -> Result<Option<DatabaseTarget>> {
    if let Ok(dns_name) = name.parse::<InstanceDnsName>() {
        let token = credentials.access_token(Scope::Admin).await?;
        let found = app.sql_admin(profile)?.resolve(&token, &dns_name).await?;
        return Ok(DatabaseTarget::from_connection_name(&found.to_string()));
    }
    Ok(DatabaseTarget::from_connection_name(name))
}

/// The target of a name: the name of an instance is one itself, everything else is in the catalog.
async fn find(
    name: &str,
    app: &App,
    profile: &Profile,
    session: &Session,
    credentials: &impl CredentialSource,
) -> Result<DatabaseTarget> {
    if let Some(target) = named_directly(name, app, profile, credentials).await? {
        return Ok(target);
    }
    let catalog = app.catalog(profile, session)?;
    let entity = find_database(&catalog, name).await?;
    DatabaseTarget::from_entity(&entity, catalog.conventions())
}
