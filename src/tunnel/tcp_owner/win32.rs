//! Windows: the process at the other end, and whether its token is this user's.
//!
//! A process id alone proves nothing, because it is given to somebody else once the process has ended. So the process is
//! held open first, the connection must then still be there as before, and the process must be older than it.

use std::io;
use std::net::SocketAddr;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle, RawHandle};
use std::ptr::{from_mut, null_mut};

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, FILETIME, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, TCP_TABLE_OWNER_MODULE_CONNECTIONS,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};
use windows_sys::Win32::Security::{
    EqualSid, GetTokenInformation, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessTimes, OpenProcess, OpenProcessToken,
    PROCESS_QUERY_LIMITED_INFORMATION,
};

use super::Owner;
use super::windows::{Connection, find};

/// The table may grow between being measured and being read.
const ATTEMPTS: usize = 8;
/// A `TOKEN_USER` with the longest SID there is (`SECURITY_MAX_SID_SIZE`, 68 bytes), in words.
const USER: usize = 16;

/// The cost grows with the number of connections of this machine; nothing waits.
pub(in crate::tunnel) fn whose(peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
    let connection = connection(peer, local)?;
    let process = Process::open(connection.pid)?;
    if self::connection(peer, local)? != connection {
        return Err(io::Error::other("the connection is another one by now"));
    }
    require_older(process.started()?, connection)?;
    Ok(if process.user()?.is(&Process::this().user()?) {
        Owner::Us(Some(connection.pid))
    } else {
        Owner::Process(connection.pid)
    })
}

fn connection(peer: SocketAddr, local: SocketAddr) -> io::Result<Connection> {
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (peer, local) = (canonical(peer), canonical(local));
    find(&table(peer.is_ipv4())?, peer, local)
        .ok_or_else(|| io::Error::other("the other end is not open any more"))
}

/// A process that began after the connection did has its number from the one that made it.
fn require_older(started: u64, connection: Connection) -> io::Result<()> {
    if connection.created == 0 {
        return Err(io::Error::other(
            "the system does not say when the connection was made",
        ));
    }
    if started > connection.created {
        return Err(io::Error::other(
            "the process that made the connection has ended",
        ));
    }
    Ok(())
}

/// All connections of a family, as the system has them.
fn table(ipv4: bool) -> io::Result<Vec<u8>> {
    let family = u32::from(if ipv4 { AF_INET } else { AF_INET6 });
    let mut words: Vec<u64> = Vec::new();
    for _ in 0..ATTEMPTS {
        let mut size = u32::try_from(size_of_val(&*words)).map_err(io::Error::other)?;
        // SAFETY: `words` has `size` bytes, aligned for the 64-bit fields of the rows; the call writes no more than that,
        // and says in `size` how many it wants. Any bytes are good integers.
        let result = unsafe {
            GetExtendedTcpTable(
                words.as_mut_ptr().cast(),
                &raw mut size,
                0,
                family,
                TCP_TABLE_OWNER_MODULE_CONNECTIONS,
                0,
            )
        };
        match result {
            NO_ERROR => return Ok(words.iter().flat_map(|word| word.to_ne_bytes()).collect()),
            // With room for a few that come in between.
            ERROR_INSUFFICIENT_BUFFER => words.resize(size as usize / size_of::<u64>() + 256, 0),
            code => return Err(io::Error::from_raw_os_error(code.cast_signed())),
        }
    }
    Err(io::Error::other("the table of connections keeps growing"))
}

/// A process: while another one is held open, nobody else gets its number.
enum Process {
    This,
    Other(OwnedHandle),
}

impl Process {
    fn this() -> Self {
        Self::This
    }

    fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: takes and returns numbers alone.
        let handle = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        owned(handle).map(Self::Other)
    }

    fn handle(&self) -> RawHandle {
        match self {
            // SAFETY: takes nothing, and returns a constant that need not be closed.
            Self::This => unsafe { GetCurrentProcess() },
            Self::Other(handle) => handle.as_raw_handle(),
        }
    }

    /// In units of 100 ns since 1601.
    fn started(&self) -> io::Result<u64> {
        let mut times = [FILETIME::default(); 4];
        let [created, exit, kernel, user] = times.each_mut().map(from_mut);
        // SAFETY: the handle is open, and the pointers are to four structures that live until the call returns.
        let done = unsafe { GetProcessTimes(self.handle(), created, exit, kernel, user) };
        succeeded(done)?;
        let [created, ..] = times;
        Ok(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
    }

    fn user(&self) -> io::Result<User> {
        let mut token = null_mut();
        // SAFETY: the handle is open, and `token` is written before the call returns.
        succeeded(unsafe { OpenProcessToken(self.handle(), TOKEN_QUERY, &raw mut token) })?;
        let token = owned(token)?;
        let mut user = User(Box::new([0; USER]));
        let size = u32::try_from(size_of_val(&*user.0)).map_err(io::Error::other)?;
        let mut written = 0;
        // SAFETY: the token is open, and the buffer has `size` bytes, aligned for the pointer that a `TOKEN_USER` begins
        // with. What does not fit is an error.
        succeeded(unsafe {
            GetTokenInformation(
                token.as_raw_handle(),
                TokenUser,
                user.0.as_mut_ptr().cast(),
                size,
                &raw mut written,
            )
        })?;
        Ok(user)
    }
}

/// A `TOKEN_USER` that the system has filled in, and behind it the SID to which it points: so it stays in its place.
struct User(Box<[u64; USER]>);

impl User {
    fn is(&self, other: &Self) -> bool {
        // SAFETY: both were filled in by `GetTokenInformation`, have not moved since, and are aligned for a `TOKEN_USER`,
        // whose pointer is to a SID in the same buffer.
        unsafe {
            let sid = |user: &Self| (*user.0.as_ptr().cast::<TOKEN_USER>()).User.Sid;
            EqualSid(sid(self), sid(other)) != 0
        }
    }
}

fn owned(handle: RawHandle) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call that returned it has just opened it, and nobody else closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_process_at_the_other_end_is_us_until_it_hangs_up() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                println!("skipped: this machine has no {address}");
                continue;
            };
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            let (_stream, peer) = listener.accept().unwrap();
            let found = connection(peer, local).unwrap();
            if found.created == 0 || found.pid == 0 {
                println!("skipped: Wine leaves out who made a connection, or when");
                whose(peer, local).unwrap_err();
                continue;
            }
            let us = Owner::Us(Some(std::process::id()));
            assert_eq!(whose(peer, local).unwrap(), us);
            drop(client);
            assert!(whose(peer, local).is_err());
        }
    }

    #[test]
    fn our_own_processes_are_ours() {
        let mut child = std::process::Command::new("cmd")
            .args(["/c", "pause"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let us = Process::this();
        let other = Process::open(child.id()).unwrap();
        assert!(other.user().unwrap().is(&us.user().unwrap()));
        assert!(us.started().unwrap() <= other.started().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_number_that_was_given_away_is_nobodys() {
        let made_at = |created| Connection { pid: 7, created };
        assert!(require_older(100, made_at(100)).is_ok());
        assert!(require_older(101, made_at(100)).is_err());
        assert!(require_older(100, made_at(0)).is_err());
        assert!(Process::open(u32::MAX).is_err());
    }
}
