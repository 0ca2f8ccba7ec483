//! Whose socket is at the other end of a TCP connection on this machine? Each system is asked in its own way, and whatever
//! it does not say for certain is a no.
//!
//! macOS and Windows tell only through calls that Rust cannot check. [`libproc`] and [`win32`] wrap these few, and nothing
//! else in the program is `unsafe`; what the calls return is read as bytes and numbers, by code that is tested on every
//! system.

#[cfg(target_os = "macos")]
#[expect(
    unsafe_code,
    reason = "the system's calls; tests/it/architecture.rs names the files"
)]
mod libproc;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(target_os = "macos", test))]
mod macos;
#[cfg(windows)]
#[expect(
    unsafe_code,
    reason = "the system's calls; tests/it/architecture.rs names the files"
)]
mod win32;
#[cfg(any(windows, test))]
mod windows;

#[cfg(target_os = "macos")]
pub(super) use libproc::whose;
#[cfg(target_os = "linux")]
pub(super) use linux::whose;
#[cfg(windows)]
pub(super) use win32::whose;

/// Whether there is a way to tell on this system.
pub(super) const KNOWN: bool = cfg!(any(target_os = "linux", target_os = "macos", windows));

/// The owner of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The user who runs bsql, with the process where the system tells.
    Us(Option<u32>),
    /// Another user, by their id.
    #[cfg(target_os = "linux")]
    User(u32),
    /// Another user, by their process.
    #[cfg(windows)]
    Process(u32),
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
pub(super) fn whose(_: std::net::SocketAddr, _: std::net::SocketAddr) -> std::io::Result<Owner> {
    Err(std::io::ErrorKind::Unsupported.into())
}
