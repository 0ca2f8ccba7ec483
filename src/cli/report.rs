//! Prints an error once, in words for people or as JSON for scripts, and picks the exit status.

use serde_json::json;

use crate::error::Error;
use crate::ui::{Paint, Ui};

/// How errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// For people.
    Text,
    /// `{"error":{"kind","exit","message","causes","next"}}` on one line, with `-o json`.
    Json,
}

/// Says what went wrong and returns the exit status.
pub(crate) fn report(error: &Error, style: Style, ui: &Ui) -> u8 {
    let row = error.kind().row();
    match style {
        Style::Json => {
            let value = json!({ "error": {
                "kind": row.name,
                "exit": row.code,
                "message": error.to_string(),
                "causes": error.causes(),
                "next": error.next_steps(),
            }});
            ui.must_say(&value.to_string());
        }
        Style::Text => {
            ui.must_say(&format!("{} {error}", ui.paint(Paint::Error, "error:")));
            for cause in error.causes() {
                for line in cause.lines() {
                    ui.must_say(&format!("  {line}"));
                }
            }
            for hint in error.next_steps() {
                ui.must_say(&format!("{} {hint}", ui.paint(Paint::Hint, "hint:")));
            }
        }
    }
    row.code
}
