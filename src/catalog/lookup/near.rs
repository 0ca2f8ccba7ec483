//! Names that somebody may have meant. Only to help: nothing is opened by them.

use std::collections::BTreeMap;

use nucleo_matcher::pattern::{Atom, AtomKind, CaseMatching, Normalization};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::super::client::{BearerSource, CatalogClient};
use super::super::entity::{Entity, EntityRef};
use crate::error::Result;

/// How alike names must be to be offered, from 0 to 1 (Jaro-Winkler): lets through one or two wrong letters.
const ALIKE: f64 = 0.85;
/// Names that have the letters in this order are less alike than those that differ in one or two.
const IN_ORDER: f64 = 0.5;
/// More names than this help nobody.
const MOST_OFFERED: usize = 3;
/// How many of the first letters are taken for right.
const FIRST_LETTERS: usize = 3;

/// The databases whose names or titles are most like `name`, best first.
pub(super) async fn near_names<B: BearerSource>(
    client: &CatalogClient<B>,
    name: &str,
) -> Result<Vec<EntityRef>> {
    let first: String = name
        .chars()
        .take_while(|c| c.is_alphanumeric())
        .take(FIRST_LETTERS)
        .collect();
    if !first.is_empty() {
        let query = client.database_query().with_text(&first);
        let near = rank(name, &client.by_query(query.names_of_the_first()).await?);
        if !near.is_empty() {
            return Ok(near);
        }
    }
    let query = client.database_query().names_of_the_first();
    Ok(rank(name, &client.by_query(query).await?))
}

fn rank(name: &str, known: &[Entity]) -> Vec<EntityRef> {
    let mut likeness = Likeness::to(name);
    let near: BTreeMap<EntityRef, f64> = known
        .iter()
        .filter_map(|entity| Some((entity.entity_ref(), likeness.of(entity)?)))
        .collect();
    let mut near: Vec<(EntityRef, f64)> = near.into_iter().collect();
    near.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    near.truncate(MOST_OFFERED);
    near.into_iter().map(|(entity_ref, _)| entity_ref).collect()
}

struct Likeness {
    name: String,
    letters: Atom,
    matcher: Matcher,
}

impl Likeness {
    fn to(name: &str) -> Self {
        let name = name.to_lowercase();
        Self {
            letters: Atom::new(
                &name,
                CaseMatching::Ignore,
                Normalization::Smart,
                AtomKind::Fuzzy,
                false,
            ),
            matcher: Matcher::new(Config::DEFAULT),
            name,
        }
    }

    /// The better of its name's and its title's; `None` is not alike.
    fn of(&mut self, entity: &Entity) -> Option<f64> {
        let name = entity.metadata.name.to_lowercase();
        let title = entity.title().to_lowercase();
        let of_name = self.of_text(&name);
        let of_title = self.of_text(&title);
        of_name.into_iter().chain(of_title).max_by(f64::total_cmp)
    }

    fn of_text(&mut self, text: &str) -> Option<f64> {
        let alike = strsim::jaro_winkler(&self.name, text);
        if alike >= ALIKE {
            return Some(1.0 + alike);
        }
        // One or two letters are in everything.
        if self.name.chars().count() <= 2 {
            return None;
        }
        let mut buffer = Vec::new();
        let letters = Utf32Str::new(text, &mut buffer);
        let score = self.letters.score(letters, &mut self.matcher)?;
        Some(IN_ORDER + f64::from(score) / f64::from(u16::MAX))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(typed: &str) -> Vec<String> {
        let known: Vec<Entity> = [
            ("payments-staging", ""),
            ("payments-production", ""),
            ("ledger", "Books of 2024"),
            ("payment-staging", ""),
            ("Zürich-orders", ""),
        ]
        .iter()
        .map(|(name, title)| {
            serde_json::from_value(
                json!({ "kind": "Resource", "metadata": { "name": name, "title": title } }),
            )
            .unwrap()
        })
        .collect();
        let near = rank(typed, &known);
        near.into_iter().map(|near| near.name).collect()
    }

    #[test]
    fn near_names_are_few_and_the_best_first() {
        let near = names("payments-stagin");
        assert_eq!(near[..2], ["payments-staging", "payment-staging"]);
        assert!(!near.contains(&"ledger".to_owned()));
        assert_eq!(names("PAYMENTS-STAGNG")[0], "payments-staging");
        assert!(names("paystag").contains(&"payments-staging".to_owned()));
        assert_eq!(names("books of 2023"), ["ledger"], "by its title");
        assert_eq!(names("zürich-order"), ["zürich-orders"]);
        for far in ["qqq", "p", "", "x".repeat(300).as_str()] {
            assert!(names(far).is_empty(), "{far}");
        }
    }
}
