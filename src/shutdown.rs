//! Operating-system signals become one [`CancellationToken`] that every long wait selects on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};

/// Ends the program in good order: whoever waits, waits for this too.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    /// The code of the kind that the signal stands for; 0 while there was none.
    cause: Arc<AtomicU8>,
    /// While a client owns the terminal, Ctrl-C is the client's: `psql` cancels a query with it.
    client_owns_terminal: Arc<AtomicBool>,
}

impl Shutdown {
    /// Listens for the signals that end a program. Must be called within the runtime.
    #[cfg(unix)]
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let shutdown = Self::default();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let on_signal = shutdown.clone();
        // Owned by the runtime: it waits for signals as long as the process lives.
        tokio::spawn(async move {
            loop {
                let kind = tokio::select! {
                    Some(()) = interrupt.recv() => ErrorKind::Interrupted,
                    Some(()) = terminate.recv() => ErrorKind::Terminated,
                    Some(()) = hangup.recv() => ErrorKind::Terminated,
                    else => return,
                };
                on_signal.signalled(kind);
            }
        });
        Ok(shutdown)
    }

    /// Listens for Ctrl-C. Must be called within the runtime.
    #[cfg(not(unix))]
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let on_signal = shutdown.clone();
        // Owned by the runtime: it waits for signals as long as the process lives.
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                on_signal.signalled(ErrorKind::Interrupted);
            }
        });
        Ok(shutdown)
    }

    fn signalled(&self, kind: ErrorKind) {
        if kind == ErrorKind::Interrupted && self.client_owns_terminal.load(Ordering::SeqCst) {
            tracing::debug!("left Ctrl-C to the client");
            return;
        }
        // The first signal decides the exit status.
        let _ = self
            .cause
            .compare_exchange(0, kind.code(), Ordering::SeqCst, Ordering::SeqCst);
        self.token.cancel();
    }

    /// Leaves Ctrl-C to the client until the guard is dropped.
    pub fn lend_terminal(&self) -> TerminalLent<'_> {
        self.client_owns_terminal.store(true, Ordering::SeqCst);
        TerminalLent(self)
    }

    /// Completes when the program is to end. Cancel safe.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Waits for `work`, or fails with the signal's exit status, dropping `work`.
    pub async fn or_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.requested() => Err(self.error()),
            result = work => result,
        }
    }

    /// What to report when the signal ended the work.
    pub fn error(&self) -> Error {
        match self.cause.load(Ordering::SeqCst) {
            code if code == ErrorKind::Terminated.code() => {
                ErrorKind::Terminated.error("terminated")
            }
            _ => ErrorKind::Interrupted.error("interrupted"),
        }
    }
}

/// Ctrl-C is the client's until this is dropped.
#[derive(Debug)]
pub struct TerminalLent<'a>(&'a Shutdown);

impl Drop for TerminalLent<'_> {
    fn drop(&mut self) {
        self.0.client_owns_terminal.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_signal_decides() {
        let shutdown = Shutdown::default();
        shutdown.signalled(ErrorKind::Terminated);
        shutdown.signalled(ErrorKind::Interrupted);
        let error = shutdown
            .or_interrupted(std::future::pending::<Result<(), Error>>())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminated);
    }

    #[test]
    fn an_interrupt_is_the_clients_while_it_owns_the_terminal() {
        let shutdown = Shutdown::default();
        let lent = shutdown.lend_terminal();
        shutdown.signalled(ErrorKind::Interrupted);
        assert!(!shutdown.token.is_cancelled());
        drop(lent);
        shutdown.signalled(ErrorKind::Interrupted);
        assert!(shutdown.token.is_cancelled());
    }
}
