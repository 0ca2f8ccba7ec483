//! Backstage's own tokens, as far as they say whose they are.
//!
//! Read without checking: nothing is permitted by it. The server checks its token, and what it says about the person is
//! what the catalog goes by.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::entity::EntityRef;
use crate::secret::Secret;

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    typ: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    aud: Audience,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Audience {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn is_backstage(&self) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => one == "backstage",
            Self::Several(several) => several.iter().any(|one| one == "backstage"),
        }
    }
}

/// The User entity of a token that Backstage gave to a person; `None` for every other token.
pub(super) fn user(token: &Secret) -> Option<EntityRef> {
    let mut parts = token.expose().split('.');
    let header: Header = part(parts.next()?)?;
    let claims: Claims = part(parts.next()?)?;
    // The type came in 2024, the audience has always been this.
    let is_backstages = header.typ == "vnd.backstage.user" || claims.aud.is_backstage();
    let user: EntityRef = claims.sub.parse().ok()?;
    (is_backstages && user.kind == "user").then_some(user)
}

fn part<T: DeserializeOwned>(encoded: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::stand_in::user_token;

    #[test]
    fn whose_it_is() {
        let typed = json!({ "alg": "ES256", "typ": "vnd.backstage.user" });
        let plain = json!({ "alg": "ES256" });
        for (header, claims, expected) in [
            (
                &typed,
                json!({ "sub": "user:default/ada", "aud": "backstage" }),
                Some("user:default/ada"),
            ),
            (
                &typed,
                json!({ "sub": "User:Default/Ada" }),
                Some("user:default/ada"),
            ),
            (
                &plain,
                json!({ "sub": "user:default/ada", "aud": ["backstage"] }),
                Some("user:default/ada"),
            ),
            (
                &plain,
                json!({ "sub": "user:default/ada", "aud": "bsql" }),
                None,
            ),
            (
                &plain,
                json!({ "sub": "ada@acme.example", "aud": "bsql" }),
                None,
            ),
            (
                &typed,
                json!({ "sub": "external:ci", "aud": "backstage" }),
                None,
            ),
            (&typed, json!({ "aud": "backstage" }), None),
        ] {
            let found = user(&user_token(header, &claims)).map(|user| user.to_string());
            assert_eq!(found.as_deref(), expected, "{header} {claims}");
        }
        for text in ["", "t0ken", "a.b.c", "..", "bm8.bm8."] {
            assert_eq!(user(&Secret::from(text.to_owned())), None, "{text}");
        }
    }
}
