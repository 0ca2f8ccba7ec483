//! Directories for this user only, and what sockets in them need.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::hex;

/// `sun_path` on macOS and the BSDs, with the final NUL. Linux has 108; one limit for all keeps paths portable.
pub const LONGEST_SOCKET: usize = 104;
/// What a directory of sockets must leave for names in it: `/4194304-abcDEF/.s.PGSQL.5432` and the NUL.
const ROOM: usize = 30;

/// Makes `dir` and what is missing above it, mode 0700. One that is there already is left as it is.
pub fn create(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Whether somebody else owns `dir` or can put files into it.
pub fn is_open_to_others(dir: &Path) -> io::Result<bool> {
    problem(dir).map(|problem| problem.is_some())
}

/// Makes `dir` (0700) if need be, and sees to it that it is this user's and nobody else may write to it: whoever can
/// rename entries of a directory can put a socket of their own in the place of ours.
pub fn require(dir: &Path) -> Result<()> {
    let message = || format!("cannot use `{}` for sockets", dir.display());
    create(dir).or_fail(ErrorKind::CannotCreate, message)?;
    let problem = problem(dir).or_fail(ErrorKind::CannotCreate, message)?;
    problem.map_or(Ok(()), |problem| {
        Err(ErrorKind::CannotCreate
            .error(message())
            .because(anyhow::anyhow!(problem))
            .hint(format!("chmod 0700 '{}'", dir.display()))
            .hint("or set XDG_RUNTIME_DIR to a directory of your own"))
    })
}

#[cfg(unix)]
fn problem(dir: &Path) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = std::fs::metadata(dir)?;
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    Ok(if owner != us {
        Some(format!("it belongs to user {owner}, not to {us}"))
    } else if metadata.mode() & 0o022 != 0 {
        Some(format!(
            "others may write to it (mode {:04o})",
            metadata.mode() & 0o7777
        ))
    } else {
        None
    })
}

#[cfg(not(unix))]
fn problem(_: &Path) -> io::Result<Option<String>> {
    Ok(None)
}

/// The directory for sockets: `runtime_dir`, or one with a short path where that would leave too little room for names.
/// The same each time for the same `runtime_dir`, and [required](require) to be this user's own.
pub fn for_sockets(runtime_dir: &Path) -> Result<PathBuf> {
    let dir = place_of_sockets(runtime_dir);
    if dir != runtime_dir {
        require_no_link(&dir)?;
    }
    require(&dir)?;
    Ok(dir)
}

/// The [directory for sockets](for_sockets), if it is there and this user's own. Makes nothing.
pub fn of_sockets(runtime_dir: &Path) -> Option<PathBuf> {
    let dir = place_of_sockets(runtime_dir);
    let is_linked = dir != runtime_dir && dir.is_symlink();
    let is_own = dir.is_dir() && !is_linked && problem(&dir).is_ok_and(|problem| problem.is_none());
    is_own.then_some(dir)
}

/// `runtime_dir`, if its path is short enough.
fn place_of_sockets(runtime_dir: &Path) -> PathBuf {
    if runtime_dir.as_os_str().len() + ROOM <= LONGEST_SOCKET {
        runtime_dir.to_owned()
    } else {
        short(runtime_dir)
    }
}

/// In a directory that is everybody's, somebody else may have had the name lead into a directory of ours.
fn require_no_link(dir: &Path) -> Result<()> {
    if !dir.is_symlink() {
        return Ok(());
    }
    Err(ErrorKind::CannotCreate
        .error(format!("cannot use `{}` for sockets", dir.display()))
        .because(anyhow::anyhow!("it is a symbolic link"))
        .hint("set XDG_RUNTIME_DIR to a directory of your own with a short path"))
}

/// In the one directory that is short everywhere. Somebody else may have made it before us: [`require`] tells.
fn short(runtime_dir: &Path) -> PathBuf {
    let bytes = runtime_dir.as_os_str().as_encoded_bytes();
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    Path::new("/tmp").join(format!("bsql-{}", hex::encode(&hash.as_ref()[..6])))
}

/// Fails when `socket` is a path that the system would not take.
pub fn require_short(socket: &Path) -> Result<()> {
    let length = socket.as_os_str().len() + 1;
    if length <= LONGEST_SOCKET {
        return Ok(());
    }
    Err(ErrorKind::CannotCreate
        .error(format!(
            "cannot make the socket `{}`: the path is too long",
            socket.display()
        ))
        .because(anyhow::anyhow!(
            "socket paths are limited to {LONGEST_SOCKET} bytes; this one would have {length}"
        ))
        .hint("give a directory with a shorter path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn nobody_else_gets_in() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("a/b");
        create(&dir).unwrap();
        create(&dir).unwrap();
        for made in [&dir, dir.parent().unwrap()] {
            let mode = std::fs::metadata(made).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        assert!(!is_open_to_others(&dir).unwrap());
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(is_open_to_others(&dir).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn one_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = for_sockets(scratch.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert_eq!(error.causes(), ["others may write to it (mode 0777)"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_stand_ins_place_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("y".repeat(LONGEST_SOCKET));
        let stand_in = short(&long);
        std::os::unix::fs::symlink(base.path(), &stand_in).unwrap();
        let refused = for_sockets(&long);
        std::fs::remove_file(&stand_in).unwrap();
        assert_eq!(refused.unwrap_err().causes(), ["it is a symbolic link"]);
    }

    #[test]
    fn a_long_path_has_a_short_stand_in_of_its_own() {
        let base = tempfile::tempdir().unwrap();
        let fits = LONGEST_SOCKET - ROOM - base.path().as_os_str().len() - 1;
        let dir = base.path().join("x".repeat(fits));
        assert_eq!(for_sockets(&dir).unwrap(), dir);
        let (long, longer) = (dir.join("x"), dir.join("xx"));
        assert_eq!(short(&long), short(&long));
        assert_ne!(short(&long), short(&longer));
        assert!(require_short(&short(&long).join("x".repeat(ROOM - 2))).is_ok());
        assert!(require_short(&long.join("x".repeat(ROOM - 2))).is_err());
    }
}
