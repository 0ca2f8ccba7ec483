//! CONNECT through an HTTP proxy (RFC 9110 section 9.3.6).

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::via::Place;
use crate::error::printable;
use crate::http::USER_AGENT;

/// A proxy's answer is a few hundred bytes.
const HEADER_LIMIT: usize = 16 * 1024;

/// Has the proxy connect to `place`. Names are sent as such.
///
/// Fails with what the proxy said, for after "the proxy".
pub(super) async fn connect(
    proxy: &mut (impl AsyncRead + AsyncWrite + Unpin),
    place: &Place,
) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("it broke off: {error}");
    let request =
        format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: {USER_AGENT}\r\n\r\n");
    proxy.write_all(request.as_bytes()).await.map_err(broken)?;
    // Byte by byte: what comes after the header is the instance's.
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        if header.len() == HEADER_LIMIT {
            return Err("it answers with too much".to_owned());
        }
        header.push(proxy.read_u8().await.map_err(broken)?);
    }
    let header = String::from_utf8_lossy(&header);
    let status_line = header.lines().next().unwrap_or_default();
    let mut words = status_line.splitn(3, ' ');
    let (version, status) = (words.next().unwrap_or_default(), words.next());
    let status = status.and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) if version.starts_with("HTTP/1.") => Ok(()),
        Some(407) => Err("it wants a password, and bsql has none".to_owned()),
        Some(_) if version.starts_with("HTTP/1.") => {
            Err(format!("it says of {place}: {}", printable(status_line)))
        }
        _ => Err("it does not speak HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(answer: &[u8]) -> (String, Result<(), String>, Vec<u8>) {
        let (mut client, mut proxy) = tokio::io::duplex(64 * 1024);
        proxy.write_all(answer).await.unwrap();
        proxy.shutdown().await.unwrap();
        let result = connect(&mut client, &Place::new("fd00::5", 3307)).await;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        drop(client);
        let mut sent = String::new();
        proxy.read_to_string(&mut sent).await.unwrap();
        (sent, result, rest)
    }

    #[tokio::test]
    async fn what_comes_after_the_header_is_the_instances() {
        let answer = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello";
        let (sent, result, rest) = ask(answer).await;
        assert_eq!(result, Ok(()));
        assert!(
            sent.starts_with("CONNECT [fd00::5]:3307 HTTP/1.1\r\nHost: [fd00::5]:3307\r\n"),
            "{sent}"
        );
        assert_eq!(rest, b"hello");
    }

    #[tokio::test]
    async fn refusals_and_nonsense() {
        for (answer, says) in [
            (
                &b"HTTP/1.1 403 Forbidden\x1b[2J\r\n\r\n"[..],
                "403 Forbidden\u{fffd}[2J",
            ),
            (b"HTTP/1.1 407 Authenticate\r\n\r\n", "wants a password"),
            (b"HTTP/1.1 200 OK\r\n", "broke off"),
            (b"SSH-2.0-OpenSSH_9\r\n\r\n", "does not speak HTTP"),
            (b"\r\n\r\n", "does not speak HTTP"),
        ] {
            let error = ask(answer).await.1.unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let flood = [b"HTTP/1.1 200 OK\r\n".to_vec(), vec![b'x'; 20_000]].concat();
        assert!(ask(&flood).await.1.unwrap_err().contains("too much"));
    }
}
