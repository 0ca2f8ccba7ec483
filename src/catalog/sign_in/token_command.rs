//! A command of the person's own that prints a token: for static tokens in a password manager, for `gcloud`, and for ways
//! to sign in that bsql does not know.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::super::client::BearerSource;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::secret::Secret;

/// Long enough for a touch on a security key.
const LIMIT: Duration = Duration::from_secs(30);
/// No header may be longer; a token with many groups in it has some 8 KB.
const LONGEST_TOKEN: u64 = 16 * 1024;

/// Runs the command at most once; the token is kept as long as this is.
#[derive(Debug)]
pub struct TokenCommand {
    /// The program and its arguments. No shell reads them.
    argv: Vec<String>,
    limit: Duration,
    token: OnceCell<Secret>,
}

impl TokenCommand {
    /// Nothing is run yet. `argv` has the program first; without one, asking for the token fails.
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            argv,
            limit: LIMIT,
            token: OnceCell::new(),
        }
    }

    /// What the command prints, without white space around it. What it says on stderr goes to the person's terminal: it
    /// may ask for a touch.
    ///
    /// Fails with [`ErrorKind::Config`] when there is no such program or what it prints is no token, and with
    /// [`ErrorKind::Unavailable`] when it fails or takes more than 30 s. The arguments and the output are never part of
    /// the error: both may hold secrets. Cancel safe: the command is killed.
    pub async fn token(&self) -> Result<Secret> {
        let token = self.token.get_or_try_init(|| async {
            match tokio::time::timeout(self.limit, self.run()).await {
                Ok(token) => token,
                Err(_) => Err(self.failed(anyhow::anyhow!(
                    "it did not end within {} s",
                    self.limit.as_secs()
                ))),
            }
        });
        token.await.cloned()
    }

    async fn run(&self) -> Result<Secret> {
        let (program, arguments) = self
            .argv
            .split_first()
            .ok_or_else(|| ErrorKind::Config.error("the command for Backstage's token is empty"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .or_fail(ErrorKind::Config, || {
                format!("cannot run `{program}` for Backstage's token")
            })
            .map_err(|error| error.hint("check `backstage.token_command`: it is a list of a program and its arguments, and no shell reads it"))?;
        let mut printed = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        stdout
            .take(LONGEST_TOKEN + 1)
            .read_to_string(&mut printed)
            .await
            .map_err(|_| self.no_token("what it prints is no text"))?;
        // It could wait for ever for somebody to read the rest.
        if printed.len() as u64 > LONGEST_TOKEN {
            return Err(self.no_token("it prints more than a token"));
        }
        let status = child
            .wait()
            .await
            .map_err(|error| self.failed(error.into()))?;
        if !status.success() {
            return Err(self.failed(anyhow::anyhow!("it ended with {status}")));
        }
        match printed.trim() {
            "" => Err(self.no_token("it prints nothing")),
            token if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(token.to_owned().into())
            }
            _ => Err(self.no_token("it prints more than a token")),
        }
    }

    fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    fn no_token(&self, why: &'static str) -> Error {
        ErrorKind::Config
            .error(format!("`{}` gives no token for Backstage", self.program()))
            .because(anyhow::anyhow!(why))
            .hint("`backstage.token_command` must print the token and nothing else on its standard output")
    }

    fn failed(&self, cause: anyhow::Error) -> Error {
        ErrorKind::Unavailable
            .error(format!(
                "cannot get a token for Backstage from `{}`",
                self.program()
            ))
            .because(cause)
            .hint("run the command in `backstage.token_command` yourself to see what is wrong")
    }
}

impl BearerSource for TokenCommand {
    async fn bearer(&self) -> Result<Option<Secret>> {
        self.token().await.map(Some)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> TokenCommand {
        TokenCommand::new(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn what_is_printed_is_the_token_and_it_is_asked_once() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("runs");
        let command = shell(&format!(
            "echo run >> '{}'; echo '  t0ken '",
            runs.display()
        ));
        for _ in 0..2 {
            assert_eq!(command.token().await.unwrap().expose(), "t0ken");
        }
        assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
    }

    #[tokio::test]
    async fn no_shell_reads_the_arguments() {
        let argv = ["printf", "%s", "$HOME;`id`"].map(str::to_owned).to_vec();
        let token = TokenCommand::new(argv).token().await.unwrap();
        assert_eq!(token.expose(), "$HOME;`id`");
    }

    #[tokio::test]
    async fn failures_say_what_to_do_and_nothing_that_was_printed() {
        for (script, kind, cause) in [
            (
                "echo s3cret; exit 3",
                ErrorKind::Unavailable,
                "it ended with exit status: 3",
            ),
            ("true", ErrorKind::Config, "it prints nothing"),
            (
                "echo s3cret; echo more",
                ErrorKind::Config,
                "it prints more than a token",
            ),
            (
                "yes s3cret",
                ErrorKind::Config,
                "it prints more than a token",
            ),
            (
                "printf 's3cret\\377'",
                ErrorKind::Config,
                "what it prints is no text",
            ),
        ] {
            let error = shell(script).token().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{script}");
            assert_eq!(error.causes(), [cause], "{script}");
            assert!(!format!("{error:?}").contains("s3cret"), "{script}");
        }
        let error = TokenCommand::new(vec!["/no/such/program".to_owned()])
            .token()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("`/no/such/program`"));
    }

    #[tokio::test]
    async fn a_command_that_never_ends_is_not_waited_for() {
        let command = TokenCommand {
            limit: Duration::from_millis(100),
            ..shell("exec sleep 600")
        };
        let error = command.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.causes()[0].contains("did not end"));
    }
}
