//! Sessions that only the operating system's keyring can open.
//!
//! The keyring holds a random key, and a file holds the tokens, sealed with it. That is the same safety (neither half is
//! of use without the other) and simpler than tokens in the keyring: the size of tokens does not matter (Windows keeps
//! 2,560 bytes, an ID token with many groups is larger), a rotated refresh token is one atomic file away from safety and
//! not a question to a daemon that may have locked itself meanwhile, and a session is forgotten by deleting a file, also
//! when the keyring cannot be reached.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use keyring_core::{Entry, Error as KeyringError};
use ring::digest::{SHA256, digest};

use super::sealing::SealingKey;
use super::store::{StoreKey, TokenStore};
use super::token::TokenSet;
use super::{beside, private_file};
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::hex;
use crate::secret::Secret;

/// The extension of what is kept beside a session.
const KEPT: &str = "kept-sealed";

/// What entries are filed under.
const SERVICE: &str = "bsql";

/// One sealed file for each session, in a directory of mode 0700, and one entry `bsql` in the keyring for its key.
#[derive(Debug)]
pub struct KeyringStore {
    directory: PathBuf,
    patience: Duration,
    /// Keys that have been read, so that a keyring is asked once in a process.
    keys: Mutex<HashMap<StoreKey, SealingKey>>,
}

impl KeyringStore {
    /// A store with its sealed files in `directory`, which is made when something is kept.
    ///
    /// `patience` is how long the keyring may take for an answer. Where somebody may be asked to unlock it, that is the
    /// time to type a password.
    pub fn new(directory: impl Into<PathBuf>, patience: Duration) -> Self {
        Self {
            directory: directory.into(),
            patience,
            keys: Mutex::default(),
        }
    }

    /// Makes sure that the keyring keeps the key of this session, now and for the next process.
    pub(super) fn prepare(&self, key: &StoreKey) -> Result<()> {
        let sealing = self.key_in_keyring(key)?;
        self.remember(key, sealing);
        Ok(())
    }

    /// When the session was sealed; None when there is none.
    pub(super) fn written(&self, key: &StoreKey) -> Option<SystemTime> {
        private_file::written(&self.path(key))
    }

    fn path(&self, key: &StoreKey) -> PathBuf {
        self.directory
            .join(key.file_name())
            .with_extension("sealed")
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<StoreKey, SealingKey>> {
        // A map is whole even if somebody panicked while holding it.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, key: &StoreKey, sealing: SealingKey) {
        self.keys().insert(key.clone(), sealing);
    }

    /// The name of the keyring's entry: of the session and of the directory, because two directories are two sessions,
    /// and signing out of one must not take the key of the other.
    fn account(&self, key: &StoreKey) -> String {
        let mut name = key.file_name();
        name.push_str(&self.directory.to_string_lossy());
        hex::encode(digest(&SHA256, name.as_bytes()).as_ref())
    }

    /// Does something with the session's entry. None when there is no such entry.
    fn ask<T: Send + 'static>(
        &self,
        key: &StoreKey,
        question: impl FnOnce(Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let (account, label) = (self.account(key), format!("bsql: {}", key.issuer));
        within(self.patience, move || question(entry(&account, &label)?))
    }

    fn find_key(&self, key: &StoreKey) -> Result<Option<SealingKey>> {
        let text = self.ask(key, |entry| entry.get_password())?;
        Ok(text.and_then(SealingKey::from_text))
    }

    /// The key that the keyring holds, else a new one that it holds from now on.
    fn key_in_keyring(&self, key: &StoreKey) -> Result<SealingKey> {
        if let Some(sealing) = self.find_key(key)? {
            return Ok(sealing);
        }
        let sealing = SealingKey::generate()?;
        let text = sealing.text().clone();
        self.ask(key, move |entry| entry.set_password(text.expose()))?;
        // Some services say yes and keep nothing. Better known now than at the next command.
        if self.find_key(key)?.as_ref() != Some(&sealing) {
            return Err(unavailable("the keyring does not keep what it is given"));
        }
        Ok(sealing)
    }

    /// The remembered key, if it opens what is there.
    fn remembered(&self, key: &StoreKey, sealed: &[u8]) -> Option<(SealingKey, TokenSet)> {
        let sealing = self.keys().get(key).cloned()?;
        let tokens = sealing.open(&key.file_name(), sealed)?;
        Some((sealing, tokens))
    }
}

impl TokenStore for KeyringStore {
    fn name(&self, _: &StoreKey) -> String {
        format!("the {KEYRING}")
    }

    fn begin(&self, key: &StoreKey) -> Result<Option<String>> {
        self.prepare(key).map(|()| None)
    }

    fn load(&self, key: &StoreKey) -> Result<Option<TokenSet>> {
        let path = self.path(key);
        // Nobody is signed in: nothing to ask the keyring for.
        let Some(sealed) = private_file::read(&path)? else {
            return Ok(None);
        };
        if let Some((_, tokens)) = self.remembered(key, &sealed) {
            return Ok(Some(tokens));
        }
        let Some(sealing) = self.find_key(key)? else {
            return Err(ErrorKind::SignedOut
                .error("signed out: the keyring does not have the key of the stored session")
                .hint("bsql login"));
        };
        let Some(tokens) = sealing.open(&key.file_name(), &sealed) else {
            return Err(does_not_open(&path));
        };
        self.remember(key, sealing);
        Ok(Some(tokens))
    }

    fn save(&self, key: &StoreKey, tokens: &TokenSet) -> Result<()> {
        let path = self.path(key);
        let known = match private_file::read(&path) {
            // The keyring may have locked itself since the session was read; a refreshed token is kept all the same.
            Ok(Some(sealed)) => self.remembered(key, &sealed).map(|(sealing, _)| sealing),
            // A sign-in, which has just asked for the key.
            Ok(None) => self.keys().get(key).cloned(),
            Err(_) => None,
        };
        let sealing = match known {
            Some(sealing) => sealing,
            None => self.key_in_keyring(key)?,
        };
        private_file::write(&path, &sealing.seal(&key.file_name(), tokens)?)?;
        self.remember(key, sealing);
        Ok(())
    }

    fn delete(&self, key: &StoreKey) -> Result<()> {
        let path = self.path(key);
        let was_there = private_file::written(&path).is_some();
        private_file::delete(&path)?;
        let beside = self.delete_beside(key, None);
        self.keys().remove(key);
        if was_there {
            // The tokens are gone; the key of nothing is only untidy.
            if let Err(error) = self.ask(key, |entry| entry.delete_credential()) {
                tracing::warn!(%error, "left a key without a session in the keyring");
            }
        }
        beside
    }

    fn load_beside(&self, key: &StoreKey, name: &str) -> Result<Option<Secret>> {
        let path = beside::path(&self.directory, key, name, KEPT);
        let Some(sealed) = private_file::read(&path)? else {
            return Ok(None);
        };
        // The session has been read before, most likely, and then the keyring is not asked again.
        let sealing = match self.keys().get(key).cloned() {
            Some(sealing) => Some(sealing),
            None => self.find_key(key)?,
        };
        Ok(sealing.and_then(|sealing| sealing.open_text(&file_name(&path), &sealed)))
    }

    fn save_beside(&self, key: &StoreKey, name: &str, text: &Secret) -> Result<()> {
        let sealing = self.keys().get(key).cloned();
        let (Some(sealing), Some(_)) = (sealing, self.written(key)) else {
            return Ok(());
        };
        let path = beside::path(&self.directory, key, name, KEPT);
        private_file::write_dispensable(&path, &sealing.seal_text(&file_name(&path), text)?)
    }

    fn delete_beside(&self, key: &StoreKey, name: Option<&str>) -> Result<()> {
        beside::delete(&self.directory, key, name, KEPT)
    }
}

/// What a text beside a session is sealed for: no file opens in another's place.
fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Asks a keyring on a thread of its own: it may wait for a person who is not there, and the D-Bus library blocks and
/// brings an executor of its own, which must not meet ours. A thread that gets no answer is left behind; it holds nothing,
/// and ends with the process.
fn within<T: Send + 'static>(
    patience: Duration,
    question: impl FnOnce() -> keyring_core::Result<T> + Send + 'static,
) -> Result<Option<T>> {
    let (answer, answered) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("keyring".to_owned())
        .spawn(move || {
            // Nobody listens any more when it took too long.
            let _ = answer.send(question());
        })
        .or_fail(ErrorKind::Internal, || "cannot start a thread")?;
    match answered.recv_timeout(patience) {
        Ok(Ok(value)) => Ok(Some(value)),
        Ok(Err(KeyringError::NoEntry)) => Ok(None),
        Ok(Err(error)) => Err(explain(&error)),
        Err(RecvTimeoutError::Timeout) => Err(locked(&format!(
            "the keyring did not answer within {} s; perhaps it waits to be unlocked",
            patience.as_secs()
        ))),
        Err(RecvTimeoutError::Disconnected) => {
            Err(ErrorKind::Internal.error("the keyring's thread ended without an answer"))
        }
    }
}

#[cfg(all(unix, not(target_os = "macos")))]
const KEYRING: &str = "keyring (Secret Service)";
#[cfg(target_os = "macos")]
const KEYRING: &str = "keychain";
#[cfg(windows)]
const KEYRING: &str = "Windows Credential Manager";

/// The entry, which need not exist. Connects to the keyring.
#[cfg(all(unix, not(target_os = "macos")))]
fn entry(account: &str, label: &str) -> keyring_core::Result<Entry> {
    use keyring_core::api::CredentialStoreApi as _;

    let labelled = HashMap::from([("label", label)]);
    zbus_secret_service_keyring_store::Store::new()?.build(SERVICE, account, Some(&labelled))
}

#[cfg(target_os = "macos")]
fn entry(account: &str, _label: &str) -> keyring_core::Result<Entry> {
    use keyring_core::api::CredentialStoreApi as _;

    apple_native_keyring_store::keychain::Store::new()?.build(SERVICE, account, None)
}

#[cfg(windows)]
fn entry(account: &str, _label: &str) -> keyring_core::Result<Entry> {
    use keyring_core::api::CredentialStoreApi as _;

    windows_native_keyring_store::Store::new()?.build(SERVICE, account, None)
}

/// The keyring's own words, without what an entry may hold.
fn explain(error: &KeyringError) -> Error {
    let (what, why) = match error {
        KeyringError::NoStorageAccess(why) => (
            "the keyring is locked, or was never set up",
            why.to_string(),
        ),
        KeyringError::PlatformFailure(why) => ("no keyring can be reached", why.to_string()),
        // These carry what was read, and might print it.
        KeyringError::BadEncoding(_) | KeyringError::BadDataFormat(..) => {
            ("the keyring's entry is not bsql's", String::new())
        }
        other => ("the keyring failed", other.to_string()),
    };
    let error = if matches!(error, KeyringError::NoStorageAccess(_)) {
        locked(what)
    } else {
        unavailable(what)
    };
    if why.is_empty() {
        error
    } else {
        error.because(anyhow::anyhow!(printable(&why)))
    }
}

fn locked(what: &str) -> Error {
    ErrorKind::Unavailable
        .error(what)
        .hint("unlock the keyring and run it again")
        .hint(format!("or {IN_A_FILE}"))
}

fn unavailable(what: &str) -> Error {
    ErrorKind::Unavailable.error(what).hint(IN_A_FILE)
}

const IN_A_FILE: &str =
    "keep the session in a file that only you can read: bsql login --store file";

fn does_not_open(path: &Path) -> Error {
    ErrorKind::SignedOut
        .error(format!(
            "signed out: the key in the keyring does not open `{}`",
            path.display()
        ))
        .hint("bsql login")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    impl KeyringStore {
        /// As if the keyring had given a key.
        pub(in crate::auth) fn remember_new_key(&self, key: &StoreKey) {
            self.remember(key, SealingKey::generate().unwrap());
        }
    }

    fn tokens(refresh_token: &str) -> TokenSet {
        TokenSet {
            id_token: "i".repeat(5_000).into(),
            access_token: "a".to_owned().into(),
            refresh_token: Some(refresh_token.to_owned().into()),
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn store() -> (tempfile::TempDir, KeyringStore, StoreKey) {
        let directory = tempfile::tempdir().unwrap();
        let store = KeyringStore::new(directory.path().join("tokens"), Duration::from_secs(3));
        (directory, store, StoreKey::new("https://op", "bsql", &[]))
    }

    #[test]
    fn nobody_is_signed_in_without_asking_the_keyring() {
        let (_directory, store, key) = store();
        let start = Instant::now();
        assert_eq!(store.load(&key).unwrap(), None);
        store.delete(&key).unwrap();
        assert!(start.elapsed() < Duration::from_millis(50));
    }

    #[test]
    fn a_file_says_nothing_without_its_key() {
        let (_directory, store, key) = store();
        store.remember_new_key(&key);
        store.save(&key, &tokens("refresh-me")).unwrap();
        assert_eq!(store.load(&key).unwrap(), Some(tokens("refresh-me")));
        let sealed = std::fs::read(store.path(&key)).unwrap();
        assert!(!sealed.windows(10).any(|part| part == b"refresh-me"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let metadata = std::fs::metadata(store.path(&key)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn two_directories_have_two_keys() {
        let (_one, one, key) = store();
        let (_other, other, _) = store();
        assert_eq!(one.account(&key).len(), 64);
        assert_eq!(one.account(&key), one.account(&key));
        assert_ne!(one.account(&key), other.account(&key));
    }

    #[test]
    fn a_keyring_that_does_not_answer_is_not_waited_for() {
        let (hold, held) = mpsc::channel::<()>();
        let question = move || {
            let _ = held.recv();
            Ok(())
        };
        let error = within(Duration::from_millis(1), question).unwrap_err();
        drop(hold);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error
                .to_string()
                .starts_with("the keyring did not answer within 0 s"),
            "{error}"
        );
    }

    #[test]
    fn no_entry_is_an_answer_and_a_panic_is_a_bug() {
        let patience = Duration::from_secs(10);
        assert_eq!(within(patience, || Ok(1)).unwrap(), Some(1));
        let none = within::<()>(patience, || Err(KeyringError::NoEntry));
        assert_eq!(none.unwrap(), None);
        let error = within::<()>(patience, || panic!("a library gave up")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }

    #[test]
    fn failures_are_told_apart_and_print_no_secret() {
        let cause = || Box::from("why\u{1b}[31m");
        for (error, says, because) in [
            (KeyringError::NoStorageAccess(cause()), "locked", true),
            (
                KeyringError::PlatformFailure(cause()),
                "can be reached",
                true,
            ),
            (
                KeyringError::BadEncoding(b"hunter2".into()),
                "not bsql's",
                false,
            ),
            (
                KeyringError::BadDataFormat(b"hunter2".into(), cause()),
                "not bsql's",
                false,
            ),
        ] {
            let error = explain(&error);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains(says), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"));
            let causes = error.causes();
            assert_eq!(!causes.is_empty(), because, "{causes:?}");
            assert!(causes.iter().all(|cause| !cause.contains('\u{1b}')));
            assert!(
                error
                    .next_steps()
                    .iter()
                    .any(|hint| hint.ends_with("bsql login --store file"))
            );
        }
    }
}
