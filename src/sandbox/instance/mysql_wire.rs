//! MySQL's protocol up to the log-in, as a server speaks it:
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::sandbox::mysql::native_password::{NONCE, PROOF};

/// Of a packet before the log-in. A token is a few kilobytes at most.
const MAX_PACKET: usize = 65_536;

const CLIENT_CONNECT_WITH_DB: u32 = 1 << 3;
const CLIENT_SSL: u32 = 1 << 11;
const CLIENT_PROTOCOL_41: u32 = 1 << 9;
const CLIENT_SECURE_CONNECTION: u32 = 1 << 15;
const CLIENT_PLUGIN_AUTH: u32 = 1 << 19;
const CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA: u32 = 1 << 21;

/// The method that sends a password as it is.
const CLEAR_PASSWORD: &str = "mysql_clear_password";
/// The method of [`native_password`](crate::sandbox::mysql::native_password).
const NATIVE_PASSWORD: &str = "mysql_native_password";

/// A packet: what it says, and its number in the exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) number: u8,
    pub(super) body: Vec<u8>,
}

impl Packet {
    pub(super) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = u32::try_from(self.body.len()).map_err(io::Error::other)?;
        let mut bytes = length.to_le_bytes()[..3].to_vec();
        bytes.push(self.number);
        bytes.extend(&self.body);
        to.write_all(&bytes).await?;
        to.flush().await
    }

    /// Reads a packet; `None` when the other side leaves instead.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut header = [0; 4];
        if from.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut header[1..]).await?;
        Self::read_after(header, from).await.map(Some)
    }

    /// Reads a packet whose header has been read.
    pub(super) async fn read_after(
        header: [u8; 4],
        from: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Self> {
        let [low, middle, high, number] = header;
        let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
        if length > MAX_PACKET {
            return Err(malformed("a packet of impossible length before the log-in"));
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).await?;
        Ok(Self { number, body })
    }

    pub(super) fn is_ok(&self) -> bool {
        self.body.first() == Some(&0)
    }
}

/// `HandshakeV10`: how a server greets, as far as a door cares.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The same, but without an offer of encryption: there is some already.
    pub(super) body: Vec<u8>,
    /// What proofs of a password are made with.
    pub(super) nonce: [u8; NONCE],
}

impl Greeting {
    pub(super) fn parse(mut body: Vec<u8>) -> io::Result<Self> {
        let mut reader = Reader(&body);
        reader.take(1)?;
        reader.text()?;
        // The number of the connection.
        reader.take(4)?;
        let start: [u8; 8] = reader.array()?;
        reader.take(1)?;
        let at = body.len() - reader.0.len();
        let bits = u16::from_le_bytes(reader.array()?);
        // Character set, status, the upper half of the capabilities, the nonce's length, and what is reserved.
        reader.take(1 + 2 + 2 + 1 + 10)?;
        let end: [u8; NONCE - 8] = reader.array()?;
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&start);
        nonce[8..].copy_from_slice(&end);
        let bits = u32::from(bits) & !CLIENT_SSL;
        body[at..at + 2].copy_from_slice(&bits.to_le_bytes()[..2]);
        Ok(Self { body, nonce })
    }
}

/// `HandshakeResponse41`: how a client answers the greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    capabilities: u32,
    /// The longest packet, the character set and reserved bytes.
    settings: Vec<u8>,
    pub(super) user: String,
    auth: Vec<u8>,
    database: Option<String>,
    /// The method that `auth` is of, if the client names one.
    method: Option<String>,
    /// The attributes, as they are.
    rest: Vec<u8>,
}

impl Response {
    pub(super) fn parse(body: &[u8]) -> io::Result<Self> {
        let mut reader = Reader(body);
        let capabilities = u32::from_le_bytes(reader.array()?);
        if capabilities & CLIENT_PROTOCOL_41 == 0 {
            return Err(malformed("a client of before MySQL 4.1"));
        }
        if capabilities & CLIENT_SSL != 0 {
            return Err(malformed("a wish for encryption that was not offered"));
        }
        let settings = reader.take(4 + 1 + 23)?.to_vec();
        let user = reader.text()?;
        let auth = if capabilities & CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA != 0 {
            let length = reader.length()?;
            reader.take(length)?.to_vec()
        } else if capabilities & CLIENT_SECURE_CONNECTION != 0 {
            let [length] = reader.array()?;
            reader.take(length.into())?.to_vec()
        } else {
            reader.text()?.into_bytes()
        };
        let has = |bit: u32| capabilities & bit != 0;
        let database = if has(CLIENT_CONNECT_WITH_DB) {
            Some(reader.text()?)
        } else {
            None
        };
        let method = if has(CLIENT_PLUGIN_AUTH) {
            Some(reader.text()?)
        } else {
            None
        };
        Ok(Self {
            capabilities,
            settings,
            user,
            auth,
            database,
            method,
            rest: reader.0.to_vec(),
        })
    }

    /// What shows by [`NATIVE_PASSWORD`] that the client knows a password; `None` when it has tried another method.
    pub(super) fn native_proof(&self) -> Option<&[u8]> {
        // Clients that cannot name a method know no other.
        let is_native = self.method.as_deref().unwrap_or(NATIVE_PASSWORD) == NATIVE_PASSWORD;
        is_native.then_some(&self.auth)
    }

    /// The same, proven in another way: by [`NATIVE_PASSWORD`].
    pub(super) fn proven_by(&self, proof: &[u8; PROOF]) -> Vec<u8> {
        let method = CLIENT_PLUGIN_AUTH | CLIENT_SECURE_CONNECTION;
        let capabilities = self.capabilities & !CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA | method;
        let mut body = capabilities.to_le_bytes().to_vec();
        body.extend(&self.settings);
        body.extend(self.user.as_bytes());
        body.push(0);
        body.push(PROOF.to_le_bytes()[0]);
        body.extend(proof);
        if let Some(database) = &self.database {
            body.extend(database.as_bytes());
            body.push(0);
        }
        body.extend(NATIVE_PASSWORD.as_bytes());
        body.push(0);
        body.extend(&self.rest);
        body
    }
}

/// `AuthSwitchRequest`: asks for the password as it is.
pub(super) fn ask_clear_password() -> Vec<u8> {
    [&[0xfe], CLEAR_PASSWORD.as_bytes(), &[0]].concat()
}

/// `AuthSwitchRequest`: asks to show that the password is known, by way of `nonce`.
pub(super) fn ask_native_password(nonce: &[u8; NONCE]) -> Vec<u8> {
    [&[0xfe], NATIVE_PASSWORD.as_bytes(), &[0], nonce, &[0]].concat()
}

/// A refusal: an ERR packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// MySQL's number.
    pub(super) code: u16,
    /// The SQLSTATE.
    pub(super) state: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: u16, state: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            state,
            message: message.into(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = vec![0xff];
        body.extend(self.code.to_le_bytes());
        body.push(b'#');
        body.extend(self.state.as_bytes());
        body.extend(self.message.as_bytes());
        body
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| malformed("a log-in that breaks off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("as many were taken"))
    }

    /// Up to a zero.
    fn text(&mut self) -> io::Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.ok_or_else(|| malformed("a text without an end"))?)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// A length-encoded integer, of which only short ones are of use here.
    fn length(&mut self) -> io::Result<usize> {
        match self.array::<1>()? {
            [short @ ..=0xfa] => Ok(short.into()),
            [0xfc] => Ok(u16::from_le_bytes(self.array()?).into()),
            _ => Err(malformed("a password of impossible length")),
        }
    }
}

pub(super) fn malformed(what: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the client sent {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the `mariadb` client says it, with an attribute.
    fn response(capabilities: u32, auth: &[u8]) -> Vec<u8> {
        let mut body = (capabilities | CLIENT_PROTOCOL_41).to_le_bytes().to_vec();
        body.extend([0, 0, 0, 1, 45]);
        body.extend([0; 23]);
        body.extend(b"ada\0");
        body.extend(auth);
        if capabilities & CLIENT_CONNECT_WITH_DB != 0 {
            body.extend(b"storefront\0");
        }
        if capabilities & CLIENT_PLUGIN_AUTH != 0 {
            body.extend(b"caching_sha2_password\0");
        }
        body.extend(b"\x04\x01a\x01b");
        body
    }

    #[test]
    fn log_ins_in_every_form() {
        let whole = CLIENT_CONNECT_WITH_DB | CLIENT_PLUGIN_AUTH;
        for (capabilities, auth, expected) in [
            (whole | CLIENT_SECURE_CONNECTION, &b"\x03abc"[..], "abc"),
            (
                whole | CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA,
                &b"\xfc\x03\x00abc"[..],
                "abc",
            ),
            (CLIENT_CONNECT_WITH_DB, &b"abc\0"[..], "abc"),
            (CLIENT_SECURE_CONNECTION, &b"\x00"[..], ""),
        ] {
            let body = response(capabilities, auth);
            let parsed = Response::parse(&body).unwrap();
            assert_eq!(parsed.user, "ada");
            assert_eq!(parsed.auth, expected.as_bytes());
            let database = capabilities & CLIENT_CONNECT_WITH_DB != 0;
            assert_eq!(parsed.database.is_some(), database);
            assert_eq!(parsed.rest, b"\x04\x01a\x01b");
            let is_native = capabilities & CLIENT_PLUGIN_AUTH == 0;
            assert_eq!(parsed.native_proof().is_some(), is_native);
            let again = Response::parse(&parsed.proven_by(&[7; PROOF])).unwrap();
            assert_eq!(again.user, "ada");
            assert_eq!(again.native_proof(), Some(&[7; PROOF][..]));
            assert_eq!(again.database, parsed.database);
            assert_eq!(again.rest, parsed.rest);
            for end in 0..body.len() - 5 {
                let _ = Response::parse(&body[..end]);
            }
        }
    }

    #[test]
    fn only_the_offer_of_encryption_is_taken_out() {
        let mut greeting = b"\x0a5.5.5-10.11\0\x07\0\0\0abcdefgh\0".to_vec();
        let at = greeting.len();
        greeting.extend([0xff, 0xff, 45, 2, 0, 0xff, 0x81, 21]);
        greeting.extend([0; 10]);
        greeting.extend(b"ijklmnopqrst\0mysql_native_password\0");
        let parsed = Greeting::parse(greeting.clone()).unwrap();
        greeting[at + 1] = 0xf7;
        assert_eq!(parsed.body, greeting);
        assert_eq!(&parsed.nonce, b"abcdefghijklmnopqrst");
        for end in 0..at + 18 + 12 {
            assert!(Greeting::parse(greeting[..end].to_vec()).is_err(), "{end}");
        }
    }

    #[tokio::test]
    async fn packets_there_and_back() {
        let packet = Packet {
            number: 3,
            body: Refusal::new(1045, "28000", "no").encode(),
        };
        let mut bytes = Vec::new();
        packet.write(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"\x0b\0\0\x03\xff\x15\x04#28000no");
        let mut reader = &bytes[..];
        assert_eq!(Packet::read(&mut reader).await.unwrap(), Some(packet));
        assert_eq!(Packet::read(&mut reader).await.unwrap(), None);
        assert!(Packet::read(&mut &b"\xff\xff\xff\0"[..]).await.is_err());
    }
}
