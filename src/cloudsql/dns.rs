//! TXT records, asked of the system's DNS servers (RFC 1035): the one question that the system's resolver cannot be asked.
//!
//! A library for this would bring some forty crates along, for one question and one kind of answer. What a DNS server
//! says is no proof of anything here: the certificate at the other end is what counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const TXT: u16 = 16;
const CNAME: u16 = 5;
const INTERNET: u16 = 1;
const PORT: u16 = 53;
/// As the resolver of the C library: a datagram may get lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// No more than the C library asks (`MAXNS`).
const SERVERS: usize = 3;
/// Names that point to names that point to names.
const LONGEST_CHAIN: usize = 10;
/// Of the header's flags.
const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;

/// What is known of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The texts of its TXT records.
    pub(super) texts: Vec<String>,
    /// The name that it is another one for, at the end of the chain.
    pub(super) canonical: Option<String>,
}

/// Why nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no such name.
    NoSuchName,
    /// Nobody could be asked, or answered in a way that says anything.
    Unanswered(String),
}

/// The servers that the system asks, as resolv.conf(5) names them.
pub(super) fn servers(resolv_conf: &str) -> Vec<SocketAddr> {
    let addresses = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = (words.next() == Some("nameserver")).then(|| words.next())??;
        // An address that is valid on one interface only says which after a `%`.
        let address = address.split('%').next().unwrap_or(address);
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, PORT))
    });
    addresses.take(SERVERS).collect()
}

/// Asks for the TXT records of `name`.
pub(super) async fn txt(servers: &[SocketAddr], name: &str) -> Result<Found, Failure> {
    let mut failure = Failure::Unanswered("this machine names no DNS server".to_owned());
    for _ in 0..ATTEMPTS {
        for server in servers {
            let asked = match timeout(ATTEMPT_TIMEOUT, ask(*server, name)).await {
                Ok(asked) => asked,
                Err(_) => Err(Failure::Unanswered(format!(
                    "the DNS server {server} did not answer within {} s",
                    ATTEMPT_TIMEOUT.as_secs()
                ))),
            };
            match asked {
                Err(Failure::Unanswered(why)) => failure = Failure::Unanswered(why),
                decided => return decided,
            }
        }
    }
    Err(failure)
}

async fn ask(server: SocketAddr, name: &str) -> Result<Found, Failure> {
    let broken =
        |error: std::io::Error| Failure::Unanswered(format!("the DNS server {server}: {error}"));
    let mut id = [0; 2];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| Failure::Unanswered("the system gives no random numbers".to_owned()))?;
    let question = question(id, name).ok_or(Failure::NoSuchName)?;
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // The port is the system's choice, so that whoever wants to answer in the server's place must guess it and the id.
    let socket = UdpSocket::bind((local, 0)).await.map_err(broken)?;
    socket.connect(server).await.map_err(broken)?;
    socket.send(&question).await.map_err(broken)?;
    let mut answer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut answer).await.map_err(broken)?;
        // Something else than the answer is waited past.
        match read(&question, &answer[..length]) {
            None => {}
            Some(Read::Truncated) => break,
            Some(Read::Answer(answer)) => return answer,
        }
    }
    let mut tcp = TcpStream::connect(server).await.map_err(broken)?;
    let length = u16::try_from(question.len()).expect("a name has 255 bytes at most");
    let framed = [&length.to_be_bytes()[..], &question].concat();
    tcp.write_all(&framed).await.map_err(broken)?;
    let length = tcp.read_u16().await.map_err(broken)?;
    let mut answer = vec![0; usize::from(length)];
    tcp.read_exact(&mut answer).await.map_err(broken)?;
    match read(&question, &answer) {
        Some(Read::Answer(answer)) => answer,
        Some(Read::Truncated) | None => Err(Failure::Unanswered(format!(
            "the DNS server {server} answers nonsense"
        ))),
    }
}

/// None for what cannot be a name.
fn question(id: [u8; 2], name: &str) -> Option<Vec<u8>> {
    let mut message = id.to_vec();
    message.extend(RECURSION_DESIRED.to_be_bytes());
    message.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    let start = message.len();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend(label.bytes());
    }
    message.push(0);
    if message.len() - start > 255 {
        return None;
    }
    message.extend(TXT.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    Some(message)
}

enum Read {
    /// All of it is to be had by TCP.
    Truncated,
    Answer(Result<Found, Failure>),
}

/// Reads an answer; None when it is none to this question.
fn read(question: &[u8], message: &[u8]) -> Option<Read> {
    let flags = number(message, 2)?;
    let asked = &question[12..];
    if message[..2] != question[..2]
        || flags & RESPONSE == 0
        || number(message, 4)? != 1
        || !message
            .get(12..12 + asked.len())?
            .eq_ignore_ascii_case(asked)
    {
        return None;
    }
    if flags & TRUNCATED != 0 {
        return Some(Read::Truncated);
    }
    Some(Read::Answer(match flags & 0x000f {
        0 => records(message, 12 + asked.len())
            .ok_or_else(|| Failure::Unanswered("the DNS server's answer is malformed".to_owned())),
        3 => Err(Failure::NoSuchName),
        code => Err(Failure::Unanswered(format!(
            "the DNS server answers with error {code}"
        ))),
    }))
}

/// The records that lead from the question's name to its texts. Those of other names do not count.
fn records(message: &[u8], mut at: usize) -> Option<Found> {
    let mut current = name(message, 12)?.0;
    let (mut texts, mut aliases) = (Vec::new(), Vec::new());
    for _ in 0..number(message, 6)? {
        let (owner, next) = name(message, at)?;
        let (kind, class) = (number(message, next)?, number(message, next + 2)?);
        let length = usize::from(number(message, next + 8)?);
        let data = next + 10;
        let bytes = message.get(data..data + length)?;
        match (kind, class) {
            (TXT, INTERNET) => texts.push((owner, text(bytes)?)),
            (CNAME, INTERNET) => aliases.push((owner, name(message, data)?.0)),
            _ => {}
        }
        at = data + length;
    }
    let mut canonical = None;
    for _ in 0..LONGEST_CHAIN {
        match aliases.iter().find(|(owner, _)| *owner == current) {
            Some((_, target)) => current.clone_from(target),
            None => break,
        }
        canonical = Some(current.clone());
    }
    let texts = texts.into_iter().filter(|(owner, _)| *owner == current);
    Some(Found {
        texts: texts.map(|(_, text)| text).collect(),
        canonical,
    })
}

/// The strings of one TXT record, put together (RFC 7208 section 3.3 has the usage).
fn text(mut bytes: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length))?;
        text.extend(string);
        bytes = rest;
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// A name in small letters, and where what follows it begins.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut end = None;
    // A pointer only leads backwards, but that is for the sender to see to: so many steps and no more.
    for _ in 0..128 {
        match usize::from(*message.get(at)?) {
            0 => return Some((labels.join("."), end.unwrap_or(at + 1))),
            length @ 1..=63 => {
                let label = message.get(at + 1..at + 1 + length)?;
                labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                at += 1 + length;
            }
            0xc0.. => {
                end = end.or(Some(at + 2));
                at = usize::from(number(message, at)? & 0x3fff);
            }
            _ => return None,
        }
    }
    None
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A record, of the question's name or of the one that is written at this place.
    fn record(owner: u16, kind: u16, data: &[u8]) -> Vec<u8> {
        let mut record = (0xc000 | owner).to_be_bytes().to_vec();
        record.extend(kind.to_be_bytes());
        record.extend([0, 1, 0, 0, 0, 60]);
        record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        record.extend(data);
        record
    }

    fn txt_data(text: &str) -> Vec<u8> {
        let mut data = vec![u8::try_from(text.len()).unwrap()];
        data.extend(text.bytes());
        data
    }

    /// An answer to `question` with these flags and records.
    fn answer(question: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let mut answer = question.to_vec();
        answer[2..4].copy_from_slice(&(RESPONSE | flags).to_be_bytes());
        answer[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        answer.extend(records.concat());
        answer
    }

    /// A server that has these texts, and says so by TCP only if `truncated`.
    pub(in crate::cloudsql) async fn server(
        texts: impl Fn() -> Vec<String> + Send + 'static,
        truncated: bool,
    ) -> SocketAddr {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        tokio::spawn(async move {
            loop {
                let mut question = vec![0; 512];
                let (length, from) = udp.recv_from(&mut question).await.unwrap();
                question.truncate(length);
                let texts: Vec<Vec<u8>> = texts()
                    .iter()
                    .map(|text| record(12, TXT, &txt_data(text)))
                    .collect();
                if truncated {
                    let cut = answer(&question, TRUNCATED, &[]);
                    udp.send_to(&cut, from).await.unwrap();
                    let (mut client, _) = tcp.accept().await.unwrap();
                    let length = client.read_u16().await.unwrap();
                    let mut question = vec![0; usize::from(length)];
                    client.read_exact(&mut question).await.unwrap();
                    let whole = answer(&question, 0, &texts);
                    let length = u16::try_from(whole.len()).unwrap();
                    client.write_u16(length).await.unwrap();
                    client.write_all(&whole).await.unwrap();
                } else {
                    let flags = if texts.is_empty() { 3 } else { 0 };
                    // What is not the answer comes first.
                    udp.send_to(b"x", from).await.unwrap();
                    udp.send_to(&answer(&question, flags, &texts), from)
                        .await
                        .unwrap();
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn by_udp_and_by_tcp_when_it_is_long() {
        for truncated in [false, true] {
            let server = server(|| vec!["a:b:c".to_owned(), "v=spf1".to_owned()], truncated).await;
            let found = txt(&[server], "db.acme.example").await.unwrap();
            assert_eq!(found.texts, ["a:b:c", "v=spf1"]);
        }
        let none = server(Vec::new, false).await;
        assert_eq!(
            txt(&[none], "db.acme.example").await,
            Err(Failure::NoSuchName)
        );
        let error = txt(&[], "db.acme.example").await.unwrap_err();
        assert_eq!(
            error,
            Failure::Unanswered("this machine names no DNS server".to_owned())
        );
    }

    #[test]
    fn what_counts_as_an_answer() {
        let question = question([7, 9], "DB.acme.example.").unwrap();
        let at_the_end = u16::try_from(question.len()).unwrap();
        let found = |message: &[u8]| match read(&question, message) {
            Some(Read::Answer(answer)) => Some(answer),
            _ => None,
        };
        // The alias's own name is written in the first record, and the second points to it.
        let alias = [&[2, b'd', b'2'][..], &[0xc0, 15]].concat();
        let chain = [
            record(12, CNAME, &alias),
            record(at_the_end + 12, TXT, &txt_data("p:r:i")),
            record(
                12,
                TXT,
                &txt_data("of another name than the alias leads to"),
            ),
        ];
        let answered = found(&answer(&question, 0, &chain)).unwrap().unwrap();
        assert_eq!(answered.texts, ["p:r:i"]);
        assert_eq!(answered.canonical.as_deref(), Some("d2.acme.example"));

        let two = [txt_data("p:r"), txt_data(":i")].concat();
        let split = found(&answer(&question, 0, &[record(12, TXT, &two)])).unwrap();
        assert_eq!(split.unwrap().texts, ["p:r:i"]);

        let mut other_id = answer(&question, 0, &chain);
        other_id[0] = 8;
        assert!(found(&other_id).is_none());
        let mut other_name = answer(&question, 0, &chain);
        other_name[13] = b'x';
        assert!(found(&other_name).is_none());
        assert!(found(&question).is_none(), "a question is no answer");
        let whole = answer(&question, 0, &chain);
        for length in 0..whole.len() {
            // No cut makes it panic, and none is taken for the whole.
            if let Some(Ok(cut)) = found(&whole[..length]) {
                panic!("{length}: {cut:?}");
            }
        }
        let loops = [record(12, CNAME, &[0xc0, at_the_end.to_be_bytes()[1] + 12])];
        assert!(found(&answer(&question, 0, &loops)).unwrap().is_err());
        let own = [record(12, CNAME, &[0xc0, 12])];
        assert!(found(&answer(&question, 0, &own)).unwrap().is_ok());
        assert!(matches!(
            found(&answer(&question, 2, &[])),
            Some(Err(Failure::Unanswered(_)))
        ));
    }

    #[test]
    fn names_and_servers() {
        for bad in ["", ".", "a..b", &"a".repeat(64), &"abcdefg.".repeat(40)] {
            assert!(question([0, 0], bad).is_none(), "{bad}");
        }
        let conf = "# nameserver 1.1.1.1\nnameserver 10.0.0.2\n nameserver fe80::1%eth0 \nsearch x\nnameserver x\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        let servers: Vec<String> = servers(conf).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.2:53", "[fe80::1]:53", "10.0.0.3:53"]);
    }
}
