//! Ending a statement from a session of its own, as MySQL's protocol has no other way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::Login;
use super::super::rows::Silent;
use super::session::Session;
use crate::error::Result;

/// Asks the server to end the statement that a session is running.
pub(in super::super) struct Canceller {
    pub(super) login: Login,
    /// The session's number.
    pub(super) session: u32,
    /// Of several statements none begins any more.
    pub(super) told_to_stop: Arc<AtomicBool>,
}

impl Canceller {
    pub(in super::super) fn begin_no_more(&self) {
        self.told_to_stop.store(true, Ordering::Relaxed);
    }

    pub(in super::super) async fn cancel<S>(self, stream: S) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // It needs no database, which might be gone, and no settings, which would be another round trip.
        let login = Login {
            database: String::new(),
            read_only: false,
            statement_timeout: None,
            ..self.login
        };
        let mut session = Session::open(stream, &login).await?;
        let kill = format!("KILL QUERY {}", self.session);
        session.run(kill.as_str().into(), &mut Silent).await
    }
}
