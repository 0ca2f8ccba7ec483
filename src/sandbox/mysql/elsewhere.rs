//! Where there are no Unix sockets there is nothing behind the instance.

use std::ffi::OsStr;

use tokio::io::DuplexStream;

use crate::error::{ErrorKind, Result};
use crate::sandbox::company::Instance;
use crate::sandbox::http::opaque_secret;
use crate::secret::Secret;

/// No servers.
#[derive(Debug)]
pub(in crate::sandbox) struct MySql {
    password: Secret,
}

impl MySql {
    /// None, wherever one looks.
    #[expect(clippy::unused_async, reason = "it is awaited where there are servers")]
    pub(in crate::sandbox) async fn new(_search_path: Option<&OsStr>) -> Self {
        Self {
            password: Secret::from(opaque_secret()),
        }
    }

    /// None.
    #[expect(clippy::unused_self, reason = "as where there are servers")]
    pub(in crate::sandbox) fn describe(&self) -> Option<String> {
        None
    }

    /// Of nobody.
    pub(in crate::sandbox) fn password(&self) -> &Secret {
        &self.password
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
