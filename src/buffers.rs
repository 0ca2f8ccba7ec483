//! Buffers that are lent only while bytes are in hand: a thousand idle connections hold none.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The size of each buffer: four TLS records. Larger ones gain nothing (docs/performance.md).
pub const SIZE: usize = 64 * 1024;

/// More than these are never in hand for long: each thread moves the bytes of one connection at a time.
const KEPT: usize = 8;

/// Lends buffers of [`SIZE`] bytes and keeps a few that came back.
#[derive(Default)]
pub struct Buffers {
    free: Mutex<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// One that came back, or a new one. What is in it means nothing.
    pub fn take(&self) -> Box<[u8]> {
        let free = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        free.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())
    }

    /// Takes one back.
    pub fn give(&self, buffer: Box<[u8]>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(buffer);
        }
    }
}

/// What passed through buffers is not for logs.
impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

/// Bytes in a buffer that was lent.
#[derive(Debug)]
pub struct Lent {
    buffers: Arc<Buffers>,
    buffer: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Lent {
    /// Nothing, so far.
    pub fn new(buffers: Arc<Buffers>) -> Self {
        Self {
            buffers,
            buffer: None,
            start: 0,
            end: 0,
        }
    }

    /// The bytes in hand.
    pub fn bytes(&self) -> &[u8] {
        self.buffer
            .as_ref()
            .map_or(&[], |buffer| &buffer[self.start..self.end])
    }

    /// Whether nothing more fits behind the bytes in hand.
    pub fn is_full(&self) -> bool {
        self.end == SIZE
    }

    /// Reads once behind the bytes in hand; `Ready(0)` is the end of `reader`.
    pub fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
        let mut behind = ReadBuf::new(&mut buffer[self.end..]);
        let polled = Pin::new(reader).poll_read(cx, &mut behind);
        let read = behind.filled().len();
        self.end += read;
        self.give_back_if_empty();
        ready!(polled)?;
        Poll::Ready(Ok(read))
    }

    /// These many of the bytes in hand have gone on.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        self.give_back_if_empty();
    }

    fn give_back_if_empty(&mut self) {
        if self.start < self.end {
            return;
        }
        (self.start, self.end) = (0, 0);
        if let Some(buffer) = self.buffer.take() {
            self.buffers.give(buffer);
        }
    }
}

/// Reads much at a time from what is read a little at a time, as [`tokio::io::BufReader`] does, with a lent buffer.
#[derive(Debug)]
pub struct ReadAhead<T> {
    inner: T,
    ahead: Lent,
}

impl<T> ReadAhead<T> {
    /// Reads ahead of whoever reads `inner`.
    pub fn new(inner: T, buffers: Arc<Buffers>) -> Self {
        Self {
            inner,
            ahead: Lent::new(buffers),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ReadAhead<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, ahead } = &mut *self;
        if ahead.bytes().is_empty() {
            ready!(ahead.poll_fill(inner, cx))?;
        }
        let count = ahead.bytes().len().min(buf.remaining());
        buf.put_slice(&ahead.bytes()[..count]);
        ahead.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ReadAhead<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn free(buffers: &Buffers) -> usize {
        buffers.free.lock().unwrap().len()
    }

    #[tokio::test]
    async fn a_buffer_is_held_only_while_there_are_bytes_in_it() {
        let buffers = Arc::new(Buffers::default());
        let (mut there, here) = duplex(100);
        let mut reader = ReadAhead::new(here, Arc::clone(&buffers));
        let mut four = [0; 4];

        let waiting = tokio::select! {
            biased;
            _ = reader.read(&mut four) => false,
            () = std::future::ready(()) => true,
        };
        assert!(waiting);
        assert_eq!(free(&buffers), 1, "nobody holds one while waiting");

        there.write_all(b"somewhat").await.unwrap();
        reader.read_exact(&mut four).await.unwrap();
        assert_eq!((&four, free(&buffers)), (b"some", 0));
        reader.read_exact(&mut four).await.unwrap();
        assert_eq!((&four, free(&buffers)), (b"what", 1));
        drop(there);
        assert_eq!(reader.read(&mut four).await.unwrap(), 0);
    }

    #[test]
    fn only_a_few_are_kept() {
        let buffers = Buffers::default();
        let many: Vec<_> = (0..KEPT + 3).map(|_| buffers.take()).collect();
        for buffer in many {
            buffers.give(buffer);
        }
        assert_eq!(free(&buffers), KEPT);
        assert_eq!(format!("{buffers:?}"), "Buffers { .. }");
    }
}
