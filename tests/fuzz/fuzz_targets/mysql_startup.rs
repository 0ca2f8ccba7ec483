//! MySQL's log-in, which a tunnel reads from both sides: the packets, the server's greeting, the client's answer.

#![no_main]

use bsql::tunnel::mysqlwire::{Greeting, HEADER, LONGEST_PACKET, Refusal, Response, capability};
use bsql::tunnel::packets::Packets;
use bsql::tunnel::{Protocol, Startup};
use bsql_fuzz::{Script, finish, in_pieces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((what, rest)) = data.split_first() else {
        return;
    };
    match what {
        b'g' => greeting(rest),
        b'r' => response(rest, false),
        b't' => response(rest, true),
        _ => packets(&in_pieces(rest)),
    }
});

/// Only the capabilities change, and only to fewer.
fn greeting(payload: &[u8]) {
    let Ok(greeting) = Greeting::parse(payload) else {
        return;
    };
    assert_eq!(greeting.payload(), payload);
    let taken = capability::SSL | capability::COMPRESS | capability::ZSTD_COMPRESSION;
    let fewer = greeting.clone().without(taken);
    assert_eq!(fewer.capabilities, greeting.capabilities & !taken);
    assert_eq!(Greeting::parse(fewer.payload()), Ok(fewer.clone()));
    assert_eq!(fewer.connection_id, greeting.connection_id);
    assert_eq!(fewer.payload().len(), payload.len());
    let changed: u32 = fewer
        .payload()
        .iter()
        .zip(payload)
        .map(|(now, before)| {
            assert_eq!(now & !before, 0, "nothing is added");
            (now ^ before).count_ones()
        })
        .sum();
    assert_eq!(changed, (greeting.capabilities & taken).count_ones());
}

/// An answer that came over TLS says nothing of that any more.
fn response(payload: &[u8], encrypted: bool) {
    let response = match Response::parse(payload, encrypted) {
        Ok(response) => response,
        Err(malformed) => {
            let sequence = 2;
            let told = Refusal::from(malformed).as_answer(sequence);
            assert_eq!(read_all(&[&told]), (vec![told.clone()], Ok(Vec::new())));
            assert_eq!((told[3], told[4]), (sequence, 0xff));
            return;
        }
    };
    // Old clients leave out the last zero bytes, which bsql adds. Nothing else gets longer.
    let encoded = response.encode();
    assert!(encoded.len() <= payload.len() + 2, "{response:?}");
    assert_eq!(Response::parse(&encoded, false), Ok(response.clone()));

    let startup = Startup {
        protocol: Protocol::MySql,
        user: "ada".to_owned(),
        application_name: "bsql:ada".to_owned(),
        read_only: false,
    };
    let adjusted = response.clone().adjusted(&startup);
    let again = Response::parse(&adjusted.encode(), false);
    assert_eq!(again, Ok(adjusted.clone()));
    assert_eq!(adjusted.clone().adjusted(&startup), adjusted);
    assert_eq!(adjusted.user(), b"ada");
    if response.user() == b"ada" {
        assert_eq!(adjusted.proof(), response.proof());
    } else {
        assert_eq!(adjusted.proof(), b"", "another user's password stays here");
    }
    assert_eq!(adjusted.database(), response.database());
    assert_eq!(adjusted.plugin(), response.plugin());
    let said = |response: &Response| response.attribute(b"program_name").map(<[u8]>::to_vec);
    if adjusted.capabilities & capability::CONNECT_ATTRS != 0 {
        let own = said(&response).filter(|name| !name.is_empty());
        assert_eq!(said(&adjusted), own.or(Some(b"bsql:ada".to_vec())));
    } else {
        assert_eq!(said(&adjusted), None);
    }
}

/// The same packets however the stream is cut, and every byte is in one of them or left over.
fn packets(pieces: &[&[u8]]) {
    let whole = pieces.concat();
    let (found, end) = read_all(pieces);
    assert_eq!(read_all(&[&whole]), (found.clone(), end.clone()));
    let mut read = found.concat();
    if let Ok(rest) = &end {
        read.extend_from_slice(rest);
        assert_eq!(read, whole);
    }
    assert!(whole.starts_with(&read));
    for packet in &found {
        assert!((1..=LONGEST_PACKET).contains(&(packet.len() - HEADER)));
    }
}

/// The packets of a stream, and what was left at its end, or why it could not be read any further.
fn read_all(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Result<Vec<u8>, String>) {
    let mut stream = Script::new(pieces, 0);
    let mut packets = Packets::default();
    let mut found = Vec::new();
    loop {
        match finish(packets.next(&mut stream)) {
            Ok(Some(packet)) => {
                let bytes = packet.bytes();
                assert_eq!(packet.payload().len(), packet.header.length);
                assert_eq!(packet.payload(), &bytes[HEADER..]);
                assert_eq!(bytes[3], packet.header.sequence);
                found.push(bytes.to_vec());
            }
            Ok(None) => return (found, Ok(packets.rest())),
            Err(error) => return (found, Err(error.to_string())),
        }
    }
}
