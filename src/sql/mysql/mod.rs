//! MySQL's protocol, and MariaDB's, which is nearly the same. The wire format is `mysql_common`'s where that holds against
//! nonsense; the rest is read here.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>

mod answer;
mod auth;
mod cancel;
mod failure;
mod greeting;
mod packets;
mod rows;
#[cfg(test)]
#[cfg(unix)]
mod scripted;
mod session;
mod settings;
mod tag;
#[cfg(test)]
#[cfg(unix)]
pub(crate) mod test_server;
#[cfg(test)]
#[cfg(unix)]
mod tests;

pub(super) use cancel::Canceller;
pub(super) use session::Session;
