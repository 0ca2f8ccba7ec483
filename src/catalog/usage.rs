//! Which databases somebody uses most: how often and when last, in a small file of this machine's own.
//!
//! It only decides what is offered first. It says nothing that the audit log does not, and losing it costs nothing: what
//! cannot be read counts as never used.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entity::EntityRef;
use crate::clock::Clock;
use crate::private_dir;
use crate::private_file;

const FILE: &str = "usage.json";
const VERSION: u32 = 1;
/// What one remembers of each profile. The least used goes first.
const MOST: usize = 200;
/// A larger file is none of ours: this is ten times what is ever written.
const LARGEST: u64 = 1 << 20;
/// After so long a use counts half.
const HALF_LIFE_DAYS: f64 = 14.0;

/// How one database was used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Uses {
    /// How often.
    pub count: u64,
    /// When last.
    pub last: Timestamp,
    /// All uses, each counting less the longer it was ago, as of `last`.
    weight: f64,
}

impl Uses {
    /// How likely it is to be wanted now; for comparing, without a unit.
    ///
    /// Every use counts 1 when it happens and half as much every 14 days after: something used daily last month yields to
    /// what was used daily this week, and one use today does not outweigh a habit.
    pub fn frecency(&self, now: Timestamp) -> f64 {
        self.weight * decay(self.last, now)
    }

    fn once_more(before: Option<&Self>, now: Timestamp) -> Self {
        Self {
            count: before.map_or(0, |before| before.count).saturating_add(1),
            last: now,
            weight: before.map_or(0.0, |before| before.frecency(now)) + 1.0,
        }
    }
}

/// What is left of a use. A clock that was set back makes nothing grow.
fn decay(then: Timestamp, now: Timestamp) -> f64 {
    let days = now.duration_since(then).as_secs_f64() / 86_400.0;
    0.5_f64.powf(days.max(0.0) / HALF_LIFE_DAYS)
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    version: u32,
    profiles: BTreeMap<String, BTreeMap<String, Uses>>,
}

/// How the databases of one profile were used.
#[derive(Debug, Clone)]
pub struct Usage {
    file: PathBuf,
    profile: String,
    clock: Clock,
}

impl Usage {
    /// The file is in `state`, the user's own directory; every profile counts for itself.
    pub fn new(state: &Path, profile: &str, clock: Clock) -> Self {
        Self {
            file: state.join(FILE),
            profile: profile.to_owned(),
            clock,
        }
    }

    /// All that is known, by reference.
    pub fn all(&self) -> BTreeMap<String, Uses> {
        self.read()
            .profiles
            .remove(&self.profile)
            .unwrap_or_default()
    }

    /// Counts one use. That it cannot be written is only logged: it must not keep anybody from their database.
    ///
    /// Two programs that write at the same moment may lose one of the uses; neither sees half a file.
    pub fn record(&self, entity_ref: &EntityRef) {
        if let Err(error) = self.try_record(entity_ref) {
            tracing::debug!(%error, "could not count a use");
        }
    }

    fn try_record(&self, entity_ref: &EntityRef) -> io::Result<()> {
        let mut contents = self.read();
        let uses = contents.profiles.entry(self.profile.clone()).or_default();
        let now = self.clock.now();
        let key = entity_ref.to_string();
        let again = Uses::once_more(uses.get(&key), now);
        uses.insert(key.clone(), again);
        while uses.len() > MOST {
            let least = uses
                .iter()
                .filter(|(other, _)| **other != key)
                .min_by(|(_, a), (_, b)| a.frecency(now).total_cmp(&b.frecency(now)))
                .map(|(least, _)| least.clone());
            let Some(least) = least else { break };
            uses.remove(&least);
        }
        self.write(&contents)
    }

    fn read(&self) -> Contents {
        let size = fs::metadata(&self.file).map_or(0, |file| file.len());
        fs::read(&self.file)
            .ok()
            .filter(|_| size <= LARGEST)
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .filter(|contents: &Contents| contents.version == VERSION)
            .unwrap_or_default()
    }

    fn write(&self, contents: &Contents) -> io::Result<()> {
        let dir = self.file.parent().unwrap_or(Path::new("."));
        private_dir::create(dir)?;
        let contents = Contents {
            version: VERSION,
            profiles: contents.profiles.clone(),
        };
        private_file::replace(&self.file, &serde_json::to_vec(&contents)?)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(days: i64) -> Clock {
        Clock::ahead_by(SignedDuration::from_hours(24 * days))
    }

    fn database(name: &str) -> EntityRef {
        EntityRef::new("resource", "default", name)
    }

    fn order(usage: &Usage, now: Timestamp) -> Vec<String> {
        let mut all: Vec<(String, Uses)> = usage.all().into_iter().collect();
        all.sort_by(|(_, a), (_, b)| b.frecency(now).total_cmp(&a.frecency(now)));
        all.into_iter()
            .map(|(name, _)| name.trim_start_matches("resource:default/").to_owned())
            .collect()
    }

    #[test]
    fn a_use_counts_half_after_two_weeks() {
        let now = at(0).now();
        let once = Uses::once_more(None, now);
        assert_eq!((once.count, once.last), (1, now));
        for (days, expected) in [(0, 1.0), (14, 0.5), (28, 0.25), (-3, 1.0)] {
            let frecency = once.frecency(now + SignedDuration::from_hours(24 * days));
            assert!(
                (frecency - expected).abs() < 1e-9,
                "{days} days: {frecency}"
            );
        }
        let twice = Uses::once_more(Some(&once), now + SignedDuration::from_hours(24 * 14));
        assert_eq!(twice.count, 2);
        assert!((twice.frecency(twice.last) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn habits_outlast_a_single_use_and_fade() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            Usage::new(dir.path(), "acme", at(0)).record(&database("habit"));
        }
        let usage = Usage::new(dir.path(), "acme", at(14));
        usage.record(&database("today"));
        assert_eq!(order(&usage, at(14).now()), ["habit", "today"]);
        for _ in 0..3 {
            Usage::new(dir.path(), "acme", at(30)).record(&database("today"));
        }
        assert_eq!(order(&usage, at(30).now()), ["today", "habit"]);
        assert!(Usage::new(dir.path(), "other", at(0)).all().is_empty());
    }

    #[test]
    fn the_file_stays_small_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        for nth in 0..MOST {
            Usage::new(&state, "acme", at(1)).record(&database(&format!("db-{nth}")));
        }
        Usage::new(&state, "acme", at(0)).record(&database("old"));
        let usage = Usage::new(&state, "acme", at(2));
        usage.record(&database("new"));
        let all = usage.all();
        assert_eq!(all.len(), MOST);
        assert!(all.contains_key("resource:default/new"));
        assert!(!all.contains_key("resource:default/old"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(state.join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let usage = Usage::new(dir.path(), "acme", at(0));
        for text in ["", "{", r#"{"version":2,"profiles":{"acme":{}}}"#, "[]"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert!(usage.all().is_empty(), "{text}");
        }
        usage.record(&database("x"));
        assert_eq!(usage.all().len(), 1);
        fs::write(dir.path().join("file"), "").unwrap();
        Usage::new(&dir.path().join("file"), "acme", at(0)).record(&database("x"));
    }
}
