//! Puts the profile `sandbox` into the user's settings and takes it out again.

use std::path::Path;

use crate::config::SettingsFile;
use crate::error::Result;

/// The profile's name.
pub(super) const NAME: &str = "sandbox";

/// Writes the profile. It becomes the default where there is none.
pub(super) fn write(config_file: &Path, profile: &str) -> Result<()> {
    let mut file = SettingsFile::open(config_file)?;
    file.put_profile(NAME, profile)?;
    if file.default_profile().is_none() {
        file.set_default_profile(NAME);
    }
    file.save()
}

/// Whether the profile is the one in use when nothing else is named.
pub(super) fn is_default(config_file: &Path) -> bool {
    SettingsFile::open(config_file).is_ok_and(|file| file.default_profile() == Some(NAME))
}

/// Removes the profile: its addresses are gone.
pub(super) fn remove(config_file: &Path) -> Result<()> {
    let mut file = SettingsFile::open(config_file)?;
    file.remove_profile(NAME);
    file.save()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_only_profile_is_the_default_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bsql/config.toml");
        write(
            &file,
            "[profiles.sandbox.identity]\nissuer = \"http://127.0.0.1:1\"\n",
        )
        .unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("default_profile = \"sandbox\""), "{text}");
        assert!(text.contains("[profiles.sandbox.identity]"), "{text}");
        assert!(is_default(&file));
        remove(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        assert!(!is_default(&file));
    }
}
