//! The person at the terminal: data goes to stdout, conversation to stderr, and nothing else in the crate prints.

mod columns;
pub mod picker;
mod progress;
mod prompt;
mod rows;
mod search;
mod table;
mod title;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use tokio::io::{BufReader, Stdin};
use tokio::sync::Mutex;

use crate::error::{ErrorKind, Result, ResultExt as _};

pub use columns::{Columns, Shrink};
pub use prompt::Browser;
pub use rows::{RowFormat, RowPrinter, shown};
pub use search::{Likeness, Search};
pub use table::{Table, csv_line};

/// How to talk to the person.
#[derive(Debug, Clone, Copy, Default)]
pub struct UiOptions {
    /// Only errors.
    pub quiet: bool,
    /// Never ask, never open a browser.
    pub no_input: bool,
    /// Colour for people's text, decided by the caller; `None` decides by the terminal.
    pub color: Option<bool>,
    /// Whether the terminal is one that shows links, if stdout is a terminal.
    pub hyperlinks: bool,
}

/// The person at the terminal.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of the terminal, each of its own"
)]
pub struct Ui {
    quiet: bool,
    no_input: bool,
    color: bool,
    /// Data is for programs as well: it is only coloured for a terminal.
    color_data: bool,
    hyperlinks: bool,
    stderr_is_terminal: bool,
    stdout_is_terminal: bool,
    /// The reader of stdout has gone, as `head` does: nothing more to say, and no failure.
    stdout_closed: bool,
    browser: Browser,
    input: Arc<Mutex<BufReader<Stdin>>>,
}

/// The colours, by what they mean.
#[derive(Debug, Clone, Copy)]
pub enum Paint {
    /// Something went wrong.
    Error,
    /// Something may go wrong.
    Warning,
    /// The next step.
    Hint,
    /// Less important.
    Faint,
    /// More important.
    Strong,
}

impl Ui {
    /// Looks at the terminal.
    pub fn new(options: UiOptions) -> Self {
        let stderr_is_terminal = io::stderr().is_terminal();
        let stdout_is_terminal = io::stdout().is_terminal();
        let may_color_data = stdout_is_terminal && options.color != Some(false);
        Self {
            quiet: options.quiet,
            no_input: options.no_input || !io::stdin().is_terminal() || !stderr_is_terminal,
            color: options.color.unwrap_or(stderr_is_terminal),
            color_data: may_color_data,
            hyperlinks: options.hyperlinks && may_color_data,
            stderr_is_terminal,
            stdout_is_terminal,
            stdout_closed: false,
            browser: Browser::default(),
            input: Arc::new(Mutex::new(BufReader::new(tokio::io::stdin()))),
        }
    }

    /// Whether the person can be asked something.
    pub fn can_ask(&self) -> bool {
        !self.no_input
    }

    /// Whether the reader of stdout has gone.
    pub fn stdout_closed(&self) -> bool {
        self.stdout_closed
    }

    /// Writes data to stdout, as it is. That the reader has gone is no failure.
    pub fn print(&mut self, text: &str) -> Result<()> {
        if self.stdout_closed {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.stdout_closed = true;
                Ok(())
            }
            result => result.or_fail(
                ErrorKind::CannotCreate,
                || "cannot write to standard output",
            ),
        }
    }

    /// Writes a table to stdout, cut to the terminal's width if it is one.
    pub fn print_table(&mut self, table: &Table) -> Result<()> {
        let text = table.to_text(self.stdout_is_terminal);
        self.print(&text)
    }

    /// Says how things stand. Silent with `--quiet`.
    pub fn status(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Warns, even with `--quiet` not: warnings are not errors.
    pub fn warn(&self, text: &str) {
        self.status(&format!(
            "{} {text}",
            self.paint(Paint::Warning, "warning:")
        ));
    }

    /// Says a next step.
    pub fn hint(&self, text: &str) {
        self.status(&format!("{} {text}", self.paint(Paint::Hint, "hint:")));
    }

    /// Says what must be said whatever the options: errors, and what a login cannot do without.
    pub fn must_say(&self, text: &str) {
        say(text);
    }

    /// The width of the terminal that data is shown on, if it is one.
    pub fn stdout_width(&self) -> Option<usize> {
        let (_, width) = console::Term::stdout().size_checked()?;
        self.stdout_is_terminal.then_some(width.into())
    }

    /// Makes `text` a link where data goes to a terminal that shows links (OSC 8).
    pub fn link(&self, text: &str, url: &str) -> String {
        // Whatever could end the sequence early has no place in a URL.
        if !self.hyperlinks || url.contains(char::is_control) {
            return text.to_owned();
        }
        format!("\x1b]8;;{url}\x1b\\{text}\x1b]8;;\x1b\\")
    }

    /// Colours `text` if data is coloured.
    pub fn paint_data(&self, paint: Paint, text: &str) -> String {
        if self.color_data {
            colored(paint, text)
        } else {
            text.to_owned()
        }
    }

    /// Colours `text` if people's text is coloured.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color {
            colored(paint, text)
        } else {
            text.to_owned()
        }
    }
}

fn colored(paint: Paint, text: &str) -> String {
    let code = match paint {
        Paint::Error => "1;31",
        Paint::Warning => "1;33",
        Paint::Hint => "1;36",
        Paint::Faint => "2",
        Paint::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Writes a line to stderr. If even that fails there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
