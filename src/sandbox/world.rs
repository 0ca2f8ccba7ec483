//! Puts the sandbox together and takes it down again.

use std::ffi::OsString;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::catalog::{self, OAuth};
use super::company::Person;
use super::control::{self, Control, Controls, Status};
use super::faults::{FaultBox, Faults};
use super::google::Google;
use super::http::{self, Bound, opaque_secret};
use super::idp::{Provider, Settings};
use super::instance::ServedInstance;
use super::mysql::MySql;
use super::postgres::{Engine, EngineChoice};
use super::profile;
use crate::error::Result;
use crate::secret::Secret;

/// What can be chosen about a sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom every sign-in signs in at once, without a page.
    pub auto_approve: Option<&'static Person>,
    /// How long ID and access tokens live.
    pub token_life: SignedDuration,
    /// Whether Backstage has a sign-in of its own, and the profile uses it.
    pub backstage_sign_in: bool,
    /// How many generated databases the catalog has besides Acme's own.
    pub databases: usize,
    /// Which PostgreSQL is behind the instances.
    pub engine: EngineChoice,
    /// The value of PATH, to look for the installed PostgreSQL.
    pub search_path: Option<OsString>,
}

impl Default for Options {
    /// People sign in on a page, and tokens live for an hour.
    fn default() -> Self {
        Self {
            auto_approve: None,
            token_life: SignedDuration::from_hours(1),
            backstage_sign_in: false,
            databases: 0,
            engine: EngineChoice::Auto,
            search_path: None,
        }
    }
}

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    /// The issuer identifier, which has no slash at the end.
    pub(super) issuer: String,
    pub(super) backstage: Url,
    /// Whether Backstage has a sign-in of its own.
    pub(super) backstage_sign_in: bool,
    /// All of Google's APIs.
    pub(super) google: Url,
    /// The SQL Data service.
    pub(super) sql_data: Url,
    /// The port of the instances' doors.
    pub(super) instance_port: u16,
}

/// A running sandbox. It ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    addresses: Addresses,
    status: Status,
    control: Control,
    faults: FaultBox,
    /// Ends the servers.
    stop: DropGuard,
    /// Somebody has asked for the end through the control server.
    shutdown: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    google: Google,
    provider: Arc<Provider>,
}

impl Sandbox {
    /// Starts everything. All of it answers when this returns.
    ///
    /// Fails with [`ErrorKind::CannotCreate`](crate::error::ErrorKind::CannotCreate) when there are no free ports, and
    /// with [`ErrorKind::ClientMissing`](crate::error::ErrorKind::ClientMissing) when there is no PostgreSQL.
    pub async fn start(options: Options) -> Result<Self> {
        let search_path = options.search_path.as_deref();
        let (engine, mysql) = tokio::join!(
            Engine::new(options.engine, search_path),
            MySql::new(search_path)
        );
        let engine = engine?;
        let faults = FaultBox::default();
        let stop = CancellationToken::new();
        // Whatever fails below, nothing stays behind.
        let guard = stop.clone().drop_guard();
        let mut servers = Vec::new();

        let bound = Bound::loopback().await?;
        let issuer = bound.url().as_str().trim_end_matches('/').to_owned();
        let provider = Provider::new(Settings {
            issuer: issuer.clone(),
            auto_approve: options.auto_approve,
            token_life: options.token_life,
            faults: faults.clone(),
        });
        let subject_tokens = provider.subject_tokens();
        servers.push(bound.serve(Arc::clone(&provider).router(), stop.clone()));

        let backstage = Bound::loopback().await?;
        let oauth = options
            .backstage_sign_in
            .then(|| OAuth::new(backstage.url(), options.auto_approve, options.token_life));
        let catalog = catalog::router(
            subject_tokens.clone(),
            oauth,
            faults.clone(),
            options.databases,
        );

        let described = (engine.describe(), mysql.describe());
        let google = Google::start(
            subject_tokens,
            engine,
            mysql,
            faults.clone(),
            options.token_life,
        )
        .await?;

        let addresses = Addresses {
            issuer,
            backstage: backstage.url().clone(),
            backstage_sign_in: options.backstage_sign_in,
            google: google.url().clone(),
            sql_data: google.sql_data().clone(),
            instance_port: google.instance_port(),
        };
        let catalog = catalog.merge(profile::router(&addresses));
        servers.push(backstage.serve(catalog, stop.clone()));
        let status = Status::new(&addresses, described, &google.instances());
        let token = Secret::from(opaque_secret());
        let shutdown = CancellationToken::new();
        let controls = control::router(Controls {
            token: token.clone(),
            status: status.clone(),
            faults: faults.clone(),
            shutdown: shutdown.clone(),
        });
        let (url, server) = http::serve(controls, stop.clone()).await?;
        servers.push(server);

        Ok(Self {
            addresses,
            status,
            control: Control { url, token },
            faults,
            stop: guard,
            shutdown,
            servers,
            google,
            provider,
        })
    }

    /// `[profiles.sandbox]`, as TOML for a configuration file.
    pub fn profile(&self) -> String {
        profile::profile(&self.addresses)
    }

    /// What is running.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// How another process reaches this sandbox. The token belongs into a file that only the user can read.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Starts the database of an instance (`project:region:instance`), which otherwise starts when somebody first
    /// connects. Whoever holds the handle can wait for it; what goes wrong shows when somebody connects.
    pub fn warm_up(&self, connection_name: &str) -> JoinHandle<()> {
        let engine = self.google.engine().clone();
        let instances = self.google.instances();
        let wanted =
            |served: &&ServedInstance| served.instance.connection_name() == connection_name;
        let instance = instances.iter().find(wanted).map(|served| served.instance);
        tokio::spawn(async move {
            if let Some(instance) = instance
                && let Ok(session) = engine.session(instance).await
            {
                session.end().await;
            }
        })
    }

    /// How often somebody has refreshed a session.
    pub fn refreshes(&self) -> u64 {
        self.provider.refreshes()
    }

    /// Makes it misbehave in exactly these ways.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }

    /// Completes when somebody has asked for the end through the control server. Cancel safe.
    pub async fn shutdown_requested(&self) {
        self.shutdown.cancelled().await;
    }

    /// Ends everything, and returns when it has ended.
    pub async fn stop(self) {
        // The guard ends the servers also when the sandbox is merely dropped.
        drop(self.stop);
        for ended in join_all(self.servers).await {
            if let Err(error) = ended {
                tracing::warn!(%error, "a server of the sandbox ended badly");
            }
        }
        self.google.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::{Answer, HttpClient};
    use crate::sandbox::company::person;

    async fn world(auto_approve: Option<&'static Person>) -> Sandbox {
        let options = Options {
            auto_approve,
            ..Options::default()
        };
        Sandbox::start(options).await.unwrap()
    }

    fn http() -> HttpClient {
        HttpClient::new(Vec::new()).unwrap()
    }

    async fn ask(
        sandbox: &Sandbox,
        method: &str,
        path: &str,
        token: &str,
        body: &'static str,
    ) -> Answer {
        let http = http();
        let url = sandbox.control().url.join(path).unwrap();
        let request = match method {
            "GET" => http.get(url),
            _ => http.post(url).body(body),
        };
        let request = request.bearer_auth(token);
        http.send("the control server", request).await.unwrap()
    }

    #[tokio::test]
    async fn a_person_gets_from_the_profile_to_the_catalog() {
        let sandbox = world(person("ada")).await;
        let profile: toml::Table = sandbox.profile().parse().unwrap();
        let profile = &profile["profiles"]["sandbox"];
        let issuer = profile["identity"]["issuer"].as_str().unwrap();
        let backstage: Url = profile["backstage"]["url"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();

        let http = http();
        let start = http
            .post(format!("{issuer}/device_authorization").parse().unwrap())
            .form(&[("client_id", "bsql"), ("scope", "openid")]);
        let device: Value = http.send("it", start).await.unwrap().json().unwrap();
        let poll = http
            .post(format!("{issuer}/token").parse().unwrap())
            .form(&[
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("client_id", "bsql"),
                ("device_code", device["device_code"].as_str().unwrap()),
            ]);
        let tokens: Value = http.send("it", poll).await.unwrap().json().unwrap();
        let list = http
            .get(
                backstage
                    .join("api/catalog/entities/by-query?filter=kind=user&limit=0")
                    .unwrap(),
            )
            .bearer_auth(tokens["id_token"].as_str().unwrap());
        let list: Value = http.send("it", list).await.unwrap().json().unwrap();
        assert_eq!(list["totalItems"], 4);
        sandbox.stop().await;
    }

    #[tokio::test]
    async fn the_control_server_tells_and_takes_only_with_its_token() {
        let sandbox = world(None).await;
        let token = sandbox.control().token.expose().to_owned();
        for wrong in ["", "sbx-secret-wrong"] {
            for (method, path) in [("GET", "status"), ("POST", "shutdown"), ("POST", "faults")] {
                let answer = ask(&sandbox, method, path, wrong, "{}").await;
                assert_eq!(answer.status, 401, "{method} {path}");
            }
        }
        let status: Status = ask(&sandbox, "GET", "status", &token, "")
            .await
            .json()
            .unwrap();
        assert_eq!(status.pid, std::process::id());
        assert_eq!(status.people[2].groups, ["platform", "on-call"]);
        assert_eq!(
            status.instances[4].connection_name,
            "acme-staging:europe-west4:ledger"
        );

        let body = r#"{"discovery_status": 503}"#;
        let answer = ask(&sandbox, "POST", "faults", &token, body).await;
        assert_eq!(answer.status, 200);
        let http = http();
        let metadata = format!("{}/.well-known/openid-configuration", status.issuer);
        let request = http.get(metadata.parse().unwrap());
        assert_eq!(http.send("it", request).await.unwrap().status, 503);
        let faults: Value = ask(&sandbox, "GET", "faults", &token, "")
            .await
            .json()
            .unwrap();
        assert_eq!(faults["discovery_status"], 503);
        let misspelt = ask(&sandbox, "POST", "faults", &token, r#"{"x": 1}"#).await;
        assert_eq!(misspelt.status, 400);
        let answer = ask(&sandbox, "POST", "faults", &token, "{}").await;
        assert_eq!(answer.json::<Value>().unwrap(), json!(Faults::default()));
    }

    #[tokio::test]
    async fn ends_when_asked_and_leaves_nothing_listening() {
        let sandbox = world(None).await;
        let token = sandbox.control().token.expose().to_owned();
        let answer = ask(&sandbox, "POST", "shutdown", &token, "").await;
        assert_eq!(answer.status, 202);
        sandbox.shutdown_requested().await;
        let addresses = sandbox.addresses.clone();
        let control = sandbox.control().url.clone();
        sandbox.stop().await;
        let issuer: Url = addresses.issuer.parse().unwrap();
        for url in [&issuer, &addresses.backstage, &addresses.google, &control] {
            let address = url.socket_addrs(|| None).unwrap()[0];
            assert!(
                tokio::net::TcpStream::connect(address).await.is_err(),
                "{url}"
            );
        }
    }
}
