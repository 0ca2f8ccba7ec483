//! Metadata exchange: bsql tells the instance what its own client speaks, TCP or a Unix socket.
//!
//! MySQL needs to know: `caching_sha2_password` sends a password over a Unix socket as it is, and over TCP does not. Once
//! TLS is open, a request goes before the client's first bytes, and a response may come before the instance's. Nobody waits
//! for it, and an instance that does not advertise this is sent none. As Google's connector for Go does it in
//! `metadataexchange.go`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::protobuf::{Fields, Malformed, Value, put_varint};
use crate::error::printable;

/// How every message begins. Four bytes with the length of the rest follow, most significant first.
const SIGNATURE: &[u8; 8] = b"CSQLMDEX";
const HEADER: usize = SIGNATURE.len() + 4;
/// Of a message without its header, in bytes.
const LONGEST: usize = 16 * 1024;
/// A response takes a few bytes, and what comes behind it is not to be copied twice.
const FIRST_READ: usize = 1024;

/// What the client at the other end of bsql speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProtocol {
    /// TCP without TLS.
    Tcp,
    /// TCP with TLS.
    Tls,
    /// A Unix socket.
    Uds,
}

impl ClientProtocol {
    /// The whole request.
    fn request(self) -> Vec<u8> {
        let number = match self {
            Self::Tcp => 1,
            Self::Tls => 2,
            Self::Uds => 3,
        };
        let mut message = Vec::new();
        put_varint(&mut message, 2, number);
        let mut request = SIGNATURE.to_vec();
        request.extend([0, 0, 0, message.len().to_le_bytes()[0]]);
        request.extend(message);
        request
    }
}

/// What an instance answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Whether it says that the exchange has failed. The connection goes on all the same.
    pub failed: bool,
    /// Its words, fit for a terminal.
    pub message: String,
}

impl Response {
    fn read(message: &[u8]) -> Result<Self, Malformed> {
        let (mut failed, mut text) = (false, String::new());
        for field in Fields::of(message) {
            match field? {
                (1, Value::Varint(status)) => failed = status == 2,
                (2, Value::Bytes(words)) => text = printable(&String::from_utf8_lossy(words)),
                _ => {}
            }
        }
        Ok(Self {
            failed,
            message: text,
        })
    }
}

/// Looks for a response in front of the instance's bytes.
#[derive(Debug, Default)]
pub struct ResponseParser {
    seen: Vec<u8>,
}

/// What a [`ResponseParser`] has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It takes more bytes to tell. Those so far are kept back.
    More,
    /// A response, `None` if it cannot be read, and what came behind it.
    Response(Option<Response>, Vec<u8>),
    /// There is none: these are the client's bytes.
    None(Vec<u8>),
}

impl ResponseParser {
    /// Takes the next bytes. Not to be called again once something else than [`Found::More`] was found.
    pub fn take(&mut self, bytes: &[u8]) -> Found {
        self.seen.extend_from_slice(bytes);
        let compared = self.seen.len().min(SIGNATURE.len());
        if self.seen[..compared] != SIGNATURE[..compared] {
            return self.end();
        }
        let Some(length) = self.seen.get(SIGNATURE.len()..HEADER) else {
            return Found::More;
        };
        let length = length
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        if length > LONGEST {
            return self.end();
        }
        let Some(message) = self.seen.get(HEADER..HEADER + length) else {
            return Found::More;
        };
        let response = Response::read(message).ok();
        Found::Response(response, self.seen.split_off(HEADER + length))
    }

    /// There are no more bytes: what was kept back is the client's.
    pub fn end(&mut self) -> Found {
        Found::None(std::mem::take(&mut self.seen))
    }
}

/// A stream that does the exchange when it is first used, and after that is the stream inside.
#[derive(Debug)]
pub struct MetadataExchange<S> {
    inner: S,
    /// Not sent yet.
    request: Option<Vec<u8>>,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    /// The next bytes may be the response.
    Looking(ResponseParser),
    /// The client's bytes, from this one on.
    Rest(Vec<u8>, usize),
    Through,
}

impl<S> MetadataExchange<S> {
    /// Tells the instance about `client`. With `None` nothing is sent or looked for.
    pub fn new(inner: S, client: Option<ClientProtocol>) -> Self {
        Self {
            inner,
            request: client.map(ClientProtocol::request),
            reading: Reading::Through,
        }
    }
}

impl<S: AsyncRead + Unpin> MetadataExchange<S> {
    /// Reads until it is clear what the first bytes are.
    fn poll_first(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.reading {
                Reading::Through => return Pin::new(&mut self.inner).poll_read(cx, buf),
                Reading::Rest(bytes, from) => {
                    let left = &bytes[*from..];
                    if left.is_empty() {
                        self.reading = Reading::Through;
                        continue;
                    }
                    let taken = left.len().min(buf.remaining());
                    buf.put_slice(&left[..taken]);
                    *from += taken;
                    return Poll::Ready(Ok(()));
                }
                Reading::Looking(parser) => {
                    let mut bytes = [0; FIRST_READ];
                    let mut first = ReadBuf::new(&mut bytes);
                    ready!(Pin::new(&mut self.inner).poll_read(cx, &mut first))?;
                    let found = match first.filled() {
                        [] => parser.end(),
                        bytes => parser.take(bytes),
                    };
                    let rest = match found {
                        Found::More => continue,
                        Found::None(rest) => rest,
                        Found::Response(response, rest) => {
                            log(response);
                            rest
                        }
                    };
                    self.reading = Reading::Rest(rest, 0);
                }
            }
        }
    }
}

fn log(response: Option<Response>) {
    match response {
        Some(Response { failed, message }) if failed => {
            tracing::warn!(
                message,
                "the instance could not take what bsql told it about the client"
            );
        }
        Some(_) => tracing::debug!("the instance knows about the client"),
        None => tracing::debug!("the instance's answer about the client cannot be read"),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MetadataExchange<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.reading {
            Reading::Through => Pin::new(&mut self.inner).poll_read(cx, buf),
            _ => self.poll_first(cx, buf),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MetadataExchange<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        while !buf.is_empty()
            && let Some(request) = &mut this.request
        {
            // Together, so that the exchange takes no packet of its own.
            let both = [request, buf].concat();
            let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &both))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            if written < request.len() {
                request.drain(..written);
                continue;
            }
            let of_the_client = written - request.len();
            this.request = None;
            // Whatever the instance has said before, its response comes next.
            this.reading = Reading::Looking(ResponseParser::default());
            if of_the_client > 0 {
                return Poll::Ready(Ok(of_the_client));
            }
        }
        Pin::new(&mut this.inner).poll_write(cx, buf)
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
        if self.request.is_some() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
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

    const REQUEST: &[u8] = b"CSQLMDEX\0\0\0\x02\x10\x03";
    const OK: &[u8] = b"CSQLMDEX\0\0\0\x02\x08\x01";

    /// What is found in bytes that come in these pieces, with all that is behind it.
    fn find<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Found {
        let mut parser = ResponseParser::default();
        let mut pieces = pieces.into_iter();
        let mut found = loop {
            match pieces.next().map(|piece| parser.take(piece)) {
                Some(Found::More) => {}
                Some(found) => break found,
                None => break parser.end(),
            }
        };
        if let Found::Response(_, rest) | Found::None(rest) = &mut found {
            pieces.for_each(|piece| rest.extend_from_slice(piece));
        }
        found
    }

    fn response(failed: bool, message: &str, rest: &[u8]) -> Found {
        let message = message.to_owned();
        Found::Response(Some(Response { failed, message }), rest.to_vec())
    }

    #[test]
    fn requests_as_googles_connector_sends_them() {
        assert_eq!(ClientProtocol::Uds.request(), REQUEST);
        assert_eq!(ClientProtocol::Tcp.request()[12..], [0x10, 1]);
        assert_eq!(ClientProtocol::Tls.request()[12..], [0x10, 2]);
    }

    #[test]
    fn a_response_is_found_however_it_is_split() {
        let whole = [OK, b"Rest"].concat();
        let expected = response(false, "", b"Rest");
        for one in 0..=whole.len() {
            for two in one..=whole.len() {
                let pieces = [&whole[..one], &whole[one..two], &whole[two..]];
                let found = find(pieces.into_iter().filter(|piece| !piece.is_empty()));
                assert_eq!(found, expected, "{one} {two}");
            }
        }
        assert_eq!(find(whole.chunks(1)), expected);
    }

    #[test]
    fn responses_that_are_not_ok() {
        let failed = b"CSQLMDEX\0\0\0\x0a\x08\x02\x12\x06no \x1b[2";
        let Found::Response(Some(failed), _) = find([&failed[..]]) else {
            panic!("it can be read");
        };
        assert!(failed.failed);
        assert!(!failed.message.contains('\x1b'), "{}", failed.message);
        let unreadable = find([&b"CSQLMDEX\0\0\0\x02\x08\xffrest"[..]]);
        assert_eq!(unreadable, Found::Response(None, b"rest".to_vec()));
        let empty = find([&b"CSQLMDEX\0\0\0\0"[..]]);
        assert_eq!(empty, response(false, "", b""));
    }

    #[test]
    fn what_is_no_response_is_the_clients() {
        let mut longest = b"CSQLMDEX\0\0\x40\0".to_vec();
        longest.resize(HEADER + LONGEST, 0);
        assert!(matches!(find([&longest[..]]), Found::Response(..)));
        for bytes in [
            &b"R\0\0\0\x08\0\0\0\0"[..],
            b"C",
            b"CSQLMDE",
            b"CSQLMDEY\0\0\0\x02\x08\x01",
            b"CSQLMDEX\0\0\x40\x01",
            b"CSQLMDEX\xff\xff\xff\xff",
            b"CSQLMDEX\0\0\0\x02\x08",
        ] {
            assert_eq!(find(bytes.chunks(3)), Found::None(bytes.to_vec()));
            assert_eq!(find([bytes]), Found::None(bytes.to_vec()));
        }
    }

    /// Whatever comes, however it is split: nothing is lost, and the pieces do not matter.
    #[test]
    fn no_bytes_are_lost() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..20_000 {
            let mut bytes = OK[..random(OK.len() + 1)].to_vec();
            for _ in 0..random(24) {
                bytes.push(random(256).to_le_bytes()[0]);
            }
            if !bytes.is_empty() && random(2) == 0 {
                let at = random(bytes.len());
                bytes[at] = random(256).to_le_bytes()[0];
            }
            let at_once = find([&bytes[..]]);
            match &at_once {
                Found::More => panic!("there is no more"),
                Found::Response(_, rest) => assert!(bytes.ends_with(rest), "{bytes:?}"),
                Found::None(rest) => assert_eq!(rest, &bytes),
            }
            if let Some(size) = bytes.len().checked_sub(1) {
                assert_eq!(
                    find(bytes.chunks(1 + random(size + 1))),
                    at_once,
                    "{bytes:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_speaks_first() {
        let (stream, mut instance) = duplex(1 << 16);
        let mut stream = MetadataExchange::new(stream, Some(ClientProtocol::Uds));
        stream.flush().await.unwrap();
        assert_eq!(stream.write(b"").await.unwrap(), 0);
        stream.write_all(b"startup").await.unwrap();
        stream.write_all(b" more").await.unwrap();
        let mut got = vec![0; REQUEST.len() + 12];
        instance.read_exact(&mut got).await.unwrap();
        assert_eq!(got, [REQUEST, b"startup more"].concat(), "once");
        instance.write_all(&[OK, b"answer"].concat()).await.unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        // Only the first one is a response.
        instance.write_all(OK).await.unwrap();
        drop(instance);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, OK);
    }

    #[tokio::test]
    async fn a_server_that_speaks_first_and_one_that_says_nothing_of_it() {
        for response in [OK, b""] {
            let (stream, mut instance) = duplex(1 << 16);
            let mut stream = MetadataExchange::new(stream, Some(ClientProtocol::Tcp));
            instance.write_all(b"CSQL greeting").await.unwrap();
            let mut greeting = [0; 13];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(&greeting, b"CSQL greeting", "not kept back");
            let bufs = [io::IoSlice::new(b""), io::IoSlice::new(b"login")];
            assert_eq!(stream.write_vectored(&bufs).await.unwrap(), 5);
            instance
                .write_all(&[response, b"welcome"].concat())
                .await
                .unwrap();
            let mut welcome = [0; 7];
            stream.read_exact(&mut welcome).await.unwrap();
            assert_eq!(&welcome, b"welcome");
        }
    }

    #[tokio::test]
    async fn a_stream_that_takes_one_byte_at_a_time() {
        let (stream, mut instance) = duplex(1);
        let mut stream = MetadataExchange::new(stream, Some(ClientProtocol::Uds));
        let server = async {
            let mut got = vec![0; REQUEST.len() + 7];
            instance.read_exact(&mut got).await.unwrap();
            assert_eq!(got, [REQUEST, b"startup"].concat());
            instance.write_all(&[OK, b"answer"].concat()).await.unwrap();
        };
        let client = async {
            stream.write_all(b"startup").await.unwrap();
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"answer");
        };
        tokio::join!(server, client);
    }

    #[tokio::test]
    async fn nobody_to_tell_about() {
        let (stream, mut instance) = duplex(1 << 16);
        let mut stream = MetadataExchange::new(stream, None);
        stream.write_all(b"startup").await.unwrap();
        instance.write_all(OK).await.unwrap();
        let (mut there, mut back) = ([0; 7], [0; 14]);
        instance.read_exact(&mut there).await.unwrap();
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!((&there[..], &back[..]), (&b"startup"[..], OK));
    }
}
