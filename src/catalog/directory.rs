//! The catalog as commands use it: Backstage's answers, or kept ones, and it always says which.
//!
//! Within the time to live a kept answer is as good as a new one. After that Backstage is asked; only when it cannot be
//! reached is an older answer used, with a note. That somebody may not see something any more is an answer, too: nothing
//! kept is shown instead. An empty listing does not replace a full one without a word: Backstage deletes the entities of a
//! provider that somebody configured away within two minutes, and says nothing.

use std::fmt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use super::cache::{Cache, Listing, Owner, Spool};
use super::client::{BearerSource, CatalogClient, Person, Selection};
use super::conventions::Conventions;
use super::entity::Entity;
use super::lookup::{FindOptions, find_databases};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// Which answers will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Freshness {
    /// A kept one within its time to live, else Backstage's.
    #[default]
    Usual,
    /// Backstage's only.
    Refresh,
    /// A kept one only, however old.
    Offline,
}

/// A value and when Backstage said so.
#[derive(Debug, Clone)]
pub struct Dated<T> {
    /// The value.
    pub value: T,
    /// When Backstage was asked for it.
    pub as_of: Timestamp,
    /// Whether it was kept from an earlier time.
    pub from_cache: bool,
    /// What the person should know of it: why it is not fresh, or cannot be kept.
    pub note: Option<String>,
}

impl<T> Dated<T> {
    /// The same date for what was made of the value.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Dated<U> {
        Dated {
            value: make(self.value),
            as_of: self.as_of,
            from_cache: self.from_cache,
            note: self.note,
        }
    }
}

/// Where answers are kept, whose they are, and for how long they are good.
pub struct Keeping {
    /// The directory for what can be fetched again.
    pub cache: PathBuf,
    /// Of which profile, Backstage and identity provider; the subject is found out when it is needed.
    pub owner: Owner,
    /// Who is signed in, or was last: known without asking anybody.
    pub subject: Box<dyn Fn() -> BoxFuture<'static, Result<Option<String>>> + Send + Sync>,
    /// How long a kept answer is as good as a new one. Zero: never.
    pub ttl: SignedDuration,
    /// What time it is.
    pub clock: Clock,
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping")
            .field("cache", &self.cache)
            .field("owner", &self.owner)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// Asks the catalog or the cache.
#[derive(Debug)]
pub struct Directory<B> {
    client: CatalogClient<B>,
    keeping: Keeping,
    freshness: Freshness,
    cache: OnceCell<Option<Cache>>,
}

impl<B: BearerSource> Directory<B> {
    /// Nothing is asked and nothing is touched yet.
    pub fn new(client: CatalogClient<B>, keeping: Keeping, freshness: Freshness) -> Self {
        Self {
            client,
            keeping,
            freshness,
            cache: OnceCell::new(),
        }
    }

    /// How databases are written into this catalog.
    pub fn conventions(&self) -> &Conventions {
        self.client.conventions()
    }

    /// For questions whose answers are not kept.
    pub fn client(&self) -> &CatalogClient<B> {
        &self.client
    }

    /// `None` when nobody can tell whose answers they would be.
    async fn cache(&self) -> Option<&Cache> {
        let open = || async {
            let keeping = &self.keeping;
            let subject = match (keeping.subject)().await {
                Ok(subject) => subject.unwrap_or_default(),
                Err(error) => {
                    tracing::warn!(%error, "keep no answers: cannot tell who is signed in");
                    return None;
                }
            };
            let owner = Owner {
                subject,
                ..keeping.owner.clone()
            };
            let cache = Cache::new(&keeping.cache, &owner, keeping.clock);
            cache.note_last_user();
            Some(cache)
        };
        self.cache.get_or_init(open).await.as_ref()
    }

    fn now(&self) -> Timestamp {
        self.keeping.clock.now()
    }

    /// Whether what is of that time will do without asking.
    fn will_do(&self, as_of: Timestamp) -> bool {
        let age = self.now().duration_since(as_of);
        match self.freshness {
            Freshness::Refresh => false,
            Freshness::Offline => true,
            // What is of the future was kept before somebody set the clock right.
            Freshness::Usual => age < self.keeping.ttl && !age.is_negative(),
        }
    }

    fn kept<T>(&self, value: T, as_of: Timestamp) -> Dated<T> {
        let offline = self.freshness == Freshness::Offline;
        let note = format!(
            "Backstage was not asked: this is of {}",
            ago(as_of, self.now())
        );
        Dated {
            value,
            as_of,
            from_cache: true,
            note: offline.then_some(note),
        }
    }

    fn fresh<T>(value: T, as_of: Timestamp) -> Dated<T> {
        Dated {
            value,
            as_of,
            from_cache: false,
            note: None,
        }
    }

    /// A kept answer instead of a failure, if the failure allows it.
    fn instead<T>(&self, error: Error, kept: Option<(Timestamp, T)>) -> Result<Dated<T>> {
        let unreachable = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TryLater);
        let Some((as_of, value)) = kept.filter(|_| unreachable) else {
            return Err(error);
        };
        let age = ago(as_of, self.now());
        if self.freshness == Freshness::Refresh {
            return Err(error.hint(format!("what is known is of {age}: use --offline")));
        }
        tracing::info!(%error, %as_of, "used a kept answer");
        Ok(Dated {
            value,
            as_of,
            from_cache: true,
            note: Some(format!("{error}: this is of {age}")),
        })
    }

    /// The person with this mail address, as [`CatalogClient::person`].
    pub async fn person(&self, email: &str) -> Result<Dated<Option<Person>>> {
        let cache = self.cache().await;
        let question = cache.map(|cache| cache.asking_for(email, self.conventions()));
        let kept = question
            .as_ref()
            .and_then(|question| question.read::<Person>());
        let kept = kept.map(|kept| (kept.as_of, kept.answer));
        if let Some((as_of, person)) = &kept
            && self.will_do(*as_of)
        {
            return Ok(self.kept(Some(person.clone()), *as_of));
        }
        if self.freshness == Freshness::Offline {
            return Err(nothing_kept(&format!("who `{email}` is in the catalog")));
        }
        let as_of = self.now();
        match self.client.person(email).await {
            Ok(person) => {
                if let (Some(question), Some(person)) = (&question, &person) {
                    warn(question.keep_person(person, as_of));
                }
                Ok(Self::fresh(person, as_of))
            }
            Err(error) => {
                let kept = kept.map(|(as_of, person)| (as_of, Some(person)));
                self.instead(error, kept)
            }
        }
    }

    /// The databases of a selection. Pages go to the cache's file as they come: memory does not grow with the catalog.
    pub async fn databases(&self, selection: &Selection) -> Result<Dated<Listing>> {
        let conventions = self.conventions();
        let cache = self.cache().await;
        let shelf = cache.map(|cache| cache.shelf(selection, conventions));
        let kept = shelf.as_ref().and_then(super::cache::Shelf::read);
        let kept = kept.map(|kept| (kept.as_of, kept.listing));
        if let Some((as_of, listing)) = &kept
            && self.will_do(*as_of)
        {
            return Ok(self.kept(listing.clone(), *as_of));
        }
        if self.freshness == Freshness::Offline {
            return Err(nothing_kept("these databases"));
        }
        let as_of = self.now();
        let spool = match self.fetch(cache, selection).await {
            Ok(spool) => spool,
            Err(error) => return self.instead(error, kept),
        };
        if spool.is_empty()
            && let Some((old, listing)) = kept
            && !listing.is_empty()
            && let Some(shelf) = &shelf
        {
            let refresh = self.freshness == Freshness::Refresh;
            if !refresh || shelf.count_empty() == 0 {
                return Ok(self.emptied(listing, old));
            }
        }
        let Some(shelf) = shelf else {
            let listing = spool.unkept(selection, conventions, as_of)?;
            return Ok(Self::fresh(listing, as_of));
        };
        let (listing, why_not) = shelf.replace(spool, as_of)?;
        let note = why_not.map(|error| format!("the catalog's answers cannot be kept: {error}"));
        Ok(Dated {
            note,
            ..Self::fresh(listing, as_of)
        })
    }

    async fn fetch(&self, cache: Option<&Cache>, selection: &Selection) -> Result<Spool> {
        let mut spool = Cache::spool(cache)?;
        let mut pages = self.client.databases(selection);
        while let Some(page) = pages.next().await? {
            for entity in &page {
                spool.push(entity, self.conventions())?;
            }
        }
        Ok(spool)
    }

    /// The old listing, though Backstage answered: it answered with nothing.
    fn emptied(&self, listing: Listing, as_of: Timestamp) -> Dated<Listing> {
        let age = ago(as_of, self.now());
        let next = match self.freshness {
            Freshness::Refresh => "refresh once more if that is right",
            _ => "use --refresh, twice, if that is right",
        };
        Dated {
            value: listing,
            as_of,
            from_cache: true,
            note: Some(format!(
                "Backstage answers with no databases now; these are of {age} ({next})"
            )),
        }
    }

    /// All databases that `asked` may mean, as [`find_databases`].
    pub async fn find(&self, asked: &str, options: &FindOptions) -> Result<Dated<Vec<Entity>>> {
        let conventions = self.conventions();
        let cache = self.cache().await;
        let question = cache.map(|cache| cache.finding(asked, options, conventions));
        let kept = question
            .as_ref()
            .and_then(|question| question.read::<Vec<Entity>>());
        let kept = kept.map(|kept| (kept.as_of, kept.answer));
        if let Some((as_of, found)) = &kept
            && self.will_do(*as_of)
        {
            return Ok(self.kept(found.clone(), *as_of));
        }
        let recall = || cache.and_then(|cache| cache.recall(asked, options, conventions));
        if self.freshness == Freshness::Offline {
            let known = kept.or_else(recall);
            let (as_of, found) = known.ok_or_else(|| nothing_kept(&format!("`{asked}`")))?;
            return Ok(self.kept(found, as_of));
        }
        let as_of = self.now();
        match find_databases(&self.client, asked, options).await {
            Ok(found) => {
                if let Some(question) = &question {
                    warn(question.keep_found(&found, conventions, as_of));
                }
                Ok(Self::fresh(found, as_of))
            }
            Err(error) => self.instead(error, kept.or_else(recall)),
        }
    }
}

/// That an answer cannot be kept stops nobody.
fn warn(kept: anyhow::Result<()>) {
    if let Err(error) = kept {
        tracing::warn!(%error, "cannot keep the catalog's answer");
    }
}

fn nothing_kept(what: &str) -> Error {
    ErrorKind::Unavailable
        .error(format!(
            "cannot tell {} without asking Backstage: it was not asked before",
            crate::error::printable(what)
        ))
        .hint("run it once without --offline")
}

/// How long ago `then` was, for people: `40 s ago`, `3 h ago`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
