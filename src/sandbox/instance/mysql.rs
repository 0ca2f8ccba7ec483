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
    Packet, Refusal, Response, ask_clear_password, malformed, without_encryption,
};
use crate::sandbox::company::{BUILT_IN_USER, Instance};
use crate::sandbox::google::principals::DatabaseUser;
use crate::sandbox::google::tokens::{Grant, Tokens};
use crate::sandbox::protobuf::number_in;

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
    /// The server knows their password.
    AskServer,
    /// Send them away.
    Refuse(Refusal),
}

/// Logs a client in to `server`, which has not been read from. `false` when the client was refused or has left; otherwise
/// both are in the middle of a session, or of a log-in that is between the two of them.
pub(super) async fn welcome(
    instance: &Instance,
    login: Option<&Grant>,
    tokens: &Tokens,
    now: Timestamp,
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<bool> {
    let Some(greeting) = Packet::read(server).await? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let greeting = Packet {
        body: without_encryption(greeting.body)?,
        ..greeting
    };
    greeting.write(client).await?;
    let Some(answer) = read_answer(client).await? else {
        return Ok(false);
    };
    let response = Response::parse(&answer.body)?;
    let mut number = answer.number;
    match judge(instance, login, &response.user, now) {
        Verdict::Welcome => {}
        Verdict::AskServer => {
            answer.write(server).await?;
            return Ok(true);
        }
        Verdict::Refuse(refusal) => {
            refuse(client, number, &refusal).await?;
            return Ok(false);
        }
        Verdict::AskToken(user) => {
            let body = ask_clear_password();
            let number_of_question = number.wrapping_add(1);
            let question = Packet {
                number: number_of_question,
                body,
            };
            question.write(client).await?;
            let Some(password) = Packet::read(client).await? else {
                return Ok(false);
            };
            number = password.number;
            if !is_token_of(&user, instance, tokens, &password.body) {
                refuse(client, number, &access_denied(&user.name)).await?;
                return Ok(false);
            }
        }
    }
    let without_password = Packet {
        number: 1,
        body: response.without_password(),
    };
    without_password.write(server).await?;
    let Some(answer) = Packet::read(server).await? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let welcome = answer.is_ok();
    // The client may have been asked for a token in between, and counts that.
    let answer = Packet {
        number: number.wrapping_add(1),
        ..answer
    };
    answer.write(client).await?;
    Ok(welcome)
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
        (None, None) if user == BUILT_IN_USER => Verdict::AskServer,
        (None, None) => Verdict::Refuse(access_denied(user)),
    }
}

/// `password` ends with a zero.
fn is_token_of(user: &DatabaseUser, instance: &Instance, tokens: &Tokens, password: &[u8]) -> bool {
    let token = password.strip_suffix(&[0]).unwrap_or(password);
    std::str::from_utf8(token).is_ok_and(|token| is_login_token(instance, user, tokens, token))
}

fn access_denied(user: &str) -> Refusal {
    let message =
        format!("Access denied for user '{user}'@'cloudsqlproxy~127.0.0.1' (using password: YES)");
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
        assert_eq!(judge(storefront, None, "app", now), Verdict::AskServer);
        let refused = Verdict::Refuse(access_denied("root"));
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

    /// With it the connection would be lost: whoever has greeted says nothing before the client has answered.
    #[tokio::test]
    async fn nothing_comes_between_the_greeting_and_the_log_ins_end() {
        let storefront = INSTANCES
            .iter()
            .find(|instance| instance.engine() == Engine::MySql)
            .unwrap();
        let greeting = b"\x0a5.5.5-10.11\0\x07\0\0\0abcdefgh\0\xff\xf7\x2d\x02\0\xff\x81".to_vec();
        let mut greeted = Vec::new();
        let packet = Packet {
            number: 0,
            body: greeting,
        };
        packet.write(&mut greeted).await.unwrap();
        let mut answer = b"CSQLMDEX\0\0\0\x02\x10\x03".to_vec();
        let mut body = 0x8200_u32.to_le_bytes().to_vec();
        body.extend([0; 28]);
        body.extend(b"app\0\0");
        let packet = Packet { number: 1, body };
        packet.write(&mut answer).await.unwrap();
        let mut client = recorded(answer);
        let mut server = recorded(greeted.clone());
        let now = Clock::system().now();
        let tokens = Tokens::default();
        assert!(
            welcome(storefront, None, &tokens, now, &mut client, &mut server)
                .await
                .unwrap()
        );
        assert_eq!(client.into_inner().1, greeted);
    }

    fn recorded(bytes: Vec<u8>) -> tokio::io::Join<io::Cursor<Vec<u8>>, Vec<u8>> {
        tokio::io::join(io::Cursor::new(bytes), Vec::new())
    }
}
