//! The SQL Data service: a session with an instance's database through Google's API, where no network leads to the
//! instance itself. Only instances of the Developer edition have it.
//!
//! Written from the published definitions of `StreamSqlData` in `google.cloud.sql.v1beta4`. There is no client certificate:
//! the access token says who one is.

mod call;
mod frame;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, AUTHORIZATION, CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderName, Request};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;
use url::{Host, Url};

use self::call::{Call, End};
use self::frame::{Response, Status};
pub use self::stream::SqlDataStream;
use super::admin::SqlAdminClient;
use super::credentials::AccessToken;
use super::name::InstanceConnectionName;
use super::refusal::Refusal;
use super::tcp;
use super::via::Place;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::http::USER_AGENT;

const SERVICE: &str = "the SQL Data service";
const METHOD: &str = "google.cloud.sql.v1beta4.SqlDataService/StreamSqlData";
/// For TLS and HTTP/2's first messages.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for the service to greet or to refuse. One that does neither until it gets bytes is no worse for it.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

/// `FAILED_PRECONDITION`.
const FAILED_PRECONDITION: u64 = 9;
/// `RESOURCE_EXHAUSTED`.
const RESOURCE_EXHAUSTED: u64 = 8;

/// Opens sessions.
#[derive(Debug)]
pub(super) struct DataApi {
    url: Url,
    sessions: TaskTracker,
}

impl DataApi {
    /// The service at `url`. Plain HTTP/2 with `http`.
    pub(super) fn new(url: Url) -> Self {
        Self {
            url,
            sessions: TaskTracker::new(),
        }
    }

    /// Opens a session with the instance's database.
    pub(super) async fn open(
        &self,
        admin: &SqlAdminClient,
        token: &AccessToken,
        instance: &InstanceConnectionName,
    ) -> Result<SqlDataStream> {
        let request = self.request(admin, token, instance)?;
        let place = self.place()?;
        let tcp = tcp::direct(&place).await;
        let tcp = tcp.map_err(|problem| unreachable(anyhow::anyhow!(problem)))?;
        if self.url.scheme() == "http" {
            return self.start(tcp, request, admin, instance).await;
        }
        let mut tls = (**admin.http().tls()).clone();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(place.host.clone())
            .or_fail(ErrorKind::Config, || format!("cannot reach {SERVICE}"))?;
        let handshake = TlsConnector::from(Arc::new(tls)).connect(name, tcp);
        match timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(tls)) => self.start(tls, request, admin, instance).await,
            Ok(Err(error)) => Err(unreachable(
                anyhow::Error::new(error).context(format!("TLS with {place} failed")),
            )),
            Err(_) => Err(unreachable(anyhow::anyhow!(
                "TLS with {place} was not answered within {} s",
                HANDSHAKE_TIMEOUT.as_secs()
            ))),
        }
    }

    async fn start(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<()>,
        admin: &SqlAdminClient,
        instance: &InstanceConnectionName,
    ) -> Result<SqlDataStream> {
        let (call, first) = greet(io, request, instance)
            .await
            .map_err(|end| match end {
                End::Status(status) => refused(admin, instance, status),
                End::Broken(problem) => unreachable(anyhow::anyhow!(problem)),
            })?;
        tracing::info!(%instance, "session with the SQL Data service");
        Ok(SqlDataStream::new(call, first, &self.sessions))
    }

    fn place(&self) -> Result<Place> {
        let host = match self.url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => {
                return Err(ErrorKind::Config
                    .error(format!("`{}` cannot be a service's URL", self.url))
                    .hint("the key is `google.endpoints.sql_data`"));
            }
        };
        let port = self.url.port_or_known_default().unwrap_or(443);
        Ok(Place::new(host, port))
    }

    fn request(
        &self,
        admin: &SqlAdminClient,
        token: &AccessToken,
        instance: &InstanceConnectionName,
    ) -> Result<Request<()>> {
        let unusable = || format!("cannot ask {SERVICE} about `{instance}`");
        let value = |text: &str| HeaderValue::from_str(text).or_fail(ErrorKind::Internal, unusable);
        let mut bearer = value(&format!("Bearer {}", token.secret.expose()))?;
        bearer.set_sensitive(true);
        // As Google's connectors send it: with slashes and all.
        let params = format!(
            "instance_id={}&location_id={}",
            frame::instance_id(instance),
            frame::location_id(instance)
        );
        let mut request = Request::post(format!(
            "{}://{}/{METHOD}",
            self.url.scheme(),
            self.url.authority()
        ))
        .version(http::Version::HTTP_2)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .header(AUTHORIZATION, bearer)
        .header(
            HeaderName::from_static("x-goog-request-params"),
            value(&params)?,
        );
        if let Some(project) = admin.user_project() {
            request = request.header(
                HeaderName::from_static("x-goog-user-project"),
                value(project)?,
            );
        }
        request.body(()).or_fail(ErrorKind::Internal, unusable)
    }
}

/// Starts a session, and takes the service's greeting or refusal if it comes soon.
async fn greet(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<()>,
    instance: &InstanceConnectionName,
) -> Result<(Call, Option<Response>), End> {
    let starting = timeout(HANDSHAKE_TIMEOUT, Call::start(io, request));
    let mut call = match starting.await {
        Ok(call) => call?,
        Err(_) => return Err(End::Broken("HTTP/2 was not answered in time".to_owned())),
    };
    let start = frame::start_session(instance);
    let Ok(sent) = timeout(HANDSHAKE_TIMEOUT, call.requests.send(start)).await else {
        return Err(End::Broken("the session was not taken in time".to_owned()));
    };
    // Who is refused by the head of the request alone cannot send the rest, and is told why all the same.
    let first = match (timeout(GREETING_TIMEOUT, call.responses.next()).await, sent) {
        (Ok(Err(end)), _) | (_, Err(end)) => return Err(end),
        (Ok(Ok(Some(first))), Ok(())) => first,
        (Ok(Ok(None)), Ok(())) => {
            return Err(End::Broken("the session ended at once".to_owned()));
        }
        (Err(_), Ok(())) => return Ok((call, None)),
    };
    match first.terminated {
        Some(status) => Err(End::Status(status)),
        None => Ok((call, Some(first))),
    }
}

fn unreachable(problem: anyhow::Error) -> Error {
    ErrorKind::Unavailable
        .error(format!("cannot reach {SERVICE}"))
        .because(problem)
        .hint("check the network, then run it again")
}

/// What a refusal means: the SQL Admin API's, but for two of its own.
fn refused(admin: &SqlAdminClient, instance: &InstanceConnectionName, status: Status) -> Error {
    let cause = anyhow::anyhow!("status {}: {}", status.code, status.message);
    match status.code {
        FAILED_PRECONDITION if status.message.contains("edition") => ErrorKind::Config
            .error(format!("`{instance}` cannot be reached by the data API"))
            .because(cause)
            .hint("only instances of the Developer edition can: use another --via, see docs/networking.md"),
        RESOURCE_EXHAUSTED => ErrorKind::TryLater
            .error(format!("{SERVICE} has too many sessions or requests at the moment"))
            .because(cause)
            .hint("wait 10 s and run it again; each time it happens again, wait longer"),
        code => {
            let refusal = Refusal::of_grpc(code, status.message);
            admin.refused(SERVICE, &instance.clone().into(), &refusal)
        }
    }
}
