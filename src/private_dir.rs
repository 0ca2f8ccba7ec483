//! Directories for this user only.

use std::fs::DirBuilder;
use std::io;
use std::path::Path;

/// Makes `dir` and what is missing above it, mode 0700. One that is there already is left as it is.
pub fn create(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Whether somebody else owns `dir` or can put files into it.
#[cfg(unix)]
pub fn is_open_to_others(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = std::fs::metadata(dir)?;
    Ok(metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0)
}

/// Elsewhere the user's profile directory is what keeps others out.
#[cfg(not(unix))]
pub fn is_open_to_others(dir: &Path) -> io::Result<bool> {
    std::fs::metadata(dir).map(|_| false)
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
}
