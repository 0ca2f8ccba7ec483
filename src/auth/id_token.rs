//! Whether an ID token is for us, for this sign-in, and for now (OpenID Connect Core section 3.1.3.7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, SHA512, digest};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::jwks::{claims_unchecked, refused};
use super::proof::same;
use crate::error::{ErrorKind, Result, printable};
use crate::secret::Secret;

/// Two clocks that are this far apart still agree. Laptops and virtual machines drift by seconds, not minutes.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What the provider says about the person, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who says so.
    pub issuer: String,
    /// The person, as the issuer counts them: never changes, means nothing elsewhere.
    pub subject: String,
    /// The mail address.
    pub email: Option<String>,
    /// Whether the provider has made sure that the address is the person's; None when it does not say.
    pub email_verified: Option<bool>,
    /// The name to show.
    pub name: Option<String>,
    /// The user name at the provider.
    pub preferred_username: Option<String>,
    /// When the token was made.
    pub issued_at: Timestamp,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// When the person last proved who they are, if the provider says.
    pub authenticated_at: Option<Timestamp>,
    /// How they did it: the authentication context class.
    pub acr: Option<String>,
}

impl Claims {
    /// Reads the claims of a token that was checked when it was stored; None if it is none.
    pub fn of_checked_token(token: &Secret) -> Option<Self> {
        let claims: RawClaims = serde_json::from_value(claims_unchecked(token.expose())?).ok()?;
        Some(claims.into())
    }

    /// What the person is known by, here and in the catalog: the mail address, else the subject.
    pub fn login(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.subject)
    }

    /// The person in one line: name and address, or what there is of them. Fit for a terminal.
    pub fn person(&self) -> String {
        match (&self.name, &self.email) {
            (Some(name), Some(email)) => format!("{} ({})", printable(name), printable(email)),
            (Some(one), None) | (None, Some(one)) => printable(one),
            (None, None) => printable(self.preferred_username.as_ref().unwrap_or(&self.subject)),
        }
    }
}

/// What one particular ID token must be.
#[derive(Debug, Default)]
pub(super) struct Expectations<'a> {
    /// The nonce of the request. None for grants that have none, the device grant and refreshing.
    pub(super) nonce: Option<&'a Secret>,
    /// The access token that came along, for `at_hash`.
    pub(super) access_token: Option<&'a Secret>,
    /// The person must still be the same (OpenID Connect Core section 12.2).
    pub(super) subject: Option<&'a str>,
    /// The person must have proved who they are within so many seconds.
    pub(super) max_age: Option<u64>,
    /// One of these authentication contexts, separated by spaces.
    pub(super) acr: Option<&'a str>,
}

/// Judges the claims of a token that `alg` signed.
///
/// Fails with [`ErrorKind::Refused`], or with [`ErrorKind::Denied`] when the sign-in was real but not as strong as asked.
pub(super) fn check(
    claims: Value,
    alg: &str,
    issuer: &str,
    client_id: &str,
    expected: &Expectations<'_>,
    now: Timestamp,
) -> Result<Claims> {
    let claims: RawClaims = serde_json::from_value(claims)
        // The parser's message may quote a claim; which one is missing is all that matters.
        .map_err(|_| {
            refused(anyhow::anyhow!(
                "a claim that every ID token has is missing"
            ))
        })?;
    claims
        .check_addressee(issuer, client_id)
        .and_then(|()| claims.check_binding(alg, expected))
        .map_err(refused)?;
    claims.check_times(now).map_err(|cause| {
        refused(cause).hint("check this machine's clock: sign-ins depend on it")
    })?;
    claims.check_strength(expected, now)?;
    Ok(claims.into())
}

#[derive(Debug, Deserialize)]
struct RawClaims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: NumericDate,
    iat: NumericDate,
    nbf: Option<NumericDate>,
    azp: Option<String>,
    nonce: Option<String>,
    at_hash: Option<String>,
    auth_time: Option<NumericDate>,
    acr: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    email: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    email_verified: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    preferred_username: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Seconds since 1970, possibly with a fraction (RFC 7519 section 2).
#[derive(Debug, Clone, Copy)]
struct NumericDate(Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        SignedDuration::try_from_secs_f64(seconds)
            .and_then(Timestamp::from_duration)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// Claims that are only shown are left out when they are of the wrong type: some providers send `"true"`.
fn lenient<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

impl RawClaims {
    fn check_addressee(&self, issuer: &str, client_id: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.iss == issuer,
            "it is from `{}`, not from `{issuer}`",
            printable(&self.iss)
        );
        anyhow::ensure!(!self.sub.is_empty(), "it names nobody");
        let (for_us, audiences) = match &self.aud {
            Audience::One(aud) => (aud == client_id, 1),
            Audience::Many(auds) => (auds.iter().any(|aud| aud == client_id), auds.len()),
        };
        anyhow::ensure!(for_us, "it is not for the client `{client_id}`");
        match &self.azp {
            Some(azp) => anyhow::ensure!(
                azp == client_id,
                "it was made for the client `{}`, not for `{client_id}`",
                printable(azp)
            ),
            None => anyhow::ensure!(
                audiences == 1,
                "it is for several clients and does not say which one asked"
            ),
        }
        Ok(())
    }

    fn check_times(&self, now: Timestamp) -> anyhow::Result<()> {
        let Self { exp, iat, nbf, .. } = self;
        anyhow::ensure!(
            now < after(exp.0, SKEW),
            "it ended at {}, and here it is {now}",
            exp.0
        );
        for (start, what) in [(Some(iat), "made"), (nbf.as_ref(), "valid")] {
            if let Some(start) = start {
                anyhow::ensure!(
                    start.0 <= after(now, SKEW),
                    "it is {what} from {} on, and here it is {now}",
                    start.0
                );
            }
        }
        Ok(())
    }

    fn check_binding(&self, alg: &str, expected: &Expectations<'_>) -> anyhow::Result<()> {
        if let Some(nonce) = expected.nonce {
            let given = self.nonce.as_deref().unwrap_or_default();
            anyhow::ensure!(
                same(given, nonce.expose()),
                "its nonce is not the one of this sign-in"
            );
        }
        if let (Some(at_hash), Some(access_token)) = (&self.at_hash, expected.access_token) {
            anyhow::ensure!(
                same(at_hash, &half_hash(alg, access_token)),
                "it belongs to another access token"
            );
        }
        if let Some(subject) = expected.subject {
            anyhow::ensure!(self.sub == subject, "it is about somebody else than before");
        }
        Ok(())
    }

    fn check_strength(&self, expected: &Expectations<'_>, now: Timestamp) -> Result<()> {
        if let Some(max_age) = expected.max_age {
            let Some(at) = self.auth_time else {
                return Err(refused(anyhow::anyhow!(
                    "it does not say when the person signed in, though bsql asked"
                )));
            };
            let allowed = SignedDuration::from_secs(i64::try_from(max_age).unwrap_or(i64::MAX));
            if now.duration_since(at.0) > allowed.saturating_add(SKEW) {
                return Err(ErrorKind::Denied
                    .error(format!(
                        "the identity provider did not ask again: the last sign-in was at {}",
                        at.0
                    ))
                    .hint("bsql login --prompt login"));
            }
        }
        if let Some(asked) = expected.acr {
            let given = self.acr.as_deref().unwrap_or("nothing");
            if !asked.split(' ').any(|acr| acr == given) {
                return Err(ErrorKind::Denied
                    .error(format!(
                        "the sign-in was not as strong as asked: `{asked}` was asked for, and the identity provider vouches for `{}`",
                        printable(given)
                    ))
                    .hint("sign in with your second factor, or ask the identity provider's administrator for one"));
            }
        }
        Ok(())
    }
}

impl From<RawClaims> for Claims {
    fn from(raw: RawClaims) -> Self {
        Self {
            issuer: raw.iss,
            subject: raw.sub,
            email: raw.email,
            email_verified: raw.email_verified,
            name: raw.name,
            preferred_username: raw.preferred_username,
            issued_at: raw.iat.0,
            expires_at: raw.exp.0,
            authenticated_at: raw.auth_time.map(|at| at.0),
            acr: raw.acr,
        }
    }
}

/// A token may end at the end of time.
fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// The left half of the hash that goes with `alg` (OpenID Connect Core section 3.1.3.6). Ed25519's own hash is SHA-512.
fn half_hash(alg: &str, access_token: &Secret) -> String {
    let algorithm = if alg == "EdDSA" { &SHA512 } else { &SHA256 };
    let hash = digest(algorithm, access_token.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn good() -> Value {
        json!({ "iss": "https://op", "sub": "1", "aud": "bsql", "iat": NOW, "exp": NOW + 300 })
    }

    fn with(changes: &Value) -> Value {
        let mut claims = good();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn judge(changes: &Value, expected: &Expectations<'_>) -> Result<Claims, (ErrorKind, String)> {
        check(
            with(changes),
            "ES256",
            "https://op",
            "bsql",
            expected,
            now(),
        )
        .map_err(|error| {
            let mut text = error.causes();
            text.insert(0, error.to_string());
            (error.kind(), text.join("; "))
        })
    }

    #[test]
    fn addressee() {
        let any = Expectations::default();
        assert!(judge(&json!({}), &any).is_ok());
        assert!(judge(&json!({ "aud": ["bsql"] }), &any).is_ok());
        assert!(judge(&json!({ "aud": ["x", "bsql"], "azp": "bsql" }), &any).is_ok());
        for (changes, why) in [
            (json!({ "iss": "https://op/" }), "not from `https://op`"),
            (json!({ "aud": "x" }), "not for the client"),
            (json!({ "aud": [] }), "not for the client"),
            (json!({ "aud": ["x", "bsql"] }), "does not say which"),
            (json!({ "azp": "x" }), "made for the client `x`"),
            (json!({ "sub": "" }), "names nobody"),
            (json!({ "sub": null }), "missing"),
            (json!({ "exp": null }), "missing"),
            (json!({ "iat": "yesterday" }), "missing"),
        ] {
            let (kind, text) = judge(&changes, &any).unwrap_err();
            assert_eq!(kind, ErrorKind::Refused, "{changes}");
            assert!(text.contains(why), "{changes}: {text}");
        }
    }

    #[test]
    fn times_with_a_minute_of_tolerance() {
        let any = Expectations::default();
        for (changes, good) in [
            (json!({ "exp": NOW - 59 }), true),
            (json!({ "exp": NOW - 60 }), false),
            (json!({ "exp": f64::from(1_800_000_000_u32) + 0.5 }), true),
            (json!({ "exp": 1e300 }), false),
            (json!({ "iat": NOW + 60 }), true),
            (json!({ "iat": NOW + 61 }), false),
            (json!({ "nbf": NOW + 60 }), true),
            (json!({ "nbf": NOW + 61 }), false),
        ] {
            assert_eq!(judge(&changes, &any).is_ok(), good, "{changes}");
        }
    }

    #[test]
    fn a_wrong_clock_is_hinted_at() {
        let error = check(
            with(&json!({ "exp": NOW - 3600 })),
            "ES256",
            "https://op",
            "bsql",
            &Expectations::default(),
            now(),
        )
        .unwrap_err();
        assert!(error.next_steps().iter().any(|hint| hint.contains("clock")));
    }

    #[test]
    fn nonce_is_a_must_when_there_was_one() {
        let nonce = Secret::from("n".to_owned());
        let expected = Expectations {
            nonce: Some(&nonce),
            ..Expectations::default()
        };
        assert!(judge(&json!({ "nonce": "n" }), &expected).is_ok());
        for changes in [json!({}), json!({ "nonce": "m" }), json!({ "nonce": "" })] {
            let (_, text) = judge(&changes, &expected).unwrap_err();
            assert!(text.contains("nonce"), "{changes}: {text}");
        }
    }

    #[test]
    fn access_token_must_be_its_own() {
        // The example of OpenID Connect Core appendix A.3.
        let access_token = Secret::from("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y".to_owned());
        let expected = Expectations {
            access_token: Some(&access_token),
            ..Expectations::default()
        };
        assert!(judge(&json!({}), &expected).is_ok(), "at_hash is optional");
        let right = json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" });
        assert!(judge(&right, &expected).is_ok());
        assert!(judge(&json!({ "at_hash": "x" }), &expected).is_err());
        assert_eq!(half_hash("EdDSA", &access_token).len(), 43);
    }

    #[test]
    fn the_person_stays_the_same() {
        let expected = Expectations {
            subject: Some("1"),
            ..Expectations::default()
        };
        assert!(judge(&json!({}), &expected).is_ok());
        assert!(judge(&json!({ "sub": "2" }), &expected).is_err());
    }

    #[test]
    fn strength() {
        let expected = Expectations {
            max_age: Some(900),
            acr: Some("urn:mfa urn:hwk"),
            ..Expectations::default()
        };
        for (changes, outcome) in [
            (json!({ "auth_time": NOW - 960, "acr": "urn:hwk" }), None),
            (
                json!({ "auth_time": NOW - 961, "acr": "urn:hwk" }),
                Some(ErrorKind::Denied),
            ),
            (json!({ "acr": "urn:hwk" }), Some(ErrorKind::Refused)),
            (
                json!({ "auth_time": NOW, "acr": "urn:pwd" }),
                Some(ErrorKind::Denied),
            ),
            (json!({ "auth_time": NOW }), Some(ErrorKind::Denied)),
        ] {
            let got = judge(&changes, &expected).err().map(|(kind, _)| kind);
            assert_eq!(got, outcome, "{changes}");
        }
    }

    #[test]
    fn what_is_only_shown_may_be_odd() {
        let odd = json!({ "email_verified": "true", "name": 7, "email": "a@b", "auth_time": NOW });
        let claims = judge(&odd, &Expectations::default()).unwrap();
        assert_eq!(claims.email_verified, None);
        assert_eq!(claims.person(), "a@b");
        assert_eq!(claims.authenticated_at, Some(now()));
    }
}
