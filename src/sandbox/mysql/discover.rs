//! Looks for an installed MariaDB. Packages keep its server off a person's `PATH`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// Where packages put `mariadbd` and `mariadb-install-db`.
const PLACES: [&str; 6] = [
    "/usr/sbin",
    "/usr/bin",
    "/usr/libexec",
    "/usr/local/sbin",
    "/opt/homebrew/opt/mariadb/bin",
    "/usr/local/opt/mariadb/bin",
];

/// An installed server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    pub(super) mariadbd: PathBuf,
    pub(super) install_db: PathBuf,
    /// As it says itself, for example `10.11.19`.
    pub(super) version: String,
}

/// The server on `search_path`, since somebody put it there on purpose, else the first that packages have installed.
pub(super) async fn find(search_path: Option<&OsStr>) -> Option<Installation> {
    let on_path = search_path.iter().flat_map(std::env::split_paths);
    let dirs: Vec<PathBuf> = on_path
        .filter(|dir| dir.is_absolute())
        .chain(PLACES.iter().map(PathBuf::from))
        .collect();
    // The two are often in different directories.
    let program = |name: &str| {
        let mut programs = dirs.iter().map(|dir| dir.join(name));
        programs.find(|program| program.is_file())
    };
    let (mariadbd, install_db) = (program("mariadbd")?, program("mariadb-install-db")?);
    Some(Installation {
        version: version(&mariadbd).await?,
        mariadbd,
        install_db,
    })
}

/// `None` when the program does not run, or is no MariaDB.
async fn version(mariadbd: &Path) -> Option<String> {
    let output = Command::new(mariadbd)
        .args(["--no-defaults", "--version"])
        .output()
        .await
        .ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout)).map(str::to_owned)
}

/// Reads `/usr/sbin/mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)`.
fn parse_version(line: &str) -> Option<&str> {
    let (_, version) = line.split_once("Ver ")?;
    let (version, rest) = version.trim_start().split_once('-')?;
    rest.starts_with("MariaDB").then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_packages_word_them() {
        for (line, expected) in [
            (
                "/usr/sbin/mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)\n",
                Some("10.11.19"),
            ),
            (
                "mariadbd  Ver 11.8.2-MariaDB for osx10.20 on arm64 (Homebrew)",
                Some("11.8.2"),
            ),
            (
                "mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)",
                None,
            ),
        ] {
            assert_eq!(parse_version(line), expected, "{line}");
        }
    }

    #[tokio::test]
    async fn what_is_on_the_search_path_comes_first() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        for name in ["mariadbd", "mariadb-install-db"] {
            let program = dir.path().join(name);
            std::fs::write(
                &program,
                "#!/bin/sh\necho \"$0  Ver 10.6.1-MariaDB for x\"\n",
            )
            .unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let found = find(Some(dir.path().as_os_str())).await.unwrap();
        assert_eq!(found.mariadbd, dir.path().join("mariadbd"));
        assert_eq!(found.version, "10.6.1");
    }
}
