//! The access tokens that Google has issued: opaque to everybody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::clock::Clock;

/// All of Google Cloud.
pub(in crate::sandbox) const CLOUD_PLATFORM: &str =
    "https://www.googleapis.com/auth/cloud-platform";
/// The SQL Admin API.
pub(in crate::sandbox) const SQL_ADMIN: &str = "https://www.googleapis.com/auth/sqlservice.admin";
/// Logging in to databases, and nothing else.
pub(in crate::sandbox) const SQL_LOGIN: &str = "https://www.googleapis.com/auth/sqlservice.login";
/// The IAM Credentials API.
pub(in crate::sandbox) const IAM: &str = "https://www.googleapis.com/auth/iam";
/// Saying whose the token is.
pub(in crate::sandbox) const USERINFO_EMAIL: &str =
    "https://www.googleapis.com/auth/userinfo.email";
/// What a token may be for. The last two are in every consent of an OAuth client.
pub(in crate::sandbox) const SCOPES: [&str; 6] = [
    CLOUD_PLATFORM,
    SQL_ADMIN,
    SQL_LOGIN,
    IAM,
    "openid",
    USERINFO_EMAIL,
];

/// Whose token it is, what for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Grant {
    /// The mail address of the person or service account.
    pub(in crate::sandbox) principal: String,
    /// The scopes.
    pub(in crate::sandbox) scopes: Vec<String>,
    /// The end.
    pub(in crate::sandbox) expires_at: Timestamp,
}

impl Grant {
    /// Whether it is for any of `scopes`.
    pub(in crate::sandbox) fn covers(&self, scopes: &[&str]) -> bool {
        self.scopes
            .iter()
            .any(|scope| scopes.contains(&scope.as_str()))
    }
}

/// Every token that is still valid. Clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Tokens(Arc<Mutex<HashMap<String, Grant>>>);

impl Tokens {
    /// A new token for `principal`.
    pub(in crate::sandbox) fn issue(
        &self,
        principal: &str,
        scopes: Vec<String>,
        life: SignedDuration,
    ) -> (String, Grant) {
        let now = Clock::system().now();
        let mut random = [0; 24];
        SystemRandom::new()
            .fill(&mut random)
            .expect("the system has randomness");
        let token = format!("sbx-secret-google-{}", URL_SAFE_NO_PAD.encode(random));
        let grant = Grant {
            principal: principal.to_owned(),
            scopes,
            expires_at: now + life,
        };
        let mut grants = self.lock();
        grants.retain(|_, grant| grant.expires_at > now);
        grants.insert(token.clone(), grant.clone());
        (token, grant)
    }

    /// What `token` grants, if it is one and not over.
    pub(in crate::sandbox) fn grant(&self, token: &str) -> Option<Grant> {
        let grant = self.lock().get(token)?.clone();
        (grant.expires_at > Clock::system().now()).then_some(grant)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Grant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_its_scopes_until_it_ends() {
        let tokens = Tokens::default();
        let scopes = vec![SQL_LOGIN.to_owned()];
        let life = SignedDuration::from_mins(5);
        let (token, grant) = tokens.issue("ada@acme.example", scopes.clone(), life);
        assert!(token.starts_with("sbx-secret-"));
        assert_eq!(tokens.grant(&token), Some(grant.clone()));
        assert!(grant.covers(&[CLOUD_PLATFORM, SQL_LOGIN]));
        assert!(!grant.covers(&[SQL_ADMIN]));
        let (over, _) = tokens.issue("ada@acme.example", scopes, SignedDuration::ZERO);
        assert_eq!(tokens.grant(&over), None);
        assert_eq!(tokens.grant("sbx-secret-google-"), None);
    }
}
