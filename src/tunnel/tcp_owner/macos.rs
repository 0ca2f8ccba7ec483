//! What macOS says of a socket that a process has open: `struct socket_fdinfo` in `sys/proc_info.h`.
//!
//! Read as bytes at the offsets that the structure has on 64-bit systems, so that no C layout has to be declared and no
//! union be trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The size of a `socket_fdinfo`. `psi` begins at 24, and its union `soi_proto` at 264.
pub(super) const SOCKET_INFO: usize = 792;
/// `psi.soi_kind`.
const KIND: usize = 256;
/// `SOCKINFO_TCP`.
const TCP: u32 = 2;
/// `insi_fport` and `insi_lport` of `tcpsi_ini`: 16 bits in network order, in an `int`.
const PEER_PORT: usize = 264;
const LOCAL_PORT: usize = 268;
/// `insi_vflag`.
const VERSION: usize = 288;
/// `INI_IPV4` and `INI_IPV6`.
const IPV4: u8 = 1;
const IPV6: u8 = 2;
/// `insi_faddr` and `insi_laddr`, 16 bytes each, of which an IPv4 address is the last four.
const PEER_ADDRESS: usize = 296;
const LOCAL_ADDRESS: usize = 312;
/// `tcpsi_state`.
const STATE: usize = 344;
/// `TSI_S_ESTABLISHED`.
const ESTABLISHED: u32 = 4;

/// Whether this is an open TCP connection from `from` to `to`.
pub(super) fn connects(info: &[u8; SOCKET_INFO], from: SocketAddr, to: SocketAddr) -> bool {
    number(info, KIND) == TCP
        && number(info, STATE) == ESTABLISHED
        && is_end(info, LOCAL_ADDRESS, LOCAL_PORT, from)
        && is_end(info, PEER_ADDRESS, PEER_PORT, to)
}

fn is_end(info: &[u8; SOCKET_INFO], address: usize, port: usize, end: SocketAddr) -> bool {
    let port = u16::from_be_bytes([info[port], info[port + 1]]);
    let address: [u8; 16] = std::array::from_fn(|at| info[address + at]);
    let [.., a, b, c, d] = address;
    let ip = match info[VERSION] & (IPV4 | IPV6) {
        IPV4 => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
        IPV6 => IpAddr::from(Ipv6Addr::from(address)).to_canonical(),
        // Both or neither: not connected.
        _ => return false,
    };
    (ip, port) == (end.ip().to_canonical(), end.port())
}

fn number(info: &[u8; SOCKET_INFO], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|byte| info[at + byte]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "127.0.0.1:50000";
    const TUNNEL: &str = "127.0.0.1:15432";

    /// As the kernel fills it in for the client's socket.
    fn info() -> [u8; SOCKET_INFO] {
        let mut info = [0; SOCKET_INFO];
        info[KIND..KIND + 4].copy_from_slice(&TCP.to_ne_bytes());
        info[STATE..STATE + 4].copy_from_slice(&ESTABLISHED.to_ne_bytes());
        info[VERSION] = IPV4;
        info[LOCAL_PORT..LOCAL_PORT + 2].copy_from_slice(&50_000_u16.to_be_bytes());
        info[PEER_PORT..PEER_PORT + 2].copy_from_slice(&15_432_u16.to_be_bytes());
        for address in [LOCAL_ADDRESS, PEER_ADDRESS] {
            info[address + 12..address + 16].copy_from_slice(&[127, 0, 0, 1]);
        }
        info
    }

    fn is_it(info: &[u8; SOCKET_INFO], from: &str, to: &str) -> bool {
        connects(info, from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn the_clients_end_and_not_ours() {
        let info = info();
        assert!(is_it(&info, CLIENT, TUNNEL));
        assert!(is_it(&info, "[::ffff:127.0.0.1]:50000", TUNNEL));
        assert!(!is_it(&info, TUNNEL, CLIENT), "our own end");
        assert!(!is_it(&info, "127.0.0.1:50001", TUNNEL));
        assert!(!is_it(&info, "127.0.0.2:50000", TUNNEL));
        assert!(!is_it(&info, CLIENT, "127.0.0.1:15433"));
        assert!(!is_it(&info, "[::1]:50000", "[::1]:15432"));
    }

    #[test]
    fn a_change_of_any_byte_that_counts_is_a_no() {
        for (at, value) in [
            (KIND, 1),
            (STATE, 5),
            (STATE + 2, 1),
            (VERSION, 0),
            (VERSION, IPV6),
            (VERSION, IPV4 | IPV6),
        ] {
            let mut info = info();
            info[at] = value;
            assert!(!is_it(&info, CLIENT, TUNNEL), "byte {at}");
        }
    }

    #[test]
    fn an_ipv6_socket_says_all_of_its_address() {
        let mut info = info();
        info[VERSION] = IPV6;
        for address in [LOCAL_ADDRESS, PEER_ADDRESS] {
            info[address..address + 16].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        }
        assert!(is_it(&info, "[::1]:50000", "[::1]:15432"));
        assert!(!is_it(&info, "[::2]:50000", "[::1]:15432"));
        assert!(!is_it(&info, CLIENT, TUNNEL));
    }
}
