//! Running a program for what it prints, without a shell and not for ever.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{ErrorKind, Result, ResultExt as _, cannot_start, printable};
use crate::refresh::within;

/// More than any token.
const LONGEST_OUTPUT: usize = 64 * 1024;

/// What a program left.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) success: bool,
    /// May be secret: it is no part of any error.
    pub(super) stdout: Vec<u8>,
    /// The end of what it complained, fit for a terminal.
    pub(super) complaint: String,
}

/// Runs `command` with nothing to read, and kills it after `limit`.
///
/// Fails with [`ErrorKind::ClientMissing`] when there is no such program, and with [`ErrorKind::Unavailable`] when it does
/// not end in time.
pub(super) async fn output(mut command: Command, limit: Duration) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let running = async {
        let output = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| cannot_start(&program, error))?;
        tracing::debug!(program, status = ?output.status, "ended");
        Ok(output)
    };
    let late = || {
        ErrorKind::Unavailable
            .error(format!("`{program}` does not answer"))
            .because(anyhow::anyhow!("it was ended after {} s", limit.as_secs()))
    };
    let output = within(limit, running, late).await?;
    if output.stdout.len() > LONGEST_OUTPUT {
        return Err(ErrorKind::Unavailable
            .error(format!("cannot read what `{program}` prints"))
            .because(anyhow::anyhow!("it is too long")));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let before = complaint.chars().count().saturating_sub(300);
    Ok(Output {
        success: output.status.success(),
        complaint: printable(&complaint.chars().skip(before).collect::<String>()),
        stdout: output.stdout,
    })
}

/// What was printed, as one word.
pub(super) fn word(output: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(output).or_fail(
        ErrorKind::Unavailable,
        || "cannot read what the program prints",
    )?;
    let word = text.trim();
    if word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(ErrorKind::Unavailable
            .error("cannot read what the program prints")
            .because(anyhow::anyhow!("it is not one word")));
    }
    Ok(word.to_owned())
}
