//! Programs of this machine that bsql starts on the person's behalf: where they are, what they are told, and how they end.
//!
//! They are told how to reach the database by their environment alone, and nothing in it is secret: the tunnel signs them
//! in. The room knows no tokens.

mod clients;
mod coordinates;
mod programs;
mod psql;
mod run;
mod through;

pub use clients::{Client, Login, leads_astray};
pub use coordinates::{Coordinates, Protocol};
pub use run::run;
pub use through::run_through;
