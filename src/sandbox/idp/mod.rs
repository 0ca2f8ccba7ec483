//! Acme's identity provider: OpenID Connect with the authorization code flow (PKCE required) and the device flow.
//!
//! Written from the specifications, with nothing of `auth`, so that a mistake on one side shows on the other. There are no
//! passwords: on the sign-in page one picks who to be.
//!
//! Not implemented, because bsql does not ask for it: other response types and modes, request objects, pushed
//! authorization requests, `claims`, `acr_values`, single sign-on (every request asks again), and logout at the provider.

mod authorize;
mod device;
mod grants;
pub(in crate::sandbox) mod keys;
mod pages;
mod params;
mod provider;
mod sign_in;
mod token;

use std::sync::Arc;

use self::keys::SigningKey;
pub(super) use self::provider::{Provider, Settings};
use super::company::{CLIENT_ID, Person, person};
use crate::clock::Clock;

/// Checks ID tokens for the services that trust the provider: Google's Security Token Service and Backstage.
#[derive(Debug, Clone)]
pub(super) struct SubjectTokens {
    key: Arc<SigningKey>,
    issuer: String,
}

impl SubjectTokens {
    pub(super) fn new(key: Arc<SigningKey>, issuer: String) -> Self {
        Self { key, issuer }
    }

    /// Who an ID token speaks for, if it was made for bsql and is not over. Otherwise says what is wrong with it.
    pub(super) fn verify(&self, token: &str) -> Result<&'static Person, &'static str> {
        let claims = self
            .key
            .verify(token, &self.issuer, CLIENT_ID, Clock::system().now())?;
        claims["sub"]
            .as_str()
            .and_then(person)
            .ok_or("unknown subject")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_bsqls_own_tokens_of_acmes_people_count() {
        let key = Arc::new(SigningKey::generate());
        let tokens = SubjectTokens::new(Arc::clone(&key), "http://127.0.0.1:1".to_owned());
        let signed = |sub: &str, aud: &str| {
            let exp = Clock::system().now().as_second() + 60;
            key.sign(&json!({ "iss": "http://127.0.0.1:1", "sub": sub, "aud": aud, "exp": exp }))
        };
        let person = tokens.verify(&signed("ada@acme.example", "bsql")).unwrap();
        assert_eq!(person.id, "ada");
        assert_eq!(
            tokens
                .verify(&signed("ada@acme.example", "acme-portal"))
                .err(),
            Some("wrong audience")
        );
        assert_eq!(
            tokens.verify(&signed("eve@acme.example", "bsql")).err(),
            Some("unknown subject")
        );
    }
}
