//! What the sandbox's servers share: an address on loopback, an end, and opaque secrets.

use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::error::{ErrorKind, Result, ResultExt as _};

/// How long requests under way may take after the end was called. Nothing here takes longer than a few milliseconds, but
/// browsers keep connections open on which they never ask anything.
const GRACE: Duration = Duration::from_millis(500);

/// A port on loopback that nobody answers yet: a server may have to know its own address.
#[derive(Debug)]
pub(super) struct Bound {
    listener: TcpListener,
    url: Url,
}

impl Bound {
    /// A free port on 127.0.0.1.
    pub(super) async fn loopback() -> Result<Self> {
        let cannot = || "cannot open a port for the sandbox";
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .or_fail(ErrorKind::CannotCreate, cannot)?;
        let address = listener
            .local_addr()
            .or_fail(ErrorKind::CannotCreate, cannot)?;
        let url = format!("http://{address}/")
            .parse()
            .expect("a socket address makes a URL");
        Ok(Self { listener, url })
    }

    /// The address, with `/` as its path.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Answers with `router` until `stop`. The task ends soon after it, whatever the clients do.
    pub(super) fn serve(self, router: Router, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let serving = axum::serve(self.listener, router)
                .with_graceful_shutdown(stop.clone().cancelled_owned());
            let out_of_time = async {
                stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                result = serving => {
                    if let Err(error) = result {
                        tracing::warn!(%error, "stopped serving");
                    }
                }
                () = out_of_time => {}
            }
        })
    }
}

/// Serves `router` on a free port of 127.0.0.1 until `stop`, for servers that need not know their own address.
pub(super) async fn serve(
    router: Router,
    stop: CancellationToken,
) -> Result<(Url, JoinHandle<()>)> {
    let bound = Bound::loopback().await?;
    let url = bound.url().clone();
    Ok((url, bound.serve(router, stop)))
}

/// A new opaque secret of 256 bits. The prefix is what tests look for in outputs and logs.
pub(super) fn opaque_secret() -> String {
    format!("sbx-secret-{}", URL_SAFE_NO_PAD.encode(random::<32>()))
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system has randomness");
    bytes
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1); the scheme is case-insensitive.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpStream;

    use super::*;
    use crate::http::HttpClient;

    #[tokio::test]
    async fn serves_until_told_to_stop_though_a_client_dawdles() {
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(|| async { "here" }));
        let (url, task) = serve(router, stop.clone()).await.unwrap();
        let client = HttpClient::new(Vec::new()).unwrap();
        let answer = client.send("it", client.get(url.clone())).await.unwrap();
        assert_eq!(answer.body(), b"here");

        let address = url.socket_addrs(|| None).unwrap()[0];
        let mut dawdler = TcpStream::connect(address).await.unwrap();
        stop.cancel();
        task.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
        // It may have been let go with or without a reset, but it is let go.
        let _ = dawdler.read(&mut [0; 1]).await;
    }

    #[test]
    fn bearer_tokens_only() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("Bearer"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn secrets_are_marked_and_differ() {
        let (one, other) = (opaque_secret(), opaque_secret());
        assert!(one.starts_with("sbx-secret-") && one.len() == 11 + 43);
        assert_ne!(one, other);
    }
}
