//! Which program has a port? Asked when one is taken, so that the person need not ask `ss`.
//!
//! `proc(5)`: the socket's inode from `/proc/net/tcp`, and the process that has it open. Other users' processes do not show
//! theirs; then only the user is known.

use std::fmt;
use std::fs;

/// `TCP_LISTEN` in `net/tcp_states.h`, as the file has it.
const LISTEN: &str = "0A";

/// Who listens at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listening {
    /// One of this user's programs.
    Program { name: String, pid: u32 },
    /// A program that is none of our business.
    User(u32),
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { name, pid } => write!(f, "`{name}` (process {pid}) listens there"),
            Self::User(uid) => write!(f, "a program of user {uid} listens there"),
        }
    }
}

/// Whoever listens at `port`, if anybody can be seen there.
pub(super) fn listening_at(port: u16) -> Option<Listening> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let (uid, inode) = tables
        .iter()
        .flatten()
        .find_map(|table| in_table(table, port))?;
    Some(program_with(&inode).unwrap_or(Listening::User(uid)))
}

/// The user and the inode of the socket that listens at `port`.
fn in_table(table: &str, port: u16) -> Option<(u32, String)> {
    let port = format!("{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state) = (fields.get(1)?, fields.get(3)?);
        let is_it = *state == LISTEN && local.rsplit(':').next() == Some(&port);
        let (uid, inode) = (fields.get(7)?, fields.get(9)?);
        is_it.then(|| Some((uid.parse().ok()?, (*inode).to_owned())))?
    })
}

fn program_with(inode: &str) -> Option<Listening> {
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let files = fs::read_dir(process.path().join("fd")).ok()?;
        let is_it = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.as_os_str() == socket.as_str());
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        is_it.then(|| Listening::Program {
            name: crate::error::printable(name.trim()),
            pid,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_us() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        match listening_at(port) {
            Some(Listening::Program { pid, .. }) => assert_eq!(pid, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(listener);
        assert_eq!(listening_at(port), None);
    }

    #[test]
    fn a_table_is_read_line_by_line() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:3C48 00000000:0000 01 00000000:00000000 00:00000000 00000000  1000        0 7 1 0\n\
            1: torn\n\
            2: 0100007F:3C48 00000000:0000 0A 00000000:00000000 00:00000000 00000000   113        0 21187 1 0\n";
        assert_eq!(in_table(table, 15_432), Some((113, "21187".to_owned())));
        assert_eq!(in_table(table, 15_433), None);
        let shown = Listening::User(113).to_string();
        assert_eq!(shown, "a program of user 113 listens there");
    }
}
