//! Packets over a stream: a length, a number, and what is in them. What is longer than a packet comes in several.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

/// A packet of this length is followed by more of the same.
const LONGEST: usize = 0xff_ff_ff;
/// What is longer altogether is nonsense: the most that a server can be told to send.
const LONGEST_MESSAGE: usize = 1 << 30;
/// Read at once.
const BUFFER: usize = 64 * 1024;
/// Room for a message that is kept for the next one.
const KEPT: usize = 1 << 20;

/// Packets, one side's after the other's.
#[derive(Debug)]
pub(super) struct Packets<S> {
    stream: BufReader<S>,
    /// The number of the next packet.
    number: u8,
    message: Vec<u8>,
    longest: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::with_capacity(BUFFER, stream),
            number: 0,
            message: Vec::new(),
            longest: LONGEST_MESSAGE,
        }
    }

    /// With another limit than the protocol's.
    #[cfg(test)]
    pub(super) fn with_longest(stream: S, longest: usize) -> Self {
        Self {
            longest,
            ..Self::new(stream)
        }
    }

    /// The next message, which is never empty. What the server claims of its length is not believed before it has come.
    pub(super) async fn read(&mut self) -> io::Result<&[u8]> {
        if self.message.capacity() > KEPT {
            self.message = Vec::new();
        }
        self.message.clear();
        loop {
            let mut header = [0; 4];
            self.stream.read_exact(&mut header).await?;
            let [a, b, c, number] = header;
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            self.number = number.wrapping_add(1);
            if self.message.len() + length > self.longest {
                return Err(malformed("the server's answer is too long"));
            }
            let mut packet = (&mut self.stream).take(length as u64);
            if packet.read_to_end(&mut self.message).await? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length < LONGEST {
                break;
            }
        }
        if self.message.is_empty() {
            return Err(malformed("the server sent an empty packet"));
        }
        Ok(&self.message)
    }

    /// Answers what was read last.
    pub(super) async fn write(&mut self, message: &[u8]) -> io::Result<()> {
        let mut rest = message;
        loop {
            let (packet, after) = rest.split_at(rest.len().min(LONGEST));
            let [a, b, c, ..] = u32::try_from(packet.len())
                .unwrap_or_default()
                .to_le_bytes();
            let mut framed = Vec::with_capacity(4 + packet.len());
            framed.extend_from_slice(&[a, b, c, self.number]);
            framed.extend_from_slice(packet);
            self.stream.write_all(&framed).await?;
            self.number = self.number.wrapping_add(1);
            rest = after;
            // A packet that is full is followed by another, even by an empty one.
            if packet.len() < LONGEST {
                break;
            }
        }
        self.stream.flush().await
    }

    /// Begins a new exchange.
    pub(super) async fn command(&mut self, command: u8, body: &[u8]) -> io::Result<()> {
        self.number = 0;
        self.write(&[&[command], body].concat()).await
    }

    /// Waits until the server has closed.
    pub(super) async fn closed(&mut self) {
        // How it closes says nothing.
        let _ = tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await;
    }
}

/// What is not the protocol.
pub(super) fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn long_messages_come_in_several_packets() {
        for length in [1, LONGEST - 1, LONGEST, LONGEST + 1, 2 * LONGEST] {
            let (here, there) = duplex(1 << 16);
            let mut here = Packets::new(here);
            let mut there = Packets::new(there);
            let message = vec![b'x'; length];
            let (written, read) = tokio::join!(here.write(&message), there.read());
            written.unwrap();
            assert!(read.unwrap() == message, "{length}");
            assert_eq!(usize::from(here.number), length / LONGEST + 1);
            assert_eq!(there.number, here.number);
        }
    }

    #[tokio::test]
    async fn what_is_too_long_cut_or_empty() {
        let read = async |bytes: &[u8]| {
            let (here, mut there) = duplex(1024);
            there.write_all(bytes).await.unwrap();
            drop(there);
            let mut packets = Packets::with_longest(here, 10);
            packets
                .read()
                .await
                .map(<[u8]>::to_vec)
                .map_err(|error| error.kind())
        };
        assert_eq!(read(b"\x02\0\0\0ab").await.unwrap(), b"ab");
        assert_eq!(read(b"\0\0\0\0").await, Err(io::ErrorKind::InvalidData));
        assert_eq!(read(b"\x0b\0\0\0").await, Err(io::ErrorKind::InvalidData));
        assert_eq!(
            read(b"\x02\0\0\0a").await,
            Err(io::ErrorKind::UnexpectedEof)
        );
        assert_eq!(read(b"").await, Err(io::ErrorKind::UnexpectedEof));
    }
}
