//! What the database says before it is ready, overheard on its way: the number of its process.
//!
//! The number is what joins bsql's audit log with the server's own: `pg_stat_activity.pid`, `%p` in `log_line_prefix`.

/// A message's type and length.
const HEADER: usize = 5;
/// `BackendKeyData`: the process id, and the key for cancel requests.
const BACKEND_KEY: u8 = b'K';
/// `ReadyForQuery`, and `ErrorResponse`: nothing of interest follows.
const READY: u8 = b'Z';
const ERROR: u8 = b'E';
/// Servers say a few hundred bytes.
const MOST: usize = 64 * 1024;

/// Follows messages as they come in, in pieces of any size. Keeps nothing but the beginning of one.
#[derive(Debug, Default)]
pub struct Greeting {
    /// The header of a message, and the first four bytes of its body.
    message: Vec<u8>,
    /// Of the body of a message that is of no interest, the bytes still to come.
    skip: usize,
    heard: usize,
    over: bool,
}

/// Where the number of the database's process comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessId {
    /// From PostgreSQL's messages.
    Overheard,
    /// It is known already, or never will be: what goes through is not PostgreSQL's.
    Known,
}

impl Greeting {
    /// Nothing is heard yet.
    pub fn new(process_id: ProcessId) -> Self {
        Self {
            over: process_id == ProcessId::Known,
            ..Self::default()
        }
    }

    /// The process id, when `bytes` complete the message that has it.
    pub fn hear(&mut self, bytes: &[u8]) -> Option<u32> {
        if self.over {
            return None;
        }
        self.heard = self.heard.saturating_add(bytes.len());
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.skip > 0 {
                let skipped = self.skip.min(rest.len());
                self.skip -= skipped;
                rest = &rest[skipped..];
                continue;
            }
            self.message.push(*byte);
            rest = after;
            if self.message.len() < HEADER {
                continue;
            }
            let (tag, body) = (self.message[0], self.body_length());
            match (tag, body, self.message[HEADER..].first_chunk()) {
                (BACKEND_KEY, Some(8..), Some(pid)) => {
                    self.over = true;
                    return Some(u32::from_be_bytes(*pid));
                }
                (BACKEND_KEY, Some(8..), None) => {}
                (READY | ERROR | BACKEND_KEY, _, _) | (_, None, _) => {
                    self.over = true;
                    return None;
                }
                (_, Some(length), _) => {
                    self.skip = length;
                    self.message.clear();
                }
            }
        }
        self.over = self.heard > MOST;
        None
    }

    /// Without the length field, which counts itself. `None` when it is too short for that.
    fn body_length(&self) -> Option<usize> {
        let length = self.message[1..].first_chunk()?;
        usize::try_from(u32::from_be_bytes(*length))
            .ok()?
            .checked_sub(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    fn greeting() -> Vec<u8> {
        [
            message(b'R', &[0; 4]),
            message(b'S', b"server_version\x0015.14\0"),
            message(b'N', b""),
            message(b'K', &[0, 0, 0x10, 0x02, 9, 9, 9, 9]),
            message(b'Z', b"I"),
        ]
        .concat()
    }

    #[test]
    fn in_pieces_of_any_size() {
        let whole = greeting();
        for size in 1..=whole.len() {
            let mut ear = Greeting::default();
            let heard: Vec<u32> = whole
                .chunks(size)
                .filter_map(|piece| ear.hear(piece))
                .collect();
            assert_eq!(heard, [0x1002], "{size}");
            assert!(ear.message.len() <= HEADER + 4);
        }
    }

    #[test]
    fn after_an_error_or_nonsense_it_listens_no_more() {
        for first in [
            message(b'E', b"SFATAL\0\0"),
            message(b'Z', b"I"),
            vec![b'S', 0, 0, 0, 3],
            message(b'K', &[1; 7]),
        ] {
            let mut ear = Greeting::default();
            assert_eq!(ear.hear(&first), None);
            assert_eq!(ear.hear(&greeting()), None, "{first:?}");
        }
        let mut ear = Greeting::default();
        assert_eq!(ear.hear(&[b'S', 0x7f, 0xff, 0xff, 0xff]), None);
        assert_eq!(ear.hear(&vec![0; MOST]), None);
        assert!(ear.over);
    }

    /// Deterministic: the same bytes in every run.
    #[test]
    fn no_bytes_make_it_panic_or_keep_much() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            // Xorshift.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..2_000 {
            let mut ear = Greeting::default();
            for _ in 0..next() % 8 {
                let mut bytes = greeting();
                let at = usize::try_from(next()).unwrap() % bytes.len();
                bytes[at] = next().to_le_bytes()[0];
                bytes.truncate(usize::try_from(next()).unwrap() % bytes.len());
                ear.hear(&bytes);
                assert!(ear.message.len() <= HEADER + 4, "{:?}", ear.message);
            }
        }
    }
}
