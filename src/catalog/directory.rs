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

use super::cache::{Cache, Listing, Owner, Question, Spool};
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
            "Backstage was not asked: this is from {}",
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
            return Err(error.hint(format!("what is known is from {age}: use --offline")));
        }
        tracing::info!(%error, %as_of, "used a kept answer");
        Ok(Dated {
            value,
            as_of,
            from_cache: true,
            note: Some(format!("{error}: this is from {age}")),
        })
    }

    /// The person with this mail address, as [`CatalogClient::person`].
    pub async fn person(&self, email: &str) -> Result<Dated<Option<Person>>> {
        let cache = self.cache().await;
        let question = cache.map(|cache| cache.asking_for(email, self.conventions()));
        let kept = question.as_ref().and_then(Question::read::<Person>);
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
        // Whoever has nothing yet is waiting for something: it is asked for each time.
        if let Some((as_of, listing)) = &kept
            && self.will_do(*as_of)
            && (!listing.is_empty() || self.freshness == Freshness::Offline)
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
                "Backstage answers with no databases now; these are from {age} ({next})"
            )),
        }
    }

    /// All databases that `asked` may mean, as [`find_databases`].
    pub async fn find(&self, asked: &str, options: &FindOptions) -> Result<Dated<Vec<Entity>>> {
        let conventions = self.conventions();
        let cache = self.cache().await;
        let question = cache.map(|cache| cache.finding(asked, options, conventions));
        let kept = question.as_ref().and_then(Question::read::<Vec<Entity>>);
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::catalog::entity::EntityRef;
    use crate::catalog::stand_in::{NoBearer, answer, client};
    use crate::loopback::{Response, Server};

    fn keeping(cache: &Path, subject: &'static str, ahead: SignedDuration) -> Keeping {
        Keeping {
            cache: cache.to_owned(),
            owner: Owner {
                profile: "acme".to_owned(),
                backstage: "https://backstage.acme.example/".to_owned(),
                issuer: "https://login.acme.example".to_owned(),
                subject: String::new(),
            },
            subject: Box::new(move || Box::pin(async move { Ok(Some(subject.to_owned())) })),
            ttl: SignedDuration::from_mins(10),
            clock: Clock::ahead_by(ahead),
        }
    }

    /// What Backstage does at the moment.
    const WELL: usize = 0;
    const EMPTY: usize = 1;
    const DOWN: usize = 2;
    const DENIED: usize = 3;

    struct Scene {
        server: Server,
        mood: Arc<AtomicUsize>,
        asked: Arc<AtomicUsize>,
        cache: tempfile::TempDir,
    }

    impl Scene {
        async fn with(count: usize) -> Self {
            let entities: Vec<_> = (0..count)
                .rev()
                .map(|n| {
                    json!({
                        "kind": "Resource",
                        "metadata": { "name": format!("db{n:04}-staging"), "namespace": "default" },
                        "spec": { "type": "database" },
                        "relations": [{ "type": "ownedBy", "targetRef": "group:default/payments" }],
                    })
                })
                .collect();
            let (mood, asked) = (Arc::new(AtomicUsize::new(WELL)), Arc::default());
            let (its_mood, its_asked) = (Arc::clone(&mood), Arc::clone(&asked));
            let server = Server::start(move |request| {
                AtomicUsize::fetch_add(&its_asked, 1, Ordering::SeqCst);
                match its_mood.load(Ordering::SeqCst) {
                    WELL => answer(request, &entities),
                    EMPTY => answer(request, &[]),
                    DOWN => Response::json(503, &json!({})),
                    _ => Response::json(
                        403,
                        &json!({ "error": { "name": "NotAllowedError", "message": "" } }),
                    ),
                }
            })
            .await;
            Self {
                server,
                mood,
                asked,
                cache: tempfile::tempdir().unwrap(),
            }
        }

        fn is(&self, mood: usize) -> &Self {
            self.mood.store(mood, Ordering::SeqCst);
            self
        }

        fn directory(&self, freshness: Freshness, minutes: i64) -> Directory<NoBearer> {
            let ahead = SignedDuration::from_mins(minutes);
            let keeping = keeping(self.cache.path(), "ada", ahead);
            Directory::new(client(&self.server, NoBearer), keeping, freshness)
        }

        async fn list(&self, freshness: Freshness, minutes: i64) -> Result<Dated<Listing>> {
            let directory = self.directory(freshness, minutes);
            directory.databases(&Selection::default()).await
        }

        fn asked(&self) -> usize {
            self.asked.swap(0, Ordering::SeqCst)
        }
    }

    fn names(listing: &Listing) -> Vec<String> {
        let entities = listing.entities().map(|entity| entity.unwrap());
        entities.map(|entity| entity.metadata.name).collect()
    }

    #[tokio::test]
    async fn an_empty_listing_is_asked_for_again_each_time() {
        let scene = Scene::with(3).await;
        for _ in 0..2 {
            let nothing = scene.is(EMPTY).list(Freshness::Usual, 0).await.unwrap();
            assert!(nothing.value.is_empty() && !nothing.from_cache);
            assert!(scene.asked() > 0);
        }
        let offline = scene.list(Freshness::Offline, 0).await.unwrap();
        assert!(offline.value.is_empty() && offline.from_cache);
        let access_is_there = scene.is(WELL).list(Freshness::Usual, 1).await.unwrap();
        assert_eq!(access_is_there.value.len(), 3);
    }

    #[tokio::test]
    async fn within_its_time_a_listing_is_not_asked_for_again() {
        let scene = Scene::with(12).await;
        let first = scene.list(Freshness::Usual, 0).await.unwrap();
        assert!(!first.from_cache && first.note.is_none());
        assert!(scene.asked() > 0);
        let again = scene.list(Freshness::Usual, 9).await.unwrap();
        assert_eq!((again.from_cache, scene.asked()), (true, 0));
        assert_eq!(again.as_of, first.as_of);
        assert_eq!(names(&again.value), names(&first.value));
        let sorted: Vec<String> = (0..12).map(|n| format!("db{n:04}-staging")).collect();
        assert_eq!(names(&again.value), sorted, "in order");
        assert_eq!(names(&again.value), sorted, "as often as one likes");

        assert!(!scene.list(Freshness::Usual, 11).await.unwrap().from_cache);
        assert!(!scene.list(Freshness::Refresh, 11).await.unwrap().from_cache);
        // Kept while the clock was wrong: of the future.
        assert!(!scene.list(Freshness::Usual, 0).await.unwrap().from_cache);
    }

    #[tokio::test]
    async fn an_old_answer_is_used_when_backstage_is_down_but_not_when_it_says_no() {
        let scene = Scene::with(3).await;
        assert!(scene.is(DOWN).list(Freshness::Usual, 0).await.is_err());
        scene.is(WELL).list(Freshness::Usual, 0).await.unwrap();
        let old = scene.is(DOWN).list(Freshness::Usual, 185).await.unwrap();
        assert_eq!((old.from_cache, old.value.len()), (true, 3));
        assert!(old.note.unwrap().contains("3 h ago"));
        let error = scene.list(Freshness::Refresh, 185).await.unwrap_err();
        assert!(
            error
                .next_steps()
                .iter()
                .any(|hint| hint.contains("--offline"))
        );
        let error = scene
            .is(DENIED)
            .list(Freshness::Usual, 185)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
    }

    #[tokio::test]
    async fn offline_asks_nobody() {
        let scene = Scene::with(3).await;
        let error = scene.list(Freshness::Offline, 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        scene.list(Freshness::Usual, 0).await.unwrap();
        scene.asked();
        let kept = scene.list(Freshness::Offline, 60 * 24 * 9).await.unwrap();
        assert_eq!((kept.value.len(), scene.asked()), (3, 0));
        assert!(kept.note.unwrap().contains("9 days ago"));
        // A name that was only listed is known, too.
        let directory = scene.directory(Freshness::Offline, 60);
        let options = FindOptions::default();
        let found = directory.find("DB0001-staging", &options).await.unwrap();
        assert_eq!(found.value.len(), 1);
        assert!(directory.find("other", &options).await.is_err());
        assert_eq!(scene.asked(), 0);
    }

    #[tokio::test]
    async fn nothing_does_not_replace_much_without_a_word() {
        let scene = Scene::with(500).await;
        scene.list(Freshness::Usual, 0).await.unwrap();
        scene.is(EMPTY);
        for minutes in [11, 22] {
            let kept = scene.list(Freshness::Usual, minutes).await.unwrap();
            assert_eq!((kept.value.len(), kept.from_cache), (500, true));
            assert!(kept.note.unwrap().contains("no databases now"));
        }
        let kept = scene.list(Freshness::Refresh, 30).await.unwrap();
        assert_eq!(kept.value.len(), 500, "once may be an accident");
        assert!(kept.note.unwrap().contains("once more"));
        let empty = scene.list(Freshness::Refresh, 30).await.unwrap();
        assert_eq!((empty.value.len(), empty.from_cache), (0, false));
        // Empty is an answer like any other from now on.
        let empty = scene.list(Freshness::Usual, 31).await.unwrap();
        assert_eq!((empty.value.len(), empty.note), (0, None));
        // Two in a row: a full one between them begins anew.
        scene.is(WELL).list(Freshness::Refresh, 40).await.unwrap();
        let kept = scene.is(EMPTY).list(Freshness::Refresh, 41).await.unwrap();
        assert_eq!(kept.value.len(), 500);
    }

    #[tokio::test]
    async fn what_a_name_stands_for_is_known_for_a_while() {
        let scene = Scene::with(3).await;
        let options = FindOptions::default();
        let find = |freshness, minutes, name: &'static str| {
            let directory = scene.directory(freshness, minutes);
            let options = options.clone();
            async move { directory.find(name, &options).await }
        };
        find(Freshness::Usual, 0, "db0001-staging").await.unwrap();
        scene.asked();
        let again = find(Freshness::Usual, 5, "db0001-staging").await.unwrap();
        assert_eq!((again.from_cache, scene.asked()), (true, 0));
        for _ in 0..2 {
            let error = find(Freshness::Usual, 5, "nothing").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(scene.asked() > 0, "that nothing was found is not kept");
        }
        scene.is(DOWN);
        let old = find(Freshness::Usual, 60, "db0001-staging").await.unwrap();
        assert!(old.note.unwrap().contains("1 h ago"));
        let error = find(Freshness::Usual, 60, "nothing").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn another_person_knows_nothing_of_it() {
        let scene = Scene::with(3).await;
        scene.list(Freshness::Usual, 0).await.unwrap();
        let keeping = keeping(scene.cache.path(), "eve", SignedDuration::ZERO);
        let client = client(&scene.server, NoBearer);
        let eve = Directory::new(client, keeping, Freshness::Offline);
        assert!(eve.databases(&Selection::default()).await.is_err());
        let other = Selection {
            owners: Some(vec![EntityRef::new("group", "default", "payments")]),
            system: None,
        };
        let ada = scene.directory(Freshness::Offline, 0);
        assert!(ada.databases(&other).await.is_err(), "another selection");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn without_a_cache_directory_it_works_all_the_same() {
        let scene = Scene::with(3).await;
        std::fs::write(scene.cache.path().join("catalog"), "in the way").unwrap();
        let listed = scene.list(Freshness::Usual, 0).await.unwrap();
        assert_eq!(listed.value.len(), 3);
        assert!(listed.note.unwrap().contains("cannot be kept"));
        assert_eq!(names(&listed.value).len(), 3);
        let directory = scene.directory(Freshness::Usual, 0);
        let options = FindOptions::default();
        let found = directory.find("db0001-staging", &options).await.unwrap();
        assert_eq!(found.value.len(), 1);
    }

    #[test]
    fn ages() {
        let then = Timestamp::UNIX_EPOCH;
        for (seconds, expected) in [
            (-5, "0 s ago"),
            (59, "59 s ago"),
            (3_599, "59 min ago"),
            (3 * 3_600, "3 h ago"),
            (49 * 3_600, "2 days ago"),
        ] {
            let now = then + SignedDuration::from_secs(seconds);
            assert_eq!(ago(then, now), expected);
        }
    }
}
