//! The wire format of protocol buffers, as far as a few small messages need it:
//! <https://protobuf.dev/programming-guides/encoding/>.

/// The value of a field, as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// An integer or an enum. A negative `int64` is its two's complement.
    Varint(u64),
    /// A string, bytes or a message.
    Bytes(&'a [u8]),
    /// Of a type that none of the messages here has.
    Other,
}

/// That a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a protocol buffer")
    }
}

impl std::error::Error for Malformed {}

/// The fields of a message in their order, with their numbers. Ends after the first that cannot be read.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn next_field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).map_err(|_| Malformed)?)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return Err(Malformed),
        };
        Ok((key >> 3, value))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.next_field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Adds an integer or an enum.
pub(super) fn put_varint(message: &mut Vec<u8>, field: u32, value: u64) {
    put_number(message, u64::from(field) << 3);
    put_number(message, value);
}

/// Adds a string, bytes or a message.
pub(super) fn put_bytes(message: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_number(message, u64::from(field) << 3 | 2);
    put_number(message, value.len() as u64);
    message.extend_from_slice(value);
}

fn put_number(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    message.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read() {
        let mut message = Vec::new();
        for number in [0, 1, 127, 128, 300, u64::MAX] {
            put_varint(&mut message, 1, number);
        }
        put_bytes(&mut message, 200, b"payments");
        message.extend([5 << 3 | 5, 1, 2, 3, 4, 6 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        let fields: Result<Vec<_>, _> = Fields::of(&message).collect();
        let varint = |number| (1, Value::Varint(number));
        assert_eq!(
            fields.unwrap(),
            [
                varint(0),
                varint(1),
                varint(127),
                varint(128),
                varint(300),
                varint(u64::MAX),
                (200, Value::Bytes(b"payments")),
                (5, Value::Other),
                (6, Value::Other),
            ]
        );
    }

    /// The examples of the format's own documentation.
    #[test]
    fn known_bytes() {
        let mut message = Vec::new();
        put_varint(&mut message, 1, 150);
        put_bytes(&mut message, 2, b"testing");
        assert_eq!(message, b"\x08\x96\x01\x12\x07testing");
    }

    #[test]
    fn what_cannot_be_read_ends_it() {
        for message in [
            &b"\x08"[..],
            b"\x08\x96",
            b"\x12\x07testin",
            b"\x0b",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            let fields: Vec<_> = Fields::of(message).collect();
            assert_eq!(fields, [Err(Malformed)], "{message:?}");
        }
    }
}
