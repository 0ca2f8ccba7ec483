//! SOCKS 5 (RFC 1928), as much of it as a client needs that connects and has no password.

use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::via::Place;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Has the proxy connect to `place`. Names are sent as such: the proxy may know more than this machine.
///
/// Fails with what the proxy said, for after "the proxy".
pub(super) async fn connect(
    proxy: &mut (impl AsyncRead + AsyncWrite + Unpin),
    place: &Place,
) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("it broke off: {error}");
    proxy
        .write_all(&[VERSION, 1, NO_AUTHENTICATION])
        .await
        .map_err(broken)?;
    let mut chosen = [0; 2];
    proxy.read_exact(&mut chosen).await.map_err(broken)?;
    match chosen {
        [VERSION, NO_AUTHENTICATION] => {}
        [VERSION, _] => return Err("it wants a password, and bsql has none".to_owned()),
        _ => return Err("it does not speak SOCKS 5".to_owned()),
    }
    proxy.write_all(&request(place)?).await.map_err(broken)?;
    let mut answer = [0; 4];
    proxy.read_exact(&mut answer).await.map_err(broken)?;
    let [VERSION, reply, _, kind] = answer else {
        return Err("it does not speak SOCKS 5".to_owned());
    };
    if reply != 0 {
        return Err(format!("it says of {place}: {}", meaning(reply)));
    }
    // Where it connects from; of no interest, but it has to be read.
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(proxy.read_u8().await.map_err(broken)?),
        _ => return Err("it does not speak SOCKS 5".to_owned()),
    };
    let mut rest = vec![0; length + 2];
    proxy.read_exact(&mut rest).await.map_err(broken)?;
    Ok(())
}

fn request(place: &Place) -> Result<Vec<u8>, String> {
    let mut request = vec![VERSION, CONNECT, 0];
    match place.host.parse() {
        Ok(IpAddr::V4(ip)) => {
            request.push(IPV4);
            request.extend(ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(IPV6);
            request.extend(ip.octets());
        }
        Err(_) => {
            let length = u8::try_from(place.host.len())
                .map_err(|_| format!("the name {} is too long for it", place.host))?;
            request.extend([NAME, length]);
            request.extend(place.host.bytes());
        }
    }
    request.extend(place.port.to_be_bytes());
    Ok(request)
}

/// RFC 1928 section 6.
fn meaning(reply: u8) -> String {
    match reply {
        1 => "general failure".to_owned(),
        2 => "its rules do not allow that".to_owned(),
        3 => "the network cannot be reached".to_owned(),
        4 => "the host cannot be reached".to_owned(),
        5 => "the connection was refused".to_owned(),
        6 => "it took too long".to_owned(),
        other => format!("error {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a proxy is sent that answers with `answers`, and what comes of it.
    async fn ask(place: &Place, answers: &[u8]) -> (Vec<u8>, Result<(), String>) {
        let (mut client, mut proxy) = tokio::io::duplex(1024);
        proxy.write_all(answers).await.unwrap();
        proxy.shutdown().await.unwrap();
        let result = connect(&mut client, place).await;
        drop(client);
        let mut sent = Vec::new();
        proxy.read_to_end(&mut sent).await.unwrap();
        (sent, result)
    }

    #[tokio::test]
    async fn addresses_and_names() {
        for (host, asked) in [
            ("10.0.0.5", &[5, 1, 0, 1, 10, 0, 0, 5, 12, 235][..]),
            ("a.b", &[5, 1, 0, 3, 3, b'a', b'.', b'b', 12, 235]),
            (
                "::1",
                &[
                    5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 12, 235,
                ],
            ),
        ] {
            let place = Place::new(host, 3307);
            let good = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            let (sent, result) = ask(&place, &good).await;
            assert_eq!(result, Ok(()));
            assert_eq!(&sent[..3], [5, 1, 0]);
            assert_eq!(&sent[3..], asked, "{host}");
        }
        let named = [5, 0, 5, 0, 0, 3, 1, b'x', 0, 0];
        assert_eq!(ask(&Place::new("a", 1), &named).await.1, Ok(()));
    }

    #[tokio::test]
    async fn refusals_and_nonsense() {
        let place = Place::new("10.0.0.5", 3307);
        for (answers, says) in [
            (&[5, 0xff][..], "wants a password"),
            (
                &[5, 0, 5, 4, 0, 1],
                "10.0.0.5:3307: the host cannot be reached",
            ),
            (&[5, 0, 5, 2, 0, 1], "its rules do not allow that"),
            (&[5, 0, 5, 99, 0, 1], "error 99"),
            (&[5, 0, 5, 0, 0, 9], "does not speak SOCKS 5"),
            (b"HTTP/1.1 400", "does not speak SOCKS 5"),
            (&[5], "broke off"),
            (&[5, 0, 5, 0, 0, 1, 0], "broke off"),
        ] {
            let error = ask(&place, answers).await.1.unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let long = Place::new("a".repeat(256), 1);
        assert!(
            ask(&long, &[5, 0])
                .await
                .1
                .unwrap_err()
                .contains("too long")
        );
    }
}
