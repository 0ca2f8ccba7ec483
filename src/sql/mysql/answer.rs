//! What the server answers to a statement, packet by packet.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html>

use std::io;

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;

use super::failure::{Stopped, said};
use super::packets::malformed;

/// More columns than MySQL has anywhere.
const MOST_COLUMNS: u64 = 65_535;
/// A packet that begins like the end of the rows but is this long is a row, of one enormous value.
const LONGEST_END: usize = 0xff_ff_ff;

/// The first packet of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There are no rows.
    Done(Done),
    /// Rows of so many columns.
    Columns(u64),
    /// The server wants a file of this machine's.
    File,
}

/// How a statement, or one of its results, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    /// Rows that were changed.
    pub(super) changed: u64,
    pub(super) status: StatusFlags,
    pub(super) warnings: u16,
}

/// Reads the first packet.
pub(super) fn answer(packet: &[u8]) -> Result<Answer, Stopped> {
    match packet {
        [0x00, ..] => Ok(Answer::Done(done(packet)?)),
        [0xff, ..] => Err(Stopped::Said(said(packet))),
        [0xfb, ..] => Ok(Answer::File),
        _ => match ParseBuf(packet).checked_eat_lenenc_int() {
            Some(columns @ 1..=MOST_COLUMNS) => Ok(Answer::Columns(columns)),
            _ => Err(malformed("the server's answer is no answer").into()),
        },
    }
}

/// `None` for a row.
pub(super) fn end(packet: &[u8], agreed: CapabilityFlags) -> Result<Option<Done>, Stopped> {
    match packet {
        [0xff, ..] => Err(Stopped::Said(said(packet))),
        [0xfe, ..] if agreed.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) => {
            if packet.len() < LONGEST_END {
                Ok(Some(done(packet)?))
            } else {
                Ok(None)
            }
        }
        [0xfe, rest @ ..] if rest.len() < 8 => Ok(Some(old_end(rest)?)),
        _ => Ok(None),
    }
}

fn done(packet: &[u8]) -> io::Result<Done> {
    let read = |mut rest: ParseBuf<'_>| {
        rest.checked_skip(1).then_some(())?;
        let changed = rest.checked_eat_lenenc_int()?;
        let _last_id = rest.checked_eat_lenenc_int()?;
        let status = rest.checked_eat_u16_le()?;
        let warnings = rest.checked_eat_u16_le()?;
        Some(Done {
            changed,
            status: StatusFlags::from_bits_truncate(status),
            warnings,
        })
    };
    read(ParseBuf(packet)).ok_or_else(|| malformed("the server's OK is cut"))
}

/// Of servers before 5.7.
fn old_end(rest: &[u8]) -> io::Result<Done> {
    match *rest {
        [a, b, c, d, ..] => Ok(Done {
            changed: 0,
            status: StatusFlags::from_bits_truncate(u16::from_le_bytes([c, d])),
            warnings: u16::from_le_bytes([a, b]),
        }),
        _ => Err(malformed("the server's EOF is cut")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let changed = Done {
            changed: 3,
            status: StatusFlags::SERVER_STATUS_IN_TRANS,
            warnings: 2,
        };
        let ok = b"\0\x03\0\x01\0\x02\0";
        assert_eq!(answer(ok).unwrap(), Answer::Done(changed));
        assert_eq!(answer(b"\x02").unwrap(), Answer::Columns(2));
        assert_eq!(answer(b"\xfb/etc/passwd").unwrap(), Answer::File);
        assert!(matches!(
            answer(b"\xff\x28\x04#42000no"),
            Err(Stopped::Said(_))
        ));
        for nonsense in [
            &b"\0"[..],
            b"\0\x03\0\x01",
            b"\xfc",
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(matches!(answer(nonsense), Err(Stopped::Stream(_))));
        }
    }

    #[test]
    fn ends_of_rows() {
        let modern = CapabilityFlags::CLIENT_DEPRECATE_EOF;
        let old = CapabilityFlags::empty();
        assert!(end(b"\x01a", modern).unwrap().is_none());
        assert_eq!(
            end(b"\xfe\0\0\x02\0\x01\0", modern)
                .unwrap()
                .unwrap()
                .warnings,
            1
        );
        assert_eq!(end(b"\xfe\x01\0\x02\0", old).unwrap().unwrap().warnings, 1);
        let mut enormous = vec![0; LONGEST_END];
        enormous[0] = 0xfe;
        assert!(end(&enormous, modern).unwrap().is_none());
        assert!(end(&enormous[..20], old).unwrap().is_none());
        assert!(end(b"\xfe", modern).is_err());
        assert!(end(b"\xfe", old).is_err());
    }
}
