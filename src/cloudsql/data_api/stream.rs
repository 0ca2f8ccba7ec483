//! A session as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, ReadHalf,
    WriteHalf,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::call::{Call, End, Requests, Responses};
use super::frame::{self, Response};

/// Between bsql's client and the session, each way.
const PIPE: usize = 256 * 1024;
/// Of the client's bytes in one message.
const PACKET: usize = 64 * 1024;
/// How many of the client's bytes may be on their way, with a service that says which have come.
const UNACKNOWLEDGED: u64 = 16 * 1024 * 1024;
/// For the last messages of a session that its client has left.
const LINGER: Duration = Duration::from_secs(2);

/// A stream to the instance's database.
#[derive(Debug)]
pub struct SqlDataStream {
    pipe: DuplexStream,
    /// Moves the bytes; says in the end why there are no more.
    session: Option<JoinHandle<Result<(), End>>>,
    _left: DropGuard,
}

impl SqlDataStream {
    /// Goes on with a call whose `first` response has come already, if it has. The session is one of `sessions`.
    pub(super) fn new(call: Call, first: Option<Response>, sessions: &TaskTracker) -> Self {
        let (pipe, end) = tokio::io::duplex(PIPE);
        let left = CancellationToken::new();
        let session = sessions.spawn(run(call, first, end, left.clone()));
        Self {
            pipe,
            session: Some(session),
            _left: left.drop_guard(),
        }
    }

    /// Why there are no more bytes.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(session) = &mut self.session else {
            return Poll::Ready(Ok(()));
        };
        let ended = ready!(Pin::new(session).poll(cx));
        self.session = None;
        Poll::Ready(match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(End::Status(status))) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                format!(
                    "the SQL Data service ended the session: status {}: {}",
                    status.code, status.message
                ),
            )),
            Ok(Err(End::Broken(problem))) => Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                format!("the session with the SQL Data service was broken off: {problem}"),
            )),
            Err(error) => Err(io::Error::other(error)),
        })
    }
}

impl AsyncRead for SqlDataStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.pipe).poll_read(cx, buf))?;
        if buf.filled().len() == before && buf.remaining() > 0 {
            return self.poll_end(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SqlDataStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.pipe).poll_write(cx, buf)) {
            Ok(written) => Poll::Ready(Ok(written)),
            // The session is over, and knows better why.
            Err(error) => {
                ready!(self.poll_end(cx))?;
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// Moves bytes until the service ends the session, or the client has left.
async fn run(
    call: Call,
    first: Option<Response>,
    pipe: DuplexStream,
    left: CancellationToken,
) -> Result<(), End> {
    let (from_client, to_client) = tokio::io::split(pipe);
    let Call {
        requests,
        responses,
        connection,
    } = call;
    // How many of the instance's bytes have come, and of the client's at the service, if it says so.
    let (received, to_acknowledge) = watch::channel(0);
    let (acknowledged, known) = watch::channel(None);
    let mut up = Box::pin(upload(from_client, requests, to_acknowledge, known, &left));
    let mut down = Box::pin(download(
        to_client,
        responses,
        first,
        received,
        acknowledged,
    ));
    let ended = tokio::select! {
        ended = &mut down => ended,
        // Whoever cannot send hears why, if at all, from the other half.
        sent = &mut up => match timeout(LINGER, &mut down).await {
            Ok(ended) => ended,
            Err(_) => sent,
        },
        () = left.cancelled() => {
            let _ = timeout(LINGER, async {
                tokio::select! {
                    _ = &mut up => {}
                    _ = &mut down => {}
                }
            })
            .await;
            Ok(())
        }
    };
    drop(connection);
    ended
}

/// Until the service ends the session: that the client has no more to say is not the end.
async fn upload(
    mut client: ReadHalf<DuplexStream>,
    mut service: Requests,
    mut to_acknowledge: watch::Receiver<u64>,
    mut known: watch::Receiver<Option<u64>>,
    left: &CancellationToken,
) -> Result<(), End> {
    let mut buffer = vec![0; PACKET];
    let mut sent: u64 = 0;
    loop {
        // Not every service says what has come: then HTTP/2 alone sees to it that no more is sent than it takes.
        let waiting = known
            .borrow_and_update()
            .map_or(0, |known| sent.saturating_sub(known));
        tokio::select! {
            read = client.read(&mut buffer), if waiting < UNACKNOWLEDGED => {
                let read = read.map_err(|error| End::Broken(error.to_string()))?;
                if read == 0 {
                    break;
                }
                let news = to_acknowledge.has_changed().unwrap_or(false);
                let news = news.then(|| *to_acknowledge.borrow_and_update());
                service.send(frame::data(sent, &buffer[..read], news)).await?;
                sent += read as u64;
            }
            changed = to_acknowledge.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let received = *to_acknowledge.borrow_and_update();
                service.send(frame::ack(received)).await?;
            }
            changed = known.changed(), if waiting >= UNACKNOWLEDGED => {
                if changed.is_err() {
                    return Ok(());
                }
            }
        }
    }
    if left.is_cancelled() {
        service.send(frame::terminate()).await?;
    }
    service.end()?;
    std::future::pending().await
}

async fn download(
    mut client: WriteHalf<DuplexStream>,
    mut service: Responses,
    first: Option<Response>,
    received: watch::Sender<u64>,
    acknowledged: watch::Sender<Option<u64>>,
) -> Result<(), End> {
    let mut so_far = 0;
    let mut next = first;
    loop {
        let response = match next.take() {
            Some(response) => response,
            None => match service.next().await? {
                Some(response) => response,
                None => return Ok(()),
            },
        };
        if response.received.is_some() {
            acknowledged.send_replace(response.received);
        }
        if let Some((offset, bytes)) = response.data {
            so_far = take(&mut client, so_far, offset, &bytes).await?;
            received.send_replace(so_far);
        }
        match response.terminated {
            Some(status) if status.code == 0 => return Ok(()),
            Some(status) => return Err(End::Status(status)),
            None => {}
        }
    }
}

/// Passes bytes on, which have to be the next ones. An offset of 0 is that of a service that does not count.
async fn take(
    client: &mut WriteHalf<DuplexStream>,
    so_far: u64,
    offset: u64,
    bytes: &Bytes,
) -> Result<u64, End> {
    if offset != so_far && offset != 0 {
        return Err(End::Broken(format!(
            "byte {offset} came where {so_far} should"
        )));
    }
    // Where the client has left, the bytes are nobody's.
    let _ = client.write_all(bytes).await;
    Ok(so_far + bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tokio::io::duplex;

    use super::*;

    /// What bsql's client reads when the service sends these messages, and then no more.
    async fn read(messages: &'static [&'static [u8]]) -> io::Result<Vec<u8>> {
        let (near, far) = duplex(PIPE);
        let service = tokio::spawn(async move {
            let mut connection = h2::server::handshake(far).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let head = http::Response::builder().header("content-type", "application/grpc");
            let mut out = respond
                .send_response(head.body(()).unwrap(), false)
                .unwrap();
            for message in messages {
                let length = u8::try_from(message.len()).unwrap();
                let framed = [&[0, 0, 0, 0, length], *message].concat();
                out.send_data(framed.into(), false).unwrap();
            }
            while connection.accept().await.is_some() {}
        });
        let request = Request::post("http://localhost/method").body(()).unwrap();
        let call = Call::start(near, request).await.unwrap();
        let mut stream = SqlDataStream::new(call, None, &TaskTracker::new());
        let mut bytes = Vec::new();
        let ended = timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await;
        service.abort();
        ended.expect("the session ends").map(|_| bytes)
    }

    #[tokio::test]
    async fn the_service_ends_the_session() {
        // Twice two bytes, an acknowledgement between them, and a good end.
        let bytes = read(&[
            b"\x22\x04\x12\x02ab",
            b"\x12\x02\x08\x05",
            b"\x22\x06\x08\x02\x12\x02cd",
            b"\x2a\x02\x0a\0",
        ]);
        assert_eq!(bytes.await.unwrap(), b"abcd");
        let error = read(&[b"\x22\x04\x12\x02ab", b"\x2a\x08\x0a\x06\x08\x08\x12\x02no"]);
        assert_eq!(
            error.await.unwrap_err().to_string(),
            "the SQL Data service ended the session: status 8: no"
        );
    }

    #[tokio::test]
    async fn bytes_that_are_not_the_next_ones() {
        let lost = read(&[b"\x22\x04\x12\x02ab", b"\x22\x06\x08\x03\x12\x02cd"]);
        let error = lost.await.unwrap_err().to_string();
        assert!(error.ends_with("byte 3 came where 2 should"), "{error}");
        let nonsense = read(&[b"\x22\x7f"]).await.unwrap_err().to_string();
        assert!(nonsense.ends_with("not a protocol buffer"), "{nonsense}");
    }
}
