//! Tokens sealed with a key that is kept elsewhere: a file that says nothing without the keyring.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::token::TokenSet;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// What a sealed file begins with; a later format gets another one.
const MAGIC: &[u8] = b"bsql-sealed-1\n";

const KEY_LEN: usize = 32;

/// A random key for AES-256-GCM.
///
/// As text, because some keyrings (`KeePassXC`) keep nothing but text well: 43 characters of base64, which are 86 bytes
/// on Windows, of the 2,560 it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SealingKey(Secret);

impl SealingKey {
    /// A new one.
    pub(super) fn generate() -> Result<Self> {
        let key: [u8; KEY_LEN] = random()?;
        Ok(Self(URL_SAFE_NO_PAD.encode(key).into()))
    }

    /// The key in a keyring's entry; None if it is anything else.
    pub(super) fn from_text(text: String) -> Option<Self> {
        let key = Self(text.into());
        key.cipher().map(|_| key)
    }

    /// The text to keep.
    pub(super) fn text(&self) -> &Secret {
        &self.0
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = URL_SAFE_NO_PAD.decode(self.0.expose()).ok()?;
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?))
    }

    /// Seals the tokens of the session `name`; they open under that name only.
    ///
    /// The nonce is random. A session is saved some thousand times in its life, far from the 2^32 that NIST SP 800-38D
    /// section 8.3 allows one key.
    pub(super) fn seal(&self, name: &str, tokens: &TokenSet) -> Result<Vec<u8>> {
        self.seal_text(name, &tokens.to_stored())
    }

    /// Seals any text, which opens under `name` only.
    pub(super) fn seal_text(&self, name: &str, text: &Secret) -> Result<Vec<u8>> {
        let failed = || ErrorKind::Internal.error("cannot seal the session");
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut text = text.expose().as_bytes().to_vec();
        self.cipher()
            .ok_or_else(failed)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut text,
            )
            .map_err(|_| failed())?;
        Ok([MAGIC, &nonce, &text].concat())
    }

    /// Opens what [`seal`](Self::seal) yielded; None if it was sealed with another key, for another session, or was
    /// changed since.
    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Option<TokenSet> {
        TokenSet::from_stored(self.open_text(name, sealed)?.expose())
    }

    /// Opens what [`seal_text`](Self::seal_text) yielded; None as [`open`](Self::open).
    pub(super) fn open_text(&self, name: &str, sealed: &[u8]) -> Option<Secret> {
        let sealed = sealed.strip_prefix(MAGIC)?;
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let mut text = text.to_vec();
        let text = self
            .cipher()?
            .open_in_place(
                Nonce::try_assume_unique_for_key(nonce).ok()?,
                Aad::from(name.as_bytes()),
                &mut text,
            )
            .ok()?;
        Some(std::str::from_utf8(text).ok()?.to_owned().into())
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ErrorKind::Internal.error("the operating system gives no random numbers"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> TokenSet {
        TokenSet {
            id_token: "i".repeat(20_000).into(),
            access_token: "a".to_owned().into(),
            refresh_token: Some("refresh-me".to_owned().into()),
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn opens_with_its_key_and_under_its_name_only() {
        let key = SealingKey::generate().unwrap();
        let sealed = key.seal("name", &tokens()).unwrap();
        assert_eq!(key.open("name", &sealed), Some(tokens()));
        assert_eq!(key.open("other", &sealed), None);
        let other = SealingKey::generate().unwrap();
        assert_ne!(other, key);
        assert_eq!(other.open("name", &sealed), None);
        assert!(!sealed.windows(10).any(|part| part == b"refresh-me"));
    }

    #[test]
    fn never_twice_the_same() {
        let key = SealingKey::generate().unwrap();
        let seal = || key.seal("name", &tokens()).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn no_byte_can_be_changed_or_cut() {
        let key = SealingKey::generate().unwrap();
        let small = TokenSet {
            id_token: "i".to_owned().into(),
            ..tokens()
        };
        let sealed = key.seal("name", &small).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open("name", &changed), None, "{at}");
            assert_eq!(key.open("name", &sealed[..at]), None, "{at}");
        }
    }

    #[test]
    fn what_a_keyring_holds_may_not_be_a_key() {
        let key = SealingKey::generate().unwrap();
        let text = key.text().expose().to_owned();
        assert_eq!(text.len(), 43);
        assert_eq!(SealingKey::from_text(text.clone()), Some(key));
        for text in [String::new(), "hunter2".to_owned(), text + "AAAA"] {
            assert_eq!(SealingKey::from_text(text), None);
        }
    }
}
