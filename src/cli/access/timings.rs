//! How long each step took.

use std::time::{Duration, Instant};

use crate::ui::Ui;

/// Slower than this, the person wants to know why.
const SLOW: Duration = Duration::from_secs(3);

/// The steps so far, in order.
#[derive(Debug, Default)]
pub(super) struct Timings(Vec<(&'static str, Duration)>);

impl Timings {
    pub(super) fn add(&mut self, step: &'static str, since: Instant) {
        self.0.push((step, since.elapsed()));
    }

    /// One line when it was slow; with `-v` always.
    pub(super) fn say(&self, ui: &Ui) {
        let steps: Vec<String> = self
            .0
            .iter()
            .map(|(step, took)| format!("{step} {} ms", took.as_millis()))
            .collect();
        let line = steps.join(" · ");
        if self.0.iter().map(|(_, took)| *took).sum::<Duration>() > SLOW {
            ui.status(&line);
        }
        tracing::info!("{line}");
    }
}
