//! The SQL Admin API.
//!
//! <https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1beta4/connect>; `v1beta4` is what all of Google's
//! connectors use. The region is in no URL: it is only in the answer.

use reqwest::{RequestBuilder, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::credentials::AccessToken;
use super::dns_name::InstanceDnsName;
use super::endpoints::below;
use super::engine::Engine;
use super::name::{InstanceConnectionName, InstanceLocator};
use super::refusal::Refusal;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::http::{Answer, HttpClient};

const SERVICE: &str = "the SQL Admin API";

/// Asks the SQL Admin API.
#[derive(Debug, Clone)]
pub struct SqlAdminClient {
    http: HttpClient,
    base_url: Url,
    user_project: Option<String>,
}

/// Where an instance is and what to trust.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectSettings {
    /// The region, for example `europe-west1`.
    pub region: String,
    /// The engine and its version, for example `POSTGRES_17`.
    pub database_version: String,
    /// `SECOND_GEN` for every instance that still runs.
    pub backend_type: Option<String>,
    /// Its addresses.
    #[serde(default)]
    pub ip_addresses: Vec<IpAddress>,
    /// The CAs that its certificate may come from.
    pub(super) server_ca_cert: Option<SslCert>,
    dns_name: Option<String>,
    #[serde(default)]
    dns_names: Vec<DnsName>,
    #[serde(default)]
    psc_enabled: bool,
    #[serde(default)]
    mdx_protocol_support: Vec<String>,
}

/// An address of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpAddress {
    /// `PRIMARY` is public, `PRIVATE` is in a VPC; others are not for clients.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub ip_address: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SslCert {
    /// PEM, one certificate or several.
    pub(super) cert: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DnsName {
    #[serde(default)]
    name: String,
    #[serde(default)]
    connection_type: String,
    #[serde(default)]
    dns_scope: String,
}

impl DnsName {
    /// The name of a cluster leads to whichever instance is the primary at the moment: it says nothing of this one.
    fn is_of_instance(&self) -> bool {
        self.dns_scope != "CLUSTER"
    }
}

/// A user of an instance's databases.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseUser {
    /// The name to log in with.
    pub name: String,
    /// MySQL: where the user may come from.
    #[serde(default)]
    pub host: String,
    /// For example `CLOUD_IAM_USER`; `BUILT_IN` is a user with a password.
    #[serde(rename = "type", default = "built_in")]
    pub kind: String,
    /// The whole mail address where the name is only a part of it.
    pub iam_email: Option<String>,
}

fn built_in() -> String {
    "BUILT_IN".to_owned()
}

impl DatabaseUser {
    /// Whether this user logs in with IAM.
    pub fn is_iam(&self) -> bool {
        self.kind.starts_with("CLOUD_IAM_")
    }
}

impl ConnectSettings {
    /// The engine, if this bsql knows it.
    pub fn engine(&self) -> Option<Engine> {
        Engine::of_version(&self.database_version)
    }

    /// The instance's address of this type, `PRIMARY` or `PRIVATE`.
    pub(super) fn address(&self, kind: &str) -> Option<&str> {
        let mut addresses = self.ip_addresses.iter();
        let found = addresses.find(|address| address.kind == kind)?;
        Some(&found.ip_address)
    }

    /// Whether the instance wants to know what its clients speak.
    pub(super) fn asks_for_client_protocol(&self) -> bool {
        let mut supported = self.mdx_protocol_support.iter();
        supported.any(|what| what == "CLIENT_PROTOCOL_TYPE")
    }

    /// The names that the instance's certificate may have, without the trailing dots that the API writes; the first is
    /// the one that it is expected to have. There may be none.
    pub(super) fn own_dns_names(&self) -> Vec<&str> {
        let named = self.dns_names.iter().filter(|found| found.is_of_instance());
        let named = named.map(|found| found.name.as_str());
        let mut names = Vec::new();
        for name in named.chain(self.dns_name.as_deref()).map(without_dot) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The names to dial for Private Service Connect, best first.
    pub(super) fn psc_names(&self) -> Vec<&str> {
        if !self.psc_enabled {
            return Vec::new();
        }
        let is_psc = |found: &&DnsName| found.connection_type == PSC && found.is_of_instance();
        let mut names: Vec<&str> = (self.dns_names.iter().filter(is_psc))
            .map(|found| without_dot(&found.name))
            .filter(|name| !name.is_empty())
            .collect();
        // As Google's connectors: names that are made for this first, and the one of before there were several last.
        names.sort_by_key(|name| !name.ends_with(".sql-psc.goog"));
        if names.is_empty() {
            names.extend(
                self.dns_name
                    .as_deref()
                    .map(without_dot)
                    .filter(|name| !name.is_empty()),
            );
        }
        names
    }
}

const PSC: &str = "PRIVATE_SERVICE_CONNECT";

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// `snake_case`, unlike the rest of the API.
#[derive(Serialize)]
struct GenerateEphemeralCert<'a> {
    public_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EphemeralCert {
    ephemeral_cert: SslCert,
}

/// Of the instance's settings, only which instance it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resolved {
    connection_name: String,
}

#[derive(Deserialize)]
struct Users {
    #[serde(default)]
    items: Vec<DatabaseUser>,
}

impl SqlAdminClient {
    /// A client for the API at `base_url` whose calls count against `user_project`.
    pub fn new(http: HttpClient, base_url: Url, user_project: Option<String>) -> Self {
        Self {
            http,
            base_url,
            user_project,
        }
    }

    /// Where the API is.
    pub(super) fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// What the API is asked with.
    pub(super) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// The project that calls count against.
    pub(super) fn user_project(&self) -> Option<&str> {
        self.user_project.as_deref()
    }

    /// Opens a connection to the API while it is not yet known what to ask it: TCP and TLS are two round trips.
    pub async fn connect_ahead(&self) {
        self.http
            .connect_ahead(SERVICE, self.base_url.clone())
            .await;
    }

    /// Where the instance is and what to trust.
    pub async fn connect_settings(
        &self,
        token: &AccessToken,
        instance: &InstanceLocator,
    ) -> Result<ConnectSettings> {
        let url = self.url(instance, instance.instance(), &["connectSettings"])?;
        self.call(token, instance, self.http.get(url)).await
    }

    /// A client certificate for the key `public_key_pem` that lives for an hour. With a `login` token it is the database
    /// login as well.
    pub async fn generate_ephemeral_cert(
        &self,
        token: &AccessToken,
        instance: &InstanceLocator,
        public_key_pem: &str,
        login: Option<&AccessToken>,
    ) -> Result<CertificateDer<'static>> {
        let method = format!("{}:generateEphemeralCert", instance.instance());
        let url = self.url(instance, &method, &[])?;
        let body = GenerateEphemeralCert {
            public_key: public_key_pem,
            access_token: login.map(|login| login.secret.expose()),
        };
        let generated: EphemeralCert = self
            .call(token, instance, self.http.post(url).json(&body))
            .await?;
        CertificateDer::from_pem_slice(generated.ephemeral_cert.cert.as_bytes())
            .map_err(|error| anyhow::anyhow!("{error}"))
            .or_fail(ErrorKind::Unavailable, || {
                format!("cannot read the client certificate for `{instance}`")
            })
    }

    /// The users of the instance's databases. Takes the permission `cloudsql.users.list`, which people who merely connect
    /// do not need to have.
    pub async fn users(
        &self,
        token: &AccessToken,
        instance: &InstanceLocator,
    ) -> Result<Vec<DatabaseUser>> {
        let url = self.url(instance, instance.instance(), &["users"])?;
        let users: Users = self.call(token, instance, self.http.get(url)).await?;
        Ok(users.items)
    }

    /// The instance's whole connection name, asked for if the region is not known.
    pub async fn locate(
        &self,
        token: &AccessToken,
        instance: &InstanceLocator,
    ) -> Result<InstanceConnectionName> {
        if let Some(name) = instance.connection_name() {
            return Ok(name);
        }
        let settings = self.connect_settings(token, instance).await?;
        Ok(instance.in_region(&settings.region))
    }

    /// Which instance has this DNS name. The name in the URL ends with a dot, as Google's connectors write it.
    pub async fn resolve(
        &self,
        token: &AccessToken,
        dns_name: &InstanceDnsName,
    ) -> Result<InstanceConnectionName> {
        let method = format!("{dns_name}.:resolveConnectSettings");
        let path = [
            "sql",
            "v1beta4",
            "locations",
            dns_name.region(),
            "dns",
            &method,
        ];
        let url = below(&self.base_url, &path)?;
        let answer = self.send(token, self.http.get(url)).await?;
        if answer.status != StatusCode::OK {
            return Err(self.unresolved(dns_name, &answer));
        }
        let unread = || format!("cannot read the answer of {SERVICE} about `{dns_name}`");
        let resolved: Resolved = answer.json().or_fail(ErrorKind::Unavailable, unread)?;
        let name = resolved.connection_name.parse::<InstanceConnectionName>();
        let name = name.or_fail(ErrorKind::Unavailable, unread)?;
        tracing::info!(%dns_name, instance = %name, "resolved");
        Ok(name)
    }

    fn unresolved(&self, dns_name: &InstanceDnsName, answer: &Answer) -> Error {
        let refusal = Refusal::of(answer);
        if let Some(general) = refusal.of_any_service(SERVICE, self.user_project.as_deref()) {
            return general;
        }
        match refusal.status {
            StatusCode::UNAUTHORIZED => ErrorKind::Denied
                .error(format!("{SERVICE} does not accept your access token"))
                .because(refusal.cause())
                .hint("bsql login --force"),
            StatusCode::FORBIDDEN => ErrorKind::Denied
                .error(format!("you may not connect to `{dns_name}`, or there is no such instance"))
                .because(refusal.cause())
                .hint("it takes the role `roles/cloudsql.client` on the instance's project: ask who owns it")
                .hint(format!("Google answers the same when there is no such instance: check `{dns_name}` for mistakes")),
            StatusCode::NOT_FOUND => ErrorKind::NotFound
                .error(format!("there is no Cloud SQL instance with the DNS name `{dns_name}`"))
                .because(refusal.cause())
                .hint("name it `project:region:instance`, as `gcloud sql instances list` helps to find out"),
            _ => refusal.unexpected(SERVICE),
        }
    }

    fn url(&self, instance: &InstanceLocator, last: &str, rest: &[&str]) -> Result<Url> {
        let path = [
            "sql",
            "v1beta4",
            "projects",
            instance.project(),
            "instances",
            last,
        ];
        below(&self.base_url, &[&path, rest].concat())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        token: &AccessToken,
        instance: &InstanceLocator,
        request: RequestBuilder,
    ) -> Result<T> {
        let answer = self.send(token, request).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(SERVICE, instance, &Refusal::of(&answer)));
        }
        answer.json().or_fail(ErrorKind::Unavailable, || {
            format!("cannot read the answer of {SERVICE} about `{instance}`")
        })
    }

    async fn send(&self, token: &AccessToken, request: RequestBuilder) -> Result<Answer> {
        let mut request = request.bearer_auth(token.secret.expose());
        if let Some(project) = &self.user_project {
            request = request.header("x-goog-user-project", project);
        }
        // A second certificate does no harm, so every call may be repeated.
        self.http.send_idempotent(SERVICE, request).await
    }

    /// What a refusal by `service`, this one or one that refuses as it does, means.
    pub(super) fn refused(
        &self,
        service: &str,
        instance: &InstanceLocator,
        refusal: &Refusal,
    ) -> Error {
        if let Some(general) = refusal.of_any_service(service, self.user_project.as_deref()) {
            return general;
        }
        let project = instance.project();
        match refusal.status {
            StatusCode::UNAUTHORIZED => ErrorKind::Denied
                .error(format!("{service} does not accept your access token"))
                .because(refusal.cause())
                .hint("bsql login --force"),
            StatusCode::FORBIDDEN => {
                let error = ErrorKind::Denied
                    .error(format!("you may not connect to `{instance}`, or there is no such instance"))
                    .because(refusal.cause());
                let error = if refusal.message.contains("cloudsql.users.list") {
                    error.hint(format!("it takes the permission `cloudsql.users.list`, as in `roles/cloudsql.viewer`, on project `{project}`"))
                } else {
                    error.hint(format!("it takes the role `roles/cloudsql.client` on project `{project}`: ask who owns the project"))
                };
                error.hint(format!("Google answers the same when there is no such instance: check `{instance}` for mistakes"))
            }
            StatusCode::NOT_FOUND => ErrorKind::NotFound
                .error(format!("there is no Cloud SQL instance `{instance}`"))
                .because(refusal.cause())
                .hint(format!("gcloud sql instances list --project {project}"))
                .hint("if the name is from the catalog, tell the entity's owner"),
            // Whether it runs is not said anywhere else: `state` stays RUNNABLE for a stopped instance.
            StatusCode::BAD_REQUEST if refusal.message.contains("not running") => ErrorKind::Unavailable
                .error(format!("the instance `{instance}` is stopped"))
                .because(refusal.cause())
                .hint(format!(
                    "gcloud sql instances patch {} --project {project} --activation-policy=ALWAYS",
                    instance.instance()
                )),
            _ => refusal.unexpected(service),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::loopback::{Request, Response, Server};
    use crate::secret::Secret;

    fn token(text: &str) -> AccessToken {
        AccessToken {
            secret: Secret::from(text.to_owned()),
            expires_at: Timestamp::MAX,
        }
    }

    fn client(server: &Server) -> SqlAdminClient {
        let http = HttpClient::new(Vec::new()).unwrap();
        SqlAdminClient::new(http, server.url().clone(), Some("acme-tools".to_owned()))
    }

    fn instance() -> InstanceLocator {
        "acme.example:staging:europe-west1:payments"
            .parse::<InstanceConnectionName>()
            .unwrap()
            .into()
    }

    fn settings(more: &Value) -> Value {
        let mut settings = json!({ "region": "europe-west1", "databaseVersion": "POSTGRES_17" });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        settings
    }

    #[tokio::test]
    async fn a_call_takes_the_connection_that_was_opened_ahead() {
        let server = Server::start(|_| Response::json(200, &settings(&json!({})))).await;
        let client = client(&server);
        client.connect_ahead().await;
        client
            .connect_settings(&token("t"), &instance())
            .await
            .unwrap();
        assert_eq!(server.requests()[0].header("authorization"), "");
        assert_eq!(server.requests().len(), 2);
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn calls_are_made_as_the_api_wants_them() {
        let server = Server::start(|request| {
            if request.path().ends_with("/users") {
                return Response::json(200, &json!({ "kind": "sql#usersList", "items": [
                    { "name": "ada", "host": "%", "type": "CLOUD_IAM_USER", "iamEmail": "ada@acme.example" },
                    { "name": "postgres" },
                ] }));
            }
            Response::json(200, &settings(&json!({})))
        })
        .await;
        let client = client(&server);
        let unlocated = InstanceLocator::without_region("p", "i").unwrap();
        client
            .connect_settings(&token("t"), &instance())
            .await
            .unwrap();
        let users = client.users(&token("t"), &unlocated).await.unwrap();
        assert_eq!(
            users.iter().map(DatabaseUser::is_iam).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(users[1].kind, "BUILT_IN");
        let name = client.locate(&token("t"), &unlocated).await.unwrap();
        assert_eq!(name.to_string(), "p:europe-west1:i");
        client.locate(&token("t"), &instance()).await.unwrap();
        let requests = server.requests();
        let paths: Vec<&str> = requests.iter().map(Request::path).collect();
        assert_eq!(
            paths,
            [
                "/sql/v1beta4/projects/acme.example:staging/instances/payments/connectSettings",
                "/sql/v1beta4/projects/p/instances/i/users",
                "/sql/v1beta4/projects/p/instances/i/connectSettings",
            ]
        );
        assert_eq!(requests[0].header("authorization"), "Bearer t");
        assert_eq!(requests[0].header("x-goog-user-project"), "acme-tools");
    }

    #[tokio::test]
    async fn a_certificate_with_or_without_a_login() {
        let server = Server::start(|_| {
            Response::json(200, &json!({ "ephemeralCert": { "cert": "not PEM" } }))
        })
        .await;
        let client = client(&server);
        let (api, login) = (token("t"), token("login"));
        for login in [Some(&login), None] {
            let error = client
                .generate_ephemeral_cert(&api, &instance(), "PEM", login)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
        }
        let requests = server.requests();
        assert_eq!(
            requests[0].target,
            "/sql/v1beta4/projects/acme.example:staging/instances/payments:generateEphemeralCert"
        );
        assert_eq!(
            requests[0].json(),
            json!({ "public_key": "PEM", "access_token": "login" })
        );
        assert_eq!(requests[1].json(), json!({ "public_key": "PEM" }));
    }

    #[tokio::test]
    async fn the_instance_that_has_a_dns_name() {
        let name: InstanceDnsName = "1a2b3c4d5e6f.2imj07zrx20yw.us-west1.sql.goog"
            .parse()
            .unwrap();
        let refusal = |code: u16| json!({ "error": { "code": code, "message": "no" } });
        for (status, body, expected) in [
            (
                200,
                json!({ "connectionName": "p:us-west1:i" }),
                Ok("p:us-west1:i"),
            ),
            (
                200,
                json!({ "connectionName": "nonsense" }),
                Err(ErrorKind::Unavailable),
            ),
            (200, json!({}), Err(ErrorKind::Unavailable)),
            (401, refusal(401), Err(ErrorKind::Denied)),
            (403, refusal(403), Err(ErrorKind::Denied)),
            (404, refusal(404), Err(ErrorKind::NotFound)),
            (429, refusal(429), Err(ErrorKind::TryLater)),
            (418, refusal(418), Err(ErrorKind::Unavailable)),
        ] {
            let server = Server::start(move |_| Response::json(status, &body)).await;
            let resolved = client(&server).resolve(&token("t"), &name).await;
            let resolved = resolved.map(|name| name.to_string());
            let resolved = resolved.as_deref().map_err(Error::kind);
            assert_eq!(resolved, expected, "{status}");
            let requests = server.requests();
            assert_eq!(
                requests[0].path(),
                "/sql/v1beta4/locations/us-west1/dns/1a2b3c4d5e6f.2imj07zrx20yw.us-west1.sql.goog.:resolveConnectSettings"
            );
            assert_eq!(requests[0].header("x-goog-user-project"), "acme-tools");
        }
    }

    #[test]
    fn names_in_the_certificate_and_to_dial() {
        let psc = |name: &str, scope: &str| json!({ "name": name, "connectionType": "PRIVATE_SERVICE_CONNECT", "dnsScope": scope });
        for (more, own, to_dial) in [
            (json!({}), &[][..], &[][..]),
            (json!({ "dnsName": "" }), &[], &[]),
            (json!({ "dnsName": "a.sql.goog." }), &["a.sql.goog"], &[]),
            (
                json!({ "dnsName": "a.sql.goog.", "pscEnabled": true }),
                &["a.sql.goog"],
                &["a.sql.goog"],
            ),
            (
                json!({ "dnsName": "a", "dnsNames": [{ "name": "b.sql.goog." }, { "name": "a" }] }),
                &["b.sql.goog", "a"],
                &[],
            ),
            (
                json!({ "dnsName": "a", "dnsNames": [{ "dnsScope": "INSTANCE" }] }),
                &["a"],
                &[],
            ),
            (
                json!({ "pscEnabled": true, "dnsNames": [
                    psc("old.sql.goog.", "INSTANCE"), psc("write.sql-psc.goog.", "CLUSTER"),
                    psc("new.sql-psc.goog.", "INSTANCE"), { "name": "public.sql.goog.", "connectionType": "PUBLIC" },
                ] }),
                &["old.sql.goog", "new.sql-psc.goog", "public.sql.goog"],
                &["new.sql-psc.goog", "old.sql.goog"],
            ),
        ] {
            let settings: ConnectSettings = serde_json::from_value(settings(&more)).unwrap();
            assert_eq!(settings.own_dns_names(), own, "{more}");
            assert_eq!(settings.psc_names(), to_dial, "{more}");
        }
    }

    #[tokio::test]
    async fn what_each_refusal_means() {
        let problem = |code: u16, message: &str, reason: &str| {
            Response::json(
                code,
                &json!({ "error": { "code": code, "message": message, "errors": [{ "reason": reason }] } }),
            )
        };
        let not_authorized = "The client is not authorized to make this request., notAuthorized";
        for (response, kind, steps) in [
            (
                problem(
                    401,
                    "Request had invalid authentication credentials.",
                    "authError",
                ),
                ErrorKind::Denied,
                vec!["bsql login --force"],
            ),
            (
                problem(403, not_authorized, "notAuthorized"),
                ErrorKind::Denied,
                vec![
                    "it takes the role `roles/cloudsql.client` on project `acme.example:staging`: ask who owns the project",
                    "Google answers the same when there is no such instance: check \
                     `acme.example:staging:europe-west1:payments` for mistakes",
                ],
            ),
            (
                problem(
                    403,
                    "Cloud SQL Admin API has not been used in project 7 before",
                    "accessNotConfigured",
                ),
                ErrorKind::Denied,
                vec![
                    "tell the project's owner to enable it; Google's message above names the project",
                ],
            ),
            (
                problem(
                    404,
                    "The Cloud SQL instance does not exist., instanceDoesNotExist",
                    "instanceDoesNotExist",
                ),
                ErrorKind::NotFound,
                vec![
                    "gcloud sql instances list --project acme.example:staging",
                    "if the name is from the catalog, tell the entity's owner",
                ],
            ),
            (
                problem(
                    400,
                    "Invalid request: Invalid request since instance is not running., invalid",
                    "invalid",
                ),
                ErrorKind::Unavailable,
                vec![
                    "gcloud sql instances patch payments --project acme.example:staging --activation-policy=ALWAYS",
                ],
            ),
            (
                problem(
                    429,
                    "Quota exceeded for quota metric 'Queries'",
                    "rateLimitExceeded",
                ),
                ErrorKind::TryLater,
                vec!["wait a minute and run it again"],
            ),
            (
                Response::new(302, "text/html", ""),
                ErrorKind::Config,
                vec!["check HTTPS_PROXY and `google.endpoints`"],
            ),
            (
                Response::new(418, "text/plain", ""),
                ErrorKind::Unavailable,
                vec!["run it again with -vv and report what it prints"],
            ),
        ] {
            let server = Server::start(move |_| response.clone()).await;
            let error = client(&server)
                .connect_settings(&token("t0ken"), &instance())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(error.next_steps(), steps);
            assert!(!format!("{error:?}").contains("t0ken"));
        }
    }
}
