//! Which client opens a database: what the person names, else the first of the settings' that is there, else bsql's own.

use std::path::Path;

use super::App;
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::launch::Client;
use crate::tunnel::Protocol;

/// The name of bsql's own prompt, in settings and for `--client`.
const BUILTIN: &str = "builtin";

/// What opens a database.
#[derive(Debug)]
pub(crate) enum Chosen {
    /// A program of this machine.
    Program(Client),
    /// bsql's own prompt.
    Builtin {
        /// Why it is not a program, when nobody asked for this.
        instead_of: Option<Error>,
    },
}

impl App {
    /// The client for a database of this kind when nobody names one; `database` is its name, for the hints.
    ///
    /// Fails with [`ErrorKind::ClientMissing`] when there is none, [`ErrorKind::Config`] when the settings name none.
    pub(crate) fn usual_client(&self, protocol: Protocol, database: &str) -> Result<Chosen> {
        let settings = Settings::read(&self.paths)?;
        let programs = settings.clients(match protocol {
            Protocol::Postgres => "postgres",
            Protocol::MySql => "mysql",
            Protocol::SqlServer => "sqlserver",
        })?;
        let mut missing = None;
        for program in &programs {
            match self.named_client(program, database) {
                Err(error) if error.kind() == ErrorKind::ClientMissing => {
                    missing = missing.or(Some(error));
                }
                found => return found,
            }
        }
        match (missing, protocol) {
            (missing @ Some(_), Protocol::Postgres | Protocol::MySql) => Ok(Chosen::Builtin {
                instead_of: missing,
            }),
            (Some(missing), _) => Err(missing),
            (None, _) => Err(ErrorKind::Config.error("the key `clients` names no program")),
        }
    }

    /// The client that somebody names.
    ///
    /// Fails with [`ErrorKind::ClientMissing`] when it is not there.
    pub(crate) fn named_client(&self, program: &str, database: &str) -> Result<Chosen> {
        if program == BUILTIN {
            return Ok(Chosen::Builtin { instead_of: None });
        }
        let path = self.environment.path("PATH");
        let path = path.as_deref().map(Path::as_os_str);
        Client::find(program, path, database).map(Chosen::Program)
    }
}
