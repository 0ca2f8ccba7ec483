//! File descriptors: each connection takes two of them, and most systems let a process have 1,024 unless it asks for more.
//! Windows does not count them.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::serve::TOLD;

/// For everything but tunnels: the runtime, logs, and connections to Google.
const OWN: usize = 64;
/// For as many connections as one tunnel can be told to serve. Not more, even where the system would give a billion: the
/// programs that a process starts have its limit, and a few count up to it.
#[cfg(unix)]
const ENOUGH: u64 = 2 * u16::MAX as u64 + 1_000;
/// macOS says that there is no limit, and then gives no more than this (`OPEN_MAX` in its `sys/syslimits.h`).
#[cfg(unix)]
const MOST: u64 = if cfg!(target_os = "macos") {
    10_240
} else {
    ENOUGH
};

/// For how many connections this process has enough, in each of so many tunnels: 1 at least. Asks the system for as many as
/// it may have first.
pub fn room_for_connections(tunnels: usize) -> usize {
    let each = raised_limit().saturating_sub(OWN) / tunnels.max(1);
    (each.saturating_sub(TOLD) / 2).max(1)
}

#[cfg(unix)]
fn raised_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MOST).min(MOST);
    let now = match limit.current {
        Some(current) if current < wanted => {
            let raised = Rlimit {
                current: Some(wanted),
                ..limit
            };
            match setrlimit(Resource::Nofile, raised) {
                Ok(()) => wanted,
                Err(error) => {
                    tracing::warn!(current, wanted, %error, "may not have more descriptors");
                    current
                }
            }
        }
        Some(current) => current,
        None => u64::MAX,
    };
    usize::try_from(now).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn raised_limit() -> usize {
    usize::MAX
}
