//! A spinner on stderr for steps that take long enough to wonder.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Ui;

/// Shorter waits are not worth a flicker.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(90);

impl Ui {
    /// Waits for `work`, with a spinner that says `what` when it takes longer than 300 ms.
    pub async fn wait<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if self.quiet || !self.stderr_is_terminal {
            return work.await;
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(PATIENCE) => {}
        }
        let spinner = Spinner::start(what);
        let done = work.await;
        drop(spinner);
        done
    }
}

/// Goes away when dropped, also when the wait is interrupted.
struct Spinner(ProgressBar);

impl Spinner {
    fn start(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::default_spinner().tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
