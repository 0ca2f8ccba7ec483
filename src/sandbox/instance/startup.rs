//! PostgreSQL's protocol up to the log-in, as a server speaks it:
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// PostgreSQL's own limit for the first message.
const MAX_OPENING: usize = 10_000;
/// A token is a few kilobytes at most.
const MAX_PASSWORD: usize = 65_536;
/// The numbers that stand where the protocol's version would.
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// What a client may begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// It asks for encryption within the encryption: the answer is one byte, and it begins again.
    Encryption,
    /// It wants a statement of another session ended. The whole message, for the server.
    Cancel(Vec<u8>),
    /// It wants a session.
    Startup(Startup),
    /// It speaks another version of the protocol.
    Version(u16, u16),
}

/// The message that starts a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Startup {
    /// All of it, for the server.
    pub(super) message: Vec<u8>,
    /// The database user.
    pub(super) user: String,
    /// The database, which is called like the user when the client does not say.
    pub(super) database: String,
}

/// Reads what the client begins with; `None` when it leaves instead.
pub(super) async fn read_opening(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Opening>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    let total = u32::from_be_bytes(length) as usize;
    if !(8..=MAX_OPENING).contains(&total) {
        return Err(malformed("a first message of impossible length"));
    }
    let mut message = length.to_vec();
    message.resize(total, 0);
    stream.read_exact(&mut message[4..]).await?;
    parse_opening(message).map(Some)
}

fn parse_opening(message: Vec<u8>) -> io::Result<Opening> {
    let code = [message[4], message[5], message[6], message[7]];
    match u32::from_be_bytes(code) {
        SSL_REQUEST | GSSENC_REQUEST => return Ok(Opening::Encryption),
        CANCEL_REQUEST => return Ok(Opening::Cancel(message)),
        _ => {}
    }
    let major = u16::from_be_bytes([code[0], code[1]]);
    if major != 3 {
        let minor = u16::from_be_bytes([code[2], code[3]]);
        return Ok(Opening::Version(major, minor));
    }
    let mut user = String::new();
    let mut database = String::new();
    // Names and values in turn, each ended by a zero, and one more zero at the end.
    let mut strings = message[8..].split(|byte| *byte == 0);
    while let Some(name) = strings.next().filter(|name| !name.is_empty()) {
        let value = strings
            .next()
            .ok_or_else(|| malformed("a parameter without a value"))?;
        let value = String::from_utf8_lossy(value).into_owned();
        match name {
            b"user" => user = value,
            b"database" => database = value,
            _ => {}
        }
    }
    if database.is_empty() {
        database.clone_from(&user);
    }
    Ok(Opening::Startup(Startup {
        message,
        user,
        database,
    }))
}

/// `AuthenticationCleartextPassword`. In the clear means: within TLS.
pub(super) const ASK_PASSWORD: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];

/// Reads a `PasswordMessage`; `None` when the client leaves instead, as `psql` does to ask the person first.
pub(super) async fn read_password(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<String>> {
    let mut kind = [0; 1];
    if stream.read(&mut kind).await? == 0 {
        return Ok(None);
    }
    let total = stream.read_u32().await? as usize;
    if kind != *b"p" || !(5..=MAX_PASSWORD).contains(&total) {
        return Err(malformed("something else than a password"));
    }
    let mut password = vec![0; total - 4];
    stream.read_exact(&mut password).await?;
    if password.pop() != Some(0) {
        return Err(malformed("a password without an end"));
    }
    Ok(Some(String::from_utf8_lossy(&password).into_owned()))
}

/// A refusal: an `ErrorResponse` of severity FATAL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The SQLSTATE.
    pub(super) code: &'static str,
    /// What psql shows after `FATAL:`.
    pub(super) message: String,
    /// What it shows after `HINT:`.
    pub(super) hint: Option<&'static str>,
}

impl Refusal {
    /// Without a hint.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// As bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        let mut field = |kind: u8, value: &str| {
            fields.push(kind);
            fields.extend(value.bytes().filter(|byte| *byte != 0));
            fields.push(0);
        };
        field(b'S', "FATAL");
        field(b'V', "FATAL");
        field(b'C', self.code);
        field(b'M', &self.message);
        if let Some(hint) = self.hint {
            field(b'H', hint);
        }
        fields.push(0);
        let length = u32::try_from(fields.len() + 4).expect("messages are short");
        let mut message = vec![b'E'];
        message.extend(length.to_be_bytes());
        message.extend(fields);
        message
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the client sent {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(code: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 8).unwrap();
        [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
    }

    async fn read(bytes: &[u8]) -> io::Result<Option<Opening>> {
        read_opening(&mut &*bytes).await
    }

    #[tokio::test]
    async fn a_session_names_its_user_and_perhaps_its_database() {
        let bytes = message(0x3_0000, b"user\0ada\0application_name\0psql\0\0");
        let expected = Startup {
            message: bytes.clone(),
            user: "ada".to_owned(),
            database: "ada".to_owned(),
        };
        let read_back = read(&bytes).await.unwrap();
        assert_eq!(read_back, Some(Opening::Startup(expected)));

        let bytes = message(0x3_0002, b"database\0d\0user\0ada\0\0");
        match read(&bytes).await.unwrap() {
            Some(Opening::Startup(startup)) => assert_eq!(startup.database, "d"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn other_openings() {
        assert_eq!(read(b"").await.unwrap(), None);
        for code in [SSL_REQUEST, GSSENC_REQUEST] {
            let opening = read(&message(code, b"")).await.unwrap();
            assert_eq!(opening, Some(Opening::Encryption));
        }
        let cancel = message(CANCEL_REQUEST, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            read(&cancel).await.unwrap(),
            Some(Opening::Cancel(cancel.clone()))
        );
        let old = read(&message(0x2_0000, b"")).await.unwrap();
        assert_eq!(old, Some(Opening::Version(2, 0)));
        for bad in [
            &[0, 0, 0, 7, 0, 3, 0][..],
            &[0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0],
            b"GET / HTTP/1.1\r\n\r\n",
            &[0, 0, 0, 9, 0, 3],
        ] {
            assert!(read(bad).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn passwords() {
        let read = async |bytes: &[u8]| read_password(&mut &*bytes).await;
        let good = read(b"p\0\0\0\x0bsecret\0").await.unwrap();
        assert_eq!(good.as_deref(), Some("secret"));
        assert_eq!(read(b"").await.unwrap(), None);
        assert!(read(b"Q\0\0\0\x0bselect\0").await.is_err());
        assert!(read(b"p\xff\xff\xff\xffsecret\0").await.is_err());
    }

    #[test]
    fn a_refusal_as_bytes() {
        let refusal = Refusal {
            hint: Some("go"),
            ..Refusal::new("28000", "no")
        };
        assert_eq!(
            refusal.encode(),
            b"E\0\0\0\x22SFATAL\0VFATAL\0C28000\0Mno\0Hgo\0\0"
        );
    }
}
