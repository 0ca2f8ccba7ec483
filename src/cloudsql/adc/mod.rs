//! Application Default Credentials: what `gcloud auth application-default login`, a machine on Google Cloud or a CI job
//! has ready for every program, <https://google.aip.dev/auth/4110>.
//!
//! A file names its own servers, and files come from elsewhere: tokens are only sent to hosts of the universe's, a key is
//! only used and a program only started when that was allowed ([`AdcOptions`]).

mod authorized_user;
mod file;
mod metadata;
mod place;

use std::path::PathBuf;

use jiff::SignedDuration;

use self::authorized_user::AuthorizedUser;
use self::file::{Kind, Read};
use self::metadata::MetadataServer;
use self::place::Place;
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
                    kind @ Kind::AuthorizedUser(_) => kind,
                };
                match kind {
                    Kind::AuthorizedUser(file) => {
                        Credential::AuthorizedUser(AuthorizedUser::new(file, oauth()))
                    }
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
            Credential::Metadata(credential) => credential.principal().await,
        }
    }
}

impl Issuer for Credential {
    async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        match self {
            Self::AuthorizedUser(credential) => credential.issue(scope).await,
            Self::Metadata(credential) => credential.issue(scope).await,
        }
    }
}
