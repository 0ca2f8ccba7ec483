//! What a PostgreSQL server says before it is ready, overheard: the same process id however the bytes are cut.

#![no_main]

use bsql::tunnel::greeting::{Greeting, ProcessId};
use bsql_fuzz::in_pieces;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let pieces = in_pieces(data);
    let whole = pieces.concat();
    let expected = process_id(&whole);
    assert_eq!(heard(&[&whole]), expected);
    assert_eq!(heard(&pieces), expected);
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    assert_eq!(heard(&bytes), expected);
    assert_eq!(Greeting::new(ProcessId::Known).hear(&whole), None);
});

fn heard(pieces: &[&[u8]]) -> Option<u32> {
    let mut greeting = Greeting::new(ProcessId::Overheard);
    let mut ids = pieces.iter().filter_map(|piece| greeting.hear(piece));
    let first = ids.next();
    assert_eq!(ids.next(), None, "nobody listens after the first");
    first
}

/// From the messages as a whole: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
fn process_id(mut messages: &[u8]) -> Option<u32> {
    loop {
        let (tag, rest) = messages.split_first()?;
        let (length, body) = rest.split_first_chunk()?;
        let body_length = u32::from_be_bytes(*length).checked_sub(4)? as usize;
        match tag {
            b'K' if body_length >= 8 => return Some(u32::from_be_bytes(*body.first_chunk()?)),
            b'K' | b'Z' | b'E' => return None,
            _ => messages = body.get(body_length..)?,
        }
    }
}
