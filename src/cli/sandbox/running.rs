//! The sandbox that runs on this machine for this user: what `up` leaves for `down` and `status` to find it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::http::{Answer, HttpClient};
use crate::private_file;
use crate::sandbox::{Control, Status};

/// How to reach the running sandbox: it is asked, and never signalled by a process id that may be somebody else's now.
#[derive(Debug)]
pub(super) struct Running(Control);

impl Running {
    /// The directory of a user's sandbox.
    pub(super) fn dir(state: &Path) -> PathBuf {
        state.join("sandbox")
    }

    fn file(state: &Path) -> PathBuf {
        Self::dir(state).join("running.json")
    }

    /// Held by the process that is the user's sandbox, from before it starts until all of it has ended.
    ///
    /// `None` when another process holds it.
    pub(super) fn lock(state: &Path) -> Result<Option<File>> {
        let file = Self::dir(state).join("lock");
        let failed = || format!("cannot lock `{}`", file.display());
        let lock = File::create(&file).or_fail(ErrorKind::CannotCreate, failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).or_fail(ErrorKind::CannotCreate, failed),
        }
    }

    /// Leaves word, for this user's eyes only.
    pub(super) fn save(control: &Control, state: &Path) -> Result<()> {
        let file = Self::file(state);
        let write = || -> anyhow::Result<()> {
            Ok(private_file::replace(&file, &serde_json::to_vec(control)?)?)
        };
        write().or_fail(ErrorKind::CannotCreate, || {
            format!("cannot write `{}`", file.display())
        })
    }

    /// Takes the word back.
    pub(super) fn forget(state: &Path) {
        // If it cannot be removed, `find` notices that nobody answers.
        let _ = fs::remove_file(Self::file(state));
    }

    /// The sandbox that runs, and what it says of itself.
    pub(super) async fn find(state: &Path) -> Result<Option<(Self, Status)>> {
        let Ok(text) = fs::read_to_string(Self::file(state)) else {
            return Ok(None);
        };
        let Ok(control) = serde_json::from_str(&text) else {
            return Ok(None);
        };
        let running = Self(control);
        Ok(running.status().await?.map(|status| (running, status)))
    }

    /// What the sandbox says of itself; `None` when nobody is there any more.
    pub(super) async fn status(&self) -> Result<Option<Status>> {
        let http = HttpClient::new(Vec::new())?;
        let url = self.0.url.join("status").expect("a constant path");
        let request = http.get(url).bearer_auth(self.0.token.expose());
        match http.send("the sandbox", request).await {
            Ok(answer) if answer.status.is_success() => answer
                .json()
                .or_fail(ErrorKind::Internal, || "cannot read the sandbox's answer")
                .map(Some),
            // Somebody else has the port now, or nobody has.
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// What is wrong with it; with `faults`, after exactly that was made wrong.
    pub(super) async fn ask_faults(
        &self,
        faults: Option<&serde_json::Map<String, serde_json::Value>>,
    ) -> Result<Answer> {
        let http = HttpClient::new(Vec::new())?;
        let url = self.0.url.join("faults").expect("a constant path");
        let request = match faults {
            None => http.get(url),
            Some(faults) => http.post(url).json(faults),
        };
        let request = request.bearer_auth(self.0.token.expose());
        let answer = http.send("the sandbox", request).await?;
        if !answer.status.is_success() {
            return Err(ErrorKind::Internal
                .error("the sandbox refuses the faults")
                .because(anyhow::anyhow!(answer.excerpt())));
        }
        Ok(answer)
    }

    /// Asks it to end.
    pub(super) async fn shut_down(&self) -> Result<()> {
        let http = HttpClient::new(Vec::new())?;
        let url = self.0.url.join("shutdown").expect("a constant path");
        http.send(
            "the sandbox",
            http.post(url).bearer_auth(self.0.token.expose()),
        )
        .await?;
        Ok(())
    }
}
