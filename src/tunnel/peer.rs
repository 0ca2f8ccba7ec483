//! Who is at the other end of a local connection?

use std::fmt;
use std::io;

use tokio::net::{TcpStream, UnixStream};

/// The user behind a connection, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// Not every system tells, and none for TCP.
    pub(super) pid: Option<i32>,
}

impl Peer {
    /// As the kernel noted it at `connect(2)`.
    pub(super) fn of_unix(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self {
            uid: credentials.uid(),
            pid: credentials.pid(),
        })
    }

    /// The owner of the socket at the other end, which must be on this machine and still open.
    #[cfg(target_os = "linux")]
    pub(super) fn of_tcp(stream: &TcpStream) -> io::Result<Self> {
        let uid = super::tcp_owner::owner_of(stream.peer_addr()?, stream.local_addr()?)?;
        Ok(Self { uid, pid: None })
    }

    /// Other systems tell only through calls that are not memory safe; [`super::Place::Tcp`] is refused there already.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of_tcp(_: &TcpStream) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Only the user who runs bsql may dial in. Root is a stranger like any other, unless bsql itself runs as root: what
    /// the tunnel lends out is a person's own identity.
    pub(super) fn is_us(self) -> bool {
        self.is(rustix::process::geteuid().as_raw())
    }

    fn is(self, uid: u32) -> bool {
        self.uid == uid
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
    /// Somebody of whom the kernel does not say who they are: in a container or a virtual machine, or gone already.
    Unknown(String),
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { uid, pid: None } => write!(f, "user {uid}"),
            Self::User {
                uid,
                pid: Some(pid),
            } => write!(f, "user {uid} (process {pid})"),
            Self::Unknown(why) => write!(f, "somebody whom the kernel does not name: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_names_us() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of_unix(&one).unwrap();
        assert!(peer.is_us());
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
    }

    #[test]
    fn root_is_a_stranger_to_a_person() {
        let root = Peer { uid: 0, pid: None };
        assert!(!root.is(1000));
        assert!(root.is(0));
        assert!(!Peer { uid: 1000, ..root }.is(0));
    }
}
