//! The few packets of MySQL's log-in that a tunnel reads or writes, as bytes in and bytes out: no sockets here.
//!
//! Formats: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>. Whoever can reach the
//! socket may send anything, so every length is checked and nothing here panics.

use std::fmt;

use super::Startup;
use crate::error::{Error, ErrorKind, printable};

/// A packet's length (three bytes) and its number in the exchange.
pub const HEADER: usize = 4;
/// The longest packet of a log-in that is passed on: a response may have 64 KiB of attributes.
pub const LONGEST_PACKET: usize = 128 * 1024;

/// Capabilities:
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html>.
pub mod capability {
    #![expect(missing_docs, reason = "the names are the protocol's own")]
    pub const CONNECT_WITH_DB: u32 = 1 << 3;
    pub const COMPRESS: u32 = 1 << 5;
    pub const PROTOCOL_41: u32 = 1 << 9;
    pub const SSL: u32 = 1 << 11;
    pub const SECURE_CONNECTION: u32 = 1 << 15;
    pub const PLUGIN_AUTH: u32 = 1 << 19;
    pub const CONNECT_ATTRS: u32 = 1 << 20;
    pub const PLUGIN_AUTH_LENENC_CLIENT_DATA: u32 = 1 << 21;
    pub const ZSTD_COMPRESSION: u32 = 1 << 26;
    pub const QUERY_ATTRIBUTES: u32 = 1 << 27;
}

/// Not MySQL's log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The length is out of bounds.
    Length(usize),
    /// The server's first packet is none that this bsql knows.
    Greeting,
    /// The client wants TLS, which was not offered, or says that it has some.
    Tls,
    /// The client speaks the protocol of before MySQL 4.1.
    Old,
    /// The client's answer ends too soon, or its parts have impossible lengths.
    Layout,
}

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "invalid length of log-in packet: {length}"),
            Self::Greeting => f.write_str("the server's greeting is not MySQL's, version 10"),
            Self::Tls => f.write_str(
                "the client speaks TLS, which the local end does not: set its SSL mode to disabled",
            ),
            Self::Old => f.write_str("the client speaks the protocol of before MySQL 4.1"),
            Self::Layout => f.write_str("invalid layout of log-in packet"),
        }
    }
}

/// A packet's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of what follows.
    pub length: usize,
    /// The number in the exchange, which both sides count.
    pub sequence: u8,
}

impl Header {
    /// Reads a header of a packet of the log-in.
    pub fn parse(bytes: [u8; HEADER]) -> Result<Self, Malformed> {
        let [low, middle, high, sequence] = bytes;
        let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
        if (1..=LONGEST_PACKET).contains(&length) {
            Ok(Self { length, sequence })
        } else {
            Err(Malformed::Length(length))
        }
    }
}

/// `payload` as a packet.
pub fn framed(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    let mut packet = vec![length[0], length[1], length[2], sequence];
    packet.extend_from_slice(payload);
    packet
}

/// What a server's packet means for the log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The client is in.
    Ok,
    /// It is not.
    Err,
    /// The exchange goes on.
    More,
}

impl Answer {
    /// By the first byte of the payload.
    pub fn of(payload: &[u8]) -> Self {
        match payload.first() {
            Some(0x00) => Self::Ok,
            Some(0xff) => Self::Err,
            _ => Self::More,
        }
    }
}

/// `HandshakeV10`: the server's first words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The number of the connection, which `SHOW PROCESSLIST` has.
    pub connection_id: u32,
    /// What the server can do.
    pub capabilities: u32,
    payload: Vec<u8>,
    /// Where the lower half of the capabilities is; the upper half may be missing.
    lower_at: usize,
    upper_at: Option<usize>,
}

impl Greeting {
    /// Reads a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let (version, mut rest) = payload.split_first().ok_or(Malformed::Greeting)?;
        if *version != 10 {
            return Err(Malformed::Greeting);
        }
        take_string(&mut rest).ok_or(Malformed::Greeting)?;
        let id = take(&mut rest, 4).and_then(|id| id.first_chunk().copied());
        // The beginning of the salt, and a filler.
        take(&mut rest, 9).ok_or(Malformed::Greeting)?;
        let lower_at = payload.len() - rest.len();
        let lower = take(&mut rest, 2).ok_or(Malformed::Greeting)?;
        // The character set and the status.
        let upper_at = take(&mut rest, 3).map(|_| payload.len() - rest.len());
        let upper = upper_at.and_then(|_| take(&mut rest, 2));
        let upper_at = upper_at.filter(|_| upper.is_some());
        let half = |bytes: Option<&[u8]>| {
            let bytes = bytes.and_then(|bytes| bytes.first_chunk().copied());
            u32::from(u16::from_le_bytes(bytes.unwrap_or_default()))
        };
        Ok(Self {
            connection_id: u32::from_le_bytes(id.ok_or(Malformed::Greeting)?),
            capabilities: half(Some(lower)) | half(upper) << 16,
            payload: payload.to_vec(),
            lower_at,
            upper_at,
        })
    }

    /// Does not offer these capabilities.
    #[must_use]
    pub fn without(self, capabilities: u32) -> Self {
        let left = self.capabilities & !capabilities;
        self.offering(left)
    }

    /// Offers these capabilities as well. Those of a greeting of before MySQL 4.1 have 16 bits.
    #[must_use]
    pub fn with(self, capabilities: u32) -> Self {
        let all = self.capabilities | capabilities;
        self.offering(all)
    }

    fn offering(mut self, capabilities: u32) -> Self {
        self.capabilities = capabilities;
        let [a, b, c, d] = self.capabilities.to_le_bytes();
        self.payload[self.lower_at..self.lower_at + 2].copy_from_slice(&[a, b]);
        if let Some(at) = self.upper_at {
            self.payload[at..at + 2].copy_from_slice(&[c, d]);
        }
        self
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Whether a client's first packet is `SSLRequest`: the beginning of its answer, and TLS comes next.
pub fn asks_tls(payload: &[u8]) -> bool {
    let bits = payload.first_chunk().copied().unwrap_or_default();
    let asked = capability::SSL | capability::PROTOCOL_41;
    payload.len() == FIXED && u32::from_le_bytes(bits) & asked == asked
}

/// A name and its value.
type Attribute = (Vec<u8>, Vec<u8>);

/// `HandshakeResponse41`: who the client is, and how it proves that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What the client can do, of what the server can.
    pub capabilities: u32,
    /// The longest packet, the character set, and what is reserved: as they are.
    fixed: Vec<u8>,
    user: Vec<u8>,
    proof: Vec<u8>,
    database: Option<Vec<u8>>,
    plugin: Option<Vec<u8>>,
    attributes: Option<Vec<Attribute>>,
    /// What comes behind, as the level of compression.
    rest: Vec<u8>,
}

/// The client's answer has this much before the user.
const FIXED: usize = 32;
/// MySQL's counterpart of PostgreSQL's `application_name`, in `performance_schema.session_connect_attrs`.
const PROGRAM_NAME: &[u8] = b"program_name";

impl Response {
    /// Reads a payload that came over TLS or, if not `encrypted`, without. What is read says nothing of TLS either way: that
    /// is between the client and the tunnel.
    pub fn parse(payload: &[u8], encrypted: bool) -> Result<Self, Malformed> {
        let mut rest = payload;
        let bits = take(&mut rest, 4).and_then(|bits| bits.first_chunk().copied());
        let capabilities = u32::from_le_bytes(bits.ok_or(Malformed::Layout)?);
        let can = |what: u32| capabilities & what != 0;
        if !can(capability::PROTOCOL_41) {
            return Err(Malformed::Old);
        }
        let fixed = take(&mut rest, FIXED - 4)
            .ok_or(Malformed::Layout)?
            .to_vec();
        if can(capability::SSL) && !encrypted {
            return Err(Malformed::Tls);
        }
        let user = take_string(&mut rest).ok_or(Malformed::Layout)?.to_vec();
        let proof = if can(capability::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            take_counted(&mut rest)
        } else if can(capability::SECURE_CONNECTION) {
            take(&mut rest, 1).and_then(|length| take(&mut rest, length[0].into()))
        } else {
            take_string(&mut rest)
        };
        let proof = proof.ok_or(Malformed::Layout)?.to_vec();
        // Old clients leave out what is empty at the end, and the last string's zero byte; servers do not mind.
        let mut string = |has: bool| {
            has.then(|| {
                let all = rest;
                take_string(&mut rest).unwrap_or_else(|| {
                    rest = &[];
                    all
                })
            })
            .map(<[u8]>::to_vec)
        };
        let database = string(can(capability::CONNECT_WITH_DB));
        let plugin = string(can(capability::PLUGIN_AUTH));
        let attributes = if can(capability::CONNECT_ATTRS) && !rest.is_empty() {
            let all = take_counted(&mut rest).ok_or(Malformed::Layout)?;
            Some(parse_attributes(all)?)
        } else {
            None
        };
        Ok(Self {
            capabilities: capabilities & !capability::SSL,
            fixed,
            user,
            proof,
            database,
            plugin,
            attributes,
            rest: rest.to_vec(),
        })
    }

    /// The user that the client gives.
    pub fn user(&self) -> &[u8] {
        &self.user
    }

    /// What proves that it is the user: empty without a password.
    pub fn proof(&self) -> &[u8] {
        &self.proof
    }

    /// The database, if the client gives one.
    pub fn database(&self) -> Option<&[u8]> {
        self.database.as_deref()
    }

    /// How the client proves who it is, by the name of a plug-in.
    pub fn plugin(&self) -> Option<&[u8]> {
        self.plugin.as_deref()
    }

    /// What the client says of itself under this name.
    pub fn attribute(&self, name: &[u8]) -> Option<&[u8]> {
        let mut all = self.attributes.iter().flatten();
        all.find(|(other, _)| other == name)
            .map(|(_, value)| value.as_slice())
    }

    /// Signs in as `startup` says. Of another user's password nothing goes on.
    #[must_use]
    pub fn adjusted(mut self, startup: &Startup) -> Self {
        if self.user != startup.user.as_bytes() {
            self.user = startup.user.clone().into();
            self.proof.clear();
        }
        if self.capabilities & capability::CONNECT_ATTRS != 0
            && self.attribute(PROGRAM_NAME).is_none_or(<[u8]>::is_empty)
        {
            let attributes = self.attributes.get_or_insert_default();
            attributes.retain(|(name, _)| name != PROGRAM_NAME);
            let name = startup.application_name.clone().into();
            attributes.push((PROGRAM_NAME.into(), name));
        }
        self
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = self.capabilities.to_le_bytes().to_vec();
        payload.extend_from_slice(&self.fixed);
        push_string(&mut payload, &self.user);
        if self.capabilities & capability::PLUGIN_AUTH_LENENC_CLIENT_DATA != 0 {
            push_counted(&mut payload, &self.proof);
        } else if self.capabilities & capability::SECURE_CONNECTION != 0 {
            // No longer than what was read, which had one byte for its length.
            payload.push(u8::try_from(self.proof.len()).unwrap_or(u8::MAX));
            payload.extend_from_slice(&self.proof);
        } else {
            push_string(&mut payload, &self.proof);
        }
        for string in [&self.database, &self.plugin].into_iter().flatten() {
            push_string(&mut payload, string);
        }
        if let Some(attributes) = &self.attributes {
            let mut all = Vec::new();
            for (name, value) in attributes {
                push_counted(&mut all, name);
                push_counted(&mut all, value);
            }
            push_counted(&mut payload, &all);
        }
        payload.extend_from_slice(&self.rest);
        payload
    }
}

fn parse_attributes(mut all: &[u8]) -> Result<Vec<Attribute>, Malformed> {
    let mut attributes = Vec::new();
    while !all.is_empty() {
        let name = take_counted(&mut all).ok_or(Malformed::Layout)?;
        let value = take_counted(&mut all).ok_or(Malformed::Layout)?;
        attributes.push((name.to_vec(), value.to_vec()));
    }
    Ok(attributes)
}

/// `COM_QUERY`, the first packet of an exchange. `capabilities` are what both sides can do.
pub fn query(sql: &str, capabilities: u32) -> Vec<u8> {
    let mut payload = vec![0x03];
    if capabilities & capability::QUERY_ATTRIBUTES != 0 {
        // No parameters, in one set.
        payload.extend_from_slice(&[0, 1]);
    }
    payload.extend_from_slice(sql.as_bytes());
    framed(0, &payload)
}

/// An `ERR` packet: why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// See <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>.
    pub code: u16,
    /// The SQLSTATE.
    pub state: &'static str,
    /// One line: there is no field for a hint, so it has that too.
    pub message: String,
}

/// `ER_CON_COUNT_ERROR`, `ER_HANDSHAKE_ERROR`, `ER_ACCESS_DENIED_ERROR`, and `ER_CONNECT_TO_FOREIGN_DATA_SOURCE`. Not
/// 2003, `CR_CONN_HOST_ERROR`: from a server, clients take their own errors for a malformed packet.
const TOO_MANY: (u16, &str) = (1040, "08004");
const BAD_HANDSHAKE: (u16, &str) = (1043, "08S01");
const ACCESS_DENIED: (u16, &str) = (1045, "28000");
const NO_SERVER: (u16, &str) = (1429, "08S01");
/// `MYSQL_ERRMSG_SIZE`: clients cut longer ones.
const LONGEST_MESSAGE: usize = 512;

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let mut message = error.to_string();
        for cause in error.causes() {
            message.push_str(": ");
            message.push_str(&cause);
        }
        for hint in error.next_steps() {
            message.push_str("; hint: ");
            message.push_str(hint);
        }
        let code = match error.kind() {
            ErrorKind::SignedOut | ErrorKind::Denied => ACCESS_DENIED,
            _ => NO_SERVER,
        };
        Self::new(code, &message)
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::new(BAD_HANDSHAKE, &malformed.to_string())
    }
}

impl Refusal {
    fn new((code, state): (u16, &'static str), message: &str) -> Self {
        // The client will say that its server says so.
        let mut message = format!("bsql: {}", printable(message));
        let mut end = LONGEST_MESSAGE.min(message.len());
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        Self {
            code,
            state,
            message,
        }
    }

    /// For the one that comes when `most` are there already.
    pub fn too_many(most: usize) -> Self {
        let message = format!(
            "the tunnel serves at most {most} connections at a time; hint: close some, or start the tunnel with --max-connections"
        );
        Self::new(TOO_MANY, &message)
    }

    /// In the place of the greeting. It has no SQLSTATE: nothing is agreed on yet, and MySQL's own library would take it
    /// for a part of the message.
    pub fn as_greeting(&self) -> Vec<u8> {
        let mut payload = vec![0xff];
        payload.extend_from_slice(&self.code.to_le_bytes());
        payload.extend_from_slice(self.message.as_bytes());
        framed(0, &payload)
    }

    /// In an exchange of the log-in, as its packet number `sequence`.
    pub fn as_answer(&self, sequence: u8) -> Vec<u8> {
        let mut payload = vec![0xff];
        payload.extend_from_slice(&self.code.to_le_bytes());
        payload.push(b'#');
        payload.extend_from_slice(self.state.as_bytes());
        payload.extend_from_slice(self.message.as_bytes());
        framed(sequence, &payload)
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Up to a zero byte.
fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let string = take(rest, end)?;
    take(rest, 1)?;
    Some(string)
}

/// A length as MySQL writes integers of any size, and so many bytes.
fn take_counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let first = take(rest, 1)?[0];
    let width = match first {
        0..=0xfa => return take(rest, first.into()),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xfb | 0xff => return None,
    };
    let mut length = [0; 8];
    length[..width].copy_from_slice(take(rest, width)?);
    take(rest, usize::try_from(u64::from_le_bytes(length)).ok()?)
}

/// Zero bytes end strings, so they cannot be in them.
fn push_string(payload: &mut Vec<u8>, string: &[u8]) {
    payload.extend(string.iter().filter(|byte| **byte != 0));
    payload.push(0);
}

fn push_counted(payload: &mut Vec<u8>, bytes: &[u8]) {
    let length = (bytes.len() as u64).to_le_bytes();
    match bytes.len() {
        0..=0xfa => payload.push(length[0]),
        0xfb..=0xffff => {
            payload.push(0xfc);
            payload.extend_from_slice(&length[..2]);
        }
        _ => {
            payload.push(0xfe);
            payload.extend_from_slice(&length);
        }
    }
    payload.extend_from_slice(bytes);
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Protocol;
    use super::*;

    /// Everything that servers of today can do.
    const ALL: u32 = 0x1fff_ffff;

    /// MySQL 8's, with this number and these capabilities.
    pub(in crate::tunnel) fn greeting(connection_id: u32, capabilities: u32) -> Vec<u8> {
        let [a, b, c, d] = capabilities.to_le_bytes();
        let mut payload = b"\x0a8.0.39-google\0".to_vec();
        payload.extend_from_slice(&connection_id.to_le_bytes());
        payload.extend_from_slice(b"saltsalt\0");
        payload.extend_from_slice(&[a, b, 0xff, 2, 0, c, d, 21]);
        payload.extend_from_slice(&[0; 10]);
        payload.extend_from_slice(b"saltsaltsalt\0caching_sha2_password\0");
        payload
    }

    pub(in crate::tunnel) const CLIENT: u32 = capability::CONNECT_WITH_DB
        | capability::PROTOCOL_41
        | capability::SECURE_CONNECTION
        | capability::PLUGIN_AUTH
        | capability::CONNECT_ATTRS
        | capability::PLUGIN_AUTH_LENENC_CLIENT_DATA;

    /// A client that gives `user` and a password.
    pub(in crate::tunnel) fn response(user: &str, attributes: &[u8]) -> Vec<u8> {
        let mut payload = CLIENT.to_le_bytes().to_vec();
        payload.extend_from_slice(&[0, 0, 0, 1, 0xff]);
        payload.extend_from_slice(&[0; 23]);
        push_string(&mut payload, user.as_bytes());
        push_counted(&mut payload, b"proof");
        push_string(&mut payload, b"storefront");
        push_string(&mut payload, b"caching_sha2_password");
        push_counted(&mut payload, attributes);
        payload
    }

    fn ada() -> Startup {
        Startup {
            protocol: Protocol::MySql,
            user: "ada".to_owned(),
            application_name: "bsql:ada".to_owned(),
            read_only: false,
        }
    }

    #[test]
    fn a_greeting_is_read_and_offers_less() {
        let whole = greeting(77, ALL);
        let greeting = Greeting::parse(&whole).unwrap();
        assert_eq!((greeting.connection_id, greeting.capabilities), (77, ALL));
        let less = greeting
            .clone()
            .without(capability::SSL | capability::ZSTD_COMPRESSION);
        let again = Greeting::parse(less.payload()).unwrap();
        assert_eq!(again, less);
        assert_eq!(
            ALL - again.capabilities,
            capability::SSL | capability::ZSTD_COMPRESSION
        );
        let changed = greeting.payload().iter().zip(less.payload());
        assert_eq!(changed.filter(|(before, after)| before != after).count(), 2);
        // As before MySQL 4.1: without the upper half. What there is of the bytes before it is no part of it.
        for end in 30..35 {
            let short = Greeting::parse(&whole[..end]).unwrap();
            assert_eq!(short.without(capability::SSL).capabilities, 0xf7ff, "{end}");
        }
    }

    #[test]
    fn tls_is_offered_asked_for_and_kept_from_the_server() {
        let plain = Greeting::parse(&greeting(77, ALL & !capability::SSL)).unwrap();
        let offered = Greeting::parse(plain.with(capability::SSL).payload()).unwrap();
        assert_eq!(offered.capabilities, ALL);

        let mut whole = response("ada", b"");
        assert!(!asks_tls(&whole));
        whole[1] |= 0x08;
        assert!(!asks_tls(&whole), "a whole answer is none");
        assert!(asks_tls(&whole[..FIXED]));
        let parsed = Response::parse(&whole, true).unwrap();
        assert_eq!(parsed.encode(), response("ada", b""));
        for length in 0..FIXED {
            assert!(!asks_tls(&whole[..length]), "{length}");
        }
        // Of before MySQL 4.1.
        whole[1] &= !0x02;
        assert!(!asks_tls(&whole[..FIXED]));
    }

    #[test]
    fn what_is_no_greeting() {
        for bad in [&b""[..], b"\x09x\0", b"\x0a8.0", &greeting(1, ALL)[..20]] {
            assert_eq!(Greeting::parse(bad), Err(Malformed::Greeting), "{bad:?}");
        }
    }

    #[test]
    fn an_answer_survives_unchanged() {
        let whole = response("ada", b"\x03_os\x05Linux\x0cprogram_name\x05mysql");
        let parsed = Response::parse(&whole, false).unwrap();
        assert_eq!(parsed.user(), b"ada");
        assert_eq!(parsed.proof(), b"proof");
        assert_eq!(parsed.database(), Some(&b"storefront"[..]));
        assert_eq!(parsed.plugin(), Some(&b"caching_sha2_password"[..]));
        assert_eq!(parsed.attribute(b"_os"), Some(&b"Linux"[..]));
        assert_eq!(parsed.encode(), whole);
        assert_eq!(parsed.adjusted(&ada()).encode(), whole, "it is ada already");
    }

    #[test]
    fn the_user_is_filled_in_and_another_ones_password_is_left_out() {
        let whole = response("root", b"");
        let adjusted = Response::parse(&whole, false).unwrap().adjusted(&ada());
        let again = Response::parse(&adjusted.encode(), false).unwrap();
        assert_eq!(again, adjusted);
        assert_eq!((again.user(), again.proof()), (&b"ada"[..], &b""[..]));
        assert_eq!(again.attribute(PROGRAM_NAME), Some(&b"bsql:ada"[..]));
        assert_eq!(again.database(), Some(&b"storefront"[..]));
    }

    #[test]
    fn each_way_to_write_a_password() {
        for (bits, proof) in [
            (0, &b"proof\0"[..]),
            (capability::SECURE_CONNECTION, b"\x05proof"),
            (
                capability::PLUGIN_AUTH_LENENC_CLIENT_DATA,
                b"\xfc\x05\0proof",
            ),
        ] {
            let mut whole = (capability::PROTOCOL_41 | bits).to_le_bytes().to_vec();
            whole.extend_from_slice(&[0; 28]);
            whole.extend_from_slice(b"ada\0");
            whole.extend_from_slice(proof);
            let parsed = Response::parse(&whole, false).unwrap();
            assert_eq!((parsed.proof(), parsed.plugin()), (&b"proof"[..], None));
            assert_eq!(Response::parse(&parsed.encode(), false).unwrap(), parsed);
        }
    }

    #[test]
    fn clients_that_cannot_be_served_are_told_apart() {
        let with = |bits: u32| {
            let mut whole = response("ada", b"");
            whole[..4].copy_from_slice(&bits.to_le_bytes());
            Response::parse(&whole, false)
        };
        assert_eq!(with(CLIENT | capability::SSL), Err(Malformed::Tls));
        assert_eq!(with(CLIENT & !capability::PROTOCOL_41), Err(Malformed::Old));
        assert_eq!(
            Response::parse(b"GET / HTTP/1.1\r\n", false),
            Err(Malformed::Old)
        );
        let whole = response("ada", b"\x03_os\x05Linux");
        for length in 0..40 {
            assert!(
                Response::parse(&whole[..length], false).is_err(),
                "{length}"
            );
        }
        assert_eq!(
            Response::parse(&response("ada", b"\xff"), false),
            Err(Malformed::Layout)
        );
    }

    #[test]
    fn lengths_are_bounded() {
        let header = Header::parse([3, 1, 0, 7]).unwrap();
        assert_eq!((header.length, header.sequence), (259, 7));
        assert_eq!(Header::parse([0; 4]), Err(Malformed::Length(0)));
        assert_eq!(Header::parse([0xff; 4]), Err(Malformed::Length(0xff_ffff)));
        assert_eq!(framed(7, &[1; 259])[..5], [3, 1, 0, 7, 1]);
    }

    #[test]
    fn refusals_say_why_and_what_to_do() {
        let error = ErrorKind::Denied
            .error("cannot reach `storefront`")
            .because(anyhow::anyhow!("403"))
            .hint("bsql why storefront");
        let refusal = Refusal::from(&error);
        assert_eq!((refusal.code, refusal.state), (1045, "28000"));
        assert_eq!(
            refusal.message,
            "bsql: cannot reach `storefront`: 403; hint: bsql why storefront"
        );
        assert_eq!(
            refusal.as_greeting()[3..10],
            [0, 0xff, 0x15, 0x04, b'b', b's', b'q']
        );
        assert_eq!(&refusal.as_answer(2)[3..13], b"\x02\xff\x15\x04#28000");
        let long = Refusal::from(&ErrorKind::Unavailable.error("ä".repeat(1_000)));
        assert_eq!(long.code, 1429);
        assert!(long.message.len() <= LONGEST_MESSAGE && long.message.ends_with('ä'));
        assert_eq!(Refusal::too_many(7).code, 1040);
    }

    #[test]
    fn a_query_is_written_as_was_agreed() {
        assert_eq!(query("SET x", 0), b"\x06\0\0\0\x03SET x");
        assert_eq!(query("SET x", ALL), b"\x08\0\0\0\x03\0\x01SET x");
    }

    /// Deterministic: the same bytes in every run, by xorshift64.
    #[test]
    fn no_bytes_make_it_panic_and_what_is_read_can_be_written() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut bytes = match next() % 3 {
                0 => greeting(1, ALL),
                1 => response("ada", b"\x03_os\x05Linux"),
                _ => (0..next() % 20)
                    .flat_map(|_| next().to_le_bytes())
                    .collect(),
            };
            for _ in 0..next() % 4 {
                if !bytes.is_empty() {
                    let at = usize::try_from(next()).unwrap() % bytes.len();
                    bytes[at] = next().to_le_bytes()[0];
                }
            }
            bytes.truncate(usize::try_from(next()).unwrap() % (bytes.len() + 1));
            if let Ok(greeting) = Greeting::parse(&bytes) {
                let less = greeting.without(capability::SSL);
                assert_eq!(Greeting::parse(less.payload()).unwrap(), less);
            }
            let encrypted = asks_tls(&bytes) || next() % 2 == 0;
            if let Ok(response) = Response::parse(&bytes, encrypted) {
                let adjusted = response.adjusted(&ada());
                let again = Response::parse(&adjusted.encode(), false).unwrap();
                assert_eq!(again.user(), b"ada");
                assert_eq!(again.encode(), adjusted.encode());
            }
        }
    }
}
