//! The terminal's title, while something on it should say where one is.

use std::io::{self, Write as _};

use super::Ui;

impl Ui {
    /// Sets the title of the terminal, if there is one and it is not a dumb one, and `None` gives the former one back.
    /// The text must not steer the terminal.
    ///
    /// xterm's stack of titles, <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>; terminals that do not know it
    /// ignore it.
    pub fn set_title(&self, title: Option<&str>) {
        if !self.stderr_is_terminal || !self.stdout_is_terminal {
            return;
        }
        let sequence = match title {
            Some(title) => format!("\x1b[22;0t\x1b]0;{title}\x07"),
            None => "\x1b]0;\x07\x1b[23;0t".to_owned(),
        };
        // A title is not worth failing for.
        let _ = io::stderr().lock().write_all(sequence.as_bytes());
    }
}
