//! Application Default Credentials: what `gcloud auth application-default login`, a machine on Google Cloud or a CI job
//! has ready for every program, <https://google.aip.dev/auth/4110>.
//!
//! A file names its own servers, and files come from elsewhere: tokens are only sent to hosts of the universe's, a key is
//! only used and a program only started when that was allowed ([`AdcOptions`]).

mod authorized_user;
mod external;
mod file;
mod metadata;
mod place;
mod service_account;
mod subject_token;

use std::path::PathBuf;

use jiff::SignedDuration;

use self::authorized_user::AuthorizedUser;
use self::external::{External, ExternalUser};
use self::file::{Kind, Read};
use self::metadata::MetadataServer;
use self::place::Place;
use self::service_account::ServiceAccount;
use super::credentials::{AccessToken, CredentialSource, Principal, Scope};
use super::endpoints::Endpoints;
use super::impersonation::Impersonated;
use super::oauth_server::OAuthServer;
use super::per_scope::{Issuer, PerScope};
use crate::clock::Clock;
use crate::error::Result;
use crate::http::HttpClient;

/// What the environment says of credentials. Whoever reads the environment fills it in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdcEnvironment {
    /// `GOOGLE_APPLICATION_CREDENTIALS`: a file, and then nothing else is looked for.
    pub credentials_file: Option<PathBuf>,
    /// gcloud's directory: `CLOUDSDK_CONFIG`, or where it usually is.
    pub gcloud_dir: Option<PathBuf>,
    /// `GCE_METADATA_HOST`: another host, with or without a port, of the metadata server.
    pub metadata_host: Option<String>,
    /// `NO_GCE_CHECK`: there is no metadata server.
    pub no_metadata: bool,
    /// `GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES`: a credentials file may have a program started.
    pub allow_executables: bool,
    /// `GOOGLE_CLOUD_QUOTA_PROJECT`: what calls are counted against, whatever the file says.
    pub quota_project: Option<String>,
}

/// Where to look, and what is allowed.
#[derive(Debug, Clone)]
pub struct AdcOptions {
    /// The environment's word.
    pub environment: AdcEnvironment,
    /// Google's services.
    pub endpoints: Endpoints,
    /// The domain that the credentials must be for.
    pub universe_domain: String,
    /// Whether a service account's key file may be used.
    pub allow_key_files: bool,
    /// The project that calls are counted against, whatever environment and file say.
    pub user_project: Option<String>,
}

/// Tokens of the Application Default Credentials.
#[derive(Debug)]
pub struct Adc {
    tokens: Impersonated<Own>,
    quota_project: Option<String>,
}

/// The tokens of the credentials themselves, before they become anybody else.
#[derive(Debug)]
struct Own(PerScope<Credential>);

/// A kind of credentials.
#[derive(Debug)]
enum Credential {
    AuthorizedUser(AuthorizedUser),
    ServiceAccount(Box<ServiceAccount>),
    External(Box<External>),
    ExternalUser(Box<ExternalUser>),
    Metadata(MetadataServer),
}

impl Adc {
    /// Finds and reads the credentials. Nothing is asked yet.
    ///
    /// Fails with [`ErrorKind::Config`](crate::error::ErrorKind::Config) when they cannot be read, are of a kind that is
    /// not known or not allowed, or would send secrets to somebody who is not Google.
    pub fn find(http: HttpClient, options: AdcOptions, clock: Clock) -> Result<Self> {
        let environment = &options.environment;
        let mut chain = Vec::new();
        let mut lifetime: Option<SignedDuration> = None;
        let mut quota_project = None;
        let oauth = || OAuthServer {
            http: http.clone(),
            base_url: options.endpoints.oauth2.clone(),
            clock,
        };
        let credential = match Place::find(environment)? {
            Place::File(path) => {
                let Read { kind, common } = file::read(&path, &options)?;
                quota_project = common.quota_project_id;
                let kind = match kind {
                    Kind::Impersonated(impersonated) => {
                        chain = impersonated.chain;
                        lifetime = impersonated.lifetime;
                        *impersonated.source
                    }
                    own => own,
                };
                match kind {
                    Kind::AuthorizedUser(file) => {
                        Credential::AuthorizedUser(AuthorizedUser::new(file, oauth()))
                    }
                    Kind::ServiceAccount(file, url) => Credential::ServiceAccount(Box::new(
                        ServiceAccount::new(file, url, oauth())?,
                    )),
                    Kind::External(file, url) => Credential::External(Box::new(External::new(
                        file,
                        url,
                        options.user_project.clone(),
                        oauth(),
                    ))),
                    Kind::ExternalUser(file, url, introspection) => Credential::ExternalUser(
                        Box::new(ExternalUser::new(file, url, introspection, oauth())),
                    ),
                    Kind::Impersonated(_) => return Err(file::nested(&path)),
                }
            }
            Place::MetadataServer(url) => {
                Credential::Metadata(MetadataServer::new(http.clone(), url, clock))
            }
        };
        let quota_project = options
            .user_project
            .or_else(|| environment.quota_project.clone())
            .or(quota_project);
        let own = Own(PerScope::new(credential, clock));
        Ok(Self {
            tokens: Impersonated::new(
                own,
                chain,
                lifetime,
                http,
                options.endpoints.iam_credentials,
                quota_project.clone(),
                clock,
            ),
            quota_project,
        })
    }

    /// The project that calls with these tokens are counted against.
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }
}

impl CredentialSource for Adc {
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        self.tokens.access_token(scope).await
    }

    async fn principal(&self) -> Result<Principal> {
        self.tokens.principal().await
    }
}

impl CredentialSource for Own {
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        self.0.get(scope).await
    }

    async fn principal(&self) -> Result<Principal> {
        match self.0.issuer() {
            Credential::AuthorizedUser(credential) => credential.principal().await,
            Credential::ServiceAccount(credential) => Ok(credential.principal()),
            Credential::External(credential) => credential.principal(),
            Credential::ExternalUser(credential) => credential.principal().await,
            Credential::Metadata(credential) => credential.principal().await,
        }
    }
}

impl Issuer for Credential {
    async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        match self {
            Self::AuthorizedUser(credential) => credential.issue(scope).await,
            Self::ServiceAccount(credential) => credential.issue(scope).await,
            Self::External(credential) => credential.issue(scope).await,
            Self::ExternalUser(credential) => credential.issue(scope).await,
            Self::Metadata(credential) => credential.issue(scope).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::loopback::{Response, Server};

    /// The credentials in this file, with all of Google at `server`.
    fn adc(file: &Value, server: &Server) -> Result<Adc> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("adc.json");
        std::fs::write(&path, file.to_string()).unwrap();
        let mut endpoints = Endpoints::for_universe("googleapis.com").unwrap();
        endpoints.sts = server.url().clone();
        endpoints.iam_credentials = server.url().clone();
        endpoints.oauth2 = server.url().clone();
        let options = AdcOptions {
            environment: AdcEnvironment {
                credentials_file: Some(path),
                ..AdcEnvironment::default()
            },
            endpoints,
            universe_domain: "googleapis.com".to_owned(),
            allow_key_files: false,
            user_project: None,
        };
        Adc::find(
            HttpClient::new(Vec::new()).unwrap(),
            options,
            Clock::system(),
        )
    }

    #[tokio::test]
    async fn a_job_in_ci_that_becomes_an_account() {
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "j0b").unwrap();
        let server = Server::start(|request| {
            if request.path() == "/v1/token" {
                Response::json(
                    200,
                    &json!({ "access_token": "federated", "expires_in": 3600 }),
                )
            } else {
                Response::json(
                    200,
                    &json!({ "accessToken": "account", "expireTime": "2999-01-01T00:00:00Z" }),
                )
            }
        })
        .await;
        let audience =
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/ci";
        let file = json!({
            "type": "external_account",
            "audience": audience,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": { "file": token.path() },
            "service_account_impersonation_url":
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/app@acme.iam.gserviceaccount.com:generateAccessToken",
        });
        let adc = adc(&file, &server).unwrap();
        let token = adc.access_token(Scope::Login).await.unwrap();
        assert_eq!(token.secret.expose(), "account");
        let who = adc.principal().await.unwrap();
        assert_eq!(who.login, "app@acme.iam.gserviceaccount.com");

        let [exchange, generation] = server.requests().try_into().unwrap();
        assert_eq!(exchange.form("audience"), [audience]);
        assert_eq!(exchange.form("subject_token"), ["j0b"]);
        assert_eq!(exchange.form("scope"), [Scope::Impersonation.url()]);
        assert!(
            exchange.form("options").is_empty(),
            "that is for workforces"
        );
        assert_eq!(generation.header("authorization"), "Bearer federated");
        assert_eq!(generation.json()["scope"], json!([Scope::Login.url()]));
    }

    #[tokio::test]
    async fn a_job_in_ci_that_stays_itself_is_no_database_user() {
        let server =
            Server::start(|_| Response::json(400, &json!({ "error": "invalid_grant" }))).await;
        let file = json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": { "file": "/dev/null" },
        });
        let error = adc(&file, &server).unwrap().principal().await.unwrap_err();
        assert!(error.next_steps()[0].contains("google.impersonate"));
    }

    #[tokio::test]
    async fn a_person_of_a_workforce_pool() {
        let server = Server::start(|request| {
            assert!(request.header("authorization").starts_with("Basic "));
            match request.path() {
                "/v1/introspect" => Response::json(
                    200,
                    &json!({ "active": true, "username": "principal://iam.googleapis.com/locations/global/workforcePools/p/subject/ada@acme.example" }),
                ),
                _ if request.form("refresh_token") == ["good"] => {
                    Response::json(200, &json!({ "access_token": "t", "expires_in": 3600 }))
                }
                _ => Response::json(400, &json!({ "error": "invalid_grant" })),
            }
        })
        .await;
        let mut file = json!({
            "type": "external_account_authorized_user",
            "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/okta",
            "refresh_token": "good",
            "token_url": "https://sts.googleapis.com/v1/oauthtoken",
            "token_info_url": "https://sts.googleapis.com/v1/introspect",
            "client_id": "c", "client_secret": "s",
        });
        let person = adc(&file, &server).unwrap();
        person.access_token(Scope::Login).await.unwrap();
        let [request] = server.requests().try_into().unwrap();
        assert_eq!(request.path(), "/v1/oauthtoken");
        assert_eq!(request.form("scope"), [Scope::Login.url()]);
        let who = person.principal().await.unwrap();
        assert_eq!(who.login, "ada@acme.example");
        assert_eq!(who.user_type, "CLOUD_IAM_WORKFORCE_IDENTITY");
        file["refresh_token"] = json!("bad");
        let over = adc(&file, &server).unwrap();
        let error = over.access_token(Scope::Login).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::SignedOut);
    }
}
