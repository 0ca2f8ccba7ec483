//! Where there are no Unix sockets there is nothing behind the instance.

use std::ffi::OsString;

use tokio::io::DuplexStream;

use crate::error::{ErrorKind, Result};
use crate::sandbox::company::Instance;

/// No servers.
#[derive(Debug)]
pub(in crate::sandbox) struct MySql;

impl MySql {
    /// None, wherever one looks.
    pub(in crate::sandbox) fn new(_search_path: Option<OsString>) -> Self {
        Self
    }

    /// Always fails.
    #[expect(clippy::unused_async, reason = "it is awaited where there are servers")]
    pub(in crate::sandbox) async fn connect(
        &self,
        _instance: &'static Instance,
    ) -> Result<DuplexStream> {
        Err(ErrorKind::ClientMissing.error("the sandbox has no MySQL on this system"))
    }

    /// Nothing to stop.
    #[expect(clippy::unused_async, reason = "it is awaited where there are servers")]
    pub(in crate::sandbox) async fn stop(&self) {}
}
