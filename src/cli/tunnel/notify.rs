//! Tells a service manager that the tunnels are ready: `sd_notify(3)`, which is one datagram.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// What the service manager waits for.
const READY: &[u8] = b"READY=1\n";

/// Says so at `socket`, the value of `NOTIFY_SOCKET`. If nobody hears it, the manager's own time limit says so.
pub(super) fn ready(socket: &Path) {
    match send(socket) {
        Ok(()) => tracing::debug!("told the service manager"),
        Err(error) => tracing::warn!(%error, "cannot tell the service manager"),
    }
}

#[cfg(target_os = "linux")]
fn send(socket: &Path) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    let from = UnixDatagram::unbound()?;
    match socket.as_os_str().as_encoded_bytes().strip_prefix(b"@") {
        // In the abstract namespace, where the name begins with a zero byte.
        Some(name) => from.send_to_addr(READY, &SocketAddr::from_abstract_name(name)?)?,
        None => from.send_to(READY, socket)?,
    };
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn send(socket: &Path) -> io::Result<()> {
    UnixDatagram::unbound()?.send_to(READY, socket).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> Vec<u8> {
        let mut heard = vec![0; 64];
        let length = manager.recv(&mut heard).unwrap();
        heard.truncate(length);
        heard
    }

    #[test]
    fn a_path_and_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(&path).unwrap();
        assert_eq!(heard(&manager), READY);
        assert!(send(&dir.path().join("nobody")).is_err());
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt as _;
            use std::os::unix::net::SocketAddr;

            let name = format!("bsql-test-{}", std::process::id());
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            send(Path::new(&format!("@{name}"))).unwrap();
            assert_eq!(heard(&manager), READY);
        }
    }
}
