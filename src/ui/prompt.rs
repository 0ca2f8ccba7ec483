//! What the person sees and does while signing in.

use std::sync::Arc;

use tokio::io::AsyncBufReadExt as _;
use url::Url;

use super::{Paint, Ui};
use crate::auth::{LoginPrompt, PastedLine, browser_command};
use crate::error::{ErrorKind, Result, ResultExt as _};

/// How a browser is opened for the person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Browser {
    /// The system's.
    #[default]
    System,
    /// With this command.
    Command(String),
    /// Not at all.
    Never,
}

impl Ui {
    /// From now on, browsers are opened so.
    pub fn open_browsers_with(&mut self, browser: Browser) {
        self.browser = browser;
    }

    /// Asks the person, who must be there: see [`can_ask`](Self::can_ask). Everything but yes is no.
    pub async fn confirm(&mut self, question: &str) -> Result<bool> {
        self.must_say(&format!("{question} [y/N]"));
        let mut line = String::new();
        self.input
            .lock()
            .await
            .read_line(&mut line)
            .await
            .or_fail(ErrorKind::Usage, || "cannot read the answer")?;
        Ok(["y", "yes"].contains(&line.trim().to_lowercase().as_str()))
    }
}

impl LoginPrompt for Ui {
    fn note(&mut self, line: &str) {
        self.status(line);
    }

    fn warn(&mut self, line: &str) {
        Ui::warn(self, line);
    }

    fn open_browser(&mut self, url: &Url) -> bool {
        let command = match &self.browser {
            _ if !self.can_ask() => return false,
            Browser::Never => return false,
            Browser::Command(command) => Some(command.as_str()),
            Browser::System => None,
        };
        match browser_command::open(url, command) {
            Ok(()) => true,
            Err(error) => {
                self.status(&format!("no browser could be opened ({error})"));
                false
            }
        }
    }

    fn visit(&mut self, url: &Url) {
        self.must_say(&format!("sign in at:\n  {url}"));
    }

    fn enter_code(
        &mut self,
        verification_uri: &Url,
        verification_uri_complete: Option<&Url>,
        code: &str,
    ) {
        self.must_say(&format!(
            "on any device, open:\n  {}",
            verification_uri_complete.unwrap_or(verification_uri)
        ));
        let code = self.paint(Paint::Strong, code);
        self.must_say(&format!("and check that it shows this code: {code}\n(do not go on if it differs, or if somebody sent you this link)"));
    }

    fn pasted(&mut self) -> PastedLine {
        self.must_say("then paste the address that the browser ends at, and press Enter:");
        // One reader for all lines: what it has read ahead is the next one.
        let input = Arc::clone(&self.input);
        Box::pin(async move {
            let mut line = String::new();
            let read = input.lock().await.read_line(&mut line).await?;
            Ok((read > 0).then_some(line))
        })
    }
}
