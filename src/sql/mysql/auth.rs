//! How the client signs in: as whoever the stream's certificate says, or with a password in the way the server asks for.
//!
//! The stream is encrypted up to the database, so what the protocol sends in the clear nobody else reads.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>

use std::collections::HashMap;
use std::io;

use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use mysql_common::constants::CapabilityFlags;
use mysql_common::packets::{AuthPlugin, HandshakeResponse};
use mysql_common::proto::MySerialize as _;
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::Login;
use super::failure::{Stopped, said};
use super::greeting::Greeting;
use super::packets::{Packets, malformed};
use crate::error::{ErrorKind, printable};

/// Without these nobody has spoken for twenty years.
const NEEDED: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH);
/// What bsql understands. Not among them: `CLIENT_LOCAL_FILES`, as a server has no business with files here, and
/// `CLIENT_SSL`, as the stream is encrypted already.
const UNDERSTOOD: CapabilityFlags = NEEDED
    .union(CapabilityFlags::CLIENT_LONG_PASSWORD)
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF);
/// The longest message either side may send: 1 GiB, the most that the server can be told.
const LONGEST_MESSAGE: u32 = 1 << 30;

/// The server knows the password's digest already.
const FAST: u8 = 3;
/// It does not, and wants the password itself.
const FULL: u8 = 4;

/// Signs in, after the greeting. What both sides agreed on.
pub(super) async fn sign_in<S: AsyncRead + AsyncWrite + Unpin>(
    packets: &mut Packets<S>,
    greeting: &Greeting,
    login: &Login,
) -> Result<CapabilityFlags, Stopped> {
    if !greeting.capabilities.contains(NEEDED) {
        return Err(malformed("the server is too old").into());
    }
    let agreed = greeting.capabilities & UNDERSTOOD;
    let password = login
        .password
        .as_ref()
        .map_or("", |password| password.expose());
    let mut plugin = AuthPlugin::from_bytes(&greeting.plugin).into_owned();
    // What the server likes best need not be the user's: until it asks for something else, a digest is what to show.
    if !matches!(
        plugin,
        AuthPlugin::CachingSha2Password | AuthPlugin::MysqlNativePassword
    ) {
        plugin = AuthPlugin::MysqlNativePassword;
    }
    let first = answer(&plugin, &greeting.nonce, password)?;
    let response = response(greeting, login, agreed, plugin.borrow(), first);
    packets.write(&response).await?;
    loop {
        let reply = match packets.read().await? {
            [0x00, ..] => return Ok(agreed),
            packet @ [0xff, ..] => return Err(Stopped::Said(said(packet))),
            [0xfe, request @ ..] => {
                let (asked, nonce) = switch(request)?;
                let reply = answer(&asked, nonce, password)?;
                plugin = asked.into_owned();
                reply
            }
            [0x01, FAST] if plugin == AuthPlugin::CachingSha2Password => continue,
            [0x01, FULL] if plugin == AuthPlugin::CachingSha2Password => in_the_clear(password),
            _ => return Err(malformed("the server asks what is not known").into()),
        };
        packets.write(&reply).await?;
    }
}

fn response(
    greeting: &Greeting,
    login: &Login,
    agreed: CapabilityFlags,
    plugin: AuthPlugin<'_>,
    first: Vec<u8>,
) -> Vec<u8> {
    let attributes = agreed
        .contains(CapabilityFlags::CLIENT_CONNECT_ATTRS)
        .then(|| {
            HashMap::from([
                ("_client_name".to_owned(), "bsql".to_owned()),
                (
                    "_client_version".to_owned(),
                    env!("CARGO_PKG_VERSION").to_owned(),
                ),
                ("program_name".to_owned(), login.application_name.clone()),
            ])
        });
    let database = Some(login.database.as_bytes()).filter(|database| !database.is_empty());
    let response = HandshakeResponse::new(
        Some(first),
        greeting.number(),
        Some(login.user.as_bytes()),
        database,
        Some(plugin),
        agreed,
        attributes,
        LONGEST_MESSAGE,
    );
    let mut packet = Vec::new();
    response.serialize(&mut packet);
    packet
}

/// Another way to sign in: its name, and its nonce.
fn switch(request: &[u8]) -> io::Result<(AuthPlugin<'_>, &[u8])> {
    let end = request.iter().position(|&byte| byte == 0);
    let end = end.ok_or_else(|| malformed("the server asks for passwords of before 2004"))?;
    let nonce = &request[end + 1..];
    Ok((
        AuthPlugin::from_bytes(&request[..end]),
        nonce.strip_suffix(b"\0").unwrap_or(nonce),
    ))
}

/// What shows that the password is known. Nothing where there is none: then the certificate says who it is.
fn answer(plugin: &AuthPlugin<'_>, nonce: &[u8], password: &str) -> Result<Vec<u8>, Stopped> {
    let bytes = password.as_bytes();
    match plugin {
        AuthPlugin::MysqlClearPassword => Ok(in_the_clear(password)),
        AuthPlugin::Sha256Password if !password.is_empty() => Ok(in_the_clear(password)),
        AuthPlugin::MysqlNativePassword
        | AuthPlugin::CachingSha2Password
        | AuthPlugin::Sha256Password
            if password.is_empty() =>
        {
            Ok(Vec::new())
        }
        AuthPlugin::MysqlNativePassword => Ok(scramble_native(nonce, bytes)
            .map(Vec::from)
            .unwrap_or_default()),
        AuthPlugin::CachingSha2Password => {
            let nonce = nonce
                .try_into()
                .map_err(|_| malformed("the server's nonce is not 20 bytes"))?;
            Ok(scramble_sha256(nonce, bytes)
                .map(Vec::from)
                .unwrap_or_default())
        }
        other => Err(Stopped::Told(
            ErrorKind::Refused
                .error("cannot sign in to the database")
                .because(anyhow::anyhow!(
                    "the server asks for `{}`, which bsql does not speak",
                    printable(&String::from_utf8_lossy(other.as_bytes()))
                )),
        )),
    }
}

fn in_the_clear(password: &str) -> Vec<u8> {
    [password.as_bytes(), b"\0"].concat()
}
