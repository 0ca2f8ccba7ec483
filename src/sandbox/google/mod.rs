//! Google Cloud as bsql sees it: the Security Token Service, OAuth, IAM Credentials and the SQL Admin API on one port,
//! and the instances' doors, to which the certificates that the API signs open.

mod iam_credentials;
mod metadata;
pub(in crate::sandbox) mod principals;
mod refusal;
mod sql_admin;
mod sql_data;
#[cfg(test)]
mod tests;
mod token_endpoints;
pub(in crate::sandbox) mod tokens;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

use self::refusal::ApiError;
use self::sql_data::SqlData;
use self::tokens::{Grant, Tokens};
use super::company::{self, Instance};
use super::faults::FaultBox;
use super::idp::SubjectTokens;
use super::instance::{self, Doors, Listeners, ServedInstance};
use super::mysql::MySql;
use super::postgres::Engine;
use crate::error::{ErrorKind, Result, ResultExt as _};

/// Requests are answered in no time; only a client that never finishes asking can be waited for in vain.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The running Google Cloud. Everything ends when it is dropped; [`stop`](Self::stop) also waits for that.
#[derive(Debug)]
pub(in crate::sandbox) struct Google {
    url: Url,
    sql_data: Url,
    doors: Doors,
    engine: Engine,
    mysql: Arc<MySql>,
    serving: TaskTracker,
    closing: DropGuard,
}

/// What all APIs know.
#[derive(Debug, Clone)]
struct Api {
    subject_tokens: SubjectTokens,
    tokens: Tokens,
    token_life: SignedDuration,
    faults: FaultBox,
    instances: Arc<[ServedInstance]>,
    /// Of the instances with PostgreSQL, as the API says it, for example `POSTGRES_17`. It is the engine's, whatever the
    /// company would like.
    postgres_version: String,
}

impl Google {
    /// Opens the instances' doors and serves the APIs. Both are ready when it returns; a database starts when somebody
    /// first connects to it.
    ///
    /// `subject_tokens` says whom the workforce pool believes; access tokens live for `token_life`.
    pub(in crate::sandbox) async fn start(
        subject_tokens: SubjectTokens,
        engine: Engine,
        mysql: MySql,
        faults: FaultBox,
        token_life: SignedDuration,
    ) -> Result<Self> {
        let doors = instance::bind().await?;
        Self::start_at(doors, subject_tokens, engine, mysql, faults, token_life).await
    }

    async fn start_at(
        doors: Listeners,
        subject_tokens: SubjectTokens,
        engine: Engine,
        mysql: MySql,
        faults: FaultBox,
        token_life: SignedDuration,
    ) -> Result<Self> {
        let mysql = Arc::new(mysql);
        let tokens = Tokens::default();
        let doors = Doors::open(
            doors,
            engine.clone(),
            Arc::clone(&mysql),
            tokens.clone(),
            faults.clone(),
        )?;
        let api = Api {
            subject_tokens,
            tokens,
            token_life,
            faults,
            instances: doors.instances(),
            postgres_version: format!("POSTGRES_{}", engine.major_version()),
        };
        let bound = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            anyhow::Ok((listener, Url::parse(&format!("http://{address}/"))?))
        };
        let (listener, url) = bound
            .await
            .or_fail(ErrorKind::CannotCreate, || "cannot serve Google's APIs")?;
        let sql_data = SqlData::bind().await?;
        let (sql_data_url, ca) = (sql_data.url.clone(), sql_data.ca.clone());
        let closing = CancellationToken::new();
        let serve = axum::serve(listener, router(api.clone(), ca))
            .with_graceful_shutdown(closing.clone().cancelled_owned());
        let serving = TaskTracker::new();
        serving.spawn(async move {
            // It never fails: see the documentation of `axum::serve`.
            let _ = serve.await;
        });
        let sessions = serving.clone();
        serving.spawn(sql_data.serve(api, doors.door(), sessions, closing.clone()));
        serving.close();
        Ok(Self {
            url,
            sql_data: sql_data_url,
            doors,
            engine,
            mysql,
            serving,
            closing: closing.drop_guard(),
        })
    }

    /// The base of every API's address.
    pub(in crate::sandbox) fn url(&self) -> &Url {
        &self.url
    }

    /// The SQL Data service's address.
    pub(in crate::sandbox) fn sql_data(&self) -> &Url {
        &self.sql_data
    }

    /// The port of every instance's door: 3307, as in Cloud SQL, where each can have an address of its own.
    pub(in crate::sandbox) fn instance_port(&self) -> u16 {
        self.doors.port()
    }

    /// The instances that are up.
    pub(in crate::sandbox) fn instances(&self) -> Arc<[ServedInstance]> {
        self.doors.instances()
    }

    /// The databases behind the instances.
    pub(in crate::sandbox) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Ends everything in order: no more requests, then no more sessions, then no more databases.
    pub(in crate::sandbox) async fn stop(self) {
        drop(self.closing);
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.serving.wait()).await;
        self.doors.close().await;
        tokio::join!(self.engine.stop(), self.mysql.stop());
    }
}

impl Api {
    fn database_version<'a>(&'a self, instance: &'a Instance) -> &'a str {
        match instance.engine() {
            company::Engine::Postgres => &self.postgres_version,
            company::Engine::MySql | company::Engine::SqlServer => instance.database_version,
        }
    }

    /// Whose request this is, if their token is for any of `scopes`.
    fn authorized(&self, headers: &HeaderMap, scopes: &[&str]) -> Result<Grant, ApiError> {
        let header = headers
            .get(header::AUTHORIZATION)
            .ok_or_else(ApiError::missing_token)?;
        let grant = header
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.tokens.grant(token))
            .ok_or_else(ApiError::invalid_token)?;
        if grant.covers(scopes) {
            Ok(grant)
        } else {
            Err(ApiError::insufficient_scopes())
        }
    }
}

/// A verb after a colon, as Google has them, is a part of the last segment here.
fn router(api: Api, ca: String) -> Router {
    Router::new()
        // No API of Google's: whom clients of the SQL Data service have to trust here.
        .route("/sandbox/ca.pem", get(async move || ca))
        .route("/v1/token", post(token_endpoints::exchange))
        .route("/token", post(token_endpoints::refresh))
        .route("/tokeninfo", post(token_endpoints::token_info))
        .route(
            "/computeMetadata/v1/instance/service-accounts/default/email",
            get(metadata::email),
        )
        .route(
            "/computeMetadata/v1/instance/service-accounts/default/token",
            get(metadata::token),
        )
        .route(
            "/v1/projects/-/serviceAccounts/{method}",
            post(iam_credentials::generate_access_token),
        )
        .route(
            "/sql/v1beta4/projects/{project}/instances/{instance}",
            get(sql_admin::instance).post(sql_admin::generate_ephemeral_cert),
        )
        .route(
            "/sql/v1beta4/projects/{project}/instances/{instance}/connectSettings",
            get(sql_admin::connect_settings),
        )
        .route(
            "/sql/v1beta4/projects/{project}/instances/{instance}/users",
            get(sql_admin::users),
        )
        .route(
            "/sql/v1beta4/locations/{region}/dns/{method}",
            get(sql_admin::resolve_connect_settings),
        )
        .fallback(async || ApiError::not_found())
        .with_state(api)
}
