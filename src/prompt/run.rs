//! What the prompt does with statements and commands, wherever they come from.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Instant;

use super::Options;
use super::command::{Command, HELP, Subject};
use super::describe;
use super::screen::{Looks, Screen};
use super::session::Session;
use super::{complaint, interactive, script};
use crate::error::{Error, ErrorKind, Result};
use crate::shutdown::Shutdown;
use crate::sql::{Connection, Dialect, Login, ServerError};
use crate::tunnel::Dial;
use crate::ui::Ui;

/// Deeper than this, files include each other.
const DEEPEST: usize = 10;

/// A prompt on a database.
pub struct Prompt<'a, D: Dial> {
    pub(super) ui: &'a mut Ui,
    pub(super) session: Session<'a, D>,
    pub(super) options: Options,
    expanded: bool,
    timing: bool,
    /// A person is there, rather than a script.
    pub(super) for_person: bool,
    /// How many files deep this is.
    depth: usize,
}

impl<D: Dial> std::fmt::Debug for Prompt<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prompt")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status, or why there was no end of its own.
    pub result: Result<u8>,
    /// How many connections there were.
    pub connections: u64,
}

/// What comes after a command.
pub(super) enum Next {
    /// The next line.
    Line,
    /// The end.
    Quit,
    /// Run this, or what was typed if it is nothing.
    Run { sql: Option<String>, expanded: bool },
    /// Forget what was typed.
    Reset,
    /// Show what was typed.
    Show,
    /// Edit what was typed, or a file.
    Edit(Option<String>),
    /// A script ended so.
    Ended(u8),
}

impl<'a, D: Dial> Prompt<'a, D> {
    /// A prompt on an open connection. With a terminal at both ends it is for a person, else it reads a script.
    pub fn new(
        connection: Connection<D::Conn>,
        dialer: &'a D,
        login: Login,
        options: Options,
        shutdown: &'a Shutdown,
        ui: &'a mut Ui,
    ) -> Self {
        let for_person = options.file.is_none()
            && std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal();
        Self {
            ui,
            session: Session::new(connection, dialer, login, shutdown, for_person),
            expanded: options.expanded,
            options,
            timing: false,
            for_person,
            depth: 0,
        }
    }

    /// Prompts, or runs the script, to the end.
    pub async fn run(mut self) -> Ended {
        let result = if self.for_person {
            // Ctrl-C is for the statement and the line from now on.
            let _lent = self.session.shutdown().lend_terminal();
            Box::pin(interactive::run(&mut self)).await
        } else {
            Box::pin(script::run(&mut self)).await
        };
        let connections = self.session.connections();
        self.session.close().await;
        Ended {
            result,
            connections,
        }
    }

    /// Runs a statement and shows what comes of it. Its failure is an error that nobody has been told of yet.
    pub(super) async fn execute(&mut self, sql: &str, expanded: bool) -> Result<()> {
        if sql.contains('\0') {
            return Err(ErrorKind::Usage.error("the SQL has a NUL byte, which SQL cannot hold"));
        }
        if self.session.is_lost() {
            self.reconnect().await?;
        }
        let started = Instant::now();
        let looks = Looks {
            expanded: expanded || self.expanded,
            for_person: self.for_person,
        };
        let mut screen = Screen::new(self.ui, &self.options, looks);
        let ran = Box::pin(self.session.run(sql, &mut screen)).await;
        let took = started.elapsed();
        let finished = screen.finish();
        ran.and(finished)?;
        if self.timing {
            let line = format!("Time: {:.3} ms", took.as_secs_f64() * 1_000.0);
            self.ui.status(&line);
        }
        Ok(())
    }

    /// Does what a command says.
    pub(super) async fn command(&mut self, command: Command) -> Result<Next> {
        match command {
            Command::Quit => return Ok(Next::Quit),
            Command::Help => self.ui.print(HELP)?,
            Command::Expanded(switch) => {
                self.expanded = switch.apply(self.expanded);
                self.say_switch("expanded display", self.expanded);
            }
            Command::Timing(switch) => {
                self.timing = switch.apply(self.timing);
                self.say_switch("timing", self.timing);
            }
            Command::Include(file) => return self.include(Path::new(&file)).await,
            Command::Edit(file) => return Ok(Next::Edit(file)),
            Command::ConnectionInfo => {
                let info = self.connection_info();
                self.ui.print(&info)?;
            }
            Command::Connect(database) => {
                Box::pin(self.session.connect_to(&database)).await?;
                let login = self.session.login();
                self.ui.status(&format!(
                    "now in database `{}` as `{}`",
                    login.database, login.user
                ));
            }
            Command::Go { expanded } => {
                return Ok(Next::Run {
                    sql: None,
                    expanded,
                });
            }
            Command::Reset => return Ok(Next::Reset),
            Command::Show => return Ok(Next::Show),
            Command::Describe(subject) => self.describe(&subject).await?,
            Command::Echo(text) => self.ui.print(&format!("{text}\n"))?,
        }
        Ok(Next::Line)
    }

    async fn include(&mut self, file: &Path) -> Result<Next> {
        if self.depth >= DEEPEST {
            return Err(ErrorKind::Usage
                .error(format!("cannot run `{}`", file.display()))
                .because(anyhow::anyhow!("files include each other too deeply")));
        }
        self.depth += 1;
        // Files may include files.
        let ran = Box::pin(script::run_file(self, file)).await;
        self.depth -= 1;
        Ok(Next::Ended(ran?))
    }

    async fn describe(&mut self, subject: &Subject) -> Result<()> {
        if self.session.is_lost() {
            self.reconnect().await?;
        }
        let looks = Looks {
            expanded: self.expanded,
            for_person: self.for_person,
        };
        let mut screen = Screen::new(self.ui, &self.options, looks);
        let mut ran = Ok(());
        for question in describe::questions(self.session.login().dialect, subject) {
            screen.below(question.heading);
            ran = Box::pin(self.session.run(&question.sql, &mut screen)).await;
            if ran.is_err() {
                break;
            }
        }
        let finished = screen.finish();
        ran.and(finished)
    }

    fn say_switch(&self, what: &str, on: bool) {
        let state = if on { "on" } else { "off" };
        self.ui.status(&format!("{what} is {state}"));
    }

    fn connection_info(&self) -> String {
        let login = self.session.login();
        let version = self.session.parameter("server_version").unwrap_or("?");
        let product = match login.dialect {
            Dialect::Postgres => "PostgreSQL",
            // It says so itself, in the version.
            Dialect::MySql if version.contains("MariaDB") => "MariaDB",
            Dialect::MySql => "MySQL",
        };
        let read_only = if login.read_only { ", read-only" } else { "" };
        format!(
            "{}: database `{}` as `{}` on {product} {}{read_only}, through bsql's own TLS connection\n",
            self.options.label,
            login.database,
            login.user,
            crate::error::printable(version),
        )
    }

    /// Says what went wrong, and where in a script.
    pub(super) fn complain(&self, error: &Error, place: Option<&str>) {
        let prefix = place.map(|place| format!("{place}: ")).unwrap_or_default();
        for (nth, line) in complaint::lines(error).iter().enumerate() {
            let prefix = if nth == 0 { prefix.as_str() } else { "" };
            self.ui.must_say(&format!("{prefix}{line}"));
        }
    }

    /// After a failure: whether a new connection is needed, and makes it. What could not be done is said.
    pub(super) async fn recover(&mut self) {
        if !self.session.is_lost() {
            return;
        }
        if let Err(error) = self.reconnect().await {
            self.complain(&error, None);
        }
    }

    async fn reconnect(&mut self) -> Result<()> {
        Box::pin(self.session.reconnect()).await?;
        self.ui.warn(
            "this is a new connection: what was not committed is gone, and so are settings and temporary tables",
        );
        Ok(())
    }
}

/// Whether it was the statement that failed, so that the session goes on.
pub(super) fn is_the_statements(error: &Error) -> bool {
    ServerError::of(error).is_some()
        || matches!(error.kind(), ErrorKind::Statement | ErrorKind::Usage)
}
