//! Looks for an installed PostgreSQL server. Packages keep it off `PATH`: only its clients are there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// The sandbox's data uses nothing newer, and older ones are out of support since 2024.
const OLDEST: u32 = 13;

/// Where packages put `initdb` and `postgres`; a `*` stands for the version.
const PLACES: [&str; 9] = [
    "/usr/lib/postgresql/*/bin",         // Debian, Ubuntu, Alpine
    "/usr/pgsql-*/bin",                  // The PostgreSQL project's RPMs
    "/usr/libexec/postgresql*",          // Alpine, since 3.15
    "/opt/homebrew/opt/postgresql*/bin", // Homebrew
    "/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",      // EDB on macOS
    "/opt/PostgreSQL/*/bin",          // EDB on Linux
    "/opt/local/lib/postgresql*/bin", // MacPorts
];

/// An installed server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    /// The directory that has `initdb` and `postgres`.
    pub(super) bin: PathBuf,
    /// As it says itself, for example `15.18`.
    pub(super) version: String,
    /// The first number of it.
    pub(super) major: u32,
}

/// The server on `search_path`, since somebody put it there on purpose, else the newest one that packages have installed.
pub(super) async fn newest(search_path: Option<&OsStr>) -> Option<Installation> {
    for bin in search_path
        .iter()
        .flat_map(|path| std::env::split_paths(path))
    {
        if let Some(installation) = inspect(&bin).await {
            return Some(installation);
        }
    }
    let mut newest: Option<Installation> = None;
    for bin in PLACES.iter().flat_map(|place| expand(place)) {
        if let Some(installation) = inspect(&bin).await
            && newest
                .as_ref()
                .is_none_or(|newest| installation.major > newest.major)
        {
            newest = Some(installation);
        }
    }
    newest
}

async fn inspect(bin: &Path) -> Option<Installation> {
    let postgres = bin.join("postgres");
    if !bin.is_absolute() || !bin.join("initdb").is_file() || !postgres.is_file() {
        return None;
    }
    let output = Command::new(postgres)
        .arg("--version")
        .output()
        .await
        .ok()?;
    let (version, major) = parse_version(&String::from_utf8_lossy(&output.stdout))?;
    (major >= OLDEST).then(|| Installation {
        bin: bin.to_owned(),
        version,
        major,
    })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(line: &str) -> Option<(String, u32)> {
    let (_, version) = line.split_once("(PostgreSQL) ")?;
    let version = version.split_whitespace().next()?;
    let digits = version.find(|c: char| !c.is_ascii_digit());
    let major = version[..digits.unwrap_or(version.len())].parse().ok()?;
    Some((version.to_owned(), major))
}

/// The directories that `pattern`, with one `*`, stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let (before, after) = pattern.split_once('*').expect("every place has a version");
    let (parent, prefix) = before.rsplit_once('/').expect("places are absolute");
    let after = after.trim_start_matches('/');
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_packages_word_them() {
        for (line, expected) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some(("15.18".to_owned(), 15)),
            ),
            (
                "postgres (PostgreSQL) 18beta1\n",
                Some(("18beta1".to_owned(), 18)),
            ),
            ("postgres (PostgreSQL) 17\n", Some(("17".to_owned(), 17))),
            ("mysqld 8.4\n", None),
        ] {
            assert_eq!(parse_version(line), expected, "{line}");
        }
    }

    #[test]
    fn a_star_stands_for_the_version() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["pgsql-9", "pgsql-17", "other"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let mut found = expand(&format!("{}/pgsql-*/bin", dir.path().display()));
        found.sort();
        assert_eq!(
            found,
            [
                dir.path().join("pgsql-17/bin"),
                dir.path().join("pgsql-9/bin")
            ]
        );
    }

    #[tokio::test]
    async fn what_is_on_the_search_path_comes_first() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        for name in ["initdb", "postgres"] {
            let program = dir.path().join(name);
            std::fs::write(&program, "#!/bin/sh\necho 'postgres (PostgreSQL) 13.2'\n").unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let found = newest(Some(dir.path().as_os_str())).await.unwrap();
        assert_eq!(found.bin, dir.path());
        assert_eq!(found.major, 13);
    }
}
