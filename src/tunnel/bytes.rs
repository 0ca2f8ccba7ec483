//! A connection whose protocol bsql does not read, which is SQL Server's: bytes, and nothing else.
//!
//! Nothing can be told to its clients in their own words: whoever cannot be served is hung up on, and the log says why.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Dial;
use super::counted::Counted;
use super::greeting::ProcessId;
use super::meter::Meter;
use super::pump::pump;
use super::session::{Outcome, served, turned_away};
use crate::buffers::Buffers;
use crate::error::Result;

/// Serves one local program.
pub(super) async fn run<S, D>(
    local: S,
    dialer: &D,
    too_many: Option<usize>,
    meter: &Meter,
    buffers: &Arc<Buffers>,
) -> Result<Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: Dial,
{
    if let Some(most) = too_many {
        return Err(turned_away(most));
    }
    let mut remote = dialer.dial().await?;
    let mut local = Counted::new(local, meter, ProcessId::Known);
    // A certificate that was refused shows here too, and the next connection has another one.
    Ok(served(pump(&mut local, &mut remote, buffers).await))
}
