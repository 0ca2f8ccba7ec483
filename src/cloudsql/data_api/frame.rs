//! The messages of a session, and how gRPC frames them:
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
//!
//! Field numbers are those of Google's published definitions, `StreamSqlDataRequest` and `StreamSqlDataResponse` in
//! `google.cloud.sql.v1beta4`.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::cloudsql::name::InstanceConnectionName;
use crate::cloudsql::protobuf::{Fields, Malformed, Value, put_bytes, put_varint};
use crate::error::printable;

/// Whether the message is compressed, and its length.
const PREFIX: usize = 5;
/// As Google's connectors.
const LONGEST: usize = 100 * 1024 * 1024;

/// Begins a session with an instance.
pub(super) fn start_session(instance: &InstanceConnectionName) -> Bytes {
    let mut start = Vec::new();
    put_bytes(&mut start, 1, location_id(instance).as_bytes());
    put_bytes(&mut start, 2, instance_id(instance).as_bytes());
    let mut request = Vec::new();
    put_bytes(&mut request, 5, &start);
    framed(&request)
}

/// As the service names it.
pub(super) fn instance_id(instance: &InstanceConnectionName) -> String {
    format!(
        "projects/{}/instances/{}",
        instance.project(),
        instance.instance()
    )
}

/// As the service names it.
pub(super) fn location_id(instance: &InstanceConnectionName) -> String {
    format!("locations/{}", instance.region())
}

/// The client's bytes from `offset` on; with how many of the instance's have come, if the service does not know yet.
pub(super) fn data(offset: u64, bytes: &[u8], received: Option<u64>) -> Bytes {
    let mut packet = Vec::with_capacity(bytes.len() + 16);
    put_varint(&mut packet, 1, offset);
    put_bytes(&mut packet, 2, bytes);
    let mut request = received.map(ack_field).unwrap_or_default();
    put_bytes(&mut request, 7, &packet);
    framed(&request)
}

/// How many of the instance's bytes have come.
pub(super) fn ack(received: u64) -> Bytes {
    framed(&ack_field(received))
}

/// Ends the session, as one that went well.
pub(super) fn terminate() -> Bytes {
    let mut terminate = Vec::new();
    put_bytes(&mut terminate, 1, &[]);
    let mut request = Vec::new();
    put_bytes(&mut request, 8, &terminate);
    framed(&request)
}

fn ack_field(received: u64) -> Vec<u8> {
    let mut ack = Vec::new();
    put_varint(&mut ack, 1, received);
    let mut request = Vec::new();
    put_bytes(&mut request, 4, &ack);
    request
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("packets are small");
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

/// What the service says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    /// How many of the client's bytes have come.
    pub(super) received: Option<u64>,
    /// Bytes of the instance's, and where they belong.
    pub(super) data: Option<(u64, Bytes)>,
    /// The session is over.
    pub(super) terminated: Option<Status>,
}

/// How a call or a session ended (`google.rpc.Status`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// `google.rpc.Code`; 0 is well.
    pub(super) code: u64,
    /// Google's words, fit for a terminal.
    pub(super) message: String,
}

impl Response {
    pub(super) fn read(message: &Bytes) -> Result<Self, Malformed> {
        let mut response = Self::default();
        for field in Fields::of(message) {
            match field? {
                (2, Value::Bytes(ack)) => response.received = Some(number(ack, 1)?),
                (4, Value::Bytes(packet)) => {
                    let bytes = bytes(packet, 2)?;
                    response.data = Some((number(packet, 1)?, message.slice_ref(bytes)));
                }
                (5, Value::Bytes(terminate)) => {
                    let status = bytes(terminate, 1)?;
                    let text = bytes(status, 2)?;
                    response.terminated = Some(Status {
                        code: number(status, 1)?,
                        message: printable(&String::from_utf8_lossy(text)),
                    });
                }
                _ => {}
            }
        }
        Ok(response)
    }
}

/// The integer in `field`, 0 if there is none.
fn number(message: &[u8], field: u64) -> Result<u64, Malformed> {
    let mut number = 0;
    for found in Fields::of(message) {
        match found? {
            (at, Value::Varint(value)) if at == field => number = value,
            _ => {}
        }
    }
    Ok(number)
}

/// The bytes in `field`, empty if there are none.
fn bytes(message: &[u8], field: u64) -> Result<&[u8], Malformed> {
    let mut bytes = &[][..];
    for found in Fields::of(message) {
        match found? {
            (at, Value::Bytes(value)) if at == field => bytes = value,
            _ => {}
        }
    }
    Ok(bytes)
}

/// Puts messages together that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Deframer(BytesMut);

impl Deframer {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Malformed> {
        let Some((prefix, rest)) = self.0.split_at_checked(PREFIX) else {
            return Ok(None);
        };
        let length = prefix[1..]
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        // Compression was not offered.
        if prefix[0] != 0 || length > LONGEST {
            return Err(Malformed);
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.0.advance(PREFIX);
        Ok(Some(self.0.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> InstanceConnectionName {
        "acme:europe-west1:payments".parse().unwrap()
    }

    fn unframed(message: &Bytes) -> Bytes {
        let mut deframer = Deframer::default();
        deframer.push(message);
        deframer.next().unwrap().unwrap()
    }

    #[test]
    fn requests_by_the_definitions() {
        assert_eq!(
            &start_session(&instance())[..],
            [
                &b"\0\0\0\0\x3c\x2a\x3a"[..],
                b"\x0a\x16locations/europe-west1",
                b"\x12\x20projects/acme/instances/payments"
            ]
            .concat()
        );
        assert_eq!(
            &data(300, b"abc", Some(7))[..],
            b"\0\0\0\0\x0e\x22\x02\x08\x07\x3a\x08\x08\xac\x02\x12\x03abc"
        );
        assert_eq!(&data(0, b"a", None)[5..], b"\x3a\x05\x08\0\x12\x01a");
        assert_eq!(&ack(1)[5..], b"\x22\x02\x08\x01");
        assert_eq!(&terminate()[5..], b"\x42\x02\x0a\0");
    }

    #[test]
    fn responses_by_the_definitions() {
        let read = |bytes: &'static [u8]| Response::read(&Bytes::from_static(bytes));
        assert_eq!(
            read(b"\x12\x02\x08\x05\x22\x06\x08\x09\x12\x02hi").unwrap(),
            Response {
                received: Some(5),
                data: Some((9, Bytes::from_static(b"hi"))),
                terminated: None,
            }
        );
        // No offset is 0, and what supported features there are makes no difference.
        assert_eq!(
            read(b"\x1a\x03\x0a\x01\x01\x22\x04\x12\x02hi")
                .unwrap()
                .data,
            Some((0, Bytes::from_static(b"hi")))
        );
        let terminated = read(b"\x2a\x08\x0a\x06\x08\x08\x12\x02no")
            .unwrap()
            .terminated;
        let message = "no".to_owned();
        assert_eq!(terminated, Some(Status { code: 8, message }));
        assert_eq!(read(b"\x2a\0").unwrap().terminated, Some(Status::default()));
        for malformed in [&b"\x22"[..], b"\x22\x06\x08\x09", b"\x22\x02\x12\x05"] {
            assert_eq!(read(malformed), Err(Malformed), "{malformed:?}");
        }
    }

    #[test]
    fn messages_in_pieces() {
        let whole = [data(0, b"abc", None), ack(5), terminate()].concat();
        for size in 1..=whole.len() {
            let mut deframer = Deframer::default();
            let mut messages = Vec::new();
            for piece in whole.chunks(size) {
                deframer.push(piece);
                while let Some(message) = deframer.next().unwrap() {
                    messages.push(message);
                }
            }
            let expected = [data(0, b"abc", None), ack(5), terminate()].map(|one| unframed(&one));
            assert_eq!(messages, expected, "{size}");
        }
        for wrong in [&b"\x01\0\0\0\0"[..], b"\0\x7f\0\0\0"] {
            let mut deframer = Deframer::default();
            deframer.push(wrong);
            assert_eq!(deframer.next(), Err(Malformed));
        }
    }
}
