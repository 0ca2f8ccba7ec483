//! The catalog, and who one is there.

use tokio::sync::OnceCell;

use crate::auth::{AuthorizationServer, Session};
use crate::catalog::{
    BearerSource, CatalogClient, Conventions, Directory, Environments, Freshness, IapTokens,
    Keeping, OAUTH_SCOPES, OAuthEndpoints, Owner, TokenCommand,
};
use crate::config::{BackstageAuth, CatalogSettings, Profile};
use crate::error::{ErrorKind, Result};
use crate::http::HttpClient;
use crate::secret::Secret;

use super::App;
use super::google::SessionTokens;

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

fn conventions(settings: &CatalogSettings) -> Conventions {
    let mut environments = Environments::new(&settings.environments);
    if let Some(keys) = &settings.environment_keys {
        environments = environments.read_from(keys);
    }
    let usual = Conventions::default();
    let or = |set: &Option<Vec<String>>, usual: Vec<String>| set.clone().unwrap_or(usual);
    Conventions {
        instance_annotations: or(&settings.instance_annotations, usual.instance_annotations),
        database_types: or(&settings.database_types, usual.database_types),
        environments,
        importer_suffix: (settings.importer_suffix.clone()).unwrap_or(usual.importer_suffix),
        include_parent_groups: settings.include_parent_groups,
    }
}

impl App {
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

    /// How the profile's company writes databases into its catalog.
    pub(crate) fn conventions(profile: &Profile) -> Conventions {
        conventions(&profile.catalog)
    }

    /// The profile's catalog, asked as the session's person, with what is kept of it.
    pub(crate) fn directory(
        &self,
        profile: &Profile,
        session: &Session,
        freshness: Freshness,
    ) -> Result<Directory<CatalogTokens>> {
        let client = self.catalog(profile, session)?;
        let session = session.clone();
        let keeping = Keeping {
            cache: self.paths.cache.clone(),
            owner: Owner {
                profile: profile.name.to_string(),
                backstage: profile.backstage.url.to_string(),
                issuer: profile.identity.issuer.to_string(),
                subject: String::new(),
            },
            subject: Box::new(move || {
                let session = session.clone();
                Box::pin(async move { Ok(session.claims().await?.map(|claims| claims.subject)) })
            }),
            ttl: profile.catalog.cache_ttl,
            clock: self.clock,
        };
        Ok(Directory::new(client, keeping, freshness))
    }

    /// The profile's catalog, asked as the session's person.
    pub(crate) fn catalog(
        &self,
        profile: &Profile,
        session: &Session,
    ) -> Result<CatalogClient<CatalogTokens>> {
        let bearer = self.catalog_tokens(profile, session)?;
        Ok(CatalogClient::new(
            self.http(profile)?,
            profile.backstage.url.clone(),
            bearer,
            Self::conventions(profile),
        ))
    }
}
