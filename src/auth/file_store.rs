//! Tokens in files that only the user can read: for machines without a keyring.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::store::{StoreKey, TokenStore};
use super::token::TokenSet;
use super::{beside, private_file};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::secret::Secret;

/// The extension of what is kept beside a session.
const KEPT: &str = "kept";

/// One file for each session, mode 0600, in a directory of mode 0700.
///
/// A file is replaced as a whole, so a reader sees the old tokens or the new ones, also after a crash. Locking is the
/// session's business, with files of their own.
#[derive(Debug, Clone)]
pub struct FileStore {
    directory: PathBuf,
}

impl FileStore {
    /// A store in `directory`, which is made when something is kept.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    fn path(&self, key: &StoreKey) -> PathBuf {
        self.directory.join(key.file_name())
    }

    /// When the session was written; None when there is none.
    pub(super) fn written(&self, key: &StoreKey) -> Option<SystemTime> {
        private_file::written(&self.path(key))
    }

    /// Where a file goes that cannot be read, so that nothing is lost.
    fn aside(path: &Path) -> PathBuf {
        path.with_extension("unreadable")
    }
}

impl TokenStore for FileStore {
    fn name(&self, _: &StoreKey) -> String {
        format!("files in `{}`", self.directory.display())
    }

    fn load(&self, key: &StoreKey) -> Result<Option<TokenSet>> {
        let path = self.path(key);
        let Some(bytes) = private_file::read(&path)? else {
            return Ok(None);
        };
        let tokens = std::str::from_utf8(&bytes)
            .ok()
            .and_then(TokenSet::from_stored);
        if tokens.is_some() {
            return Ok(tokens);
        }
        let aside = Self::aside(&path);
        fs::rename(&path, &aside).or_fail(ErrorKind::CannotCreate, || {
            format!("cannot move the damaged `{}` aside", path.display())
        })?;
        tracing::warn!(path = %aside.display(), "kept a damaged session file aside");
        Err(ErrorKind::SignedOut
            .error(format!(
                "signed out: the stored session was damaged, and is kept as `{}`",
                aside.display()
            ))
            .hint("bsql login"))
    }

    fn save(&self, key: &StoreKey, tokens: &TokenSet) -> Result<()> {
        private_file::write(&self.path(key), tokens.to_stored().expose().as_bytes())
    }

    fn delete(&self, key: &StoreKey) -> Result<()> {
        let path = self.path(key);
        private_file::delete(&Self::aside(&path))?;
        private_file::delete(&path)?;
        self.delete_beside(key, None)
    }

    fn load_beside(&self, key: &StoreKey, name: &str) -> Result<Option<Secret>> {
        let path = beside::path(&self.directory, key, name, KEPT);
        let bytes = private_file::read(&path)?;
        Ok(bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Secret::from))
    }

    fn save_beside(&self, key: &StoreKey, name: &str, text: &Secret) -> Result<()> {
        if self.written(key).is_none() {
            return Ok(());
        }
        let path = beside::path(&self.directory, key, name, KEPT);
        private_file::write_dispensable(&path, text.expose().as_bytes())
    }

    fn delete_beside(&self, key: &StoreKey, name: Option<&str>) -> Result<()> {
        beside::delete(&self.directory, key, name, KEPT)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use jiff::Timestamp;

    use super::*;
    use crate::secret::Secret;

    fn tokens(refresh_token: &str) -> TokenSet {
        TokenSet {
            id_token: "i".to_owned().into(),
            access_token: "a".to_owned().into(),
            refresh_token: Some(Secret::from(refresh_token.to_owned())),
            expires_at: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    fn store() -> (tempfile::TempDir, FileStore, StoreKey) {
        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::new(directory.path().join("deep/sessions"));
        (directory, store, StoreKey::new("https://op", "bsql", &[]))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keeps_replaces_and_forgets() {
        let (_directory, store, key) = store();
        assert_eq!(store.load(&key).unwrap(), None);
        store.save(&key, &tokens("1")).unwrap();
        store.save(&key, &tokens("2")).unwrap();
        assert_eq!(store.load(&key).unwrap(), Some(tokens("2")));
        assert_eq!(mode(&store.directory), 0o700);
        assert_eq!(mode(&store.path(&key)), 0o600);
        let left: Vec<_> = fs::read_dir(&store.directory).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays behind");
        store.delete(&key).unwrap();
        store.delete(&key).unwrap();
        assert_eq!(store.load(&key).unwrap(), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_replaced() {
        let (_directory, store, key) = store();
        store.save(&key, &tokens("1")).unwrap();
        for open in [0o640, 0o604, 0o620, 0o660] {
            fs::set_permissions(store.path(&key), fs::Permissions::from_mode(open)).unwrap();
            let error = store.load(&key).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{open:o}");
            assert!(error.to_string().contains("0600"), "{error}");
        }
        store.save(&key, &tokens("2")).unwrap();
        assert_eq!(store.load(&key).unwrap(), Some(tokens("2")));
    }

    #[test]
    fn a_link_is_refused_and_not_written_through() {
        let (directory, store, key) = store();
        store.save(&key, &tokens("1")).unwrap();
        let elsewhere = directory.path().join("elsewhere");
        fs::rename(store.path(&key), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, store.path(&key)).unwrap();
        let error = store.load(&key).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        let before = fs::read(&elsewhere).unwrap();
        store.save(&key, &tokens("2")).unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), before);
        assert_eq!(store.load(&key).unwrap(), Some(tokens("2")));
    }

    #[test]
    fn a_fifo_in_its_place_does_not_hold_the_program_up() {
        let (_directory, store, key) = store();
        private_file::make_directory(&store.directory).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            store.path(&key),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let error = store.load(&key).unwrap_err();
        assert!(error.to_string().contains("not a file"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_kept_aside_and_said_so_once() {
        let (_directory, store, key) = store();
        for damage in [&b"{\"version\":1,\"id_to"[..], b"\xff\xfe", b""] {
            store.save(&key, &tokens("1")).unwrap();
            fs::write(store.path(&key), damage).unwrap();
            let error = store.load(&key).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SignedOut);
            let aside = FileStore::aside(&store.path(&key));
            assert!(error.to_string().contains(&aside.display().to_string()));
            assert_eq!(fs::read(&aside).unwrap(), damage);
            assert_eq!(mode(&aside), 0o600);
            assert_eq!(store.load(&key).unwrap(), None, "said once");
        }
        store.delete(&key).unwrap();
        assert_eq!(fs::read_dir(&store.directory).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let (_directory, store, key) = store();
        store.save(&key, &tokens("1")).unwrap();
        fs::set_permissions(&store.directory, fs::Permissions::from_mode(0o777)).unwrap();
        let error = store.save(&key, &tokens("2")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert!(error.next_steps()[0].starts_with("chmod 700 "));
    }
}
