//! The local end of a tunnel: a Unix socket or a loopback port, and the connections that come in there.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpListener, TcpStream};

#[cfg(unix)]
use super::listener::SocketListener;
use super::peer::{Peer, Stranger};
use super::{Endpoint, Place, Protocol, tcp_owner};
use crate::error::{Error, ErrorKind, Result};

/// Listens for local programs.
#[derive(Debug)]
pub(super) enum Listener {
    #[cfg(unix)]
    Socket(SocketListener),
    Tcp(TcpListener, SocketAddr),
}

impl Listener {
    /// Must be called within the runtime.
    pub(super) fn bind(place: &Place, protocol: Protocol) -> Result<Self> {
        match place {
            #[cfg(unix)]
            Place::Private { runtime_dir } => {
                SocketListener::bind(runtime_dir, protocol).map(Self::Socket)
            }
            #[cfg(unix)]
            Place::Socket { dir, port } => SocketListener::bind_at(Endpoint::Unix {
                dir: dir.clone(),
                port: *port,
            })
            .map(Self::Socket),
            #[cfg(unix)]
            Place::SocketFile(file) => {
                SocketListener::bind_at(Endpoint::SocketFile(file.clone())).map(Self::Socket)
            }
            // Where there are none, a port does, with the same check of who dials in.
            #[cfg(not(unix))]
            Place::Private { .. } => bind_tcp(([127, 0, 0, 1], 0).into()),
            #[cfg(not(unix))]
            Place::Socket { dir: place, .. } | Place::SocketFile(place) => Err(ErrorKind::Usage
                .error(format!("cannot make the socket `{}`", place.display()))
                .because(anyhow::anyhow!(
                    "this system has no Unix sockets for tunnels"
                ))
                .hint("use a port: leave out --socket")),
            Place::Tcp(address) => bind_tcp(*address),
        }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            #[cfg(unix)]
            Self::Socket(listener) => listener.endpoint(),
            Self::Tcp(_, address) => Endpoint::Tcp(*address),
        }
    }

    /// Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            #[cfg(unix)]
            Self::Socket(listener) => listener.accept().await.map(Accepted::Unix),
            Self::Tcp(listener, _) => listener.accept().await.map(|(stream, _)| {
                // For short messages to leave at once; not worth failing for.
                let _ = stream.set_nodelay(true);
                Accepted::Tcp(stream)
            }),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> Result<Listener> {
    if !address.ip().is_loopback() {
        return Err(ErrorKind::Usage
            .error(format!("cannot listen on `{address}`"))
            .because(anyhow::anyhow!(
                "a tunnel is for programs of this machine alone"
            ))
            .hint("use 127.0.0.1"));
    }
    if !tcp_owner::KNOWN {
        return Err(ErrorKind::CannotCreate
            .error(format!("cannot listen on `{address}`"))
            .because(anyhow::anyhow!(
                "on this system bsql cannot tell whose programs dial in to a port"
            ))
            .hint("use the Unix socket: bsql tunnel NAME --socket"));
    }
    listen(address)
        .and_then(|listener| {
            let address = listener.local_addr()?;
            Ok(Listener::Tcp(listener, address))
        })
        .map_err(|error| port_refused(address, error))
}

/// As tokio's own `bind`, which is asynchronous for names only.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    // Connections of the last tunnel at this port may still be in TIME_WAIT; two that listen are refused all the same.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn port_refused(address: SocketAddr, error: io::Error) -> Error {
    let (cause, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            anyhow::anyhow!(whoever_has(address.port())),
            "give another port, or none",
        ),
        io::ErrorKind::PermissionDenied => (error.into(), "give a port above 1023, or none"),
        _ => (error.into(), "give another port, or none"),
    };
    ErrorKind::CannotCreate
        .error(format!("cannot listen on `{address}`"))
        .because(cause)
        .hint(hint)
}

#[cfg(target_os = "linux")]
fn whoever_has(port: u16) -> String {
    super::port_owner::listening_at(port).map_or_else(
        || "another program listens there".to_owned(),
        |listening| listening.to_string(),
    )
}

#[cfg(not(target_os = "linux"))]
fn whoever_has(_: u16) -> String {
    "another program listens there".to_owned()
}

/// A connection that has come in.
#[derive(Debug)]
pub(super) enum Accepted {
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Accepted {
    /// Who it is, if it is us: when the system does not say so, it is not. Asked before a byte is read.
    pub(super) fn peer(&self) -> std::result::Result<Peer, Stranger> {
        match self {
            #[cfg(unix)]
            Self::Unix(stream) => Peer::of_unix(stream),
            Self::Tcp(stream) => Peer::of_tcp(stream),
        }
    }
}

/// Runs `$body` on whichever stream it is.
macro_rules! either {
    ($accepted:expr, $stream:ident => $body:expr) => {
        match $accepted.get_mut() {
            #[cfg(unix)]
            Accepted::Unix($stream) => $body,
            Accepted::Tcp($stream) => $body,
        }
    };
}

impl AsyncRead for Accepted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_loopback_is_listened_on() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let place = Place::Tcp(address.parse().unwrap());
            let error = Listener::bind(&place, Protocol::Postgres).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{address}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_port_that_is_taken_is_told() {
        let first =
            Listener::bind(&Place::Tcp(([127, 0, 0, 1], 0).into()), Protocol::Postgres).unwrap();
        let Endpoint::Tcp(address) = first.endpoint() else {
            panic!("a port was asked for");
        };
        let error = Listener::bind(&Place::Tcp(address), Protocol::Postgres).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert_eq!(error.to_string(), format!("cannot listen on `{address}`"));
        let us = format!("(process {}) listens there", std::process::id());
        assert!(error.causes()[0].ends_with(&us), "{:?}", error.causes());
    }
}
