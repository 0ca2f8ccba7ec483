//! macOS: `libproc`, over this user's own processes alone. The kernel lets nobody look into another user's, and need not:
//! who is not found among our own is a stranger.
//!
//! The calls are in no documentation but their header, `libproc.h`; `lsof` is made of them.

use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::ptr::null_mut;

use super::Owner;
use super::macos::{SOCKET_INFO, connects};

/// `PROC_UID_ONLY` in `sys/proc_info.h`.
const OF_USER: u32 = 4;
/// `PROC_PIDFDSOCKETINFO` in `sys/proc_info.h`.
const SOCKET: c_int = 3;
/// Processes, and files of a process, that may come while they are counted.
const MORE: usize = 32;

/// The cost grows with the number of files that this user's processes have open; nothing waits.
pub(in crate::tunnel) fn whose(peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
    let us = rustix::process::geteuid().as_raw();
    for pid in processes_of(us)? {
        // Gone since, or of another user in part: then it is not ours to look into.
        for descriptor in sockets_of(pid).unwrap_or_default() {
            if socket(pid, descriptor).is_some_and(|info| connects(&info, peer, local)) {
                return Ok(Owner::Us(u32::try_from(pid).ok()));
            }
        }
    }
    Err(io::Error::other("none of this user's programs has it open"))
}

fn processes_of(uid: u32) -> io::Result<Vec<c_int>> {
    // SAFETY: without a buffer, its length being 0, the call writes nothing and returns how many bytes it would.
    let needed = length(unsafe { libc::proc_listpids(OF_USER, uid, null_mut(), 0) })?;
    let mut pids: Vec<c_int> = vec![0; needed / size_of::<c_int>() + MORE];
    let size = c_int::try_from(size_of_val(&*pids)).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `size` bytes, which is what `pids` has, and any bytes are good integers.
    let written =
        length(unsafe { libc::proc_listpids(OF_USER, uid, pids.as_mut_ptr().cast(), size) })?;
    pids.truncate(written / size_of::<c_int>());
    Ok(pids)
}

/// The descriptors of a process that are sockets.
fn sockets_of(pid: c_int) -> io::Result<Vec<c_int>> {
    // SAFETY: without a buffer, its length being 0, the call writes nothing and returns how many bytes it would.
    let needed =
        length(unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDLISTFDS, 0, null_mut(), 0) })?;
    let none = libc::proc_fdinfo {
        proc_fd: -1,
        proc_fdtype: 0,
    };
    let mut files = vec![none; needed / size_of::<libc::proc_fdinfo>() + MORE];
    let size = c_int::try_from(size_of_val(&*files)).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `size` bytes, which is what `files` has; the elements are two integers each, for
    // which any bytes are good.
    let written = length(unsafe {
        libc::proc_pidinfo(
            pid,
            libc::PROC_PIDLISTFDS,
            0,
            files.as_mut_ptr().cast(),
            size,
        )
    })?;
    files.truncate(written / size_of::<libc::proc_fdinfo>());
    let is_socket = |file: &libc::proc_fdinfo| {
        i64::from(file.proc_fdtype) == i64::from(libc::PROX_FDTYPE_SOCKET)
    };
    let sockets = files.iter().filter(|file| is_socket(file));
    Ok(sockets.map(|file| file.proc_fd).collect())
}

/// What the kernel says of one socket: all of it or nothing.
fn socket(pid: c_int, descriptor: c_int) -> Option<[u8; SOCKET_INFO]> {
    let mut info = [0_u8; SOCKET_INFO];
    let size = c_int::try_from(info.len()).ok()?;
    // SAFETY: the kernel writes at most `size` bytes, which is what `info` has, and copies bytes without regard to how
    // they are aligned.
    let written =
        unsafe { libc::proc_pidfdinfo(pid, descriptor, SOCKET, info.as_mut_ptr().cast(), size) };
    (written == size).then_some(info)
}

/// These calls return how many bytes they wrote; 0 and less is a failure, with the cause in `errno`.
fn length(returned: c_int) -> io::Result<usize> {
    match usize::try_from(returned) {
        Ok(length) if length > 0 => Ok(length),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn we_are_found_and_who_has_gone_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();
        let (_stream, peer) = listener.accept().unwrap();
        let us = Owner::Us(Some(std::process::id()));
        assert_eq!(whose(peer, local).unwrap(), us);
        drop(client);
        assert!(whose(peer, local).is_err());
    }
}
