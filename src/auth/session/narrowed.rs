//! Access tokens for less than a session is for.

use jiff::{SignedDuration, Timestamp};

use super::{REFRESH_LOCK, Session};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::secret::Secret;

/// What an access token lives for at least when the provider does not say.
const SURE_LIFE: SignedDuration = SignedDuration::from_mins(5);
/// No access token is believed to live longer.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24);

impl Session {
    /// A new access token for `scopes`, which are less than the session is for, and when it ends (RFC 6749 section 6).
    ///
    /// Fails as [`tokens`](Self::tokens) does, and with [`ErrorKind::Config`] when the session is not for them. Cancel safe
    /// as that is.
    pub async fn access_token_for(&self, scopes: &[&str]) -> Result<(Secret, Timestamp)> {
        let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let this = self.clone();
        tokio::spawn(async move { this.narrowed(&scopes).await })
            .await
            .or_fail(ErrorKind::Internal, || "cannot refresh the session")?
    }

    /// Refreshes for less, one bsql at a time. The session's own tokens stay, but for the refresh token.
    async fn narrowed(&self, scopes: &[String]) -> Result<(Secret, Timestamp)> {
        let provider = self.provider().await?;
        let _single = self.inner.single.lock().await;
        let _lock = self.lock(REFRESH_LOCK, || {}).await?;
        let mut tokens = self.load().await?.ok_or_else(|| self.nobody())?;
        let mut read_again = false;
        loop {
            let Some(refresh_token) = tokens.refresh_token.clone() else {
                return Err(ErrorKind::SignedOut
                    .error("the session has no refresh token, so there is no token for less"));
            };
            let asked_at = self.inner.clock.now();
            match provider.refresh(&refresh_token, scopes).await {
                Ok(grant) => {
                    if grant.refresh_token.is_some() && grant.refresh_token != tokens.refresh_token
                    {
                        tokens.refresh_token = grant.refresh_token;
                        self.save(tokens).await?;
                    }
                    let life = grant
                        .expires_in
                        .and_then(|life| SignedDuration::try_from(life).ok())
                        .unwrap_or(SURE_LIFE);
                    let ends = asked_at + life.min(LONGEST_LIFE);
                    return Ok((grant.access_token, ends));
                }
                Err(error) if error.kind() == ErrorKind::SignedOut && !read_again => {
                    // As in `refresh`: somebody who does not see the lock may have been faster.
                    let stored = self.load().await?;
                    match stored.filter(|newer| newer.refresh_token != tokens.refresh_token) {
                        Some(newer) => tokens = newer,
                        None => return Err(error),
                    }
                    read_again = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
