//! Files that only the user can read, replaced as a whole.

use std::fs;
use std::io::{self, ErrorKind as IoErrorKind, Read as _};
use std::path::Path;
use std::time::SystemTime;

use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::private_dir;
use crate::private_file;

/// Tokens with hundreds of groups are some 10 KiB. What is larger is not ours.
const FILE_LIMIT: u64 = 1024 * 1024;

/// What is in the file, up to 1 MiB; None when there is none.
///
/// Fails with [`ErrorKind::Config`] when others could have read or written it.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let cannot_read = || format!("cannot read the session in `{}`", path.display());
    let file = match private_file::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) if is_symlink(path) => {
            return Err(unsafe_file(path, "it is a symbolic link").because(error));
        }
        Err(error) => {
            return Err(ErrorKind::Config.error(cannot_read()).because(error));
        }
    };
    if let Some(why) = private_file::unsafe_because(&file).or_fail(ErrorKind::Config, || {
        format!("cannot tell who can read `{}`", path.display())
    })? {
        return Err(unsafe_file(path, why));
    }
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT)
        .read_to_end(&mut bytes)
        .or_fail(ErrorKind::Config, cannot_read)?;
    Ok(Some(bytes))
}

/// When the file was written; None when there is none, or nobody can tell.
pub(super) fn written(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path).ok()?.modified().ok()
}

/// Writes the file, mode 0600, in place of the one that may be there. When it returns, it survives a crash: a rotated
/// refresh token that is lost ends the session.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_as(path, bytes, private_file::replace_durably)
}

/// The same for what can be had again: a crash may lose it, and nobody waits for the disk.
pub(super) fn write_dispensable(path: &Path, bytes: &[u8]) -> Result<()> {
    write_as(path, bytes, private_file::replace)
}

fn write_as(
    path: &Path,
    bytes: &[u8],
    replace: impl FnOnce(&Path, &[u8]) -> io::Result<()>,
) -> Result<()> {
    let cannot_keep = || format!("cannot keep the session in `{}`", path.display());
    let directory = path
        .parent()
        .ok_or_else(|| ErrorKind::Internal.error(cannot_keep()))?;
    make_directory(directory)?;
    replace(path, bytes).or_fail(ErrorKind::CannotCreate, cannot_keep)
}

/// Deletes the file, if it is there.
pub(super) fn delete(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != IoErrorKind::NotFound => Err(ErrorKind::CannotCreate
            .error(format!("cannot delete `{}`", path.display()))
            .because(error)
            .hint(format!("delete {} yourself", path.display()))),
        _ => Ok(()),
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

fn is_symlink(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Makes `directory` if need be, for the user only, and refuses one that others can put files into.
pub(super) fn make_directory(directory: &Path) -> Result<()> {
    private_dir::create(directory).or_fail(ErrorKind::CannotCreate, || {
        format!("cannot make the directory `{}`", directory.display())
    })?;
    let is_open = private_dir::is_open_to_others(directory)
        .or_fail(ErrorKind::CannotCreate, || {
            format!("cannot use the directory `{}`", directory.display())
        })?;
    if is_open {
        return Err(ErrorKind::CannotCreate
            .error(format!(
                "the directory `{}` is open to others",
                directory.display()
            ))
            .hint(format!("chmod 700 {}", directory.display())));
    }
    Ok(())
}
