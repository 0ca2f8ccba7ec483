//! bsql: databases as catalog items. From a name in Backstage to a SQL prompt on a Cloud SQL instance, signed in as
//! yourself.
//!
//! One room per counterparty, see docs/architecture.md:
//!
//! - the person: [`ui`], and `cli`, the list of errands
//! - their files: [`config`]
//! - the identity provider: [`auth`]
//! - Backstage: [`catalog`]
//! - Google: [`cloudsql`]
//! - the database, when bsql itself speaks to it: [`sql`]
//! - the person who writes SQL, where there is no client program: [`prompt`]
//! - local programs that dial in: [`tunnel`], and those that are started: [`launch`]
//! - other processes of bsql itself, which have tunnels open: `control`
//!
//! `sandbox` has all of their other sides on one machine. The library is for the program, its tests and the documentation:
//! it makes no promise of stability.

mod app;
pub mod audit;
pub mod auth;
pub mod buffers;
pub mod catalog;
mod cli;
pub mod clock;
pub mod cloudsql;
pub mod config;
#[cfg(unix)]
pub mod control;
pub mod error;
pub mod hex;
pub mod http;
pub mod launch;
pub mod lint;
#[cfg(test)]
mod loopback;
pub mod private_dir;
pub mod private_file;
pub mod prompt;
pub mod refresh;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod secret;
pub mod shutdown;
pub mod sql;
pub mod target;
pub mod tunnel;
pub mod ui;

use std::process::ExitCode;

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    cli::main(std::env::args_os())
}
