//! Puts the profile `sandbox` into the user's settings and takes it out again, leaving everything else as it was,
//! comments included.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, value};

use crate::error::{ErrorKind, Result, ResultExt as _};

/// The profile's name.
pub(super) const NAME: &str = "sandbox";

/// Writes the profile. It becomes the default where there is none.
pub(super) fn write(config_file: &Path, profile: &str) -> Result<()> {
    edit(config_file, |document| {
        let profile: DocumentMut = profile.parse().expect("the sandbox writes TOML");
        let table = profile["profiles"][NAME].clone();
        let profiles = document.entry("profiles").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        profiles[NAME] = table;
        if document.get("default_profile").is_none() {
            document["default_profile"] = value(NAME);
        }
    })
}

/// Whether the profile is the one in use when nothing else is named.
pub(super) fn is_default(config_file: &Path) -> bool {
    let text = fs::read_to_string(config_file).unwrap_or_default();
    let document: DocumentMut = text.parse().unwrap_or_default();
    document.get("default_profile").and_then(Item::as_str) == Some(NAME)
}

/// Removes the profile: its addresses are gone.
pub(super) fn remove(config_file: &Path) -> Result<()> {
    edit(config_file, |document| {
        if let Some(profiles) = document
            .get_mut("profiles")
            .and_then(Item::as_table_like_mut)
        {
            profiles.remove(NAME);
            if profiles.is_empty() {
                document.remove("profiles");
            }
        }
        if document.get("default_profile").and_then(Item::as_str) == Some(NAME) {
            document.remove("default_profile");
        }
    })
}

fn edit(config_file: &Path, change: impl FnOnce(&mut DocumentMut)) -> Result<()> {
    let text = match fs::read_to_string(config_file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(error).or_fail(ErrorKind::Config, || {
                format!("cannot read `{}`", config_file.display())
            });
        }
    };
    let mut document: DocumentMut = text.parse().map_err(|_| {
        ErrorKind::Config
            .error(format!(
                "cannot add the profile to `{}`: it is not TOML",
                config_file.display()
            ))
            .hint(format!("mend `{}` first", config_file.display()))
    })?;
    change(&mut document);
    if document.to_string() == text {
        return Ok(());
    }
    let write = || -> anyhow::Result<()> {
        let dir = config_file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
        temporary.write_all(document.to_string().as_bytes())?;
        temporary.persist(config_file)?;
        Ok(())
    };
    write().or_fail(ErrorKind::CannotCreate, || {
        format!("cannot write `{}`", config_file.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "[profiles.sandbox.identity]\nissuer = \"http://127.0.0.1:1\"\n";

    fn round_trip(before: &str) -> (String, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bsql/config.toml");
        if !before.is_empty() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, before).unwrap();
        }
        write(&file, PROFILE).unwrap();
        let during = fs::read_to_string(&file).unwrap();
        remove(&file).unwrap();
        (during, fs::read_to_string(&file).unwrap())
    }

    #[test]
    fn the_only_profile_is_the_default() {
        let (during, after) = round_trip("");
        assert!(during.contains("default_profile = \"sandbox\""), "{during}");
        assert!(during.contains("[profiles.sandbox.identity]"), "{during}");
        assert_eq!(after, "");
    }

    #[test]
    fn everything_else_stays_as_it_was() {
        let mine = "# mine\ndefault_profile = \"acme\" # yes\n\n[profiles.acme.identity]\nissuer = 'https://x'\n";
        let (during, after) = round_trip(mine);
        assert!(
            during.starts_with(mine) && during.len() > mine.len(),
            "{during}"
        );
        assert_eq!(after, mine);
    }
}
