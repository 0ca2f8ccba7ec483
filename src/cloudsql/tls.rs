//! TLS to an instance, in as few system calls and copies as rustls lets it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffers::{Buffers, Lent, SIZE};

/// A client's TLS stream. It reads and writes [`SIZE`] bytes at a time if its user does, and holds no buffer while it
/// is idle.
///
/// rustls's own buffered connection, and tokio-rustls on top of it, reads 4 KiB at a time, so that a record takes five
/// system calls, and copies each byte once more each way.
///
/// A message of TLS's own that rustls wants to send while it is read from, such as the answer to a key update, goes with
/// what is written next, which RFC 8446 section 4.6.3 allows: it is due before the next data.
pub(super) struct TlsStream<T> {
    inner: T,
    tls: UnbufferedClientConnection,
    /// From the peer, as it came.
    received: Lent,
    /// Decrypted, and more than the reader has room for.
    decrypted: Lent,
    /// For the peer, encrypted.
    unsent: Lent,
    /// The peer has said that there will be no more.
    ended: bool,
    /// We have.
    closed: bool,
    /// What went wrong. It stays so, and is told when all that came before it was read.
    failed: Option<rustls::Error>,
}

/// What there is to say to the peer.
#[derive(Debug, Clone, Copy)]
enum Say<'a> {
    Nothing,
    Data(&'a [u8]),
    Close,
}

impl<T: AsyncRead + AsyncWrite + Unpin> TlsStream<T> {
    /// Shakes hands over `inner`.
    ///
    /// Fails with a [`rustls::Error`] inside when it is TLS that went wrong, and with
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the peer went away. Not cancel safe.
    pub(super) async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        inner: T,
        buffers: &Arc<Buffers>,
    ) -> io::Result<Self> {
        let mut stream = Self {
            inner,
            tls: UnbufferedClientConnection::new(config, name).map_err(invalid)?,
            received: Lent::for_tls(Arc::clone(buffers)),
            decrypted: Lent::for_tls(Arc::clone(buffers)),
            unsent: Lent::for_tls(Arc::clone(buffers)),
            ended: false,
            closed: false,
            failed: None,
        };
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.converse(&mut ReadBuf::new(&mut []), Say::Nothing, cx)?;
            ready!(self.poll_send(cx))?;
            if !self.tls.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.ended || ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the peer hung up during the handshake",
                )));
            }
        }
    }

    /// Decrypts what there is into `buf`, the rest of it aside, and puts what is to be sent into `unsent`.
    ///
    /// With nothing to say it stops when `buf` has as much as is good for it.
    fn converse(
        &mut self,
        buf: &mut ReadBuf<'_>,
        say: Say<'_>,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        if let Some(error) = &self.failed {
            return Err(invalid(error.clone()));
        }
        loop {
            let mut stop = false;
            let incoming = self.received.bytes_mut();
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(incoming);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let length = traffic.peek_len().map_or(0, usize::from);
                    let listening = matches!(say, Say::Nothing);
                    // Stays where it is, for the next call.
                    stop = listening && !buf.filled().is_empty() && length > buf.remaining();
                    if !stop && let Some(record) = traffic.next_record() {
                        let payload = record.map_err(invalid)?.payload;
                        let mut count = 0;
                        if self.decrypted.is_empty() {
                            count = payload.len().min(buf.remaining());
                            buf.put_slice(&payload[..count]);
                        }
                        if count < payload.len() {
                            // It fits: all of it was in one buffer before it was decrypted.
                            let kept = self.decrypted.append(&payload[count..]);
                            if kept < payload.len() - count {
                                return Err(invalid("the peer's messages are too long"));
                            }
                            stop = listening && !self.tls.is_handshaking();
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut message)) => {
                    let encoded = self.unsent.append_with(|space| message.encode(space));
                    encoded.map_err(io::Error::other)?;
                }
                // In `unsent` it is as good as transmitted.
                Ok(ConnectionState::TransmitTlsData(message)) => message.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let unsent = &mut self.unsent;
                    let said = match say {
                        Say::Nothing => Ok(0),
                        Say::Data(data) => unsent.append_with(|space| traffic.encrypt(data, space)),
                        Say::Close => unsent.append_with(|space| traffic.queue_close_notify(space)),
                    };
                    said.map_err(io::Error::other)?;
                    stop = true;
                }
                Ok(_) => stop = true, // It is the peer's turn, or all is said.
                Err(error) => {
                    self.received.consume(discard);
                    self.send_alert(cx);
                    self.failed = Some(error.clone());
                    return Err(invalid(error));
                }
            }
            self.received.consume(discard);
            if stop {
                return Ok(());
            }
        }
    }

    /// Tells the peer what is wrong with it, if there is a way: the error itself is what matters.
    fn send_alert(&mut self, cx: &mut Context<'_>) {
        // Another task may be waiting for its bytes to go, and would not be woken any more.
        if !self.unsent.is_empty() {
            return;
        }
        let incoming = self.received.bytes_mut();
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) =
            self.tls.process_tls_records(incoming).state
        {
            let _ = self.unsent.append_with(|space| alert.encode(space));
            let _ = self.poll_send(cx);
        }
    }

    /// `Ready(0)` is the end of the connection.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.received.make_room();
        if self.received.is_full() {
            return Poll::Ready(Err(invalid("the peer's message is too long")));
        }
        self.received.poll_fill(&mut self.inner, cx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unsent.poll_drain(&mut self.inner, cx)
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if !this.decrypted.is_empty() {
                let count = this.decrypted.bytes().len().min(buf.remaining());
                buf.put_slice(&this.decrypted.bytes()[..count]);
                this.decrypted.consume(count);
                return Poll::Ready(Ok(()));
            }
            let mut found = ReadBuf::new(buf.initialize_unfilled());
            let conversed = this.converse(&mut found, Say::Nothing, cx);
            let count = found.filled().len();
            if count > 0 {
                buf.advance(count);
                return Poll::Ready(Ok(()));
            }
            conversed?;
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            if ready!(this.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the peer hung up without saying so",
                )));
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_send(cx))?;
        let data = &data[..data.len().min(SIZE)];
        self.converse(&mut ReadBuf::new(&mut []), Say::Data(data), cx)?;
        // What does not go now goes before the next, or when it is flushed.
        if let Poll::Ready(sent) = self.poll_send(cx) {
            sent?;
        }
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        if !self.closed {
            self.closed = true;
            self.converse(&mut ReadBuf::new(&mut []), Say::Close, cx)?;
            ready!(self.poll_send(cx))?;
        }
        match ready!(Pin::new(&mut self.inner).poll_shutdown(cx)) {
            // On macOS, when the peer is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

/// What passes through is not for logs.
impl<T: fmt::Debug> fmt::Debug for TlsStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("inner", &self.inner)
            .field("ended", &self.ended)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::WebPkiClientVerifier;
    use rustls::{AlertDescription, RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
    use tokio_rustls::{TlsAcceptor, server};

    use super::*;

    type Client = TlsStream<DuplexStream>;
    type Server = server::TlsStream<DuplexStream>;

    /// Both configurations; the server may want a certificate that the client does not have.
    fn configs(wants_certificate: bool) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
        let made = rcgen::generate_simple_self_signed(["db.example".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = &[&rustls::version::TLS13];
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        let verifier = if wants_certificate {
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .unwrap()
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)
            .unwrap();
        (Arc::new(client), Arc::new(server))
    }

    async fn connected(capacity: usize) -> (Client, Server) {
        let (client, mut server) = configs(false);
        // The server sends tickets at the end of its handshake, which would wait for a client that reads.
        if capacity < 1_000 {
            Arc::get_mut(&mut server).unwrap().send_tls13_tickets = 0;
        }
        let (here, there) = duplex(capacity);
        let name = "db.example".try_into().unwrap();
        let buffers = Arc::default();
        let connecting = TlsStream::connect(client, name, here, &buffers);
        let accepting = TlsAcceptor::from(server).accept(there);
        let (client, server) = tokio::join!(connecting, accepting);
        (client.unwrap(), server.unwrap())
    }

    /// Bytes that differ from place to place, so that lost, doubled and swapped ones show.
    fn pattern(length: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    async fn read_in_pieces(mut from: impl AsyncRead + Unpin, piece: usize) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; piece]);
        loop {
            match from.read(&mut buffer).await.unwrap() {
                0 => return all,
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    }

    async fn write_in_pieces(mut to: impl AsyncWrite + Unpin, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece) {
            to.write_all(piece).await.unwrap();
        }
        to.shutdown().await.unwrap();
    }

    fn holds_nothing(stream: &Client) -> bool {
        stream.received.is_empty() && stream.decrypted.is_empty() && stream.unsent.is_empty()
    }

    #[tokio::test]
    async fn every_byte_arrives_in_order_whatever_the_pieces() {
        // With less than that, tokio-rustls as the server does not get through its handshake.
        for (capacity, written, read) in [
            (7, 16_384, 65_536),
            (1_000, 1, 1),
            (16_406, 65_536, 16_383),
            (40_000, 100_000, 70_000),
            (1 << 20, 16_385, 1 << 18),
        ] {
            let length = if capacity < 10 || written == 1 {
                20_000
            } else {
                900_001
            };
            let (up, down) = (pattern(length, 1), pattern(length / 2, 2));
            let (mut client, server) = connected(capacity).await;
            let (server_reads, server_writes) = split(server);
            let (client_reads, client_writes) = split(&mut client);
            let ((), (), at_server, at_client) = tokio::join!(
                write_in_pieces(client_writes, &up, written),
                write_in_pieces(server_writes, &down, written),
                read_in_pieces(server_reads, read),
                read_in_pieces(client_reads, read),
            );
            assert!(at_server == up, "{capacity} {written} {read}");
            assert!(at_client == down, "{capacity} {written} {read}");
            assert!(holds_nothing(&client), "{capacity} {written} {read}");
        }
    }

    #[tokio::test]
    async fn keys_change_while_bytes_flow() {
        let (mut client, mut server) = connected(5_000).await;
        let (up, down) = (pattern(300_000, 3), pattern(300_000, 4));
        let (client_reads, client_writes) = split(&mut client);
        let serve = async {
            let (mut sent, mut at_server) = (0, vec![0; up.len()]);
            for received in at_server.chunks_mut(30_000) {
                // The client must answer with new keys of its own before its next byte.
                server.get_mut().1.refresh_traffic_keys().unwrap();
                server.write_all(&down[sent..][..30_000]).await.unwrap();
                server.flush().await.unwrap();
                sent += 30_000;
                server.read_exact(received).await.unwrap();
            }
            server.shutdown().await.unwrap();
            at_server
        };
        let (at_server, at_client, ()) = tokio::join!(
            serve,
            read_in_pieces(client_reads, 10_000),
            write_in_pieces(client_writes, &up, 30_000),
        );
        assert!(at_server == up);
        assert!(at_client == down);
    }

    #[tokio::test]
    async fn what_nobody_reads_does_not_hold_up_what_is_written() {
        let (mut client, mut server) = connected(1 << 18).await;
        let (up, down) = (pattern(150_000, 5), pattern(100_000, 6));
        server.write_all(&down).await.unwrap();
        let mut first = [0; 1];
        client.read_exact(&mut first).await.unwrap();
        // Most of `down` has been received, and stays unread.
        client.write_all(&up).await.unwrap();
        client.flush().await.unwrap();
        let mut at_server = vec![0; up.len()];
        server.read_exact(&mut at_server).await.unwrap();
        assert!(at_server == up);
        server.shutdown().await.unwrap();
        let rest = read_in_pieces(&mut client, 777).await;
        assert!(rest == down[1..]);
        assert!(holds_nothing(&client));
    }

    #[tokio::test]
    async fn one_half_closes_and_the_other_goes_on() {
        let (mut client, mut server) = connected(100).await;
        let talk = async {
            assert_eq!(read_in_pieces(&mut server, 10).await, b"");
            server.write_all(b"late").await.unwrap();
            server.shutdown().await.unwrap();
        };
        let (closed, ()) = tokio::join!(client.shutdown(), talk);
        closed.unwrap();
        client.shutdown().await.unwrap();
        let error = client.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(read_in_pieces(&mut client, 10).await, b"late");

        let (mut client, mut server) = connected(1_000).await;
        server.shutdown().await.unwrap();
        assert_eq!(read_in_pieces(&mut client, 10).await, b"");
        client.write_all(b"late too").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_in_pieces(&mut server, 10).await, b"late too");
    }

    #[tokio::test]
    async fn an_end_that_was_not_announced_is_an_error() {
        let (mut client, mut server) = connected(100_000).await;
        server.write_all(b"all of it?").await.unwrap();
        server.flush().await.unwrap();
        // Half of a record's header, too.
        server.get_mut().0.write_all(&[23, 3]).await.unwrap();
        drop(server);
        let mut said = [0; 10];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"all of it?");
        for _ in 0..2 {
            let error = client.read(&mut said).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    fn tls_error(error: &io::Error) -> &rustls::Error {
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        error.get_ref().unwrap().downcast_ref().unwrap()
    }

    #[tokio::test]
    async fn a_record_that_was_tampered_with_is_an_error_that_the_peer_learns_of() {
        let (mut client, mut server) = connected(1_000).await;
        server.write_all(b"good").await.unwrap();
        server.flush().await.unwrap();
        let mut record = vec![23, 3, 3, 0, 40];
        record.extend_from_slice(&[7; 40]);
        server.get_mut().0.write_all(&record).await.unwrap();
        let mut good = [0; 4];
        client.read_exact(&mut good).await.unwrap();
        let error = client.read(&mut good).await.unwrap_err();
        assert_eq!(*tls_error(&error), rustls::Error::DecryptError);
        let error = client.write_all(b"on").await.unwrap_err();
        assert_eq!(*tls_error(&error), rustls::Error::DecryptError);
        let learnt = server.read(&mut good).await.unwrap_err();
        let expected = rustls::Error::AlertReceived(AlertDescription::BadRecordMac);
        assert_eq!(*tls_error(&learnt), expected);
    }

    #[tokio::test]
    async fn a_client_that_is_refused_learns_so_when_it_reads() {
        let (client, server) = configs(true);
        let (here, there) = duplex(10_000);
        let name = "db.example".try_into().unwrap();
        let buffers = Arc::default();
        let connecting = TlsStream::connect(client, name, here, &buffers);
        let (client, refused) = tokio::join!(connecting, TlsAcceptor::from(server).accept(there));
        refused.unwrap_err();
        let error = client.unwrap().read(&mut [0]).await.unwrap_err();
        let expected = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(*tls_error(&error), expected);
    }

    #[tokio::test]
    async fn a_handshake_fails_in_tls_or_below() {
        let (config, _) = configs(false);
        for (answer, kind) in [
            (&b""[..], io::ErrorKind::UnexpectedEof),
            (&[22, 3, 3, 0], io::ErrorKind::UnexpectedEof),
            (
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                io::ErrorKind::InvalidData,
            ),
        ] {
            let (here, mut there) = duplex(10_000);
            there.write_all(answer).await.unwrap();
            there.shutdown().await.unwrap();
            let name = "db.example".try_into().unwrap();
            let connected =
                TlsStream::connect(Arc::clone(&config), name, here, &Arc::default()).await;
            assert_eq!(connected.unwrap_err().kind(), kind);
        }
    }
}
