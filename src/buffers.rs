//! Buffers that are lent only while bytes are in hand: a thousand idle connections hold none.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As much is moved at a time: four TLS records. Larger ones gain nothing (docs/performance.md).
pub const SIZE: usize = 64 * 1024;

/// What encryption adds to that, and room for a message of TLS's own.
const MARGIN: usize = 1024;

/// More than these are never in hand for long: each thread moves the bytes of one connection at a time.
const KEPT: usize = 8;

/// Lends buffers and keeps a few that came back.
#[derive(Default)]
pub struct Buffers {
    free: Mutex<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// One that came back, or a new one, a little larger than [`SIZE`]. What is in it means nothing.
    pub fn take(&self) -> Box<[u8]> {
        let free = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        free.unwrap_or_else(|| vec![0; SIZE + MARGIN].into_boxed_slice())
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
    capacity: usize,
}

impl Lent {
    /// Nothing so far, and [`SIZE`] bytes at most.
    pub fn new(buffers: Arc<Buffers>) -> Self {
        Self {
            buffers,
            buffer: None,
            start: 0,
            end: 0,
            capacity: SIZE,
        }
    }

    /// Nothing so far, and at most what [`SIZE`] bytes become when TLS encrypts them.
    pub fn for_tls(buffers: Arc<Buffers>) -> Self {
        Self {
            capacity: SIZE + MARGIN,
            ..Self::new(buffers)
        }
    }

    /// The bytes in hand.
    pub fn bytes(&self) -> &[u8] {
        self.buffer
            .as_ref()
            .map_or(&[], |buffer| &buffer[self.start..self.end])
    }

    /// The bytes in hand, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer
            .as_mut()
            .map_or(&mut [], |buffer| &mut buffer[self.start..self.end])
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether nothing more fits behind the bytes in hand.
    pub fn is_full(&self) -> bool {
        self.end == self.capacity
    }

    /// Moves the bytes in hand to the front, so that more fits behind them.
    pub fn make_room(&mut self) {
        if let Some(buffer) = &mut self.buffer
            && self.start > 0
        {
            buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }

    /// Has `write` put bytes behind those in hand. It says how many they were.
    pub fn append_with<E>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
        let written = write(&mut buffer[self.end..self.capacity]);
        self.end += written.as_ref().map_or(0, |written| *written);
        self.give_back_if_empty();
        written
    }

    /// Puts as many of `bytes` as fit behind those in hand, and says how many did.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let written = self.append_with(|space| {
            let count = bytes.len().min(space.len());
            space[..count].copy_from_slice(&bytes[..count]);
            Ok::<_, std::convert::Infallible>(count)
        });
        match written {
            Ok(count) => count,
        }
    }

    /// Reads once behind the bytes in hand; `Ready(0)` is the end of `reader`.
    pub fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
        let mut behind = ReadBuf::new(&mut buffer[self.end..self.capacity]);
        let polled = Pin::new(reader).poll_read(cx, &mut behind);
        let read = behind.filled().len();
        self.end += read;
        self.give_back_if_empty();
        ready!(polled)?;
        Poll::Ready(Ok(read))
    }

    /// Writes until no bytes are in hand.
    pub fn poll_drain<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = ready!(Pin::new(&mut *writer).poll_write(cx, self.bytes()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.consume(written);
        }
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn free(buffers: &Buffers) -> usize {
        buffers.free.lock().unwrap().len()
    }

    #[tokio::test]
    async fn a_buffer_is_held_only_while_there_are_bytes_in_it() {
        let buffers = Arc::new(Buffers::default());
        let (mut there, mut here) = duplex(100);
        let mut lent = Lent::new(Arc::clone(&buffers));

        let waiting = poll_fn(|cx| Poll::Ready(lent.poll_fill(&mut here, cx).is_pending())).await;
        assert!(waiting);
        assert_eq!(free(&buffers), 1, "nobody holds one while waiting");

        there.write_all(b"somewhat").await.unwrap();
        let read = poll_fn(|cx| lent.poll_fill(&mut here, cx)).await.unwrap();
        assert_eq!(read, 8);
        lent.consume(4);
        assert_eq!((lent.bytes(), free(&buffers)), (&b"what"[..], 0));
        lent.make_room();
        assert_eq!(lent.append(b"ever"), 4);
        lent.bytes_mut()[4] = b'E';
        poll_fn(|cx| lent.poll_drain(&mut here, cx)).await.unwrap();
        assert!(lent.is_empty());
        assert_eq!(free(&buffers), 1);
        let mut drained = [0; 8];
        there.read_exact(&mut drained).await.unwrap();
        assert_eq!(&drained, b"whatEver");
        drop(there);
        let end = poll_fn(|cx| lent.poll_fill(&mut here, cx)).await.unwrap();
        assert_eq!(end, 0);
    }

    #[test]
    fn as_much_fits_as_was_said() {
        let buffers = Arc::new(Buffers::default());
        let too_much = vec![7; 2 * SIZE];
        let mut plain = Lent::new(Arc::clone(&buffers));
        assert_eq!(plain.append(&too_much), SIZE);
        assert!(plain.is_full());
        plain.consume(10);
        assert!(plain.is_full(), "there is room in front, not behind");
        plain.make_room();
        assert_eq!(plain.append(&too_much), 10);
        let mut encrypted = Lent::for_tls(buffers);
        assert_eq!(encrypted.append(&too_much), SIZE + MARGIN);
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
