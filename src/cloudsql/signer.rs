//! Signs for the client certificate, once in each handshake: with an RSA key that is most of what a new connection costs
//! this process.
//!
//! `ring`, which does all other TLS here, takes 0.6 ms for a signature. `aws-lc-rs`, which makes the keys, has faster
//! code for some processors (AVX-512 IFMA, Arm): 0.25 ms. But its first random number in a process takes 40 ms, which is
//! more than a process with one connection ever gets back. So it is made ready aside, when a process turns out to have
//! many connections.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use rustls::crypto::KeyProvider;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// So many signatures are `ring`'s. A client program opens a connection or two, a pool of a web server ten.
const FIRST: usize = 8;

/// Makes signing keys of private ones.
#[derive(Debug)]
pub(super) struct ClientKeys;

impl KeyProvider for ClientKeys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Ok(Arc::new(ClientSigningKey {
            at_first: rustls::crypto::ring::sign::any_supported_type(&key)?,
            key,
            signatures: AtomicUsize::new(0),
            later: Arc::default(),
        }))
    }
}

/// A key that gets faster when it is used much.
struct ClientSigningKey {
    key: PrivateKeyDer<'static>,
    at_first: Arc<dyn SigningKey>,
    signatures: AtomicUsize,
    /// Set once `aws-lc` has signed with it.
    later: Arc<OnceLock<Arc<KeyPair>>>,
}

impl ClientSigningKey {
    /// On a thread of its own, which ends by itself; a process that ends earlier takes it along.
    fn get_ready(&self) {
        let PrivateKeyDer::Pkcs8(key) = self.key.clone_key() else {
            return;
        };
        let later = Arc::clone(&self.later);
        std::thread::spawn(move || {
            let Ok(key) = KeyPair::from_pkcs8(key.secret_pkcs8_der()) else {
                return;
            };
            let key = Arc::new(key);
            if sign(&key, b"").is_ok() {
                let _ = later.set(key);
            }
        });
    }
}

impl SigningKey for ClientSigningKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        match self.later.get() {
            Some(key) if offered.contains(&SCHEME) => {
                return Some(Box::new(FastSigner(Arc::clone(key))));
            }
            Some(_) => {}
            None => {
                if self.signatures.fetch_add(1, Ordering::Relaxed) == FIRST {
                    self.get_ready();
                }
            }
        }
        self.at_first.choose_scheme(offered)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.at_first.algorithm()
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.at_first.public_key()
    }
}

impl fmt::Debug for ClientSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSigningKey(…)")
    }
}

/// Of those that TLS 1.3 has for RSA keys, the one that every server must know (RFC 8446 section 9.1).
const SCHEME: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;

#[derive(Debug)]
struct FastSigner(Arc<KeyPair>);

impl Signer for FastSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        sign(&self.0, message).map_err(|_| Error::General("cannot sign".to_owned()))
    }

    fn scheme(&self) -> SignatureScheme {
        SCHEME
    }
}

fn sign(key: &KeyPair, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PSS_SHA256,
        &SystemRandom::new(),
        message,
        &mut signature,
    )?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::{AlgorithmIdentifier, alg_id};
    use x509_parser::prelude::FromDer as _;
    use x509_parser::x509::SubjectPublicKeyInfo;

    use super::super::key::ClientKey;
    use super::*;

    /// Whether `ring` accepts a signature of `scheme`.
    fn is_good(key: &dyn SigningKey, scheme: SignatureScheme, message: &[u8], made: &[u8]) -> bool {
        let algorithms = default_provider().signature_verification_algorithms;
        let public_key = key.public_key().unwrap();
        let (_, info) = SubjectPublicKeyInfo::from_der(&public_key).unwrap();
        let bits = info.subject_public_key.data.as_ref();
        let (_, algorithms) = algorithms
            .mapping
            .iter()
            .find(|(known, _)| *known == scheme)
            .unwrap();
        let rsa: AlgorithmIdentifier = alg_id::RSA_ENCRYPTION;
        algorithms
            .iter()
            .filter(|algorithm| algorithm.public_key_alg_id() == rsa)
            .any(|algorithm| algorithm.verify_signature(bits, message, made).is_ok())
    }

    #[tokio::test]
    async fn both_sign_and_the_second_takes_over_after_some() {
        let made = ClientKey::generate_in_background().ready().await.unwrap();
        let key = ClientKeys.load_private_key(made.private_key()).unwrap();
        assert_eq!(format!("{key:?}"), "ClientSigningKey(…)");
        let offered = [SignatureScheme::RSA_PSS_SHA512, SCHEME];
        let is_fast = || {
            let signer = key.choose_scheme(&offered).unwrap();
            let (message, scheme) = (b"a transcript", signer.scheme());
            let signature = signer.sign(message).unwrap();
            assert!(is_good(&*key, scheme, message, &signature), "{scheme:?}");
            assert!(!is_good(&*key, scheme, b"another", &signature));
            scheme == SCHEME
        };
        for nth in 0..FIRST {
            assert!(!is_fast(), "{nth}");
        }
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !is_fast() {
            assert!(std::time::Instant::now() < end);
            std::thread::yield_now();
        }
        // A server that does not know the scheme is served as before.
        let signer = key
            .choose_scheme(&[SignatureScheme::RSA_PSS_SHA384])
            .unwrap();
        assert_eq!(signer.scheme(), SignatureScheme::RSA_PSS_SHA384);
        assert!(key.choose_scheme(&[SignatureScheme::ED25519]).is_none());
    }
}
