//! Moves bytes both ways until both sides have ended.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffers::{Buffers, Lent};

/// Moves bytes between `local` and `remote`. A side that ends is ended on the other, too, while the opposite direction
/// goes on.
///
/// tokio's `copy_bidirectional` does the same, but each connection owns its buffers, idle or not, and each read is
/// followed by a write: here a write follows when there is nothing more to read or the buffer is full, so that several
/// TLS records leave with one system call.
pub(super) async fn pump<L, R>(
    local: &mut L,
    remote: &mut R,
    buffers: &Arc<Buffers>,
) -> io::Result<()>
where
    L: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::new(buffers);
    let mut down = Direction::new(buffers);
    poll_fn(|cx| {
        let up = up.poll(local, remote, cx)?;
        let down = down.poll(remote, local, cx)?;
        ready!(up);
        ready!(down);
        Poll::Ready(Ok(()))
    })
    .await
}

#[derive(Debug)]
struct Direction {
    bytes: Lent,
    unflushed: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Moving,
    /// The reader has ended, and the writer is to.
    Ending,
    Ended,
}

impl Direction {
    fn new(buffers: &Arc<Buffers>) -> Self {
        Self {
            bytes: Lent::new(Arc::clone(buffers)),
            unflushed: false,
            stage: Stage::Moving,
        }
    }

    fn poll<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let mut starved = false;
            while self.stage == Stage::Moving && !self.bytes.is_full() {
                match self.bytes.poll_fill(reader, cx)? {
                    Poll::Ready(0) => self.stage = Stage::Ending,
                    Poll::Ready(_) => {}
                    Poll::Pending => {
                        starved = true;
                        break;
                    }
                }
            }
            while !self.bytes.bytes().is_empty() {
                let written = ready!(Pin::new(&mut *writer).poll_write(cx, self.bytes.bytes()))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.bytes.consume(written);
                self.unflushed = true;
            }
            if starved || self.stage != Stage::Moving {
                if self.unflushed {
                    ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                    self.unflushed = false;
                }
                if self.stage == Stage::Ending {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                    self.stage = Stage::Ended;
                }
                return match self.stage {
                    Stage::Ended => Poll::Ready(Ok(())),
                    _ => Poll::Pending,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// Bytes that differ from place to place, so that lost, doubled and swapped ones show.
    fn pattern(length: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    async fn exchange(stream: DuplexStream, sent: Vec<u8>, piece: usize) -> Vec<u8> {
        let (mut read, mut write) = tokio::io::split(stream);
        let sending = async {
            for piece in sent.chunks(piece) {
                write.write_all(piece).await.unwrap();
            }
            write.shutdown().await.unwrap();
        };
        let receiving = async {
            let mut received = Vec::new();
            read.read_to_end(&mut received).await.unwrap();
            received
        };
        tokio::join!(sending, receiving).1
    }

    #[tokio::test]
    async fn every_byte_arrives_in_order_whatever_the_pieces() {
        for (capacity, piece) in [
            (1, 7),
            (1000, 333),
            (64 * 1024, 100_000),
            (1 << 20, 1 << 20),
        ] {
            let length = if capacity == 1 { 5_000 } else { 700_001 };
            let (program, mut local) = duplex(capacity);
            let (mut remote, database) = duplex(capacity);
            let (up, down) = (pattern(length, 1), pattern(length / 2, 2));
            let buffers = Arc::new(Buffers::default());
            let (pumped, at_program, at_database) = tokio::join!(
                pump(&mut local, &mut remote, &buffers),
                exchange(program, up.clone(), piece),
                exchange(database, down.clone(), piece),
            );
            pumped.unwrap();
            assert!(at_database == up, "{capacity} {piece}");
            assert!(at_program == down, "{capacity} {piece}");
        }
    }

    #[tokio::test]
    async fn one_direction_ends_and_the_other_goes_on() {
        let (mut program, mut local) = duplex(100);
        let (mut remote, mut database) = duplex(100);
        let buffers = Arc::new(Buffers::default());
        let talk = async {
            program.shutdown().await.unwrap();
            let mut nothing = Vec::new();
            database.read_to_end(&mut nothing).await.unwrap();
            assert_eq!(nothing, b"");
            database.write_all(b"late").await.unwrap();
            drop(database);
            let mut late = Vec::new();
            program.read_to_end(&mut late).await.unwrap();
            late
        };
        let (pumped, late) = tokio::join!(pump(&mut local, &mut remote, &buffers), talk);
        pumped.unwrap();
        assert_eq!(late, b"late");
    }

    #[tokio::test]
    async fn a_side_that_is_gone_ends_it() {
        let (program, mut local) = duplex(100);
        let (mut remote, mut database) = duplex(100);
        drop(program);
        let buffers = Arc::new(Buffers::default());
        let pumping = async move { pump(&mut local, &mut remote, &buffers).await };
        let bytes = pattern(100_000, 3);
        let (pumped, written) = tokio::join!(pumping, database.write_all(&bytes));
        assert_eq!(pumped.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
