//! The databases behind the MySQL instances: a MariaDB for each, started when somebody first connects.
//!
//! There is none to build in and MySQL itself is in few distributions, so it takes an installed MariaDB, which speaks the
//! same protocol. Its accounts have no passwords, but for [`BUILT_IN_USER`]: who may connect is the door's business, see
//! [`crate::sandbox::instance`]. Its data lives in a private temporary directory, and no longer than the sandbox.

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod furnish;
#[cfg(unix)]
mod server;

#[cfg(not(unix))]
pub(in crate::sandbox) use elsewhere::MySql;
#[cfg(unix)]
pub(in crate::sandbox) use server::MySql;

#[cfg(doc)]
use super::company::BUILT_IN_USER;
