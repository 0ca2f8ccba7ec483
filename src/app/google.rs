//! Google: tokens for whoever signed in, its APIs, and the way to an instance.

use std::sync::Arc;

use crate::auth::Session;
use crate::catalog::BearerSource;
use crate::cloudsql::{
    AccessToken, Adc, AdcEnvironment, AdcOptions, ConnectionInfoSource, Dialer, DomainName,
    DomainResolver, Endpoints, GcloudTokens, GoogleTokens, Impersonated, InstanceLocator, IpType,
    Moved, NarrowedTokenSource, OAuthTokens, SqlAdminClient, Subject, SubjectTokenSource,
    WorkforceTokens,
};
use crate::config::{Credentials, Profile};
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

use super::App;
use super::kept::ClientCertificates;

/// Google's tokens, for the profile's source or for the service account that it becomes.
pub(crate) type GoogleCredentials = Impersonated<GoogleTokens<SessionTokens>>;

/// The way to one instance.
pub(crate) type InstanceDialer = Dialer<GoogleCredentials>;

/// The session's ID token, for whoever asks for one.
#[derive(Debug, Clone)]
pub(crate) struct SessionTokens(pub(super) Session);

impl SubjectTokenSource for SessionTokens {
    async fn subject_token(&self) -> Result<Secret> {
        self.0.id_token().await
    }

    async fn subject(&self) -> Result<Subject> {
        let claims = self.0.claims().await?;
        let claims = claims.ok_or_else(|| ErrorKind::SignedOut.error("nobody is signed in"))?;
        Ok(Subject {
            subject: claims.subject,
            email: claims.email,
        })
    }
}

impl NarrowedTokenSource for SessionTokens {
    async fn narrowed_token(&self, scope: &str) -> Result<AccessToken> {
        let (secret, expires_at) = self.0.access_token_for(&[scope]).await?;
        Ok(AccessToken { secret, expires_at })
    }

    async fn person(&self) -> Result<Subject> {
        self.subject().await
    }
}

impl BearerSource for SessionTokens {
    async fn bearer(&self) -> Result<Option<Secret>> {
        self.0.id_token().await.map(Some)
    }
}

impl App {
    /// Google's tokens, from where the profile says. Nothing is asked yet.
    pub(crate) fn credentials(
        &self,
        profile: &Profile,
        session: &Session,
    ) -> Result<Arc<GoogleCredentials>> {
        let endpoints = Self::endpoints(profile)?;
        let http = self.http(profile)?;
        let user_project = self.user_project(profile)?;
        let source = match &profile.google.credentials {
            Credentials::Workforce { provider } => GoogleTokens::Workforce(WorkforceTokens::new(
                SessionTokens(session.clone()),
                http.clone(),
                endpoints.sts,
                provider.clone(),
                user_project.clone(),
                self.clock,
            )),
            Credentials::Adc { .. } => GoogleTokens::Adc(self.adc(profile)?),
            Credentials::OAuth => GoogleTokens::OAuth(OAuthTokens::new(
                SessionTokens(session.clone()),
                profile.identity.scopes.clone(),
                self.clock,
            )?),
            Credentials::Gcloud => GoogleTokens::Gcloud(GcloudTokens::new(
                if cfg!(windows) {
                    "gcloud.cmd"
                } else {
                    "gcloud"
                }
                .into(),
                http.clone(),
                endpoints.oauth2,
                self.clock,
            )),
        };
        Ok(Arc::new(Impersonated::new(
            source,
            profile.google.impersonate.clone(),
            profile.google.impersonate_lifetime,
            http,
            endpoints.iam_credentials,
            user_project,
            self.clock,
        )))
    }

    fn adc(&self, profile: &Profile) -> Result<Adc> {
        let allow_key_files = match profile.google.credentials {
            Credentials::Adc { allow_key_files } => allow_key_files,
            Credentials::Workforce { .. } | Credentials::Gcloud | Credentials::OAuth => false,
        };
        let options = AdcOptions {
            environment: self.adc_environment(),
            endpoints: Self::endpoints(profile)?,
            universe_domain: profile.google.universe_domain.clone(),
            allow_key_files,
            user_project: profile.google.user_project.clone(),
        };
        Adc::find(self.http(profile)?, options, self.clock)
    }

    /// What Google's own libraries take from the environment.
    fn adc_environment(&self) -> AdcEnvironment {
        let environment = &self.environment;
        let usual_dir = if cfg!(windows) {
            environment.path("APPDATA").map(|dir| dir.join("gcloud"))
        } else {
            let home = environment.path("HOME");
            home.map(|home| home.join(".config").join("gcloud"))
        };
        let text = |name| environment.text(name).map(str::to_owned);
        AdcEnvironment {
            credentials_file: environment.path("GOOGLE_APPLICATION_CREDENTIALS"),
            gcloud_dir: environment.path("CLOUDSDK_CONFIG").or(usual_dir),
            metadata_host: text("GCE_METADATA_HOST"),
            no_metadata: environment
                .text("NO_GCE_CHECK")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            allow_executables: environment.text("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES")
                == Some("1"),
            quota_project: text("GOOGLE_CLOUD_QUOTA_PROJECT"),
        }
    }

    /// The project that calls are counted against: the profile's, else the credentials' own.
    fn user_project(&self, profile: &Profile) -> Result<Option<String>> {
        Ok(
            match (&profile.google.user_project, &profile.google.credentials) {
                (None, Credentials::Adc { .. }) => {
                    self.adc(profile)?.quota_project().map(str::to_owned)
                }
                (project, _) => project.clone(),
            },
        )
    }

    fn endpoints(profile: &Profile) -> Result<Endpoints> {
        let mut endpoints = Endpoints::for_universe(&profile.google.universe_domain)?;
        let overrides = profile.google.endpoints.clone();
        endpoints.sts = overrides.sts.unwrap_or(endpoints.sts);
        endpoints.sql_admin = overrides.sql_admin.unwrap_or(endpoints.sql_admin);
        endpoints.iam_credentials = overrides
            .iam_credentials
            .unwrap_or(endpoints.iam_credentials);
        endpoints.oauth2 = overrides.oauth2.unwrap_or(endpoints.oauth2);
        endpoints.instance_port = overrides.instance_port.unwrap_or(endpoints.instance_port);
        Ok(endpoints)
    }

    /// The SQL Admin API.
    pub(crate) fn sql_admin(&self, profile: &Profile) -> Result<SqlAdminClient> {
        let base_url = Self::endpoints(profile)?.sql_admin;
        Ok(SqlAdminClient::new(
            self.http(profile)?,
            base_url,
            self.user_project(profile)?,
        ))
    }

    /// The way to an instance.
    pub(crate) fn dialer(
        &self,
        profile: &Profile,
        credentials: Arc<GoogleCredentials>,
        certificates: ClientCertificates,
        instance: impl Into<InstanceLocator>,
        domain: Option<DomainName>,
        ip_type: IpType,
    ) -> Result<InstanceDialer> {
        let resolver = domain.is_some().then(|| Self::domains(profile));
        let source = ConnectionInfoSource {
            instance: instance.into(),
            admin: self.sql_admin(profile)?,
            credentials,
            key: certificates.key,
            iam_login: certificates.iam_login,
            kept: Some(certificates.kept),
            domain,
            moved_to: Moved::default(),
            clock: self.clock,
        };
        let dialer = Dialer::new(source, ip_type, Self::endpoints(profile)?.instance_port);
        let dialer = match &profile.google.endpoints.sql_data {
            Some(url) => dialer.data_api_at(url.clone()),
            None => dialer,
        };
        Ok(match resolver {
            Some(resolver) => dialer.follow(resolver),
            None => dialer,
        })
    }

    /// Who knows where instances' domain names lead.
    pub(crate) fn domains(profile: &Profile) -> DomainResolver {
        DomainResolver::new(profile.google.endpoints.dns)
    }
}
