//! A line from the terminal, with history and editing, without holding up the rest of the program.

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{CompletionType, Config, Editor};

use super::completion::Completion;
use super::history::MOST;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::shutdown::Shutdown;

/// What the person did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Typed this.
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D.
    End,
}

type Inner = Editor<Completion, MemHistory>;

/// The terminal's line.
pub(super) struct Lines {
    /// `None` while a thread reads, and after that thread was given up.
    editor: Option<Inner>,
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Lines {
    pub(super) fn new(statements: &[String]) -> Result<Self> {
        let failed = || "cannot use the terminal";
        let config = Config::builder()
            .max_history_size(MOST)
            .or_fail(ErrorKind::Internal, failed)?
            .completion_type(CompletionType::List)
            .build();
        let history = MemHistory::with_config(&config);
        let mut editor: Inner =
            Editor::with_history(config, history).or_fail(ErrorKind::Internal, failed)?;
        editor.set_helper(Some(Completion::default()));
        for statement in statements {
            // The one in memory cannot fail.
            let _ = editor.add_history_entry(statement.as_str());
        }
        Ok(Self {
            editor: Some(editor),
            #[cfg(unix)]
            before: rustix::termios::tcgetattr(rustix::stdio::stdin()).ok(),
        })
    }

    pub(super) fn add(&mut self, statement: &str) {
        if let Some(editor) = &mut self.editor {
            let _ = editor.add_history_entry(statement);
        }
    }

    pub(super) fn set_names(&mut self, names: Vec<String>) {
        if let Some(completion) = self.editor.as_mut().and_then(Editor::helper_mut) {
            completion.set_names(names);
        }
    }

    /// The next line. `plain` is the prompt, and `styled` the same in colour.
    pub(super) async fn next(
        &mut self,
        plain: String,
        styled: String,
        shutdown: &Shutdown,
    ) -> Result<Line> {
        let failed = || "cannot read from the terminal";
        let Some(mut editor) = self.editor.take() else {
            return Ok(Line::End);
        };
        let reading = tokio::task::spawn_blocking(move || {
            let line = editor.readline(&(plain, styled));
            (editor, line)
        });
        let joined = tokio::select! {
            biased;
            // The thread is left behind with the terminal as it had it.
            () = shutdown.requested() => {
                self.restore();
                return Err(shutdown.error());
            }
            joined = reading => joined,
        };
        let (editor, line) = joined.or_fail(ErrorKind::Internal, failed)?;
        self.editor = Some(editor);
        match line {
            Ok(text) => Ok(Line::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(error).or_fail(ErrorKind::Internal, failed),
        }
    }

    /// Gives the terminal back as it was.
    fn restore(&self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            use rustix::termios::{OptionalActions, tcsetattr};
            // Nothing can be done if even that fails.
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}
