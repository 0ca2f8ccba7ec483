//! What Backstage answered, kept on disk: for the next minutes, for when it cannot be reached, and for completion.
//!
//! One directory per profile and person, for this user only. A listing is a file of sorted lines that is never in memory
//! as a whole; what single names and mail addresses stand for is a small file each. No token is ever in them. Whatever
//! is broken, of another version or somebody else's is as good as not there. [`Directory`](super::Directory) decides when
//! to use what.

mod listing;
mod lookups;
mod names;
mod place;
mod recall;
mod sorted;
mod spool;

use std::collections::BTreeSet;
use std::path::Path;

pub use listing::Listing;
pub use place::Owner;

pub(super) use listing::Shelf;
pub(super) use lookups::Question;
pub(super) use spool::Spool;

use jiff::Timestamp;

use super::client::Selection;
use super::conventions::Conventions;
use super::entity::Entity;
use super::lookup::FindOptions;
use crate::clock::Clock;
use crate::error::Result;
use place::Place;

/// The kept answers for one profile and one person.
#[derive(Debug, Clone)]
pub struct Cache {
    place: Place,
}

/// A name for completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedName {
    /// What to type: `payments-staging`, `team-a/orders`, `payments@staging`.
    pub typed: String,
    /// Environment and owner, for shells that show them.
    pub about: String,
}

impl Cache {
    /// The owner's, below the directory `cache`. Touches nothing yet.
    pub fn new(cache: &Path, owner: &Owner, clock: Clock) -> Self {
        Self {
            place: Place::new(cache, owner, clock),
        }
    }

    /// That of whoever used the profile last; `None` when nobody did. For completion, which cannot ask who is signed in.
    pub fn of_last_user(cache: &Path, profile: &str, clock: Clock) -> Option<Self> {
        Some(Self {
            place: Place::of_last(cache, profile, clock)?,
        })
    }

    /// At most `most` names that begin with `prefix`, in order. An entity's kind is only in them if one is typed.
    pub fn names_starting_with(&self, prefix: &str, most: usize) -> Vec<CachedName> {
        names::starting_with(&self.place, prefix, most)
    }

    /// Everybody who owns a database that is known: full references, in order.
    pub fn owners(&self) -> BTreeSet<String> {
        let mut owners = listing::owners(&self.place);
        owners.retain(|owner| names::can_be_typed(owner));
        owners
    }

    /// From now on completion offers this one's names.
    pub(super) fn note_last_user(&self) {
        self.place.note_last_user();
    }

    pub(super) fn shelf(&self, selection: &Selection, conventions: &Conventions) -> Shelf<'_> {
        Shelf::new(&self.place, selection, conventions)
    }

    /// A file for what comes; a temporary one without a cache.
    pub(super) fn spool(cache: Option<&Self>) -> Result<Spool> {
        Spool::new(cache.map(|cache| &cache.place))
    }

    pub(super) fn finding(
        &self,
        asked: &str,
        options: &FindOptions,
        conventions: &Conventions,
    ) -> Question<'_> {
        Question::find(&self.place, asked, options, conventions)
    }

    /// What a name may stand for as far as anything that is kept tells, and of when that is.
    pub(super) fn recall(
        &self,
        asked: &str,
        options: &FindOptions,
        conventions: &Conventions,
    ) -> Option<(Timestamp, Vec<Entity>)> {
        recall::recall(&self.place, asked, options, conventions)
    }

    pub(super) fn asking_for(&self, email: &str, conventions: &Conventions) -> Question<'_> {
        Question::person(&self.place, email, conventions)
    }
}
