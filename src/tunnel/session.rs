//! One connection, from the local program's first packet to the last byte.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::counted::Counted;
use super::greeting::ProcessId;
use super::local_tls::Local;
use super::meter::Meter;
use super::pgwire::{ENCRYPTED, FirstPacket, Malformed, NOT_ENCRYPTED, Refusal, StartupMessage};
use super::pump::pump;
use super::{Dial, Protocol, Startup, bytes, mysql};
use crate::buffers::Buffers;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};

/// For the local program to say what it wants, and for the database to say anything at all: PostgreSQL's own
/// `authentication_timeout`.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// For a cancel request, which the server answers by closing.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// How a connection went.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The database answered, and somebody hung up later.
    Served,
    /// The local program left before it asked for anything.
    Left,
    /// The local program asked to cancel what another connection does.
    Cancelled,
    /// The database was not reached; the local program was told why.
    Failed(Error),
}

/// Serves one local program. One that comes when there are `too_many` already may still cancel what another one does.
pub(super) async fn run<S, D>(
    local: Local<S>,
    dialer: &D,
    startup: &Startup,
    too_many: Option<usize>,
    meter: &Meter,
    buffers: &Arc<Buffers>,
) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: Dial,
{
    let outcome = match startup.protocol {
        Protocol::Postgres => postgres(local, dialer, startup, too_many, meter, buffers).await,
        Protocol::MySql => mysql::run(local, dialer, startup, too_many, meter, buffers).await,
        Protocol::SqlServer => bytes::run(local, dialer, too_many, meter, buffers).await,
    };
    outcome.unwrap_or_else(Outcome::Failed)
}

/// A connection of PostgreSQL's: the client speaks first.
async fn postgres<S, D>(
    mut local: Local<S>,
    dialer: &D,
    startup: &Startup,
    too_many: Option<usize>,
    meter: &Meter,
    buffers: &Arc<Buffers>,
) -> Result<Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: Dial,
{
    let first = timeout(START_TIMEOUT, read_first_packet(&mut local))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match first {
        Ok(Some(Ok(FirstPacket::Startup(message)))) => {
            if let Some(most) = too_many {
                send(&mut local, &Refusal::too_many(most).encode()).await;
                Err(turned_away(most))
            } else {
                let message = message.adjusted(startup);
                connect(&mut local, dialer, &message, meter, buffers).await
            }
        }
        Ok(Some(Ok(FirstPacket::CancelRequest(packet)))) => cancel(dialer, &packet).await,
        // The requests for encryption are answered by the time a first packet is returned; a second one is an offence.
        Ok(Some(Ok(_))) => refuse(&mut local, Malformed::Layout).await,
        Ok(Some(Err(malformed))) => refuse(&mut local, malformed).await,
        Ok(None) => Ok(Outcome::Left),
        Err(error) => {
            tracing::debug!(%error, "the client left during start-up");
            Ok(Outcome::Left)
        }
    }
}

async fn refuse<S: AsyncWrite + Unpin>(local: &mut S, malformed: Malformed) -> Result<Outcome> {
    send(local, &Refusal::from(malformed).encode()).await;
    Err(not_understood(malformed))
}

/// `None` when the client closed instead. Never reads beyond the packet.
async fn read_first_packet<S>(
    local: &mut Local<S>,
) -> io::Result<Option<std::result::Result<FirstPacket, Malformed>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut asked_tls, mut asked_gss) = (false, false);
    loop {
        let mut header = [0; 4];
        if local.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        }
        local.read_exact(&mut header[1..]).await?;
        let length = match FirstPacket::length(header) {
            Ok(length) => length,
            Err(malformed) => return Ok(Some(Err(malformed))),
        };
        let mut rest = vec![0; length];
        local.read_exact(&mut rest).await?;
        let packet = FirstPacket::parse(&rest);
        match packet {
            Ok(FirstPacket::SslRequest) if !asked_tls => {
                asked_tls = true;
                if local.encrypt(&[ENCRYPTED]).await? {
                    continue;
                }
            }
            Ok(FirstPacket::GssEncryptionRequest) if !asked_gss => asked_gss = true,
            packet => return Ok(Some(packet)),
        }
        local.write_all(&[NOT_ENCRYPTED]).await?;
        local.flush().await?;
    }
}

/// A session: dial, sign in, move bytes.
async fn connect<S, D>(
    local: &mut S,
    dialer: &D,
    message: &StartupMessage,
    meter: &Meter,
    buffers: &Arc<Buffers>,
) -> Result<Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: Dial,
{
    let mut first = buffers.take();
    let mut opened = open(dialer, message, &mut first).await;
    if let Err(error) = &opened
        && error.kind() == ErrorKind::Refused
    {
        // The certificate was over or revoked, which shows only now: the dialer gets another one.
        tracing::info!(%error, causes = ?error.causes(), "trying once more");
        opened = open(dialer, message, &mut first).await;
    }
    let (mut remote, read) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            send(local, &Refusal::from(&error).encode()).await;
            return Err(error);
        }
    };
    let mut local = Counted::new(local, meter, ProcessId::Overheard);
    let pumped = async {
        local.write_all(&first[..read]).await?;
        local.flush().await?;
        buffers.give(first);
        pump(&mut local, &mut remote, buffers).await
    };
    Ok(served(pumped.await))
}

/// A stream on which the database has begun to answer `message`, and how much of that is in `answer`.
async fn open<D: Dial>(
    dialer: &D,
    message: &StartupMessage,
    answer: &mut [u8],
) -> Result<(D::Conn, usize)> {
    if let Some(spare) = dialer.spare().await {
        match begin(spare, message, answer).await {
            Err(error) => tracing::debug!(%error, "the spare connection was of no use"),
            begun => return begun,
        }
    }
    begin(dialer.dial().await?, message, answer).await
}

async fn begin<R>(mut remote: R, message: &StartupMessage, answer: &mut [u8]) -> Result<(R, usize)>
where
    R: AsyncRead + AsyncWrite + Unpin,
{
    let read = send_startup(&mut remote, message, answer);
    let read = timeout(START_TIMEOUT, read)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(unanswered)?;
    Ok((remote, read))
}

/// Sends the start-up packet, and waits for the beginning of the answer.
async fn send_startup<R>(
    remote: &mut R,
    message: &StartupMessage,
    answer: &mut [u8],
) -> io::Result<usize>
where
    R: AsyncRead + AsyncWrite + Unpin,
{
    remote.write_all(&message.encode()).await?;
    remote.flush().await?;
    match remote.read(answer).await? {
        0 => Err(hung_up()),
        read => Ok(read),
    }
}

/// That the database did, instead of an answer.
pub(super) fn hung_up() -> io::Error {
    io::Error::other("it closed the connection")
}

/// Why the database said nothing. In TLS 1.3 a client certificate that was refused shows here, not in the handshake, as
/// "invalid data".
pub(super) fn unanswered(error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::InvalidData => ErrorKind::Refused,
        _ => ErrorKind::Unavailable,
    };
    kind.error("the database did not answer").because(error)
}

/// Passes a cancel request on. There is no answer to it, so the client cannot be told of failures either.
async fn cancel<D: Dial>(dialer: &D, packet: &[u8]) -> Result<Outcome> {
    let message = || "cannot pass a cancel request on";
    let passed_on = async {
        let mut remote = dialer.dial().await?;
        remote
            .write_all(packet)
            .await
            .or_fail(ErrorKind::Unavailable, message)?;
        remote
            .flush()
            .await
            .or_fail(ErrorKind::Unavailable, message)?;
        // The server closes when it has acted; how it closes says nothing.
        let _ = remote.read_to_end(&mut Vec::new()).await;
        Ok(Outcome::Cancelled)
    };
    timeout(CANCEL_TIMEOUT, passed_on)
        .await
        .unwrap_or_else(|_| {
            Err(ErrorKind::Unavailable
                .error(message())
                .because(anyhow::anyhow!("no answer in time")))
        })
}

/// How a connection whose bytes were moved went. Whoever broke it off, both sides know; clients that are killed do it all
/// the time.
pub(super) fn served(moved: io::Result<()>) -> Outcome {
    if let Err(error) = moved {
        tracing::debug!(%error, "broken off");
    }
    Outcome::Served
}

/// One too many.
pub(super) fn turned_away(most: usize) -> Error {
    ErrorKind::TryLater.error(format!("there are {most} connections already"))
}

/// What the local program sent is not how its protocol begins.
pub(super) fn not_understood(malformed: impl Into<anyhow::Error>) -> Error {
    ErrorKind::Refused
        .error("cannot understand the local program")
        .because(malformed)
}

/// Tells the client, for the last time. If it has gone already, nobody is interested.
pub(super) async fn send<S: AsyncWrite + Unpin>(local: &mut S, last_words: &[u8]) {
    let sent = async {
        local.write_all(last_words).await?;
        local.shutdown().await
    };
    if let Err(error) = sent.await {
        tracing::debug!(%error, "the client left before it was told");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::super::pgwire::tests::{fields, startup};
    use super::*;

    /// Has one stream to hand out.
    struct Once(std::sync::Mutex<Option<DuplexStream>>);

    impl Dial for Once {
        type Conn = DuplexStream;

        async fn dial(&self) -> Result<DuplexStream> {
            let stream = self.0.lock().unwrap().take();
            stream.ok_or_else(|| {
                ErrorKind::Denied
                    .error("cannot reach `payments`")
                    .hint("bsql why payments")
            })
        }
    }

    fn ada() -> Startup {
        Startup {
            protocol: Protocol::Postgres,
            user: "ada".to_owned(),
            application_name: "bsql:ada".to_owned(),
            read_only: false,
        }
    }

    /// What a client gets that sends `packets` and hears no database, and how that was counted.
    async fn without_database(packets: &[&[u8]]) -> (Vec<u8>, Outcome) {
        let (mut client, local) = duplex(1024);
        let nobody = Once(std::sync::Mutex::new(None));
        let ada = ada();
        let meter = Meter::default();
        let program = async {
            for packet in packets {
                client.write_all(packet).await.unwrap();
            }
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let buffers = Arc::default();
        tokio::join!(
            program,
            run(local.into(), &nobody, &ada, None, &meter, &buffers)
        )
    }

    fn packet(rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(rest.len() + 4).unwrap();
        [&length.to_be_bytes(), rest].concat()
    }

    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

    fn code_of(error_response: &[u8]) -> String {
        let fields = fields(error_response);
        fields
            .into_iter()
            .find(|(field, _)| *field == 'C')
            .unwrap()
            .1
    }

    #[tokio::test]
    async fn the_client_learns_why_there_is_no_database() {
        let hello = packet(&startup(&[("user", "root")]));
        let (answer, outcome) = without_database(&[&SSL_REQUEST, &GSS_REQUEST, &hello]).await;
        assert_eq!(answer[..2], [NOT_ENCRYPTED; 2]);
        let fields = fields(&answer[2..]);
        assert!(fields.contains(&('C', "28000".to_owned())));
        assert!(fields.contains(&('M', "bsql: cannot reach `payments`".to_owned())));
        assert!(fields.contains(&('H', "bsql why payments".to_owned())));
        assert!(matches!(outcome, Outcome::Failed(error) if error.kind() == ErrorKind::Denied));
    }

    #[tokio::test]
    async fn what_is_not_start_up_is_told_so() {
        for (nonsense, answered) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], 0),
            (&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01], 0),
            (&packet(&[0, 2, 0, 0]), 0),
            (&[SSL_REQUEST, SSL_REQUEST].concat(), 1),
        ] {
            let (answer, outcome) = without_database(&[nonsense]).await;
            assert_eq!(code_of(&answer[answered..]), "08P01");
            assert!(
                matches!(outcome, Outcome::Failed(error) if error.kind() == ErrorKind::Refused)
            );
        }
    }

    #[tokio::test]
    async fn who_only_knocks_has_not_failed() {
        for knock in [&[][..], &[0, 0], &SSL_REQUEST[..6]] {
            let (answer, outcome) = without_database(&[knock]).await;
            assert_eq!(answer, b"");
            assert!(matches!(outcome, Outcome::Left), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_database_that_hangs_up_at_once_is_a_failure_the_client_learns_of() {
        let (remote, mut database) = duplex(1024);
        let (mut client, local) = duplex(1024);
        let dialer = Once(std::sync::Mutex::new(Some(remote)));
        let ada = ada();
        let meter = Meter::default();
        let rest = async move {
            client.write_all(&packet(&startup(&[]))).await.unwrap();
            database.read_u32().await.unwrap();
            drop(database);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let buffers = Arc::default();
        let session = run(local.into(), &dialer, &ada, None, &meter, &buffers);
        let (answer, outcome) = tokio::join!(rest, session);
        let fields = fields(&answer);
        assert!(fields.contains(&('C', "08006".to_owned())));
        assert!(fields.contains(&('M', "bsql: the database did not answer".to_owned())));
        assert!(fields.contains(&('D', "it closed the connection".to_owned())));
        assert!(matches!(outcome, Outcome::Failed(_)));
    }

    /// Refuses the first certificate as TLS 1.3 does: at the first read.
    struct SecondTime(std::sync::Mutex<Vec<Stream>>);

    enum Stream {
        Refused,
        Open(DuplexStream),
    }

    impl AsyncRead for Stream {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Refused => std::task::Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Self::Open(stream) => std::pin::Pin::new(stream).poll_read(cx, buf),
            }
        }
    }

    impl AsyncWrite for Stream {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            match self.get_mut() {
                Self::Refused => std::task::Poll::Ready(Ok(buf.len())),
                Self::Open(stream) => std::pin::Pin::new(stream).poll_write(cx, buf),
            }
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    impl Dial for SecondTime {
        type Conn = Stream;

        async fn dial(&self) -> Result<Stream> {
            Ok(self.0.lock().unwrap().pop().unwrap())
        }
    }

    /// What a client hears that signs in and leaves.
    async fn come_and_go(mut client: DuplexStream, mut database: DuplexStream) -> Vec<u8> {
        client.write_all(&packet(&startup(&[]))).await.unwrap();
        let length = usize::try_from(database.read_u32().await.unwrap()).unwrap();
        database.read_exact(&mut vec![0; length - 4]).await.unwrap();
        database.write_all(b"R\0\0\0\x08\0\0\0\0").await.unwrap();
        drop(database);
        let mut answer = Vec::new();
        client.shutdown().await.unwrap();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_certificate_that_is_refused_late_is_replaced() {
        let (remote, database) = duplex(1024);
        let (client, local) = duplex(1024);
        let streams = vec![Stream::Open(remote), Stream::Refused];
        let dialer = SecondTime(std::sync::Mutex::new(streams));
        let ada = ada();
        let meter = Meter::default();
        let buffers = Arc::default();
        let session = run(local.into(), &dialer, &ada, None, &meter, &buffers);
        let (answer, outcome) = tokio::join!(come_and_go(client, database), session);
        assert_eq!(answer[0], b'R');
        assert!(matches!(outcome, Outcome::Served), "{outcome:?}");
    }

    /// Has one that was opened before, and one that is opened when it is asked for.
    struct SpareAndFresh {
        spare: std::sync::Mutex<Option<DuplexStream>>,
        fresh: Once,
    }

    impl Dial for SpareAndFresh {
        type Conn = DuplexStream;

        async fn dial(&self) -> Result<DuplexStream> {
            self.fresh.dial().await
        }

        async fn spare(&self) -> Option<DuplexStream> {
            self.spare.lock().unwrap().take()
        }
    }

    #[tokio::test]
    async fn a_spare_connection_is_used_and_one_that_died_is_no_failure() {
        for dies in [false, true] {
            let ((spare, spared), (fresh, dialled)) = (duplex(1024), duplex(1024));
            let dialer = SpareAndFresh {
                spare: std::sync::Mutex::new(Some(spare)),
                fresh: Once(std::sync::Mutex::new(Some(fresh))),
            };
            let database = if dies {
                drop(spared);
                dialled
            } else {
                drop(dialled);
                spared
            };
            let (client, local) = duplex(1024);
            let ada = ada();
            let (meter, buffers) = (Meter::default(), Arc::default());
            let session = run(local.into(), &dialer, &ada, None, &meter, &buffers);
            let (answer, outcome) = tokio::join!(come_and_go(client, database), session);
            assert_eq!(answer[0], b'R', "{dies}");
            assert!(matches!(outcome, Outcome::Served), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn one_too_many_is_told_so_and_may_still_cancel() {
        for (packet, code) in [
            (packet(&startup(&[])), Some("53300")),
            (packet(&[4, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 2]), None),
        ] {
            let (remote, database) = duplex(1024);
            let (mut client, local) = duplex(1024);
            let dialer = Once(std::sync::Mutex::new(Some(remote)));
            let ada = ada();
            let meter = Meter::default();
            client.write_all(&packet).await.unwrap();
            drop(database);
            let outcome = run(
                local.into(),
                &dialer,
                &ada,
                Some(7),
                &meter,
                &Arc::default(),
            )
            .await;
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            match code {
                Some(expected) => assert_eq!(code_of(&answer), expected),
                None => assert_eq!(answer, b"", "{outcome:?}"),
            }
        }
    }

    /// Deterministic: the same bytes in every run, by xorshift64. Memory is bounded by the longest first packet.
    #[tokio::test]
    async fn no_client_makes_it_panic_or_wait() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let valid = packet(&startup(&[("user", "ada"), ("database", "payments")]));
        for _ in 0..2_000 {
            let mut bytes = match next() % 4 {
                0 => SSL_REQUEST.to_vec(),
                1 => [&GSS_REQUEST[..], &valid].concat(),
                2 => valid.clone(),
                _ => Vec::new(),
            };
            bytes.extend((0..next() % 40).flat_map(|_| next().to_le_bytes()));
            if !bytes.is_empty() {
                let length = bytes.len() as u64;
                let at = usize::try_from(next() % length).unwrap();
                bytes[at] = next().to_le_bytes()[0];
                bytes.truncate(usize::try_from(next() % (length + 1)).unwrap());
            }
            let (answer, outcome) = without_database(&[&bytes]).await;
            assert!(answer.len() < 512, "{answer:?}");
            assert!(!matches!(outcome, Outcome::Served), "{bytes:?}");
        }
    }
}
