//! Where a program is.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{ErrorKind, Result};

/// Debian's versions of PostgreSQL, each with a `bin`.
const DEBIAN_VERSIONS: &str = "/usr/lib/postgresql";
/// Debian's `psql` and its kin are links to this Perl script, which chooses a version; that costs some 40 ms.
const DEBIAN_WRAPPER: &str = "pg_wrapper";
/// Where `psql` is on a Mac when it is not on the PATH: Homebrew's libpq is "keg-only", and `Postgres.app` is an app.
const OFF_THE_PATH: [&str; 3] = [
    "/opt/homebrew/opt/libpq/bin",
    "/usr/local/opt/libpq/bin",
    "/Applications/Postgres.app/Contents/Versions/latest/bin",
];

/// Finds `program`, which is a name to look for on `path` (the value of `PATH`), or a path of its own.
///
/// Fails with [`ErrorKind::ClientMissing`]; the hints say how to reach `database` without the program.
pub(super) fn find(program: &str, path: Option<&OsStr>, database: &str) -> Result<PathBuf> {
    let found = if program.contains(std::path::is_separator) {
        Some(PathBuf::from(program)).filter(|file| is_executable(file))
    } else {
        let listed = path.map(std::env::split_paths).into_iter().flatten();
        listed
            .chain(OFF_THE_PATH.map(PathBuf::from))
            // An empty or relative entry would run what happens to be in the working directory.
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
            .find(|file| is_executable(file))
    };
    found
        .map(|file| unwrapped(&file, Path::new(DEBIAN_VERSIONS)).unwrap_or(file))
        .ok_or_else(|| missing(program, database))
}

fn missing(program: &str, database: &str) -> crate::error::Error {
    let error = ErrorKind::ClientMissing.error(format!("cannot find the program `{program}`"));
    let error = match install(program) {
        Some(command) => error.hint(command),
        None => error,
    };
    error.hint(format!(
        "or without any program: bsql connect {database} -c 'select 1'"
    ))
}

/// The command that installs a client on this system.
fn install(program: &str) -> Option<String> {
    let (apt, brew) = match program {
        "psql" => ("postgresql-client", "libpq"),
        "pgcli" => ("pgcli", "pgcli"),
        "mysql" => ("default-mysql-client", "mysql-client"),
        "mariadb" => ("mariadb-client", "mariadb"),
        "mycli" => ("mycli", "mycli"),
        "sqlcmd" => {
            return Some("see https://github.com/microsoft/go-sqlcmd#installation".to_owned());
        }
        "usql" => return Some("see https://github.com/xo/usql#installing".to_owned()),
        _ => return None,
    };
    Some(if cfg!(target_os = "macos") {
        format!("brew install {brew}")
    } else {
        format!("sudo apt install {apt}")
    })
}

/// The program that Debian's wrapper would start: the newest.
fn unwrapped(found: &Path, versions: &Path) -> Option<PathBuf> {
    let target = fs::canonicalize(found).ok()?;
    if target.file_name()? != DEBIAN_WRAPPER {
        return None;
    }
    let name = found.file_name()?;
    let entries = fs::read_dir(versions).ok()?.flatten();
    entries
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let file = entry.path().join("bin").join(name);
            is_executable(&file).then_some((version, file))
        })
        .max()
        .map(|(_, file)| file)
}

#[cfg(unix)]
pub(super) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
pub(super) fn is_executable(file: &Path) -> bool {
    file.is_file()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::*;

    fn program(file: &Path, mode: u32) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn scratch() -> (TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().canonicalize().unwrap();
        (scratch, path)
    }

    #[test]
    fn the_first_executable_on_the_path() {
        let (_scratch, dir) = scratch();
        program(&dir.join("a/bsql.test-client"), 0o644);
        program(&dir.join("b/bsql.test-client"), 0o755);
        program(&dir.join("c/bsql.test-client"), 0o755);
        fs::create_dir_all(dir.join("d/bsql.test-client")).unwrap();
        let path = std::env::join_paths(["d", "a", "b", "c"].map(|entry| dir.join(entry))).unwrap();
        let found = find("bsql.test-client", Some(&path), "payments").unwrap();
        assert_eq!(found, dir.join("b/bsql.test-client"));
        let absolute = dir.join("c/bsql.test-client");
        let found = find(absolute.to_str().unwrap(), None, "payments").unwrap();
        assert_eq!(found, absolute);
    }

    #[test]
    fn the_working_directory_is_never_searched() {
        // Cargo runs unit tests in the package's directory.
        let here = tempfile::Builder::new()
            .prefix("bsql-test-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempfile_in(".")
            .unwrap();
        let name = here.path().file_name().unwrap().to_str().unwrap();
        assert!(is_executable(Path::new(name)));
        for path in ["", ".", ":/nowhere", "/nowhere::"] {
            assert!(find(name, Some(OsStr::new(path)), "payments").is_err());
        }
    }

    #[test]
    fn a_missing_client_says_how_to_go_on() {
        let error = find("usql", Some(OsStr::new("/nowhere")), "payments-staging").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientMissing);
        assert_eq!(error.to_string(), "cannot find the program `usql`");
        let hints = error.next_steps();
        assert_eq!(hints[0], "see https://github.com/xo/usql#installing");
        assert_eq!(
            hints[1],
            "or without any program: bsql connect payments-staging -c 'select 1'"
        );
        assert!(find("/nowhere/psql", None, "payments").is_err());
    }

    #[test]
    fn debians_wrapper_is_seen_through() {
        let (_scratch, dir) = scratch();
        program(&dir.join("share/pg_wrapper"), 0o755);
        fs::create_dir(dir.join("bin")).unwrap();
        symlink("../share/pg_wrapper", dir.join("bin/psql")).unwrap();
        let versions = dir.join("versions");
        for version in ["9", "15", "17"] {
            program(&versions.join(version).join("bin/psql"), 0o755);
        }
        program(&versions.join("18/bin/postgres"), 0o755);
        program(&versions.join("99-beta/bin/psql"), 0o755);
        let newest = unwrapped(&dir.join("bin/psql"), &versions);
        assert_eq!(newest, Some(versions.join("17/bin/psql")));
        assert_eq!(unwrapped(&dir.join("bin/psql"), &dir.join("none")), None);
        let real = versions.join("9/bin/psql");
        assert_eq!(unwrapped(&real, &versions), None, "not a wrapper");
    }
}
