//! One token per scope, kept while it lasts.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::credentials::{AccessToken, Scope};
use crate::clock::Clock;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::http::Answer;
use crate::refresh::{RefreshCache, Source};
use crate::secret::Secret;

/// What Google's tokens live for when the answer does not say.
const USUAL_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// No token of Google's lives longer, whatever an answer says.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(12);

/// Makes new tokens.
pub(super) trait Issuer: Send + Sync + 'static {
    /// A new token for `scope`.
    fn issue(&self, scope: Scope) -> impl Future<Output = Result<AccessToken>> + Send;
}

/// The newest token of an [`Issuer`] for each scope.
#[derive(Debug)]
pub(super) struct PerScope<I: Issuer> {
    issuer: Arc<I>,
    admin: RefreshCache<Issuing<I>>,
    login: RefreshCache<Issuing<I>>,
    impersonation: RefreshCache<Issuing<I>>,
}

impl<I: Issuer> PerScope<I> {
    /// Nothing is issued yet.
    pub(super) fn new(issuer: I, clock: Clock) -> Self {
        let issuer = Arc::new(issuer);
        let cache = |scope| {
            let issuer = Arc::clone(&issuer);
            RefreshCache::new(Issuing { issuer, scope }, clock)
        };
        Self {
            admin: cache(Scope::Admin),
            login: cache(Scope::Login),
            impersonation: cache(Scope::Impersonation),
            issuer,
        }
    }

    /// Where the tokens come from.
    pub(super) fn issuer(&self) -> &I {
        &self.issuer
    }

    /// A token for `scope` that is valid now.
    pub(super) async fn get(&self, scope: Scope) -> Result<AccessToken> {
        match scope {
            Scope::Admin => self.admin.get().await,
            Scope::Login => self.login.get().await,
            Scope::Impersonation => self.impersonation.get().await,
        }
    }
}

/// One scope's tokens.
#[derive(Debug)]
struct Issuing<I> {
    issuer: Arc<I>,
    scope: Scope,
}

impl<I: Issuer> Source for Issuing<I> {
    type Value = AccessToken;
    /// A client certificate lives no longer than the login token in it, so a token about to end would mean another
    /// certificate soon.
    const EARLY: SignedDuration = SignedDuration::from_mins(10);

    async fn fetch(&self) -> Result<AccessToken> {
        self.issuer.issue(self.scope).await
    }

    fn expires_at(value: &AccessToken) -> Timestamp {
        value.expires_at
    }
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    /// See [`seconds`].
    #[serde(default)]
    expires_in: Value,
}

/// A number of seconds, or one in quotes: Google has sent both.
pub(super) fn seconds(value: &Value) -> Option<SignedDuration> {
    let seconds = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    seconds.map(SignedDuration::from_secs)
}

/// Reads the token in an answer of `service` to a request that was sent at `asked_at`.
pub(super) fn granted(service: &str, answer: &Answer, asked_at: Timestamp) -> Result<AccessToken> {
    let granted: Granted = answer.json().or_fail(ErrorKind::Unavailable, || {
        format!("cannot read the answer of {service}")
    })?;
    let life = seconds(&granted.expires_in).unwrap_or(USUAL_LIFE);
    Ok(AccessToken {
        secret: granted.access_token,
        // From before the request, so that the token ends here rather a little early.
        expires_at: asked_at + life.clamp(SignedDuration::ZERO, LONGEST_LIFE),
    })
}
