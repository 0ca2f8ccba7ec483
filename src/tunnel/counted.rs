//! A stream that counts, so that the totals are known however the connection ends.

use std::io::Result;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::greeting::{Greeting, ProcessId};
use super::meter::Meter;

/// Bytes moved, seen from the local program.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// To the database.
    up: AtomicU64,
    /// From the database.
    down: AtomicU64,
}

impl Traffic {
    pub(super) fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
}

/// The local end of a connection: what is read from it goes up, what is written to it came down.
#[derive(Debug)]
pub(super) struct Counted<'a, S> {
    inner: S,
    meter: &'a Meter,
    greeting: Greeting,
}

impl<'a, S> Counted<'a, S> {
    pub(super) fn new(inner: S, meter: &'a Meter, process_id: ProcessId) -> Self {
        Self {
            inner,
            meter,
            greeting: Greeting::new(process_id),
        }
    }

    fn written(&self, bytes: usize) {
        let down = &self.meter.traffic.down;
        down.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        let up = &self.meter.traffic.up;
        up.fetch_add(bytes as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.written(bytes);
        if let Some(backend_pid) = self.greeting.hear(&buf[..bytes]) {
            self.meter.signed_in(backend_pid);
            tracing::info!(backend_pid, "signed in");
        }
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
