//! The instance's answer to what bsql tells it about the client, in front of the database's own bytes: it is found and
//! taken out however the stream is cut, and of the rest not one byte is lost.

#![no_main]

use bsql::cloudsql::{ClientProtocol, Found, MetadataExchange, Response, ResponseParser};
use bsql_fuzz::{Script, finish, in_pieces};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SIGNATURE: &[u8] = b"CSQLMDEX";
const LONGEST: usize = 16 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((what, rest)) = data.split_first() else {
        return;
    };
    let framed;
    let pieces = match what {
        // For the fuzzer to get at the message without guessing its length.
        b'm' => {
            let length = u32::try_from(rest.len()).unwrap().to_be_bytes();
            framed = [SIGNATURE, &length, rest, b"R\0\0\0\x08\0\0\0\0"].concat();
            framed.chunks(7).collect()
        }
        _ => in_pieces(rest),
    };
    let whole = pieces.concat();
    let expected = split(&whole);
    assert_eq!(found(&[&whole]), expected);
    assert_eq!(found(&pieces), expected);
    through_a_stream(&pieces, &expected.1, usize::from(*what) % 9 + 1);
});

/// What a parser says about these pieces: whether there is a response, what it says, and the bytes that are the client's.
fn found(pieces: &[&[u8]]) -> (Option<Option<Response>>, Vec<u8>) {
    let mut parser = ResponseParser::default();
    let mut pieces = pieces.iter();
    let mut found = Found::More;
    while found == Found::More {
        found = match pieces.next() {
            Some(piece) => parser.take(piece),
            None => parser.end(),
        };
    }
    let (response, mut rest) = match found {
        Found::Response(response, rest) => (Some(response), rest),
        Found::None(rest) => (None, rest),
        Found::More => unreachable!("that is what the loop is for"),
    };
    rest.extend(pieces.flat_map(|piece| piece.iter().copied()));
    (response, rest)
}

/// The same from all bytes at once.
fn split(whole: &[u8]) -> (Option<Option<Response>>, Vec<u8>) {
    let framed = whole.strip_prefix(SIGNATURE).and_then(|rest| {
        let (length, rest) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        rest.split_at_checked(length).filter(|_| length <= LONGEST)
    });
    match framed {
        Some((message, rest)) => (Some(response(message)), rest.to_vec()),
        None => (None, whole.to_vec()),
    }
}

/// A protocol buffer with a status as its field 1 and words as its field 2:
/// <https://protobuf.dev/programming-guides/encoding/>.
fn response(mut message: &[u8]) -> Option<Response> {
    let (mut status, mut words) = (0, Vec::new());
    while !message.is_empty() {
        let key = number(&mut message)?;
        let (field, length) = match key % 8 {
            0 => {
                let value = number(&mut message)?;
                if key / 8 == 1 {
                    status = value;
                }
                continue;
            }
            1 => (None, 8),
            2 => (Some(key / 8), number(&mut message)?),
            5 => (None, 4),
            _ => return None,
        };
        let (value, rest) = message.split_at_checked(usize::try_from(length).ok()?)?;
        message = rest;
        if field == Some(2) {
            words = value.to_vec();
        }
    }
    Some(Response {
        failed: status == 2,
        message: bsql::error::printable(&String::from_utf8_lossy(&words)),
    })
}

/// Seven bits a byte, the lowest first; ten bytes at most, of which what exceeds 64 bits is dropped.
fn number(message: &mut &[u8]) -> Option<u64> {
    let end = message.iter().take(10).position(|byte| *byte < 0x80)?;
    let (bytes, rest) = message.split_at(end + 1);
    *message = rest;
    let bits = |number: u128, byte: &u8| number << 7 | u128::from(byte & 0x7f);
    Some(bytes.iter().rev().fold(0, bits) as u64)
}

/// The request goes out in front of the client's bytes, though the instance takes few at a time, and the client reads its own
/// bytes alone.
fn through_a_stream(pieces: &[&[u8]], expected: &[u8], takes: usize) {
    const FROM_CLIENT: &[u8] = b"\x16\x03\x01 hello";
    let mut script = Script::new(pieces, takes);
    let mut stream = MetadataExchange::new(&mut script, Some(ClientProtocol::Uds));
    finish(stream.write_all(FROM_CLIENT)).unwrap();
    let mut read = Vec::new();
    finish(stream.read_to_end(&mut read)).unwrap();
    assert_eq!(read, expected);
    let request = [SIGNATURE, &[0, 0, 0, 2, 0x10, 3], FROM_CLIENT].concat();
    assert_eq!(script.written, request);
}
