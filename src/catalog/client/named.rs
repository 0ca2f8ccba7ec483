//! Entities whose names are known.

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::entity::{Entity, EntityRef};
use super::super::refusal::Problem;
use super::query::FIELDS;
use super::{BearerSource, CatalogClient, Condition, Query, answered};
use crate::error::Result;

/// References per `by-refs` request and how long they may be together, as in Backstage's own client: the server takes
/// bodies up to 100 KiB.
const REFS_PER_REQUEST: usize = 1_000;
const REFS_LENGTH: usize = 90 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ByRefs<'a> {
    entity_refs: &'a [String],
    fields: [&'static str; 5],
}

#[derive(Deserialize)]
struct ByRefsAnswer {
    items: Vec<Box<RawValue>>,
}

impl<B: BearerSource> CatalogClient<B> {
    /// The entity with this reference.
    pub async fn by_name(&self, entity_ref: &EntityRef) -> Result<Option<Entity>> {
        let EntityRef {
            kind,
            namespace,
            name,
        } = entity_ref;
        let url = self.url(&["entities", "by-name", kind, namespace, name])?;
        let answer = self.ask(self.http.get(url)).await?;
        // Without Backstage's error body the path itself is unknown: then there is no catalog here.
        if answer.status == StatusCode::NOT_FOUND && answer.json::<Problem>().is_ok() {
            return Ok(None);
        }
        self.read(&answer, || format!("entity `{entity_ref}`"))
            .map(Some)
    }

    /// The entities with these references, in the same order; `None` where there is none, it is not visible, or it cannot
    /// be read.
    pub async fn by_refs(&self, entity_refs: &[EntityRef]) -> Result<Vec<Option<Entity>>> {
        const PLACE: &str = "the entities asked for";
        let url = self.url(&["entities", "by-refs"])?;
        let texts: Vec<String> = entity_refs.iter().map(ToString::to_string).collect();
        let mut entities = Vec::with_capacity(entity_refs.len());
        for chunk in chunks(&texts, REFS_PER_REQUEST, REFS_LENGTH) {
            let body = ByRefs {
                entity_refs: chunk,
                fields: FIELDS,
            };
            let answer = self.ask(self.http.post(url.clone()).json(&body)).await?;
            let found: ByRefsAnswer = self.read(&answer, || PLACE.to_owned())?;
            if found.items.len() != chunk.len() {
                return Err(self.unreadable(
                    || PLACE.to_owned(),
                    anyhow::anyhow!(
                        "{} answers for {} references",
                        found.items.len(),
                        chunk.len()
                    ),
                ));
            }
            let items = found.items.iter();
            entities.extend(items.map(|raw| answered::entity(raw, PLACE)));
        }
        Ok(entities)
    }

    /// The Resources and Components called `name`, in any namespace.
    pub async fn named(&self, name: &str) -> Result<Vec<Entity>> {
        self.resources_and_components(&[name.to_owned()], None)
            .await
    }

    /// The Resources and Components with any of these names, in one namespace or in all of them.
    pub(in crate::catalog) async fn resources_and_components(
        &self,
        names: &[String],
        namespace: Option<&str>,
    ) -> Result<Vec<Entity>> {
        let mut conditions = vec![
            Condition::any_of("kind", ["resource", "component"]),
            Condition::any_of("metadata.name", names),
        ];
        if let Some(namespace) = namespace {
            conditions.push(Condition::any_of("metadata.namespace", [namespace]));
        }
        self.by_query(Query::new(vec![conditions])).await
    }
}

/// Chunks of at most `most` texts that are at most `longest` together as JSON, but at least one text.
fn chunks(texts: &[String], most: usize, longest: usize) -> Vec<&[String]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut length = 0;
    for (end, text) in texts.iter().enumerate() {
        let more = text.len() + "\"\",".len();
        let full = end - start == most || length + more > longest;
        if full && end > start {
            chunks.push(&texts[start..end]);
            (start, length) = (end, 0);
        }
        length += more;
    }
    if start < texts.len() {
        chunks.push(&texts[start..]);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_everything_once() {
        let texts: Vec<String> = (0..7).map(|nth| nth.to_string().repeat(10)).collect();
        for longest in [0, 1, 13, 27, 1_000] {
            let chunked = chunks(&texts, 50, longest);
            assert_eq!(chunked.concat(), texts, "{longest}");
            assert!(chunked.iter().all(|chunk| !chunk.is_empty()));
        }
        assert_eq!(chunks(&texts, 50, 27).len(), 4);
        assert_eq!(chunks(&vec![String::new(); 120], 50, 1_000).len(), 3);
        assert!(chunks(&[], 50, 10).is_empty());
    }
}
