//! bsql's own SQL prompt, straight over the authenticated stream: for machines without a client program, and for scripts
//! on standard input.
//!
//! It knows the more usual of psql's commands by psql's names. What it does not have is said in docs/clients.md.

mod buffer;
mod command;
mod complaint;
mod completion;
mod describe;
mod editor;
mod history;
mod interactive;
mod lines;
mod pager;
mod run;
mod screen;
mod script;
mod session;

pub use run::{Ended, Prompt};

use std::ffi::OsString;
use std::path::PathBuf;

/// How one is to be prompted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the prompt calls the database. Nothing in it steers a terminal.
    pub label: String,
    /// Red, and in the terminal's title.
    pub production: bool,
    /// What the history's file is called, for each database its own.
    pub history_name: String,
    /// Where the histories are.
    pub history_dir: PathBuf,
    /// A command for a shell that shows long answers; `None` for none.
    pub pager: Option<String>,
    /// A command for a shell that edits a file.
    pub editor: String,
    /// For the pager, the editor and nothing else.
    pub environment: Vec<(OsString, OsString)>,
    /// Rows as records from the start.
    pub expanded: bool,
    /// In scripts: whether to go on after an error.
    pub keep_going: bool,
    /// A script instead of standard input.
    pub file: Option<PathBuf>,
}
