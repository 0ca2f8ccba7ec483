//! Which store keeps a session: the keyring, a file where there is none, or whichever the person wants.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::file_store::FileStore;
use super::keyring::KeyringStore;
use super::store::{MemoryStore, StoreKey, TokenStore};
use super::token::TokenSet;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Where tokens are to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreChoice {
    /// The keyring, else a file.
    #[default]
    Auto,
    /// The keyring, or nobody signs in.
    Keyring,
    /// A file that only the user can read.
    File,
    /// Nowhere: they are gone with the process.
    Memory,
}

impl StoreChoice {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Keyring => "keyring",
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StoreChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Auto, Self::Keyring, Self::File, Self::Memory]
            .into_iter()
            .find(|choice| choice.name() == name)
            .ok_or_else(|| {
                ErrorKind::Usage
                    .error(format!("there is no token store `{name}`"))
                    .hint("auto, keyring, file or memory")
            })
    }
}

/// The store of that name, with its files in `directory`. Nothing is touched yet.
///
/// `patience` is how long a keyring may take for an answer, see [`KeyringStore::new`].
pub fn open_store(
    choice: StoreChoice,
    directory: &Path,
    patience: Duration,
) -> Arc<dyn TokenStore> {
    match choice {
        StoreChoice::Memory => Arc::new(MemoryStore::default()),
        choice => Arc::new(KeyringOrFile::new(choice, directory, patience)),
    }
}

/// The keyring and a file, of which one at a time keeps a session.
///
/// Which one is decided when somebody signs in, and holds until they sign out: a keyring that comes and goes, as in SSH
/// sessions, must not leave two copies, of which one has a refresh token that was used already. Each write deletes the
/// other copy after its own; if a crash comes in between, the later one is right.
#[derive(Debug)]
struct KeyringOrFile {
    choice: StoreChoice,
    keyring: KeyringStore,
    file: FileStore,
    /// For a sign-in that has begun and has nothing to keep yet.
    decided: Mutex<HashMap<StoreKey, Place>>,
    /// A sign-in of this process went to a file for want of a keyring; the person has been told.
    fell_back: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Keyring,
    File,
}

impl KeyringOrFile {
    fn new(choice: StoreChoice, directory: &Path, patience: Duration) -> Self {
        Self {
            choice,
            keyring: KeyringStore::new(directory, patience),
            file: FileStore::new(directory),
            decided: Mutex::default(),
            fell_back: AtomicBool::new(false),
        }
    }

    fn decided(&self) -> MutexGuard<'_, HashMap<StoreKey, Place>> {
        // A map is whole even if somebody panicked while holding it.
        self.decided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, key: &StoreKey, place: Place) {
        self.decided().insert(key.clone(), place);
    }

    /// Where the session is, as the files on disk tell: asking a keyring takes time and may bother the person.
    fn place(&self, key: &StoreKey) -> Place {
        match self.choice {
            StoreChoice::Keyring => return Place::Keyring,
            StoreChoice::File => return Place::File,
            StoreChoice::Auto | StoreChoice::Memory => {}
        }
        if let Some(place) = self.decided().get(key) {
            return *place;
        }
        match (self.keyring.written(key), self.file.written(key)) {
            (Some(sealed), Some(open)) if open > sealed => Place::File,
            (Some(_), _) => Place::Keyring,
            (None, _) => Place::File,
        }
    }
}

impl TokenStore for KeyringOrFile {
    fn name(&self, key: &StoreKey) -> String {
        match self.place(key) {
            Place::Keyring => self.keyring.name(key),
            Place::File => self.file.name(key),
        }
    }

    fn begin(&self, key: &StoreKey) -> Result<Option<String>> {
        match self.choice {
            StoreChoice::Keyring => self.keyring.begin(key),
            StoreChoice::File => self.file.begin(key),
            // One command can sign in twice, to the provider and to Backstage: once is enough to wait and to warn.
            _ if self.fell_back.load(Ordering::Relaxed) => {
                self.decide(key, Place::File);
                Ok(None)
            }
            StoreChoice::Auto | StoreChoice::Memory => match self.keyring.begin(key) {
                Ok(note) => {
                    self.decide(key, Place::Keyring);
                    Ok(note)
                }
                Err(error) => {
                    self.decide(key, Place::File);
                    self.fell_back.store(true, Ordering::Relaxed);
                    let why = error.causes().into_iter().map(|cause| format!(": {cause}"));
                    Ok(Some(format!(
                        "the session will be in {}, because {error}{}",
                        self.file.name(key),
                        why.collect::<String>()
                    )))
                }
            },
        }
    }

    fn load(&self, key: &StoreKey) -> Result<Option<TokenSet>> {
        if self.place(key) == Place::File {
            return self.file.load(key);
        }
        let tokens = self.keyring.load(key)?;
        // What is older than the sealed session is left from a crash. A newer one is being written at this moment.
        if let (Some(sealed), Some(open)) = (self.keyring.written(key), self.file.written(key))
            && open <= sealed
        {
            self.file.delete(key)?;
        }
        Ok(tokens)
    }

    fn save(&self, key: &StoreKey, tokens: &TokenSet) -> Result<()> {
        match self.place(key) {
            Place::Keyring => {
                self.keyring.save(key, tokens)?;
                self.file.delete(key)?;
            }
            Place::File => {
                self.file.save(key, tokens)?;
                self.keyring.delete(key)?;
            }
        }
        // From now on the files tell, also when another process changes them.
        self.decided().remove(key);
        Ok(())
    }

    fn delete(&self, key: &StoreKey) -> Result<()> {
        self.decided().remove(key);
        let sealed = self.keyring.delete(key);
        self.file.delete(key)?;
        sealed
    }

    fn load_beside(&self, key: &StoreKey, name: &str) -> Result<Option<Secret>> {
        match self.place(key) {
            Place::Keyring => self.keyring.load_beside(key, name),
            Place::File => self.file.load_beside(key, name),
        }
    }

    fn save_beside(&self, key: &StoreKey, name: &str, text: &Secret) -> Result<()> {
        match self.place(key) {
            Place::Keyring => self.keyring.save_beside(key, name, text),
            Place::File => self.file.save_beside(key, name, text),
        }
    }

    fn delete_beside(&self, key: &StoreKey, name: Option<&str>) -> Result<()> {
        let sealed = self.keyring.delete_beside(key, name);
        self.file.delete_beside(key, name)?;
        sealed
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::beside;
    use super::*;

    fn tokens(refresh_token: &str) -> TokenSet {
        TokenSet {
            id_token: "i".to_owned().into(),
            access_token: "a".to_owned().into(),
            refresh_token: Some(refresh_token.to_owned().into()),
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn key() -> StoreKey {
        StoreKey::new("https://op", "bsql", &[])
    }

    fn open(choice: StoreChoice, directory: &Path) -> KeyringOrFile {
        KeyringOrFile::new(choice, directory, Duration::from_secs(3))
    }

    /// As a store that has asked the keyring and got a key.
    fn with_keyring(directory: &Path) -> KeyringOrFile {
        let store = open(StoreChoice::Auto, directory);
        store.keyring.remember_new_key(&key());
        store.decide(&key(), Place::Keyring);
        store
    }

    #[test]
    fn choices_are_read_by_their_names() {
        for name in ["auto", "keyring", "file", "memory"] {
            assert_eq!(name.parse::<StoreChoice>().unwrap().to_string(), name);
        }
        let error = "cloud".parse::<StoreChoice>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }

    #[test]
    fn the_keyring_takes_the_place_of_a_file_and_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = FileStore::new(directory.path());
        file.save(&key(), &tokens("old")).unwrap();
        let store = with_keyring(directory.path());
        store.save(&key(), &tokens("new")).unwrap();
        assert_eq!(file.load(&key()).unwrap(), None, "one copy");
        assert_eq!(store.load(&key()).unwrap(), Some(tokens("new")));
        assert!(store.name(&key()).contains("key"), "{}", store.name(&key()));
        // A refresh, later: the same place, and nobody is asked.
        store.save(&key(), &tokens("newer")).unwrap();
        assert_eq!(store.load(&key()).unwrap(), Some(tokens("newer")));
        assert!(file.written(&key()).is_none());
    }

    #[test]
    fn a_file_takes_the_place_of_the_keyring_and_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = with_keyring(directory.path());
        store.save(&key(), &tokens("sealed")).unwrap();
        store.decide(&key(), Place::File);
        store.save(&key(), &tokens("open")).unwrap();
        assert_eq!(store.keyring.written(&key()), None, "one copy");
        let other = open(StoreChoice::Auto, directory.path());
        assert_eq!(other.load(&key()).unwrap(), Some(tokens("open")));
        other.save(&key(), &tokens("refreshed")).unwrap();
        assert_eq!(store.load(&key()).unwrap(), Some(tokens("refreshed")));
        assert!(other.name(&key()).starts_with("files in "));
    }

    #[test]
    fn the_second_sign_in_of_a_command_is_not_warned_of() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(StoreChoice::Auto, directory.path());
        store.fell_back.store(true, Ordering::Relaxed);
        assert_eq!(store.begin(&key()).unwrap(), None);
        store.save(&key(), &tokens("1")).unwrap();
        assert!(store.file.written(&key()).is_some());
    }

    #[test]
    fn of_two_copies_the_later_one_is_right() {
        let directory = tempfile::tempdir().unwrap();
        let store = with_keyring(directory.path());
        let set_time = |time: SystemTime| {
            let path = directory.path().join(key().file_name());
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        };
        store.save(&key(), &tokens("sealed")).unwrap();
        let sealed = store.keyring.written(&key()).unwrap();

        store.file.save(&key(), &tokens("open")).unwrap();
        set_time(sealed + Duration::from_secs(1));
        assert_eq!(store.load(&key()).unwrap(), Some(tokens("open")));

        set_time(sealed - Duration::from_secs(1));
        assert_eq!(store.load(&key()).unwrap(), Some(tokens("sealed")));
        assert!(
            store.file.written(&key()).is_none(),
            "the stale copy is gone"
        );
    }

    #[test]
    fn what_is_kept_beside_a_session_is_as_safe_and_goes_with_it() {
        let text = Secret::from("the-text".to_owned());
        let files = |directory: &Path| {
            let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
            files
                .map(|file| std::fs::read(file.path()).unwrap())
                .collect::<Vec<_>>()
        };
        for in_keyring in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let store = if in_keyring {
                with_keyring(directory.path())
            } else {
                open(StoreChoice::File, directory.path())
            };
            store.save_beside(&key(), "one", &text).unwrap();
            assert!(files(directory.path()).is_empty(), "without a session");

            store.save(&key(), &tokens("1")).unwrap();
            for name in ["one", "two"] {
                store.save_beside(&key(), name, &text).unwrap();
                assert_eq!(store.load_beside(&key(), name).unwrap(), Some(text.clone()));
            }
            let in_the_clear = files(directory.path())
                .iter()
                .filter(|bytes| bytes.windows(8).any(|part| part == b"the-text"))
                .count();
            assert_eq!(in_the_clear, if in_keyring { 0 } else { 2 });
            store.delete_beside(&key(), Some("one")).unwrap();
            assert_eq!(store.load_beside(&key(), "one").unwrap(), None);
            assert!(store.load_beside(&key(), "two").unwrap().is_some());

            if in_keyring {
                // Nobody can put one text in another's place.
                let at = |name| beside::path(directory.path(), &key(), name, "kept-sealed");
                std::fs::copy(at("two"), at("one")).unwrap();
                assert_eq!(store.load_beside(&key(), "one").unwrap(), None);
            }
            store.delete(&key()).unwrap();
            assert!(files(directory.path()).is_empty());
        }
    }

    #[test]
    fn both_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = with_keyring(directory.path());
        store.save(&key(), &tokens("sealed")).unwrap();
        store.file.save(&key(), &tokens("open")).unwrap();
        store.delete(&key()).unwrap();
        assert_eq!(store.load(&key()).unwrap(), None);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn memory_keeps_nothing_for_another() {
        let directory = tempfile::tempdir().unwrap();
        let another = || open_store(StoreChoice::Memory, directory.path(), Duration::ZERO);
        let store = another();
        assert_eq!(store.begin(&key()).unwrap(), None);
        store.save(&key(), &tokens("1")).unwrap();
        assert_eq!(store.load(&key()).unwrap(), Some(tokens("1")));
        assert_eq!(another().load(&key()).unwrap(), None);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
