//! A connection of MySQL's, from the server's greeting to the last byte.
//!
//! The server speaks first, so a local program that only connects makes the tunnel dial: there is no other way to have
//! something to tell it. (To cancel, clients open a second connection and say `KILL QUERY`: that is a session like any.)

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::counted::Counted;
use super::greeting::ProcessId;
use super::local_tls::Local;
use super::meter::Meter;
use super::mysqlwire::{
    Answer, Greeting, Malformed, Refusal, Response, asks_tls, capability, framed, query,
};
use super::packets::{Packet, Packets};
use super::pump::pump;
use super::session::{
    Outcome, START_TIMEOUT, hung_up, not_understood, send, served, turned_away, unanswered,
};
use super::{Dial, Startup};
use crate::buffers::Buffers;
use crate::error::{Error, ErrorKind, Result};

/// A guard rail: a session can turn it off again.
const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY";

/// Serves one local program.
pub(super) async fn run<S, D>(
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
    if let Some(most) = too_many {
        send(&mut local, &Refusal::too_many(most).as_greeting()).await;
        return Err(turned_away(most));
    }
    let opened = match open(dialer).await {
        // The certificate was over or revoked, which shows only now: the dialer gets another one.
        Err(error) if error.kind() == ErrorKind::Refused => {
            tracing::info!(%error, causes = ?error.causes(), "trying once more");
            open(dialer).await
        }
        opened => opened,
    };
    let (remote, from_server, first) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            send(&mut local, &Refusal::from(&error).as_greeting()).await;
            return Err(error);
        }
    };
    let mut session = Session {
        local,
        ahead: 0,
        remote,
        from_client: Packets::default(),
        from_server,
    };
    if Answer::of(first.payload()) == Answer::Err {
        // The server's own words.
        send(&mut session.local, first.bytes()).await;
        return Ok(Outcome::Served);
    }
    match timeout(START_TIMEOUT, session.sign_in(&first, startup)).await {
        Ok(Ok(Some((connection_id, welcome)))) => {
            tracing::info!(connection_id, "signed in");
            meter.signed_in(connection_id);
            Ok(session.pump(&welcome, meter, buffers).await)
        }
        Ok(Ok(None)) => Ok(Outcome::Left),
        Ok(Err(Broken::Left(error))) => {
            tracing::debug!(%error, "the client left during the log-in");
            Ok(Outcome::Left)
        }
        Ok(Err(Broken::Server(error, sequence))) => {
            session.turn_away(&Refusal::from(&error), sequence).await;
            Err(error)
        }
        Ok(Err(Broken::Client(malformed, sequence))) => {
            session.turn_away(&malformed.into(), sequence).await;
            Err(not_understood(malformed))
        }
        Err(_) => {
            tracing::debug!("the log-in took too long");
            Ok(Outcome::Left)
        }
    }
}

/// A stream, and the server's first packet there.
async fn open<D: Dial>(dialer: &D) -> Result<(D::Conn, Packets, Packet)> {
    let mut remote = dialer.dial().await?;
    let mut packets = Packets::default();
    let first = timeout(START_TIMEOUT, packets.next(&mut remote))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .and_then(|first| first.ok_or_else(hung_up))
        .map_err(unanswered)?;
    Ok((remote, packets, first))
}

/// Why a log-in came to no end. With the number that the packet has which says so, by the server's count.
enum Broken {
    /// The client hung up, or cannot be written to.
    Left(io::Error),
    /// The server.
    Server(Error, u8),
    /// What the client sent is no log-in.
    Client(Malformed, u8),
}

/// Both ends of a connection that is being signed in. Packets are numbered as the server counts them.
struct Session<S, R> {
    local: Local<S>,
    /// How many packets more the client counts, because it has asked for TLS, of which the server knows nothing.
    ahead: u8,
    remote: R,
    from_client: Packets,
    from_server: Packets,
}

impl<S, R> Session<S, R>
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    /// From the greeting to the server's last word: the connection's number, and the packet that lets the client in. `None`
    /// when it was not let in, which it has been told, or when it has left.
    async fn sign_in(
        &mut self,
        first: &Packet,
        startup: &Startup,
    ) -> std::result::Result<Option<(u32, Packet)>, Broken> {
        let greeting = Greeting::parse(first.payload()).map_err(|malformed| {
            let error = ErrorKind::Refused.error("the database does not speak MySQL");
            Broken::Server(error.because(malformed), first.header.sequence)
        })?;
        // TLS is the tunnel's own, at either end. What the tunnel itself says is not compressed.
        let mut greeting = greeting.without(capability::SSL);
        if startup.read_only {
            greeting = greeting.without(capability::COMPRESS | capability::ZSTD_COMPRESSION);
        }
        let mut offered = greeting.clone();
        if self.local.has_tls() {
            offered = offered.with(capability::SSL);
        }
        self.tell_client(first.header.sequence, offered.payload())
            .await?;
        let Some(packet) = self.hear_response().await? else {
            return Ok(None);
        };
        let sequence = packet.header.sequence.wrapping_sub(self.ahead);
        let response = Response::parse(packet.payload(), self.ahead > 0)
            .map_err(|malformed| Broken::Client(malformed, sequence.wrapping_add(1)))?
            .adjusted(startup);
        let agreed = response.capabilities & greeting.capabilities;
        let packet = framed(sequence, &response.encode());
        self.tell_server(&packet, sequence).await?;
        let Some(welcome) = self.exchange(sequence).await? else {
            return Ok(None);
        };
        if startup.read_only {
            let sequence = welcome.header.sequence;
            self.tell_server(&query(READ_ONLY, agreed), sequence)
                .await?;
            let answer = self.hear_server(sequence).await?;
            if Answer::of(answer.payload()) != Answer::Ok {
                // The server's own words, in the place of its welcome.
                self.tell_client(sequence, answer.payload()).await?;
                return Ok(None);
            }
        }
        Ok(Some((greeting.connection_id, welcome)))
    }

    /// Whatever the plug-ins of both sides have to say to each other, until the server's verdict. The server may speak
    /// twice in a row; the client answers once at most.
    async fn exchange(&mut self, mut sequence: u8) -> std::result::Result<Option<Packet>, Broken> {
        let mut owes = false;
        loop {
            let from_client = async {
                if owes {
                    self.from_client.next(&mut self.local).await
                } else {
                    std::future::pending().await
                }
            };
            tokio::select! {
                biased;
                packet = self.from_server.next(&mut self.remote) => {
                    let packet = heard(packet, sequence)?;
                    sequence = packet.header.sequence;
                    match Answer::of(packet.payload()) {
                        Answer::Ok => return Ok(Some(packet)),
                        Answer::Err => {
                            self.tell_client(sequence, packet.payload()).await?;
                            return Ok(None);
                        }
                        Answer::More => {
                            self.tell_client(sequence, packet.payload()).await?;
                            owes = true;
                        }
                    }
                }
                packet = from_client => {
                    let Some(packet) = packet.map_err(Broken::Left)? else {
                        return Ok(None);
                    };
                    owes = false;
                    sequence = packet.header.sequence.wrapping_sub(self.ahead);
                    let packet = framed(sequence, packet.payload());
                    self.tell_server(&packet, sequence).await?;
                }
            }
        }
    }

    /// What the client answers to the greeting, over TLS if it asks for that and there is some. `None` when it has hung up.
    async fn hear_response(&mut self) -> std::result::Result<Option<Packet>, Broken> {
        let Some(packet) = self.hear_client().await? else {
            return Ok(None);
        };
        if !asks_tls(packet.payload()) || !self.encrypt().await? {
            return Ok(Some(packet));
        }
        self.ahead = 1;
        self.hear_client().await
    }

    /// MySQL's clients wait for no answer to their wish.
    async fn encrypt(&mut self) -> std::result::Result<bool, Broken> {
        self.local.encrypt(b"").await.map_err(Broken::Left)
    }

    /// `None` when the client has hung up. Only for the start: see [`Packet::read`].
    async fn hear_client(&mut self) -> std::result::Result<Option<Packet>, Broken> {
        match Packet::read(&mut self.local).await {
            Ok(packet) => Ok(packet),
            Err(error) => {
                let malformed = error.get_ref().and_then(|inner| inner.downcast_ref());
                Err(match malformed {
                    Some(malformed) => Broken::Client(*malformed, 2),
                    None => Broken::Left(error),
                })
            }
        }
    }

    async fn tell_client(
        &mut self,
        sequence: u8,
        payload: &[u8],
    ) -> std::result::Result<(), Broken> {
        let packet = framed(sequence.wrapping_add(self.ahead), payload);
        let told = write(&mut self.local, &packet).await;
        told.map_err(Broken::Left)
    }

    /// Tells the client, for the last time.
    async fn turn_away(&mut self, refusal: &Refusal, sequence: u8) {
        let answer = refusal.as_answer(sequence.wrapping_add(self.ahead));
        send(&mut self.local, &answer).await;
    }

    async fn hear_server(&mut self, sequence: u8) -> std::result::Result<Packet, Broken> {
        heard(self.from_server.next(&mut self.remote).await, sequence)
    }

    /// `sequence` is that of the last packet.
    async fn tell_server(&mut self, bytes: &[u8], sequence: u8) -> std::result::Result<(), Broken> {
        let told = write(&mut self.remote, bytes).await;
        told.map_err(|error| Broken::Server(unanswered(error), sequence.wrapping_add(1)))
    }

    /// Lets the client in, and moves bytes from then on.
    async fn pump(self, welcome: &Packet, meter: &Meter, buffers: &Arc<Buffers>) -> Outcome {
        let mut local = Counted::new(self.local, meter, ProcessId::Known);
        let mut remote = self.remote;
        let pumped = async {
            // Nobody has sent more yet, but who knows.
            remote.write_all(&self.from_client.rest()).await?;
            remote.flush().await?;
            let sequence = welcome.header.sequence.wrapping_add(self.ahead);
            local
                .write_all(&framed(sequence, welcome.payload()))
                .await?;
            local.write_all(&self.from_server.rest()).await?;
            local.flush().await?;
            pump(&mut local, &mut remote, buffers).await
        };
        served(pumped.await)
    }
}

/// What came from the server after packet number `sequence`.
fn heard(packet: io::Result<Option<Packet>>, sequence: u8) -> std::result::Result<Packet, Broken> {
    packet
        .and_then(|packet| packet.ok_or_else(hung_up))
        .map_err(|error| Broken::Server(unanswered(error), sequence.wrapping_add(1)))
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt as _, BufWriter, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::super::Protocol;
    use super::super::local_tls::LocalTls;
    use super::super::local_tls::tests::trusting;
    use super::super::mysqlwire::tests::{CLIENT, greeting, response};
    use super::*;
    use crate::clock::Clock;

    const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];

    /// Hands out these streams, the last one first; then there is no database.
    struct Streams(Mutex<Vec<DuplexStream>>);

    impl Dial for Streams {
        type Conn = DuplexStream;

        async fn dial(&self) -> Result<DuplexStream> {
            let stream = self.0.lock().unwrap().pop();
            stream.ok_or_else(|| {
                ErrorKind::Denied
                    .error("cannot reach `storefront`")
                    .hint("bsql why storefront")
            })
        }
    }

    fn ada(read_only: bool) -> Startup {
        Startup {
            protocol: Protocol::MySql,
            user: "ada".to_owned(),
            application_name: "bsql:ada".to_owned(),
            read_only,
        }
    }

    type Serving = JoinHandle<(Outcome, Vec<u32>)>;

    /// A client, and what serves it.
    fn serve(
        streams: Vec<DuplexStream>,
        read_only: bool,
        too_many: Option<usize>,
    ) -> (DuplexStream, Serving) {
        serve_with(None, streams, read_only, too_many)
    }

    fn serve_with(
        tls: Option<LocalTls>,
        streams: Vec<DuplexStream>,
        read_only: bool,
        too_many: Option<usize>,
    ) -> (DuplexStream, Serving) {
        let (client, local) = duplex(64 * 1024);
        let serving = tokio::spawn(async move {
            let (dialer, meter) = (Streams(Mutex::new(streams)), Meter::default());
            let (startup, buffers) = (ada(read_only), Arc::default());
            let session = super::super::session::run(
                Local::Plain(local, tls),
                &dialer,
                &startup,
                too_many,
                &meter,
                &buffers,
            );
            let outcome = session.await;
            (outcome, meter.backend_pids())
        });
        (client, serving)
    }

    async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Packet {
        Packet::read(stream).await.unwrap().unwrap()
    }

    async fn say(stream: &mut (impl AsyncWrite + Unpin), sequence: u8, payload: &[u8]) {
        stream.write_all(&framed(sequence, payload)).await.unwrap();
    }

    async fn all(stream: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    fn offered() -> u32 {
        CLIENT | capability::SSL | capability::COMPRESS | capability::QUERY_ATTRIBUTES
    }

    #[tokio::test]
    async fn a_log_in_with_all_its_round_trips() {
        for read_only in [false, true] {
            let (remote, mut server) = duplex(64 * 1024);
            let (mut client, serving) = serve(vec![remote], read_only, None);
            say(&mut server, 0, &greeting(77, offered())).await;
            let first = next(&mut client).await;
            let heard = Greeting::parse(first.payload()).unwrap();
            let compress = if read_only { 0 } else { capability::COMPRESS };
            assert_eq!(
                heard.capabilities,
                CLIENT | capability::QUERY_ATTRIBUTES | compress
            );

            // A command comes right behind the log-in: it must not be the first that the server executes.
            let command = framed(0, b"\x03DROP TABLE orders");
            let hello = [
                framed(1, &response("root", b"")),
                framed(3, b"more"),
                command.clone(),
            ];
            client.write_all(&hello.concat()).await.unwrap();
            let told = next(&mut server).await;
            assert_eq!(told.header.sequence, 1);
            let told = Response::parse(told.payload(), false).unwrap();
            assert_eq!((told.user(), told.proof()), (&b"ada"[..], &b""[..]));
            // To switch, and then twice in a row.
            say(&mut server, 2, b"\xfecaching_sha2_password\0salt").await;
            assert_eq!(next(&mut server).await.bytes(), framed(3, b"more"));
            say(&mut server, 4, &[1, 3]).await;
            say(&mut server, 5, OK).await;
            if read_only {
                let query = next(&mut server).await;
                // The client did not say that it knows attributes of queries.
                assert_eq!(query.payload(), [b"\x03", READ_ONLY.as_bytes()].concat());
                assert_eq!(query.header.sequence, 0);
                say(&mut server, 1, OK).await;
            }
            assert_eq!(next(&mut client).await.payload()[0], 0xfe);
            assert_eq!(next(&mut client).await.payload(), [1, 3]);
            assert_eq!(next(&mut client).await.bytes(), framed(5, OK));
            assert_eq!(next(&mut server).await.bytes(), command);
            // Half-close passes through.
            client.shutdown().await.unwrap();
            assert_eq!(all(&mut server).await, b"");
            say(&mut server, 1, b"late").await;
            drop(server);
            assert_eq!(all(&mut client).await, framed(1, b"late"));
            let (outcome, ids) = serving.await.unwrap();
            assert!(matches!(outcome, Outcome::Served), "{outcome:?}");
            assert_eq!(ids, [77]);
        }
    }

    #[tokio::test]
    async fn a_client_that_asks_for_tls_gets_it_and_the_server_knows_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let tls = LocalTls::kept_in(dir.path(), Clock::system().now()).unwrap();
        let connector = trusting(&std::fs::read(tls.authority()).unwrap());
        for lets_in in [true, false] {
            let (remote, mut server) = duplex(64 * 1024);
            let (mut client, serving) = serve_with(Some(tls.clone()), vec![remote], true, None);
            // The server itself has none to offer.
            let can = offered() & !capability::SSL;
            say(&mut server, 0, &greeting(77, can)).await;
            let heard = next(&mut client).await;
            let heard = Greeting::parse(heard.payload()).unwrap();
            assert_ne!(heard.capabilities & capability::SSL, 0);
            assert_eq!(heard.capabilities & capability::COMPRESS, 0, "read-only");

            // As real clients do it: TLS begins in the same write as the wish for it.
            let mut hello = response("root", b"");
            hello[1] |= 0x08;
            let mut client = BufWriter::new(client);
            client.write_all(&framed(1, &hello[..32])).await.unwrap();
            let name = "localhost".try_into().unwrap();
            let mut client = connector.connect(name, client).await.unwrap();
            say(&mut client, 2, &hello).await;
            client.flush().await.unwrap();

            let told = next(&mut server).await;
            assert_eq!(told.header.sequence, 1);
            let told = Response::parse(told.payload(), false).unwrap();
            assert_eq!((told.user(), told.proof()), (&b"ada"[..], &b""[..]));
            say(&mut server, 2, b"\xfecaching_sha2_password\0salt").await;
            assert_eq!(next(&mut client).await.header.sequence, 3);
            say(&mut client, 4, b"more").await;
            client.flush().await.unwrap();
            assert_eq!(next(&mut server).await.bytes(), framed(3, b"more"));
            if lets_in {
                say(&mut server, 4, OK).await;
                let query = next(&mut server).await;
                assert_eq!(query.header.sequence, 0);
                say(&mut server, 1, OK).await;
                assert_eq!(next(&mut client).await.bytes(), framed(5, OK));
                // From here on both count alike.
                say(&mut client, 0, b"\x03SELECT 1").await;
                client.flush().await.unwrap();
                assert_eq!(next(&mut server).await.bytes(), framed(0, b"\x03SELECT 1"));
            } else {
                drop(server);
                let said = next(&mut client).await;
                assert_eq!((said.header.sequence, said.payload()[0]), (5, 0xff));
            }
            drop(client);
            let (_, ids) = serving.await.unwrap();
            assert_eq!(ids.len(), usize::from(lets_in));
        }
    }

    /// Of whoever is not trusted, the server hears nothing.
    #[tokio::test]
    async fn a_client_that_does_not_trust_the_tunnel_leaves() {
        let [dir, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let now = Clock::system().now();
        let tls = LocalTls::kept_in(dir.path(), now).unwrap();
        let other = LocalTls::kept_in(other.path(), now).unwrap();
        let connector = trusting(&std::fs::read(other.authority()).unwrap());
        let (remote, mut server) = duplex(64 * 1024);
        let (mut client, serving) = serve_with(Some(tls), vec![remote], false, None);
        say(&mut server, 0, &greeting(77, offered())).await;
        next(&mut client).await;
        let mut hello = response("root", b"");
        hello[1] |= 0x08;
        say(&mut client, 1, &hello[..32]).await;
        let name = "localhost".try_into().unwrap();
        assert!(connector.connect(name, client).await.is_err());
        let (outcome, _) = serving.await.unwrap();
        assert!(matches!(outcome, Outcome::Left), "{outcome:?}");
        assert_eq!(all(&mut server).await, b"");
    }

    #[tokio::test]
    async fn the_servers_own_refusals_pass_through() {
        let refusal = b"\xff\x15\x04#28000Access denied for user 'ada'";
        // In the place of the greeting, of the welcome, and of the answer to what the tunnel itself asks.
        for at in 0..3 {
            let (remote, mut server) = duplex(64 * 1024);
            let (mut client, serving) = serve(vec![remote], true, None);
            let mut sequence = 0;
            if at > 0 {
                say(&mut server, 0, &greeting(77, offered())).await;
                next(&mut client).await;
                say(&mut client, 1, &response("ada", b"")).await;
                next(&mut server).await;
                sequence = 2;
            }
            if at > 1 {
                say(&mut server, 2, OK).await;
                next(&mut server).await;
                say(&mut server, 1, refusal).await;
            } else {
                say(&mut server, sequence, refusal).await;
            }
            assert_eq!(
                all_of(&mut client, serving).await,
                framed(sequence, refusal),
                "{at}"
            );
        }
    }

    /// What the client still gets. The outcome is no failure of the tunnel's.
    async fn all_of(client: &mut DuplexStream, serving: Serving) -> Vec<u8> {
        let said = all(client).await;
        let (outcome, ids) = serving.await.unwrap();
        assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        assert!(ids.is_empty(), "{ids:?}");
        said
    }

    #[tokio::test]
    async fn the_client_learns_why_there_is_no_database() {
        let (mut client, serving) = serve(vec![], false, None);
        let said = all(&mut client).await;
        let message = "bsql: cannot reach `storefront`; hint: bsql why storefront";
        assert_eq!(said[4..7], [0xff, 0x15, 0x04]);
        assert_eq!(&said[7..], message.as_bytes());
        let (outcome, _) = serving.await.unwrap();
        assert!(matches!(outcome, Outcome::Failed(error) if error.kind() == ErrorKind::Denied));

        let (mut client, serving) = serve(vec![], false, Some(7));
        assert_eq!(all(&mut client).await[4..7], [0xff, 0x10, 0x04]);
        let (outcome, _) = serving.await.unwrap();
        assert!(matches!(outcome, Outcome::Failed(error) if error.kind() == ErrorKind::TryLater));
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_a_failure_the_client_learns_of() {
        for greets in [false, true] {
            let (remote, mut server) = duplex(64 * 1024);
            let (mut client, serving) = serve(vec![remote], false, None);
            if greets {
                say(&mut server, 0, &greeting(77, offered())).await;
                next(&mut client).await;
                say(&mut client, 1, &response("ada", b"")).await;
                next(&mut server).await;
            }
            drop(server);
            let said = String::from_utf8_lossy(&all(&mut client).await).into_owned();
            let message = "bsql: the database did not answer: it closed the connection";
            assert!(said.contains(message), "{said}");
            assert_eq!(said.contains("#08S01bsql"), greets, "{said}");
            let (outcome, _) = serving.await.unwrap();
            assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_log_in_is_told_so() {
        let tls = |mut payload: Vec<u8>| {
            payload[1] |= 0x08;
            payload.truncate(32);
            payload
        };
        for (nonsense, message) in [
            (framed(1, b"GET / HTTP/1.1\r\n\r\n"), "before MySQL 4.1"),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "invalid length"),
            (framed(1, &tls(response("ada", b""))), "SSL mode"),
            (framed(1, &response("ada", b"\xff")), "invalid layout"),
        ] {
            let (remote, mut server) = duplex(64 * 1024);
            let (mut client, serving) = serve(vec![remote], false, None);
            say(&mut server, 0, &greeting(77, offered())).await;
            next(&mut client).await;
            client.write_all(&nonsense).await.unwrap();
            let said = next(&mut client).await;
            assert_eq!(said.header.sequence, 2);
            let said = String::from_utf8_lossy(said.payload()).into_owned();
            assert!(
                said.contains("#08S01bsql: ") && said.contains(message),
                "{said}"
            );
            drop(client);
            let (outcome, _) = serving.await.unwrap();
            assert!(
                matches!(outcome, Outcome::Failed(error) if error.kind() == ErrorKind::Refused)
            );
            assert_eq!(all(&mut server).await, b"", "nothing of it went on");
        }
    }

    #[tokio::test]
    async fn a_server_of_something_else_is_no_database() {
        let (remote, mut server) = duplex(64 * 1024);
        let (mut client, serving) = serve(vec![remote], false, None);
        say(&mut server, 0, b"SSH-2.0-OpenSSH_9.2").await;
        let said = String::from_utf8_lossy(&all(&mut client).await).into_owned();
        assert!(
            said.contains("bsql: the database does not speak MySQL"),
            "{said}"
        );
        assert!(matches!(serving.await.unwrap().0, Outcome::Failed(_)));
    }

    #[tokio::test]
    async fn who_only_knocks_has_not_failed() {
        for knock in [&b""[..], &[9, 0]] {
            let (remote, mut server) = duplex(64 * 1024);
            let (mut client, serving) = serve(vec![remote], false, None);
            say(&mut server, 0, &greeting(77, offered())).await;
            next(&mut client).await;
            client.write_all(knock).await.unwrap();
            drop(client);
            let (outcome, ids) = serving.await.unwrap();
            assert!(matches!(outcome, Outcome::Left), "{outcome:?}");
            assert!(ids.is_empty());
        }
    }
}
