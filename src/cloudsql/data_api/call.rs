//! The gRPC call that a session is: requests one way, responses the other, and a status at its end.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use super::frame::{Deframer, Response, Status};
use crate::error::printable;

/// For what the service sends before bsql has passed it on. HTTP/2's own 64 KiB would make every far instance slow.
const WINDOW: u32 = 1024 * 1024;
/// `google.rpc.Code`.
const PERMISSION_DENIED: u64 = 7;
const UNAVAILABLE: u64 = 14;
const UNAUTHENTICATED: u64 = 16;

/// Why a call is over.
#[derive(Debug)]
pub(super) enum End {
    /// The service says so.
    Status(Status),
    /// It was broken off, or what came makes no sense.
    Broken(String),
}

impl From<h2::Error> for End {
    fn from(error: h2::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Both halves of a call, and what moves the bytes of its connection.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) requests: Requests,
    pub(super) responses: Responses,
    pub(super) connection: AbortOnDropHandle<()>,
}

impl Call {
    /// Starts the call on a connection of its own.
    pub(super) async fn start(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<()>,
    ) -> Result<Self, End> {
        let (client, connection): (SendRequest<Bytes>, _) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .enable_push(false)
            .handshake(io)
            .await?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the SQL Data service ended");
            }
        }));
        let (head, stream) = client.ready().await?.send_request(request, false)?;
        Ok(Self {
            requests: Requests(stream),
            responses: Responses {
                head: Some(head),
                body: None,
                deframer: Deframer::default(),
            },
            connection,
        })
    }
}

/// What bsql sends.
#[derive(Debug)]
pub(super) struct Requests(SendStream<Bytes>);

impl Requests {
    /// Sends a whole message, as fast as the service takes it.
    pub(super) async fn send(&mut self, mut message: Bytes) -> Result<(), End> {
        while !message.is_empty() {
            self.0.reserve_capacity(message.len());
            let capacity = poll_fn(|cx| self.0.poll_capacity(cx)).await;
            let Some(capacity) = capacity.transpose()? else {
                return Err(End::Broken("the service takes no more".to_owned()));
            };
            let part = message.split_to(capacity.min(message.len()));
            self.0.send_data(part, false)?;
        }
        Ok(())
    }

    /// There will be no more.
    pub(super) fn end(&mut self) -> Result<(), End> {
        Ok(self.0.send_data(Bytes::new(), true)?)
    }
}

/// What the service sends.
#[derive(Debug)]
pub(super) struct Responses {
    /// Until it has come.
    head: Option<ResponseFuture>,
    body: Option<RecvStream>,
    deframer: Deframer,
}

impl Responses {
    /// The next message; `None` when the call has ended well. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Response>, End> {
        if let Some(head) = &mut self.head {
            let response = head.await?;
            self.head = None;
            check(&response)?;
            self.body = Some(response.into_body());
        }
        let body = self.body.as_mut().expect("the head has come");
        loop {
            match self
                .deframer
                .next()
                .map(|message| message.as_ref().map(Response::read))
            {
                Ok(Some(Ok(response))) => return Ok(Some(response)),
                Ok(None) => {}
                Ok(Some(Err(problem))) | Err(problem) => {
                    return Err(End::Broken(format!("the service's answer is {problem}")));
                }
            }
            let Some(bytes) = body.data().await.transpose()? else {
                let trailers = body.trailers().await?;
                return match trailers.as_ref().and_then(status) {
                    Some(Status { code: 0, .. }) => Ok(None),
                    Some(status) => Err(End::Status(status)),
                    None => Err(End::Broken("the service's answer has no end".to_owned())),
                };
            };
            // What a slow client leaves unread stays in the pipe to it, and this is not called again before it is read.
            body.flow_control().release_capacity(bytes.len())?;
            self.deframer.push(&bytes);
        }
    }
}

/// An answer without a body has the status in its head.
fn check(response: &http::Response<RecvStream>) -> Result<(), End> {
    let headers = response.headers();
    if let Some(status) = status(headers) {
        return Err(End::Status(status));
    }
    let grpc = headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if response.status() == StatusCode::OK && grpc {
        return Ok(());
    }
    let answer = format!("HTTP status {}", response.status().as_u16());
    // As gRPC's definition has it for what stands in front of a service.
    let code = match response.status().as_u16() {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        429 | 502..=504 => UNAVAILABLE,
        _ => return Err(End::Broken(format!("what answers is not gRPC: {answer}"))),
    };
    Err(End::Status(Status {
        code,
        message: answer,
    }))
}

fn status(headers: &HeaderMap) -> Option<Status> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let message = headers
        .get("grpc-message")
        .map(|text| decoded(text.as_bytes()));
    Some(Status {
        code,
        message: message.unwrap_or_default(),
    })
}

/// Percent-decoded, and fit for a terminal.
fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| byte == b'%');
        let hex = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        if let Some(encoded) = hex {
            bytes.push(encoded);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    printable(&String::from_utf8_lossy(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_were_encoded() {
        for (encoded, text) in [
            (
                "unsupported instance edition: ENTERPRISE",
                "unsupported instance edition: ENTERPRISE",
            ),
            ("a%20%C3%A9%", "a \u{e9}%"),
            ("%zz%4", "%zz%4"),
            ("", ""),
        ] {
            assert_eq!(decoded(encoded.as_bytes()), text);
        }
        assert!(!decoded(b"%1b[2J").contains('\x1b'));
    }
}
