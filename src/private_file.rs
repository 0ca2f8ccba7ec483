//! Files for this user only: opened without being led elsewhere, asked who else could have written them, and replaced as a
//! whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Opens `path` for reading. Fails when it is a symbolic link.
#[cfg(unix)]
pub fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    // Non-blocking, lest a FIFO in the file's place hold the program up.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).expect("flags fit a C int"))
        .open(path)
}

/// Opens `path` for reading.
#[cfg(not(unix))]
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// Why an open file is not this user's alone; `None` is good. Asks the file, not the path, which may change in between.
#[cfg(unix)]
pub fn unsafe_because(file: &File) -> io::Result<Option<&'static str>> {
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
pub fn unsafe_because(file: &File) -> io::Result<Option<&'static str>> {
    Ok((!file.metadata()?.is_file()).then_some("it is not a file"))
}

/// Writes the file, mode 0600, in the place of the one that may be there: whole or not at all. A link that may be there is
/// replaced, and not written through. A crash may lose it: see [`replace_durably`].
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(path, bytes, |_| Ok(()))
}

/// The same; when it returns, the file survives a crash.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(path, bytes, File::sync_all)?;
    // The rename itself must survive, too.
    if cfg!(unix) {
        File::open(directory_of(path))?.sync_all()?;
    }
    Ok(())
}

fn write_and_rename(
    path: &Path,
    bytes: &[u8],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    // Made with mode 0600, and deleted if anything fails.
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .tempfile_in(directory_of(path))?;
    file.write_all(bytes)?;
    finish(file.as_file())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_not_the_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (mode, safe) in [(0o600, true), (0o400, true), (0o640, false), (0o602, false)] {
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let why = unsafe_because(&open(&path).unwrap()).unwrap();
            assert_eq!(why.is_none(), safe, "{mode:o}: {why:?}");
            fs::remove_file(&path).unwrap();
        }
        let why = unsafe_because(&File::open(dir.path()).unwrap()).unwrap();
        assert_eq!(why, Some("it is not a file"));
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert!(open(&link).is_err());
    }

    #[test]
    fn what_is_replaced_is_private_whole_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (dir.path().join("file"), dir.path().join("elsewhere"));
        fs::write(&elsewhere, "untouched").unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        for (replace, text) in [
            (replace as fn(&Path, &[u8]) -> io::Result<()>, "one"),
            (replace_durably, "two"),
        ] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(unsafe_because(&open(&path).unwrap()).unwrap(), None);
        }
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "untouched");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
