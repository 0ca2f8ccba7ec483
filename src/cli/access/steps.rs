//! Who, what, where, how: the steps from a name to a way to the instance, each of which may refuse.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::LocalBoxFuture;

use super::again::Again;
use super::timings::Timings;
use super::{IamUser, Reached, Wanted, signed_in};
use crate::app::{App, ClientCertificates, GoogleCredentials, InstanceDialer};
use crate::audit::Access;
use crate::auth::Session;
use crate::catalog::{Conventions, Dated, Entity, Freshness};
use crate::cli::engine;
use crate::cli::named::{Candidates, NamingArgs, candidates, choose, say_note, without_alias};
use crate::cloudsql::{CredentialSource, DomainName, Engine, IpType, Scope, Via, database_user};
use crate::config::Profile;
use crate::error::{ErrorKind, Result};
use crate::sql::{Dialect, Login};
use crate::target::DatabaseTarget;
use crate::ui::Ui;

/// Who, what, where, how: everything but the first packet to the instance.
pub(in crate::cli) async fn reach(wanted: &Wanted<'_>, app: &App, ui: &mut Ui) -> Result<Reached> {
    reach_named(wanted, &NamingArgs::default(), app, ui).await
}

/// [`reach`], with what the command line says of how the name is to be taken.
///
/// What is kept of the catalog may be out of date: when Google does not know the instance, Backstage is asked once.
pub(in crate::cli) async fn reach_named(
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
pub(super) fn reach_once<'a>(
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
    let credentials = app.credentials(&profile, &session)?;

    let start = Instant::now();
    let finding = Finding {
        wanted,
        naming,
        freshness,
        profile: &profile,
        session: &session,
    };
    let Found {
        target,
        domain,
        again: kept,
    } = finding.find(&credentials, app, ui).await?;
    *again = kept;
    timings.add("catalog", start);

    let way = Way {
        ip_type: match target.ip_type {
            Some(ip_type) => ip_type,
            None => profile.google.ip_type.parse()?,
        },
        profile: &profile,
        credentials: &credentials,
        certificates,
        target: &target,
        domain,
        via,
    };
    let straight = way.straight();
    let via = way.resolved();
    let (engine, asked) = way.engine(app, ui).await?;
    engine::require_able(
        engine,
        wanted.command,
        wanted.name,
        wanted.user,
        wanted.read_only,
    )?;
    let user = DatabaseUser::of(wanted.user, engine, &credentials, app, ui).await?;

    let start = Instant::now();
    let dialer = match asked {
        Some(dialer) if user.iam_login => dialer,
        _ => way.dialer(user.iam_login, app)?,
    };
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
        person: claims.login().to_owned(),
        entity: target.entity_ref.as_ref().map(ToString::to_string),
        instance: instance.to_string(),
        database: database.clone(),
        database_user: user.name.clone(),
        environment: target.environment.clone(),
        reason: wanted.reason.map(str::to_owned),
    };
    let login = Login {
        dialect: engine::dialect(engine).unwrap_or(Dialect::Postgres),
        application_name: format!("bsql:{}", access.person),
        user: user.name,
        database,
        password: None,
        read_only: wanted.read_only,
        statement_timeout: None,
    };
    Ok(Reached {
        dialer: Arc::new(dialer),
        login,
        via,
        straight,
        instance,
        engine,
        iam_login: user.iam_login,
        iam_user: user.iam_user,
        access,
        timings,
        again: None,
        usage: app.usage(&profile),
        target,
        credentials,
    })
}

/// From a name to one database.
struct Finding<'a> {
    wanted: &'a Wanted<'a>,
    naming: &'a NamingArgs,
    freshness: Freshness,
    profile: &'a Profile,
    session: &'a Session,
}

struct Found {
    target: DatabaseTarget,
    /// The name that leads to its instance, if it was found by that.
    domain: Option<DomainName>,
    again: Option<Again>,
}

impl Finding<'_> {
    /// Meanwhile Google's tokens are fetched and a connection to its API is opened, which will be needed whatever the
    /// name stands for. If they fail, dialling says so.
    async fn find(&self, credentials: &GoogleCredentials, app: &App, ui: &mut Ui) -> Result<Found> {
        let name = without_alias(self.wanted.name, app, self.profile, ui);
        let finding = candidates(
            &name,
            self.naming,
            self.freshness,
            app,
            self.profile,
            self.session,
        );
        let admin = app.sql_admin(self.profile)?;
        // Not where a certificate of the last run will do.
        let warming = async {
            if !App::kept(self.session).is_warm(app.clock().now()).await {
                tokio::join!(warm_up(credentials), admin.connect_ahead());
            }
        };
        let both = async { tokio::join!(finding, warming).0 };
        match ui
            .wait("asking Backstage", app.shutdown().or_interrupted(both))
            .await?
        {
            Candidates::Instance(target, domain) => Ok(Found {
                target: *target,
                domain,
                again: None,
            }),
            Candidates::Entities(entities, directory) => {
                let conventions = directory.conventions();
                let entity = choose(
                    self.wanted.name,
                    entities,
                    conventions,
                    self.wanted.command,
                    app,
                    self.profile,
                    ui,
                )
                .await?;
                say_note(&entity, self.freshness, ui);
                Ok(Found {
                    target: DatabaseTarget::from_entity(&entity.value, conventions)?,
                    domain: None,
                    again: self.again(&entity, conventions),
                })
            }
        }
    }

    fn again(&self, found: &Dated<Entity>, conventions: &Conventions) -> Option<Again> {
        if !found.from_cache || self.freshness != Freshness::Usual {
            return None;
        }
        let mut entity = found.value.entity_ref().to_string();
        // A component may say itself where its databases are, one for each environment.
        if let Some(environment) = (found.value.is_kind("component"))
            .then(|| conventions.environments.of(&found.value))
            .flatten()
        {
            entity = format!("{entity}@{environment}");
        }
        Some(Again::new(self.wanted, self.naming, entity))
    }
}

/// All that a dialer is made of, but for whether the certificate is to be the login.
struct Way<'a> {
    profile: &'a Profile,
    credentials: &'a Arc<GoogleCredentials>,
    certificates: ClientCertificates,
    target: &'a DatabaseTarget,
    domain: Option<DomainName>,
    ip_type: IpType,
    via: Via,
}

impl Way<'_> {
    /// What [`Via::Direct`] stands for.
    fn straight(&self) -> Via {
        match self.domain {
            // It has an address by itself.
            Some(_) => Via::Direct,
            None => Via::Address(self.ip_type),
        }
    }

    /// The way as it is taken.
    fn resolved(&self) -> Via {
        match self.via {
            Via::Direct => self.straight(),
            _ => self.via.clone(),
        }
    }

    fn dialer(&self, iam_login: bool, app: &App) -> Result<InstanceDialer> {
        let dialer = app.dialer(
            self.profile,
            Arc::clone(self.credentials),
            self.certificates.clone().with_login(iam_login),
            self.target.instance.clone(),
            self.domain.clone(),
            self.ip_type,
        )?;
        Ok(dialer.via(self.via.clone()))
    }

    /// What the instance runs; and where only Google says so, the dialer that has asked, with all that is needed to dial.
    async fn engine(&self, app: &App, ui: &Ui) -> Result<(Engine, Option<InstanceDialer>)> {
        if let Some(engine) = self.target.engine {
            return Ok((engine, None));
        }
        if matches!(self.via, Via::DataApi) {
            // The SQL Data service has PostgreSQL alone, and asks for no settings.
            return Ok((Engine::Postgres, None));
        }
        let dialer = self.dialer(true, app)?;
        let asking = app.shutdown().or_interrupted(dialer.connection_info());
        let info = ui.wait("asking Google about the instance", asking).await?;
        let engine = engine::known(&self.target.name, info.engine, &info.database_version)?;
        Ok((engine, Some(dialer)))
    }
}

/// Who one is in the database.
struct DatabaseUser {
    name: String,
    /// Whether the certificate is the login.
    iam_login: bool,
    /// Who that is for Google, if it is oneself.
    iam_user: Option<IamUser>,
}

impl DatabaseUser {
    async fn of(
        named: Option<&str>,
        engine: Engine,
        credentials: &GoogleCredentials,
        app: &App,
        ui: &Ui,
    ) -> Result<Self> {
        // PostgreSQL does not care whose name a certificate has where the user has a password.
        let who = if named.is_none() || engine == Engine::MySql {
            let asking = app.shutdown().or_interrupted(credentials.principal());
            Some(ui.wait("asking Google who you are", asking).await?)
        } else {
            None
        };
        let own = who
            .as_ref()
            .map(|who| database_user(&who.login, engine))
            .unwrap_or_default();
        let iam_login = engine::is_iam_login(engine, named, &own);
        let name = named.map_or_else(|| own.clone(), str::to_owned);
        let iam_user = who.filter(|_| name == own && iam_login).map(|who| IamUser {
            name: match engine {
                Engine::Postgres | Engine::SqlServer => own,
                // Known by the part before the @, and made by the whole.
                Engine::MySql => who.login,
            },
            user_type: who.user_type,
        });
        Ok(Self {
            name,
            iam_login,
            iam_user,
        })
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
