//! The door of a MySQL instance: the metadata exchange and the log-in.
//!
//! <https://cloud.google.com/sql/docs/mysql/iam-authentication>: with a certificate that was signed together with a login
//! token only its principal gets in, as the database user that is called like the mail address up to the `@`. With any other
//! certificate the login token is the password, and built-in users have passwords of their own.

use std::io;

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::login::{belongs, iam_user, is_login_token};
use super::mysql_wire::{
    Greeting, Packet, Refusal, Response, ask_clear_password, ask_native_password, malformed,
};
use crate::sandbox::company::{BUILT_IN_PASSWORD, BUILT_IN_USER, Instance};
use crate::sandbox::google::principals::DatabaseUser;
use crate::sandbox::google::tokens::{Grant, Tokens};
use crate::sandbox::mysql::native_password::{NONCE, proof};
use crate::sandbox::protobuf::number_in;
use crate::secret::Secret;

/// How a metadata exchange begins: the signature, the length of a protocol buffer, and that.
const MDX: &[u8; 8] = b"CSQLMDEX";
/// As Google's connectors.
const MDX_LIMIT: u32 = 16 * 1024;

/// What to do with somebody who wants to log in.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Let them in: the certificate says who they are.
    Welcome,
    /// See whether they have this user's login token.
    AskToken(DatabaseUser),
    /// See whether they have this password.
    AskPassword(&'static str),
    /// Send them away.
    Refuse(Refusal),
}

/// Somebody at the door.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    pub(super) instance: &'a Instance,
    /// Whom the certificate logs in, if anybody.
    pub(super) login: Option<&'a Grant>,
    pub(super) tokens: &'a Tokens,
    pub(super) now: Timestamp,
    /// What the server asks of the door.
    pub(super) password: &'a Secret,
}

impl Visit<'_> {
    /// Logs a client in to `server`, which has not been read from. `false` when the client was refused or has left;
    /// otherwise both are in the middle of a session.
    pub(super) async fn welcome(
        &self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        server: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<bool> {
        let greeting = hear(server).await?;
        let number = greeting.number;
        let Greeting { body, nonce } = Greeting::parse(greeting.body)?;
        Packet { number, body }.write(client).await?;
        let Some(answer) = read_answer(client).await? else {
            return Ok(false);
        };
        let response = Response::parse(&answer.body)?;
        let Some(last) = self.admit(client, answer.number, &response, &nonce).await? else {
            return Ok(false);
        };
        let mine = proof(self.password.expose(), &nonce);
        let log_in = Packet {
            number: 1,
            body: response.proven_by(&mine),
        };
        log_in.write(server).await?;
        let answer = hear(server).await?;
        let welcome = answer.is_ok();
        // The client may have been asked for something in between, and counts that.
        let answer = Packet {
            number: last.wrapping_add(1),
            ..answer
        };
        answer.write(client).await?;
        Ok(welcome)
    }

    /// Sees whether the client is who it says: the number of its last packet then. `None` when it was refused or has left.
    async fn admit(
        &self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        number: u8,
        response: &Response,
        nonce: &[u8; NONCE],
    ) -> io::Result<Option<u8>> {
        let user = &response.user;
        let (last, shown, is_right) = match judge(self.instance, self.login, user, self.now) {
            Verdict::Welcome => return Ok(Some(number)),
            Verdict::Refuse(refusal) => {
                refuse(client, number, &refusal).await?;
                return Ok(None);
            }
            Verdict::AskToken(user) => {
                let Some(said) = ask(client, number, ask_clear_password()).await? else {
                    return Ok(None);
                };
                let is_right = is_token_of(&user, self.instance, self.tokens, &said.body);
                (said.number, said.body.len() > 1, is_right)
            }
            Verdict::AskPassword(password) => {
                let expected = proof(password, nonce);
                if let Some(shown) = response.native_proof() {
                    (number, !shown.is_empty(), shown == expected)
                } else {
                    let question = ask_native_password(nonce);
                    let Some(said) = ask(client, number, question).await? else {
                        return Ok(None);
                    };
                    (said.number, !said.body.is_empty(), said.body == expected)
                }
            }
        };
        if is_right {
            return Ok(Some(last));
        }
        refuse(client, last, &access_denied(user, shown)).await?;
        Ok(None)
    }
}

/// Asks whoever has sent the packet with this number. `None` when they leave instead.
async fn ask(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    number: u8,
    body: Vec<u8>,
) -> io::Result<Option<Packet>> {
    let number = number.wrapping_add(1);
    Packet { number, body }.write(client).await?;
    Packet::read(client).await
}

/// What the server says, which does not leave before it has.
async fn hear(server: &mut (impl AsyncRead + Unpin)) -> io::Result<Packet> {
    let packet = Packet::read(server).await?;
    packet.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Reads the answer to the greeting, and what connectors of Google's send before it. `None` when the client leaves.
///
/// A metadata exchange gets no response: connectors look for one in front of the greeting only, which they have had, and
/// would hand it to the client.
async fn read_answer(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Packet>> {
    let mut header = [0; 4];
    if client.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    client.read_exact(&mut header[1..]).await?;
    if header != MDX[..4] {
        return Packet::read_after(header, client).await.map(Some);
    }
    let mut signature = [0; 4];
    client.read_exact(&mut signature).await?;
    let length = client.read_u32().await?;
    if signature != MDX[4..] || length > MDX_LIMIT {
        return Err(malformed("a metadata exchange that is none"));
    }
    let mut said = vec![0; length as usize];
    client.read_exact(&mut said).await?;
    tracing::info!(client_protocol_type = ?client_protocol_type(&said), "metadata exchange");
    Packet::read(client).await
}

/// Field 2 of `MetadataExchangeRequest`, an enumeration: what the client's own client speaks.
fn client_protocol_type(request: &[u8]) -> Option<&'static str> {
    match number_in(request, 2) {
        1 => Some("TCP"),
        2 => Some("TLS"),
        3 => Some("UDS"),
        _ => None,
    }
}

fn judge(instance: &Instance, login: Option<&Grant>, user: &str, now: Timestamp) -> Verdict {
    match (iam_user(instance, user), login) {
        (Some(iam), Some(login)) if belongs(instance, &iam, login) && login.expires_at > now => {
            Verdict::Welcome
        }
        (_, Some(_)) => Verdict::Refuse(Refusal::new(
            1045,
            "28000",
            "Cloud SQL MySQL: Automatic IAM authentication via the auth-proxy requires an IAM-authenticated user. Access \
             denied for other users.",
        )),
        (Some(iam), None) => Verdict::AskToken(iam),
        (None, None) if user == BUILT_IN_USER => Verdict::AskPassword(BUILT_IN_PASSWORD),
        (None, None) => Verdict::Refuse(access_denied(user, true)),
    }
}

/// `password` ends with a zero.
fn is_token_of(user: &DatabaseUser, instance: &Instance, tokens: &Tokens, password: &[u8]) -> bool {
    let token = password.strip_suffix(&[0]).unwrap_or(password);
    std::str::from_utf8(token).is_ok_and(|token| is_login_token(instance, user, tokens, token))
}

/// `shown`: the client has tried a password.
fn access_denied(user: &str, shown: bool) -> Refusal {
    let using = if shown { "YES" } else { "NO" };
    let message = format!(
        "Access denied for user '{user}'@'cloudsqlproxy~127.0.0.1' (using password: {using})"
    );
    Refusal::new(1045, "28000", message)
}

/// Refuses whoever has sent the packet with this number.
pub(super) async fn refuse(
    client: &mut (impl AsyncWrite + Unpin),
    number: u8,
    refusal: &Refusal,
) -> io::Result<()> {
    tracing::info!(%refusal.message, "refused");
    let packet = Packet {
        number: number.wrapping_add(1),
        body: refusal.encode(),
    };
    packet.write(client).await
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::clock::Clock;
    use crate::sandbox::company::{Engine, INSTANCES};
    use crate::sandbox::google::tokens::SQL_LOGIN;

    #[test]
    fn a_certificate_that_logs_in_is_for_its_principal_alone() {
        let storefront = INSTANCES
            .iter()
            .find(|instance| instance.engine() == Engine::MySql)
            .unwrap();
        let now = Clock::system().now();
        let ada = Grant {
            principal: "ada@acme.example".to_owned(),
            scopes: vec![SQL_LOGIN.to_owned()],
            expires_at: now + SignedDuration::from_mins(5),
        };
        let later = now + SignedDuration::from_mins(6);
        assert_eq!(judge(storefront, Some(&ada), "ada", now), Verdict::Welcome);
        for (user, at) in [
            ("chloe", now),
            ("app", now),
            ("ada@acme.example", now),
            ("ada", later),
        ] {
            let verdict = judge(storefront, Some(&ada), user, at);
            assert!(
                matches!(&verdict, Verdict::Refuse(refusal) if refusal.message.contains("Automatic IAM")),
                "{user} {verdict:?}"
            );
        }
        let verdict = judge(storefront, None, "ada", now);
        assert!(matches!(verdict, Verdict::AskToken(user) if user.name == "ada"));
        let asked = Verdict::AskPassword(BUILT_IN_PASSWORD);
        assert_eq!(judge(storefront, None, "app", now), asked);
        let refused = Verdict::Refuse(access_denied("root", true));
        assert_eq!(judge(storefront, None, "root", now), refused);
    }

    #[test]
    fn what_connectors_say_of_their_clients() {
        assert_eq!(client_protocol_type(b"\x10\x03"), Some("UDS"));
        assert_eq!(client_protocol_type(b"\x0a\x02go\x10\x01"), Some("TCP"));
        assert_eq!(client_protocol_type(b""), None);
        assert_eq!(client_protocol_type(b"\x0a\x7fgo"), None);
    }

    #[tokio::test]
    async fn the_exchange_is_taken_out() {
        let exchanged = b"CSQLMDEX\0\0\0\x02\x10\x03\x01\0\0\x01x";
        for mut client in [&exchanged[..], b"\x01\0\0\x01x"] {
            let packet = read_answer(&mut client).await.unwrap().unwrap();
            assert_eq!((packet.number, &packet.body[..]), (1, &b"x"[..]));
        }
        assert_eq!(read_answer(&mut &b""[..]).await.unwrap(), None);
        assert!(read_answer(&mut &b"CSQLMDEX\0\x01\0\0"[..]).await.is_err());
    }

    const MDX_REQUEST: &[u8] = b"CSQLMDEX\0\0\0\x02\x10\x03";

    /// With it the connection would be lost: whoever has greeted says nothing before the client has answered.
    #[tokio::test]
    async fn nothing_comes_between_the_greeting_and_the_log_ins_end() {
        let storefront = INSTANCES
            .iter()
            .find(|instance| instance.engine() == Engine::MySql)
            .unwrap();
        let nonce = b"abcdefghijklmnopqrst";
        let greeting = [
            &b"\x0a5.5.5-10.11\0\x07\0\0\0abcdefgh\0\xff\xf7\x2d\x02\0\xff\x81\x15"[..],
            &[0; 10],
            b"ijklmnopqrst\0",
        ]
        .concat();
        let greeting = packet(0, &greeting).await;
        let door = Secret::from("of the door's own".to_owned());
        let tokens = Tokens::default();
        let visit = Visit {
            instance: storefront,
            login: None,
            tokens: &tokens,
            now: Clock::system().now(),
            password: &door,
        };
        let asked = packet(2, &ask_native_password(nonce)).await;
        for (password, welcome) in [(BUILT_IN_PASSWORD, true), ("guess", false)] {
            let shown = proof(password, nonce);
            // Capabilities: 4.1, a password with its length, and in the second case the name of another method.
            let at_once = [
                &0x8200_u32.to_le_bytes()[..],
                &[0; 28],
                b"app\0\x14",
                &shown,
            ]
            .concat();
            let bits = 0x0008_8200_u32.to_le_bytes();
            let other = [&bits[..], &[0; 28], b"app\0\0caching_sha2_password\0"].concat();
            let when_asked = [packet(1, &other).await, packet(3, &shown).await].concat();
            for (said, question) in [
                (packet(1, &at_once).await, &b""[..]),
                (when_asked, &asked[..]),
            ] {
                let mut client = recorded([MDX_REQUEST, &said].concat());
                let mut server = recorded([&greeting[..], &packet(2, &[0; 7]).await].concat());
                let welcomed = visit.welcome(&mut client, &mut server).await.unwrap();
                assert_eq!(welcomed, welcome);
                let heard = client.into_inner().1;
                let told = server.into_inner().1;
                let so_far = [&greeting[..], question].concat();
                let verdict = heard.strip_prefix(&so_far[..]).unwrap();
                assert_eq!(verdict[3], if question.is_empty() { 2 } else { 4 });
                if welcome {
                    assert_eq!(verdict[4..], [0; 7]);
                    let told = Response::parse(&told[4..]).unwrap();
                    let mine = proof(door.expose(), nonce);
                    assert_eq!(told.native_proof(), Some(&mine[..]));
                } else {
                    let said = String::from_utf8_lossy(&verdict[4..]);
                    assert!(said.ends_with("(using password: YES)"), "{said}");
                    assert_eq!(told, b"", "the server hears nothing of them");
                }
            }
        }
    }

    async fn packet(number: u8, body: &[u8]) -> Vec<u8> {
        let body = body.to_vec();
        let mut bytes = Vec::new();
        Packet { number, body }.write(&mut bytes).await.unwrap();
        bytes
    }

    fn recorded(bytes: Vec<u8>) -> tokio::io::Join<io::Cursor<Vec<u8>>, Vec<u8>> {
        tokio::io::join(io::Cursor::new(bytes), Vec::new())
    }
}
