//! What a terminal sends, as keys.
//!
//! Sequences: ECMA-48 section 5.4 and xterm's <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>.

use std::collections::VecDeque;

/// A key, by what it does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Text(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Backspace,
    /// Forget the last word.
    ForgetWord,
    /// Forget all that was typed.
    Forget,
    Refresh,
    Redraw,
    Enter,
    Escape,
    Interrupt,
}

const ESCAPE: u8 = 0x1b;

/// Turns bytes into keys. What has only half arrived waits for the rest; an Escape that nothing follows is the key.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pending: VecDeque<u8>,
}

impl Keys {
    /// The keys in these bytes and what was left of those before. No bytes at all means that nothing more came for a
    /// moment.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend(bytes);
        let quiet = bytes.is_empty();
        let mut keys = Vec::new();
        while let Some((taken, key)) = first(self.pending.make_contiguous(), quiet) {
            self.pending.drain(..taken);
            keys.extend(key);
        }
        keys
    }
}

/// How many bytes the first key takes, and the key if it means something; `None` until there are enough bytes.
fn first(bytes: &[u8], quiet: bool) -> Option<(usize, Option<Key>)> {
    match bytes {
        [ESCAPE] if quiet => Some((1, Some(Key::Escape))),
        [] | [ESCAPE] => None,
        [ESCAPE, b'[' | b'O', rest @ ..] => sequence(rest, quiet),
        // Escape twice is Escape; with another key it is Alt and that key, which means nothing here.
        [ESCAPE, ESCAPE, ..] => Some((1, Some(Key::Escape))),
        [ESCAPE, ..] => Some((2, None)),
        [byte, ..] if byte.is_ascii() => Some((1, control(*byte))),
        _ => character(bytes, quiet),
    }
}

/// What follows `ESC [` or `ESC O`: parameters, and a final byte that ends it.
fn sequence(rest: &[u8], quiet: bool) -> Option<(usize, Option<Key>)> {
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        // Nothing more came: it was no sequence.
        return quiet.then_some((rest.len() + 2, None));
    };
    // Modifiers, as in `1;5A`, change nothing.
    let number = rest[..end].split(|byte| *byte == b';').next();
    let key = match (rest[end], number.unwrap_or_default()) {
        (b'A', _) => Some(Key::Up),
        (b'B', _) => Some(Key::Down),
        (b'H', _) | (b'~', b"1" | b"7") => Some(Key::Home),
        (b'F', _) | (b'~', b"4" | b"8") => Some(Key::End),
        (b'~', b"5") => Some(Key::PageUp),
        (b'~', b"6") => Some(Key::PageDown),
        (b'M', b"") => Some(Key::Enter), // The keypad's.
        _ => None,
    };
    Some((end + 3, key))
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        0x01 => Key::Home,
        0x03 => Key::Interrupt,
        // Ctrl-D leaves what has nothing typed into it, like a shell; here it always leaves.
        0x04 | 0x07 => Key::Escape,
        0x05 => Key::End,
        0x08 | 0x7f => Key::Backspace,
        0x0c => Key::Redraw,
        0x02 => Key::PageUp,
        0x06 => Key::PageDown,
        b'\t' | 0x0e => Key::Down,
        0x10 => Key::Up,
        0x12 => Key::Refresh,
        0x15 => Key::Forget,
        0x17 => Key::ForgetWord,
        byte if byte.is_ascii_control() => return None,
        byte => Key::Text(char::from(byte)),
    })
}

/// A character of several bytes in UTF-8.
fn character(bytes: &[u8], quiet: bool) -> Option<(usize, Option<Key>)> {
    let length = match bytes[0] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return Some((1, None)),
    };
    let Some(whole) = bytes.get(..length) else {
        return quiet.then_some((bytes.len(), None));
    };
    let character = std::str::from_utf8(whole)
        .ok()
        .and_then(|text| text.chars().next())
        .filter(|c| !c.is_control());
    match character {
        Some(c) => Some((length, Some(Key::Text(c)))),
        None => Some((1, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_terminals_send() {
        for (bytes, expected) in [
            (&b"ab"[..], &[Key::Text('a'), Key::Text('b')][..]),
            (b"\x1b[A\x1b[B", &[Key::Up, Key::Down]),
            (b"\x1bOA\x1bOH\x1bOF", &[Key::Up, Key::Home, Key::End]),
            (b"\x1b[5~\x1b[6~", &[Key::PageUp, Key::PageDown]),
            (
                b"\x1b[1~\x1b[4~\x1b[H\x1b[F",
                &[Key::Home, Key::End, Key::Home, Key::End],
            ),
            (b"\x1b[1;5Ax", &[Key::Up, Key::Text('x')]),
            (b"\x1b[200~x", &[Key::Text('x')]),
            (b"\x1bfx", &[Key::Text('x')]),
            (b"\x0e\x10\t", &[Key::Down, Key::Up, Key::Down]),
            (
                b"\x15\x17\x7f\x08",
                &[Key::Forget, Key::ForgetWord, Key::Backspace, Key::Backspace],
            ),
            (b"\r\x03\x12", &[Key::Enter, Key::Interrupt, Key::Refresh]),
            (
                "é日🦀".as_bytes(),
                &[Key::Text('é'), Key::Text('日'), Key::Text('🦀')],
            ),
            (b"\xff\xc3(a", &[Key::Text('('), Key::Text('a')]),
            // A control character of Latin-1 in UTF-8 is no text either.
            (
                "\u{9b}31m".as_bytes(),
                &[Key::Text('3'), Key::Text('1'), Key::Text('m')],
            ),
        ] {
            assert_eq!(Keys::default().read(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_arrives_in_pieces_is_put_together() {
        let mut keys = Keys::default();
        assert_eq!(keys.read(b"\x1b"), []);
        assert_eq!(keys.read(b"["), []);
        assert_eq!(keys.read(b"A"), [Key::Up]);
        assert_eq!(keys.read(&"日".as_bytes()[..1]), []);
        assert_eq!(keys.read(&"日".as_bytes()[1..]), [Key::Text('日')]);
    }

    #[test]
    fn escape_is_what_nothing_follows() {
        let mut keys = Keys::default();
        assert_eq!(keys.read(b"\x1b"), []);
        assert_eq!(keys.read(b""), [Key::Escape]);
        assert_eq!(keys.read(b""), []);
        assert_eq!(keys.read(b"\x1b[1;"), []);
        assert_eq!(keys.read(b""), []);
        assert_eq!(keys.read(b"x"), [Key::Text('x')]);
    }
}
