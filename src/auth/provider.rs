//! The provider's endpoints: what bsql asks them, and what their answers mean.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, DeviceAuthorizationUrl,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, ErrorResponse, ExtraTokenFields, HttpRequest,
    HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    StandardErrorResponse, StandardRevocableToken, StandardTokenResponse, TokenResponse as _,
    TokenUrl,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::id_token::{self, Claims, Expectations};
use super::jwks::KeySet;
use super::metadata::{CHECK_ISSUER, Metadata, not_a_provider};
use super::oauth_server::AuthorizationServer;
use super::refusal::Refusal;
use super::token::TokenSet;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::http::{Answer, HttpClient, require_secure};
use crate::secret::Secret;

/// How the provider is named in messages.
pub(super) const SERVICE: &str = "the identity provider";

/// bsql's registration at a provider, as a public client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// The client id.
    pub client_id: String,
    /// What a few providers, Google among them, issue to programs on people's machines under the name of a client secret.
    /// It is in every copy of the program's settings, so it is none, and it proves nothing.
    pub public_client_secret: Option<String>,
    /// More parameters for the authorization endpoint, by name. Those of the protocol itself are not to be among them.
    pub authorize_params: Vec<(String, String)>,
}

/// An OpenID provider, discovered, and bsql's registration there as a public client.
#[derive(Debug)]
pub struct IdentityProvider {
    pub(super) http: HttpClient,
    pub(super) oauth: Client,
    registration: Registration,
    metadata: Metadata,
    kind: Kind,
    clock: Clock,
}

/// What signing in yields, and who can tell what it is worth.
#[derive(Debug)]
enum Kind {
    /// An ID token, which its keys prove.
    OpenId(KeySet),
    /// An access token.
    OAuth(AuthorizationServer),
}

pub(super) type Client = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,      // authorization
    EndpointMaybeSet, // device authorization
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet, // token
>;

pub(super) type TokenAnswer = StandardTokenResponse<IdTokenField, BasicTokenType>;

/// What OpenID Connect adds to a token answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct IdTokenField {
    id_token: Option<Secret>,
}

impl ExtraTokenFields for IdTokenField {}

/// What a grant yields, before the ID token is checked.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) id_token: Option<Secret>,
    pub(super) access_token: Secret,
    pub(super) refresh_token: Option<Secret>,
    /// How long the access token lives, if the provider says.
    pub(super) expires_in: Option<Duration>,
}

impl IdentityProvider {
    /// Asks `issuer` for its description and keeps it.
    ///
    /// Fails with [`ErrorKind::Unavailable`] when it cannot be reached or is failing, and with [`ErrorKind::Config`] when
    /// what is there is no provider, another one, or an unsafe one. OpenID Connect Discovery 1.0 section 4.
    pub async fn discover(
        http: HttpClient,
        issuer: &str,
        registration: Registration,
        clock: Clock,
    ) -> Result<Self> {
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let url = Url::parse(&url).or_fail(ErrorKind::Config, || {
            format!("identity.issuer is not a URL: `{issuer}`")
        })?;
        require_secure(&url)?;
        let answer = http.send_idempotent(SERVICE, http.get(url)).await?;
        if answer.status.is_server_error() {
            return Err(failing(SERVICE, &answer));
        }
        if !answer.status.is_success() {
            return Err(ErrorKind::Config
                .error(not_a_provider(issuer))
                .because(anyhow::anyhow!("it answered {}", answer.status))
                .hint(CHECK_ISSUER));
        }
        let metadata = Metadata::read(answer.body(), issuer)?;
        tracing::debug!(issuer = metadata.issuer, "discovered the identity provider");
        let jwks_uri = metadata
            .jwks_uri
            .clone()
            .ok_or_else(|| ErrorKind::Config.error(not_a_provider(issuer)))?;
        let keys = KeySet::new(
            http.clone(),
            jwks_uri,
            metadata.id_token_algorithms.as_deref(),
            clock,
        );
        let kind = Kind::OpenId(keys);
        Ok(Self::new(http, registration, metadata, kind, clock))
    }

    /// Asks `server` who bsql is there.
    ///
    /// Fails with [`ErrorKind::Unavailable`] when it cannot be reached or is failing, and with [`ErrorKind::Config`] when
    /// it does not know.
    pub(super) async fn at(
        http: HttpClient,
        server: AuthorizationServer,
        clock: Clock,
    ) -> Result<Self> {
        let registration = Registration {
            client_id: server.client_id(&http).await?,
            ..Registration::default()
        };
        let metadata = Metadata::of(&server);
        let kind = Kind::OAuth(server);
        Ok(Self::new(http, registration, metadata, kind, clock))
    }

    fn new(
        http: HttpClient,
        registration: Registration,
        metadata: Metadata,
        kind: Kind,
        clock: Clock,
    ) -> Self {
        let mut oauth = oauth2::Client::new(ClientId::new(registration.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()))
            .set_device_authorization_url_option(
                metadata
                    .device_authorization_endpoint
                    .clone()
                    .map(DeviceAuthorizationUrl::from_url),
            );
        if let Some(secret) = &registration.public_client_secret {
            oauth = oauth.set_client_secret(ClientSecret::new(secret.clone()));
        }
        Self {
            http,
            oauth,
            registration,
            metadata,
            kind,
            clock,
        }
    }

    /// The server, if it is no OpenID provider.
    pub(super) fn oauth_server(&self) -> Option<&AuthorizationServer> {
        match &self.kind {
            Kind::OpenId(_) => None,
            Kind::OAuth(server) => Some(server),
        }
    }

    /// How it is named in messages.
    pub(super) fn name(&self) -> &'static str {
        self.oauth_server().map_or(SERVICE, |server| server.name)
    }

    /// What a no of the provider's means.
    pub(super) fn refused(&self, refusal: &Refusal) -> Error {
        match &self.kind {
            Kind::OpenId(_) => refusal.error(self.client_id(), &self.metadata.issuer),
            Kind::OAuth(server) => server.refused(refusal),
        }
    }

    /// What was granted. An access token that stands alone stands for the ID token as well.
    fn granted(&self, answer: TokenAnswer) -> Grant {
        let mut grant = Grant::from(answer);
        if self.oauth_server().is_some() {
            grant.id_token = Some(grant.access_token.clone());
        }
        grant
    }

    /// What the provider says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(super) fn client_id(&self) -> &str {
        &self.registration.client_id
    }

    pub(super) fn authorize_params(&self) -> &[(String, String)] {
        &self.registration.authorize_params
    }

    /// What goes into a form beside the client id, for providers that want it.
    pub(super) fn client_secret(&self) -> Option<(&'static str, &str)> {
        let secret = self.registration.public_client_secret.as_deref();
        secret.map(|secret| ("client_secret", secret))
    }

    /// Redeems an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    pub(super) async fn redeem(
        &self,
        code: &Secret,
        verifier: &Secret,
        redirect_uri: &Url,
    ) -> Result<Grant> {
        let asked = Asked::of(self);
        let client = asked.client();
        self.oauth
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
            .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(redirect_uri.clone())))
            .request_async(&client)
            .await
            .map(|answer| self.granted(answer))
            .map_err(|error| match asked.error(error) {
                // Not the end of a session, there was none yet.
                Failure::Refused(refusal) if refusal.code == "invalid_grant" => {
                    ErrorKind::SignedOut
                        .error("the sign-in is not valid any more")
                        .because(anyhow::anyhow!("{}", refusal.words()))
                        .hint("bsql login")
                }
                failure => self.failed(failure),
            })
    }

    /// Gets new tokens for a refresh token (RFC 6749 section 6): for `scopes` only, or for all that was granted when there
    /// are none.
    ///
    /// Fails with [`ErrorKind::SignedOut`] only when the provider says that the session is over. When this succeeds, the
    /// old refresh token may be dead: keep the new one before anything else.
    pub(super) async fn refresh(&self, refresh_token: &Secret, scopes: &[String]) -> Result<Grant> {
        let token = RefreshToken::new(refresh_token.expose().to_owned());
        let asked = Asked::of(self);
        let client = asked.client();
        self.oauth
            .exchange_refresh_token(&token)
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            .request_async(&client)
            .await
            .map(|answer| self.granted(answer))
            .map_err(|error| self.failed(asked.error(error)))
    }

    /// Checks the ID token of a grant. The tokens may be used only if this succeeds.
    pub(super) async fn accept(
        &self,
        grant: &Grant,
        expected: Expectations<'_>,
    ) -> Result<(TokenSet, Claims)> {
        let keys = match &self.kind {
            Kind::OpenId(keys) => keys,
            Kind::OAuth(server) => {
                let refresh_token = grant.refresh_token.as_ref();
                return server.accept(&grant.access_token, refresh_token, expected.subject);
            }
        };
        let Some(id_token) = &grant.id_token else {
            return Err(ErrorKind::Config
                .error("the identity provider gave no ID token")
                .hint("identity.scopes must contain \"openid\""));
        };
        let (claims, alg) = keys.verify(id_token.expose()).await?;
        let expected = Expectations {
            access_token: Some(&grant.access_token),
            ..expected
        };
        let claims = id_token::check(
            claims,
            alg,
            &self.metadata.issuer,
            self.client_id(),
            &expected,
            self.clock.now(),
        )?;
        let tokens = TokenSet {
            id_token: id_token.clone(),
            access_token: grant.access_token.clone(),
            refresh_token: grant.refresh_token.clone(),
            expires_at: self.earliest_end(grant, &claims),
        };
        Ok((tokens, claims))
    }

    /// In whole seconds, as it is stored.
    fn earliest_end(&self, grant: &Grant, claims: &Claims) -> Timestamp {
        let end = grant
            .expires_in
            .and_then(|life| SignedDuration::try_from(life).ok())
            .and_then(|life| self.clock.now().checked_add(life).ok())
            .map_or(claims.expires_at, |end| end.min(claims.expires_at));
        Timestamp::from_second(end.as_second()).unwrap_or(end)
    }

    /// Makes the provider forget a token (RFC 7009). A token that it does not know counts as forgotten.
    pub async fn revoke(&self, token: &Secret, hint: TokenHint) -> Result<()> {
        let Some(endpoint) = &self.metadata.revocation_endpoint else {
            return Err(ErrorKind::Config
                .error("the identity provider offers no way to revoke tokens")
                .hint("end the session on the provider's own pages if you must"));
        };
        let mut form = vec![
            ("token", token.expose()),
            ("token_type_hint", hint.name()),
            ("client_id", self.client_id()),
        ];
        form.extend(self.client_secret());
        let request = self.http.post(endpoint.clone()).form(&form);
        let answer = self.http.send_idempotent(self.name(), request).await?;
        self.expect_success(&answer)
    }

    /// Where the person can end the session at the provider, in a browser (OpenID Connect RP-Initiated Logout 1.0).
    ///
    /// Without `id_token_hint`: a URL is no place for a token. The provider asks the person instead.
    pub fn end_session_url(&self) -> Option<Url> {
        let mut url = self.metadata.end_session_endpoint.clone()?;
        url.query_pairs_mut()
            .append_pair("client_id", self.client_id());
        Some(url)
    }

    /// Turns an answer that is no success into what it means.
    pub(super) fn expect_success(&self, answer: &Answer) -> Result<()> {
        if answer.status.is_success() {
            return Ok(());
        }
        if let Some(error) = unavailable(self.name(), answer) {
            return Err(error);
        }
        Err(match answer.json::<StandardErrorResponse<AnyCode>>() {
            Ok(refusal) => self.failed(Failure::Refused(Refusal::from(&refusal))),
            Err(_) => self.failed(Failure::NotOAuth(answer.status.as_u16())),
        })
    }

    pub(super) fn failed(&self, failure: Failure) -> Error {
        match failure {
            Failure::Unheard(error) => error,
            Failure::Refused(refusal) => self.refused(&refusal),
            Failure::NotOAuth(status) => ErrorKind::Refused
                .error(format!("what {} answers is not what OAuth 2.0 says", self.name()))
                .because(anyhow::anyhow!("it answered with status {status}"))
                .hint("a proxy or sign-in page on the way may have answered instead: check HTTPS_PROXY and the VPN"),
        }
    }
}

impl From<TokenAnswer> for Grant {
    fn from(answer: TokenAnswer) -> Self {
        Self {
            id_token: answer.extra_fields().id_token.clone(),
            access_token: answer.access_token().secret().clone().into(),
            refresh_token: answer
                .refresh_token()
                .map(|token| token.secret().clone().into()),
            expires_in: answer.expires_in(),
        }
    }
}

/// Which token is revoked (RFC 7009 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenHint {
    /// A refresh token; the provider ends its access tokens as well.
    Refresh,
    /// An access token.
    Access,
}

impl TokenHint {
    fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh_token",
            Self::Access => "access_token",
        }
    }
}

/// Why there are no tokens.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not heard, or failing: nothing is known about the session.
    Unheard(Error),
    /// The provider said no.
    Refused(Refusal),
    /// Something else than OAuth answered, with this status.
    NotOAuth(u16),
}

/// One exchange of the `oauth2` crate over bsql's HTTP client.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    http: HttpClient,
    name: &'static str,
    /// Of the last answer: `oauth2` does not keep it.
    status: Arc<AtomicU16>,
}

impl Asked {
    pub(super) fn of(provider: &IdentityProvider) -> Self {
        Self {
            http: provider.http.clone(),
            name: provider.name(),
            status: Arc::default(),
        }
    }

    /// What `oauth2` takes for an HTTP client. It borrows nothing, so that the futures it makes can change threads.
    pub(super) fn client(
        &self,
    ) -> impl Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse>> + Send + Sync + use<>
    {
        let asked = self.clone();
        move |request| {
            let asked = asked.clone();
            Box::pin(async move { asked.send(request).await })
        }
    }

    /// Sends what `oauth2` made. Fails when the provider was not heard: only answers reach `oauth2`'s parser.
    ///
    /// Not repeated when the provider is failing: a code and a rotating refresh token can be used once.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string())
            .or_fail(ErrorKind::Internal, || "cannot ask the identity provider")?;
        let request = self.http.post(url).headers(head.headers).body(body);
        let answer = self.http.send(self.name, request).await?;
        if let Some(error) = unavailable(self.name, &answer) {
            return Err(error);
        }
        self.status.store(answer.status.as_u16(), Ordering::Relaxed);
        let mut response = HttpResponse::new(answer.body().to_vec());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }

    /// What became of it. The body is never part of the error: it may hold tokens.
    pub(super) fn error<T>(
        &self,
        error: RequestTokenError<Error, StandardErrorResponse<T>>,
    ) -> Failure
    where
        T: oauth2::ErrorResponseType + AsRef<str> + std::fmt::Display + 'static,
        StandardErrorResponse<T>: ErrorResponse,
    {
        match error {
            RequestTokenError::Request(error) => Failure::Unheard(error),
            RequestTokenError::ServerResponse(refusal) => Failure::Refused(Refusal::from(&refusal)),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                Failure::NotOAuth(self.status.load(Ordering::Relaxed))
            }
        }
    }
}

impl<T: oauth2::ErrorResponseType + AsRef<str>> From<&StandardErrorResponse<T>> for Refusal {
    fn from(refusal: &StandardErrorResponse<T>) -> Self {
        Self {
            code: refusal.error().as_ref().to_owned(),
            description: refusal.error_description().cloned(),
        }
    }
}

/// Any error code, as the provider wrote it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct AnyCode(String);

impl AsRef<str> for AnyCode {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl oauth2::ErrorResponseType for AnyCode {}

/// The error when this answer says nothing about the request: the provider is failing, or wants to be asked later.
fn unavailable(name: &str, answer: &Answer) -> Option<Error> {
    if answer.status.is_server_error() {
        return Some(failing(name, answer));
    }
    (answer.status.as_u16() == 429).then(|| {
        let error = ErrorKind::TryLater.error(format!("{name} is asked too often"));
        match answer.retry_after() {
            Some(seconds) => error.hint(format!("run it again in {seconds} s")),
            None => error,
        }
    })
}

fn failing(name: &str, answer: &Answer) -> Error {
    ErrorKind::Unavailable
        .error(format!("{name} is failing"))
        .because(anyhow::anyhow!("it answered {}", answer.status))
        .hint("wait a minute and run it again")
}
