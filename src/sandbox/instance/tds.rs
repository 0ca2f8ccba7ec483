//! The door of an SQL Server instance. Nobody is behind it: there is no SQL Server to have here. It speaks as much of TDS
//! 7.4 as shows that bytes go both ways unharmed: logs the built-in user in, and answers every request with an error.
//!
//! [MS-TDS]: <https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/>

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::sandbox::company::{BUILT_IN_PASSWORD, BUILT_IN_USER};

/// Kinds of messages, [MS-TDS] 2.2.3.1.1.
const SQL_BATCH: u8 = 1;
const RPC: u8 = 3;
const RESPONSE: u8 = 4;
const TRANSACTION_MANAGER: u8 = 14;
const LOGIN7: u8 = 16;
const PRELOGIN: u8 = 18;
/// In a header's status: no packet of this message follows.
const LAST: u8 = 1;
/// Type, status, length, and four bytes that mean nothing here.
const HEADER: usize = 8;
/// Of a whole message: nobody has anything longer to say to nobody.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Version 16.0, no encryption beyond the tunnel's, no MARS; [MS-TDS] 2.2.6.5.
const PRELOGIN_ANSWER: [u8; 24] = [
    0, 0, 16, 0, 6, 1, 0, 22, 0, 1, 4, 0, 23, 0, 1, 0xff, 16, 0, 0, 0, 0, 0, 2, 0,
];

/// Serves a client until it leaves.
pub(super) async fn serve(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut signed_in = false;
    while let Some((kind, message)) = read(client).await? {
        let answer = match kind {
            PRELOGIN => PRELOGIN_ANSWER.to_vec(),
            LOGIN7 => {
                let login = Login::parse(&message)?;
                signed_in = login.user == BUILT_IN_USER && login.password == BUILT_IN_PASSWORD;
                if signed_in {
                    // Without it drivers go on to ask for the database that they have asked for.
                    [database_is(&login.database), login_ack(), done(0)].concat()
                } else {
                    let refusal = format!("Login failed for user '{}'.", login.user);
                    [error(18456, 14, &refusal), done(2)].concat()
                }
            }
            SQL_BATCH | RPC | TRANSACTION_MANAGER if signed_in => {
                let message = "the sandbox has no SQL Server behind this instance";
                [error(50_000, 16, message), done(2)].concat()
            }
            _ => return Err(malformed("a message out of turn")),
        };
        write(client, &answer).await?;
        if kind == LOGIN7 && !signed_in {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a message, of one or more packets; `None` when the client leaves instead.
async fn read(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut message = Vec::new();
    loop {
        let mut header = [0; HEADER];
        if client.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        }
        client.read_exact(&mut header[1..]).await?;
        let [kind, status, high, low, ..] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let length = length
            .checked_sub(HEADER)
            .ok_or_else(|| malformed("a packet of impossible length"))?;
        let start = message.len();
        if start + length > MAX_MESSAGE {
            return Err(malformed("a message that does not end"));
        }
        message.resize(start + length, 0);
        client.read_exact(&mut message[start..]).await?;
        if status & LAST != 0 {
            return Ok(Some((kind, message)));
        }
    }
}

async fn write(client: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(HEADER + message.len()).map_err(io::Error::other)?;
    let [high, low] = length.to_be_bytes();
    let header = [RESPONSE, LAST, high, low, 0, 0, 1, 0];
    client.write_all(&[&header, message].concat()).await?;
    client.flush().await
}

/// What matters here of a `LOGIN7` message, [MS-TDS] 2.2.6.4.
struct Login {
    user: String,
    password: String,
    /// Empty when the client leaves that to the server.
    database: String,
}

impl Login {
    fn parse(message: &[u8]) -> io::Result<Self> {
        // Where a text begins, in bytes, and how many characters it has.
        let text = |at: usize, plain: fn(u8) -> u8| -> io::Result<String> {
            let number = |at: usize| {
                let bytes = message.get(at..at + 2)?;
                Some(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
            };
            let bytes = number(at)
                .zip(number(at + 2))
                .and_then(|(start, length)| message.get(start..start + 2 * length))
                .ok_or_else(|| malformed("a log-in that breaks off"))?;
            let units = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([plain(pair[0]), plain(pair[1])]));
            Ok(char::decode_utf16(units)
                .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect())
        };
        Ok(Self {
            user: text(40, |byte| byte)?,
            // Its bytes have their halves swapped, then some bits turned: against onlookers, not against readers.
            password: text(44, |byte| (byte ^ 0xa5).rotate_left(4))?,
            database: text(68, |byte| byte)?,
        })
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn token(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    [&[kind][..], &length.to_le_bytes(), body].concat()
}

/// `ERROR`, [MS-TDS] 2.2.7.10.
fn error(number: u32, class: u8, message: &str) -> Vec<u8> {
    let text = utf16(message);
    let mut body = number.to_le_bytes().to_vec();
    body.extend([1, class]);
    body.extend(
        u16::try_from(text.len() / 2)
            .unwrap_or(u16::MAX)
            .to_le_bytes(),
    );
    body.extend(text);
    // The server's name, the procedure's, and the line.
    body.extend([0, 0, 1, 0, 0, 0]);
    token(0xaa, &body)
}

/// `ENVCHANGE`, [MS-TDS] 2.2.7.9: in which database the session is from now on, and in which it was.
fn database_is(name: &str) -> Vec<u8> {
    let was = utf16("master");
    // A length is a byte, and a character is one unit or two.
    let name: String = if name.is_empty() { "master" } else { name }
        .chars()
        .take(127)
        .collect();
    let name = utf16(&name);
    let length = |text: &[u8]| u8::try_from(text.len() / 2).unwrap_or(u8::MAX);
    let body = [&[1, length(&name)], &name[..], &[length(&was)], &was].concat();
    token(0xe3, &body)
}

/// `LOGINACK`, [MS-TDS] 2.2.7.14: SQL, version 7.4.
fn login_ack() -> Vec<u8> {
    let name = utf16("bsql sandbox");
    let length = u8::try_from(name.len() / 2).unwrap_or(u8::MAX);
    let mut body = vec![1, 0x74, 0, 0, 4, length];
    body.extend(name);
    body.extend([16, 0, 0, 0]);
    token(0xad, &body)
}

/// `DONE`, [MS-TDS] 2.2.7.6, without a count of rows.
fn done(status: u8) -> Vec<u8> {
    let mut token = vec![0xfd, status];
    token.resize(13, 0);
    token
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the client sent {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, status: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HEADER + body.len()).unwrap().to_be_bytes();
        [&[kind, status, length[0], length[1], 0, 0, 1, 0], body].concat()
    }

    fn login(user: &str, password: &str) -> Vec<u8> {
        let (user, hidden, database) = (utf16(user), utf16(password), utf16("warehouse"));
        let hidden: Vec<u8> = hidden
            .iter()
            .map(|byte| byte.rotate_left(4) ^ 0xa5)
            .collect();
        let mut message = vec![0; 94];
        let password_at = 94 + user.len();
        for (at, value) in [
            (40, 94),
            (42, user.len() / 2),
            (44, password_at),
            (46, hidden.len() / 2),
            (68, password_at + hidden.len()),
            (70, database.len() / 2),
        ] {
            message[at..at + 2].copy_from_slice(&u16::try_from(value).unwrap().to_le_bytes());
        }
        [message, user, hidden, database].concat()
    }

    async fn answers(said: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let mut stream = tokio::io::join(io::Cursor::new(said), Vec::new());
        let served = serve(&mut stream).await;
        (served, stream.into_inner().1)
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        let text = utf16(text);
        bytes.windows(text.len()).any(|window| window == text)
    }

    #[tokio::test]
    async fn the_built_in_user_is_let_in_and_finds_nobody() {
        let login = login(BUILT_IN_USER, BUILT_IN_PASSWORD);
        let (half, rest) = login.split_at(60);
        let said = [
            packet(PRELOGIN, LAST, &[0xff]),
            packet(LOGIN7, 0, half),
            packet(LOGIN7, LAST, rest),
            packet(SQL_BATCH, LAST, &utf16("select 1")),
            packet(RPC, LAST, b""),
            packet(TRANSACTION_MANAGER, LAST, b""),
        ];
        let (served, answers) = answers(said.concat()).await;
        served.unwrap();
        let refusals = utf16("no SQL Server behind");
        let refusals = answers
            .windows(refusals.len())
            .filter(|window| *window == refusals);
        assert_eq!(refusals.count(), 3);
        assert_eq!(answers[..4], [RESPONSE, LAST, 0, 32]);
        assert!(contains(&answers, "bsql sandbox"));
        let database = database_is("warehouse");
        assert_eq!(database[..5], [0xe3, 33, 0, 1, 9]);
        assert!(answers.windows(database.len()).any(|w| w == database));
    }

    #[tokio::test]
    async fn others_are_not() {
        let wrong = packet(LOGIN7, LAST, &login("app", "guess"));
        let (served, answer) = answers([wrong, packet(SQL_BATCH, LAST, b"")].concat()).await;
        served.unwrap();
        assert!(contains(&answer, "Login failed for user 'app'."));
        for nonsense in [
            packet(SQL_BATCH, LAST, b""),
            packet(LOGIN7, LAST, &[0; 46]),
            vec![18, 1, 0, 3, 0, 0, 1, 0],
        ] {
            assert_eq!(answers(nonsense).await.1, [0; 0]);
        }
    }
}
