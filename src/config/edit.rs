//! Changes the person's settings file and leaves everything else as it was, comments included.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, value};

use crate::error::{ErrorKind, Result, ResultExt as _};

/// The person's settings file, to be changed. Nothing is written before [`save`](Self::save).
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    /// As it was read.
    text: String,
    document: DocumentMut,
}

impl SettingsFile {
    /// Reads the file; one that does not exist is empty.
    pub fn open(path: &Path) -> Result<Self> {
        // A link, as people have who keep their settings elsewhere, stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).or_fail(ErrorKind::Config, || {
                    format!("cannot read `{}`", path.display())
                });
            }
        };
        // The parser's own message shows the line, which may hold what should not be shown.
        let document = text.parse().map_err(|_| {
            ErrorKind::Config
                .error(format!(
                    "cannot change `{}`: it is not TOML",
                    path.display()
                ))
                .hint(format!("mend `{}` first", path.display()))
        })?;
        Ok(Self {
            path,
            text,
            document,
        })
    }

    /// The profile in use when nothing else is named, as this file says it.
    pub fn default_profile(&self) -> Option<&str> {
        self.document.get("default_profile").and_then(Item::as_str)
    }

    /// Makes a profile the one in use when nothing else is named.
    pub fn set_default_profile(&mut self, name: &str) {
        match self.document.get_mut("default_profile") {
            Some(Item::Value(old)) => {
                // What is written beside the value stays.
                let decor = old.decor().clone();
                *old = name.into();
                *old.decor_mut() = decor;
            }
            _ => self.document["default_profile"] = value(name),
        }
    }

    /// What this file says of a profile, if anything.
    pub fn profile(&self, name: &str) -> Option<toml::Table> {
        let file: toml::Table = self.text.parse().ok()?;
        file.get("profiles")?.get(name)?.as_table().cloned()
    }

    /// Puts the profile `name` of `text`, which has it as `[profiles.NAME]`, in place of one of that name.
    ///
    /// Fails with [`ErrorKind::Internal`] when `text` has none: whoever calls this has made it.
    pub fn put_profile(&mut self, name: &str, text: &str) -> Result<()> {
        let profile = text
            .parse::<DocumentMut>()
            .ok()
            .and_then(|document| document.get("profiles")?.get(name).cloned())
            .ok_or_else(|| ErrorKind::Internal.error(format!("there is no profile `{name}`")))?;
        let profiles = self.document.entry("profiles").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let Some(profiles) = profiles.as_table_like_mut() else {
            return Err(ErrorKind::Config
                .error(format!(
                    "the key `profiles` in `{}` is not a table",
                    self.path.display()
                ))
                .hint("write profiles as [profiles.NAME]"));
        };
        profiles.insert(name, profile);
        Ok(())
    }

    /// Removes a profile, also as the default. False if there is none.
    pub fn remove_profile(&mut self, name: &str) -> bool {
        let Some(profiles) = self
            .document
            .get_mut("profiles")
            .and_then(Item::as_table_like_mut)
        else {
            return false;
        };
        let removed = profiles.remove(name).is_some();
        if profiles.is_empty() {
            self.document.remove("profiles");
        }
        if self.default_profile() == Some(name) {
            self.document.remove("default_profile");
        }
        removed
    }

    /// Writes the file, whole or not at all. One that did not change is left alone.
    pub fn save(self) -> Result<()> {
        let text = self.document.to_string();
        if text == self.text {
            return Ok(());
        }
        let write = || -> anyhow::Result<()> {
            let dir = self.path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(dir)?;
            let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
            temporary.write_all(text.as_bytes())?;
            if let Ok(metadata) = fs::metadata(&self.path) {
                fs::set_permissions(temporary.path(), metadata.permissions())?;
            }
            temporary.persist(&self.path)?;
            Ok(())
        };
        write().or_fail(ErrorKind::CannotCreate, || {
            format!("cannot write `{}`", self.path.display())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "[profiles.new.identity]\nissuer = \"http://127.0.0.1:1\"\n";
    const MINE: &str = "# mine\ndefault_profile = \"acme\" # yes\n\n[profiles.acme.identity]\nissuer = 'https://x' # theirs\n";

    fn edited(before: &str, change: impl FnOnce(&mut SettingsFile)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bsql/config.toml");
        if !before.is_empty() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, before).unwrap();
        }
        let mut file = SettingsFile::open(&path).unwrap();
        change(&mut file);
        file.save().unwrap();
        fs::read_to_string(&path).unwrap_or_default()
    }

    #[test]
    fn what_was_put_can_be_removed_and_nothing_else_changes() {
        let during = edited(MINE, |file| file.put_profile("new", PROFILE).unwrap());
        assert!(during.starts_with(MINE), "{during}");
        assert!(during.contains("[profiles.new.identity]"), "{during}");
        let after = edited(&during, |file| assert!(file.remove_profile("new")));
        assert_eq!(after, MINE);
        assert_eq!(edited("", |file| assert!(!file.remove_profile("new"))), "");
    }

    #[test]
    fn the_default_changes_and_its_comment_stays() {
        let after = edited(MINE, |file| file.set_default_profile("other"));
        assert_eq!(after, MINE.replace("\"acme\"", "\"other\""));
        let after = edited(MINE, |file| assert!(file.remove_profile("acme")));
        assert!(!after.contains("acme"), "{after}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_the_file_s_mode_stay() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.toml"), dir.path().join("link.toml"));
        fs::write(&real, MINE).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut file = SettingsFile::open(&link).unwrap();
        file.set_default_profile("other");
        file.save().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("other"));
        let mode = fs::metadata(&real).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640);
    }

    #[test]
    fn broken_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, "password = hunter2").unwrap();
        let error = SettingsFile::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!format!("{error:?}").contains("hunter2"));
        fs::write(&path, "profiles = 1").unwrap();
        let mut file = SettingsFile::open(&path).unwrap();
        assert!(file.put_profile("new", PROFILE).is_err());
    }
}
