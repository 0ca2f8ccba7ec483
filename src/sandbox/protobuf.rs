//! Protocol buffers as Google's services read and write them, without a description of the messages:
//! <https://protobuf.dev/programming-guides/encoding/>

use std::collections::BTreeMap;

/// What is in a message, by field number; of several the last. `None` if it is none.
fn fields(mut message: &[u8]) -> Option<BTreeMap<u64, (u64, &[u8])>> {
    let mut found = BTreeMap::new();
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let value = match key & 7 {
            0 => (take_varint(&mut message)?, &[][..]),
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                (0, message.split_off(..length)?)
            }
            _ => return None,
        };
        found.insert(key >> 3, value);
    }
    Some(found)
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *message.split_off_first()?;
        number |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(number);
        }
    }
    None
}

/// A string, bytes or a message in a field, if it is there.
pub(in crate::sandbox) fn bytes_in(message: &[u8], number: u64) -> Option<&[u8]> {
    fields(message)?.get(&number).map(|(_, bytes)| *bytes)
}

/// An integer or an enumeration in a field; 0 where it is not there.
pub(in crate::sandbox) fn number_in(message: &[u8], number: u64) -> u64 {
    let found = fields(message).and_then(|found| found.get(&number).map(|(value, _)| *value));
    found.unwrap_or_default()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 127);
            return bytes;
        }
        bytes.push(low | 128);
    }
}

/// A field with an integer or an enumeration.
pub(in crate::sandbox) fn varint_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// A field with a string, bytes or a message.
pub(in crate::sandbox) fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [
        &varint(number << 3 | 2)[..],
        &varint(bytes.len() as u64),
        bytes,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_as_they_are_written_are_read() {
        let message = [
            varint_field(1, 300),
            field(2, b"payments"),
            varint_field(3, u64::MAX),
        ]
        .concat();
        assert_eq!(&message[..3], b"\x08\xac\x02");
        assert_eq!(number_in(&message, 1), 300);
        assert_eq!(bytes_in(&message, 2), Some(&b"payments"[..]));
        assert_eq!(number_in(&message, 3), u64::MAX);
        assert_eq!(bytes_in(&message, 4), None);
        for broken in [&b"\x08"[..], b"\x12\x05abc", b"\x0b"] {
            assert_eq!(fields(broken), None, "{broken:?}");
        }
    }
}
