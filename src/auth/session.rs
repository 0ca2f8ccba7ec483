//! One person's session: tokens that are always fresh, signing in, signing out.

mod narrowed;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use super::authorization::Wishes;
use super::beside::Beside;
use super::browser::BrowserSignIn;
use super::callback::Redirect;
use super::device::DeviceSignIn;
use super::flow::{Flow, Surroundings, choose};
use super::id_token::{Claims, Expectations};
use super::lock::SessionLock;
use super::oauth_server::AuthorizationServer;
use super::prompt::LoginPrompt;
use super::provider::{Grant, IdentityProvider, Registration, TokenHint};
use super::store::{StoreKey, TokenStore};
use super::token::TokenSet;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::http::HttpClient;
use crate::refresh::{Freshness, freshness};
use crate::secret::Secret;

/// Tokens are replaced this long before they end, so that they are still good when they arrive. Those that live for less
/// than four minutes are replaced in their last quarter.
const EARLY: SignedDuration = SignedDuration::from_secs(60);
/// How long to wait for another bsql that is refreshing: two requests at their time limits would be 60 s, but then
/// something is wrong and the person should be told.
const REFRESH_LOCK: Duration = Duration::from_secs(30);
/// How long to wait for another bsql that is signing somebody in: its default time limit and a bit.
const SIGN_IN_LOCK: Duration = Duration::from_secs(200);

/// Which provider, and as which client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityOptions {
    /// The provider's issuer URL. A slash at the end makes no difference.
    pub issuer: String,
    /// How bsql is registered there, as a public client.
    pub registration: Registration,
    /// What to ask for. `openid` is needed; `offline_access` mostly is, for a session that lasts.
    pub scopes: Vec<String>,
    /// Where the browser comes back to.
    pub redirect: Redirect,
}

/// How to sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignIn {
    /// The way.
    pub flow: Flow,
    /// What [`Flow::Auto`] judges by.
    pub surroundings: Surroundings,
    /// Give up after this. None: 3 minutes, or as long as the device code lives.
    pub timeout: Option<Duration>,
    /// Sign in even if another bsql has just done so.
    pub force: bool,
    /// Wait for the browser on these addresses only, the first free one. Loopback only.
    pub listen: Vec<SocketAddr>,
    /// `login`, `consent`, `select_account` or `none` (OpenID Connect Core section 3.1.2.1).
    pub prompt: Option<String>,
    /// Who will probably sign in.
    pub login_hint: Option<String>,
    /// Authentication context classes, separated by spaces; one of them is demanded.
    pub acr: Option<String>,
    /// The person must have proved who they are within so many seconds.
    pub max_age: Option<u64>,
}

/// What became of a session that was ended.
#[derive(Debug)]
pub struct SignedOut {
    /// Whether there was a session.
    pub was_signed_in: bool,
    /// Whether the provider has forgotten it as well. What it could not be told stays valid there.
    pub revoked: Result<()>,
    /// ID tokens cannot be revoked: this one ends by itself, then.
    pub id_token_valid_until: Option<Timestamp>,
    /// Where the person can end the provider's own session, in the browser.
    pub end_session_url: Option<Url>,
}

/// A person's session with a provider. Cloning shares it.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    http: HttpClient,
    options: IdentityOptions,
    /// Where the session is, if not at an OpenID provider.
    server: Option<AuthorizationServer>,
    key: StoreKey,
    store: Arc<dyn TokenStore>,
    lock_dir: PathBuf,
    clock: Clock,
    provider: OnceCell<IdentityProvider>,
    /// Within this process; the lock file is for the others.
    single: Mutex<()>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("key", &self.inner.key)
            .field("store", &self.store_name())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// The session that `store` keeps, if it keeps one. Nothing is read or asked yet.
    ///
    /// Lock files are made in `lock_dir`; every process that shares the store must use the same.
    pub fn new(
        http: HttpClient,
        options: IdentityOptions,
        store: Arc<dyn TokenStore>,
        lock_dir: PathBuf,
        clock: Clock,
    ) -> Self {
        Self::with(http, options, None, store, lock_dir, clock)
    }

    /// The session at a server that is no OpenID provider. The tokens' `id_token` is the access token, and
    /// [`Claims`] are what that says. Otherwise as [`new`](Self::new).
    pub fn at(
        http: HttpClient,
        server: AuthorizationServer,
        scopes: Vec<String>,
        store: Arc<dyn TokenStore>,
        lock_dir: PathBuf,
        clock: Clock,
    ) -> Self {
        let options = IdentityOptions {
            issuer: server.issuer.clone(),
            // The id itself is known only when the server was asked, and the document never changes.
            registration: Registration {
                client_id: server.client_document.to_string(),
                ..Registration::default()
            },
            scopes,
            redirect: Redirect::default(),
        };
        Self::with(http, options, Some(server), store, lock_dir, clock)
    }

    fn with(
        http: HttpClient,
        options: IdentityOptions,
        server: Option<AuthorizationServer>,
        store: Arc<dyn TokenStore>,
        lock_dir: PathBuf,
        clock: Clock,
    ) -> Self {
        let key = StoreKey::new(
            &options.issuer,
            &options.registration.client_id,
            &options.scopes,
        );
        Self {
            inner: Arc::new(Inner {
                http,
                options,
                server,
                key,
                store,
                lock_dir,
                clock,
                provider: OnceCell::new(),
                single: Mutex::new(()),
            }),
        }
    }

    /// Where the tokens are kept, for `whoami`.
    pub fn store_name(&self) -> String {
        self.inner.store.name(&self.inner.key)
    }

    /// Tokens that are good for at least a minute, or a quarter of their life if that is less; refreshed if need be.
    ///
    /// Fails with [`ErrorKind::SignedOut`] when there is no session or the provider says that it is over, and never for
    /// another reason: when the provider cannot be asked that is [`ErrorKind::Unavailable`], and nothing is forgotten.
    /// Cancel safe: a refresh that has begun is finished, because its answer may be the only copy of the next refresh
    /// token.
    pub async fn tokens(&self) -> Result<TokenSet> {
        if let Some(tokens) = self.load().await?
            && self.judge(&tokens) == Freshness::Fresh
        {
            return Ok(tokens);
        }
        let this = self.clone();
        // Ends by itself within the time limits of the lock and the HTTP client.
        tokio::spawn(async move { this.renew().await })
            .await
            .or_fail(ErrorKind::Internal, || "cannot refresh the session")?
    }

    /// An ID token, as [`tokens`](Self::tokens).
    pub async fn id_token(&self) -> Result<Secret> {
        Ok(self.tokens().await?.id_token)
    }

    /// Whether tokens are kept, fresh or not. Nothing is asked.
    pub async fn is_kept(&self) -> Result<bool> {
        Ok(self.load().await?.is_some())
    }

    /// What is kept beside the tokens, until somebody signs in or out.
    pub fn beside(&self) -> Beside {
        let (store, key) = self.store_and_key();
        Beside { store, key }
    }

    /// Who signed in last, from the stored ID token, which was checked when it came. It may be over: nothing is refreshed.
    pub async fn claims(&self) -> Result<Option<Claims>> {
        let tokens = self.load().await?;
        Ok(tokens.and_then(|tokens| Claims::of_checked_token(&tokens.id_token)))
    }

    /// The provider, discovered once.
    ///
    /// Fails as [`IdentityProvider::discover`] does.
    pub async fn provider(&self) -> Result<&IdentityProvider> {
        let inner = &self.inner;
        inner
            .provider
            .get_or_try_init(|| async {
                let http = inner.http.clone();
                if let Some(server) = &inner.server {
                    return IdentityProvider::at(http, server.clone(), inner.clock).await;
                }
                let IdentityOptions {
                    issuer,
                    registration,
                    ..
                } = &inner.options;
                let registration = registration.clone();
                IdentityProvider::discover(http, issuer, registration, inner.clock).await
            })
            .await
    }

    /// Signs somebody in, replacing whoever was.
    ///
    /// One bsql at a time: whoever waited for another one's sign-in uses what came of it, unless more was asked for. Fails
    /// with [`ErrorKind::TryLater`] when the other one does not finish.
    pub async fn sign_in(&self, how: &SignIn, prompt: &mut dyn LoginPrompt) -> Result<Claims> {
        let provider = self.provider().await?;
        let _single = self.inner.single.lock().await;
        let limit = how.timeout.unwrap_or_default().max(SIGN_IN_LOCK);
        let lock = self
            .lock(limit, || {
                prompt.note("another bsql is signing in; waiting for it to finish");
            })
            .await?;
        if lock.waited && how.is_plain() {
            // Whatever is wrong with what is stored, signing in replaces it.
            if let Ok(Some(tokens)) = self.load().await
                && self.judge(&tokens) == Freshness::Fresh
                && let Some(claims) = Claims::of_checked_token(&tokens.id_token)
            {
                prompt.note("the other bsql has signed in");
                return Ok(claims);
            }
        }
        let (store, key) = self.store_and_key();
        if let Some(warning) = blocking(move || store.begin(&key)).await? {
            prompt.warn(&warning);
        }
        let (flow, why) = choose(how.flow, &how.surroundings, provider.metadata());
        prompt.note(&why);
        let (tokens, claims) = match flow {
            Flow::Device => self.with_code(provider, how, prompt).await?,
            flow => {
                let paste = flow == Flow::Paste;
                self.with_browser(provider, how, paste, prompt).await?
            }
        };
        self.save(tokens).await?;
        // Whatever was got with the session before is not this one's.
        let beside = self.beside();
        if let Err(error) = blocking(move || beside.delete_all()).await {
            tracing::warn!(%error, "left something beside the session");
        }
        tracing::info!(expires_at = %claims.expires_at, %flow, "signed in");
        Ok(claims)
    }

    async fn with_browser(
        &self,
        provider: &IdentityProvider,
        how: &SignIn,
        paste: bool,
        prompt: &mut dyn LoginPrompt,
    ) -> Result<(TokenSet, Claims)> {
        let options = &self.inner.options;
        BrowserSignIn {
            provider,
            scopes: &options.scopes,
            redirect: &options.redirect,
            listen: &how.listen,
            wishes: how.wishes(),
            timeout: how.timeout,
            paste,
        }
        .run(prompt)
        .await
    }

    async fn with_code(
        &self,
        provider: &IdentityProvider,
        how: &SignIn,
        prompt: &mut dyn LoginPrompt,
    ) -> Result<(TokenSet, Claims)> {
        let device = DeviceSignIn {
            provider,
            scopes: &self.inner.options.scopes,
            wishes: how.wishes(),
            timeout: how.timeout,
        };
        let outcome = device.run(prompt, tokio::time::sleep).await;
        match outcome {
            // A provider may have the device flow, and not for this client or these scopes.
            Err(error)
                if error.kind() == ErrorKind::Config
                    && how.flow == Flow::Auto
                    && how.surroundings.has_terminal =>
            {
                prompt.note(&format!(
                    "{error}; signing in with a browser elsewhere instead"
                ));
                self.with_browser(provider, how, true, prompt).await
            }
            outcome => outcome,
        }
    }

    /// Ends the session: tells the provider (RFC 7009), then forgets the tokens, whatever the provider says.
    ///
    /// Fails when they cannot be forgotten.
    pub async fn sign_out(&self) -> Result<SignedOut> {
        let _single = self.inner.single.lock().await;
        let _lock = self.lock(REFRESH_LOCK, || {}).await?;
        let stored = self.load().await;
        let unreadable = stored.as_ref().err().map(Error::to_string);
        let stored = stored.ok().flatten();
        let revoked = match (&stored, unreadable) {
            (Some(tokens), _) => self.revoke(tokens).await,
            (None, Some(why)) => Err(ErrorKind::Config
                .error("cannot revoke a session that cannot be read")
                .because(anyhow::anyhow!(why))),
            (None, None) => Ok(()),
        };
        let (store, key) = self.store_and_key();
        blocking(move || store.delete(&key)).await?;
        tracing::info!(revoked = revoked.is_ok(), "signed out");
        let now = self.inner.clock.now();
        Ok(SignedOut {
            was_signed_in: stored.is_some(),
            revoked,
            id_token_valid_until: stored
                .and_then(|tokens| Claims::of_checked_token(&tokens.id_token))
                .map(|claims| claims.expires_at)
                .filter(|end| *end > now),
            // Known only if the provider could be asked.
            end_session_url: self
                .inner
                .provider
                .get()
                .and_then(IdentityProvider::end_session_url),
        })
    }

    async fn revoke(&self, tokens: &TokenSet) -> Result<()> {
        let provider = self.provider().await?;
        match &tokens.refresh_token {
            Some(token) => provider.revoke(token, TokenHint::Refresh).await,
            None => {
                provider
                    .revoke(&tokens.access_token, TokenHint::Access)
                    .await
            }
        }
    }

    /// Refreshes, one bsql at a time.
    async fn renew(&self) -> Result<TokenSet> {
        let _single = self.inner.single.lock().await;
        let lock = self.lock(REFRESH_LOCK, || {}).await;
        // Whoever held the lock has probably done the work.
        let Some(tokens) = self.load().await? else {
            return Err(self.nobody());
        };
        let freshness = self.judge(&tokens);
        if freshness == Freshness::Fresh {
            return Ok(tokens);
        }
        let renewed = match lock {
            Ok(_lock) => self.refresh(tokens.clone()).await,
            Err(error) => Err(error),
        };
        match renewed {
            Err(error) if freshness == Freshness::Stale && error.kind() != ErrorKind::SignedOut => {
                tracing::warn!(%error, "kept the old tokens, which are still valid");
                Ok(tokens)
            }
            renewed => renewed,
        }
    }

    /// Must be called with the lock.
    async fn refresh(&self, mut tokens: TokenSet) -> Result<TokenSet> {
        let provider = self.provider().await?;
        let mut read_again = false;
        loop {
            let Some(refresh_token) = tokens.refresh_token.clone() else {
                return match self.judge(&tokens) {
                    Freshness::Expired => Err(ErrorKind::SignedOut.error(format!(
                        "signed out: the session ended at {}",
                        tokens.expires_at
                    ))),
                    _ => Ok(tokens),
                };
            };
            match provider.refresh(&refresh_token, &[]).await {
                Ok(grant) => return self.adopt(provider, tokens, grant).await,
                Err(error) if error.kind() == ErrorKind::SignedOut => {
                    // A bsql that does not see the lock, on another machine with the same home, may have been faster.
                    let stored = self.load().await?;
                    if let Some(newer) = stored
                        && !read_again
                        && newer.refresh_token.is_some()
                        && newer.refresh_token != tokens.refresh_token
                    {
                        if self.judge(&newer) == Freshness::Fresh {
                            return Ok(newer);
                        }
                        tokens = newer;
                        read_again = true;
                        continue;
                    }
                    tracing::info!("forgot a refresh token that the provider refuses");
                    tokens.refresh_token = None;
                    self.save(tokens).await?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn nobody(&self) -> Error {
        ErrorKind::SignedOut.error(format!(
            "nobody is signed in to `{}`",
            self.inner.options.issuer
        ))
    }

    /// Keeps what a refresh yielded. Must be called with the lock.
    async fn adopt(
        &self,
        provider: &IdentityProvider,
        mut old: TokenSet,
        mut grant: Grant,
    ) -> Result<TokenSet> {
        if grant.refresh_token.is_some() && grant.refresh_token != old.refresh_token {
            // First of all: the old one is dead, and checking the ID token may fail for want of the provider's keys.
            old.refresh_token.clone_from(&grant.refresh_token);
            self.save(old.clone()).await?;
        }
        grant.refresh_token.clone_from(&old.refresh_token);
        if grant.id_token.is_none() {
            // Allowed by OpenID Connect Core section 12.2, but then only a sign-in gets an ID token.
            return match self.judge(&old) {
                Freshness::Expired => Err(ErrorKind::SignedOut.error(
                    "signed out: the identity provider gives a new ID token only for a new sign-in",
                )),
                _ => Ok(old),
            };
        }
        let before = Claims::of_checked_token(&old.id_token);
        let expected = Expectations {
            subject: before.as_ref().map(|claims| claims.subject.as_str()),
            ..Expectations::default()
        };
        let (tokens, claims) = provider.accept(&grant, expected).await?;
        self.save(tokens.clone()).await?;
        tracing::info!(expires_at = %claims.expires_at, "refreshed the session");
        Ok(tokens)
    }

    fn judge(&self, tokens: &TokenSet) -> Freshness {
        let life = Claims::of_checked_token(&tokens.id_token)
            .map(|claims| tokens.expires_at.duration_since(claims.issued_at))
            .filter(SignedDuration::is_positive);
        // Keycloak's tokens live for a minute unless somebody changed that. They are not old from the start.
        let early = life.map_or(EARLY, |life| EARLY.min(life / 4));
        freshness(self.inner.clock.now(), tokens.expires_at, early)
    }

    async fn lock(&self, limit: Duration, on_wait: impl FnMut() + Send) -> Result<SessionLock> {
        let name = self.inner.key.file_name();
        SessionLock::acquire(&self.inner.lock_dir, &name, limit, on_wait).await
    }

    fn store_and_key(&self) -> (Arc<dyn TokenStore>, StoreKey) {
        (Arc::clone(&self.inner.store), self.inner.key.clone())
    }

    async fn load(&self) -> Result<Option<TokenSet>> {
        let (store, key) = self.store_and_key();
        blocking(move || store.load(&key)).await
    }

    async fn save(&self, tokens: TokenSet) -> Result<()> {
        let (store, key) = self.store_and_key();
        blocking(move || store.save(&key, &tokens)).await
    }
}

impl SignIn {
    fn wishes(&self) -> Wishes<'_> {
        Wishes {
            prompt: self.prompt.as_deref(),
            login_hint: self.login_hint.as_deref(),
            acr: self.acr.as_deref(),
            max_age: self.max_age,
        }
    }

    /// Any sign-in will do.
    fn is_plain(&self) -> bool {
        let Wishes {
            prompt,
            login_hint,
            acr,
            max_age,
        } = self.wishes();
        !self.force
            && prompt.is_none()
            && login_hint.is_none()
            && acr.is_none()
            && max_age.is_none()
    }
}

/// Stores write to disk and wait until it is there; a keyring may even ask the person.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .or_fail(ErrorKind::Internal, || "cannot use the token store")?
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use serde_json::json;

    use super::super::file_store::FileStore;
    use super::super::test_provider::{CLIENT_ID, Person, TestProvider, http};
    use super::*;

    /// A provider, a directory for locks and tokens, and a store.
    struct World {
        server: TestProvider,
        directory: tempfile::TempDir,
        store: Arc<dyn TokenStore>,
    }

    impl World {
        async fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = FileStore::new(directory.path().join("tokens"));
            Self {
                server: TestProvider::start().await,
                store: Arc::new(store),
                directory,
            }
        }

        /// A session of its own, as in another process, whose clock is `ahead` seconds.
        fn session(&self, ahead: i64) -> Session {
            let options = IdentityOptions {
                issuer: self.server.issuer.clone(),
                registration: Registration {
                    client_id: CLIENT_ID.to_owned(),
                    public_client_secret: Some("in every copy".to_owned()),
                    ..Registration::default()
                },
                scopes: vec!["openid".to_owned()],
                redirect: Redirect::default(),
            };
            Session::new(
                http(),
                options,
                Arc::clone(&self.store),
                self.directory.path().join("locks"),
                Clock::ahead_by(SignedDuration::from_secs(ahead)),
            )
        }

        async fn sign_in(&self) -> Session {
            let session = self.session(0);
            let mut person = Person::default();
            session.sign_in(&browser(), &mut person).await.unwrap();
            session
        }

        fn stored(&self) -> TokenSet {
            self.store
                .load(&self.session(0).inner.key)
                .unwrap()
                .unwrap()
        }

        fn stored_refresh_token(&self) -> Option<String> {
            let token = self.stored().refresh_token;
            token.map(|token| token.expose().to_owned())
        }

        fn refreshes(&self) -> usize {
            let state = self.server.state();
            let is_refresh = |form: &std::collections::HashMap<String, String>| {
                form.get("grant_type")
                    .is_some_and(|grant| grant == "refresh_token")
            };
            state
                .requests
                .iter()
                .filter(|(_, form)| is_refresh(form))
                .count()
        }
    }

    fn browser() -> SignIn {
        SignIn {
            flow: Flow::Browser,
            timeout: Some(Duration::from_secs(20)),
            ..SignIn::default()
        }
    }

    /// Tokens live for an hour. At this many seconds they are about to end, and then they have.
    const STALE: i64 = 3_570;
    const EXPIRED: i64 = 3_610;

    #[tokio::test]
    async fn nobody_is_signed_in_at_first() {
        let world = World::new().await;
        let error = world.session(0).tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
        assert_eq!(
            error.to_string(),
            format!("nobody is signed in to `{}`", world.server.issuer)
        );
        assert_eq!(world.server.count("/.well-known/openid-configuration"), 0);
        assert_eq!(world.session(0).claims().await.unwrap(), None);
    }

    #[tokio::test]
    async fn fresh_tokens_need_no_provider() {
        let world = World::new().await;
        let session = world.sign_in().await;
        let before = world.server.state().requests.len();
        let tokens = world.session(3_500).tokens().await.unwrap();
        assert_eq!(tokens, world.stored());
        assert_eq!(session.claims().await.unwrap().unwrap().subject, "1");
        assert_eq!(session.id_token().await.unwrap(), tokens.id_token);
        assert_eq!(world.server.state().requests.len(), before);
    }

    #[tokio::test]
    async fn tokens_that_live_for_a_minute_are_not_old_from_the_start() {
        let world = World::new().await;
        world.server.state().claims = |claims| {
            claims["exp"] = json!(claims["iat"].as_i64().unwrap() + 60);
        };
        world.sign_in().await;
        let asked = world.server.count("/token");
        world.session(0).tokens().await.unwrap();
        assert_eq!(world.server.count("/token"), asked);
        world.session(50).tokens().await.unwrap();
        assert_eq!(world.server.count("/token"), asked + 1);
    }

    /// The provider has no part in what time the sessions think it is: from now on its tokens end late enough for those
    /// that are ahead.
    fn lasting(world: &World) {
        world.server.state().claims = |claims| {
            claims["exp"] = json!(claims["exp"].as_i64().unwrap() + 7_200);
        };
    }

    #[tokio::test]
    async fn eight_sessions_refresh_once() {
        let world = World::new().await;
        world.sign_in().await;
        lasting(&world);
        let sessions: Vec<Session> = (0..8).map(|_| world.session(EXPIRED)).collect();
        let tokens = join_all(sessions.iter().map(Session::tokens)).await;
        for tokens in tokens {
            assert_eq!(tokens.unwrap(), world.stored());
        }
        assert_eq!(world.refreshes(), 1);
        let good = world.server.state().refresh_token.clone();
        assert!(good.is_some());
        assert_eq!(world.stored_refresh_token(), good);
    }

    #[tokio::test]
    async fn eight_callers_of_one_session_refresh_once() {
        let world = World::new().await;
        world.sign_in().await;
        lasting(&world);
        let session = world.session(STALE);
        for tokens in join_all((0..8).map(|_| session.tokens())).await {
            assert_eq!(tokens.unwrap(), world.stored());
        }
        assert_eq!(world.refreshes(), 1);
    }

    #[tokio::test]
    async fn a_refusal_signs_out_and_is_not_asked_for_twice() {
        let world = World::new().await;
        world.sign_in().await;
        world.server.state().refresh_token = None;
        let session = world.session(EXPIRED);
        let error = session.tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
        assert_eq!(error.to_string(), "signed out: session \u{fffd}[31mrevoked");
        assert_eq!(world.stored_refresh_token(), None);
        let claims = session.claims().await.unwrap().unwrap();
        assert_eq!(claims.subject, "1", "who it was is still known");

        let error = session.tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
        assert!(
            error
                .to_string()
                .starts_with("signed out: the session ended at ")
        );
        assert_eq!(world.refreshes(), 1);
    }

    #[tokio::test]
    async fn an_outage_keeps_everything() {
        let world = World::new().await;
        world.sign_in().await;
        lasting(&world);
        let before = world.stored();
        world
            .server
            .state()
            .token_answers
            .extend([(503, ""), (503, "")]);
        let tokens = world.session(STALE).tokens().await.unwrap();
        assert_eq!(tokens, before, "stale, but still valid");
        let error = world.session(EXPIRED).tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(world.stored(), before);
        assert_ne!(world.session(EXPIRED).tokens().await.unwrap(), before);
    }

    #[tokio::test]
    async fn the_next_refresh_token_is_kept_before_anything_else() {
        let world = World::new().await;
        world.sign_in().await;
        lasting(&world);
        let before = world.stored_refresh_token();
        world.server.state().jwks_answers.push_back(404);
        let error = world.session(EXPIRED).tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_ne!(world.stored_refresh_token(), before);
        world.session(EXPIRED).tokens().await.unwrap();
        assert_eq!(world.refreshes(), 2);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_lose_the_refresh_token() {
        let world = World::new().await;
        world.sign_in().await;
        lasting(&world);
        let before = world.stored_refresh_token();
        let session = world.session(EXPIRED);
        let caller = tokio::spawn(async move { session.tokens().await });
        while world.refreshes() == 0 {
            tokio::task::yield_now().await;
        }
        caller.abort();
        let kept = async {
            while world.stored_refresh_token() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), kept)
            .await
            .expect("the refresh goes on without its caller");
        assert_eq!(
            world.stored_refresh_token(),
            world.server.state().refresh_token.clone()
        );
    }

    #[tokio::test]
    async fn a_refresh_token_that_stays_good_is_kept() {
        let world = World::new().await;
        world.sign_in().await;
        lasting(&world);
        world.server.state().rotates = false;
        let before = world.stored_refresh_token();
        world.session(EXPIRED).tokens().await.unwrap();
        assert!(before.is_some());
        assert_eq!(world.stored_refresh_token(), before);
    }

    #[tokio::test]
    async fn whoever_was_faster_without_the_lock_is_believed() {
        let world = World::new().await;
        world.sign_in().await;
        lasting(&world);
        let session = world.session(EXPIRED);
        let old = world.stored();
        let newer = session.tokens().await.unwrap();
        assert_eq!(session.refresh(old).await.unwrap(), newer);
        assert_eq!(world.stored(), newer);
    }

    #[tokio::test]
    async fn the_tokens_of_somebody_else_are_refused() {
        let world = World::new().await;
        world.sign_in().await;
        world.server.state().claims = |claims| claims["sub"] = json!("2");
        let id_token = world.stored().id_token;
        let error = world.session(EXPIRED).tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(world.stored().id_token, id_token);
    }

    #[tokio::test]
    async fn two_sign_ins_open_one_browser() {
        let world = World::new().await;
        let sessions = [world.session(0), world.session(0)];
        let mut people = [Person::default(), Person::default()];
        let [ada, bruno] = &mut people;
        let how = browser();
        let (one, other) = tokio::join!(
            sessions[0].sign_in(&how, ada),
            sessions[1].sign_in(&how, bruno)
        );
        assert_eq!(one.unwrap(), other.unwrap());
        let opened: usize = people.iter().map(|person| person.visited.len()).sum();
        assert_eq!(opened, 1);
        let told = |note: &String| note.contains("another bsql is signing in");
        assert!(people.iter().any(|person| person.notes.iter().any(told)));
    }

    #[tokio::test]
    async fn a_forced_sign_in_opens_its_own() {
        let world = World::new().await;
        let sessions = [world.session(0), world.session(0)];
        let mut people = [Person::default(), Person::default()];
        let [ada, bruno] = &mut people;
        let how = SignIn {
            force: true,
            ..browser()
        };
        let (one, other) = tokio::join!(
            sessions[0].sign_in(&how, ada),
            sessions[1].sign_in(&how, bruno)
        );
        one.unwrap();
        other.unwrap();
        assert_eq!(world.server.count("/authorize"), 2);
    }

    #[tokio::test]
    async fn where_the_device_flow_is_not_for_bsql_the_person_pastes() {
        let world = World::new().await;
        let refused = (400, r#"{"error":"unauthorized_client"}"#);
        world.server.state().device_answers.push_back(refused);
        let mut person = Person {
            pastes: Some("nonsense"),
            ..Person::default()
        };
        let how = SignIn {
            surroundings: Surroundings {
                has_terminal: true,
                ..Surroundings::default()
            },
            ..SignIn::default()
        };
        let session = world.session(0);
        let claims = session.sign_in(&how, &mut person).await.unwrap();
        assert_eq!(claims.subject, "1");
        assert!(person.notes[0].contains("no display"), "{:?}", person.notes);
    }

    #[tokio::test]
    async fn signing_out_revokes_and_forgets() {
        let world = World::new().await;
        let session = world.sign_in().await;
        let out = session.sign_out().await.unwrap();
        assert!(out.was_signed_in);
        out.revoked.unwrap();
        let form = world.server.last_form("/revoke");
        assert_eq!(form["token"], "refresh-2");
        assert_eq!(form["token_type_hint"], "refresh_token");
        assert_eq!(form["client_id"], CLIENT_ID);
        assert!(out.id_token_valid_until.is_some());
        let url = out.end_session_url.unwrap();
        assert_eq!(url.query(), Some("client_id=bsql"), "no token in a URL");

        let again = session.sign_out().await.unwrap();
        assert!(!again.was_signed_in);
        again.revoked.unwrap();
        assert_eq!(world.server.count("/revoke"), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_revoked_is_forgotten_all_the_same() {
        let mut world = World::new().await;
        world.sign_in().await;
        // Another provider at another address: the old one is gone.
        let session = world.session(0);
        world.server = TestProvider::start().await;
        let out = session.sign_out().await.unwrap();
        assert!(out.was_signed_in);
        assert_eq!(out.revoked.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(session.claims().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_damaged_session_can_be_replaced_and_signed_out_of() {
        let world = World::new().await;
        let session = world.sign_in().await;
        let file = world
            .directory
            .path()
            .join("tokens")
            .join(session.inner.key.file_name());
        std::fs::write(&file, "{").unwrap();
        let error = session.tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
        assert!(error.to_string().contains("damaged"));

        world.sign_in().await;
        session.tokens().await.unwrap();

        std::fs::write(&file, "{").unwrap();
        let out = session.sign_out().await.unwrap();
        assert!(out.revoked.is_err());
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_token_for_less_leaves_the_session_as_it_is() {
        let world = World::new().await;
        let session = world.sign_in().await;
        let before = world.stored();
        let (token, ends) = session.access_token_for(&["a", "b"]).await.unwrap();
        let after = world.stored();
        assert_ne!(token, before.access_token);
        assert_eq!(after.access_token, before.access_token);
        assert_eq!(after.id_token, before.id_token);
        assert_ne!(after.refresh_token, before.refresh_token, "it is rotated");
        assert!(ends > Clock::system().now());
        let form = world.server.last_form("/token");
        assert_eq!(form["scope"], "a b");
        assert_eq!(form["client_secret"], "in every copy");
        // The rotated one is good.
        session.access_token_for(&["a"]).await.unwrap();
        session.sign_out().await.unwrap();
        let error = session.access_token_for(&["a"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
    }

    #[test]
    fn futures_can_change_threads_and_debug_says_nothing() {
        fn is_send<T: Send>(value: T) -> T {
            value
        }
        let store = Arc::new(super::super::store::MemoryStore::default());
        let options = IdentityOptions {
            issuer: "https://op".to_owned(),
            registration: Registration::default(),
            scopes: Vec::new(),
            redirect: Redirect::default(),
        };
        let session = Session::new(http(), options, store, PathBuf::new(), Clock::system());
        let (how, mut person) = (SignIn::default(), Person::default());
        drop(is_send(session.sign_in(&how, &mut person)));
        drop(is_send(session.tokens()));
        drop(is_send(session.sign_out()));
        assert!(format!("{session:?}").contains("memory"));
    }
}
