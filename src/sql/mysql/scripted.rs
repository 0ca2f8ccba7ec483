//! Against servers that say what a real one here would not: another way to sign in, nonsense, the wish for a file.

use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::constants::CapabilityFlags;
use tokio::io::{DuplexStream, duplex};

use super::super::test_fixtures::Script;
use super::super::{Connection, Login, ServerError, is_user_refused};
use super::greeting::tests::greeting;
use super::packets::Packets;
use super::tests::as_user;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

const OK: &[u8] = b"\0\0\0\x02\0\0\0";
const DENIED: &[u8] = b"\xff\x15\x04#28000Access denied";

type Server = Packets<DuplexStream>;

fn with_password() -> Login {
    Login {
        password: Some(Secret::from("hunter2".to_owned())),
        ..as_user("builtin")
    }
}

/// Opens a connection to `server`, which speaks first.
async fn open(
    login: Login,
    plugin: &str,
    server: impl AsyncFnOnce(&mut Server),
) -> Result<Connection<DuplexStream>> {
    let (here, there) = duplex(1 << 16);
    let mut there = Packets::new(there);
    let serving = async {
        let hello = greeting("8.0.36", plugin, CapabilityFlags::all());
        there.write(&hello).await.unwrap();
        server(&mut there).await;
        there
    };
    let (opened, there) = tokio::join!(Connection::open(here, &login), serving);
    drop(there);
    opened
}

#[tokio::test]
async fn caching_sha2_fast_and_full() {
    let digest = scramble_sha256(&[b'n'; 20], b"hunter2").unwrap();
    for full in [false, true] {
        let opened = open(with_password(), "caching_sha2_password", async |server| {
            let response = server.read().await.unwrap().to_vec();
            assert!(response.windows(32).any(|part| part == digest));
            assert!(!response.windows(7).any(|part| part == b"hunter2"));
            assert!(response.windows(4).any(|part| part == b"shop"));
            assert!(response.windows(12).any(|part| part == b"program_name"));
            if full {
                server.write(&[1, 4]).await.unwrap();
                assert_eq!(server.read().await.unwrap(), b"hunter2\0");
            } else {
                server.write(&[1, 3]).await.unwrap();
            }
            server.write(OK).await.unwrap();
        });
        opened.await.unwrap();
    }
}

#[tokio::test]
async fn the_server_asks_for_another_way() {
    let switch = |plugin: &str, nonce: &[u8]| [b"\xfe", plugin.as_bytes(), b"\0", nonce].concat();
    let nonce = [&[b'm'; 20][..], b"\0"].concat();
    let expected = scramble_sha256(&[b'm'; 20], b"hunter2").unwrap();
    for (plugin, expected) in [
        ("caching_sha2_password", expected.to_vec()),
        ("mysql_clear_password", b"hunter2\0".to_vec()),
        ("sha256_password", b"hunter2\0".to_vec()),
    ] {
        let opened = open(with_password(), "mysql_native_password", async |server| {
            server.read().await.unwrap();
            server.write(&switch(plugin, &nonce)).await.unwrap();
            assert_eq!(server.read().await.unwrap(), expected);
            server.write(OK).await.unwrap();
        });
        opened.await.unwrap();
    }
    let refused = open(with_password(), "client_ed25519", async |server| {
        server.read().await.unwrap();
        server.write(&switch("dialog\x1b", &nonce)).await.unwrap();
    });
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(
        error.causes(),
        ["the server asks for `dialog\u{fffd}`, which bsql does not speak"]
    );
}

#[tokio::test]
async fn who_has_no_password_shows_none() {
    let opened = open(as_user("ada"), "mysql_native_password", async |server| {
        server.read().await.unwrap();
        server.write(DENIED).await.unwrap();
    });
    let error = opened.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(is_user_refused(&error));
}

#[tokio::test]
async fn no_file_is_sent() {
    let (here, there) = duplex(1 << 16);
    let mut there = Packets::new(there);
    let serving = async {
        let hello = greeting("8.0.36", "", CapabilityFlags::all());
        there.write(&hello).await.unwrap();
        let response = there.read().await.unwrap();
        let flags = u32::from_le_bytes(response[..4].try_into().unwrap());
        let flags = CapabilityFlags::from_bits_retain(flags);
        assert!(!flags.contains(CapabilityFlags::CLIENT_LOCAL_FILES));
        there.write(OK).await.unwrap();
        assert_eq!(there.read().await.unwrap(), b"\x03select 1");
        there.write(b"\xfb/etc/passwd").await.unwrap();
        // Nothing is in it, which the reader of packets takes for nonsense.
        there.read().await.unwrap_err();
        there.write(OK).await.unwrap();
        assert_eq!(there.read().await.unwrap(), b"\x03select 2");
        there.write(OK).await.unwrap();
    };
    let asking = async {
        let login = as_user("ada");
        let mut connection = Connection::open(here, &login).await.unwrap();
        let mut script = Script::default();
        let error = connection.run("select 1", &mut script).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Statement);
        assert_eq!(
            error.causes(),
            ["the server asks for a file of this machine, and gets none"]
        );
        connection.run("select 2", &mut script).await.unwrap();
    };
    tokio::join!(asking, serving);
}

/// What comes of a server that answers the first statement so, and hangs up.
async fn answered(packets: &[&[u8]]) -> (Vec<String>, Error) {
    let (here, there) = duplex(1 << 16);
    let serving = async move {
        let mut there = Packets::new(there);
        let hello = greeting("8.0.36", "", CapabilityFlags::all());
        there.write(&hello).await.unwrap();
        there.read().await.unwrap();
        there.write(OK).await.unwrap();
        there.read().await.unwrap();
        for packet in packets {
            there.write(packet).await.unwrap();
        }
    };
    let asking = async {
        let login = as_user("ada");
        let mut connection = Connection::open(here, &login).await.unwrap();
        let mut script = Script::default();
        let error = connection.run("select 1", &mut script).await.unwrap_err();
        assert!(!connection.is_usable());
        (script.lines, error)
    };
    tokio::join!(asking, serving).0
}

const COLUMN: &[u8] = b"\x03def\0\0\0\x01n\0\x0c\x3f\0\x01\0\0\0\x08\0\0\0\0\0";

#[tokio::test]
async fn answers_that_break_off_or_are_none() {
    let (lines, error) = answered(&[b"\x01", COLUMN, b"\x017", b"\x018"]).await;
    assert_eq!(lines, ["n Number", "7", "8"], "the rows that came");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.causes(), ["the server closed the connection"]);
    for nonsense in [
        &[&b"\x01"[..], b"\x03def"][..],
        &[b"\x01", COLUMN, b"\x09x"],
        &[b"\x01", COLUMN, b"\xfe"],
        &[b"\xfc\xff"],
        &[b"\0"],
        &[b""],
    ] {
        let (_, error) = answered(nonsense).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{nonsense:?}");
    }
    let (lines, error) = answered(&[b"\x01", COLUMN, b"\x017", b"\xff\x87\x07#70100killed"]).await;
    assert_eq!(lines.len(), 2);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn what_is_no_mysql_server() {
    let against = async |hello: &[u8]| -> Error {
        let (here, there) = duplex(1 << 16);
        Packets::new(there).write(hello).await.unwrap();
        let login = as_user("ada");
        Connection::<DuplexStream>::open(here, &login)
            .await
            .unwrap_err()
    };
    let full = against(b"\xff\x10\x04Too many connections").await;
    assert_eq!(full.kind(), ErrorKind::TryLater);
    assert_eq!(ServerError::of(&full).unwrap().code, Some(1040));
    let old = greeting("4.0.1", "", CapabilityFlags::empty());
    for nonsense in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\x0a8.0", &old] {
        let error = against(nonsense).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    }
    let (here, there) = duplex(64);
    drop(there);
    let login = as_user("ada");
    let hung_up = Connection::open(here, &login).await.unwrap_err();
    assert_eq!(hung_up.kind(), ErrorKind::Unavailable);
    assert_eq!(
        hung_up.to_string(),
        "cannot open a session in database `shop`"
    );
}
