//! Answers to single questions: what a name stood for, and who a mail address is. A file each, the oldest go.
//!
//! That nothing was found is not kept: whoever mends the catalog wants to see it at once.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::listing::fingerprint_of;
use super::place::{Place, fingerprint};
use crate::catalog::client::Person;
use crate::catalog::conventions::Conventions;
use crate::catalog::entity::Entity;
use crate::catalog::lookup::FindOptions;

/// Counts changes of the format. Files of another one are written anew.
const FORMAT: u32 = 1;
/// Nobody works with more databases than this.
const MOST_LOOKUPS: usize = 500;
const FOUND: &str = "found-";
const PERSON: &str = "person-";
/// What was looked up and found, for completion.
const NAMES: &str = "names";

#[derive(Debug, Serialize, Deserialize)]
struct Answer<T> {
    format: u32,
    as_of: Timestamp,
    /// As asked: names of files are too short to be sure.
    question: Vec<String>,
    value: T,
}

/// An answer as it is kept.
#[derive(Debug)]
pub(in crate::catalog) struct Kept<T> {
    pub(in crate::catalog) as_of: Timestamp,
    pub(in crate::catalog) answer: T,
}

/// One question.
#[derive(Debug)]
pub(in crate::catalog) struct Question<'a> {
    place: &'a Place,
    name: String,
    parts: Vec<String>,
}

impl<'a> Question<'a> {
    /// What `asked` stands for.
    pub(super) fn find(
        place: &'a Place,
        asked: &str,
        options: &FindOptions,
        conventions: &Conventions,
    ) -> Self {
        // All of it: what is left out here would be answered wrongly.
        let FindOptions {
            environment,
            subcomponents,
            system,
        } = options;
        let question = vec![
            asked.to_lowercase(),
            environment.clone().unwrap_or_default(),
            subcomponents.to_string(),
            system.to_string(),
            fingerprint_of(conventions),
        ];
        Self::new(place, FOUND, question)
    }

    /// Who has a mail address.
    pub(super) fn person(place: &'a Place, email: &str, conventions: &Conventions) -> Self {
        let question = vec![email.to_lowercase(), fingerprint_of(conventions)];
        Self::new(place, PERSON, question)
    }

    fn new(place: &'a Place, prefix: &str, question: Vec<String>) -> Self {
        let texts: Vec<&str> = question.iter().map(String::as_str).collect();
        Self {
            place,
            name: format!("{prefix}{}.json", fingerprint(&texts)),
            parts: question,
        }
    }

    /// The kept answer, if there is one that can be used.
    pub(in crate::catalog) fn read<T: DeserializeOwned>(&self) -> Option<Kept<T>> {
        let bytes = self.place.read(&self.name)?;
        let kept: Answer<T> = serde_json::from_slice(&bytes).ok()?;
        if kept.format != FORMAT || kept.question != self.parts {
            return None;
        }
        self.place.note_use(&self.name);
        Some(Kept {
            as_of: kept.as_of,
            answer: kept.value,
        })
    }

    fn write<T: Serialize>(&self, answer: &T, as_of: Timestamp) -> anyhow::Result<()> {
        let answer = Answer {
            format: FORMAT,
            as_of,
            question: self.parts.clone(),
            value: answer,
        };
        Ok(self
            .place
            .write(&self.name, &serde_json::to_vec(&answer)?)?)
    }

    /// Keeps who it is.
    pub(in crate::catalog) fn keep_person(
        &self,
        person: &Person,
        as_of: Timestamp,
    ) -> anyhow::Result<()> {
        self.write(person, as_of)
    }

    /// Keeps what was found, and its names for completion.
    pub(in crate::catalog) fn keep_found(
        &self,
        entities: &[Entity],
        conventions: &Conventions,
        as_of: Timestamp,
    ) -> anyhow::Result<()> {
        self.write(&entities, as_of)?;
        self.place.keep_newest(FOUND, MOST_LOOKUPS);
        let mut names = names(self.place);
        // The last one last, so that the oldest are those that go.
        for entity in entities {
            let entity_ref = entity.entity_ref().to_string();
            names.retain(|name| name.entity_ref != entity_ref);
            names.push(Name {
                entity_ref,
                environment: conventions.environments.of(entity).unwrap_or_default(),
                owner: entity
                    .owner()
                    .map(|owner| owner.to_string())
                    .unwrap_or_default(),
            });
        }
        let from = names.len().saturating_sub(MOST_LOOKUPS);
        Ok(self
            .place
            .write(NAMES, &serde_json::to_vec(&names[from..])?)?)
    }
}

/// A database that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name {
    pub(super) entity_ref: String,
    pub(super) environment: String,
    pub(super) owner: String,
}

/// What was looked up and found, the last one last.
pub(super) fn names(place: &Place) -> Vec<Name> {
    let kept = place.read(NAMES);
    kept.and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// Everything that lookups found and that is still kept, without repeats, and when the newest of it was.
pub(super) fn all_found(place: &Place) -> Vec<Kept<Vec<Entity>>> {
    let files = place.names(FOUND).into_iter();
    let answers = files.filter_map(|name| {
        let answer: Answer<Vec<Entity>> = serde_json::from_slice(&place.read(&name)?).ok()?;
        (answer.format == FORMAT).then_some(Kept {
            as_of: answer.as_of,
            answer: answer.value,
        })
    });
    answers.collect()
}
