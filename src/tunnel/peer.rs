//! Who is at the other end of a local socket?

use tokio::net::UnixStream;

/// The user behind a connection, as the kernel noted it at `connect(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// Not every system tells.
    pub(super) pid: Option<i32>,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self {
            uid: credentials.uid(),
            pid: credentials.pid(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_names_us() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
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
