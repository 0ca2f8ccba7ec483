//! What the server says that the protocol's client keeps to itself: how each statement ended, in words, and whether a
//! transaction is open. Read off the bytes as they pass.
//!
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use std::collections::VecDeque;

use super::super::Transaction;

/// A message's type and the length of all but the type.
const HEADER: usize = 5;
/// Longer than any command tag; what is longer is cut.
const LONGEST_TAG: usize = 64;
/// More statements than this before anybody asks are not remembered.
const MOST_TAGS: usize = 10_000;

/// Follows what the server sends.
#[derive(Debug, Default)]
pub(super) struct Overheard {
    /// The header of the message, as much as there is.
    header: Vec<u8>,
    /// How much of the message's body is to come.
    left: usize,
    /// The body, of messages that are of interest.
    body: Vec<u8>,
    transaction: Transaction,
    /// Of the statements that ended and have not been asked for, the oldest first.
    tags: VecDeque<String>,
}

impl Overheard {
    /// Whether a transaction is open.
    pub(super) fn transaction(&self) -> Transaction {
        self.transaction
    }

    /// How the oldest statement ended that was not asked for yet, as `INSERT 0 1`; empty for an empty one.
    pub(super) fn next_tag(&mut self) -> Option<String> {
        self.tags.pop_front()
    }

    /// Forgets the tags.
    pub(super) fn forget_tags(&mut self) {
        self.tags.clear();
    }

    /// More bytes from the server, in any portions.
    pub(super) fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.header.len() < HEADER {
                let (head, rest) = bytes.split_at(bytes.len().min(HEADER - self.header.len()));
                self.header.extend_from_slice(head);
                bytes = rest;
                if self.header.len() < HEADER {
                    return;
                }
                let length = [
                    self.header[1],
                    self.header[2],
                    self.header[3],
                    self.header[4],
                ];
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                // The length counts itself.
                self.left = length.saturating_sub(HEADER - 1);
                self.body.clear();
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.left));
            if matches!(self.header[0], b'C' | b'Z') {
                let room = LONGEST_TAG - self.body.len();
                self.body.extend_from_slice(&part[..part.len().min(room)]);
            }
            self.left -= part.len();
            bytes = rest;
            if self.left == 0 {
                self.heard();
                self.header.clear();
            }
        }
    }

    fn heard(&mut self) {
        match self.header[0] {
            // CommandComplete
            b'C' => {
                let end = self.body.iter().position(|&byte| byte == 0);
                let tag = &self.body[..end.unwrap_or(self.body.len())];
                self.ended(String::from_utf8_lossy(tag).into_owned());
            }
            // EmptyQueryResponse
            b'I' => self.ended(String::new()),
            // ErrorResponse: what ReadyForQuery will say when everything before it has been read.
            b'E' if self.transaction == Transaction::Open => {
                self.transaction = Transaction::Failed;
            }
            // ReadyForQuery
            b'Z' => {
                self.transaction = match self.body.first() {
                    Some(b'T') => Transaction::Open,
                    Some(b'E') => Transaction::Failed,
                    _ => Transaction::None,
                }
            }
            _ => {}
        }
    }

    fn ended(&mut self, tag: String) {
        if self.tags.len() < MOST_TAGS {
            self.tags.push_back(tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    #[test]
    fn tags_and_transactions_in_portions_of_any_size() {
        let stream = [
            message(b'T', b"C\0\0\0\x05Z"),
            message(b'D', &[b'Z'; 300]),
            message(b'C', b"SELECT 1\0"),
            message(b'n', b""),
            message(b'I', b""),
            message(b'C', b"BEGIN\0"),
            message(b'Z', b"T"),
            message(b'C', &[b'x'; 300]),
        ]
        .concat();
        for size in [1, 2, 3, 7, 64, stream.len()] {
            let mut overheard = Overheard::default();
            for portion in stream.chunks(size) {
                overheard.hear(portion);
            }
            assert_eq!(overheard.transaction(), Transaction::Open);
            assert_eq!(overheard.next_tag().as_deref(), Some("SELECT 1"));
            assert_eq!(overheard.next_tag().as_deref(), Some(""));
            assert_eq!(overheard.next_tag().as_deref(), Some("BEGIN"));
            assert_eq!(overheard.next_tag().map(|tag| tag.len()), Some(LONGEST_TAG));
            assert_eq!(overheard.next_tag(), None);
            overheard.hear(&message(b'E', b"SERROR\0\0"));
            assert_eq!(overheard.transaction(), Transaction::Failed, "at once");
            overheard.hear(&message(b'Z', b"E"));
            assert_eq!(overheard.transaction(), Transaction::Failed);
            overheard.hear(&message(b'Z', b"I"));
            assert_eq!(overheard.transaction(), Transaction::None);
            overheard.hear(&message(b'E', b"SERROR\0\0"));
            assert_eq!(overheard.transaction(), Transaction::None);
        }
    }

    #[test]
    fn nonsense_is_survived() {
        let mut overheard = Overheard::default();
        overheard.hear(b"C\0\0\0\0Z\0\0\0\x01\xff\xff\xff\xff\xffrest");
        assert_eq!(overheard.next_tag().as_deref(), Some(""));
        assert_eq!(overheard.transaction(), Transaction::None);
    }
}
