//! What is known about instances, kept between two runs: the key, and for each instance where it is and the certificate
//! that opens it. So the second `connect` within the hour asks Google nothing.
//!
//! A certificate with a login in it is worth as much as the login, so it is kept where the person's tokens are and
//! nowhere else, and goes with them. It is used until a minute before it ends, for the same person, the same instance and
//! the same key only.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{Context, SHA256};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::admin::ConnectSettings;
use super::key::ClientKey;
use crate::error::Result;
use crate::secret::Secret;

/// A certificate is not worth beginning with when less than this is left of it.
pub(super) const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// A key is replaced every day, so that one that was copied from a disk is of no use for long.
const KEY_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// What the key is kept under. The names of certificates are longer.
const KEY: &str = "key";
/// When the last certificate ends that was kept, in seconds since 1970.
const LAST: &str = "last";
/// Of both records, so that a later bsql can tell what it reads.
const VERSION: u32 = 1;

/// Keeps texts for one person, safely, and forgets them when the person signs out. Called on a thread that may block.
pub trait CertificateStore: fmt::Debug + Send + Sync + 'static {
    /// The text under `name`, if there is one.
    fn load(&self, name: &str) -> Result<Option<Secret>>;

    /// Keeps a text in place of the one before.
    fn save(&self, name: &str, text: &Secret) -> Result<()>;

    /// Forgets a text, if there is one.
    fn delete(&self, name: &str) -> Result<()>;
}

/// What earlier runs have left. That it cannot be read or written is never a failure: everything can be asked for again.
#[derive(Debug, Clone)]
pub struct Kept(Arc<dyn CertificateStore>);

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    version: u32,
    /// PKCS #8, in base64.
    key: Secret,
    /// Seconds since 1970.
    made_at: i64,
}

/// What is known about one instance.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Whose certificate it is, as the token service says.
    pub(super) principal: String,
    pub(super) settings: ConnectSettings,
    /// DER, in base64.
    certificate: String,
    expires_at: i64,
    fetched_at: i64,
}

impl Record {
    pub(super) fn new(
        principal: String,
        settings: ConnectSettings,
        certificate: &CertificateDer<'_>,
        expires_at: Timestamp,
        fetched_at: Timestamp,
    ) -> Self {
        Self {
            version: VERSION,
            principal,
            settings,
            certificate: STANDARD.encode(certificate),
            expires_at: expires_at.as_second(),
            fetched_at: fetched_at.as_second(),
        }
    }

    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.expires_at).ok()
    }

    pub(super) fn fetched_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.fetched_at).ok()
    }

    /// The certificate, if it is for this key and of use at `now`.
    pub(super) fn certificate(
        &self,
        key: &ClientKey,
        now: Timestamp,
    ) -> Option<CertificateDer<'static>> {
        let (fetched_at, expires_at) = (self.fetched_at()?, self.expires_at()?);
        // One of the future was made by another clock, and nothing that it says of times is to be believed.
        if now < fetched_at || now >= expires_at - MARGIN {
            return None;
        }
        let certificate = CertificateDer::from(STANDARD.decode(&self.certificate).ok()?);
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        let ends = parsed.validity().not_after.timestamp();
        let fits = parsed.public_key().raw == key.public_key_der() && ends >= self.expires_at;
        fits.then_some(certificate)
    }
}

impl Kept {
    /// What is kept in this store.
    pub fn new(store: Arc<dyn CertificateStore>) -> Self {
        Self(store)
    }

    /// The name of a record: all that its certificate depends on, and nothing that one could read from it.
    pub(super) fn name(parts: &[&str]) -> String {
        let mut hash = Context::new(&SHA256);
        for part in parts {
            // The length first: otherwise two names could be cut differently and still be the same.
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        STANDARD.encode(hash.finish().as_ref())
    }

    /// The key, unless it is too old. Blocks.
    pub(super) fn key(&self, now: Timestamp) -> Option<ClientKey> {
        let record: KeyRecord = serde_json::from_str(self.load(KEY)?.expose()).ok()?;
        let made_at = Timestamp::from_second(record.made_at).ok()?;
        let age = now.duration_since(made_at);
        if record.version != VERSION || !(SignedDuration::ZERO..KEY_LIFE).contains(&age) {
            return None;
        }
        ClientKey::from_pkcs8(&STANDARD.decode(record.key.expose()).ok()?)
    }

    /// Keeps a key that was made just now. Blocks.
    pub(super) fn save_key(&self, key: &ClientKey, now: Timestamp) {
        self.save(
            KEY,
            &KeyRecord {
                version: VERSION,
                key: STANDARD.encode(key.pkcs8()).into(),
                made_at: now.as_second(),
            },
        );
    }

    /// Keeps a key that was made in advance, during a sign-in for example.
    pub async fn adopt(&self, key: Arc<ClientKey>, now: Timestamp) {
        self.blocking(move |kept| kept.save_key(&key, now)).await;
    }

    pub(super) async fn record(&self, name: String) -> Option<Record> {
        let text = self.blocking(move |kept| kept.load(&name)).await??;
        let record: Record = serde_json::from_str(text.expose()).ok()?;
        (record.version == VERSION).then_some(record)
    }

    pub(super) async fn save_record(&self, name: String, record: Record) {
        self.blocking(move |kept| {
            kept.save(&name, &record);
            kept.save(LAST, &record.expires_at);
        })
        .await;
    }

    /// Whether the certificate that was got last is of use still, so that most likely none is needed now.
    pub async fn is_warm(&self, now: Timestamp) -> bool {
        let last = self.blocking(|kept| kept.load(LAST)).await.flatten();
        last.and_then(|text| Timestamp::from_second(text.expose().parse().ok()?).ok())
            .is_some_and(|ends| now < ends - MARGIN)
    }

    pub(super) async fn forget(&self, name: String) {
        self.blocking(move |kept| {
            for name in [name.as_str(), LAST] {
                if let Err(error) = kept.0.delete(name) {
                    tracing::debug!(%error, "a certificate that is of no use is still kept");
                }
            }
        })
        .await;
    }

    fn load(&self, name: &str) -> Option<Secret> {
        match self.0.load(name) {
            Ok(text) => text,
            Err(error) => {
                tracing::debug!(%error, "what was kept cannot be read");
                None
            }
        }
    }

    fn save(&self, name: &str, record: &impl Serialize) {
        let text = serde_json::to_string(record).expect("strings and numbers are JSON");
        if let Err(error) = self.0.save(name, &text.into()) {
            tracing::debug!(%error, "not kept for the next run");
        }
    }

    /// None when the work panicked or the process is ending.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this)).await.ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;
    use crate::clock::Clock;
    use crate::error::ErrorKind;

    /// A store in memory.
    #[derive(Debug, Default)]
    pub(in crate::cloudsql) struct Shelf {
        pub(in crate::cloudsql) texts: Mutex<HashMap<String, Secret>>,
    }

    impl CertificateStore for Shelf {
        fn load(&self, name: &str) -> Result<Option<Secret>> {
            Ok(self.texts.lock().unwrap().get(name).cloned())
        }

        fn save(&self, name: &str, text: &Secret) -> Result<()> {
            let mut texts = self.texts.lock().unwrap();
            texts.insert(name.to_owned(), text.clone());
            Ok(())
        }

        fn delete(&self, name: &str) -> Result<()> {
            self.texts.lock().unwrap().remove(name);
            Ok(())
        }
    }

    /// A store that is broken.
    #[derive(Debug)]
    struct Broken;

    impl CertificateStore for Broken {
        fn load(&self, _: &str) -> Result<Option<Secret>> {
            Err(ErrorKind::Config.error("broken"))
        }

        fn save(&self, _: &str, _: &Secret) -> Result<()> {
            Err(ErrorKind::CannotCreate.error("broken"))
        }

        fn delete(&self, _: &str) -> Result<()> {
            Err(ErrorKind::CannotCreate.error("broken"))
        }
    }

    #[tokio::test]
    async fn a_key_is_kept_for_a_day() {
        let shelf = Arc::new(Shelf::default());
        let made = |ahead: i64| {
            let clock = Clock::ahead_by(SignedDuration::from_hours(ahead));
            let kept = Kept::new(Arc::<Shelf>::clone(&shelf));
            async move {
                let key = ClientKey::kept_or_new(kept, clock).ready().await.unwrap();
                key.public_key_pem().to_owned()
            }
        };
        let first = made(0).await;
        assert_eq!(made(23).await, first);
        assert_ne!(made(25).await, first);
        assert_ne!(made(0).await, first, "one from the future is replaced");
        shelf
            .texts
            .lock()
            .unwrap()
            .insert(KEY.to_owned(), "{}".to_owned().into());
        made(0).await;
    }

    #[tokio::test]
    async fn a_store_that_is_broken_is_no_failure() {
        let kept = Kept::new(Arc::new(Broken));
        let key = ClientKey::kept_or_new(kept.clone(), Clock::system());
        key.ready().await.unwrap();
        assert!(kept.record("x".to_owned()).await.is_none());
        kept.forget("x".to_owned()).await;
    }

    #[test]
    fn names_tell_everything_apart() {
        assert_eq!(Kept::name(&["a", "b"]), Kept::name(&["a", "b"]));
        assert_ne!(Kept::name(&["a", "b"]), Kept::name(&["ab", ""]));
        assert_ne!(Kept::name(&["a"]), Kept::name(&["a", ""]));
    }
}
