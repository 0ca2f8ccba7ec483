//! What the targets share: bytes that come in pieces, and futures that never have to wait for any.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The fuzzer's bytes, cut where its first bytes say: how many cuts, and the length of each piece before one.
pub fn in_pieces(data: &[u8]) -> Vec<&[u8]> {
    const MOST_CUTS: usize = 8;
    let Some((cuts, rest)) = data.split_first() else {
        return Vec::new();
    };
    let cuts = usize::from(*cuts) % MOST_CUTS;
    let (lengths, mut bytes) = rest.split_at(cuts.min(rest.len()));
    let mut pieces = Vec::new();
    for length in lengths {
        // None is empty: that would be the end of a stream.
        let (piece, after) = bytes.split_at((usize::from(*length) + 1).min(bytes.len()));
        pieces.push(piece);
        bytes = after;
    }
    pieces.push(bytes);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// A stream whose other end has said all that it will. What is written to it is kept, at most `takes` bytes at a time.
#[derive(Debug)]
pub struct Script<'a> {
    pieces: VecDeque<&'a [u8]>,
    takes: usize,
    /// All that was written.
    pub written: Vec<u8>,
}

impl<'a> Script<'a> {
    /// Reads come to an end after `pieces`.
    pub fn new(pieces: &[&'a [u8]], takes: usize) -> Self {
        Self {
            pieces: pieces.iter().copied().collect(),
            takes,
            written: Vec::new(),
        }
    }
}

impl AsyncRead for Script<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(piece) = self.pieces.pop_front() {
            let (now, later) = piece.split_at(piece.len().min(buf.remaining()));
            buf.put_slice(now);
            if !later.is_empty() {
                self.pieces.push_front(later);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = buf.len().min(self.takes);
        self.written.extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The result of a future over a [`Script`]. One that waits would wait for ever.
pub fn finish<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits, though all bytes are there"),
    }
}

/// What people are shown may not steer their terminal.
pub fn assert_printable(error: &bsql::error::Error) {
    let mut shown = error.causes();
    shown.push(error.to_string());
    for text in shown {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
