//! The databases behind the MySQL instances: a MariaDB for each, started when somebody first connects.
//!
//! There is none to build in and MySQL itself is in few distributions, so it takes an installed MariaDB, which speaks the
//! same protocol. Who may connect is the door's business, see [`crate::sandbox::instance`]. So all of its accounts have one
//! password, which the door alone knows: nobody gets around the door, and whoever is in cannot become somebody else
//! (`COM_CHANGE_USER`). Its data lives in a private temporary directory, and no longer than the sandbox.

#[cfg(unix)]
mod discover;
#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod furnish;
pub(in crate::sandbox) mod native_password;
#[cfg(unix)]
mod server;

#[cfg(not(unix))]
pub(in crate::sandbox) use elsewhere::MySql;
#[cfg(unix)]
pub(in crate::sandbox) use server::MySql;
