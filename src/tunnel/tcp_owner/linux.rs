//! Linux is asked for that one connection.
//!
//! `sock_diag(7)`: one request with both addresses, one answer with the owner; the cost does not grow with the number of
//! connections. `/proc/net/tcp` would have to be read whole, and leaves out clients with an IPv6 socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send,
    socket_with,
};

use super::Owner;

/// `SOCK_DIAG_BY_FAMILY` in `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` in `linux/netlink.h`.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR` in `linux/netlink.h`.
const ERROR: u16 = 2;
/// `TCP_ESTABLISHED` in `net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
/// A `nlmsghdr`.
const HEADER: usize = 16;
/// A `nlmsghdr` and an `inet_diag_req_v2`.
const QUESTION: usize = HEADER + 56;
/// The same, as the header has it.
const QUESTION_LENGTH: u32 = 72;
/// A `nlmsghdr` and an `inet_diag_msg`; attributes may follow.
const ANSWER: usize = HEADER + 72;
/// Where both the request and the answer have the two ports and addresses, and how long these are.
const PORTS: usize = 4;
const ADDRESS: usize = 16;

pub(in crate::tunnel) fn whose(peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
    let uid = owner_of(peer, local)?;
    Ok(if uid == rustix::process::geteuid().as_raw() {
        Owner::Us(None)
    } else {
        Owner::User(uid)
    })
}

/// The user id of the socket at `peer` that is connected to `local`.
///
/// Fails when there is none that is connected and open: whoever has closed theirs already cannot be told from another,
/// and the kernel then says 0, which is nobody and not root. Never waits.
fn owner_of(peer: SocketAddr, local: SocketAddr) -> io::Result<u32> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    // To the kernel, and so from nobody but the kernel.
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    let question = question(peer, local)?;
    send(&socket, &question, SendFlags::empty())?;
    let mut buffer = [0_u8; 1024];
    // The answer is there when the request has been sent.
    let (read, _) = recv(&socket, &mut buffer, RecvFlags::DONTWAIT)?;
    owner_in(&buffer[..read], &question)
}

/// The request, see `linux/inet_diag.h`.
fn question(peer: SocketAddr, local: SocketAddr) -> io::Result<[u8; QUESTION]> {
    let (peer_ip, local_ip) = (peer.ip().to_canonical(), local.ip().to_canonical());
    let family = match (peer_ip, local_ip) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AddressFamily::INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AddressFamily::INET6,
        _ => return Err(ErrorKind::AddrNotAvailable.into()),
    };
    let family = u8::try_from(family.as_raw()).map_err(io::Error::other)?;
    let tcp = u8::try_from(ipproto::TCP.as_raw().get()).map_err(io::Error::other)?;
    let mut packet = Vec::with_capacity(QUESTION);
    packet.extend(QUESTION_LENGTH.to_ne_bytes());
    packet.extend(BY_FAMILY.to_ne_bytes());
    packet.extend(REQUEST.to_ne_bytes());
    // Sequence number and sender: there is one request, and the kernel fills in the sender.
    packet.extend([0; 8]);
    packet.extend([family, tcp, 0, 0]);
    // In any state: the answer says which.
    packet.extend(u32::MAX.to_ne_bytes());
    packet.extend(peer.port().to_be_bytes());
    packet.extend(local.port().to_be_bytes());
    packet.extend(address(peer_ip));
    packet.extend(address(local_ip));
    // Any interface.
    packet.extend([0; 4]);
    // `INET_DIAG_NOCOOKIE`.
    packet.extend([0xff; 8]);
    // As long as the header says.
    packet
        .try_into()
        .map_err(|_| io::Error::other("a request of another length"))
}

fn address(ip: IpAddr) -> [u8; ADDRESS] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; ADDRESS];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The two ends of the connection that a request or an answer is about, from its `inet_diag_sockid`.
///
/// A client may have an IPv6 socket for IPv4 as well, as Java's have: the answer then has IPv6 addresses that stand for
/// those of the request.
fn ends(family: u8, id: &[u8]) -> Option<[(IpAddr, [u8; 2]); 2]> {
    let ip = |bytes: &[u8]| -> Option<IpAddr> {
        match AddressFamily::from_raw(family.into()) {
            AddressFamily::INET => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
            AddressFamily::INET6 => {
                Some(IpAddr::from(*bytes.first_chunk::<ADDRESS>()?).to_canonical())
            }
            _ => None,
        }
    };
    let (ports, addresses) = id.split_at_checked(PORTS)?;
    let (source, destination) = addresses.split_at_checked(ADDRESS)?;
    let port = |at: usize| [ports[at], ports[at + 1]];
    Some([(ip(source)?, port(0)), (ip(destination)?, port(2))])
}

/// Reads the answer to `question`.
fn owner_in(answer: &[u8], question: &[u8; QUESTION]) -> io::Result<u32> {
    let word = |at: usize| -> io::Result<[u8; 4]> {
        let word = answer.get(at..).and_then(|rest| rest.first_chunk());
        word.copied().ok_or_else(|| ErrorKind::UnexpectedEof.into())
    };
    let kind = word(4)?;
    let kind = u16::from_ne_bytes([kind[0], kind[1]]);
    if kind == ERROR {
        let code = i32::from_ne_bytes(word(HEADER)?);
        return Err(io::Error::from_raw_os_error(-code));
    }
    if kind != BY_FAMILY || answer.len() < ANSWER {
        return Err(ErrorKind::InvalidData.into());
    }
    // In the request the ports and addresses come after four more bytes.
    if ends(answer[HEADER], &answer[HEADER + 4..])
        != ends(question[HEADER], &question[HEADER + 8..])
    {
        return Err(io::Error::other("the answer is about another connection"));
    }
    let state = answer[HEADER + 1];
    let (uid, inode) = (word(ANSWER - 8)?, word(ANSWER - 4)?);
    if state != ESTABLISHED || inode == [0; 4] {
        return Err(io::Error::other(format!(
            "the other end is not open any more (state {state})"
        )));
    }
    Ok(u32::from_ne_bytes(uid))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    fn us() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn listener(address: &str) -> TcpListener {
        TcpListener::bind(address).unwrap()
    }

    #[test]
    fn the_kernel_names_us() {
        let listener = listener("127.0.0.1:0");
        let local = listener.local_addr().unwrap();
        let _client = TcpStream::connect(local).unwrap();
        let (_stream, peer) = listener.accept().unwrap();
        assert_eq!(owner_of(peer, local).unwrap(), us());
        // The other way round it is our own socket.
        assert_eq!(owner_of(local, peer).unwrap(), us());
    }

    #[test]
    fn a_client_with_an_ipv6_socket_is_found_too() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else {
            println!("skipped: this machine has no IPv6");
            return;
        };
        let local = listener.local_addr().unwrap();
        let _client = TcpStream::connect(local).unwrap();
        let (_stream, peer) = listener.accept().unwrap();
        assert_eq!(owner_of(peer, local).unwrap(), us());
    }

    /// As Java's are, unless the machine has no IPv6: such a socket has IPv4's addresses mapped into IPv6's.
    #[test]
    fn a_client_with_a_socket_for_both_is_found_too() {
        let listener = listener("127.0.0.1:0");
        let local = listener.local_addr().unwrap();
        let mapped = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let Ok(_client) = TcpStream::connect((mapped, local.port())) else {
            println!("skipped: this machine has no IPv6");
            return;
        };
        let (_stream, peer) = listener.accept().unwrap();
        assert_eq!(owner_of(peer, local).unwrap(), us());
    }

    #[test]
    fn who_has_closed_already_is_nobody() {
        let listener = listener("127.0.0.1:0");
        let local = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(local).unwrap();
        client.write_all(b"drop table payments").unwrap();
        drop(client);
        let (_stream, peer) = listener.accept().unwrap();
        // The kernel knows a socket without an owner, or none: never is it somebody.
        assert!(owner_of(peer, local).is_err());
    }

    #[test]
    fn a_connection_that_is_not_there_has_no_owner() {
        let listener = listener("127.0.0.1:0");
        let local = listener.local_addr().unwrap();
        let nobody = "127.0.0.1:1".parse().unwrap();
        let error = owner_of(nobody, local).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(2), "{error}");
        // A socket that only listens is not the other end of a connection.
        assert!(owner_of(local, nobody).is_err());
        assert!(owner_of("[::1]:1".parse().unwrap(), local).is_err());
    }

    #[test]
    fn only_a_whole_answer_about_this_connection_counts() {
        let (peer, local) = ("127.0.0.1:7".parse(), "127.0.0.1:8".parse());
        let question = question(peer.unwrap(), local.unwrap()).unwrap();
        let mut answer = [0; ANSWER];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        answer[HEADER] = question[HEADER];
        answer[HEADER + 1] = ESTABLISHED;
        answer[HEADER + 4..][..36].copy_from_slice(&question[HEADER + 8..][..36]);
        answer[ANSWER - 8..ANSWER - 4].copy_from_slice(&1000_u32.to_ne_bytes());
        answer[ANSWER - 4] = 9;
        assert_eq!(owner_in(&answer, &question).unwrap(), 1000);
        for end in 0..answer.len() {
            assert!(owner_in(&answer[..end], &question).is_err(), "{end}");
        }
        for (at, value) in [
            (4, 3),
            (HEADER, 1),
            (HEADER + 1, 5),
            (HEADER + 5, 9),
            (HEADER + 8, 9),
            (ANSWER - 4, 0),
        ] {
            let mut other = answer;
            other[at] = value;
            assert!(owner_in(&other, &question).is_err(), "byte {at}");
        }
    }

    /// Prints the cost; run it with `--ignored --nocapture`.
    #[test]
    #[ignore = "a measurement, whose figures depend on the machine"]
    fn what_it_costs() {
        let listener = listener("127.0.0.1:0");
        let local = listener.local_addr().unwrap();
        for others in [0, 500] {
            let open = || {
                (
                    TcpStream::connect(local).unwrap(),
                    listener.accept().unwrap(),
                )
            };
            let _others: Vec<_> = (0..others).map(|_| open()).collect();
            let mut took: Vec<u128> = (0..2_000)
                .map(|_| {
                    let (_client, (_stream, peer)) = open();
                    let start = Instant::now();
                    assert_eq!(owner_of(peer, local).unwrap(), us());
                    start.elapsed().as_nanos() / 100
                })
                .collect();
            took.sort_unstable();
            let shown = |at: usize| format!("{}.{} µs", took[at] / 10, took[at] % 10);
            println!(
                "{others} other connections: median {}, p99 {}, longest {}",
                shown(1_000),
                shown(1_980),
                shown(1_999)
            );
            assert!(took[1_000] < 1_000, "more than 100 µs");
        }
    }
}
