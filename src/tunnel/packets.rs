//! MySQL's packets, one at a time from a stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::mysqlwire::{HEADER, Header, Malformed};

/// A whole packet, with its header.
#[derive(Debug)]
pub struct Packet {
    /// Its length, which is the payload's, and its number.
    pub header: Header,
    bytes: Vec<u8>,
}

impl Packet {
    /// The first packet of a stream, of which nothing more is read: who asks for TLS begins with that right behind. `None`
    /// when the stream ends instead. Not cancel safe.
    pub(super) async fn read<S>(stream: &mut S) -> io::Result<Option<Self>>
    where
        S: AsyncRead + Unpin,
    {
        let mut start = [0; HEADER];
        if stream.read(&mut start[..1]).await? == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut start[1..]).await?;
        let header = Header::parse(start).map_err(as_io)?;
        let mut bytes = vec![0; HEADER + header.length];
        bytes[..HEADER].copy_from_slice(&start);
        stream.read_exact(&mut bytes[HEADER..]).await?;
        Ok(Some(Self { header, bytes }))
    }

    /// What is in it.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }

    /// The whole of it, as it was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What was read of a stream, in packets.
#[derive(Debug, Default)]
pub struct Packets(Vec<u8>);

impl Packets {
    /// The next packet; `None` when the stream has ended. Cancel safe: what was read is kept.
    pub async fn next<S>(&mut self, stream: &mut S) -> io::Result<Option<Packet>>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            if let Some(header) = self.0.first_chunk() {
                let header = Header::parse(*header).map_err(as_io)?;
                let end = HEADER + header.length;
                if self.0.len() >= end {
                    let after = self.0.split_off(end);
                    let bytes = std::mem::replace(&mut self.0, after);
                    return Ok(Some(Packet { header, bytes }));
                }
            }
            if stream.read_buf(&mut self.0).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// What was read beyond the packets.
    pub fn rest(self) -> Vec<u8> {
        self.0
    }
}

fn as_io(malformed: Malformed) -> io::Error {
    io::Error::other(malformed)
}
