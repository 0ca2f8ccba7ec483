//! `\e`: the person's own editor, for what was typed or for a file.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use super::pager::shell;
use crate::error::{ErrorKind, Result, ResultExt as _};

/// Opens `command` on `file`, or on a fresh file with `text` that only this user can read, and returns what is in it then.
pub(super) async fn edit(
    command: &str,
    environment: &[(OsString, OsString)],
    file: Option<&Path>,
    text: &str,
) -> Result<String> {
    let failed = || format!("cannot edit with `{command}`");
    let fresh = tempfile::Builder::new()
        .prefix("bsql-")
        .suffix(".sql")
        .tempfile()
        .or_fail(ErrorKind::CannotCreate, failed)?;
    let path = if let Some(file) = file {
        file
    } else {
        fresh
            .as_file()
            .write_all(text.as_bytes())
            .or_fail(ErrorKind::CannotCreate, failed)?;
        fresh.path()
    };
    let mut shell = shell(&with_file(command), environment);
    shell.env("BSQL_EDITED", path);
    let status = tokio::process::Command::from(shell)
        .status()
        .await
        .or_fail(ErrorKind::ClientMissing, failed)?;
    if !status.success() {
        return Err(ErrorKind::ClientMissing
            .error(failed())
            .because(anyhow::anyhow!("it ended with {status}"))
            .hint("set EDITOR to the one you use"));
    }
    std::fs::read_to_string(path).or_fail(ErrorKind::Usage, || {
        format!("cannot read `{}`", path.display())
    })
}

/// The command may have arguments of its own, so the shell splits it; the file's name is in a variable, so it does not
/// split that.
fn with_file(command: &str) -> String {
    if cfg!(windows) {
        format!("{command} \"%BSQL_EDITED%\"")
    } else {
        format!("{command} \"$BSQL_EDITED\"")
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_editor_leaves() {
        let environment = [("PATH".into(), "/usr/bin:/bin".into())];
        let text = edit(
            "printf ' 1;\\n' | tee -a >/dev/null",
            &environment,
            None,
            "select",
        )
        .await
        .unwrap();
        assert_eq!(text, "select 1;\n");
        let error = edit("exit 3; :", &environment, None, "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientMissing);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("it's a file.sql");
        std::fs::write(&file, "select 2;").unwrap();
        let text = edit(":", &environment, Some(&file), "").await.unwrap();
        assert_eq!(text, "select 2;");
    }
}
