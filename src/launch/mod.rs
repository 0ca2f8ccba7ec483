//! Programs of this machine that bsql starts on the person's behalf: where they are, what they are told, and how they end.
//!
//! They are told how to reach the database by their environment and arguments, and nothing in these is secret: the tunnel
//! signs them in. The room knows no tokens.

mod client;
mod coordinates;
mod environment;
mod flavour;
pub mod gui;
mod mysql;
mod option_file;
mod other;
mod programs;
mod psql;
mod run;
mod sqlserver;
mod through;

pub use client::{Client, Login};
pub use coordinates::Coordinates;
pub use environment::{is_password, leads_astray};
pub use flavour::{Flavour, Identified};
pub use option_file::{OptionFile, outranked_by};
pub use other::url;
pub use run::run;
pub use through::run_through;
