//! `/health` and `/metrics` for whoever watches over tunnels.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::{PATIENCE, Report, metrics};

/// A scraper or two, and somebody who looks.
const MOST: usize = 32;

/// Answers over HTTP with what `reports` says of the tunnels that are open. Never completes; dropped, it answers no more.
///
/// `/health` is 200 while at least one tunnel is open, else 503. There is nothing here that changes anything.
pub async fn serve_http(
    listener: TcpListener,
    reports: impl Fn() -> Vec<Report> + Clone + Send + Sync + 'static,
) {
    let connections = TaskTracker::new();
    let local = listener
        .local_addr()
        .is_ok_and(|address| address.ip().is_loopback());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept over HTTP");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        if connections.len() >= MOST {
            tracing::warn!("too many over HTTP at a time");
            continue;
        }
        let reports = reports.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = if local && !names_this_machine(&request) {
                    plain(StatusCode::FORBIDDEN, "by 127.0.0.1 or localhost only\n")
                } else {
                    answer(request.method(), request.uri().path(), &reports())
                };
                async { Ok::<_, Infallible>(answer) }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = serving.await {
                tracing::debug!(%error, "an HTTP client left");
            }
        });
    }
}

/// A page in somebody's browser may have had its own name point here, to read what the browser gets.
fn names_this_machine(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok()
}

fn answer(method: &Method, path: &str, reports: &[Report]) -> Response<Full<Bytes>> {
    if !matches!(method, &Method::GET | &Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match path {
        "/health" => {
            let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
            let status = if names.is_empty() {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            };
            let text = serde_json::json!({ "version": 1, "open": names }).to_string() + "\n";
            response(status, "application/json", text)
        }
        "/metrics" => response(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics::text(reports),
        ),
        _ => plain(StatusCode::NOT_FOUND, "there are /health and /metrics\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", text.to_owned())
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::super::report::tests::report;
    use super::*;

    async fn get(path: &str, reports: Vec<Report>) -> String {
        get_by("127.0.0.1:9187", path, reports).await
    }

    async fn get_by(host: &str, path: &str, reports: Vec<Report>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve_http(listener, move || reports.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        serving.abort();
        answer
    }

    #[tokio::test]
    async fn health_and_metrics_and_nothing_else() {
        let health = get("/health", vec![report()]).await;
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        assert!(health.ends_with("{\"open\":[\"payments-staging\"],\"version\":1}\n"));
        assert!(get("/health", vec![]).await.starts_with("HTTP/1.1 503"));
        let metrics = get("/metrics", vec![report()]).await;
        assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("\nbsql_tunnel_connections_open{"));
        assert!(get("/", vec![]).await.starts_with("HTTP/1.1 404"));
        for (host, status) in [
            ("localhost:9187", 200),
            ("localhost", 200),
            ("[::1]:9187", 200),
            ("evil.example", 403),
            ("127.0.0.1.evil.example:9187", 403),
        ] {
            let answer = get_by(host, "/health", vec![report()]).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{host}: {answer}"
            );
        }
        let post = answer(&Method::POST, "/metrics", &[]);
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
