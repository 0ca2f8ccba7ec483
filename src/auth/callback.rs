//! The local web server that the browser comes back to (RFC 8252 section 7.3).
//!
//! It answers on loopback for a few minutes, and everything on this machine, and every page in the browser, can send it
//! requests. So nothing ends the sign-in but the answer with the right `state`; the rest is refused and forgotten.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ring::digest::{Digest, SHA256, digest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::authorization::{Answer, Expected, Rejection};
use super::page::{self, Outcome};
use super::proof::{random, same};
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};

/// The longest request line that is read; providers keep codes well below 4 KiB.
const LONGEST_TARGET: usize = 8 * 1024;
/// For the request line and the headers. Other servers on 127.0.0.1 share their cookies with this one.
const HEAD_LIMIT: usize = 64 * 1024;
/// Browsers open connections in advance and may never use them.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// More connections than any browser opens at once.
const CONNECTIONS: usize = 8;
/// How long the last page waits for the tokens: a code exchange and a fetch of the keys, at their time limits.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(70);
/// How long the terminal waits for the browser to fetch the last page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);

const FAVICON: &str = "/favicon.ico";
const DONE: &str = "/done";

/// Under which address the browser comes back. Providers differ in what they let a client register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The host in the redirect URI.
    pub host: LoopbackHost,
    /// The ports to try, in this order. Empty: any free one, as RFC 8252 section 7.3 wants providers to allow.
    pub ports: Vec<u16>,
    /// The path in the redirect URI.
    pub path: String,
}

/// How the redirect URI names this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoopbackHost {
    /// `127.0.0.1`, what RFC 8252 recommends.
    #[default]
    Ipv4,
    /// `[::1]`.
    Ipv6,
    /// `localhost`, for providers that accept nothing else. What the name means is up to the machine (RFC 8252 section
    /// 8.3), so both addresses are taken.
    Localhost,
}

impl FromStr for LoopbackHost {
    type Err = Error;

    /// Reads it as it stands in a redirect URI.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "127.0.0.1" => Ok(Self::Ipv4),
            "[::1]" | "::1" => Ok(Self::Ipv6),
            "localhost" => Ok(Self::Localhost),
            _ => Err(ErrorKind::Usage
                .error(format!("a redirect cannot go to `{}`", printable(text)))
                .hint("set identity.redirect_host to 127.0.0.1, [::1] or localhost")),
        }
    }
}

impl Default for Redirect {
    fn default() -> Self {
        Self {
            host: LoopbackHost::default(),
            ports: Vec::new(),
            path: "/callback".to_owned(),
        }
    }
}

/// Bound, and not yet answering.
#[derive(Debug)]
pub(super) struct CallbackListener {
    sockets: Vec<TcpListener>,
    /// As in the redirect URI and in `Host`.
    authority: String,
    path: String,
}

impl CallbackListener {
    /// Binds the first address that is free: of `listen`, if there are any, else as `redirect` says.
    ///
    /// Fails with [`ErrorKind::Usage`] for an address that others could reach, and with [`ErrorKind::CannotCreate`] when
    /// none is free.
    pub(super) async fn bind(redirect: &Redirect, listen: &[SocketAddr]) -> Result<Self> {
        let mut failures = Vec::new();
        for candidate in candidates(redirect, listen)? {
            let named = redirect.is_named(listen);
            match bind_one(candidate, named).await {
                Ok((sockets, bound)) => {
                    return Ok(Self {
                        sockets,
                        authority: authority(bound, named),
                        path: redirect.path.clone(),
                    });
                }
                Err(error) => failures.push(format!("{candidate}: {error}")),
            }
        }
        Err(ErrorKind::CannotCreate
            .error("cannot wait for the browser: no port is free")
            .because(anyhow::anyhow!(failures.join("; ")))
            .hint("name a free one that is registered with the provider: bsql login --listen 127.0.0.1:PORT")
            .hint("or do without: bsql login --flow device"))
    }

    /// Stands for the first address without listening there, for when the person pastes what the browser ends at.
    pub(super) fn deaf(redirect: &Redirect, listen: &[SocketAddr]) -> Result<Self> {
        let first = candidates(redirect, listen)?[0];
        Ok(Self {
            sockets: Vec::new(),
            authority: authority(first, redirect.is_named(listen)),
            path: redirect.path.clone(),
        })
    }

    /// Whether the browser can come back by itself.
    pub(super) fn listens(&self) -> bool {
        !self.sockets.is_empty()
    }

    /// The redirect URI for this address.
    pub(super) fn redirect_uri(&self) -> Result<Url> {
        Url::parse(&format!("http://{}{}", self.authority, self.path))
            .or_fail(ErrorKind::Config, || {
                format!("`{}` cannot be a redirect path", self.path)
            })
    }

    /// Begins to answer, until the server is dropped.
    pub(super) fn serve(self, expected: Expected, sign_in_at: &Url) -> Result<CallbackServer> {
        let mut location = HeaderValue::try_from(sign_in_at.as_str())
            .or_fail(ErrorKind::Internal, || "cannot redirect to the provider")?;
        location.set_sensitive(true);
        let link_path = format!("/{}", random()?.expose());
        let link = Url::parse(&format!("http://{}{link_path}", self.authority))
            .expect("a base64url path makes a URL");
        let (answered, answer) = oneshot::channel();
        let shared = Arc::new(Shared {
            authority: self.authority,
            callback_path: self.path,
            link_path,
            location,
            expected,
            policy: HeaderValue::try_from(page::content_security_policy())
                .expect("base64 is fit for a header"),
            answering: Mutex::new(Answering {
                to: Some(answered),
                query: None,
                rejection: None,
            }),
            outcome: watch::Sender::new(None),
            shown: Notify::new(),
        });
        let task = tokio::spawn(accept(self.sockets, Arc::clone(&shared)));
        Ok(CallbackServer {
            answer,
            link,
            shared,
            _task: AbortOnDropHandle::new(task),
        })
    }
}

impl Redirect {
    /// Whether the redirect URI names the machine instead of giving its address.
    fn is_named(&self, listen: &[SocketAddr]) -> bool {
        listen.is_empty() && self.host == LoopbackHost::Localhost
    }
}

/// The addresses to try, at least one.
fn candidates(redirect: &Redirect, listen: &[SocketAddr]) -> Result<Vec<SocketAddr>> {
    let path = &redirect.path;
    let is_ours = [FAVICON, DONE].contains(&path.as_str());
    if !path.starts_with('/') || is_ours || path.contains(['?', '#']) {
        return Err(ErrorKind::Config.error(format!("`{path}` cannot be a redirect path")));
    }
    if let Some(open) = listen.iter().find(|addr| !addr.ip().is_loopback()) {
        return Err(ErrorKind::Usage
            .error(format!("cannot wait for the browser on `{open}`: others could answer there"))
            .hint("use 127.0.0.1:PORT; to reach it from elsewhere, forward the port: ssh -L PORT:127.0.0.1:PORT HOST"));
    }
    if !listen.is_empty() {
        return Ok(listen.to_vec());
    }
    let ip: IpAddr = match redirect.host {
        LoopbackHost::Ipv4 | LoopbackHost::Localhost => Ipv4Addr::LOCALHOST.into(),
        LoopbackHost::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    };
    if redirect.ports.is_empty() {
        return Ok(vec![SocketAddr::new(ip, 0)]);
    }
    Ok(redirect
        .ports
        .iter()
        .map(|port| SocketAddr::new(ip, *port))
        .collect())
}

/// The address as the redirect URI and `Host` have it.
fn authority(addr: SocketAddr, named: bool) -> String {
    if named {
        format!("localhost:{}", addr.port())
    } else {
        addr.to_string()
    }
}

/// Binds one address; for the name `localhost` its IPv6 twin as well, or somebody else could have it.
async fn bind_one(addr: SocketAddr, both: bool) -> std::io::Result<(Vec<TcpListener>, SocketAddr)> {
    // A free port of one family may be taken in the other; the system hands out another one the next time.
    const ATTEMPTS: u32 = 5;
    let mut attempt = 1;
    loop {
        let first = TcpListener::bind(addr).await?;
        let bound = first.local_addr()?;
        if !both {
            return Ok((vec![first], bound));
        }
        match TcpListener::bind(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), bound.port())).await {
            Ok(second) => return Ok((vec![first, second], bound)),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                if addr.port() != 0 || attempt == ATTEMPTS {
                    return Err(error);
                }
                attempt += 1;
            }
            // There is no IPv6 here, so nobody else can listen there either.
            Err(_) => return Ok((vec![first], bound)),
        }
    }
}

/// Answers the browser until dropped.
#[derive(Debug)]
pub(super) struct CallbackServer {
    answer: oneshot::Receiver<Answer>,
    link: Url,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    authority: String,
    callback_path: String,
    link_path: String,
    location: HeaderValue,
    expected: Expected,
    policy: HeaderValue,
    answering: Mutex<Answering>,
    outcome: watch::Sender<Option<Outcome>>,
    shown: Notify,
}

#[derive(Debug)]
struct Answering {
    /// Taken by the first answer that counts.
    to: Option<oneshot::Sender<Answer>>,
    /// What that answer was, because browsers repeat themselves.
    query: Option<Digest>,
    /// The last answer that did not count.
    rejection: Option<Rejection>,
}

impl CallbackServer {
    /// A short address on this machine that leads to the provider.
    pub(super) fn link(&self) -> &Url {
        &self.link
    }

    /// The provider's answer. Cancel safe; must not be called again after it returned.
    pub(super) async fn answer(&mut self) -> Answer {
        match (&mut self.answer).await {
            Ok(answer) => answer,
            // The sender is dropped only after it was used.
            Err(_) => std::future::pending().await,
        }
    }

    /// Why the last answer was refused, if one was: the best guess when none comes that counts.
    pub(super) fn rejection(&self) -> Option<Rejection> {
        self.shared.answering().rejection
    }

    /// Shows the browser how the sign-in ended, if it came back here, and stops.
    pub(super) async fn conclude(self, outcome: Outcome) {
        let came_back = self.shared.answering().query.is_some();
        self.shared.outcome.send_replace(Some(outcome));
        if came_back
            && tokio::time::timeout(PAGE_TIMEOUT, self.shared.shown.notified())
                .await
                .is_err()
        {
            tracing::debug!("the browser did not fetch the last page");
        }
    }
}

async fn accept(sockets: Vec<TcpListener>, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let stream = match accept_any(&sockets).await {
            Ok(stream) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: trying again at once would spin.
                tracing::debug!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            serve_connection(stream, &shared).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn accept_any(sockets: &[TcpListener]) -> std::io::Result<TcpStream> {
    poll_fn(|context| {
        for socket in sockets {
            if let Poll::Ready(accepted) = socket.poll_accept(context) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// One request, one answer: a connection that stays open would only take a place.
async fn serve_connection(stream: TcpStream, shared: &Shared) {
    let showed_outcome = AtomicBool::new(false);
    let showed = &showed_outcome;
    let service = service_fn(|request| async move {
        let (response, last) = shared.respond(&request).await;
        if last {
            showed.store(true, Ordering::Relaxed);
        }
        Ok::<_, Infallible>(shared.hardened(response))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection from the browser failed");
    }
    if showed_outcome.load(Ordering::Relaxed) {
        shared.shown.notify_one();
    }
}

impl Shared {
    fn answering(&self) -> MutexGuard<'_, Answering> {
        self.answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, and whether it is the last page with the outcome on it.
    async fn respond(&self, request: &Request<Incoming>) -> (Response<String>, bool) {
        if !self.is_for_us(request) {
            // A name that resolves to loopback, in a page that wants to talk to us (DNS rebinding).
            let page = page::refusal(
                "Wrong address",
                "This server only answers to its own address.",
            );
            return (html(StatusCode::MISDIRECTED_REQUEST, page), false);
        }
        if request.uri().path().len() + request.uri().query().map_or(0, str::len) > LONGEST_TARGET {
            return (
                html(StatusCode::URI_TOO_LONG, page::refusal("Too long", "")),
                false,
            );
        }
        let path = request.uri().path();
        let known = [self.callback_path.as_str(), FAVICON, DONE].contains(&path)
            || same(path, &self.link_path);
        if !known {
            let page = page::refusal(
                "Not found",
                "There is nothing here. Return to the terminal.",
            );
            return (html(StatusCode::NOT_FOUND, page), false);
        }
        if request.method() != Method::GET {
            let mut response = html(
                StatusCode::METHOD_NOT_ALLOWED,
                page::refusal("Not allowed", "Only GET is."),
            );
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET"));
            return (response, false);
        }
        match path {
            FAVICON => (empty(StatusCode::NO_CONTENT), false),
            DONE => self.done().await,
            path if path == self.callback_path => (
                self.callback(request.uri().query().unwrap_or_default()),
                false,
            ),
            _ => (redirect(StatusCode::FOUND, self.location.clone()), false),
        }
    }

    fn is_for_us(&self, request: &Request<Incoming>) -> bool {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host_is_right = hosts
            .next()
            .is_some_and(|host| host.as_bytes() == self.authority.as_bytes());
        let target_is_right = request
            .uri()
            .authority()
            .is_none_or(|authority| authority.as_str() == self.authority);
        host_is_right && hosts.next().is_none() && target_is_right
    }

    fn callback(&self, query: &str) -> Response<String> {
        let given = digest(&SHA256, query.as_bytes());
        let mut answering = self.answering();
        let answering = &mut *answering;
        let read = self.expected.read(query).and_then(|answer| {
            match (&answering.query, answering.to.take()) {
                (None, Some(to)) => {
                    // Nobody waits any more if this fails: the sign-in was given up.
                    let _ = to.send(answer);
                    answering.query = Some(given);
                    Ok(())
                }
                (Some(first), _) if first.as_ref() == given.as_ref() => Ok(()),
                _ => Err(Rejection::AlreadyAnswered),
            }
        });
        match read {
            // The code leaves the address bar at once. The page that it ends at waits for the outcome.
            Ok(()) => redirect(StatusCode::SEE_OTHER, HeaderValue::from_static(DONE)),
            Err(rejection) => {
                tracing::info!(%rejection, "refused an answer in the browser's name");
                answering.rejection = Some(rejection);
                let why = format!("This answer was not accepted: {rejection}.");
                html(StatusCode::BAD_REQUEST, page::refusal("Not accepted", &why))
            }
        }
    }

    /// The last page. It says that somebody is signed in only when that is so: after the tokens came and were checked.
    async fn done(&self) -> (Response<String>, bool) {
        let nothing = |status, why| (html(status, page::refusal("Nothing to see", why)), false);
        if self.answering().query.is_none() {
            return nothing(StatusCode::NOT_FOUND, "Nobody has signed in here yet.");
        }
        let mut outcome = self.outcome.subscribe();
        let outcome =
            tokio::time::timeout(OUTCOME_TIMEOUT, outcome.wait_for(Option::is_some)).await;
        match outcome {
            Ok(Ok(outcome)) => {
                let outcome = outcome.as_ref().expect("waited for it");
                (html(StatusCode::OK, page::done(outcome)), true)
            }
            _ => nothing(
                StatusCode::GATEWAY_TIMEOUT,
                "The terminal knows how the sign-in ended.",
            ),
        }
    }

    /// Adds what every answer carries.
    fn hardened(&self, mut response: Response<String>) -> Response<String> {
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
        ] {
            headers.insert(name, value);
        }
        response
    }
}

fn empty(status: StatusCode) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    response
}

fn html(status: StatusCode, page: String) -> Response<String> {
    let mut response = empty(status);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    *response.body_mut() = page;
    response
}

fn redirect(status: StatusCode, to: HeaderValue) -> Response<String> {
    let mut response = empty(status);
    response.headers_mut().insert(header::LOCATION, to);
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn listener() -> CallbackListener {
        CallbackListener::bind(&Redirect::default(), &[])
            .await
            .unwrap()
    }

    fn serve(listener: CallbackListener) -> CallbackServer {
        let expected = Expected {
            state: "right".to_owned().into(),
            issuer: "https://op".to_owned(),
            issuer_required: false,
        };
        let at = "https://op/authorize?state=right".parse().unwrap();
        listener.serve(expected, &at).unwrap()
    }

    /// Sends `head` as it is, and returns what comes back, whole.
    async fn raw(server: &CallbackServer, head: &str) -> String {
        let (_, port) = server.shared.authority.rsplit_once(':').unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap()))
            .await
            .unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(server: &CallbackServer, target: &str) -> String {
        let host = &server.shared.authority;
        raw(
            server,
            &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        )
        .await
    }

    fn status(answer: &str) -> u16 {
        answer[9..12].parse().unwrap()
    }

    #[tokio::test]
    async fn only_its_own_address_its_own_paths_and_get() {
        let server = serve(listener().await);
        let host = server.shared.authority.clone();
        let port = host.rsplit_once(':').unwrap().1;
        for (head, expected) in [
            (
                format!("GET /callback HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n"),
                421,
            ),
            (
                format!("GET /callback HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"),
                421,
            ),
            (
                "GET /callback HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
                421,
            ),
            ("GET /callback HTTP/1.0\r\n\r\n".to_owned(), 421),
            (
                format!("GET http://evil.example/callback HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                421,
            ),
            (
                format!("GET /callback HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n"),
                421,
            ),
            (
                format!("POST /callback HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"),
                405,
            ),
            (format!("HEAD /done HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405),
            (format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 404),
            (
                format!("GET /callback/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                404,
            ),
            (
                format!("GET /favicon.ico HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                204,
            ),
            (format!("GET /done HTTP/1.1\r\nHost: {host}\r\n\r\n"), 404),
            (
                format!(
                    "GET /callback?{} HTTP/1.1\r\nHost: {host}\r\n\r\n",
                    "x".repeat(8200)
                ),
                414,
            ),
        ] {
            let answer = raw(&server, &head).await;
            assert_eq!(status(&answer), expected, "{head}");
            let answer = answer.to_lowercase();
            for header in [
                "cache-control: no-store",
                "referrer-policy: no-referrer",
                "default-src 'none'",
            ] {
                assert!(answer.contains(header), "{head}: {header}");
            }
        }
    }

    #[tokio::test]
    async fn what_does_not_count_does_not_end_it() {
        let mut server = serve(listener().await);
        for target in [
            "/callback",
            "/callback?code=stolen",
            "/callback?code=stolen&state=wrong",
            "/callback?error=access_denied",
            "/callback?error=access_denied&state=wrong",
            "/callback?code=c&state=right&state=right",
            "/callback?code=c&state=right&iss=https://evil.example",
        ] {
            let answer = get(&server, target).await;
            assert_eq!(status(&answer), 400, "{target}");
            assert!(
                !answer.contains("right&"),
                "the page must not show the state"
            );
        }
        assert_eq!(server.rejection(), Some(Rejection::WrongIssuer));
        assert_eq!(status(&get(&server, "/done").await), 404);

        let answer = get(&server, "/callback?code=c&state=right").await;
        assert_eq!(status(&answer), 303);
        assert!(answer.to_lowercase().contains("location: /done\r\n"));
        match server.answer().await {
            Answer::Code(code) => assert_eq!(code.expose(), "c"),
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        }
        // Browsers repeat themselves; somebody else's code is something else.
        assert_eq!(
            status(&get(&server, "/callback?code=c&state=right").await),
            303
        );
        assert_eq!(
            status(&get(&server, "/callback?code=d&state=right").await),
            400
        );
    }

    #[tokio::test]
    async fn the_last_page_waits_for_the_outcome() {
        let mut server = serve(listener().await);
        get(&server, "/callback?code=c&state=right").await;
        server.answer().await;
        let shared = Arc::clone(&server.shared);
        let page = tokio::spawn(async move {
            let port = shared
                .authority
                .rsplit_once(':')
                .unwrap()
                .1
                .parse()
                .unwrap();
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let head = format!("GET /done HTTP/1.1\r\nHost: {}\r\n\r\n", shared.authority);
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).await.unwrap();
            page
        });
        // Until somebody waits for the outcome, the page has been asked for but cannot have been answered.
        while server.shared.outcome.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!page.is_finished());
        server
            .conclude(Outcome::SignedIn("Ada <b>".to_owned()))
            .await;
        let page = page.await.unwrap();
        assert_eq!(status(&page), 200);
        assert!(page.contains("Signed in as Ada &lt;b&gt;"));
    }

    #[tokio::test]
    async fn idle_connections_do_not_keep_the_browser_out() {
        let server = serve(listener().await);
        let (_, port) = server.shared.authority.rsplit_once(':').unwrap();
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS - 1 {
            let addr = ("127.0.0.1", port.parse().unwrap());
            idle.push(TcpStream::connect(addr).await.unwrap());
        }
        assert_eq!(status(&get(&server, "/favicon.ico").await), 204);
    }

    #[tokio::test]
    async fn the_link_leads_to_the_provider() {
        let server = serve(listener().await);
        let answer = get(&server, server.link().path()).await;
        assert_eq!(status(&answer), 302);
        assert!(answer.contains("https://op/authorize?state=right"));
        assert_eq!(server.link().path().len(), 44);
    }

    #[tokio::test]
    async fn ports_are_tried_in_order() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ports = [&taken, &free].map(|socket| socket.local_addr().unwrap().port());
        drop(free);
        let redirect = Redirect {
            ports: ports.to_vec(),
            ..Redirect::default()
        };
        let listener = CallbackListener::bind(&redirect, &[]).await.unwrap();
        assert_eq!(
            listener.redirect_uri().unwrap().as_str(),
            format!("http://127.0.0.1:{}/callback", ports[1])
        );
        let error = CallbackListener::bind(&redirect, &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        let deaf = CallbackListener::deaf(&redirect, &[]).unwrap();
        assert!(!deaf.listens());
        assert_eq!(deaf.redirect_uri().unwrap().port(), Some(ports[0]));
    }

    #[tokio::test]
    async fn only_loopback_and_only_paths() {
        for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let listen = [open.parse().unwrap()];
            let error = CallbackListener::bind(&Redirect::default(), &listen)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{open}");
        }
        for path in ["callback", "/done", "/a?b", ""] {
            let redirect = Redirect {
                path: path.to_owned(),
                ..Redirect::default()
            };
            let error = CallbackListener::bind(&redirect, &[]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{path}");
        }
    }

    #[tokio::test]
    async fn localhost_is_both_addresses() {
        let redirect = Redirect {
            host: LoopbackHost::Localhost,
            ..Redirect::default()
        };
        let listener = CallbackListener::bind(&redirect, &[]).await.unwrap();
        let uri = listener.redirect_uri().unwrap();
        assert_eq!(uri.host_str(), Some("localhost"));
        let port = uri.port().unwrap();
        for socket in &listener.sockets {
            assert_eq!(socket.local_addr().unwrap().port(), port);
        }
        // Nobody else can have the other address.
        assert!(TcpListener::bind(("::1", port)).await.is_err());
    }
}
