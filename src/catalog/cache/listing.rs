//! A listing in a file: what one [`Selection`] held when Backstage was asked last.
//!
//! The first line says what it is; then comes one line per entity, sorted by reference:
//! `REFERENCE<TAB>ENVIRONMENT<TAB>OWNER<TAB>ENTITY AS JSON`. The environment and the owner are there for completion, which
//! has no time to read JSON. The file is the only place where a listing is as a whole: with 100,000 entities it is 70 MB.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::place::{Place, fingerprint};
use super::sorted::Sorted;
use super::spool::Spool;
use crate::catalog::client::Selection;
use crate::catalog::conventions::Conventions;
use crate::catalog::entity::Entity;
use crate::error::{ErrorKind, Result};

/// Counts changes of the format. Files of another one are written anew.
const FORMAT: u32 = 1;
/// A first line with hundreds of owners is some 20 KB. What is longer is not ours.
const LONGEST_HEADER: u64 = 1024 * 1024;
/// Beginnings of files' names.
pub(super) const LISTING: &str = "listing-";
const OWNERS: &str = "owners-";
const EMPTY: &str = "empty-";

/// A listing. Small, whatever it lists: the entities stay in their file.
#[derive(Debug, Clone)]
pub struct Listing {
    file: Arc<File>,
    start: u64,
    end: u64,
    count: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) as_of: Timestamp,
    pub(super) selection: Selection,
    /// Of the conventions that told what a database is.
    pub(super) conventions: String,
    pub(super) count: usize,
    /// After this line. Tells a file that was cut off.
    pub(super) bytes: u64,
}

impl Header {
    /// What it counts is found out when it is written.
    pub(super) fn new(selection: Selection, conventions: String, as_of: Timestamp) -> Self {
        Self {
            format: FORMAT,
            as_of,
            selection,
            conventions,
            count: 0,
            bytes: 0,
        }
    }
}

/// A listing as it is kept.
#[derive(Debug)]
pub(in crate::catalog) struct Kept {
    pub(in crate::catalog) as_of: Timestamp,
    pub(in crate::catalog) listing: Listing,
}

impl Listing {
    /// How many entities.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entities, sorted by reference, read as they are asked for. May be called several times, also at once.
    ///
    /// Fails with [`ErrorKind::Unavailable`] when the file was damaged meanwhile.
    pub fn entities(&self) -> impl Iterator<Item = Result<Entity>> + '_ {
        let mut lines = self.sorted().lines();
        let mut left = self.count;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let entity = match lines.next_line() {
                Ok(Some(line)) => entity_of(line),
                Ok(None) => Err(anyhow::anyhow!("it ends too early")),
                Err(error) => Err(error.into()),
            };
            if entity.is_err() {
                left = 0;
            }
            Some(entity.map_err(|cause| {
                ErrorKind::Unavailable
                    .error("cannot read the cached listing")
                    .because(cause)
                    .hint("fetch it anew: bsql ls --refresh")
            }))
        })
    }

    pub(super) fn sorted(&self) -> Sorted<'_> {
        Sorted {
            file: &self.file,
            start: self.start,
            end: self.end,
        }
    }

    /// Reads the first line; `None` when the file is anything but a whole listing of this format.
    pub(super) fn read(file: File) -> Option<(Header, Self)> {
        let whole = file.metadata().ok()?.len();
        let mut lines = Sorted {
            file: &file,
            start: 0,
            end: whole.min(LONGEST_HEADER),
        }
        .lines();
        let line = lines.next_line().ok()??;
        let header: Header = serde_json::from_slice(line).ok()?;
        let start = line.len() as u64 + 1;
        let is_whole = header.format == FORMAT && start.checked_add(header.bytes) == Some(whole);
        let listing = Self {
            count: header.count,
            start,
            end: whole,
            file: Arc::new(file),
        };
        is_whole.then_some((header, listing))
    }
}

/// The entity in a line.
pub(super) fn entity_of(line: &[u8]) -> anyhow::Result<Entity> {
    let json = line.splitn(4, |byte| *byte == b'\t').nth(3);
    let json = json.ok_or_else(|| anyhow::anyhow!("a line is not an entity"))?;
    Ok(serde_json::from_slice(json)?)
}

/// What the line says before its JSON: reference, environment, owner.
pub(super) fn heads(line: &[u8]) -> Option<[&str; 3]> {
    let mut parts = line
        .splitn(4, |byte| *byte == b'\t')
        .map(|part| std::str::from_utf8(part).ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// Every listing that is kept, of whichever selection.
pub(super) fn all(place: &Place) -> impl Iterator<Item = Kept> + '_ {
    place.names(LISTING).into_iter().filter_map(|name| {
        let (header, listing) = Listing::read(place.open(&name)?)?;
        Some(Kept {
            as_of: header.as_of,
            listing,
        })
    })
}

/// The references of all who own something, of every listing that is kept.
pub(super) fn owners(place: &Place) -> BTreeSet<String> {
    let files = place.names(OWNERS).into_iter();
    let texts = files.filter_map(|name| String::from_utf8(place.read(&name)?).ok());
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// One selection's files.
#[derive(Debug)]
pub(in crate::catalog) struct Shelf<'a> {
    place: &'a Place,
    selection: Selection,
    conventions: String,
    /// The ends of the files' names.
    id: String,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(place: &'a Place, selection: &Selection, conventions: &Conventions) -> Self {
        let mut selection = selection.clone();
        if let Some(owners) = &mut selection.owners {
            // Who owns it in whichever order.
            owners.sort();
            owners.dedup();
        }
        let text = serde_json::to_string(&selection).unwrap_or_default();
        Self {
            place,
            id: fingerprint(&[&text]),
            selection,
            conventions: fingerprint_of(conventions),
        }
    }

    /// The listing, if it is there, whole, and of the same conventions.
    pub(in crate::catalog) fn read(&self) -> Option<Kept> {
        let name = format!("{LISTING}{}", self.id);
        let (header, listing) = Listing::read(self.place.open(&name)?)?;
        let same = header.selection == self.selection && header.conventions == self.conventions;
        if !same {
            return None;
        }
        self.place.note_use(&name);
        Some(Kept {
            as_of: header.as_of,
            listing,
        })
    }

    /// Counts one more empty answer in a row to an explicit request; says how many there were before.
    pub(in crate::catalog) fn count_empty(&self) -> usize {
        let name = format!("{EMPTY}{}", self.id);
        let before = self.place.read(&name).map_or(0, |marks| marks.len());
        if let Err(error) = self.place.write(&name, &vec![b'.'; before + 1]) {
            tracing::debug!(%error, "cannot note an empty answer");
        }
        before
    }

    /// Puts a listing in the place of the one that is kept. Says why it is not kept when it cannot be.
    pub(in crate::catalog) fn replace(
        &self,
        mut entities: Spool,
        as_of: Timestamp,
    ) -> Result<(Listing, Option<io::Error>)> {
        let header = Header::new(self.selection.clone(), self.conventions.clone(), as_of);
        let why_not = match self.keep(&mut entities, &header) {
            Ok(listing) => return Ok((listing, None)),
            Err(error) => error,
        };
        let listing = entities.temporary(&header)?;
        Ok((listing, Some(why_not)))
    }

    fn keep(&self, entities: &mut Spool, header: &Header) -> io::Result<Listing> {
        let file = self.place.unfinished()?;
        entities.write(header, file.as_file())?;
        // First of all: what is written next tidies up.
        let file = self.place.keep(file, &format!("{LISTING}{}", self.id))?;
        let mut owners = String::new();
        for owner in &entities.owners {
            owners.push_str(owner);
            owners.push('\n');
        }
        self.place
            .write(&format!("{OWNERS}{}", self.id), owners.as_bytes())?;
        self.place.remove(&format!("{EMPTY}{}", self.id));
        let (_, listing) = Listing::read(file)
            .ok_or_else(|| io::Error::other("what was just written cannot be read"))?;
        Ok(listing)
    }
}

/// Changes whenever anything about the conventions does: what is a database, or its environment, may be another one then.
pub(super) fn fingerprint_of(conventions: &Conventions) -> String {
    fingerprint(&[&format!("{conventions:?}")])
}
