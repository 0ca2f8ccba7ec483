//! The provider's signing key: ES256 JSON web tokens (RFC 7515, RFC 7518 section 3.4), made and checked here, with no
//! code of the client's, so that a mistake there cannot hide.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde_json::{Value, json};

/// Signs tokens.
#[derive(Debug)]
pub(in crate::sandbox) struct SigningKey {
    pair: EcdsaKeyPair,
    kid: String,
}

impl SigningKey {
    /// A new key.
    pub(in crate::sandbox) fn generate() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .expect("the system has randomness");
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .expect("a key just made is a key");
        let digest = ring::digest::digest(&ring::digest::SHA256, pair.public_key().as_ref());
        let kid = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..8]);
        Self { pair, kid }
    }

    /// The JSON web key set (RFC 7517).
    pub(in crate::sandbox) fn jwks(&self) -> Value {
        // An uncompressed point: 0x04, then the coordinates of 32 bytes each.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }

    /// A signed token with these claims.
    pub(in crate::sandbox) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("the system has randomness");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of `token` if this key signed it, `issuer` made it for `audience`, and it is not over at `now`.
    pub(in crate::sandbox) fn verify(
        &self,
        token: &str,
        issuer: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<Value, &'static str> {
        let (signed, signature) = token.rsplit_once('.').ok_or("not a JSON web token")?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| "malformed signature")?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "wrong signature")?;
        let (_, claims) = signed.split_once('.').ok_or("not a JSON web token")?;
        let claims = URL_SAFE_NO_PAD
            .decode(claims)
            .map_err(|_| "malformed claims")?;
        let claims: Value = serde_json::from_slice(&claims).map_err(|_| "malformed claims")?;
        if claims["iss"] != issuer {
            return Err("wrong issuer");
        }
        if claims["aud"] != audience {
            return Err("wrong audience");
        }
        if claims["exp"]
            .as_i64()
            .is_none_or(|exp| exp <= now.as_second())
        {
            return Err("expired");
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_audience_until_it_ends() {
        let key = SigningKey::generate();
        let token = key.sign(&json!({ "iss": "i", "aud": "a", "exp": 100, "sub": "ada" }));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(key.verify(&token, "i", "a", at(99)).unwrap()["sub"], "ada");
        assert_eq!(key.verify(&token, "i", "b", at(99)), Err("wrong audience"));
        assert_eq!(key.verify(&token, "j", "a", at(99)), Err("wrong issuer"));
        assert_eq!(key.verify(&token, "i", "a", at(100)), Err("expired"));
        assert_eq!(
            SigningKey::generate().verify(&token, "i", "a", at(99)),
            Err("wrong signature")
        );
    }
}
