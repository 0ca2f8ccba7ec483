//! A program that shows long answers, as `less`.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};

/// The program while it runs.
#[derive(Debug)]
pub(super) struct Pager {
    child: Child,
    /// It has gone, as when the person leaves it before the end.
    gone: bool,
}

impl Pager {
    /// Starts a command for a shell. `less` ends by itself when everything fits, keeps colours and cuts long lines, unless
    /// the person's `LESS` says otherwise.
    pub(super) fn start(command: &str, environment: &[(OsString, OsString)]) -> io::Result<Self> {
        let mut shell = shell(command, environment);
        if !environment.iter().any(|(name, _)| name == "LESS") {
            shell.env("LESS", "FRSX");
        }
        let child = shell.stdin(Stdio::piped()).spawn()?;
        Ok(Self { child, gone: false })
    }

    /// Hands it text; it waits until the person has turned enough pages. `false` when the program has gone.
    pub(super) fn write(&mut self, text: &str) -> bool {
        let stdin = self.child.stdin.as_mut();
        self.gone |= stdin.is_none_or(|stdin| stdin.write_all(text.as_bytes()).is_err());
        !self.gone
    }

    /// Waits until the person has left it.
    pub(super) fn finish(mut self) {
        drop(self.child.stdin.take());
        // How it ended says nothing: leaving it early is fine.
        let _ = self.child.wait();
    }
}

/// A command for a shell, with nothing of bsql's own in its environment.
pub(super) fn shell(command: &str, environment: &[(OsString, OsString)]) -> Command {
    let mut shell = if cfg!(windows) {
        let mut shell = Command::new("cmd");
        shell.args(["/C", command]);
        shell
    } else {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]);
        shell
    };
    let passed_on = environment
        .iter()
        .filter(|(name, _)| !name.to_string_lossy().starts_with("BSQL_"));
    shell
        .env_clear()
        .envs(passed_on.map(|(name, value)| (name, value)));
    shell
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_to_the_program_and_leaving_it_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("seen");
        let environment = [
            ("SEEN".into(), file.clone().into()),
            ("BSQL_PROFILE".into(), "acme".into()),
        ];
        let command = "cat > \"$SEEN\"; echo \"$LESS$BSQL_PROFILE\" >> \"$SEEN\"";
        let mut pager = Pager::start(command, &environment).unwrap();
        assert!(pager.write("one\n"));
        assert!(pager.write("two\n"));
        pager.finish();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "one\ntwo\nFRSX\n");

        let mut pager = Pager::start("exit 0", &[]).unwrap();
        let long = "x".repeat(1 << 20);
        while pager.write(&long) {}
        pager.finish();
    }
}
