//! The SQL Data service: sessions with an instance's database over gRPC, for instances of the Developer edition.
//!
//! Written from Google's published definitions of `google.cloud.sql.v1beta4.SqlDataService` and from
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, without the client's code. Google has it on port 443;
//! here one port of loopback speaks TLS and, for those who trust nobody's certificate here, plain HTTP/2.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use rustls::ServerConfig;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::Api;
use super::principals::may_connect;
use super::tokens::{CLOUD_PLATFORM, Grant, SQL_ADMIN};
use crate::clock::Clock;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::sandbox::company::Instance;
use crate::sandbox::instance::{Door, ServedInstance};
use crate::sandbox::pki::Authority;
use crate::sandbox::protobuf::{bytes_in, field, number_in, varint_field};

const METHOD: &str = "/google.cloud.sql.v1beta4.SqlDataService/StreamSqlData";
/// The first byte of TLS: a handshake record.
const TLS_HANDSHAKE: u8 = 22;
const BUFFER: usize = 32 * 1024;
/// The limit of the connectors, which put all that a driver writes at once into one message.
const LONGEST: usize = 100 * 1024 * 1024;

/// `google.rpc.Code`.
const INVALID_ARGUMENT: u64 = 3;
const PERMISSION_DENIED: u64 = 7;
const FAILED_PRECONDITION: u64 = 9;
const UNIMPLEMENTED: u64 = 12;
const UNAUTHENTICATED: u64 = 16;

/// Where the service is, before it serves.
#[derive(Debug)]
pub(super) struct SqlData {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    /// Whom a client must trust, as PEM.
    pub(super) ca: String,
    /// Plain; with `https` it is the same.
    pub(super) url: Url,
}

/// How a call ends.
#[derive(Debug)]
struct Status {
    code: u64,
    message: &'static str,
}

const OK: Status = Status {
    code: 0,
    message: "",
};

fn status(code: u64, message: &'static str) -> Status {
    Status { code, message }
}

/// Only one instance is of the edition that has the service.
fn edition(instance: &Instance) -> &'static str {
    match (instance.project, instance.name) {
        ("acme-staging", "payments") => "DEVELOPER",
        _ => "ENTERPRISE",
    }
}

impl SqlData {
    /// Takes a port and makes a certificate for `localhost`.
    pub(super) async fn bind() -> Result<Self> {
        let now = Clock::system().now();
        let authority = Authority::root("Acme Sandbox CA", now);
        let identity = authority.server("localhost", Some("localhost"), now);
        let bound = async {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut tls = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(identity.chain, identity.key)?;
            tls.alpn_protocols = vec![b"h2".to_vec()];
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            let url = Url::parse(&format!("http://{address}/"))?;
            anyhow::Ok((listener, Arc::new(tls), url))
        };
        let (listener, tls, url) = bound.await.or_fail(
            ErrorKind::CannotCreate,
            || "cannot serve the SQL Data service",
        )?;
        Ok(Self {
            listener,
            tls,
            ca: authority.bundle_pem(),
            url,
        })
    }

    /// Serves until `closing`.
    pub(super) async fn serve(
        self,
        api: Api,
        door: Arc<Door>,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) {
        let service = Service {
            api,
            door,
            tasks: tasks.clone(),
            closing: closing.clone(),
        };
        loop {
            let accepted = tokio::select! {
                () = closing.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((client, _)) = accepted else {
                continue;
            };
            let (service, tls) = (service.clone(), TlsAcceptor::from(Arc::clone(&self.tls)));
            tasks.spawn(async move {
                let closing = service.closing.clone();
                tokio::select! {
                    () = closing.cancelled() => {}
                    served = service.connection(client, tls) => if let Err(error) = served {
                        tracing::debug!(%error, "a connection to the SQL Data service failed");
                    }
                }
            });
        }
    }
}

#[derive(Debug, Clone)]
struct Service {
    api: Api,
    door: Arc<Door>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Service {
    async fn connection(self, client: TcpStream, tls: TlsAcceptor) -> anyhow::Result<()> {
        client.set_nodelay(true)?;
        let mut first = [0];
        client.peek(&mut first).await?;
        if first[0] == TLS_HANDSHAKE {
            self.http(tls.accept(client).await?).await
        } else {
            self.http(client).await
        }
    }

    async fn http(self, io: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<()> {
        let mut connection = h2::server::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(1 << 20)
            .handshake::<_, Bytes>(io)
            .await?;
        while let Some(call) = connection.accept().await {
            let (request, response) = call?;
            let service = self.clone();
            self.tasks.spawn(async move {
                let closing = service.closing.clone();
                tokio::select! {
                    () = closing.cancelled() => {}
                    served = service.call(request, response) => if let Err(error) = served {
                        tracing::debug!(%error, "a session of the SQL Data service broke off");
                    }
                }
            });
        }
        Ok(())
    }

    async fn call(
        self,
        request: Request<RecvStream>,
        mut response: SendResponse<Bytes>,
    ) -> anyhow::Result<()> {
        let (head, body) = request.into_parts();
        let mut requests = Requests {
            body,
            unread: Vec::new(),
        };
        let (served, grant) = match self.admit(&head, &mut requests).await? {
            Ok(admitted) => admitted,
            Err(refusal) => {
                tracing::info!(refusal.message, "refused");
                let mut answer = Response::new(());
                answer.headers_mut().extend(trailers(&refusal));
                grpc(&mut answer);
                response.send_response(answer, true)?;
                return Ok(());
            }
        };
        let mut answer = Response::new(());
        grpc(&mut answer);
        let mut out = response.send_response(answer, false)?;
        // SessionMetadata without features.
        send(&mut out, &field(3, &[])).await?;

        let (ours, doors) = tokio::io::duplex(BUFFER);
        let instances = Arc::clone(&self.api.instances);
        let door = Arc::clone(&self.door);
        self.tasks.spawn(async move {
            if let Err(error) = door.session(&instances[served], doors, Some(grant)).await {
                tracing::debug!(%error, "a session of the SQL Data service failed");
            }
        });
        let (from_database, to_database) = tokio::io::split(ours);
        let (received, news) = watch::channel(0);
        let up = upload(requests, to_database, received);
        let down = download(from_database, &mut out, news);
        let end = tokio::select! {
            ended = up => ended?,
            ended = down => ended?,
        };
        out.send_trailers(trailers(&end))?;
        Ok(())
    }

    /// Whose session it is and with which instance.
    async fn admit(
        &self,
        head: &http::request::Parts,
        requests: &mut Requests,
    ) -> anyhow::Result<Result<(usize, Grant), Status>> {
        if head.uri.path() != METHOD {
            return Ok(Err(status(UNIMPLEMENTED, "Method not found.")));
        }
        if let Some(code) = self.api.faults.get().sql_data_status {
            return Ok(Err(status(code, "The sandbox was told to refuse.")));
        }
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let Some(grant) = bearer.and_then(|token| self.api.tokens.grant(token)) else {
            let message = "Request had invalid authentication credentials.";
            return Ok(Err(status(UNAUTHENTICATED, message)));
        };
        if !grant.covers(&[SQL_ADMIN, CLOUD_PLATFORM]) {
            let message = "Request had insufficient authentication scopes.";
            return Ok(Err(status(PERMISSION_DENIED, message)));
        }
        let Some(first) = requests.next().await? else {
            return Ok(Err(status(
                INVALID_ARGUMENT,
                "The first message must start a session.",
            )));
        };
        let Some(start) = bytes_in(&first, 5) else {
            return Ok(Err(status(
                INVALID_ARGUMENT,
                "The first message must start a session.",
            )));
        };
        let text = |number| String::from_utf8_lossy(bytes_in(start, number).unwrap_or_default());
        let (location, name) = (text(1), text(2));
        // Google routes by this header: what it says must be what the message says.
        if header("x-goog-request-params")
            != Some(&format!("instance_id={name}&location_id={location}"))
        {
            return Ok(Err(status(
                INVALID_ARGUMENT,
                "The routing header is missing or wrong.",
            )));
        }
        let called = |served: &ServedInstance| {
            let Instance {
                project,
                region,
                name: instance,
                ..
            } = served.instance;
            name == format!("projects/{project}/instances/{instance}")
                && location == format!("locations/{region}")
        };
        let found = self.api.instances.iter().position(called);
        let found = found
            .filter(|place| may_connect(&grant.principal, self.api.instances[*place].instance));
        let Some(place) = found else {
            let message = "The client is not authorized to make this request.";
            return Ok(Err(status(PERMISSION_DENIED, message)));
        };
        Ok(match edition(self.api.instances[place].instance) {
            "DEVELOPER" => Ok((place, grant)),
            _ => Err(status(
                FAILED_PRECONDITION,
                "unsupported instance edition: ENTERPRISE",
            )),
        })
    }
}

fn grpc(answer: &mut Response<()>) {
    let kind = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert("content-type", kind);
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status.code));
    if !status.message.is_empty() {
        trailers.insert("grpc-message", HeaderValue::from_static(status.message));
    }
    trailers
}

/// The client's bytes to the database, until the client has no more. Only a client that ends the session ends it.
async fn upload(
    mut requests: Requests,
    mut database: WriteHalf<tokio::io::DuplexStream>,
    received: watch::Sender<u64>,
) -> anyhow::Result<Status> {
    let mut so_far = 0;
    while let Some(request) = requests.next().await? {
        if bytes_in(&request, 8).is_some() {
            return Ok(OK);
        }
        let Some(packet) = bytes_in(&request, 7) else {
            continue;
        };
        // Google's connector for Python does not count.
        let offset = number_in(packet, 1);
        if offset != so_far && offset != 0 {
            return Ok(status(INVALID_ARGUMENT, "The packet is not the next one."));
        }
        let bytes = bytes_in(packet, 2).unwrap_or_default();
        // A database that has ended the session says so on the other way.
        if database.write_all(bytes).await.is_ok() {
            so_far += bytes.len() as u64;
            received.send_replace(so_far);
        }
    }
    let _ = database.shutdown().await;
    std::future::pending().await
}

/// The database's bytes to the client, and how many of the client's have come.
async fn download(
    mut database: ReadHalf<tokio::io::DuplexStream>,
    out: &mut SendStream<Bytes>,
    mut received: watch::Receiver<u64>,
) -> anyhow::Result<Status> {
    let mut buffer = vec![0; BUFFER];
    let mut sent = 0;
    loop {
        tokio::select! {
            read = database.read(&mut buffer) => {
                let read = read?;
                if read == 0 {
                    return Ok(OK);
                }
                let mut packet = varint_field(1, sent);
                packet.extend(field(2, &buffer[..read]));
                send(out, &field(4, &packet)).await?;
                sent += read as u64;
            }
            Ok(()) = received.changed() => {
                let so_far = *received.borrow_and_update();
                send(out, &field(2, &varint_field(1, so_far))).await?;
            }
        }
    }
}

/// Sends a message with its prefix, as fast as the client takes it.
async fn send(out: &mut SendStream<Bytes>, message: &[u8]) -> anyhow::Result<()> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len())?.to_be_bytes());
    framed.extend(message);
    let mut left = Bytes::from(framed);
    while !left.is_empty() {
        out.reserve_capacity(left.len());
        match poll_fn(|cx| out.poll_capacity(cx)).await {
            Some(capacity) => out.send_data(left.split_to(capacity?.min(left.len())), false)?,
            None => anyhow::bail!("the client has gone"),
        }
    }
    Ok(())
}

/// The messages that a client sends.
struct Requests {
    body: RecvStream,
    unread: Vec<u8>,
}

impl Requests {
    /// The next one; `None` after the last.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let [compressed, a, b, c, d, ..] = self.unread[..] {
                let end = 5 + u32::from_be_bytes([a, b, c, d]) as usize;
                anyhow::ensure!(
                    compressed == 0 && end <= LONGEST,
                    "a message of another kind"
                );
                if self.unread.len() >= end {
                    let rest = self.unread.split_off(end);
                    let message = std::mem::replace(&mut self.unread, rest);
                    return Ok(Some(message[5..].to_vec()));
                }
            }
            let Some(bytes) = self.body.data().await else {
                return Ok(None);
            };
            let bytes = bytes?;
            self.body.flow_control().release_capacity(bytes.len())?;
            self.unread.extend(bytes);
        }
    }
}
