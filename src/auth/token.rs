//! The tokens of one sign-in, and how a store writes them down.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// What a sign-in or a refresh yields (OpenID Connect Core section 3.1.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSet {
    /// Who the person is, signed by the provider.
    pub id_token: Secret,
    /// For the provider's own APIs.
    pub access_token: Secret,
    /// Gets the next set. None when the provider gave none, or has refused the one it gave.
    pub refresh_token: Option<Secret>,
    /// When the first of ID token and access token ends.
    pub expires_at: Timestamp,
}

/// The stored form. A version, so that a later bsql can tell what it reads.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    id_token: Secret,
    access_token: Secret,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Secret>,
    /// Seconds since 1970.
    expires_at: i64,
}

const VERSION: u32 = 1;

impl TokenSet {
    /// The set as a token store keeps it, in the clear.
    pub fn to_stored(&self) -> Secret {
        let stored = Stored {
            version: VERSION,
            id_token: self.id_token.clone(),
            access_token: self.access_token.clone(),
            refresh_token: self.refresh_token.clone(),
            expires_at: self.expires_at.as_second(),
        };
        serde_json::to_string(&stored)
            .expect("strings and numbers are JSON")
            .into()
    }

    /// Reads what [`to_stored`](Self::to_stored) wrote; None if it is anything else.
    ///
    /// The cause is left out on purpose: a parser's message may quote what it stumbled over.
    pub fn from_stored(text: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_str(text).ok()?;
        if stored.version != VERSION {
            return None;
        }
        Some(Self {
            id_token: stored.id_token,
            access_token: stored.access_token,
            refresh_token: stored.refresh_token,
            expires_at: Timestamp::from_second(stored.expires_at).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let tokens = TokenSet {
            id_token: "i".to_owned().into(),
            access_token: "a".to_owned().into(),
            refresh_token: Some("r".to_owned().into()),
            expires_at: Timestamp::from_second(1_800_000_000).unwrap(),
        };
        let stored = tokens.to_stored();
        assert_eq!(TokenSet::from_stored(stored.expose()), Some(tokens));
    }

    #[test]
    fn anything_else_is_not_a_token_set() {
        for text in [
            "",
            "{}",
            r#"{"version":1}"#,
            r#"{"version":2,"id_token":"i","access_token":"a","expires_at":1}"#,
        ] {
            assert_eq!(TokenSet::from_stored(text), None, "{text}");
        }
    }
}
