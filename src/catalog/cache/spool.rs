//! Entities on their way into a listing: sorted in a file, not in memory.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use jiff::Timestamp;

use super::listing::{Header, Listing, fingerprint_of};
use super::place::Place;
use super::sorted::read_exactly;
use crate::catalog::client::Selection;
use crate::catalog::conventions::Conventions;
use crate::catalog::entity::Entity;
use crate::error::{ErrorKind, Result, ResultExt as _};

/// Entities as they come, in no order and perhaps twice, in an anonymous file. Memory holds where each one is and what to
/// sort it by, some 60 bytes an entity.
#[derive(Debug)]
pub(in crate::catalog) struct Spool {
    file: BufWriter<File>,
    length: u64,
    /// The references, each behind its length.
    keys: Vec<u8>,
    entries: Vec<Entry>,
    /// Everybody who owns one of them.
    pub(super) owners: BTreeSet<String>,
    line: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    /// Where its reference is in [`Spool::keys`].
    key: u32,
    /// Its line in the file, with the end.
    length: u32,
    offset: u64,
}

impl Spool {
    /// In the cache's directory if it is there, else where the system has temporary files.
    pub(super) fn new(place: Option<&Place>) -> Result<Self> {
        let beside = place.and_then(|place| place.unfinished().ok());
        let file = match beside {
            // Without its name it is gone when it is closed, however that happens.
            Some(file) => Ok(file.into_file()),
            None => tempfile::tempfile(),
        };
        let file = file.or_fail(
            ErrorKind::CannotCreate,
            || "cannot make a temporary file for the listing",
        )?;
        Ok(Self {
            file: BufWriter::with_capacity(64 * 1024, file),
            length: 0,
            keys: Vec::new(),
            entries: Vec::new(),
            owners: BTreeSet::new(),
            line: Vec::new(),
        })
    }

    /// The listing, in a temporary file only.
    pub(in crate::catalog) fn unkept(
        mut self,
        selection: &Selection,
        conventions: &Conventions,
        as_of: Timestamp,
    ) -> Result<Listing> {
        self.temporary(&Header::new(
            selection.clone(),
            fingerprint_of(conventions),
            as_of,
        ))
    }

    pub(super) fn temporary(&mut self, header: &Header) -> Result<Listing> {
        let cannot_write = || "cannot write the listing to a temporary file";
        let file = tempfile::tempfile().or_fail(ErrorKind::CannotCreate, cannot_write)?;
        self.write(header, &file)
            .or_fail(ErrorKind::CannotCreate, cannot_write)?;
        let (_, listing) = Listing::read(file).ok_or_else(|| {
            ErrorKind::Internal.error("cannot read the listing that was just written")
        })?;
        Ok(listing)
    }

    pub(in crate::catalog) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(in crate::catalog) fn push(
        &mut self,
        entity: &Entity,
        conventions: &Conventions,
    ) -> Result<()> {
        self.try_push(entity, conventions).or_fail(
            ErrorKind::CannotCreate,
            || "cannot write the listing to a temporary file",
        )
    }

    fn try_push(&mut self, entity: &Entity, conventions: &Conventions) -> anyhow::Result<()> {
        let entity_ref = entity.entity_ref().to_string();
        let key = field(&entity_ref);
        let environment = conventions.environments.of(entity).unwrap_or_default();
        let owner = entity.owner().map(|owner| owner.to_string());
        let owner = field(owner.as_deref().unwrap_or_default());
        self.line.clear();
        write!(self.line, "{key}\t{}\t{owner}\t", field(&environment))?;
        serde_json::to_writer(&mut self.line, entity)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)?;

        self.entries.push(Entry {
            key: u32::try_from(self.keys.len())?,
            length: u32::try_from(self.line.len())?,
            offset: self.length,
        });
        let length = u32::try_from(key.len())?;
        self.keys.extend_from_slice(&length.to_ne_bytes());
        self.keys.extend_from_slice(key.as_bytes());
        self.length += self.line.len() as u64;
        if !owner.is_empty() && !self.owners.contains(owner.as_ref()) {
            self.owners.insert(owner.into_owned());
        }
        Ok(())
    }

    /// Writes what came, sorted and without repeats.
    pub(super) fn write(&mut self, header: &Header, to: &File) -> io::Result<()> {
        self.file.flush()?;
        let (keys, entries) = (&self.keys, &mut self.entries);
        // Of repeats the first that came: all are of the same minute.
        entries.sort_unstable_by(|a, b| {
            let by_key = key_at(keys, a.key).cmp(key_at(keys, b.key));
            by_key.then(a.offset.cmp(&b.offset))
        });
        entries.dedup_by(|later, first| key_at(keys, later.key) == key_at(keys, first.key));

        let header = Header {
            count: entries.len(),
            bytes: entries.iter().map(|entry| u64::from(entry.length)).sum(),
            ..header.clone()
        };
        let mut to = BufWriter::with_capacity(256 * 1024, to);
        serde_json::to_writer(&mut to, &header)?;
        to.write_all(b"\n")?;
        for entry in entries {
            self.line.resize(entry.length as usize, 0);
            read_exactly(self.file.get_ref(), entry.offset, &mut self.line)?;
            to.write_all(&self.line)?;
        }
        to.flush()
    }
}

/// A key in [`Spool::keys`], behind its length.
fn key_at(keys: &[u8], at: u32) -> &[u8] {
    let (length, rest) = keys[at as usize..]
        .split_first_chunk()
        .expect("it was written so");
    &rest[..u32::from_ne_bytes(*length) as usize]
}

/// Fit for one field of a line. What Backstage takes for a reference has no control characters.
fn field(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.replace(char::is_control, "\u{fffd}").into()
    } else {
        text.into()
    }
}
