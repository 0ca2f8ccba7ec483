//! Opens streams to an instance.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::{AlertDescription, CertificateError, OtherError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::either::Either;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::credentials::{CredentialSource, Scope};
use super::data_api::{DataApi, SqlDataStream};
use super::domain::{Destination, DomainResolver};
use super::engine::IpType;
use super::info::{Address, ConnectionInfo, ConnectionInfoSource};
use super::mdx::{ClientProtocol, MetadataExchange};
use super::name::InstanceConnectionName;
use super::tcp::{self, Proxy};
use super::tls::TlsStream;
use super::verify::WrongServer;
use super::via::{Place, Via};
use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::refresh::RefreshCache;
use crate::tunnel::Dial;

/// One round trip, and a busy instance.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Info that is younger will not have changed, and asking again for every connection of a pool would use up the quota of
/// 180 calls a minute. As Google's connectors.
const SETTLED: SignedDuration = SignedDuration::from_secs(30);
/// How often to ask where a domain name leads. As Google's connectors.
const FAILOVER_PERIOD: Duration = Duration::from_secs(30);
/// How often to see whether it is time for new info. A certificate is replaced four minutes before it ends.
const LOOK_AHEAD: Duration = Duration::from_secs(30);

/// Opens authenticated streams to one instance.
#[derive(Debug)]
pub struct Dialer<C: CredentialSource> {
    info: Arc<RefreshCache<ConnectionInfoSource<C>>>,
    /// Keeps the info fresh, if somebody wants that.
    ahead: OnceLock<AbortOnDropHandle<()>>,
    look_ahead: Duration,
    ip_type: IpType,
    port: u16,
    via: Via,
    data_api: DataApi,
    clients: OnceLock<ClientProtocol>,
    /// Follows the domain name.
    following: Option<AbortOnDropHandle<()>>,
    /// Cancelled, and replaced, when the domain name leads to another instance.
    moved: Arc<Mutex<CancellationToken>>,
    clock: Clock,
    /// Set by a connection whose certificate the instance refused: in TLS 1.3 that shows only after the handshake.
    refused: Arc<AtomicBool>,
    buffers: Arc<Buffers>,
}

/// Why a connection could not be opened.
enum Failure {
    /// Nobody answers; another place may not be known before a while.
    Network(Error),
    /// Somebody answers, but not as expected: what is known may be outdated.
    Outdated(Error),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Network(error) | Self::Outdated(error) => error,
        }
    }
}

impl<C: CredentialSource> Dialer<C> {
    /// Dials the instance of `source` at its address of type `ip_type`. Nothing is asked before the first dial.
    pub fn new(source: ConnectionInfoSource<C>, ip_type: IpType, port: u16) -> Self {
        let clock = source.clock;
        let data_api = DataApi::new(source.admin.base_url().clone());
        Self {
            info: Arc::new(RefreshCache::new(source, clock)),
            ahead: OnceLock::new(),
            look_ahead: LOOK_AHEAD,
            ip_type,
            port,
            via: Via::Direct,
            data_api,
            clients: OnceLock::new(),
            following: None,
            moved: Arc::default(),
            clock,
            refused: Arc::default(),
            buffers: Arc::default(),
        }
    }

    /// Goes another way. One of [`Via::Address`] outranks the type of address that was given.
    #[must_use]
    pub fn via(mut self, via: Via) -> Self {
        if let Via::Address(ip_type) = via {
            self.ip_type = ip_type;
        }
        self.via = via;
        self
    }

    /// Where the SQL Data service is, if not where the SQL Admin API is.
    #[must_use]
    pub fn data_api_at(mut self, url: Url) -> Self {
        self.data_api = DataApi::new(url);
        self
    }

    /// From now on, tells instances that want to know what the clients of this dialer's connections speak. Once is enough.
    pub fn for_clients(&self, clients: ClientProtocol) {
        self.clients.get_or_init(|| clients);
    }

    /// Asks again and again where the domain name leads, as Google's connectors do. When that changes, as after a failover,
    /// the connections there are end, and those after that go to the new instance. It ends when the dialer is dropped.
    ///
    /// A name that is gone changes nothing: a name server that has a bad moment is not a failover. Must be called within
    /// a runtime.
    #[must_use]
    pub fn follow(self, resolver: DomainResolver) -> Self {
        self.follow_every(resolver, FAILOVER_PERIOD)
    }

    fn follow_every(mut self, resolver: DomainResolver, period: Duration) -> Self {
        let (info, moved) = (Arc::clone(&self.info), Arc::clone(&self.moved));
        self.following = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let source = info.source();
            let Some(domain) = &source.domain else {
                return;
            };
            loop {
                tokio::time::sleep(period).await;
                let leads_to = match resolver.resolve(domain).await {
                    Ok(Some(Destination::Instance(name))) => name,
                    // Google's own names follow the instance by themselves.
                    Ok(Some(Destination::DnsName(_)) | None) => continue,
                    Err(error) => {
                        tracing::debug!(%error, "will be asked again");
                        continue;
                    }
                };
                if source.instance().connection_name().as_ref() == Some(&leads_to) {
                    continue;
                }
                tracing::warn!(%domain, instance = %leads_to, "leads to another instance now");
                source.move_to(leads_to.into());
                info.invalidate().await;
                let mut moved = moved.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *moved).cancel();
            }
        })));
        self
    }

    /// What is known about the instance, asked for if need be.
    pub async fn connection_info(&self) -> Result<Arc<ConnectionInfo>> {
        if self.refused.swap(false, Ordering::SeqCst) {
            self.info.invalidate().await;
        }
        let info = self.info.get().await?;
        let now = self.clock.now();
        if now >= info.expires_at {
            return Err(ErrorKind::Unavailable
                .error(format!(
                    "the certificate that Google just made for `{}` is over",
                    info.instance
                ))
                .because(anyhow::anyhow!(
                    "it ended at {}, and here it is {now}",
                    info.expires_at
                ))
                .hint("set this machine's clock"));
        }
        Ok(info)
    }

    /// What is known about the instance without asking: a way that takes no certificate needs nothing.
    pub async fn known_info(&self) -> Option<Arc<ConnectionInfo>> {
        self.info.known().await
    }

    /// The instance's whole name; asked for if the region is not known.
    pub async fn locate(&self) -> Result<InstanceConnectionName> {
        let source = self.info.source();
        if let Some(name) = source.instance().connection_name() {
            return Ok(name);
        }
        if let Some(info) = self.info.known().await {
            return Ok(info.instance.clone());
        }
        let token = source.credentials.access_token(Scope::Admin).await?;
        source.admin.locate(&token, &source.instance()).await
    }

    /// Whether a connection that nobody uses costs nobody anything: sessions of the SQL Data service are counted.
    pub fn is_free(&self) -> bool {
        self.via != Via::DataApi
    }

    /// Whether the instance has refused a certificate since the last dial. The next dial gets a new one, so that it is
    /// worth trying once more.
    pub fn was_refused(&self) -> bool {
        self.refused.load(Ordering::SeqCst)
    }

    /// Gets a new certificate before the old one ends, for a tunnel that is open for hours: then no connection waits for
    /// Google. Stops when the dialer is dropped. Once is enough.
    ///
    /// Must be called within a runtime.
    pub fn refresh_ahead(&self) {
        self.ahead.get_or_init(|| {
            let (info, every) = (Arc::clone(&self.info), self.look_ahead);
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    // By the wall clock, so that what was slept through is made up for within this time.
                    tokio::time::sleep(every).await;
                    // `get` fetches when it is time to; before the first dial there is nothing to keep fresh.
                    if info.known().await.is_some()
                        && let Err(error) = info.get().await
                    {
                        tracing::debug!(%error, "will be tried again");
                    }
                }
            }))
        });
    }

    fn until_it_moves(&self) -> Option<Pin<Box<WaitForCancellationFutureOwned>>> {
        self.following.as_ref().map(|_| {
            let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            Box::pin(moved.clone().cancelled_owned())
        })
    }

    /// A session with the SQL Data service, which takes neither a certificate nor an address.
    async fn open_session(&self) -> Result<Connection> {
        let moved = self.until_it_moves();
        let source = self.info.source();
        let instance = self.locate().await?;
        let token = source.credentials.access_token(Scope::Admin).await?;
        let session = self.data_api.open(&source.admin, &token, &instance).await?;
        Ok(Connection {
            inner: Either::Right(session),
            heard: false,
            moved,
            refused: Arc::clone(&self.refused),
            login_ends: None,
        })
    }

    async fn connect(&self, info: &ConnectionInfo) -> Result<Connection, Failure> {
        // From before the first packet, so that no change in between is missed.
        let moved = self.until_it_moves();
        let (tcp, place) = self.open_tcp(info).await?;
        let config = Arc::clone(&info.tls);
        let handshake = TlsStream::connect(config, info.server_name(), tcp, &self.buffers);
        match timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(tls)) => Ok(Connection {
                inner: Either::Left(MetadataExchange::new(
                    tls,
                    self.clients
                        .get()
                        .copied()
                        .filter(|_| info.asks_for_client_protocol),
                )),
                heard: false,
                moved,
                refused: Arc::clone(&self.refused),
                login_ends: Some(info.expires_at),
            }),
            Ok(Err(error)) => Err(handshake_failure(info, &place, error)),
            Err(_) => Err(Failure::Network(
                ErrorKind::Unavailable
                    .error(format!("cannot reach `{}`", info.instance))
                    .because(anyhow::anyhow!(
                        "TLS with {place} was not answered within {} s",
                        HANDSHAKE_TIMEOUT.as_secs()
                    ))
                    .hint("run it again; if it stays, something on the way swallows what is sent to this port"),
            )),
        }
    }
}

impl<C: CredentialSource> Dialer<C> {
    /// TCP by the way that was chosen, and where it leads, for messages.
    async fn open_tcp(&self, info: &ConnectionInfo) -> Result<(TcpStream, String), Failure> {
        let proxy = match &self.via {
            Via::Forwarded(place) => {
                let tcp = tcp::direct(place).await.map_err(|problem| {
                    unreachable(info, problem).hint(format!(
                        "check what forwards {place} to the instance's port {}",
                        self.port
                    ))
                });
                return tcp
                    .map(|tcp| (tcp, place.to_string()))
                    .map_err(Failure::Network);
            }
            Via::Direct | Via::Address(_) | Via::DataApi => None,
            Via::Socks5(place) => Some(Proxy::Socks5(place)),
            Via::Http(place) => Some(Proxy::Http(place)),
        };
        // The company's own name leads wherever its DNS says, if it has an address at all.
        if let (Via::Direct, Some(domain)) = (&self.via, &self.info.source().domain) {
            let place = Place::new(domain.as_str(), self.port);
            if tcp::is_known(&place).await {
                let tcp = tcp::direct(&place).await;
                return tcp.map(|tcp| (tcp, place.to_string())).map_err(|problem| {
                    let error = unreachable(info, problem);
                    Failure::Network(error.hint(format!(
                        "check where {domain} leads, and that the network lets TCP port {} out",
                        self.port
                    )))
                });
            }
        }
        let addresses = info.addresses(self.ip_type).map_err(Failure::Outdated)?;
        let mut failed = None;
        for address in addresses {
            let place = Place::new(address.host, self.port);
            let opened = match proxy {
                None => tcp::direct(&place).await.map_err(tcp::Failure::Unreachable),
                Some(proxy) => tcp::through(proxy, &place).await,
            };
            match opened {
                Ok(tcp) => {
                    let by = proxy.map(|proxy| format!(", by way of {}", proxy.name()));
                    return Ok((tcp, format!("{place}{}", by.unwrap_or_default())));
                }
                Err(failure) => {
                    let error = self.no_tcp(info, address, proxy, failure);
                    failed.get_or_insert(error);
                }
            }
        }
        Err(Failure::Network(
            failed.expect("there is an address at least"),
        ))
    }

    fn no_tcp(
        &self,
        info: &ConnectionInfo,
        address: Address<'_>,
        proxy: Option<Proxy<'_>>,
        failure: tcp::Failure,
    ) -> Error {
        let (host, port) = (address.host, self.port);
        let proxy = proxy.map(Proxy::name).unwrap_or_default();
        match failure {
            tcp::Failure::NoProxy(problem) => unreachable(info, problem)
                .hint(format!("check `--via` and `google.via`: it is {proxy} that does not answer")),
            tcp::Failure::ByProxy(problem) => unreachable(info, format!("{proxy}: {problem}"))
                .hint("ask whoever runs the proxy whether it may connect there"),
            tcp::Failure::Unreachable(problem) => match address.kind {
                IpType::Private | IpType::Psc => unreachable(info, problem)
                    .hint(if address.kind == IpType::Private {
                        format!("{host} is a private address: connect to the VPN or from a machine inside the VPC")
                    } else {
                        format!("{host} is an endpoint of Private Service Connect: connect to the network that has it")
                    })
                    .hint("or go another way: --via socks5://HOST:PORT, or --via HOST:PORT where a port 3307 is forwarded; see docs/networking.md"),
                IpType::Public | IpType::Auto => unreachable(info, problem).hint(format!(
                    "check that the network lets TCP port {port} out: company firewalls often do not"
                )),
            },
        }
    }
}

fn unreachable(info: &ConnectionInfo, problem: String) -> Error {
    ErrorKind::Unavailable
        .error(format!("cannot reach `{}`", info.instance))
        .because(anyhow::anyhow!(problem))
}

impl<C: CredentialSource> Dial for Dialer<C> {
    type Conn = Connection;

    fn is_still_good(&self, connection: &Connection) -> bool {
        connection
            .login_ends
            .is_none_or(|ends| self.clock.now() < ends)
    }

    /// Opens a stream in which the database's protocol is spoken, without TLS of its own.
    ///
    /// Fails with [`ErrorKind::Unavailable`] when the instance cannot be reached, with [`ErrorKind::Refused`] when what
    /// answers is not the instance or refuses bsql, and as the SQL Admin API and the token service do.
    async fn dial(&self) -> Result<Connection> {
        if self.via == Via::DataApi {
            return Box::pin(self.open_session()).await;
        }
        let info = Box::pin(self.connection_info()).await?;
        let failure = match Box::pin(self.connect(&info)).await {
            Ok(connection) => return Ok(connection),
            Err(failure) => failure,
        };
        // Who forwards may be wrong, and then no new info helps.
        let forwarded = matches!(self.via, Via::Forwarded(_));
        // What an earlier run was told, or what was told a while ago, may have changed since.
        // Info of the future is from before somebody set the clock.
        let age = self.clock.now().duration_since(info.fetched_at);
        let settled = info.recalled || !(SignedDuration::ZERO..SETTLED).contains(&age);
        match failure {
            Failure::Network(error) if forwarded => Err(error),
            Failure::Network(error) => {
                // An instance may have moved, but that nobody answers is more often the network's fault.
                if settled {
                    self.info.invalidate().await;
                }
                if !info.recalled {
                    return Err(error);
                }
                // This run has not asked yet whether it moved.
                match Box::pin(self.connection_info()).await {
                    Ok(new) if !new.is_where(&info) => Box::pin(self.connect(&new))
                        .await
                        .map_err(Failure::into_error),
                    _ => Err(error),
                }
            }
            Failure::Outdated(error) => {
                self.info.invalidate().await;
                if !settled {
                    return Err(error);
                }
                tracing::info!(%error, "asked anew about the instance");
                let info = Box::pin(self.connection_info()).await?;
                Box::pin(self.connect(&info))
                    .await
                    .map_err(Failure::into_error)
            }
        }
    }
}

fn handshake_failure(info: &ConnectionInfo, place: &str, error: io::Error) -> Failure {
    let instance = &info.instance;
    let Some(tls) = tls_error(&error) else {
        return Failure::Network(
            ErrorKind::Unavailable
                .error(format!("cannot reach `{instance}`"))
                .because(
                    anyhow::Error::new(error).context(format!("TLS with {place} was broken off")),
                )
                .hint("run it again; if it stays, something on the way cuts TLS to this port"),
        );
    };
    let error = match tls {
        rustls::Error::InvalidCertificate(found) => ErrorKind::Refused
            .error(format!("what answers at {place} is not `{instance}`"))
            .because(anyhow::anyhow!(certificate_problem(found)))
            .hint("do not go on: ask your network's administrators what is at this address"),
        rustls::Error::AlertReceived(alert) => ErrorKind::Refused
            .error(format!("`{instance}` refuses the connection"))
            .because(anyhow::anyhow!(alert_meaning(*alert)))
            .hint("run it again: bsql gets a new certificate"),
        other => ErrorKind::Refused
            .error(format!("cannot agree on TLS with what answers at {place}"))
            .because(anyhow::anyhow!("{other}"))
            .hint("something between here and Google may be answering in the instance's place"),
    };
    Failure::Outdated(error)
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn certificate_problem(error: &CertificateError) -> String {
    match error {
        CertificateError::Other(OtherError(other)) if other.is::<WrongServer>() => {
            other.to_string()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not signed by the instance's CA".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, or this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or this machine's clock is wrong".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for servers".to_owned()
        }
        other => format!("its certificate is wrong: {other}"),
    }
}

fn alert_meaning(alert: AlertDescription) -> String {
    format!("it sent the TLS alert `{alert:?}`")
}

/// A stream to the instance.
#[derive(Debug)]
pub struct Connection {
    inner: Either<MetadataExchange<TlsStream<TcpStream>>, SqlDataStream>,
    /// Whether the instance has sent anything yet.
    heard: bool,
    /// Ends when the domain name that was dialled leads elsewhere.
    moved: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    refused: Arc<AtomicBool>,
    /// When its certificate ends, or the login in it. A session that has begun outlives that.
    login_ends: Option<Timestamp>,
}

impl Connection {
    /// Says what a TLS alert means where the first answer should be, and has the next dial get a new certificate.
    fn judge(&self, error: io::Error) -> io::Error {
        let Some(rustls::Error::AlertReceived(alert)) = tls_error(&error) else {
            return error;
        };
        self.refused.store(true, Ordering::SeqCst);
        if self.heard {
            return error;
        }
        let meaning = alert_meaning(*alert);
        io::Error::new(
            error.kind(),
            format!("the instance refuses bsql's certificate: {meaning}"),
        )
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(moved) = &mut self.moved
            && moved.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the domain name leads to another instance now",
            )));
        }
        match ready!(Pin::new(&mut self.inner).poll_read(cx, buf)) {
            Ok(()) => {
                self.heard = true;
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(self.judge(error))),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf));
        Poll::Ready(written.map_err(|error| self.judge(error)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::kept::Kept;
    use super::super::kept::tests::Shelf;
    use super::super::key::ClientKey;
    use super::super::name::InstanceLocator;
    use super::super::stand_in::{Authority, FixedTokens, INSTANCE, StandIn, leaf};
    use super::*;

    fn dialer(stand_in: &StandIn) -> Dialer<FixedTokens> {
        Dialer::new(
            stand_in.source(Clock::system()),
            IpType::Public,
            stand_in.port,
        )
    }

    async fn echo(connection: &mut Connection, text: &[u8]) -> io::Result<Vec<u8>> {
        connection.write_all(text).await?;
        connection.flush().await?;
        let mut back = vec![0; text.len()];
        connection.read_exact(&mut back).await?;
        Ok(back)
    }

    /// Makes what is cached look as if it had been fetched a minute ago.
    async fn settle(dialer: &mut Dialer<FixedTokens>) {
        dialer.connection_info().await.unwrap();
        dialer.clock = Clock::ahead_by(SignedDuration::from_mins(1));
    }

    #[tokio::test]
    async fn bytes_go_there_and_back_and_info_is_shared() {
        let stand_in = StandIn::start().await;
        let dialer = dialer(&stand_in);
        let (one, two) = tokio::join!(dialer.dial(), dialer.dial());
        let large: Vec<u8> = (0..200_000_u32).map(|nth| nth.to_le_bytes()[0]).collect();
        let mut one = one.unwrap();
        let (mut read, mut write) = tokio::io::split(&mut one);
        let mut back = Vec::new();
        let (sent, got) = tokio::join!(
            async {
                write.write_all(&large).await?;
                write.shutdown().await
            },
            read.read_to_end(&mut back)
        );
        sent.unwrap();
        assert_eq!(
            got.unwrap(),
            large.len(),
            "to the end, with half of the stream closed"
        );
        assert_eq!(back, large);
        assert_eq!(echo(&mut two.unwrap(), b"ping").await.unwrap(), b"ping");
        assert_eq!(stand_in.certificates().len(), 1);
    }

    #[tokio::test]
    async fn a_dns_name_is_sent_and_checked() {
        let stand_in = StandIn::start().await;
        stand_in.change(|behaviour| {
            behaviour.settings = json!({ "dnsNames": [{ "name": "1a2b.europe-west1.sql.goog." }] });
            behaviour.certificate = leaf("", &["1a2b.europe-west1.sql.goog."]);
        });
        let dialer = dialer(&stand_in);
        let mut connection = dialer.dial().await.unwrap();
        assert_eq!(echo(&mut connection, b"ping").await.unwrap(), b"ping");
        let info = dialer.connection_info().await.unwrap();
        assert!(info.tls.enable_sni);
        assert_eq!(info.server_name().to_str(), "1a2b.europe-west1.sql.goog");
    }

    #[tokio::test]
    async fn an_instance_that_wants_to_know_is_told_what_the_clients_speak() {
        let stand_in = StandIn::start().await;
        stand_in.change(|behaviour| {
            behaviour.settings = json!({ "mdxProtocolSupport": ["CLIENT_PROTOCOL_TYPE", "MORE"] });
            behaviour.told = Some(b"CSQLMDEX\0\0\0\x02\x10\x03");
        });
        let shelf: Arc<Shelf> = Arc::default();
        for _ in 0..2 {
            let mut source = stand_in.source(Clock::system());
            let kept = Kept::new(Arc::<Shelf>::clone(&shelf));
            source.key = ClientKey::kept_or_new(kept.clone(), source.clock);
            source.kept = Some(kept);
            let dialer = Dialer::new(source, IpType::Public, stand_in.port);
            dialer.for_clients(ClientProtocol::Uds);
            let mut connection = dialer.dial().await.unwrap();
            assert_eq!(echo(&mut connection, b"ping").await.unwrap(), b"ping");
        }
        assert_eq!(
            stand_in.certificates().len(),
            1,
            "what is kept knows it too"
        );

        stand_in.change(|behaviour| {
            behaviour.settings = json!({});
            behaviour.told = None;
        });
        let dialer = dialer(&stand_in);
        dialer.for_clients(ClientProtocol::Uds);
        let mut connection = dialer.dial().await.unwrap();
        assert_eq!(
            echo(&mut connection, b"CSQLMDEX").await.unwrap(),
            b"CSQLMDEX"
        );
    }

    #[tokio::test]
    async fn another_server_is_refused_and_named() {
        let stand_in = StandIn::start().await;
        stand_in.change(|behaviour| behaviour.certificate = leaf("acme:orders", &[]));
        let dialer = dialer(&stand_in);
        let error = dialer.dial().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(
            error.to_string(),
            format!(
                "what answers at 127.0.0.1:{} is not `acme:europe-west1:payments`",
                stand_in.port
            )
        );
        assert_eq!(
            error.causes(),
            ["the certificate is for `acme:orders`, not for `acme:payments`"]
        );

        stand_in.change(|behaviour| {
            behaviour.certificate = leaf("acme:payments", &[]);
            behaviour.server_ca = Authority::new("Somebody's CA");
        });
        let error = dialer.dial().await.unwrap_err();
        assert_eq!(
            error.causes(),
            ["its certificate is not signed by the instance's CA"]
        );
        assert_eq!(
            stand_in.certificates().len(),
            2,
            "one each: what is fresh is not asked for again"
        );
    }

    #[tokio::test]
    async fn a_new_ca_is_learnt_without_anybody_noticing() {
        let stand_in = StandIn::start().await;
        let mut dialer = dialer(&stand_in);
        settle(&mut dialer).await;
        stand_in.change(|behaviour| {
            behaviour.server_ca = Authority::new("Google Cloud SQL Server CA");
            behaviour.trusted_ca = behaviour.server_ca.pem.clone();
        });
        let mut connection = dialer.dial().await.unwrap();
        assert_eq!(echo(&mut connection, b"ping").await.unwrap(), b"ping");
        assert_eq!(stand_in.certificates().len(), 2);
    }

    #[tokio::test]
    async fn a_certificate_refused_after_the_handshake_is_replaced() {
        let stand_in = StandIn::start().await;
        let welcome = stand_in.behaviour.lock().unwrap().welcome_ca.clone();
        stand_in.change(|behaviour| behaviour.welcome_ca = Authority::new("Another CA").der);
        let dialer = dialer(&stand_in);
        let mut connection = dialer.dial().await.unwrap();
        let mut first = [0; 1];
        let error = connection.read(&mut first).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the instance refuses bsql's certificate: it sent the TLS alert"),
            "{error}"
        );

        stand_in.change(|behaviour| behaviour.welcome_ca = welcome);
        let mut connection = dialer.dial().await.unwrap();
        assert_eq!(echo(&mut connection, b"ping").await.unwrap(), b"ping");
        assert_eq!(stand_in.certificates().len(), 2);
    }

    /// As in another run, whose clock is ahead.
    fn later(stand_in: &StandIn, shelf: &Arc<Shelf>, seconds: i64) -> Dialer<FixedTokens> {
        let clock = Clock::ahead_by(SignedDuration::from_secs(seconds));
        let kept = Kept::new(Arc::<Shelf>::clone(shelf));
        let mut source = stand_in.source(clock);
        source.key = ClientKey::kept_or_new(kept.clone(), clock);
        source.kept = Some(kept);
        Dialer::new(source, IpType::Public, stand_in.port)
    }

    async fn works(dialer: &Dialer<FixedTokens>) {
        let mut connection = dialer.dial().await.unwrap();
        assert_eq!(echo(&mut connection, b"ping").await.unwrap(), b"ping");
    }

    #[tokio::test]
    async fn the_next_run_asks_nothing() {
        let stand_in = StandIn::start().await;
        let shelf = Arc::new(Shelf::default());
        let kept = Kept::new(Arc::<Shelf>::clone(&shelf));
        assert!(!kept.is_warm(Clock::system().now()).await);
        works(&later(&stand_in, &shelf, 0)).await;
        let asked = stand_in.google.requests().len();
        assert_eq!(asked, 2);
        assert!(kept.is_warm(Clock::system().now()).await);

        let mut next = later(&stand_in, &shelf, 10);
        works(&next).await;
        // Without a region, the kept one is found too.
        let locator = InstanceLocator::without_region("acme", "payments").unwrap();
        let mut source = stand_in.source(Clock::system());
        source.instance = locator;
        source.kept = Some(kept.clone());
        source.key = ClientKey::kept_or_new(kept, Clock::system());
        next = Dialer::new(source, IpType::Public, stand_in.port);
        assert_eq!(next.locate().await.unwrap().to_string(), INSTANCE);
        assert_eq!(stand_in.google.requests().len(), asked);

        // In its last four minutes it is replaced, but good enough when Google cannot be asked; in the last, it is not.
        stand_in.change(|behaviour| behaviour.status = 403);
        works(&later(&stand_in, &shelf, 3_400)).await;
        assert!(stand_in.google.requests().len() > asked);
        let error = later(&stand_in, &shelf, 3_550).dial().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
    }

    #[tokio::test]
    async fn what_is_kept_is_for_the_same_person_key_and_instance() {
        let stand_in = StandIn::start().await;
        let shelf = Arc::new(Shelf::default());
        works(&later(&stand_in, &shelf, 0)).await;
        let expect = async |dialer: Dialer<FixedTokens>, certificates: usize, why: &str| {
            works(&dialer).await;
            assert_eq!(stand_in.certificates().len(), certificates, "{why}");
        };
        let with = |change: &dyn Fn(&mut ConnectionInfoSource<FixedTokens>)| {
            let kept = Kept::new(Arc::<Shelf>::clone(&shelf));
            let mut source = stand_in.source(Clock::system());
            source.key = ClientKey::kept_or_new(kept.clone(), Clock::system());
            source.kept = Some(kept);
            change(&mut source);
            Dialer::new(source, IpType::Public, stand_in.port)
        };
        expect(with(&|_| {}), 1, "the same").await;
        let bruno = with(&|source| {
            source.credentials = Arc::new(FixedTokens {
                email: "bruno@acme.example",
                ..FixedTokens::default()
            });
        });
        expect(bruno, 2, "another person").await;
        expect(with(&|_| {}), 3, "the other one's is not used either").await;
        let other_key = with(&|source| source.key = ClientKey::generate_in_background());
        expect(other_key, 4, "another key").await;
        expect(with(&|_| {}), 5, "whose certificate was kept").await;
        let no_login = with(&|source| source.iam_login = false);
        expect(no_login, 6, "without a login").await;
        expect(with(&|_| {}), 6, "which has a place of its own").await;
        expect(later(&stand_in, &shelf, -60), 7, "the clock was set back").await;
        for text in shelf.texts.lock().unwrap().values_mut() {
            if text.expose().contains("settings") {
                *text = text
                    .expose()
                    .replace("certificate\":\"M", "certificate\":\"N")
                    .into();
            }
        }
        expect(with(&|_| {}), 8, "what is damaged is no certificate").await;
        let elsewhere = with(&|source| {
            source.instance = "acme:us-central1:payments"
                .parse::<InstanceConnectionName>()
                .unwrap()
                .into();
        });
        let error = elsewhere.dial().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Catalog, "its region is checked");
    }

    #[tokio::test]
    async fn what_is_kept_and_does_not_work_any_more_is_replaced_at_once() {
        let stand_in = StandIn::start().await;
        let shelf = Arc::new(Shelf::default());
        works(&later(&stand_in, &shelf, 0)).await;
        stand_in.change(|behaviour| {
            behaviour.server_ca = Authority::new("Google Cloud SQL Server CA");
            behaviour.trusted_ca = behaviour.server_ca.pem.clone();
        });
        works(&later(&stand_in, &shelf, 0)).await;
        assert_eq!(stand_in.certificates().len(), 2, "its CA was replaced");

        // It has moved. Nobody listens where it was.
        for text in shelf.texts.lock().unwrap().values_mut() {
            *text = text.expose().replace("127.0.0.1", "127.0.0.9").into();
        }
        works(&later(&stand_in, &shelf, 0)).await;
        assert_eq!(stand_in.certificates().len(), 3, "its address changed");

        // It refuses the certificate, which shows at the first read only.
        stand_in.change(|behaviour| {
            behaviour.client_ca = Authority::new("Google Cloud SQL Signing CA");
            behaviour.welcome_ca = behaviour.client_ca.der.clone();
        });
        let next = later(&stand_in, &shelf, 0);
        let mut connection = next.dial().await.unwrap();
        assert!(!next.was_refused());
        echo(&mut connection, b"ping").await.unwrap_err();
        assert!(next.was_refused());
        works(&next).await;
        assert!(!next.was_refused());
        works(&later(&stand_in, &shelf, 0)).await;
        assert_eq!(stand_in.certificates().len(), 4);
    }

    #[tokio::test]
    async fn a_tunnel_that_stays_open_has_its_certificate_replaced_ahead_of_time() {
        let stand_in = StandIn::start().await;
        let (clock, hands) = Clock::adjustable();
        let mut dialer = Dialer::new(stand_in.source(clock), IpType::Public, stand_in.port);
        dialer.look_ahead = Duration::from_millis(5);
        dialer.refresh_ahead();
        works(&dialer).await;
        assert_eq!(stand_in.certificates().len(), 1);
        hands.move_by(SignedDuration::from_mins(57));
        let patience = Duration::from_secs(20);
        let replaced = timeout(patience, async {
            while stand_in.certificates().len() < 2 {
                tokio::task::yield_now().await;
            }
        });
        replaced
            .await
            .expect("nobody dials, and still there is a new one");
        let info = Arc::downgrade(&dialer.info);
        drop(dialer);
        let ended = timeout(patience, async {
            while info.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        });
        ended
            .await
            .expect("nothing goes on when the dialer is gone");
    }

    #[tokio::test]
    async fn a_domain_name_is_followed() {
        let stand_in = StandIn::start().await;
        let leads_to = Arc::new(Mutex::new(INSTANCE.to_owned()));
        let told = Arc::clone(&leads_to);
        let texts = move || vec![told.lock().unwrap().clone()];
        let dns = super::super::dns::tests::server(texts, false).await;
        let mut source = stand_in.source(Clock::system());
        source.domain = Some("db.invalid".parse().unwrap());
        let dialer = Dialer::new(source, IpType::Public, stand_in.port)
            .follow_every(DomainResolver::new(Some(dns)), Duration::from_millis(20));
        let mut connection = dialer.dial().await.unwrap();
        assert_eq!(echo(&mut connection, b"ping").await.unwrap(), b"ping");
        let info = dialer.connection_info().await.unwrap();
        assert_eq!(info.server_name().to_str(), "db.invalid");

        stand_in.change(|behaviour| behaviour.certificate = leaf("", &["db.invalid"]));
        *leads_to.lock().unwrap() = "acme:europe-west1:replica".to_owned();
        let mut byte = [0; 1];
        let ended = timeout(Duration::from_secs(20), connection.read(&mut byte));
        let error = ended.await.expect("it ends by itself").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        let mut connection = dialer.dial().await.unwrap();
        assert_eq!(echo(&mut connection, b"ping").await.unwrap(), b"ping");
        let asked = stand_in.certificates();
        assert!(
            asked[1].path().contains("/instances/replica"),
            "{}",
            asked[1].path()
        );
    }

    #[tokio::test]
    async fn a_connection_is_good_for_a_login_as_long_as_its_certificate() {
        let stand_in = StandIn::start().await;
        let (clock, hands) = Clock::adjustable();
        let dialer = Dialer::new(stand_in.source(clock), IpType::Public, stand_in.port);
        let unused = dialer.dial().await.unwrap();
        hands.move_by(SignedDuration::from_mins(59));
        assert!(dialer.is_still_good(&unused));
        hands.move_by(SignedDuration::from_mins(2));
        assert!(!dialer.is_still_good(&unused));
    }

    #[tokio::test]
    async fn a_laptop_that_slept_dials_with_a_new_certificate() {
        let stand_in = StandIn::start().await;
        let (clock, hands) = Clock::adjustable();
        let dialer = Dialer::new(stand_in.source(clock), IpType::Public, stand_in.port);
        works(&dialer).await;
        hands.move_by(SignedDuration::from_hours(9));
        stand_in.change(|behaviour| behaviour.certificate_life = SignedDuration::from_hours(10));
        works(&dialer).await;
        assert_eq!(stand_in.certificates().len(), 2);
    }

    /// What is known was then learnt in the future, which says nothing of how old it is.
    #[tokio::test]
    async fn a_clock_that_is_set_back_hides_no_change_of_the_instance() {
        let stand_in = StandIn::start().await;
        let (clock, hands) = Clock::adjustable();
        let dialer = Dialer::new(stand_in.source(clock), IpType::Public, stand_in.port);
        works(&dialer).await;
        hands.move_by(SignedDuration::from_mins(-10));
        works(&dialer).await;
        assert_eq!(stand_in.certificates().len(), 1, "nothing has changed yet");
        stand_in.change(|behaviour| {
            behaviour.server_ca = Authority::new("Google Cloud SQL Server CA");
            behaviour.trusted_ca = behaviour.server_ca.pem.clone();
        });
        works(&dialer).await;
        assert_eq!(stand_in.certificates().len(), 2);
    }

    #[tokio::test]
    async fn a_pool_that_reconnects_does_not_hammer_an_api_that_refuses() {
        let stand_in = StandIn::start().await;
        stand_in.change(|behaviour| behaviour.status = 429);
        let (clock, hands) = Clock::adjustable();
        let dialer = Dialer::new(stand_in.source(clock), IpType::Public, stand_in.port);
        let mut asked = Vec::new();
        for _ in 0..20 {
            let error = dialer.dial().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TryLater);
            asked.push(stand_in.google.requests().len());
        }
        assert_eq!(asked[1], asked[19], "two, and then no more");
        stand_in.change(|behaviour| behaviour.status = 200);
        dialer.dial().await.unwrap_err();
        hands.move_by(crate::refresh::PAUSE);
        works(&dialer).await;
    }

    #[tokio::test]
    async fn nobody_there() {
        let stand_in = StandIn::start().await;
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut dialer = Dialer::new(stand_in.source(Clock::system()), IpType::Public, free);
        let error = dialer.dial().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(
            error.to_string(),
            "cannot reach `acme:europe-west1:payments`"
        );
        assert_eq!(
            error.causes(),
            [format!("TCP to 127.0.0.1:{free} was refused")]
        );
        assert_eq!(
            error.next_steps(),
            [format!(
                "check that the network lets TCP port {free} out: company firewalls often do not"
            )]
        );
        dialer.dial().await.unwrap_err();
        assert_eq!(
            stand_in.certificates().len(),
            1,
            "the network's fault is not Google's"
        );
        settle(&mut dialer).await;
        dialer.dial().await.unwrap_err();
        dialer.dial().await.unwrap_err();
        assert_eq!(
            stand_in.certificates().len(),
            2,
            "but an instance may have moved"
        );
    }

    #[tokio::test]
    async fn a_private_address_says_so() {
        let stand_in = StandIn::start().await;
        let private = json!({ "ipAddresses": [{ "type": "PRIVATE", "ipAddress": "127.0.0.1" }] });
        stand_in.change(|behaviour| behaviour.settings = private);
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let source = stand_in.source(Clock::system());
        let error = Dialer::new(source, IpType::Private, free)
            .dial()
            .await
            .unwrap_err();
        assert_eq!(
            error.next_steps(),
            [
                "127.0.0.1 is a private address: connect to the VPN or from a machine inside the VPC",
                "or go another way: --via socks5://HOST:PORT, or --via HOST:PORT where a port 3307 is forwarded; see docs/networking.md"
            ]
        );
        let error = dialer(&stand_in).dial().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }

    #[tokio::test]
    async fn an_address_that_came_later_is_noticed() {
        let stand_in = StandIn::start().await;
        stand_in.change(|behaviour| behaviour.settings = json!({ "ipAddresses": [] }));
        let dialer = dialer(&stand_in);
        dialer.dial().await.unwrap_err();
        stand_in.change(|behaviour| behaviour.settings = json!({}));
        dialer.dial().await.unwrap();
    }

    #[tokio::test]
    async fn what_breaks_off_is_unreachable_and_what_talks_nonsense_is_refused() {
        for (answer, kind, cause) in [
            (&b""[..], ErrorKind::Unavailable, "was broken off"),
            (
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                ErrorKind::Refused,
                "corrupt message",
            ),
        ] {
            let stand_in = StandIn::start().await;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let dialer = Dialer::new(stand_in.source(Clock::system()), IpType::Public, port);
            let server = async {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut hello = [0; 5];
                socket.read_exact(&mut hello).await.unwrap();
                socket.write_all(answer).await.unwrap();
                socket.shutdown().await.unwrap();
                // Reads the rest: closing with bytes unread would reset the connection and lose the answer.
                let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
            };
            let (error, ()) = tokio::join!(dialer.dial(), server);
            let error = error.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.causes()[0].contains(cause), "{:?}", error.causes());
        }
    }

    #[tokio::test]
    async fn a_wrong_clock_is_told() {
        let stand_in = StandIn::start().await;
        let clock = Clock::ahead_by(SignedDuration::from_hours(2));
        let dialer = Dialer::new(stand_in.source(clock), IpType::Public, stand_in.port);
        let error = dialer.dial().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the certificate that Google just made for `acme:europe-west1:payments` is over"
        );
        assert_eq!(error.next_steps(), ["set this machine's clock"]);
    }
}
