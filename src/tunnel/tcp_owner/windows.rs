//! What Windows says of the TCP connections of this machine: `MIB_TCPTABLE_OWNER_MODULE` and its sibling for IPv6.
//!
//! Not the shorter table with process ids alone: a socket may outlive the process that made it, and the number be
//! somebody else's by now. This one also has the time at which the connection was made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A count, and padding: where the rows begin.
const HEADER: usize = 8;
/// `MIB_TCP_STATE_ESTAB`.
const ESTABLISHED: u32 = 5;

/// Where a row has what. Ports are 16 bits in network order, in a `DWORD`.
struct Layout {
    row: usize,
    state: usize,
    local: usize,
    local_port: usize,
    remote: usize,
    remote_port: usize,
    pid: usize,
    created: usize,
}

/// `MIB_TCPROW_OWNER_MODULE`.
const IPV4: Layout = Layout {
    row: 160,
    state: 0,
    local: 4,
    local_port: 8,
    remote: 12,
    remote_port: 16,
    pid: 20,
    created: 24,
};

/// `MIB_TCP6ROW_OWNER_MODULE`.
const IPV6: Layout = Layout {
    row: 192,
    state: 48,
    local: 0,
    local_port: 20,
    remote: 24,
    remote_port: 44,
    pid: 52,
    created: 56,
};

/// A connection that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connection {
    /// The process that made the socket. It may have ended.
    pub(super) pid: u32,
    /// When, in units of 100 ns since 1601, as `FILETIME`; 0 when the system does not say.
    pub(super) created: u64,
}

/// The connection from `from` to `to`, whose addresses are of the family that `table` is about.
pub(super) fn find(table: &[u8], from: SocketAddr, to: SocketAddr) -> Option<Connection> {
    let layout = if from.is_ipv4() { IPV4 } else { IPV6 };
    let count = usize::try_from(number(table, 0)?).ok()?;
    let rows = table.get(HEADER..)?.chunks_exact(layout.row).take(count);
    rows.filter(|row| {
        number(row, layout.state) == Some(ESTABLISHED)
            && is_end(row, layout.local, layout.local_port, from)
            && is_end(row, layout.remote, layout.remote_port, to)
    })
    .find_map(|row| {
        Some(Connection {
            pid: number(row, layout.pid)?,
            created: row
                .get(layout.created..)?
                .first_chunk()
                .map(|bytes| u64::from_ne_bytes(*bytes))?,
        })
    })
}

fn is_end(row: &[u8], address: usize, port: usize, end: SocketAddr) -> bool {
    let ip = |row: &[u8]| -> Option<IpAddr> {
        let rest = row.get(address..)?;
        Some(match end {
            SocketAddr::V4(_) => Ipv4Addr::from(*rest.first_chunk()?).into(),
            SocketAddr::V6(_) => Ipv6Addr::from(*rest.first_chunk()?).into(),
        })
    };
    let port = row
        .get(port..)
        .and_then(|rest| rest.first_chunk())
        .map(|bytes| u16::from_be_bytes(*bytes));
    ip(row) == Some(end.ip()) && port == Some(end.port())
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "127.0.0.1:50000";
    const TUNNEL: &str = "127.0.0.1:15432";

    fn row(layout: &Layout, from: SocketAddr, to: SocketAddr, state: u32, pid: u32) -> Vec<u8> {
        let mut row = vec![0; layout.row];
        let mut put = |at: usize, bytes: &[u8]| row[at..at + bytes.len()].copy_from_slice(bytes);
        for (end, address, port) in [
            (from, layout.local, layout.local_port),
            (to, layout.remote, layout.remote_port),
        ] {
            match end.ip() {
                IpAddr::V4(ip) => put(address, &ip.octets()),
                IpAddr::V6(ip) => put(address, &ip.octets()),
            }
            put(port, &end.port().to_be_bytes());
        }
        put(layout.state, &state.to_ne_bytes());
        put(layout.pid, &pid.to_ne_bytes());
        put(layout.created, &7_000_u64.to_ne_bytes());
        row
    }

    fn table(rows: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(rows.len()).unwrap();
        let mut table = count.to_ne_bytes().to_vec();
        table.extend([0; 4]);
        table.extend(rows.concat());
        table
    }

    #[test]
    fn the_clients_end_and_not_ours() {
        let (client, tunnel) = (CLIENT.parse().unwrap(), TUNNEL.parse().unwrap());
        let table = table(&[
            row(&IPV4, tunnel, client, ESTABLISHED, 1),
            row(&IPV4, client, tunnel, 8, 2),
            row(&IPV4, client, tunnel, ESTABLISHED, 3),
        ]);
        let theirs = Connection {
            pid: 3,
            created: 7_000,
        };
        assert_eq!(find(&table, client, tunnel), Some(theirs));
        assert_eq!(find(&table, tunnel, client).unwrap().pid, 1);
        let other = "127.0.0.2:50000".parse().unwrap();
        assert_eq!(find(&table, other, tunnel), None);
        let other = "127.0.0.1:15433".parse().unwrap();
        assert_eq!(find(&table, client, other), None);
    }

    #[test]
    fn addresses_of_ipv6_are_compared_whole() {
        let (client, tunnel) = (
            "[::1]:50000".parse().unwrap(),
            "[::1]:15432".parse().unwrap(),
        );
        let table = table(&[row(&IPV6, client, tunnel, ESTABLISHED, 3)]);
        assert_eq!(find(&table, client, tunnel).unwrap().pid, 3);
        let other = "[1::1]:50000".parse().unwrap();
        assert_eq!(find(&table, other, tunnel), None);
    }

    #[test]
    fn a_table_that_is_cut_off_has_nobody() {
        let (client, tunnel) = (CLIENT.parse().unwrap(), TUNNEL.parse().unwrap());
        let whole = table(&[row(&IPV4, client, tunnel, ESTABLISHED, 3)]);
        for end in 0..whole.len() {
            assert_eq!(find(&whole[..end], client, tunnel), None, "{end}");
        }
        // What is behind the last row does not count.
        let mut fewer = whole;
        fewer[..4].copy_from_slice(&0_u32.to_ne_bytes());
        assert_eq!(find(&fewer, client, tunnel), None);
    }
}
