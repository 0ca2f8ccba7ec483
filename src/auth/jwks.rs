//! The provider's signing keys (RFC 7517), and whether one of them signed a token (RFC 7515).

use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::http::HttpClient;

/// The algorithms bsql knows. `none` and the HMACs are not among them and never will be: with a public client, an HMAC
/// key is no secret (RFC 8725 section 3.1).
const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

/// A token that names an unknown key makes bsql fetch the keys again, but not more often than this: whoever can make it
/// look at tokens must not be able to make it ask for keys all the time.
const COOL_DOWN: SignedDuration = SignedDuration::from_secs(60);

/// The provider's keys, fetched when they are needed first and again when a token names one that is not among them.
#[derive(Debug)]
pub(super) struct KeySet {
    http: HttpClient,
    url: Url,
    algorithms: Vec<&'static str>,
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<Vec<Jwk>>,
    fetched_again_at: Option<Timestamp>,
}

/// What a token says about its signature.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl KeySet {
    /// The keys at `url`. Of the algorithms that the provider advertises, only those that bsql knows are accepted.
    pub(super) fn new(
        http: HttpClient,
        url: Url,
        advertised: Option<&[String]>,
        clock: Clock,
    ) -> Self {
        let algorithms = ALGORITHMS
            .into_iter()
            .filter(|known| advertised.is_none_or(|list| list.iter().any(|alg| alg == known)))
            .collect();
        Self {
            http,
            url,
            algorithms,
            clock,
            known: Mutex::default(),
        }
    }

    /// The claims of `token` and its algorithm, if one of the provider's keys signed it.
    ///
    /// Fails with [`ErrorKind::Refused`] when none did, and with [`ErrorKind::Unavailable`] when the keys cannot be had.
    pub(super) async fn verify(&self, token: &str) -> Result<(Value, &'static str)> {
        let header = header(token)?;
        let Some(alg) = self
            .algorithms
            .iter()
            .copied()
            .find(|alg| *alg == header.alg)
        else {
            return Err(refused(anyhow::anyhow!(
                "it is signed with `{}`, and only {} may be used here",
                printable(&header.alg),
                list(&self.algorithms)
            )));
        };
        if header.crit.is_some() {
            // RFC 7515 section 4.1.11: what must be understood and is not makes the token invalid.
            return Err(refused(anyhow::anyhow!(
                "it has critical extensions that bsql does not know"
            )));
        }
        let keys = self.keys_for(&header, alg).await?;
        if keys.is_empty() {
            return Err(refused(match header.kid {
                Some(kid) => anyhow::anyhow!(
                    "its key `{}` is not among the provider's {alg} keys",
                    printable(&kid)
                ),
                None => anyhow::anyhow!("the provider has no {alg} key"),
            }));
        }
        keys.iter()
            .find_map(|key| claims(token, key, alg))
            .map(|claims| (claims, alg))
            .ok_or_else(|| refused(anyhow::anyhow!("its signature is wrong")))
    }

    /// The keys that may have signed a token with this header.
    async fn keys_for(&self, header: &Header, alg: &str) -> Result<Vec<Jwk>> {
        let mut known = self.known.lock().await;
        if known.keys.is_none() {
            known.keys = Some(self.fetch().await?);
        }
        let found = matching(&known, header, alg);
        let now = self.clock.now();
        let may_fetch_again = known
            .fetched_again_at
            .is_none_or(|at| now.duration_since(at) >= COOL_DOWN);
        if !found.is_empty() || !may_fetch_again {
            return Ok(found);
        }
        known.fetched_again_at = Some(now);
        known.keys = Some(self.fetch().await?);
        tracing::info!("fetched the provider's keys again: a token named an unknown one");
        Ok(matching(&known, header, alg))
    }

    async fn fetch(&self) -> Result<Vec<Jwk>> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let request = self.http.get(self.url.clone());
        let answer = self
            .http
            .send_idempotent("the identity provider", request)
            .await?;
        if answer.status.is_server_error() {
            return Err(ErrorKind::Unavailable.error(format!(
                "the identity provider cannot show its keys now: it answered {}",
                answer.status
            )));
        }
        let document: Document = answer
            .json()
            .or_fail(ErrorKind::Refused, || {
                format!("there are no keys at `{}`", self.url)
            })
            .map_err(|error| error.hint("ask the identity provider's administrator"))?;
        // A key that cannot be read is of a kind that bsql does not accept anyway (RFC 7517 section 5).
        Ok(document
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok())
            .collect())
    }
}

fn matching(known: &Known, header: &Header, alg: &str) -> Vec<Jwk> {
    known
        .keys
        .iter()
        .flatten()
        .filter(|key| {
            let named = header
                .kid
                .as_ref()
                .is_none_or(|kid| key.common.key_id.as_ref() == Some(kid));
            named && suits(key, alg)
        })
        .cloned()
        .collect()
}

/// Whether `key` may be used with `alg`. The key decides, not the token: otherwise a token could choose how it is checked.
fn suits(key: &Jwk, alg: &str) -> bool {
    let for_signatures = key
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let for_alg = key
        .common
        .key_algorithm
        .is_none_or(|only| only.to_string() == alg);
    let kind = match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(alg, "RS256" | "PS256"),
        AlgorithmParameters::EllipticCurve(key) => {
            alg == "ES256" && key.curve == EllipticCurve::P256
        }
        AlgorithmParameters::OctetKeyPair(key) => {
            alg == "EdDSA" && key.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    for_signatures && for_alg && kind
}

/// The claims of `token`, if `key` signed it. Times and audiences are judged in `id_token`, by bsql's own clock.
fn claims(token: &str, key: &Jwk, alg: &str) -> Option<Value> {
    let alg = Algorithm::from_str(alg).ok()?;
    let key = DecodingKey::from_jwk(key).ok()?;
    let mut signature_only = Validation::new(alg);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    jsonwebtoken::decode(token, &key, &signature_only)
        .ok()
        .map(|token| token.claims)
}

fn header(token: &str) -> Result<Header> {
    let read = || {
        let (header, _) = token.split_once('.')?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        serde_json::from_slice(&header).ok()
    };
    // No cause: a parser's message may quote the token.
    read().ok_or_else(|| refused(anyhow::anyhow!("it is not a signed JSON web token")))
}

/// The claims of a token that has been checked before.
pub(super) fn claims_unchecked(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// An ID token that is not what it should be.
pub(super) fn refused(cause: anyhow::Error) -> Error {
    ErrorKind::Refused
        .error("the identity provider's ID token cannot be trusted")
        .because(cause)
        .hint("ask the identity provider's administrator; nothing was stored")
}

fn list(algorithms: &[&str]) -> String {
    if algorithms.is_empty() {
        return "no algorithm".to_owned();
    }
    algorithms.join(", ")
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RsaKeyPair};
    use serde_json::json;

    use super::*;

    /// A key set that needs no network, as if `keys` had been fetched and fetched again just now.
    fn keys(keys: &[Value], advertised: Option<&[String]>) -> KeySet {
        let clock = Clock::system();
        let mut set = KeySet::new(
            HttpClient::new(Vec::new()).unwrap(),
            "http://127.0.0.1:1/jwks".parse().unwrap(),
            advertised,
            clock,
        );
        *set.known.get_mut() = Known {
            keys: Some(
                keys.iter()
                    .map(|key| serde_json::from_value(key.clone()).unwrap())
                    .collect(),
            ),
            fetched_again_at: Some(clock.now()),
        };
        set
    }

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn token(header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let signed = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(json!({ "sub": "ada" }).to_string())
        );
        let signature = encode(sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn rsa() -> (RsaKeyPair, Value) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let key = json!({ "kty": "RSA", "kid": "r", "n": encode(&parts.n), "e": encode(&parts.e) });
        (pair, key)
    }

    fn why(error: &Error) -> String {
        assert_eq!(error.kind(), ErrorKind::Refused);
        error.causes().join("; ")
    }

    #[tokio::test]
    async fn rsa_signs_either_way_unless_the_key_says_which() {
        let (pair, mut key) = rsa();
        let sign = |padding: &'static dyn aws_lc_rs::signature::RsaEncoding, message: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &SystemRandom::new(), message, &mut signature)
                .unwrap();
            signature
        };
        let rs256 = token(&json!({ "alg": "RS256", "kid": "r" }), |message| {
            sign(&aws_lc_rs::signature::RSA_PKCS1_SHA256, message)
        });
        let ps256 = token(&json!({ "alg": "PS256" }), |message| {
            sign(&aws_lc_rs::signature::RSA_PSS_SHA256, message)
        });
        let any = keys(&[key.clone()], None);
        assert_eq!(any.verify(&rs256).await.unwrap().0["sub"], "ada");
        assert_eq!(any.verify(&ps256).await.unwrap().1, "PS256");

        key["alg"] = json!("RS256");
        let only = keys(&[key.clone()], None);
        assert!(only.verify(&rs256).await.is_ok());
        assert!(only.verify(&ps256).await.is_err());

        key["use"] = json!("enc");
        assert!(keys(&[key], None).verify(&rs256).await.is_err());
    }

    #[tokio::test]
    async fn ed25519_signs() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) });
        let token = token(&json!({ "alg": "EdDSA" }), |message| {
            pair.sign(message).as_ref().to_vec()
        });
        assert_eq!(keys(&[key], None).verify(&token).await.unwrap().1, "EdDSA");
    }

    #[tokio::test]
    async fn none_and_hmac_are_refused_whatever_the_keys() {
        let (_, key) = rsa();
        let oct = json!({ "kty": "oct", "k": encode(b"the client id or the public key") });
        let keys = keys(&[key, oct], None);
        for alg in ["none", "None", "HS256", "RS512", "ES384", ""] {
            let token = token(&json!({ "alg": alg }), |_| Vec::new());
            let error = keys.verify(&token).await.unwrap_err();
            assert!(why(&error).contains("only RS256"), "{alg}: {error:?}");
        }
    }

    #[tokio::test]
    async fn only_what_the_provider_advertises_is_accepted() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) });
        let token = token(&json!({ "alg": "EdDSA" }), |message| {
            pair.sign(message).as_ref().to_vec()
        });
        let advertised = ["RS256".to_owned(), "none".to_owned(), "HS256".to_owned()];
        let error = keys(&[key], Some(&advertised))
            .verify(&token)
            .await
            .unwrap_err();
        assert!(why(&error).ends_with("only RS256 may be used here"));
    }

    #[tokio::test]
    async fn a_changed_token_is_refused() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) });
        let token = token(&json!({ "alg": "EdDSA" }), |message| {
            pair.sign(message).as_ref().to_vec()
        });
        let keys = keys(&[key], None);
        let parts: Vec<&str> = token.split('.').collect();
        let other = encode(json!({ "sub": "chloe" }).to_string());
        for changed in [
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], encode([0; 64])),
            format!("{}.{}.", parts[0], parts[1]),
        ] {
            let error = keys.verify(&changed).await.unwrap_err();
            assert_eq!(why(&error), "its signature is wrong");
        }
        for nonsense in ["", "x", "x.y.z", &parts[0].repeat(2)] {
            let error = keys.verify(nonsense).await.unwrap_err();
            assert_eq!(why(&error), "it is not a signed JSON web token");
        }
    }

    #[tokio::test]
    async fn critical_extensions_are_refused() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) });
        let token = token(&json!({ "alg": "EdDSA", "crit": ["b64"] }), |message| {
            pair.sign(message).as_ref().to_vec()
        });
        let error = keys(&[key], None).verify(&token).await.unwrap_err();
        assert!(why(&error).contains("critical"));
    }
}
