//! The tunnel itself: accepts, lets only us in, and ends in good order.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

use super::local::{Accepted, Listener};
use super::local_tls::{Local, LocalTls};
use super::meter::Meter;
use super::peer::Stranger;
use super::session::{self, Outcome};
use super::spare::Predial;
use super::{Dial, Endpoint, Place, Protocol, Startup};
use crate::buffers::Buffers;
use crate::error::Result;

/// The first wait after `accept` failed, doubled each time: usually the process has no file descriptors left.
const FIRST_BACK_OFF: Duration = Duration::from_millis(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);
/// So many strangers are logged one by one; of more, only the first of each doubling: nobody may fill somebody else's disk.
const LOGGED: u64 = 20;

/// So many more than those that are served are accepted at a time: to be told that there are too many, or to cancel what
/// another one does. The others wait in the system's queue, where they take no descriptors.
pub(super) const TOLD: usize = 32;

/// Lends local programs of this user a way to one database.
#[derive(Debug)]
pub struct Tunnel<D: Dial> {
    listener: Listener,
    shared: Arc<Shared<D>>,
    keeps_spare: bool,
    most: usize,
    strangers: Option<mpsc::Sender<Stranger>>,
    tls: Option<LocalTls>,
}

#[derive(Debug)]
struct Shared<D: Dial> {
    dialer: Predial<D>,
    startup: Startup,
    meter: Arc<Meter>,
    buffers: Arc<Buffers>,
}

/// What went through a tunnel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Connections of this user, cancel requests among them.
    pub connections: u64,
    /// Connections of other users, turned away before a byte was read.
    pub refused: u64,
    /// Of the connections, those that the database never answered.
    pub failed: u64,
    /// Bytes from local programs to the database, after the start-up packet.
    pub bytes_up: u64,
    /// Bytes from the database to local programs.
    pub bytes_down: u64,
    /// Connections that were still open after the grace and were cut.
    pub forced: u64,
    /// The database's processes that served the sessions, of which there may be more.
    pub backend_pids: Vec<u32>,
}

impl<D: Dial> Tunnel<D> {
    /// Opens a Unix socket in a fresh directory below `runtime_dir`, see [`bind`](Self::bind).
    pub fn bind_unix(runtime_dir: &Path, dialer: Arc<D>, startup: Startup) -> Result<Self> {
        let place = Place::Private {
            runtime_dir: runtime_dir.to_owned(),
        };
        Self::bind(&place, dialer, startup)
    }

    /// Listens at `place`. It is ready when this returns: connections wait until [`serve`](Self::serve). Must be called
    /// within the runtime.
    ///
    /// Fails with [`CannotCreate`](crate::error::ErrorKind::CannotCreate).
    pub fn bind(place: &Place, dialer: Arc<D>, startup: Startup) -> Result<Self> {
        Ok(Self {
            listener: Listener::bind(place, startup.protocol)?,
            shared: Arc::new(Shared {
                dialer: Predial::new(dialer),
                startup,
                meter: Arc::default(),
                buffers: Arc::default(),
            }),
            keeps_spare: false,
            most: usize::MAX,
            strangers: None,
            tls: None,
        })
    }

    /// Dials a connection for the next client before it comes. For PostgreSQL alone: others do not like a connection on
    /// which nobody says a word.
    #[must_use]
    pub fn with_spare(mut self) -> Self {
        self.keeps_spare = self.shared.startup.protocol == Protocol::Postgres;
        self
    }

    /// Serves at most so many connections at a time, and tells others so.
    #[must_use]
    pub fn at_most(mut self, connections: usize) -> Self {
        self.most = connections;
        self
    }

    /// Tells of those who are turned away. When the channel is full they are only counted.
    #[must_use]
    pub fn telling_of_strangers(mut self, to: mpsc::Sender<Stranger>) -> Self {
        self.strangers = Some(to);
        self
    }

    /// Encrypts towards those local programs that ask for it.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<LocalTls>) -> Self {
        self.tls = tls;
        self
    }

    /// Where local programs dial in.
    pub fn endpoint(&self) -> Endpoint {
        self.listener.endpoint()
    }

    /// Counts what goes through.
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.shared.meter)
    }

    /// Serves until `stop` is cancelled: then closes the socket first, waits at most `grace` for the connections to end,
    /// and cuts those that have not.
    ///
    /// When the returned future is dropped, all connections are cut at once.
    pub async fn serve(self, stop: CancellationToken, grace: Duration) -> Summary {
        let sessions = TaskTracker::new();
        let force = CancellationToken::new();
        let _force_when_dropped = force.clone().drop_guard();
        let places = self.most.saturating_add(TOLD).min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places));
        let spare = self.keeps_spare.then(|| {
            let shared = Arc::clone(&self.shared);
            AbortOnDropHandle::new(tokio::spawn(async move { shared.dialer.keep().await }))
        });
        let mut back_off = FIRST_BACK_OFF;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.accept(&places) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    back_off = FIRST_BACK_OFF;
                    match stream.peer() {
                        Ok(peer) => {
                            let id = self.shared.meter.opened();
                            let span = tracing::info_span!("conn", id, pid = peer.pid);
                            let too_many = (sessions.len() >= self.most).then_some(self.most);
                            let shared = Arc::clone(&self.shared);
                            let stream = Local::Plain(stream, self.tls.clone());
                            let session = serve_one(stream, shared, too_many, force.clone(), place);
                            sessions.spawn(session.instrument(span));
                        }
                        Err(stranger) => self.refuse(stranger),
                    }
                }
                Err(error) => back_off = self.wait_out(&error, back_off, &stop).await,
            }
        }
        drop(self.listener);
        drop(spare);
        sessions.close();
        let mut forced = 0;
        if tokio::time::timeout(grace, sessions.wait()).await.is_err() {
            forced = sessions.len() as u64;
            force.cancel();
            sessions.wait().await;
            tracing::info!(forced, "cut the remaining connections");
        }
        let reading = self.shared.meter.read();
        Summary {
            connections: reading.connections,
            refused: reading.refused,
            failed: reading.failed,
            bytes_up: reading.bytes_up,
            bytes_down: reading.bytes_down,
            forced,
            backend_pids: self.shared.meter.backend_pids(),
        }
    }

    /// Waits for a place first. Cancel safe.
    async fn accept(
        &self,
        places: &Arc<Semaphore>,
    ) -> io::Result<(Accepted, OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await;
        let stream = self.listener.accept().await?;
        Ok((stream, place.expect("nobody closes it")))
    }

    /// Nothing was read, and nothing is said: a stranger does not even learn what this is.
    fn refuse(&self, stranger: Stranger) {
        let total = self.shared.meter.refused();
        if total <= LOGGED || total.is_power_of_two() {
            tracing::warn!(%stranger, total, "refused a connection of another user");
        }
        if let Some(strangers) = &self.strangers {
            // Full, or nobody is interested any more.
            let _ = strangers.try_send(stranger);
        }
    }

    /// Waits before `accept` is tried again; returns the next wait.
    async fn wait_out(
        &self,
        error: &io::Error,
        back_off: Duration,
        stop: &CancellationToken,
    ) -> Duration {
        tracing::warn!(%error, ?back_off, "cannot accept a connection");
        let _ = tokio::time::timeout(back_off, stop.cancelled()).await;
        (back_off * 2).min(LONGEST_BACK_OFF)
    }
}

async fn serve_one<D: Dial>(
    stream: Local<Accepted>,
    shared: Arc<Shared<D>>,
    too_many: Option<usize>,
    force: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    tracing::debug!("opened");
    let meter = &*shared.meter;
    let _open = Open(meter);
    let session = session::run(
        stream,
        &shared.dialer,
        &shared.startup,
        too_many,
        meter,
        &shared.buffers,
    );
    let outcome = tokio::select! {
        biased;
        outcome = session => outcome,
        () = force.cancelled() => {
            tracing::info!("cut");
            return;
        }
    };
    match outcome {
        Outcome::Failed(error) => {
            meter.failed();
            tracing::warn!(%error, causes = ?error.causes(), "failed");
        }
        outcome => tracing::info!(?outcome, "closed"),
    }
}

/// Counts as open until it is dropped, which also happens to tasks that are cut.
struct Open<'a>(&'a Meter);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::super::pgwire::tests::{fields, startup};
    use super::super::pgwire::{FirstPacket, StartupMessage};
    use super::*;
    use crate::error::ErrorKind;
    use tokio::net::UnixStream;

    /// `AuthenticationOk`.
    const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0";

    /// Hands the other ends of its streams to the test, which plays the database.
    struct ToTest(mpsc::UnboundedSender<DuplexStream>);

    impl Dial for ToTest {
        type Conn = DuplexStream;

        async fn dial(&self) -> Result<DuplexStream> {
            let (here, there) = duplex(64 * 1024);
            self.0
                .send(there)
                .map_err(|_| ErrorKind::Unavailable.error("cannot reach `payments`"))?;
            Ok(here)
        }
    }

    struct Running {
        socket: PathBuf,
        meter: Arc<Meter>,
        dir: PathBuf,
        databases: mpsc::UnboundedReceiver<DuplexStream>,
        stop: CancellationToken,
        serving: JoinHandle<Summary>,
        _runtime_dir: TempDir,
    }

    impl Running {
        fn new(grace: Duration) -> Self {
            Self::with(grace, usize::MAX)
        }

        fn at_most(connections: usize) -> Self {
            Self::with(LONG, connections)
        }

        fn with(grace: Duration, most: usize) -> Self {
            let runtime_dir = tempfile::tempdir().unwrap();
            let (dialer, databases) = mpsc::unbounded_channel();
            let ada = Startup {
                protocol: Protocol::Postgres,
                user: "ada@acme.example".to_owned(),
                application_name: "bsql:ada".to_owned(),
                read_only: true,
            };
            let tunnel =
                Tunnel::bind_unix(runtime_dir.path(), Arc::new(ToTest(dialer)), ada).unwrap();
            let tunnel = tunnel.at_most(most);
            let Endpoint::Unix { dir, port } = tunnel.endpoint() else {
                panic!("a Unix socket was asked for");
            };
            let stop = CancellationToken::new();
            Self {
                socket: dir.join(format!(".s.PGSQL.{port}")),
                meter: tunnel.meter(),
                dir,
                databases,
                stop: stop.clone(),
                serving: tokio::spawn(tunnel.serve(stop, grace)),
                _runtime_dir: runtime_dir,
            }
        }

        /// A client and a database that have said hello to each other through the tunnel.
        async fn session(&mut self) -> (UnixStream, DuplexStream) {
            let mut client = UnixStream::connect(&self.socket).await.unwrap();
            client.write_all(&hello()).await.unwrap();
            let mut database = self.databases.recv().await.unwrap();
            let message = read_startup(&mut database).await;
            assert_eq!(message.parameter("user").unwrap(), b"ada@acme.example");
            assert_eq!(
                message.parameter("options").unwrap(),
                b"-c default_transaction_read_only=on"
            );
            database.write_all(WELCOME).await.unwrap();
            let mut welcome = [0; WELCOME.len()];
            client.read_exact(&mut welcome).await.unwrap();
            assert_eq!(welcome, WELCOME);
            (client, database)
        }

        async fn summary(self) -> Summary {
            self.stop.cancel();
            let summary = self.serving.await.unwrap();
            assert!(!self.dir.exists(), "the socket's directory goes away");
            summary
        }
    }

    fn hello() -> Vec<u8> {
        let rest = startup(&[("user", "root"), ("database", "payments")]);
        let length = u32::try_from(rest.len() + 4).unwrap();
        [&length.to_be_bytes()[..], &rest].concat()
    }

    async fn read_startup(database: &mut DuplexStream) -> StartupMessage {
        let mut header = [0; 4];
        database.read_exact(&mut header).await.unwrap();
        let mut rest = vec![0; FirstPacket::length(header).unwrap()];
        database.read_exact(&mut rest).await.unwrap();
        match FirstPacket::parse(&rest).unwrap() {
            FirstPacket::Startup(message) => message,
            other => panic!("{other:?}"),
        }
    }

    async fn read_all(mut stream: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn half_close_passes_through_and_bytes_are_counted() {
        let mut running = Running::new(LONG);
        let (mut client, mut database) = running.session().await;
        client.write_all(b"up").await.unwrap();
        client.shutdown().await.unwrap();
        let mut up = Vec::new();
        database.read_to_end(&mut up).await.unwrap();
        assert_eq!(up, b"up");
        // The other direction is still open.
        database.write_all(b"down, late").await.unwrap();
        drop(database);
        assert_eq!(read_all(client).await, b"down, late");
        let expected = Summary {
            connections: 1,
            bytes_up: 2,
            bytes_down: WELCOME.len() as u64 + 10,
            ..Summary::default()
        };
        assert_eq!(running.summary().await, expected);
    }

    #[tokio::test]
    async fn a_megabyte_each_way_at_once() {
        let mut running = Running::new(LONG);
        let (client, database) = running.session().await;
        let payload = vec![7; 1 << 20];
        let talk = async |stream: &mut (dyn TestStream + Unpin + Send)| {
            let (mut read, mut write) = tokio::io::split(stream);
            let send = async {
                write.write_all(&payload).await.unwrap();
                write.shutdown().await.unwrap();
            };
            tokio::join!(read_all(&mut read), send).0.len()
        };
        let (mut client, mut database) = (client, database);
        let (down, up) = tokio::join!(talk(&mut client), talk(&mut database));
        assert_eq!((down, up), (1 << 20, 1 << 20));
        assert_eq!(running.summary().await.bytes_up, 1 << 20);
    }

    trait TestStream: tokio::io::AsyncRead + tokio::io::AsyncWrite {}
    impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite> TestStream for S {}

    #[tokio::test]
    async fn a_failed_dial_is_told_and_counted() {
        let mut running = Running::new(LONG);
        running.databases.close();
        let mut client = UnixStream::connect(&running.socket).await.unwrap();
        client.write_all(&hello()).await.unwrap();
        let fields = fields(&read_all(client).await);
        assert!(fields.contains(&('M', "bsql: cannot reach `payments`".to_owned())));
        assert!(fields.contains(&('C', "08006".to_owned())));
        let summary = running.summary().await;
        assert_eq!((summary.connections, summary.failed), (1, 1));
    }

    #[tokio::test]
    async fn stopping_lets_connections_end() {
        let mut running = Running::new(LONG);
        let (client, mut database) = running.session().await;
        running.stop.cancel();
        while running.dir.exists() {
            tokio::task::yield_now().await;
        }
        assert!(
            UnixStream::connect(&running.socket).await.is_err(),
            "closed to newcomers"
        );
        database.write_all(b"last words").await.unwrap();
        drop(database);
        assert_eq!(read_all(client).await, b"last words");
        let summary = running.summary().await;
        assert_eq!((summary.connections, summary.forced), (1, 0));
    }

    #[tokio::test]
    async fn connections_that_do_not_end_are_cut_and_counted() {
        let mut running = Running::new(Duration::from_millis(20));
        let (client, database) = running.session().await;
        let (second, _database) = running.session().await;
        drop(second);
        let (stop, socket) = (running.stop.clone(), running.socket.clone());
        stop.cancel();
        let summary = running.summary().await;
        // The second client is gone, but its database has not said goodbye either.
        assert_eq!((summary.connections, summary.forced), (2, 2));
        assert_eq!(read_all(client).await, b"");
        assert_eq!(read_all(database).await, b"");
        assert!(!socket.exists());
    }

    #[tokio::test]
    async fn dropping_the_future_cuts_everything() {
        let mut running = Running::new(LONG);
        let (client, _database) = running.session().await;
        running.serving.abort();
        assert!((&mut running.serving).await.unwrap_err().is_cancelled());
        assert_eq!(read_all(client).await, b"");
        assert!(!running.dir.exists());
    }

    /// Each would take a descriptor, until there is none left to serve anybody with.
    #[tokio::test]
    async fn who_cannot_even_be_told_yet_waits_outside() {
        let mut running = Running::at_most(2);
        let (first, database) = running.session().await;
        let mut silent = Vec::new();
        for _ in 0..=TOLD + 5 {
            silent.push(UnixStream::connect(&running.socket).await.unwrap());
        }
        let mut last = UnixStream::connect(&running.socket).await.unwrap();
        last.write_all(&hello()).await.unwrap();
        while running.meter.read().open < 2 + TOLD as u64 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(running.meter.read().connections, 2 + TOLD as u64);
        // Those outside come in as others leave, and hear what there is to hear.
        silent.truncate(10);
        let fields = fields(&read_all(last).await);
        assert!(fields.contains(&('C', "53300".to_owned())), "{fields:?}");
        drop((first, database, silent));
        assert_eq!(running.summary().await.connections, 2 + TOLD as u64 + 6);
    }

    #[tokio::test]
    async fn cancel_requests_are_passed_on_whole() {
        let mut running = Running::new(LONG);
        let request = [0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 7, 1, 2, 3, 4];
        let mut client = UnixStream::connect(&running.socket).await.unwrap();
        client.write_all(&request).await.unwrap();
        let mut database = running.databases.recv().await.unwrap();
        let mut received = [0; 16];
        database.read_exact(&mut received).await.unwrap();
        assert_eq!(received, request);
        drop(database);
        assert_eq!(read_all(client).await, b"", "there is no answer to it");
        let summary = running.summary().await;
        assert_eq!((summary.connections, summary.failed), (1, 0));
    }

    /// Needs root, to become somebody else.
    #[tokio::test]
    async fn another_user_is_turned_away() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt as _;

        const NOBODY: u32 = 65_534;
        let perl = Path::new("/usr/bin/perl");
        if !rustix::process::geteuid().is_root() || !perl.exists() {
            println!("skipped: needs root and perl to dial in as somebody else");
            return;
        }
        let running = Running::new(LONG);
        // The kernel's answer must be enough even when the modes were not.
        let dirs = running.dir.ancestors().take(2);
        dirs.for_each(|dir| set_permissions(dir, Permissions::from_mode(0o755)).unwrap());
        set_permissions(&running.socket, Permissions::from_mode(0o666)).unwrap();
        let knock = "use IO::Socket::UNIX; \
            my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; \
            my $read = sysread($s, my $buf, 1); print defined $read ? $read : $!;";
        let output = tokio::process::Command::new(perl)
            .args(["-e", knock])
            .arg(&running.socket)
            .uid(NOBODY)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"0", "closed without a word");
        let summary = running.summary().await;
        assert_eq!((summary.connections, summary.refused), (0, 1));
    }

    /// Tunnels at a loopback port, with the channel that tells of strangers.
    #[cfg(target_os = "linux")]
    struct OnPort {
        address: std::net::SocketAddr,
        databases: mpsc::UnboundedReceiver<DuplexStream>,
        strangers: mpsc::Receiver<Stranger>,
        stop: CancellationToken,
        serving: JoinHandle<Summary>,
    }

    #[cfg(target_os = "linux")]
    impl OnPort {
        fn new() -> Self {
            let (dialer, databases) = mpsc::unbounded_channel();
            let (to, strangers) = mpsc::channel(1);
            let ada = Startup {
                protocol: Protocol::Postgres,
                user: "ada@acme.example".to_owned(),
                application_name: "bsql:ada".to_owned(),
                read_only: false,
            };
            let place = Place::Tcp(([127, 0, 0, 1], 0).into());
            let tunnel = Tunnel::bind(&place, Arc::new(ToTest(dialer)), ada)
                .unwrap()
                .telling_of_strangers(to);
            let Endpoint::Tcp(address) = tunnel.endpoint() else {
                panic!("a port was asked for");
            };
            let stop = CancellationToken::new();
            Self {
                address,
                databases,
                strangers,
                stop: stop.clone(),
                serving: tokio::spawn(tunnel.serve(stop, LONG)),
            }
        }

        async fn summary(self) -> Summary {
            self.stop.cancel();
            self.serving.await.unwrap()
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_port_serves_us() {
        let mut running = OnPort::new();
        let mut client = tokio::net::TcpStream::connect(running.address)
            .await
            .unwrap();
        client.write_all(&hello()).await.unwrap();
        let mut database = running.databases.recv().await.unwrap();
        read_startup(&mut database).await;
        let key = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\x10\x02abcd";
        database.write_all(key).await.unwrap();
        drop(database);
        client.shutdown().await.unwrap();
        assert_eq!(read_all(client).await, key);
        let summary = running.summary().await;
        assert_eq!((summary.connections, summary.refused), (1, 0));
        assert_eq!(summary.backend_pids, [0x1002]);
    }

    /// Who writes and hangs up before anybody looks has no owner any more, and must not pass for root.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_has_hung_up_already_is_not_served() {
        use std::io::Write as _;

        let mut running = OnPort::new();
        // On this thread, so that the tunnel cannot look before the client has gone.
        let mut client = std::net::TcpStream::connect(running.address).unwrap();
        client.write_all(&hello()).unwrap();
        drop(client);
        let stranger = running.strangers.recv().await.unwrap();
        assert!(matches!(stranger, Stranger::Unknown(_)), "{stranger}");
        assert!(running.databases.try_recv().is_err(), "nothing was dialled");
        let summary = running.summary().await;
        assert_eq!((summary.connections, summary.refused), (0, 1));
    }

    /// Needs root, to become somebody else.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn another_user_is_turned_away_from_a_port() {
        const NOBODY: u32 = 65_534;
        let perl = Path::new("/usr/bin/perl");
        if !rustix::process::geteuid().is_root() || !perl.exists() {
            println!("skipped: needs root and perl to dial in as somebody else");
            return;
        }
        let mut running = OnPort::new();
        let knock = "use IO::Socket::INET; \
            my $s = IO::Socket::INET->new($ARGV[0]) or die $!; \
            my $read = sysread($s, my $buf, 1); print defined $read ? $read : 'reset';";
        let output = tokio::process::Command::new(perl)
            .args(["-e", knock, &running.address.to_string()])
            .uid(NOBODY)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"0", "closed without a word");
        let stranger = running.strangers.recv().await.unwrap();
        assert_eq!(stranger.to_string(), "user 65534");
        assert!(running.databases.try_recv().is_err(), "nothing was dialled");
        assert_eq!(running.summary().await.refused, 1);
    }
}
