//! The random values that tie an answer to the request it belongs to, all made in one place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// What one authorization request proves itself with. Used once.
#[derive(Debug)]
pub(super) struct Proof {
    /// The code verifier of PKCE (RFC 7636 section 4.1): whoever redeems the code must have sent the request.
    pub(super) verifier: Secret,
    /// Ties the redirect to the request (RFC 6749 section 10.12).
    pub(super) state: Secret,
    /// Ties the ID token to the request (OpenID Connect Core section 3.1.2.1).
    pub(super) nonce: Secret,
}

impl Proof {
    /// Fresh values.
    pub(super) fn generate() -> Result<Self> {
        Ok(Self {
            verifier: random()?,
            state: random()?,
            nonce: random()?,
        })
    }
}

/// 256 random bits as 43 characters that need no escaping in a URL.
pub(super) fn random() -> Result<Secret> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ErrorKind::Internal.error("the system has no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

/// Compares without telling by its timing how much of `given` was right: the digests are compared, and nobody can steer
/// those.
pub(super) fn same(given: &str, expected: &str) -> bool {
    digest(&SHA256, given.as_bytes()).as_ref() == digest(&SHA256, expected.as_bytes()).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_long_and_differ() {
        let proof = Proof::generate().unwrap();
        let values = [&proof.verifier, &proof.state, &proof.nonce].map(Secret::expose);
        assert!(values.iter().all(|value| value.len() == 43), "{values:?}");
        assert!(values[0] != values[1] && values[1] != values[2] && values[0] != values[2]);
    }

    #[test]
    fn only_the_same_is_the_same() {
        assert!(same("abc", "abc"));
        assert!(!same("abd", "abc"));
        assert!(!same("", "abc"));
    }
}
