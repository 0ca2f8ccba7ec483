//! An HTTP server on loopback for unit tests: real sockets, answers from a closure, and a record of what was asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// What a client asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query as they came.
    pub(crate) target: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: String,
}

impl Request {
    /// The query or form parameters named `name`, decoded.
    pub(crate) fn query(&self, name: &str) -> Vec<String> {
        let (_, query) = self.target.split_once('?').unwrap_or_default();
        Self::parameters(query, name)
    }

    /// The fields of the form named `name`, decoded.
    pub(crate) fn form(&self, name: &str) -> Vec<String> {
        Self::parameters(&self.body, name)
    }

    fn parameters(encoded: &str, name: &str) -> Vec<String> {
        url::form_urlencoded::parse(encoded.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Response {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// The server; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    url: Url,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port and answers with what `answer` makes of each request.
    pub(crate) async fn start(
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let record = Arc::clone(&requests);
        let connected = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connected);
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            // Connections end with the set, which ends with this task.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
                        async move {
                            let request = read(request).await;
                            let response = answer(&request);
                            record.lock().unwrap().push(request);
                            let mut builder = hyper::Response::builder().status(response.status);
                            for (name, value) in response.headers {
                                builder = builder.header(name, value);
                            }
                            builder.body(Full::new(Bytes::from(response.body)))
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self {
            url,
            requests,
            connections: connected,
            task,
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(request: hyper::Request<Incoming>) -> Request {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Request {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}
