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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::time::Instant;

    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;

    fn owner() -> Owner {
        Owner {
            profile: "acme".to_owned(),
            backstage: "https://backstage.acme.example/".to_owned(),
            issuer: "https://login.acme.example".to_owned(),
            subject: "ada".to_owned(),
        }
    }

    fn entity(kind: &str, namespace: &str, name: &str) -> Entity {
        serde_json::from_value(json!({
            "kind": kind,
            "metadata": { "name": name, "namespace": namespace, "description": "d".repeat(300) },
            "spec": { "type": "database" },
            "relations": [
                { "type": "ownedBy", "targetRef": "group:default/team" },
                { "type": "dependencyOf", "targetRef": "component:default/payments" },
            ],
        }))
        .unwrap()
    }

    fn fill(cache: &Cache, entities: impl IntoIterator<Item = Entity>) -> Listing {
        let conventions = Conventions::default();
        let mut spool = Cache::spool(Some(cache)).unwrap();
        for entity in entities {
            spool.push(&entity, &conventions).unwrap();
        }
        let selection = Selection::default();
        let shelf = cache.shelf(&selection, &conventions);
        let (listing, why_not) = shelf.replace(spool, Clock::system().now()).unwrap();
        assert!(why_not.is_none());
        listing
    }

    fn kept(cache: &Cache) -> Option<Listing> {
        let conventions = Conventions::default();
        let shelf = cache.shelf(&Selection::default(), &conventions);
        shelf.read().map(|kept| kept.listing)
    }

    fn file(dir: &Path, prefix: &str) -> PathBuf {
        let owners = fs::read_dir(dir.join("catalog")).unwrap().flatten();
        let files = owners.flat_map(|owner| fs::read_dir(owner.path()).into_iter().flatten());
        let mut paths = files.map(|file| file.unwrap().path());
        let begins = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(prefix)
        };
        paths.find(begins).unwrap()
    }

    #[test]
    fn what_is_broken_or_foreign_is_not_there_and_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), &owner(), Clock::system());
        assert!(kept(&cache).is_none());
        let entities = || (0..50).map(|n| entity("Resource", "default", &format!("db-{n}")));
        fill(&cache, entities());
        assert_eq!(kept(&cache).unwrap().len(), 50);
        let path = file(dir.path(), "listing-");
        let good = fs::read_to_string(&path).unwrap();
        for bad in [
            good[..good.len() - 10].to_owned(),
            good.replacen("\"format\":1", "\"format\":2", 1),
            good.clone() + "more\n",
            "{}\n".to_owned(),
            String::new(),
            "\u{0}\u{1}".to_owned(),
        ] {
            fs::write(&path, &bad).unwrap();
            assert!(kept(&cache).is_none(), "{}", bad.len());
            fill(&cache, entities());
            assert_eq!(kept(&cache).unwrap().len(), 50);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(kept(&cache).is_none(), "others could read it");
        }
    }

    #[test]
    fn repeats_are_dropped_and_an_open_listing_survives_its_successor() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), &owner(), Clock::system());
        let twice = ["b", "a", "b"].map(|name| entity("Resource", "default", name));
        let listing = fill(&cache, twice);
        fill(&cache, [entity("Resource", "default", "c")]);
        let names = |listing: &Listing| -> Vec<String> {
            let entities = listing.entities().map(|entity| entity.unwrap());
            entities.map(|entity| entity.metadata.name).collect()
        };
        assert_eq!(names(&listing), ["a", "b"]);
        assert_eq!(names(&kept(&cache).unwrap()), ["c"]);
    }

    #[test]
    fn two_at_once_leave_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for n in 0..4 {
                let cache = Cache::new(dir.path(), &owner(), Clock::system());
                scope.spawn(move || {
                    for _ in 0..10 {
                        let entities =
                            (0..=n).map(|m| entity("Resource", "default", &format!("x{m}")));
                        fill(&cache, entities);
                        let listing = kept(&cache).expect("there is always one");
                        assert_eq!(listing.entities().flatten().count(), listing.len());
                    }
                });
            }
        });
    }

    #[test]
    fn what_nobody_uses_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let old = Owner {
            subject: "eve".to_owned(),
            ..owner()
        };
        fill(
            &Cache::new(dir.path(), &old, Clock::system()),
            [entity("Resource", "default", "x")],
        );
        let later = Clock::ahead_by(SignedDuration::from_hours(31 * 24));
        fill(
            &Cache::new(dir.path(), &owner(), later),
            [entity("Resource", "default", "y")],
        );
        let dirs = fs::read_dir(dir.path().join("catalog")).unwrap().count();
        assert_eq!(dirs, 1, "eve's directory is gone");
    }

    #[test]
    fn names_as_they_are_typed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), &owner(), Clock::system());
        cache.note_last_user();
        fill(
            &cache,
            [
                entity("Resource", "default", "payments-staging"),
                entity("Resource", "default", "payments-production"),
                entity("Resource", "default", "$(reboot)"),
                entity("Resource", "default", "zeta"),
                entity("Resource", "a-team", "payments"),
                entity("Resource", "pay-team", "orders"),
                entity("Resource", "zz-team", "zeta"),
                entity("Component", "default", "payments"),
            ],
        );
        let cache = Cache::of_last_user(dir.path(), "acme", Clock::system()).unwrap();
        assert!(Cache::of_last_user(dir.path(), "other", Clock::system()).is_none());
        let typed = |prefix: &str| -> Vec<String> {
            let names = cache.names_starting_with(prefix, 50);
            names.into_iter().map(|name| name.typed).collect()
        };
        for (prefix, expected) in [
            (
                "pay",
                &[
                    "pay-team/orders",
                    "payments",
                    "payments-production",
                    "payments-staging",
                ][..],
            ),
            ("Payments-s", &["payments-staging"]),
            ("payments@", &["payments@production", "payments@staging"]),
            ("payments@s", &["payments@staging"]),
            ("other@", &[]),
            ("z", &["zeta", "zz-team/zeta"]),
            ("a-team/", &["a-team/payments"]),
            ("a", &["a-team/payments"]),
            ("resource:payments-s", &["resource:payments-staging"]),
            ("resource:a", &["resource:a-team/payments"]),
            (
                "resource:default/payments-s",
                &["resource:default/payments-staging"],
            ),
            ("component:", &["component:payments"]),
            ("nothing", &[]),
            ("$", &[]),
        ] {
            assert_eq!(typed(prefix), expected, "{prefix}");
        }
        assert_eq!(typed("").len(), 7);
        assert_eq!(cache.names_starting_with("", 2).len(), 2);
        assert_eq!(cache.names_starting_with("zeta", 1)[0].about, "team");
        assert!(cache.owners().contains("group:default/team"));
    }

    #[test]
    fn a_hundred_thousand_names_are_searched_in_milliseconds() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), &owner(), Clock::system());
        let names = (0..100_000).map(|n| format!("db-{:05}-staging", (n * 7_919) % 100_000));
        let listing = fill(
            &cache,
            names.map(|name| entity("Resource", "default", &name)),
        );
        assert_eq!(listing.len(), 100_000);
        let mut times: Vec<_> = (0..30)
            .map(|n| {
                let prefix = format!("db-{:03}", n * 33);
                let start = Instant::now();
                assert_eq!(cache.names_starting_with(&prefix, 200).len(), 100);
                start.elapsed()
            })
            .collect();
        times.sort();
        // Some 20 probes of 2 KiB. The best of many: the machine may have other things to do.
        assert!(times[0].as_millis() < 5, "{times:?}");
    }
}
