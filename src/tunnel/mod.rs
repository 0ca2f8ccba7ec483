//! Local programs that dial in.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Result;

/// Opens streams to a database.
pub trait Dial: Send + Sync + 'static {
    /// A stream that carries the database's own protocol.
    type Conn: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a new stream.
    fn dial(&self) -> impl Future<Output = Result<Self::Conn>> + Send;
}
