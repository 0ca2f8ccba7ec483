//! The tunnels of this user that are open on this machine: what a process that has one says of it, and how another one
//! finds it, asks it and ends it.
//!
//! Each open tunnel has a control socket in the directory of sockets, and a lock beside it. The lock is the truth: the
//! kernel drops it with the process however that ends, so a socket whose lock can be had is a dead process's and is
//! removed. Nobody is ever signalled by a process id that may be somebody else's by now.

mod claim;
mod glance;
mod http;
mod metrics;
mod open;
mod remembered;
mod report;

pub use claim::{Claim, Control, key};
pub use glance::glance;
pub use http::serve_http;
pub use open::{Open, open_tunnels};
pub use remembered::{Chosen, PortRange, Remembered};
pub use report::Report;

use serde::{Deserialize, Serialize};

/// What one may ask at a control socket, as a line of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
enum Ask {
    /// For a [`Report`], as a line of JSON.
    Report,
    /// To end the tunnel. The connection is closed when it has ended.
    Stop,
}

/// The longest line either side accepts.
const LONGEST_LINE: u64 = 64 * 1024;
/// For a process on the same machine to say or to ask something.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// The control socket of the tunnel with a key: the key, and these.
const SOCKET: &str = ".ctl";
const LOCK: &str = ".lock";
