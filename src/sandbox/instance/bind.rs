//! Finds addresses for the doors.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::sandbox::company::INSTANCES;

/// Where Cloud SQL listens for its connectors.
const PORT: u16 = 3307;
/// The first instance is `127.0.k.11`: low ones are what people use by hand.
const FIRST_HOST: u8 = 11;

/// Where the doors are.
#[derive(Debug)]
pub(in crate::sandbox) enum Listeners {
    /// Each instance has an address of its own, in the order of [`INSTANCES`], as in the cloud.
    Own(Vec<(Ipv4Addr, TcpListener)>),
    /// All share 127.0.0.1 and are told apart by the name that the client asks for (SNI).
    Shared(TcpListener),
}

/// Takes the first free block `127.0.k.0/24`, so that several sandboxes run side by side. Where only 127.0.0.1 exists, as
/// on macOS, or port 3307 is taken everywhere, all instances share that address and any free port.
pub(in crate::sandbox) async fn bind() -> Result<Listeners> {
    for block in 1..=u8::MAX {
        match bind_block(block).await {
            Ok(listeners) => return Ok(Listeners::Own(listeners)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                tracing::debug!(%error, "there is one loopback address only");
                break;
            }
        }
    }
    bind_shared().await
}

async fn bind_block(block: u8) -> io::Result<Vec<(Ipv4Addr, TcpListener)>> {
    let mut listeners = Vec::new();
    for (host, _) in (FIRST_HOST..).zip(&INSTANCES) {
        let ip = Ipv4Addr::new(127, 0, block, host);
        listeners.push((ip, TcpListener::bind((ip, PORT)).await?));
    }
    Ok(listeners)
}

/// One listener for all.
pub(in crate::sandbox) async fn bind_shared() -> Result<Listeners> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map(Listeners::Shared)
        .or_fail(
            ErrorKind::CannotCreate,
            || "cannot listen on 127.0.0.1 for the instances",
        )
}

impl Listeners {
    /// The port of all doors.
    pub(super) fn port(&self) -> io::Result<u16> {
        match self {
            Self::Own(_) => Ok(PORT),
            Self::Shared(listener) => Ok(listener.local_addr()?.port()),
        }
    }
}
