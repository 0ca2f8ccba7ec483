//! Texts that are kept beside a session and are forgotten with it. What they are is not this room's business; that they
//! are as safe as the tokens is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{SHA256, digest};

use super::private_file;
use super::store::{StoreKey, TokenStore};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::hex;
use crate::secret::Secret;

/// The texts beside one session. Called on a thread that may block.
#[derive(Debug, Clone)]
pub struct Beside {
    pub(super) store: Arc<dyn TokenStore>,
    pub(super) key: StoreKey,
}

impl Beside {
    /// The text that is kept under `name`; None when there is none.
    pub fn load(&self, name: &str) -> Result<Option<Secret>> {
        self.store.load_beside(&self.key, name)
    }

    /// Keeps a text in place of the one before, sealed as the session is. Without a session nothing is kept.
    pub fn save(&self, name: &str, text: &Secret) -> Result<()> {
        self.store.save_beside(&self.key, name, text)
    }

    /// Forgets a text, if there is one.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.store.delete_beside(&self.key, Some(name))
    }

    pub(super) fn delete_all(&self) -> Result<()> {
        self.store.delete_beside(&self.key, None)
    }
}

/// The file for a text. Its name says nothing about the company.
pub(super) fn path(directory: &Path, key: &StoreKey, name: &str, extension: &str) -> PathBuf {
    let name = digest(&SHA256, name.as_bytes());
    let name = hex::encode(&name.as_ref()[..16]);
    directory.join(format!("{}.{name}.{extension}", key.file_name()))
}

/// Deletes the file of a text, or of all texts beside the session.
pub(super) fn delete(
    directory: &Path,
    key: &StoreKey,
    name: Option<&str>,
    extension: &str,
) -> Result<()> {
    if let Some(name) = name {
        return private_file::delete(&path(directory, key, name, extension));
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).or_fail(ErrorKind::CannotCreate, || {
                format!("cannot read the directory `{}`", directory.display())
            });
        }
    };
    let (prefix, suffix) = (format!("{}.", key.file_name()), format!(".{extension}"));
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(&suffix) {
            private_file::delete(&entry.path())?;
        }
    }
    Ok(())
}
