//! PostgreSQL's protocol, by tokio-postgres, and what that keeps to itself.

mod failure;
mod overheard;
mod session;
mod shared;
#[cfg(test)]
#[cfg(unix)]
mod test_server;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod wire;

pub(super) use session::{Canceller, Session};
