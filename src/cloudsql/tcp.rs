//! TCP to where an instance is: straight, or through a proxy. Every step has its time, and a failure says which it was.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::via::Place;
use super::{http_connect, socks};

/// For a name server that is far away, or for the second one if the first is gone.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// A packet that is dropped on the way is not answered; a slow network still is within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Before the next address of a name is tried as well (RFC 8305 section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// For a proxy to connect, and to say so.
const PROXY_TIMEOUT: Duration = Duration::from_secs(15);
/// As Google's connectors. Idle connections through NAT are forgotten after some minutes.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A proxy, by what it speaks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proxy<'a> {
    Socks5(&'a Place),
    Http(&'a Place),
}

impl Proxy<'_> {
    pub(super) fn name(self) -> String {
        match self {
            Self::Socks5(place) => format!("the SOCKS proxy at {place}"),
            Self::Http(place) => format!("the HTTP proxy at {place}"),
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody can be reached, and this is what was tried.
    Unreachable(String),
    /// The proxy itself cannot be.
    NoProxy(String),
    /// The proxy says no.
    ByProxy(String),
}

/// Connects straight to `place`, to whichever of its addresses answers first.
pub(super) async fn direct(place: &Place) -> Result<TcpStream, String> {
    let addresses = match place.host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, place.port)],
        Err(_) => look_up(place).await?,
    };
    let tcp = match timeout(CONNECT_TIMEOUT, first_of(addresses)).await {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(format!("TCP to {place} was refused"));
        }
        Ok(Err(error)) => return Err(format!("TCP to {place} failed: {error}")),
        Err(_) => {
            return Err(format!(
                "TCP to {place} timed out after {} s",
                CONNECT_TIMEOUT.as_secs()
            ));
        }
    };
    tune(&tcp);
    Ok(tcp)
}

/// Whether the place's name has an address.
pub(super) async fn is_known(place: &Place) -> bool {
    look_up(place).await.is_ok()
}

/// Connects to `place` through a proxy.
pub(super) async fn through(proxy: Proxy<'_>, place: &Place) -> Result<TcpStream, Failure> {
    let (Proxy::Socks5(at) | Proxy::Http(at)) = proxy;
    let mut tcp = direct(at).await.map_err(Failure::NoProxy)?;
    let asking = async {
        match proxy {
            Proxy::Socks5(_) => socks::connect(&mut tcp, place).await,
            Proxy::Http(_) => http_connect::connect(&mut tcp, place).await,
        }
    };
    match timeout(PROXY_TIMEOUT, asking).await {
        Ok(Ok(())) => Ok(tcp),
        Ok(Err(problem)) => Err(Failure::ByProxy(problem)),
        Err(_) => Err(Failure::ByProxy(format!(
            "it did not connect to {place} within {} s",
            PROXY_TIMEOUT.as_secs()
        ))),
    }
}

async fn look_up(place: &Place) -> Result<Vec<SocketAddr>, String> {
    let host = &place.host;
    let asking = tokio::net::lookup_host((host.as_str(), place.port));
    let found = match timeout(LOOKUP_TIMEOUT, asking).await {
        Ok(Ok(found)) => in_turn(found.collect()),
        Ok(Err(error)) => return Err(format!("the name {host} cannot be looked up: {error}")),
        Err(_) => {
            return Err(format!(
                "looking up the name {host} timed out after {} s",
                LOOKUP_TIMEOUT.as_secs()
            ));
        }
    };
    if found.is_empty() {
        return Err(format!("the name {host} has no address"));
    }
    Ok(found)
}

/// The families by turns, beginning with the one that the system prefers (RFC 8305 section 4).
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return addresses;
    };
    let preferred = first.is_ipv6();
    let (ones, others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == preferred);
    let mut others = others.into_iter();
    let mut all = Vec::new();
    for one in ones {
        all.push(one);
        all.extend(others.next());
    }
    all.extend(others);
    all
}

/// The first that answers. Each gets a start on the next, unless it fails before.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    // As most often: no need for tasks of their own.
    if let [address] = addresses[..] {
        return TcpStream::connect(address).await;
    }
    let mut waiting = addresses.into_iter();
    let mut trying = JoinSet::new();
    let mut failure = None;
    loop {
        if let Some(address) = waiting.next() {
            trying.spawn(TcpStream::connect(address));
        }
        let more = !waiting.as_slice().is_empty();
        let ended = tokio::select! {
            ended = trying.join_next() => ended,
            () = sleep(NEXT_ADDRESS), if more => continue,
        };
        match ended {
            Some(Ok(Ok(tcp))) => return Ok(tcp),
            // The first failure is that of the preferred address.
            Some(Ok(Err(error))) => failure = failure.or(Some(error)),
            Some(Err(error)) => failure = failure.or(Some(io::Error::other(error))),
            None if !more => {
                return Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
            }
            None => {}
        }
    }
}

/// For short messages to leave at once, and for idle connections to be kept. Neither is worth failing for.
fn tune(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    #[cfg(unix)]
    {
        use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl};
        let _ = set_socket_keepalive(tcp, true);
        let _ = set_tcp_keepidle(tcp, KEEPALIVE);
        let _ = set_tcp_keepintvl(tcp, KEEPALIVE);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn families_by_turns() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 1);
        let mixed = ["::1", "::2", "::3", "127.0.0.1", "127.0.0.2"].map(address);
        let turned = in_turn(mixed.to_vec());
        let expected = ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"].map(address);
        assert_eq!(turned, expected);
        assert!(in_turn(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn the_address_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let refused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bad = refused.local_addr().unwrap();
        drop(refused);
        // 192.0.2.1 (RFC 5737) answers nobody, or there is no way there.
        let silent = SocketAddr::new("192.0.2.1".parse().unwrap(), 3307);
        for addresses in [vec![good], vec![bad, good], vec![silent, bad, good]] {
            let tcp = first_of(addresses).await.unwrap();
            assert_eq!(tcp.peer_addr().unwrap(), good);
        }
        let error = first_of(vec![bad, bad]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        first_of(Vec::new()).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_name_that_nobody_has() {
        let error = direct(&Place::new("nobody.invalid", 3307))
            .await
            .unwrap_err();
        assert!(error.contains("nobody.invalid"), "{error}");
    }
}
