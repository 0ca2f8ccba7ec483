//! The one HTTP client: trust roots, proxies, time limits, user agent, retries, and what a failure to be heard means.

use std::sync::Arc;
use std::time::Duration;

use rand_wait::back_off;
use reqwest::{RequestBuilder, Response, StatusCode, redirect};
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::error::{ErrorKind, Result, ResultExt as _};

/// How bsql introduces itself to every server.
pub const USER_AGENT: &str = concat!("bsql/", env!("CARGO_PKG_VERSION"));

/// Long enough for a laptop waking up on a slow network, short enough to be told.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one request and its answer. Google's own connectors give a refresh 60 s for two of them.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// As Google's connectors: five attempts in all, see [`back_off`].
const ATTEMPTS: u32 = 5;
/// How long a service may ask to wait for bsql to do so by itself; longer waits are for the person to decide.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// No service bsql asks for one thing answers with more.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// Sends requests to the services. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
}

impl HttpClient {
    /// A client that trusts what the system trusts and `extra_roots` (DER).
    ///
    /// Redirects are never followed: no API bsql calls redirects, and a login page that an auth proxy redirects to must be
    /// recognised as one. `HTTPS_PROXY` and its kin are honoured.
    pub fn new(extra_roots: Vec<CertificateDer<'static>>) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new_with_extra_roots(extra_roots, Arc::clone(&provider))
            .or_fail(ErrorKind::Config, || "cannot read the trusted certificates")?;
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .or_fail(ErrorKind::Internal, || "cannot set up TLS")?
            .dangerous() // The name for "not the default verifier"; this one asks the operating system.
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .user_agent(USER_AGENT)
            .build()
            .or_fail(ErrorKind::Internal, || "cannot set up the HTTP client")?;
        Ok(Self {
            client,
            tls: Arc::new(tls),
        })
    }

    /// What is trusted, for services that speak something else within TLS.
    pub fn tls(&self) -> &Arc<rustls::ClientConfig> {
        &self.tls
    }

    /// Starts a GET request.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// Starts a POST request.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// Opens a connection to `service` at `url`, for the first request there not to wait for it. What is answered says
    /// nothing, and neither does a failure: the request that matters will tell.
    pub async fn connect_ahead(&self, service: &str, url: Url) {
        if let Err(error) = self.send(service, self.client.head(url)).await {
            tracing::debug!(%error, "no connection ahead of time");
        }
    }

    /// Sends `request` to `service`, named as in "cannot reach the catalog". Any status is an answer.
    ///
    /// Fails with [`ErrorKind::Unavailable`] when there is none.
    pub async fn send(&self, service: &str, request: RequestBuilder) -> Result<Answer> {
        let request = request
            .build()
            .map_err(reqwest::Error::without_url)
            .or_fail(ErrorKind::Internal, || format!("cannot ask {service}"))?;
        let url = request.url().clone();
        let method = request.method().clone();
        let sent = self.client.execute(request).await;
        let answer = async { Answer::read(sent?).await }
            .await
            .map_err(|error| unreachable(service, &url, error))?;
        tracing::debug!(%method, host = url.host_str(), path = url.path(), status = answer.status.as_u16(), "answered");
        Ok(answer)
    }

    /// Sends an idempotent `request` as [`send`](Self::send) does, again while the service answers with 5xx, or with 429 and
    /// a short time to wait.
    ///
    /// Transport errors are not retried: the person sees them at once and knows more about the network than bsql.
    pub async fn send_idempotent(&self, service: &str, request: RequestBuilder) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            let this_one = request
                .try_clone()
                .expect("the bodies of API requests are in memory");
            let answer = self.send(service, this_one).await?;
            let wait = match wait_before_asking_again(&answer, attempt) {
                Some(wait) if attempt < ATTEMPTS => wait,
                _ => return Ok(answer),
            };
            tracing::info!(
                service,
                status = answer.status.as_u16(),
                ?wait,
                "will be asked again"
            );
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }
}

/// `None` when asking again would help nobody.
fn wait_before_asking_again(answer: &Answer, attempt: u32) -> Option<Duration> {
    if answer.status.is_server_error() {
        return Some(back_off(attempt));
    }
    let asked_for = answer.retry_after().map(Duration::from_secs);
    asked_for.filter(|wait| answer.status == StatusCode::TOO_MANY_REQUESTS && *wait <= LONGEST_WAIT)
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    async fn read(mut response: Response) -> anyhow::Result<Self> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            anyhow::ensure!(
                body.len() <= BODY_LIMIT,
                "the answer is larger than {BODY_LIMIT} bytes"
            );
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(Self {
            status: response.status(),
            headers,
            body,
        })
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The body as text, for error messages: at most the first 300 characters, on one line.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(300)
            .collect()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// How long the service asks to wait, in seconds (RFC 9110 section 10.2.3, the form with seconds).
    pub fn retry_after(&self) -> Option<u64> {
        self.headers.get("retry-after")?.to_str().ok()?.parse().ok()
    }
}

fn unreachable(service: &str, url: &Url, error: anyhow::Error) -> crate::error::Error {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let cause = match error.downcast::<reqwest::Error>() {
        Ok(error) if error.is_timeout() => anyhow::anyhow!("no answer in time"),
        Ok(error) => anyhow::Error::new(error.without_url()),
        Err(error) => error,
    };
    ErrorKind::Unavailable
        .error(format!("cannot reach {service} at `{host}{port}`"))
        .because(cause)
        .hint("check the network, VPN and HTTPS_PROXY, then run it again")
}

/// Accepts `https`, and `http` on loopback only: everything else would carry tokens in the clear.
pub fn require_secure(url: &Url) -> Result<()> {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => Err(ErrorKind::Config
            .error(format!("`{url}` is not https"))
            .hint("use an https URL; plain http is for loopback addresses only")),
    }
}

mod rand_wait {
    use std::time::Duration;

    use ring::rand::{SecureRandom as _, SystemRandom};

    /// `200 ms * 1.618^(attempt + 1 + r)` with r in 0 to 1, as in cloud-sql-go-connector `retry.go`: 324-524 ms first.
    pub(super) fn back_off(attempt: u32) -> Duration {
        let mut byte = [0; 1];
        // Without randomness the waits are merely the same for everybody.
        let _ = SystemRandom::new().fill(&mut byte);
        let exponent = f64::from(attempt) + f64::from(byte[0]) / 256.0;
        Duration::from_millis(200).mul_f64(1.618_f64.powf(exponent))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn grows_within_the_connectors_bounds() {
            for (attempt, low, high) in [
                (1, 323, 525),
                (2, 523, 848),
                (3, 846, 1372),
                (4, 1370, 2220),
            ] {
                let wait = back_off(attempt).as_millis();
                assert!((low..=high).contains(&wait), "attempt {attempt}: {wait} ms");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_only_on_loopback() {
        for good in [
            "https://a.example/x",
            "http://127.0.0.1:9/",
            "http://[::1]:9/",
            "http://localhost/",
        ] {
            assert!(require_secure(&good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example/",
            "ftp://127.0.0.1/",
            "http://127.0.0.1.evil.example/",
        ] {
            assert!(require_secure(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_short_wait_is_waited_and_a_long_one_told() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        use crate::loopback::{Response, Server};

        for (retry_after, requests) in [("0", 2), ("1", 2), ("6", 1), ("soon", 1)] {
            let asked = AtomicUsize::new(0);
            let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
                0 => Response::new(429, "text/plain", "").header("retry-after", retry_after),
                _ => Response::new(200, "text/plain", ""),
            })
            .await;
            let http = HttpClient::new(Vec::new()).unwrap();
            let request = http.get(server.url().clone());
            let answer = http.send_idempotent("it", request).await.unwrap();
            assert_eq!(server.requests().len(), requests, "{retry_after}");
            assert_eq!(answer.status == 200, requests > 1, "{retry_after}");
        }
        let server =
            Server::start(|_| Response::new(429, "text/plain", "").header("retry-after", "0"))
                .await;
        let http = HttpClient::new(Vec::new()).unwrap();
        let request = http.get(server.url().clone());
        let answer = http.send_idempotent("it", request).await.unwrap();
        assert_eq!(answer.status, 429);
        assert_eq!(server.requests().len(), 5, "not for ever");
    }

    /// A server whose certificate a company's own CA has signed.
    #[cfg(feature = "sandbox")]
    #[tokio::test]
    async fn a_companys_own_ca_is_trusted_when_it_is_given() {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = ca.self_signed(&ca_key).unwrap().der().clone();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!(
            "https://localhost:{}/",
            listener.local_addr().unwrap().port()
        )
        .parse()
        .unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.unwrap();
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        let ask = async |roots| {
            let http = HttpClient::new(roots).unwrap();
            http.send("it", http.get(url.clone())).await
        };
        assert_eq!(ask(vec![root]).await.unwrap().status, 204);
        let error = ask(Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.causes().join(" ").contains("certificate"),
            "{error:?}"
        );
        server.abort();
    }
}
