//! The first packet of whoever dials in to a PostgreSQL tunnel.
//!
//! It is passed on unchanged but for what bsql sets, and no option that a client sends undoes `--read-only`: the server's
//! own way to read options, written again here, has the last word on that.

#![no_main]

use std::collections::BTreeMap;

use bsql::tunnel::pgwire::{FirstPacket, LONGEST_FIRST_PACKET, Malformed, Refusal, StartupMessage};
use bsql::tunnel::{Protocol, Startup};
use libfuzzer_sys::fuzz_target;

const READ_ONLY: &[u8] = b"default_transaction_read_only";

fuzz_target!(|data: &[u8]| {
    let Some((header, rest)) = data.split_first_chunk() else {
        return;
    };
    match FirstPacket::length(*header) {
        Ok(length) => {
            assert!((4..=LONGEST_FIRST_PACKET).contains(&length));
            assert_eq!(u32::from_be_bytes(*header) as usize, length + 4);
        }
        Err(malformed) => assert_is_told(malformed),
    }
    let packet = match FirstPacket::parse(rest) {
        Ok(packet) => packet,
        Err(malformed) => return assert_is_told(malformed),
    };
    match &packet {
        FirstPacket::Startup(message) => start(message, rest),
        FirstPacket::CancelRequest(whole) => assert_is_framed(whole, rest),
        FirstPacket::SslRequest | FirstPacket::GssEncryptionRequest => assert_eq!(rest.len(), 4),
    }
    // Whoever reads too little must not take it for another packet. Keys of cancel requests have no fixed length.
    if !matches!(packet, FirstPacket::CancelRequest(_)) {
        let end = u32::from_be_bytes(*header) as usize % rest.len();
        assert!(FirstPacket::parse(&rest[..end]).is_err());
    }
});

fn start(message: &StartupMessage, rest: &[u8]) {
    assert_is_framed(&message.encode(), rest);
    let asked = parameters(rest);
    for read_only in [false, true] {
        let startup = Startup {
            protocol: Protocol::Postgres,
            user: "ada@acme.example".to_owned(),
            application_name: "bsql:ada".to_owned(),
            read_only,
        };
        let adjusted = message.clone().adjusted(&startup);
        let packet = adjusted.encode();
        assert!(packet.len() < rest.len() + 256);
        assert_eq!(
            FirstPacket::parse(&packet[4..]),
            Ok(FirstPacket::Startup(adjusted))
        );
        let mut sent = parameters(&packet[4..]);
        let mut expected = asked.clone();
        expected.insert(b"user", startup.user.as_bytes());
        if asked
            .get(&b"application_name"[..])
            .is_none_or(|name| name.is_empty())
        {
            expected.insert(b"application_name", startup.application_name.as_bytes());
        }
        if read_only {
            expected.retain(|name, _| !name.eq_ignore_ascii_case(READ_ONLY));
            let before = options(expected.remove(&b"options"[..]).unwrap_or_default());
            let now = options(sent.remove(&b"options"[..]).unwrap());
            let on = [b"-c".to_vec(), [READ_ONLY, b"=on"].concat()];
            assert_eq!(now, [&before[..], &on].concat());
        }
        assert_eq!(sent, expected);
    }
}

/// Of several with one name the last, as the server does. `rest` was parsed, so it is pairs.
fn parameters(rest: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut strings = rest[4..].split(|byte| *byte == 0);
    let mut parameters = BTreeMap::new();
    while let Some(name) = strings.next().filter(|name| !name.is_empty()) {
        parameters.insert(name, strings.next().unwrap());
    }
    parameters
}

/// `pg_split_opts` in PostgreSQL's `postinit.c`, without the empty ones, which the server refuses.
fn options(text: &[u8]) -> Vec<Vec<u8>> {
    let mut options = vec![Vec::new()];
    let mut escaped = false;
    for byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' if !escaped => options.push(Vec::new()),
            b'\\' if !escaped => {
                escaped = true;
                continue;
            }
            byte => options.last_mut().unwrap().push(*byte),
        }
        escaped = false;
    }
    options.retain(|option| !option.is_empty());
    options
}

fn assert_is_framed(packet: &[u8], rest: &[u8]) {
    let (length, packet) = packet.split_first_chunk().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, rest.len() + 4);
    assert_eq!(packet, rest);
}

/// As an `ErrorResponse` that a client can read.
fn assert_is_told(malformed: Malformed) {
    let message = Refusal::from(malformed).encode();
    let (tag, framed) = message.split_first().unwrap();
    assert_eq!(*tag, b'E');
    assert_is_framed(framed, &framed[4..]);
    let fields: Vec<&[u8]> = framed[4..].split(|byte| *byte == 0).collect();
    let (fields, end) = fields.split_last_chunk().unwrap();
    assert_eq!(*end, [b""; 2]);
    assert!(fields.contains(&&b"C08P01"[..]));
    assert!(fields.iter().all(|field| field.len() > 1));
}
