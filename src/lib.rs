//! bsql: databases as catalog items.

pub mod audit;
pub mod auth;
pub mod catalog;
pub mod clock;
pub mod cloudsql;
pub mod config;
pub mod error;
pub mod http;
pub mod launch;
#[cfg(test)]
mod loopback;
pub mod refresh;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod secret;
pub mod shutdown;
pub mod sql;
pub mod target;
pub mod tunnel;
