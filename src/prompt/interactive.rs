//! The prompt of a person at a terminal.

use std::path::PathBuf;

use super::Options;
use super::buffer::{Buffer, Piece};
use super::command::Command;
use super::completion::names_query;
use super::editor;
use super::history::History;
use super::lines::{Line, Lines};
use super::run::{Next, Prompt};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::Transaction;
use crate::sql::text::is_blank;
use crate::tunnel::Dial;
use crate::ui::Paint;

/// Prompts until the person leaves.
pub(super) async fn run<D: Dial>(prompt: &mut Prompt<'_, D>) -> Result<u8> {
    let mut history = History::new(&prompt.options.history_dir, &prompt.options.history_name);
    let (statements, warning) = history.read();
    if let Some(warning) = warning {
        prompt.ui.warn(&warning);
    }
    let lines = Lines::new(&statements)?;
    let title = title(prompt);
    prompt.ui.set_title(Some(&title));
    let mut person = Person {
        lines,
        history,
        buffer: Buffer::new(prompt.session.login().dialect),
    };
    person.learn_names(prompt).await;
    prompt.ui.status("\\? lists the commands, \\q leaves");
    let result = person.stay(prompt).await;
    prompt.ui.set_title(None);
    result.map(|()| 0)
}

fn title<D: Dial>(prompt: &Prompt<'_, D>) -> String {
    let label = &prompt.options.label;
    if prompt.options.production {
        format!("PRODUCTION {label}")
    } else {
        label.clone()
    }
}

struct Person {
    lines: Lines,
    history: History,
    buffer: Buffer,
}

impl Person {
    async fn stay<D: Dial>(&mut self, prompt: &mut Prompt<'_, D>) -> Result<()> {
        loop {
            let (plain, styled) = self.prompt(prompt);
            let shutdown = prompt.session.shutdown();
            let line = match self.lines.next(plain, styled, shutdown).await? {
                Line::Text(line) => line,
                Line::Interrupted => {
                    self.buffer.take();
                    continue;
                }
                Line::End => return Ok(()),
            };
            for piece in self.buffer.feed(&line) {
                let done = Box::pin(self.act(prompt, piece, &line)).await;
                match done {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) if ends_the_program(&error) => return Err(error),
                    Err(error) => {
                        prompt.complain(&error, None);
                        prompt.recover().await;
                        // What was typed after it was meant for when it works.
                        break;
                    }
                }
            }
        }
    }

    /// `false` when the person leaves.
    async fn act<D: Dial>(
        &mut self,
        prompt: &mut Prompt<'_, D>,
        piece: Piece,
        line: &str,
    ) -> Result<bool> {
        let next = match piece {
            Piece::Statement(sql) => {
                self.remember(prompt, &sql);
                return self.execute(prompt, &sql, false).await.map(|()| true);
            }
            Piece::Bad(why) => {
                self.remember(prompt, line);
                return Err(ErrorKind::Usage.error(why));
            }
            Piece::Command(command) => {
                let runs_text = matches!(command, Command::Go { .. });
                if !runs_text {
                    self.remember(prompt, line.trim());
                }
                prompt.command(command).await?
            }
        };
        match next {
            Next::Line | Next::Ended(_) => {}
            Next::Quit => return Ok(false),
            Next::Run { sql, expanded } => {
                let sql = sql.unwrap_or_else(|| self.buffer.take());
                if !is_blank(prompt.session.login().dialect, &sql) {
                    self.remember(prompt, &sql);
                    self.execute(prompt, &sql, expanded).await?;
                }
            }
            Next::Reset => drop(self.buffer.take()),
            Next::Show => prompt.ui.print(&format!("{}\n", self.buffer.text()))?,
            Next::Edit(file) => self.edit(prompt, file).await?,
        }
        Ok(true)
    }

    async fn execute<D: Dial>(
        &mut self,
        prompt: &mut Prompt<'_, D>,
        sql: &str,
        expanded: bool,
    ) -> Result<()> {
        prompt.execute(sql, expanded).await?;
        let first = sql.split_whitespace().next().unwrap_or_default();
        if ["create", "drop", "alter"].contains(&first.to_lowercase().as_str()) {
            self.learn_names(prompt).await;
        }
        Ok(())
    }

    async fn edit<D: Dial>(
        &mut self,
        prompt: &mut Prompt<'_, D>,
        file: Option<String>,
    ) -> Result<()> {
        let file = file.map(PathBuf::from);
        let Options {
            editor: command,
            environment,
            ..
        } = &prompt.options;
        let text = editor::edit(command, environment, file.as_deref(), self.buffer.text()).await?;
        self.buffer.take();
        prompt.ui.print(&format!("{}\n", text.trim_end()))?;
        for line in text.lines() {
            for piece in self.buffer.feed(line) {
                // Only statements: a file's commands could edit again.
                match piece {
                    Piece::Statement(sql) => {
                        self.remember(prompt, &sql);
                        self.execute(prompt, &sql, false).await?;
                    }
                    Piece::Command(_) | Piece::Bad(_) => {
                        return Err(ErrorKind::Usage
                            .error("what was edited has a command, which is not run")
                            .hint("run the file with \\i"));
                    }
                }
            }
        }
        Ok(())
    }

    fn remember<D: Dial>(&mut self, prompt: &Prompt<'_, D>, statement: &str) {
        self.lines.add(statement);
        if let Some(warning) = self.history.add(statement) {
            prompt.ui.warn(&warning);
        }
    }

    /// For Tab. In a failed transaction there is nothing to learn, and nothing is worth failing for.
    async fn learn_names<D: Dial>(&mut self, prompt: &mut Prompt<'_, D>) {
        if prompt.session.transaction() != Transaction::None {
            return;
        }
        let query = names_query(prompt.session.login().dialect);
        match Box::pin(prompt.session.names(&query)).await {
            Ok(names) => self.lines.set_names(names),
            Err(error) => tracing::debug!(%error, "no names to complete"),
        }
    }

    /// The prompt, plain and in colour: as psql's `%R%x%#` after the label.
    fn prompt<D: Dial>(&self, prompt: &Prompt<'_, D>) -> (String, String) {
        let label = &prompt.options.label;
        let read_only = if prompt.session.login().read_only {
            " (read-only)"
        } else {
            ""
        };
        let state = match prompt.session.transaction() {
            _ if prompt.session.is_lost() => "?",
            Transaction::None => "",
            Transaction::Open => "*",
            Transaction::Failed => "!",
        };
        let rest = format!("{read_only}{}{state}> ", self.buffer.mark());
        let styled = if prompt.options.production {
            prompt.ui.paint(Paint::Error, label)
        } else {
            label.clone()
        };
        (format!("{label}{rest}"), format!("{styled}{rest}"))
    }
}

/// A signal came, or nobody is there any more.
fn ends_the_program(error: &Error) -> bool {
    error.kind() == ErrorKind::Terminated
}
