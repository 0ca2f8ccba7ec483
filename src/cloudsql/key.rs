//! The key pair of bsql's client certificates.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::watch;

use super::kept::Kept;
use crate::clock::Clock;
use crate::error::{ErrorKind, Result};

/// An RSA-2048 key pair, as every Google connector uses. It leaves the process for the person's own store only.
pub struct ClientKey {
    public_key_pem: String,
    /// `SubjectPublicKeyInfo`.
    public_key_der: Vec<u8>,
    private_key: PrivateKeyDer<'static>,
}

impl ClientKey {
    /// Makes a key on a thread of its own: it takes 50 ms to half a second of pure computing, which is best spent while
    /// the network is waited for.
    ///
    /// The thread ends by itself; a process that ends earlier takes it along.
    pub fn generate_in_background() -> PendingKey {
        Self::on_a_thread(Self::generate)
    }

    /// The key that is kept, else a new one, which is kept from then on. On a thread of its own as
    /// [`generate_in_background`](Self::generate_in_background).
    pub fn kept_or_new(kept: Kept, clock: Clock) -> PendingKey {
        Self::on_a_thread(move || {
            if let Some(key) = kept.key(clock.now()) {
                return Some(key);
            }
            let key = Self::generate()?;
            kept.save_key(&key, clock.now());
            Some(key)
        })
    }

    fn on_a_thread(make: impl FnOnce() -> Option<Self> + Send + 'static) -> PendingKey {
        let (done, pending) = watch::channel(State::Pending);
        std::thread::spawn(move || {
            // Nobody may be waiting any more.
            let _ = done.send(match make() {
                Some(key) => State::Made(Arc::new(key)),
                None => State::Failed,
            });
        });
        PendingKey(pending)
    }

    fn generate() -> Option<Self> {
        // `ring`, which does all else, cannot make RSA keys.
        Self::of(&KeyPair::generate(KeySize::Rsa2048).ok()?)
    }

    /// Reads a private key in PKCS #8; None if it is anything else.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Self::of(&KeyPair::from_pkcs8(der).ok()?)
    }

    /// The private key in PKCS #8, to be kept.
    pub(super) fn pkcs8(&self) -> &[u8] {
        self.private_key.secret_der()
    }

    fn of(pair: &KeyPair) -> Option<Self> {
        let private_key: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
        Some(Self {
            public_key_pem: pem("PUBLIC KEY", public_key.as_ref()),
            public_key_der: public_key.as_ref().to_vec(),
            private_key: PrivatePkcs8KeyDer::from(private_key.as_ref().to_vec()).into(),
        })
    }

    /// The public key as PEM of `SubjectPublicKeyInfo` (RFC 7468 section 13).
    pub fn public_key_pem(&self) -> &str {
        &self.public_key_pem
    }

    /// The public key as DER, as it stands in a certificate.
    pub(super) fn public_key_der(&self) -> &[u8] {
        &self.public_key_der
    }

    /// The private key for a TLS configuration.
    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        self.private_key.clone_key()
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(…)")
    }
}

/// A key that is being made.
#[derive(Debug, Clone)]
pub struct PendingKey(watch::Receiver<State>);

#[derive(Debug)]
enum State {
    Pending,
    Made(Arc<ClientKey>),
    Failed,
}

impl PendingKey {
    /// The key, as soon as there is one. Cancel safe.
    pub async fn ready(&self) -> Result<Arc<ClientKey>> {
        let mut pending = self.0.clone();
        let made = pending
            .wait_for(|state| !matches!(state, State::Pending))
            .await;
        match made.as_deref() {
            Ok(State::Made(key)) => Ok(Arc::clone(key)),
            // An error means that the thread panicked.
            Ok(State::Failed | State::Pending) | Err(_) => {
                Err(ErrorKind::Internal.error("cannot make a key pair"))
            }
        }
    }
}

/// RFC 7468: lines of 64 characters.
fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        // Base64 is ASCII, so every cut is between characters.
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::SubjectPublicKeyInfoDer;
    use rustls::pki_types::pem::PemObject as _;
    use x509_parser::prelude::FromDer as _;
    use x509_parser::x509::SubjectPublicKeyInfo;

    use super::*;

    #[tokio::test]
    async fn a_key_that_ring_can_sign_with() {
        let pending = ClientKey::generate_in_background();
        let key = pending.ready().await.unwrap();
        assert!(
            Arc::ptr_eq(&key, &pending.ready().await.unwrap()),
            "one key for all"
        );
        assert_eq!(format!("{key:?}"), "ClientKey(…)");

        let der = SubjectPublicKeyInfoDer::from_pem_slice(key.public_key_pem().as_bytes()).unwrap();
        let (_, public_key) = SubjectPublicKeyInfo::from_der(&der).unwrap();
        assert_eq!(public_key.parsed().unwrap().key_size(), 2048);
        let signing_key =
            rustls::crypto::ring::sign::any_supported_type(&key.private_key()).unwrap();
        assert_eq!(
            signing_key.public_key().unwrap().as_ref(),
            der.as_ref(),
            "the halves belong together"
        );
        let again = ClientKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(again.public_key_der(), der.as_ref());
        assert!(ClientKey::from_pkcs8(b"x").is_none());
    }
}
