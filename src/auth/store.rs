//! Where tokens stay between two runs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};

use super::token::TokenSet;
use crate::error::Result;
use crate::hex;
use crate::secret::Secret;

/// Which session: everything that changes what the tokens are belongs here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreKey {
    /// The provider, without a slash at the end.
    pub issuer: String,
    /// The client that the tokens are for.
    pub client_id: String,
    /// What was asked for, sorted.
    pub scopes: Vec<String>,
}

impl StoreKey {
    /// The key of the session at `issuer`. Order and repetition of scopes do not matter.
    pub fn new(issuer: &str, client_id: &str, scopes: &[String]) -> Self {
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        Self {
            issuer: issuer.trim_end_matches('/').to_owned(),
            client_id: client_id.to_owned(),
            scopes,
        }
    }

    /// A name for files and keyring entries: 64 hexadecimal digits. Says nothing about the company.
    pub fn file_name(&self) -> String {
        let mut hash = Context::new(&SHA256);
        let parts = [&self.issuer, &self.client_id];
        for part in parts.into_iter().chain(&self.scopes) {
            // The length first: otherwise two keys could be cut differently and still be the same.
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex::encode(hash.finish().as_ref())
    }
}

/// Keeps token sets. Called on a thread that may block.
pub trait TokenStore: std::fmt::Debug + Send + Sync + 'static {
    /// What keeps this session, for `whoami`: "the file `…`".
    fn name(&self, key: &StoreKey) -> String;

    /// Somebody is about to sign in: makes sure that tokens can be kept, before the person is asked for anything. The
    /// text is what they should know of where the tokens will be.
    fn begin(&self, key: &StoreKey) -> Result<Option<String>> {
        let _ = key;
        Ok(None)
    }

    /// The tokens of a session; None when there are none.
    fn load(&self, key: &StoreKey) -> Result<Option<TokenSet>>;

    /// Keeps the tokens, in place of those before. When it returns, they survive a crash.
    fn save(&self, key: &StoreKey, tokens: &TokenSet) -> Result<()>;

    /// Forgets the tokens, if there are any, and all that is kept beside them.
    fn delete(&self, key: &StoreKey) -> Result<()>;

    /// The text that is kept under `name` beside a session; None when there is none.
    fn load_beside(&self, key: &StoreKey, name: &str) -> Result<Option<Secret>>;

    /// Keeps a text beside a session, as safe as its tokens, in place of the one before. It need not survive a crash.
    /// Without a session nothing is kept.
    fn save_beside(&self, key: &StoreKey, name: &str, text: &Secret) -> Result<()>;

    /// Forgets a text beside a session, or all of them when there is no `name`.
    fn delete_beside(&self, key: &StoreKey, name: Option<&str>) -> Result<()>;
}

/// The tokens, and what is kept beside them.
type Sessions = HashMap<StoreKey, (TokenSet, HashMap<String, Secret>)>;

/// Keeps tokens as long as the process lives: for CI, and for those who want nothing on disk.
#[derive(Debug, Default)]
pub struct MemoryStore {
    sessions: Mutex<Sessions>,
}

impl MemoryStore {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // A map is whole even if somebody panicked while holding it.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for MemoryStore {
    fn name(&self, _: &StoreKey) -> String {
        "memory".to_owned()
    }

    fn load(&self, key: &StoreKey) -> Result<Option<TokenSet>> {
        let sessions = self.sessions();
        Ok(sessions.get(key).map(|(tokens, _)| tokens.clone()))
    }

    fn save(&self, key: &StoreKey, tokens: &TokenSet) -> Result<()> {
        let mut sessions = self.sessions();
        sessions
            .entry(key.clone())
            .or_insert_with(|| (tokens.clone(), HashMap::new()))
            .0 = tokens.clone();
        Ok(())
    }

    fn delete(&self, key: &StoreKey) -> Result<()> {
        self.sessions().remove(key);
        Ok(())
    }

    fn load_beside(&self, key: &StoreKey, name: &str) -> Result<Option<Secret>> {
        let sessions = self.sessions();
        Ok(sessions
            .get(key)
            .and_then(|(_, texts)| texts.get(name).cloned()))
    }

    fn save_beside(&self, key: &StoreKey, name: &str, text: &Secret) -> Result<()> {
        if let Some((_, texts)) = self.sessions().get_mut(key) {
            texts.insert(name.to_owned(), text.clone());
        }
        Ok(())
    }

    fn delete_beside(&self, key: &StoreKey, name: Option<&str>) -> Result<()> {
        if let Some((_, texts)) = self.sessions().get_mut(key) {
            texts.retain(|kept, _| name.is_some_and(|name| kept != name));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(issuer: &str, client_id: &str, scopes: &[&str]) -> StoreKey {
        let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
        StoreKey::new(issuer, client_id, &scopes)
    }

    #[test]
    fn one_session_has_one_name() {
        let name = key("https://op", "bsql", &["openid", "email"]).file_name();
        assert_eq!(name.len(), 64);
        assert_eq!(
            key("https://op/", "bsql", &["email", "openid", "email"]).file_name(),
            name
        );
        for other in [
            key("https://op2", "bsql", &["openid", "email"]),
            key("https://op", "bsql2", &["openid", "email"]),
            key("https://op", "bsql", &["openid"]),
            key("https://opb", "sql", &["openid", "email"]),
            key("https://op", "bsql", &["openidemail"]),
        ] {
            assert_ne!(other.file_name(), name, "{other:?}");
        }
    }

    #[test]
    fn memory_keeps_sessions_apart() {
        let store = MemoryStore::default();
        let tokens = TokenSet {
            id_token: "i".to_owned().into(),
            access_token: "a".to_owned().into(),
            refresh_token: None,
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let one = key("https://op", "bsql", &[]);
        store.save(&one, &tokens).unwrap();
        assert_eq!(store.load(&one).unwrap(), Some(tokens));
        assert_eq!(store.load(&key("https://op", "x", &[])).unwrap(), None);
        let text = Secret::from("t".to_owned());
        store.save_beside(&one, "name", &text).unwrap();
        assert_eq!(store.load_beside(&one, "name").unwrap(), Some(text));
        store.delete(&one).unwrap();
        assert_eq!(store.load(&one).unwrap(), None);
        assert_eq!(store.load_beside(&one, "name").unwrap(), None);
    }
}
