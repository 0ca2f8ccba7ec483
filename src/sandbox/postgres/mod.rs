//! The databases behind the instances: a real PostgreSQL server for each, started when somebody first connects.
//!
//! [`Engine`] is either the PostgreSQL that is installed on this machine or, where there is none, one built into bsql. It
//! lets everybody in (`trust`): who may connect is the door's business, see [`crate::sandbox::instance`]. Its data lives in
//! a private temporary directory, and no longer than the sandbox.

#[cfg(unix)]
mod discover;
#[cfg(feature = "embedded-postgres")]
mod embedded;
mod engine;
mod furnish;
#[cfg(unix)]
mod system;

pub use engine::EngineChoice;
pub(in crate::sandbox) use engine::{Engine, NoSession, Session};
