//! Builds every part from a profile: the only file that knows them all. It constructs; it does not act.

use std::io::BufReader;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::OnceCell;

use crate::audit::AuditLog;
use crate::auth::{
    AuthorizationServer, IdentityOptions, Redirect, Registration, Session, StoreChoice,
    Surroundings, TokenStore, open_store,
};
use crate::catalog::{
    BearerSource, CatalogClient, Conventions, Environments, IapTokens, OAUTH_SCOPES,
    OAuthEndpoints, TokenCommand,
};
use crate::clock::Clock;
use crate::cloudsql::{
    AccessToken, Adc, AdcEnvironment, AdcOptions, ConnectionInfoSource, Dialer, Endpoints,
    GcloudTokens, GoogleTokens, Impersonated, InstanceConnectionName, IpType, NarrowedTokenSource,
    OAuthTokens, PendingKey, SqlAdminClient, Subject, SubjectTokenSource, WorkforceTokens,
};
use crate::config::{
    BackstageAuth, Credentials, Environment, Paths, Profile, ProfileName, Settings,
};
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::http::HttpClient;
use crate::launch::Client;
use crate::secret::Secret;
use crate::shutdown::Shutdown;
use crate::ui::{Browser, Ui};

/// What all commands share.
#[derive(Debug)]
pub(crate) struct App {
    environment: Environment,
    paths: Paths,
    profile_flag: Option<String>,
    store_flag: Option<StoreChoice>,
    clock: Clock,
    shutdown: Shutdown,
    /// One for everything that trusts the same certificates, so that connections are shared and the system's are read once.
    http: Mutex<Vec<(Option<PathBuf>, HttpClient)>>,
}

/// Google's tokens, for the profile's source or for the service account that it becomes.
pub(crate) type GoogleCredentials = Impersonated<GoogleTokens<SessionTokens>>;

/// The way to one instance.
pub(crate) type InstanceDialer = Dialer<GoogleCredentials>;

/// The session's ID token, for whoever asks for one.
#[derive(Debug, Clone)]
pub(crate) struct SessionTokens(Session);

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

/// What the catalog is shown, as `backstage.auth` says.
#[derive(Debug)]
pub(crate) enum CatalogTokens {
    Nothing,
    /// Whichever Backstage offers; asked once.
    Auto {
        offers: OnceCell<bool>,
        http: HttpClient,
        endpoints: Box<OAuthEndpoints>,
        backstage: Session,
        id_token: SessionTokens,
    },
    Backstage(Session),
    IdToken(SessionTokens),
    Command(TokenCommand),
    Iap(IapTokens<SessionTokens>),
    IapByCommand(IapTokens<TokenCommand>),
}

impl BearerSource for CatalogTokens {
    async fn bearer(&self) -> Result<Option<Secret>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Auto {
                offers,
                http,
                endpoints,
                backstage,
                id_token,
            } => {
                // Whoever has signed in there knows that it is on.
                let find_out = || offers_backstage(backstage, endpoints, http);
                if *offers.get_or_init(find_out).await {
                    backstage_token(backstage).await
                } else {
                    id_token.bearer().await
                }
            }
            Self::Backstage(session) => backstage_token(session).await,
            Self::IdToken(tokens) => tokens.bearer().await,
            Self::Command(tokens) => tokens.bearer().await,
            Self::Iap(tokens) => tokens.bearer().await,
            Self::IapByCommand(tokens) => tokens.bearer().await,
        }
    }

    async fn proxy_bearer(&self) -> Result<Option<Secret>> {
        match self {
            Self::Iap(tokens) => tokens.proxy_bearer().await,
            Self::IapByCommand(tokens) => tokens.proxy_bearer().await,
            _ => Ok(None),
        }
    }
}

async fn backstage_token(session: &Session) -> Result<Option<Secret>> {
    match session.tokens().await {
        Ok(tokens) => Ok(Some(tokens.access_token)),
        Err(error) if error.kind() == ErrorKind::SignedOut => Err(error.hint("bsql login")),
        Err(error) => Err(error),
    }
}

/// Whether Backstage's own sign-in is to be used. Whoever has signed in there knows that it is on.
async fn offers_backstage(
    session: &Session,
    endpoints: &OAuthEndpoints,
    http: &HttpClient,
) -> bool {
    let offers = session.is_kept().await.unwrap_or(false) || endpoints.are_on(http).await;
    let auth = if offers { "backstage" } else { "id-token" };
    tracing::info!(auth, "chose how to sign in to Backstage");
    offers
}

impl App {
    pub(crate) fn new(
        environment: Environment,
        profile_flag: Option<String>,
        store_flag: Option<StoreChoice>,
        shutdown: Shutdown,
    ) -> Result<Self> {
        let paths = Paths::new(&environment)?;
        Ok(Self {
            environment,
            paths,
            profile_flag,
            store_flag,
            clock: Clock::system(),
            shutdown,
            http: Mutex::default(),
        })
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// The settings as the files say them.
    pub(crate) fn files(&self) -> Result<Settings> {
        Settings::read(&self.paths)
    }

    /// The name of the profile in use.
    pub(crate) fn profile_in_use(&self, settings: &Settings) -> Result<ProfileName> {
        ProfileName::choose(self.profile_flag.as_deref(), &self.environment, settings)
    }

    /// One of the profiles. What the environment says counts for the one in use only.
    pub(crate) fn profile_named(&self, name: &str) -> Result<Profile> {
        let mut settings = self.files()?;
        let in_use = self.profile_in_use(&settings);
        if in_use.is_ok_and(|in_use| in_use.as_str() == name) {
            settings.add_environment(&self.environment, name)?;
        }
        let name = ProfileName::choose(Some(name), &self.environment, &settings)?;
        Profile::read(name, &settings)
    }

    /// The settings, with what the environment says of the profile in use, and that profile's name.
    pub(crate) fn settings(&self) -> Result<(Settings, ProfileName)> {
        let mut settings = self.files()?;
        let name = self.profile_in_use(&settings)?;
        settings.add_environment(&self.environment, name.as_str())?;
        Ok((settings, name))
    }

    /// The profile in use. Says what the person should know of the settings.
    pub(crate) fn profile(&self, ui: &Ui) -> Result<Profile> {
        let (settings, name) = self.settings()?;
        for warning in &settings.warnings {
            ui.warn(warning);
        }
        Profile::read(name, &settings)
    }

    /// How to open a browser.
    pub(crate) fn browser(&self, never: bool) -> Browser {
        match self.environment.text("BROWSER") {
            _ if never => Browser::Never,
            Some(command) => Browser::Command(command.to_owned()),
            None => Browser::System,
        }
    }

    fn http(&self, profile: &Profile) -> Result<HttpClient> {
        self.http_trusting(profile.google.ca_file.as_ref())
    }

    /// For what is asked before there is a profile: trusts what the system trusts.
    pub(crate) fn http_without_profile(&self) -> Result<HttpClient> {
        self.http_trusting(None)
    }

    fn http_trusting(&self, ca_file: Option<&PathBuf>) -> Result<HttpClient> {
        // A client that is not there yet is made while the lock is held, and nothing else is done with it.
        let mut clients = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, http)) = clients.iter().find(|(file, _)| file.as_ref() == ca_file) {
            return Ok(http.clone());
        }
        let http = HttpClient::new(Self::roots(ca_file)?)?;
        clients.push((ca_file.cloned(), http.clone()));
        Ok(http)
    }

    fn roots(ca_file: Option<&PathBuf>) -> Result<Vec<CertificateDer<'static>>> {
        let Some(file) = ca_file else {
            return Ok(Vec::new());
        };
        let failed = || format!("cannot read the CA certificates in `{}`", file.display());
        let reader = std::fs::File::open(file)
            .map(BufReader::new)
            .or_fail(ErrorKind::Config, failed)?;
        CertificateDer::pem_reader_iter(reader)
            .collect::<Result<_, _>>()
            .map_err(|error| anyhow::anyhow!("{error}"))
            .or_fail(ErrorKind::Config, failed)
    }

    /// The person's session at the profile's provider.
    pub(crate) fn session(&self, profile: &Profile) -> Result<Session> {
        let identity = &profile.identity;
        let options = IdentityOptions {
            issuer: identity.issuer.to_string(),
            registration: Registration {
                client_id: identity.client_id.clone(),
                public_client_secret: identity.public_client_secret.clone(),
                authorize_params: identity.authorize_params.clone(),
            },
            scopes: identity.scopes.clone(),
            redirect: Redirect {
                ports: identity.redirect_ports.clone(),
                ..Redirect::default()
            },
        };
        let (store, lock_dir) = self.store(profile)?;
        Ok(Session::new(
            self.http(profile)?,
            options,
            store,
            lock_dir,
            self.clock,
        ))
    }

    /// Where sessions are kept, and where the locks are that their refreshes take.
    fn store(&self, profile: &Profile) -> Result<(Arc<dyn TokenStore>, PathBuf)> {
        let tokens = self.paths.state.join("tokens");
        let choice = self.store_choice(profile)?;
        Ok((open_store(choice, &tokens, self.keyring_patience()), tokens))
    }

    /// Where sessions are to be kept.
    pub(crate) fn store_choice(&self, profile: &Profile) -> Result<StoreChoice> {
        match self.store_flag {
            Some(choice) => Ok(choice),
            // The name came from the settings, not from the command line.
            None => (profile.identity.token_store.parse())
                .map_err(|error: Error| error.with_kind(ErrorKind::Config)),
        }
    }

    /// How long the keyring may take: where it can ask the person for a password, as long as typing one takes.
    fn keyring_patience(&self) -> Duration {
        let display = ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| self.environment.text(name).is_some());
        if display || cfg!(any(target_os = "macos", windows)) {
            Duration::from_secs(60)
        } else {
            Duration::from_secs(3)
        }
    }

    /// What a sign-in flow is chosen by.
    pub(crate) fn surroundings(&self, has_terminal: bool) -> Surroundings {
        let set = |names: &[&str]| {
            names
                .iter()
                .any(|name| self.environment.text(name).is_some())
        };
        Surroundings {
            has_terminal,
            desktop_system: cfg!(any(target_os = "macos", windows)),
            display: set(&["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]),
            wsl: set(&["WSL_DISTRO_NAME", "WSL_INTEROP"]),
            ssh: set(&["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"]),
            container: set(&["CODESPACES", "CLOUD_SHELL", "REMOTE_CONTAINERS"])
                || ["/.dockerenv", "/run/.containerenv"]
                    .iter()
                    .any(|file| std::path::Path::new(file).exists()),
        }
    }

    /// The session at Backstage's own OAuth server, whether it is used or not.
    pub(crate) fn backstage_session(&self, profile: &Profile) -> Result<Session> {
        let endpoints = OAuthEndpoints::of(&profile.backstage.url)?;
        let server = AuthorizationServer {
            name: "Backstage",
            help: "ask your Backstage administrators whether `auth.clientIdMetadataDocuments` is switched on and the backend can reach its own URL, or set `backstage.auth` to \"id-token\"",
            issuer: endpoints.issuer.to_string(),
            client_document: endpoints.client_document,
            authorization_endpoint: endpoints.authorization,
            token_endpoint: endpoints.token,
            revocation_endpoint: endpoints.revocation,
        };
        let (store, lock_dir) = self.store(profile)?;
        let scopes = OAUTH_SCOPES.map(str::to_owned).to_vec();
        let http = self.http(profile)?;
        Ok(Session::at(
            http, server, scopes, store, lock_dir, self.clock,
        ))
    }

    /// The session at Backstage, if signing in there takes a step of its own.
    pub(crate) async fn backstage_step(&self, profile: &Profile) -> Result<Option<Session>> {
        let session = self.backstage_session(profile)?;
        let takes_one = match profile.backstage.auth {
            BackstageAuth::Backstage => true,
            BackstageAuth::Auto => {
                let endpoints = OAuthEndpoints::of(&profile.backstage.url)?;
                offers_backstage(&session, &endpoints, &self.http(profile)?).await
            }
            _ => false,
        };
        Ok(takes_one.then_some(session))
    }

    fn catalog_tokens(&self, profile: &Profile, session: &Session) -> Result<CatalogTokens> {
        let session = SessionTokens(session.clone());
        let url = &profile.backstage.url;
        Ok(match &profile.backstage.auth {
            BackstageAuth::None => CatalogTokens::Nothing,
            BackstageAuth::Auto => CatalogTokens::Auto {
                offers: OnceCell::new(),
                http: self.http(profile)?,
                endpoints: Box::new(OAuthEndpoints::of(url)?),
                backstage: self.backstage_session(profile)?,
                id_token: session,
            },
            BackstageAuth::Backstage => CatalogTokens::Backstage(self.backstage_session(profile)?),
            BackstageAuth::IdToken => CatalogTokens::IdToken(session),
            BackstageAuth::TokenCommand(argv) => {
                CatalogTokens::Command(TokenCommand::new(argv.clone()))
            }
            BackstageAuth::Iap {
                token_command,
                audience,
            } => {
                let (http, url, audience) = (self.http(profile)?, url.clone(), audience.clone());
                match token_command {
                    Some(argv) => {
                        let command = TokenCommand::new(argv.clone());
                        CatalogTokens::IapByCommand(IapTokens::new(http, url, command, audience))
                    }
                    None => CatalogTokens::Iap(IapTokens::new(http, url, session, audience)),
                }
            }
        })
    }

    /// The profile's catalog, asked as the session's person.
    pub(crate) fn catalog(
        &self,
        profile: &Profile,
        session: &Session,
    ) -> Result<CatalogClient<CatalogTokens>> {
        let bearer = self.catalog_tokens(profile, session)?;
        let mut conventions = Conventions {
            environments: Environments::new(&profile.catalog.environments),
            ..Conventions::default()
        };
        if let Some(annotations) = &profile.catalog.instance_annotations {
            conventions.instance_annotations.clone_from(annotations);
        }
        Ok(CatalogClient::new(
            self.http(profile)?,
            profile.backstage.url.clone(),
            bearer,
            conventions,
        ))
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
        instance: InstanceConnectionName,
        key: PendingKey,
        ip_type: IpType,
    ) -> Result<InstanceDialer> {
        let source = ConnectionInfoSource {
            instance: instance.into(),
            admin: self.sql_admin(profile)?,
            credentials,
            key,
            iam_login: true,
            clock: self.clock,
        };
        Ok(Dialer::new(
            source,
            ip_type,
            Self::endpoints(profile)?.instance_port,
        ))
    }

    /// The client program for PostgreSQL: the one that is named, else the first of the settings' that is there.
    pub(crate) fn client(&self, named: Option<&str>, database: &str) -> Result<Client> {
        let path = self.environment.path("PATH");
        let path = path.as_deref().map(std::path::Path::as_os_str);
        if let Some(program) = named {
            return Client::find(program, path, database);
        }
        let settings = Settings::read(&self.paths)?;
        let programs = settings.postgres_clients()?;
        let mut missing = None;
        for program in &programs {
            match Client::find(program, path, database) {
                Ok(client) => return Ok(client),
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        Err(missing.unwrap_or_else(|| {
            ErrorKind::Config.error("the key `clients.postgres` names no program")
        }))
    }

    /// This machine's audit log.
    pub(crate) fn audit(&self) -> AuditLog {
        AuditLog::new(&self.paths.state, self.clock)
    }
}
