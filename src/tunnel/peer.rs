//! Who is at the other end of a local connection?

use std::fmt;
use std::io;

use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::tcp_owner::{self, Owner};

/// A program of the user who runs bsql. Nobody else may dial in, and root is a stranger like any other, unless bsql itself
/// runs as root: what the tunnel lends out is a person's own identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its process; not every system tells, and Linux not for TCP.
    pub(super) pid: Option<u32>,
}

impl Peer {
    /// As the kernel noted it at `connect(2)`.
    #[cfg(unix)]
    pub(super) fn of_unix(stream: &UnixStream) -> Result<Self, Stranger> {
        let credentials = stream.peer_cred().map_err(Stranger::unknown)?;
        let us = rustix::process::geteuid().as_raw();
        Self::admitted(credentials.uid(), us, credentials.pid())
    }

    #[cfg(unix)]
    fn admitted(uid: u32, us: u32, pid: Option<i32>) -> Result<Self, Stranger> {
        if uid != us {
            return Err(Stranger::User { uid, pid });
        }
        Ok(Self {
            pid: pid.and_then(|pid| pid.try_into().ok()),
        })
    }

    /// The owner of the socket at the other end, which must be on this machine and still open.
    pub(super) fn of_tcp(stream: &TcpStream) -> Result<Self, Stranger> {
        let ends = stream
            .peer_addr()
            .and_then(|peer| Ok((peer, stream.local_addr()?)));
        let owner = ends.and_then(|(peer, local)| tcp_owner::whose(peer, local));
        match owner.map_err(Stranger::unknown)? {
            Owner::Us(pid) => Ok(Self { pid }),
            #[cfg(target_os = "linux")]
            Owner::User(uid) => Err(Stranger::User { uid, pid: None }),
            #[cfg(windows)]
            Owner::Process(pid) => Err(Stranger::Process(pid)),
        }
    }
}

/// Who was turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stranger {
    /// Another user of this machine.
    User {
        /// Their user id.
        uid: u32,
        /// Their process, where the system tells.
        pid: Option<i32>,
    },
    /// Another user's process, on a system that does not count its users.
    Process(u32),
    /// Somebody of whom the kernel does not say who they are: in a container or a virtual machine, or gone already.
    Unknown(String),
}

impl Stranger {
    fn unknown(why: io::Error) -> Self {
        Self::Unknown(why.to_string())
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { uid, pid: None } => write!(f, "user {uid}"),
            Self::User {
                uid,
                pid: Some(pid),
            } => write!(f, "user {uid} (process {pid})"),
            Self::Process(pid) => write!(f, "another user (process {pid})"),
            Self::Unknown(why) => write!(f, "somebody whom the kernel does not name: {why}"),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_names_us() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of_unix(&one).unwrap();
        if cfg!(any(target_os = "linux", target_os = "macos")) {
            assert_eq!(peer.pid, Some(std::process::id()));
        }
    }

    #[test]
    fn root_is_a_stranger_to_a_person() {
        let root = Stranger::User { uid: 0, pid: None };
        assert_eq!(Peer::admitted(0, 1000, None), Err(root));
        assert_eq!(Peer::admitted(0, 0, Some(7)), Ok(Peer { pid: Some(7) }));
        let stranger = Peer::admitted(1000, 0, Some(7)).unwrap_err();
        assert_eq!(stranger.to_string(), "user 1000 (process 7)");
    }
}
