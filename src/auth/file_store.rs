//! Tokens in files that only the user can read: for machines without a keyring.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::store::{StoreKey, TokenStore};
use super::token::TokenSet;
use crate::error::{ErrorKind, Result, ResultExt as _};

/// Tokens with hundreds of groups are some 10 KiB. What is larger is not ours.
const FILE_LIMIT: u64 = 1024 * 1024;

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

    /// Where a file goes that cannot be read, so that nothing is lost.
    fn aside(path: &Path) -> PathBuf {
        path.with_extension("unreadable")
    }
}

impl TokenStore for FileStore {
    fn name(&self) -> String {
        format!("files in `{}`", self.directory.display())
    }

    fn load(&self, key: &StoreKey) -> Result<Option<TokenSet>> {
        let path = self.path(key);
        let file = match open_without_following(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(error) if is_symlink(&path) => {
                return Err(unsafe_file(&path, "it is a symbolic link").because(error));
            }
            Err(error) => {
                return Err(ErrorKind::Config
                    .error(format!("cannot read the session in `{}`", path.display()))
                    .because(error));
            }
        };
        if let Some(why) = unsafe_because(&file).or_fail(ErrorKind::Config, || {
            format!("cannot tell who can read `{}`", path.display())
        })? {
            return Err(unsafe_file(&path, why));
        }
        let mut text = String::new();
        let read = file.take(FILE_LIMIT).read_to_string(&mut text);
        match (read, TokenSet::from_stored(&text)) {
            (Ok(_), Some(tokens)) => Ok(Some(tokens)),
            (Err(error), _) if error.kind() != IoErrorKind::InvalidData => Err(ErrorKind::Config
                .error(format!("cannot read the session in `{}`", path.display()))
                .because(error)),
            _ => {
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
        }
    }

    fn save(&self, key: &StoreKey, tokens: &TokenSet) -> Result<()> {
        make_private_directory(&self.directory)?;
        let path = self.path(key);
        // Renaming replaces a link or a file of wider mode that may be there, it does not write through it.
        write_atomically(&self.directory, &path, tokens.to_stored().expose())
            .or_fail(ErrorKind::CannotCreate, || {
                format!("cannot keep the session in `{}`", path.display())
            })
    }

    fn delete(&self, key: &StoreKey) -> Result<()> {
        let path = self.path(key);
        for path in [Self::aside(&path), path] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != IoErrorKind::NotFound => {
                    return Err(ErrorKind::CannotCreate
                        .error(format!("cannot delete `{}`", path.display()))
                        .because(error)
                        .hint(format!("delete {} yourself", path.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn unsafe_file(path: &Path, why: &str) -> crate::error::Error {
    ErrorKind::Config
        .error(format!(
            "the session in `{}` is not used: {why}",
            path.display()
        ))
        .hint("sign in again to replace it: bsql login")
}

fn write_atomically(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    // Made with mode 0600, and deleted if anything fails.
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

/// The rename itself must survive a crash: a rotated refresh token that is lost ends the session.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn open_without_following(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    // Non-blocking, lest a FIFO in the file's place hold the program up.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).expect("flags fit a C int"))
        .open(path)
}

#[cfg(not(unix))]
fn open_without_following(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

fn is_symlink(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Asks the open file, not the path, which may change in between.
#[cfg(unix)]
fn unsafe_because(file: &File) -> io::Result<Option<&'static str>> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = file.metadata()?;
    Ok(if !metadata.is_file() {
        Some("it is not a file")
    } else if metadata.uid() != rustix::process::geteuid().as_raw() {
        Some("it belongs to another user")
    } else if metadata.mode() & 0o077 != 0 {
        Some("others may read or write it (it should have mode 0600)")
    } else {
        None
    })
}

/// Elsewhere the user's profile directory is what keeps others out.
#[cfg(not(unix))]
fn unsafe_because(file: &File) -> io::Result<Option<&'static str>> {
    Ok((!file.metadata()?.is_file()).then_some("it is not a file"))
}

/// Makes `directory` if need be, for the user only, and refuses one that others can put files into.
pub(super) fn make_private_directory(directory: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(directory)
        .or_fail(ErrorKind::CannotCreate, || {
            format!("cannot make the directory `{}`", directory.display())
        })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        let metadata = fs::metadata(directory).or_fail(ErrorKind::CannotCreate, || {
            format!("cannot use the directory `{}`", directory.display())
        })?;
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            return Err(ErrorKind::CannotCreate
                .error(format!(
                    "the directory `{}` is open to others",
                    directory.display()
                ))
                .hint(format!("chmod 700 {}", directory.display())));
        }
    }
    Ok(())
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
        make_private_directory(&store.directory).unwrap();
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
