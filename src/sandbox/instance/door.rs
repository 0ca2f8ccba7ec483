//! One connection at a door: TLS, the protocol's opening, the log-in, then bytes both ways.

use std::sync::Arc;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::bind::Listeners;
use super::login::{Verdict, judge, judge_password};
use super::mysql_wire;
use super::served::ServedInstance;
use super::startup::{ASK_PASSWORD, Opening, Refusal, Startup, read_opening, read_password};
use super::{mysql, tds};
use crate::clock::Clock;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::sandbox::company::{self, INSTANCES};
use crate::sandbox::faults::{DropPoint, FaultBox};
use crate::sandbox::google::tokens::{Grant, Tokens};
use crate::sandbox::mysql::MySql;
use crate::sandbox::postgres::{Engine, NoSession, Session};

/// For TLS and the log-in together: PostgreSQL's `authentication_timeout`.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait for the client to hang up after us. Hanging up first would cut off what it has not read yet.
const LINGER: Duration = Duration::from_secs(2);
/// After a failed `accept`, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Four TLS records.
const BUFFER: usize = 64 * 1024;

/// All doors. They close when this is dropped; [`close`](Self::close) also waits for the sessions to end.
#[derive(Debug)]
pub(in crate::sandbox) struct Doors {
    door: Arc<Door>,
    port: u16,
    tasks: TaskTracker,
    closing: DropGuard,
}

/// What every connection needs.
#[derive(Debug)]
pub(in crate::sandbox) struct Door {
    instances: Arc<[ServedInstance]>,
    engine: Engine,
    mysql: Arc<MySql>,
    tokens: Tokens,
    faults: FaultBox,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Doors {
    /// Opens a door for each of [`INSTANCES`]. They take clients when it returns.
    pub(in crate::sandbox) fn open(
        listeners: Listeners,
        engine: Engine,
        mysql: Arc<MySql>,
        tokens: Tokens,
        faults: FaultBox,
    ) -> Result<Self> {
        let port = listeners.port().or_fail(
            ErrorKind::CannotCreate,
            || "cannot listen for the instances",
        )?;
        let now = Clock::system().now();
        let shared = matches!(listeners, Listeners::Shared(_));
        let ip = |place: usize| match &listeners {
            Listeners::Own(own) => own[place].0,
            Listeners::Shared(_) => std::net::Ipv4Addr::LOCALHOST,
        };
        let instances = INSTANCES
            .iter()
            .enumerate()
            .map(|(place, instance)| ServedInstance::new(instance, ip(place), shared, now))
            .collect::<Result<Arc<[_]>>>()?;
        let tasks = TaskTracker::new();
        let closing = CancellationToken::new();
        let door = Arc::new(Door {
            instances,
            engine,
            mysql,
            tokens,
            faults,
            tasks: tasks.clone(),
            closing: closing.clone(),
        });
        match listeners {
            Listeners::Own(own) => {
                for (place, (_, listener)) in own.into_iter().enumerate() {
                    tasks.spawn(Arc::clone(&door).serve(listener, Some(place)));
                }
            }
            Listeners::Shared(listener) => {
                tasks.spawn(Arc::clone(&door).serve(listener, None));
            }
        }
        Ok(Self {
            door,
            port,
            tasks,
            closing: closing.drop_guard(),
        })
    }

    /// The instances behind the doors.
    pub(in crate::sandbox) fn instances(&self) -> Arc<[ServedInstance]> {
        Arc::clone(&self.door.instances)
    }

    /// The doors, for those who come another way than through TLS.
    pub(in crate::sandbox) fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }

    /// The port of every door.
    pub(in crate::sandbox) fn port(&self) -> u16 {
        self.port
    }

    /// Closes the doors and ends the sessions.
    pub(in crate::sandbox) async fn close(self) {
        drop(self.closing);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Door {
    /// Takes clients for the instance at `place`, or for the one they ask for.
    async fn serve(self: Arc<Self>, listener: TcpListener, place: Option<usize>) {
        loop {
            let accepted = tokio::select! {
                () = self.closing.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((client, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let door = Arc::clone(&self);
            self.tasks.spawn(async move {
                tokio::select! {
                    () = door.closing.cancelled() => {}
                    ended = door.connection(client, place) => if let Err(error) = ended {
                        tracing::debug!(%error, "a connection at a door failed");
                    }
                }
            });
        }
    }

    async fn connection(&self, client: TcpStream, place: Option<usize>) -> anyhow::Result<()> {
        client.set_nodelay(true)?;
        self.until_the_end(self.welcome(client, place)).await
    }

    /// Serves whoever is `welcome`d within the time that there is for that, until they leave or a fault cuts the session.
    async fn until_the_end<C: AsyncRead + AsyncWrite + Unpin>(
        &self,
        welcome: impl Future<Output = anyhow::Result<Option<(C, Session)>>>,
    ) -> anyhow::Result<()> {
        let cut = self.faults.next_session_generation();
        let served = async {
            if let Some((client, session)) = tokio::time::timeout(LOGIN_TIMEOUT, welcome).await?? {
                relay(client, session).await;
            }
            Ok(())
        };
        tokio::select! {
            () = cut => Ok(()),
            served = served => served,
        }
    }

    /// From the first byte to the start of a session; `None` when the client was served or refused otherwise.
    async fn welcome(
        &self,
        client: TcpStream,
        place: Option<usize>,
    ) -> anyhow::Result<Option<(TlsStream<TcpStream>, Session)>> {
        let faults = self.faults.for_connection();
        if faults.door_drops == Some(DropPoint::Accept) {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(faults.door_delay_milliseconds)).await;
        let start = LazyConfigAcceptor::new(Acceptor::default(), client).await?;
        if faults.door_drops == Some(DropPoint::Hello) {
            return Ok(None);
        }
        let place = place.or_else(|| self.place_of(start.client_hello().server_name()));
        let Some(served) = place.map(|place| &self.instances[place]) else {
            anyhow::bail!("the client asks for no instance by name, or for none of ours");
        };
        let shown = faults.certificate_of.as_ref();
        let shown = shown.and_then(|name| self.instances.iter().find(|one| one.is_called(name)));
        let config = served.tls(shown, &faults, Clock::system().now())?;
        let client = match start.into_stream(config).into_fallible().await {
            Ok(client) => client,
            Err((error, mut client)) => {
                // The alert is on its way; a client of TLS 1.3 sees it when it reads first.
                let _ = client.shutdown().await;
                hang_up_after(client).await;
                return Err(error.into());
            }
        };

        if faults.door_drops == Some(DropPoint::Handshake) {
            return Ok(None);
        }
        let login = serial(&client).and_then(|serial| served.login(&serial));
        self.log_in(served, client, login).await
    }

    /// A session with an instance, for somebody who has been let in as `login` otherwise than by a certificate.
    pub(in crate::sandbox) async fn session(
        &self,
        served: &ServedInstance,
        client: impl AsyncRead + AsyncWrite + Unpin,
        login: Option<Grant>,
    ) -> anyhow::Result<()> {
        self.until_the_end(self.log_in(served, client, login)).await
    }

    /// From the protocol's first byte to the start of a session; `None` when the client was served or refused otherwise.
    async fn log_in<C: AsyncRead + AsyncWrite + Unpin>(
        &self,
        served: &ServedInstance,
        mut client: C,
        login: Option<Grant>,
    ) -> anyhow::Result<Option<(C, Session)>> {
        match served.instance.engine() {
            company::Engine::Postgres => self.log_in_to_postgres(served, client, login).await,
            company::Engine::MySql => self.log_in_to_mysql(served, client, login).await,
            company::Engine::SqlServer => {
                tds::serve(&mut client).await?;
                close(client).await;
                Ok(None)
            }
        }
    }

    /// MySQL's server speaks first, so it is started for whoever comes.
    async fn log_in_to_mysql<C: AsyncRead + AsyncWrite + Unpin>(
        &self,
        served: &ServedInstance,
        mut client: C,
        login: Option<Grant>,
    ) -> anyhow::Result<Option<(C, Session)>> {
        let instance = served.instance;
        let mut server = match self.mysql.connect(instance).await {
            Ok(server) => server,
            Err(error) => {
                let mut said = vec![error.to_string()];
                said.extend(error.causes());
                said.extend(error.next_steps().iter().map(ToString::to_string));
                let refusal = mysql_wire::Refusal::new(1105, "HY000", said.join(": "));
                // The first packet of all.
                mysql::refuse(&mut client, u8::MAX, &refusal).await?;
                close(client).await;
                return Ok(None);
            }
        };
        let now = Clock::system().now();
        let visit = mysql::Visit {
            instance,
            login: login.as_ref(),
            tokens: &self.tokens,
            now,
            password: self.mysql.password(),
        };
        if visit.welcome(&mut client, &mut server).await? {
            return Ok(Some((client, Session::new(server))));
        }
        close(client).await;
        Ok(None)
    }

    async fn log_in_to_postgres<C: AsyncRead + AsyncWrite + Unpin>(
        &self,
        served: &ServedInstance,
        mut client: C,
        login: Option<Grant>,
    ) -> anyhow::Result<Option<(C, Session)>> {
        let startup = loop {
            match read_opening(&mut client).await? {
                None => return Ok(None),
                // There is encryption already.
                Some(Opening::Encryption) => client.write_all(b"N").await?,
                Some(Opening::Cancel(request)) => {
                    self.engine.cancel(served.instance, &request).await;
                    close(client).await;
                    return Ok(None);
                }
                Some(Opening::Startup(startup)) => break startup,
                Some(Opening::Version(major, minor)) => {
                    let message = format!(
                        "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"
                    );
                    refuse(client, &Refusal::new("0A000", message)).await;
                    return Ok(None);
                }
            }
            client.flush().await?;
        };
        match self.admit(served, &mut client, login, startup).await? {
            Ok(Some(session)) => Ok(Some((client, session))),
            Ok(None) => {
                close(client).await;
                Ok(None)
            }
            Err(refusal) => {
                tracing::info!(instance = served.instance.name, %refusal.message, "refused");
                refuse(client, &refusal).await;
                Ok(None)
            }
        }
    }

    /// The instance whose name the client has sent in its hello (SNI), which has no dot at the end.
    fn place_of(&self, name: Option<&str>) -> Option<usize> {
        let name = name?;
        self.instances.iter().position(|served| {
            let announced = served.dns_name.as_deref().unwrap_or_default();
            announced.trim_end_matches('.').eq_ignore_ascii_case(name)
        })
    }

    /// Logs the client in and starts its session; `None` when it leaves instead of saying a password.
    async fn admit(
        &self,
        served: &ServedInstance,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        login: Option<Grant>,
        startup: Startup,
    ) -> anyhow::Result<Result<Option<Session>, Refusal>> {
        let instance = served.instance;
        let Startup {
            message,
            user,
            database,
        } = startup;
        if user.is_empty() {
            let message = "no PostgreSQL user name specified in startup packet";
            return Ok(Err(Refusal::new("28000", message)));
        }
        match judge(instance, login.as_ref(), &user, Clock::system().now()) {
            Verdict::Welcome => {}
            Verdict::Refuse(refusal) => return Ok(Err(refusal)),
            Verdict::AskPassword => {
                client.write_all(&ASK_PASSWORD).await?;
                client.flush().await?;
                let Some(password) = read_password(client).await? else {
                    return Ok(Ok(None));
                };
                if let Err(refusal) = judge_password(instance, &self.tokens, &user, &password) {
                    return Ok(Err(refusal));
                }
            }
        }
        if self.engine.lacks_database(instance, &database) {
            let message = format!("database \"{database}\" does not exist");
            return Ok(Err(Refusal::new("3D000", message)));
        }
        match self.engine.session(instance).await {
            Ok(mut session) => {
                session.stream.write_all(&message).await?;
                session.stream.flush().await?;
                Ok(Ok(Some(session)))
            }
            Err(NoSession::Busy) => Ok(Err(Refusal {
                hint: Some(
                    "the embedded engine serves one session at a time; install PostgreSQL (for example: apt install \
                     postgresql) and restart the sandbox for more",
                ),
                ..Refusal::new("53300", "sorry, too many clients already")
            })),
            Err(NoSession::Failed(error)) => {
                let causes = error.causes().join(": ");
                let message = format!("the sandbox has no database here: {error}: {causes}");
                Ok(Err(Refusal::new("57P03", message)))
            }
        }
    }
}

/// The serial number of the client's certificate.
fn serial(client: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let (_, connection) = client.get_ref();
    let leaf = connection.peer_certificates()?.first()?;
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    Some(leaf.raw_serial().to_vec())
}

/// Passes bytes both ways until the server ends the session.
///
/// The client's end is passed on as such, and the server then ends the session; not the other way round, so that the
/// server is free again before the client reads the end of the stream and comes back.
async fn relay(client: impl AsyncRead + AsyncWrite + Unpin, mut session: Session) {
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut server_reads, mut server_writes) = tokio::io::split(&mut session.stream);
    let to_server = async {
        let _ = copy(&mut client_reads, &mut server_writes).await;
        let _ = server_writes.shutdown().await;
        // Only the server's end is the end.
        std::future::pending::<()>().await;
    };
    let to_client = copy(&mut server_reads, &mut client_writes);
    tokio::select! {
        _ = to_client => {}
        () = to_server => {}
    }
    session.end().await;
    close(client_reads.unsplit(client_writes)).await;
}

/// Copies until the end, passing everything on at once.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
    }
}

async fn refuse(mut client: impl AsyncRead + AsyncWrite + Unpin, refusal: &Refusal) {
    if client.write_all(&refusal.encode()).await.is_ok() {
        close(client).await;
    }
}

/// Says goodbye (`close_notify`), then waits for the client to hang up.
async fn close(mut client: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = client.shutdown().await;
    hang_up_after(client).await;
}

async fn hang_up_after(mut client: impl AsyncRead + Unpin) {
    let mut sink = tokio::io::sink();
    let rest = tokio::io::copy(&mut client, &mut sink);
    let _ = tokio::time::timeout(LINGER, rest).await;
}
