//! The private directory in which servers keep data and sockets.

use std::fs::{File, Permissions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use tempfile::TempDir;

use crate::error::{ErrorKind, Result, ResultExt as _};

const PREFIX: &str = "bsql-sandbox-";
const LOCK: &str = ".lock";

/// The system account that servers run as, because database servers refuse to run as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Account {
    pub(in crate::sandbox) uid: u32,
    pub(in crate::sandbox) gid: u32,
}

/// A directory of our own directly below the temporary directory, for two reasons: a socket's path may have 104 bytes at
/// most on macOS, and a server that runs as another user must get there. Removed on drop.
#[derive(Debug)]
pub(in crate::sandbox) struct Home {
    dir: TempDir,
    /// Locked as long as the directory is in use: whoever finds it unlocked may remove the directory.
    _lock: File,
    /// Who else must be able to use it.
    account: Option<Account>,
}

impl Home {
    /// Makes the directory, for `account` if others than we are to use it.
    pub(in crate::sandbox) fn new(account: Option<Account>) -> Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let make = || -> std::io::Result<(TempDir, File)> {
            let dir = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&parent)?;
            // Under its name only when it is locked, or another sandbox might sweep the directory right away.
            let unlocked = dir.path().join(".new-lock");
            let lock = File::create(&unlocked)?;
            lock.try_lock()?;
            std::fs::rename(unlocked, dir.path().join(LOCK))?;
            give(dir.path(), account)?;
            Ok((dir, lock))
        };
        let (dir, lock) = make().or_fail(ErrorKind::CannotCreate, || {
            format!("cannot make a directory in `{}`", parent.display())
        })?;
        Ok(Self {
            dir,
            _lock: lock,
            account,
        })
    }

    /// Where it is.
    pub(in crate::sandbox) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Lets the servers' account have `path`.
    pub(in crate::sandbox) fn give(&self, path: &Path) -> std::io::Result<()> {
        give(path, self.account)
    }

    /// Who servers are to run as, if not as we do.
    pub(in crate::sandbox) fn account(&self) -> Option<Account> {
        self.account
    }
}

fn give(path: &Path, account: Option<Account>) -> std::io::Result<()> {
    account.map_or(Ok(()), |account| {
        chown(path, Some(account.uid), Some(account.gid))
    })
}

/// Removes what sandboxes that were killed have left behind.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    let ours = rustix::process::geteuid();
    for entry in entries.filter_map(Result::ok) {
        let is_home = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        // Anybody may make such a directory there, but only with a lock of their own.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        let is_ours = lock
            .metadata()
            .is_ok_and(|metadata| metadata.uid() == ours.as_raw());
        if is_home && is_ours && !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Who servers are to run as, if not as we do.
pub(in crate::sandbox) fn account() -> Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| find_account(&accounts, name))
        .map(Some)
        .ok_or_else(|| {
            ErrorKind::CannotCreate
                .error("databases do not run as root, and there is no user `postgres` or `nobody`")
                .hint("run bsql as another user")
        })
}

/// Finds `name` in the text of /etc/passwd, see passwd(5).
fn find_account(accounts: &str, name: &str) -> Option<Account> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_as_in_etc_passwd() {
        let text = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533:nobody:/:/bin/false\n";
        let expected = Account {
            uid: 65534,
            gid: 65533,
        };
        assert_eq!(find_account(text, "nobody"), Some(expected));
        assert_eq!(find_account(text, "postgres"), None);
        assert_eq!(find_account("nobody:x:y:1:::", "nobody"), None);
    }

    #[test]
    fn what_a_killed_sandbox_left_is_swept_and_a_running_one_is_not() {
        let home = Home::new(None).unwrap();
        let left = std::env::temp_dir().join(format!("{PREFIX}test-{}", std::process::id()));
        std::fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        sweep(&std::env::temp_dir());
        assert!(!left.exists());
        assert!(home.path().exists());
        let path = home.path().to_owned();
        drop(home);
        assert!(!path.exists());
    }
}
