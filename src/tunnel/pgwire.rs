//! PostgreSQL's start-up messages, as bytes in and bytes out: no sockets here.
//!
//! Message formats: <https://www.postgresql.org/docs/current/protocol-message-formats.html>. Whoever can reach the socket
//! may send anything, so every length is checked and nothing here panics.

use std::fmt;

use super::Startup;
use crate::error::{Error, ErrorKind, printable};

/// The longest first packet, without its length field: `MAX_STARTUP_PACKET_LENGTH` in PostgreSQL's `pqcomm.h`.
pub const LONGEST_FIRST_PACKET: usize = 10_000;
/// "No": the answer to a request for TLS or GSSAPI. The local end needs neither by itself.
pub const NOT_ENCRYPTED: u8 = b'N';
/// "Yes": the answer to a request for TLS, which begins after it.
pub const ENCRYPTED: u8 = b'S';

/// Special "protocol versions" (`pqcomm.h`): 1234 in the upper half, and 5678 and up in the lower.
const CANCEL_REQUEST: u32 = 0x04d2_162e;
const SSL_REQUEST: u32 = 0x04d2_162f;
const GSS_ENCRYPTION_REQUEST: u32 = 0x04d2_1630;
/// The only major version since PostgreSQL 7.4; minor versions are negotiated with the server.
const MAJOR_VERSION: u32 = 3;
/// As an option and as a parameter of its own.
const READ_ONLY: &str = "default_transaction_read_only";

/// What the first packet of a connection asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstPacket {
    /// To start a session.
    Startup(StartupMessage),
    /// To speak TLS from now on.
    SslRequest,
    /// To encrypt with GSSAPI from now on.
    GssEncryptionRequest,
    /// To cancel what another connection is doing. Kept whole, with its length field: it is only passed on.
    CancelRequest(Vec<u8>),
}

/// Not PostgreSQL's start-up protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The length field is out of bounds.
    Length(u32),
    /// TLS without an `SSLRequest`, as clients of PostgreSQL 17 do with `sslnegotiation=direct`.
    DirectTls,
    /// A protocol version that is not 3.x.
    Version(u32),
    /// The parameters are not pairs of strings with a final zero byte.
    Layout,
}

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "invalid length of start-up packet: {length}"),
            Self::DirectTls => f.write_str(
                "the client speaks TLS, which the local end does not: set sslmode=disable",
            ),
            Self::Version(version) => write!(
                f,
                "unsupported protocol version {}.{}",
                version >> 16,
                version & 0xffff
            ),
            Self::Layout => f.write_str("invalid layout of start-up packet"),
        }
    }
}

impl FirstPacket {
    /// The length of the packet's rest, from its first four bytes.
    pub fn length(header: [u8; 4]) -> Result<usize, Malformed> {
        // A TLS record: handshake (22), then version 3.x (RFC 8446 section 5.1).
        if header.starts_with(&[0x16, 0x03]) {
            return Err(Malformed::DirectTls);
        }
        let length = u32::from_be_bytes(header);
        usize::try_from(length)
            .ok()
            .and_then(|whole| whole.checked_sub(header.len()))
            .filter(|rest| (4..=LONGEST_FIRST_PACKET).contains(rest))
            .ok_or(Malformed::Length(length))
    }

    /// Reads the rest of a packet, after the length field.
    pub fn parse(rest: &[u8]) -> Result<Self, Malformed> {
        let (version, body) = rest.split_first_chunk().ok_or(Malformed::Layout)?;
        match u32::from_be_bytes(*version) {
            SSL_REQUEST if body.is_empty() => Ok(Self::SslRequest),
            GSS_ENCRYPTION_REQUEST if body.is_empty() => Ok(Self::GssEncryptionRequest),
            // A process id and a key, which has had variable length since protocol 3.2.
            CANCEL_REQUEST if (8..=260).contains(&body.len()) => {
                Ok(Self::CancelRequest(framed(rest)))
            }
            SSL_REQUEST | GSS_ENCRYPTION_REQUEST | CANCEL_REQUEST => Err(Malformed::Layout),
            version if version >> 16 == MAJOR_VERSION => Ok(Self::Startup(StartupMessage {
                version,
                parameters: parse_parameters(body)?,
            })),
            version => Err(Malformed::Version(version)),
        }
    }
}

fn parse_parameters(mut body: &[u8]) -> Result<Vec<Parameter>, Malformed> {
    let mut parameters = Vec::new();
    loop {
        let name = take_string(&mut body)?;
        if name.is_empty() {
            return if body.is_empty() {
                Ok(parameters)
            } else {
                Err(Malformed::Layout)
            };
        }
        parameters.push((name.to_vec(), take_string(&mut body)?.to_vec()));
    }
}

fn take_string<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let end = body.iter().position(|byte| *byte == 0);
    let (string, rest) = body.split_at(end.ok_or(Malformed::Layout)?);
    *body = &rest[1..];
    Ok(string)
}

/// The length field and `rest`.
fn framed(rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(rest.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), rest].concat()
}

/// A name and its value.
type Parameter = (Vec<u8>, Vec<u8>);

/// A session's parameters as the client asked for them. Bytes, because the encoding is not agreed on yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupMessage {
    version: u32,
    parameters: Vec<Parameter>,
}

impl StartupMessage {
    /// The value that the server would use: of several the last.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters
            .iter()
            .rfind(|(other, _)| other == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    /// Signs in as `startup` says.
    #[must_use]
    pub fn adjusted(mut self, startup: &Startup) -> Self {
        self.set("user", startup.user.as_bytes());
        if self
            .parameter("application_name")
            .is_none_or(<[u8]>::is_empty)
        {
            self.set("application_name", startup.application_name.as_bytes());
        }
        if startup.read_only {
            // As a parameter of its own it would win over the options. The names of settings ignore case.
            self.parameters
                .retain(|(name, _)| !name.eq_ignore_ascii_case(READ_ONLY.as_bytes()));
            let mut options = self.parameter("options").unwrap_or_default().to_vec();
            // A lone backslash at the end means nothing to the server, but would swallow the space that follows.
            if options
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count()
                % 2
                == 1
            {
                options.pop();
            }
            if !options.is_empty() {
                options.push(b' ');
            }
            options.extend_from_slice(format!("-c {READ_ONLY}=on").as_bytes());
            self.set("options", &options);
        }
        self
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        self.parameters
            .retain(|(other, _)| other != name.as_bytes());
        self.parameters.push((name.into(), value.into()));
    }

    /// The packet, with its length field.
    pub fn encode(&self) -> Vec<u8> {
        let mut rest = self.version.to_be_bytes().to_vec();
        for (name, value) in &self.parameters {
            push_string(&mut rest, name);
            push_string(&mut rest, value);
        }
        rest.push(0);
        framed(&rest)
    }
}

/// Zero bytes end strings, so they cannot be in them.
fn push_string(packet: &mut Vec<u8>, string: &[u8]) {
    packet.extend(string.iter().filter(|byte| **byte != 0));
    packet.push(0);
}

/// A FATAL `ErrorResponse`: why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The SQLSTATE, see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    pub code: &'static str,
    /// One line.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// `connection_failure`.
const CONNECTION_FAILURE: &str = "08006";
/// `protocol_violation`.
const PROTOCOL_VIOLATION: &str = "08P01";
/// `invalid_authorization_specification`.
const INVALID_AUTHORIZATION: &str = "28000";
/// `too_many_connections`.
const TOO_MANY_CONNECTIONS: &str = "53300";
/// `cannot_connect_now`.
const CANNOT_CONNECT_NOW: &str = "57P03";

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let lines = |lines: Vec<String>| {
            let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
            Some(lines.join("\n")).filter(|text| !text.is_empty())
        };
        Self {
            code: match error.kind() {
                ErrorKind::SignedOut | ErrorKind::Denied => INVALID_AUTHORIZATION,
                ErrorKind::TryLater => CANNOT_CONNECT_NOW,
                _ => CONNECTION_FAILURE,
            },
            // The client will say that its server says so.
            message: format!("bsql: {}", printable(&error.to_string())),
            detail: lines(error.causes()),
            hint: lines(error.next_steps().into_iter().map(String::from).collect()),
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self {
            code: PROTOCOL_VIOLATION,
            message: format!("bsql: {malformed}"),
            detail: None,
            hint: None,
        }
    }
}

impl Refusal {
    /// For the one that comes when `most` are there already.
    pub fn too_many(most: usize) -> Self {
        Self {
            code: TOO_MANY_CONNECTIONS,
            message: format!("bsql: the tunnel serves at most {most} connections at a time"),
            detail: None,
            hint: Some("close some, or start the tunnel with --max-connections".to_owned()),
        }
    }

    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        let fields = [
            (b'S', Some("FATAL")),
            (b'V', Some("FATAL")),
            (b'C', Some(self.code)),
            (b'M', Some(self.message.as_str())),
            (b'D', self.detail.as_deref()),
            (b'H', self.hint.as_deref()),
        ];
        for (field, value) in fields {
            if let Some(value) = value {
                rest.push(field);
                push_string(&mut rest, value.as_bytes());
            }
        }
        rest.push(0);
        [&b"E"[..], &framed(&rest)].concat()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Protocol;
    use super::*;

    /// The rest of a start-up packet.
    pub(in crate::tunnel) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut rest = (MAJOR_VERSION << 16).to_be_bytes().to_vec();
        for string in parameters.iter().flat_map(|(name, value)| [name, value]) {
            rest.extend_from_slice(string.as_bytes());
            rest.push(0);
        }
        rest.push(0);
        rest
    }

    fn parsed(parameters: &[(&str, &str)]) -> StartupMessage {
        match FirstPacket::parse(&startup(parameters)).unwrap() {
            FirstPacket::Startup(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// The fields of a whole `ErrorResponse`.
    pub(in crate::tunnel) fn fields(message: &[u8]) -> Vec<(char, String)> {
        let (tag, rest) = message.split_first().unwrap();
        let (length, mut rest) = rest.split_first_chunk().unwrap();
        assert_eq!(*tag, b'E');
        assert_eq!(u32::from_be_bytes(*length) as usize, message.len() - 1);
        let mut fields = Vec::new();
        while let Some((field, more)) = rest.split_first().filter(|(field, _)| **field != 0) {
            rest = more;
            let value = String::from_utf8(take_string(&mut rest).unwrap().to_vec()).unwrap();
            fields.push((char::from(*field), value));
        }
        assert_eq!(rest, [0]);
        fields
    }

    const ADA: [(&str, &str); 3] = [
        ("user", "ada"),
        ("database", "payments"),
        ("options", "-c search_path=audit"),
    ];

    fn everything_valid() -> Vec<Vec<u8>> {
        let cancel = [&CANCEL_REQUEST.to_be_bytes()[..], &[7; 8]].concat();
        vec![
            startup(&ADA),
            startup(&[]),
            SSL_REQUEST.to_be_bytes().to_vec(),
            GSS_ENCRYPTION_REQUEST.to_be_bytes().to_vec(),
            cancel,
        ]
    }

    #[test]
    fn what_comes_in_unchanged_goes_out_unchanged() {
        for rest in [startup(&ADA), startup(&[]), startup(&[("user", "a\u{e9}")])] {
            match FirstPacket::parse(&rest).unwrap() {
                FirstPacket::Startup(message) => assert_eq!(message.encode()[4..], rest),
                other => panic!("{other:?}"),
            }
        }
        let cancel = &everything_valid()[4];
        match FirstPacket::parse(cancel).unwrap() {
            FirstPacket::CancelRequest(packet) => {
                assert_eq!(packet[..4], 16_u32.to_be_bytes());
                assert_eq!(packet[4..], **cancel);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_length_has_bounds() {
        let length = |length: u32| FirstPacket::length(length.to_be_bytes());
        assert_eq!(length(8), Ok(4));
        assert_eq!(length(10_004), Ok(LONGEST_FIRST_PACKET));
        for bad in [0, 4, 7, 10_005, u32::MAX] {
            assert_eq!(length(bad), Err(Malformed::Length(bad)));
        }
        assert_eq!(
            FirstPacket::length([0x16, 0x03, 0x01, 0x02]),
            Err(Malformed::DirectTls)
        );
    }

    #[test]
    fn no_prefix_of_a_valid_packet_is_another_one() {
        for rest in everything_valid() {
            assert!(FirstPacket::parse(&rest).is_ok());
            for end in 0..rest.len() {
                assert!(
                    FirstPacket::parse(&rest[..end]).is_err(),
                    "{end} of {rest:?}"
                );
            }
            let longer = [rest.as_slice(), &[0]].concat();
            // One key may be longer than another; nothing else may.
            let cancel = rest.starts_with(&CANCEL_REQUEST.to_be_bytes());
            assert_eq!(FirstPacket::parse(&longer).is_ok(), cancel);
        }
    }

    /// The same bytes in every run: Vigna's xorshift64, seeded with a constant.
    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = [0; 96];
        for round in 0..20_000_usize {
            for chunk in bytes.chunks_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                chunk.copy_from_slice(&state.to_le_bytes());
            }
            let _ = FirstPacket::length(*bytes.first_chunk().unwrap());
            let _ = FirstPacket::parse(&bytes[..round % bytes.len()]);
            // Damage valid packets too: random bytes alone hardly get past the version.
            for mut rest in everything_valid() {
                let at = usize::from(bytes[0]) % rest.len();
                rest[at] = bytes[1];
                if let Ok(FirstPacket::Startup(message)) = FirstPacket::parse(&rest) {
                    assert_eq!(message.encode()[4..], rest);
                    let adjusted = message.adjusted(&sign_in(true)).encode();
                    let ours = sign_in(true);
                    let added = ours.user.len() + ours.application_name.len() + 80;
                    assert!(
                        adjusted.len() <= rest.len() + 4 + added,
                        "memory is bounded"
                    );
                }
                rest.truncate(usize::from(bytes[2]) % rest.len());
                let _ = FirstPacket::parse(&rest);
            }
        }
    }

    #[test]
    fn only_version_3_is_spoken() {
        for (version, good) in [(3 << 16, true), (3 << 16 | 2, true), (2 << 16, false)] {
            let mut rest = startup(&ADA);
            rest[..4].copy_from_slice(&u32::to_be_bytes(version));
            assert_eq!(FirstPacket::parse(&rest).is_ok(), good);
        }
        assert_eq!(
            Malformed::Version(2 << 16 | 1).to_string(),
            "unsupported protocol version 2.1"
        );
    }

    fn sign_in(read_only: bool) -> Startup {
        Startup {
            protocol: Protocol::Postgres,
            user: "ada@acme.example".to_owned(),
            application_name: "bsql:ada".to_owned(),
            read_only,
        }
    }

    #[test]
    fn the_user_is_replaced_and_the_rest_is_left_alone() {
        let message = parsed(&ADA).adjusted(&sign_in(false));
        assert_eq!(message.parameter("user").unwrap(), b"ada@acme.example");
        assert_eq!(message.parameter("database").unwrap(), b"payments");
        assert_eq!(
            message.parameter("options").unwrap(),
            b"-c search_path=audit"
        );
        assert_eq!(message.parameter("application_name").unwrap(), b"bsql:ada");
        let psql = parsed(&[("application_name", "psql")]).adjusted(&sign_in(false));
        assert_eq!(psql.parameter("application_name").unwrap(), b"psql");
        let twice = parsed(&[("user", "one"), ("user", "two")]).adjusted(&sign_in(false));
        assert_eq!(
            twice
                .parameters
                .iter()
                .filter(|(name, _)| name == b"user")
                .count(),
            1
        );
    }

    #[test]
    fn read_only_comes_last() {
        let options = |given: &[(&str, &str)]| {
            let message = parsed(given).adjusted(&sign_in(true));
            String::from_utf8(message.parameter("options").unwrap().to_vec()).unwrap()
        };
        let on = "-c default_transaction_read_only=on";
        assert_eq!(options(&[]), on);
        assert_eq!(options(&ADA), format!("-c search_path=audit {on}"));
        assert_eq!(
            options(&[("options", r"-c a=b\")]),
            format!("-c a=b {on}"),
            "the backslash would have made the space part of the value"
        );
        assert_eq!(
            options(&[("options", r"-c a=b\\")]),
            format!(r"-c a=b\\ {on}")
        );
        let sneaky = parsed(&[("Default_Transaction_Read_Only", "off")]).adjusted(&sign_in(true));
        assert!(sneaky.parameter("Default_Transaction_Read_Only").is_none());
    }

    #[test]
    fn zero_bytes_do_not_add_parameters() {
        let mut startup = sign_in(false);
        startup.user = "ada\0options\0-c x=y".to_owned();
        let packet = parsed(&[]).adjusted(&startup).encode();
        let FirstPacket::Startup(message) = FirstPacket::parse(&packet[4..]).unwrap() else {
            panic!("{packet:?}");
        };
        assert!(message.parameter("options").is_none());
    }

    #[test]
    fn an_error_says_all_it_knows() {
        let error = ErrorKind::Denied
            .error("cannot reach `payments`")
            .because(anyhow::anyhow!("403\u{1b}[2J").context("Google says no"))
            .hint("bsql why payments");
        let shown = fields(&Refusal::from(&error).encode());
        let expected = [
            ('S', "FATAL"),
            ('V', "FATAL"),
            ('C', "28000"),
            ('M', "bsql: cannot reach `payments`"),
            ('D', "Google says no\n403\u{fffd}[2J"),
            ('H', "bsql why payments"),
        ];
        assert_eq!(
            shown,
            expected.map(|(field, value)| (field, value.to_owned()))
        );
        let bare = fields(&Refusal::from(&ErrorKind::Unavailable.error("no network")).encode());
        assert_eq!(bare.last().unwrap(), &('M', "bsql: no network".to_owned()));
        assert!(bare.contains(&('C', "08006".to_owned())));
    }
}
