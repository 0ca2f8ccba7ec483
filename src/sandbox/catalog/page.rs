//! Queries and their pages: which entities, in what order, from where to where.
//!
//! A cursor holds the whole query and a position, so it needs no memory on this side and is stable while entities come and
//! go. `limit` and `fields` are not in it: who forgets to send them again gets pages of [`DEFAULT_LIMIT`] full entities.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entity::Entity;
use super::filter::Filter;
use super::predicate::Predicate;
use super::view::View;

/// As many entities as a page has when nobody says.
pub(super) const DEFAULT_LIMIT: usize = 20;

/// What is asked for. This is what a cursor keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    #[serde(default, skip_serializing_if = "Filter::is_empty")]
    pub(super) filter: Filter,
    /// The `query` of a POST request, as it came.
    #[serde(rename = "query", default, skip_serializing_if = "Option::is_none")]
    pub(super) predicate: Option<Value>,
    #[serde(default)]
    pub(super) order_fields: Vec<OrderField>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) full_text_filter: Option<FullText>,
}

/// Only the first one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrderField {
    pub(super) field: String,
    pub(super) order: Order,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    #[default]
    Asc,
    Desc,
}

/// A term to find in fields. `%` and `_` in it are wildcards, because Backstage hands it to SQL's `LIKE` as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FullText {
    pub(super) term: String,
    #[serde(default)]
    pub(super) fields: Option<Vec<String>>,
}

/// A place between two entities, and the query it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cursor {
    /// Whether the page before the place is wanted, not the one after.
    is_previous: bool,
    #[serde(flatten)]
    query: Query,
    /// The order field's value, if there is one, and the uid of the entity at the place.
    order_field_values: (Option<String>, String),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_items: Option<usize>,
    /// How many pages came before, for the fault that breaks one of them; Backstage has no such thing.
    #[serde(default)]
    pages: usize,
}

/// Where a page begins.
#[derive(Debug)]
pub(super) enum Start {
    /// At the beginning of a query, or some entities later.
    Query { query: Query, offset: usize },
    /// Where a cursor says.
    Cursor(Box<Cursor>),
}

/// A page.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) entities: Vec<&'a Entity>,
    pub(super) total: usize,
    pub(super) next: Option<String>,
    pub(super) previous: Option<String>,
    /// Counted from 1, in the order in which they were asked for.
    pub(super) number: usize,
}

impl Cursor {
    /// Reads what [`encode`](Self::encode) wrote.
    pub(super) fn decode(text: &str) -> Result<Self, String> {
        let malformed = |why: String| format!("Malformed cursor: {why}");
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| malformed(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))
    }

    /// Whether the page after the place is wanted, in the order of uids, with a count that is known.
    fn walks_on(&self) -> bool {
        !self.is_previous && self.query.order_fields.is_empty() && self.total_items.is_some()
    }

    fn encode(&self) -> String {
        STANDARD.encode(serde_json::to_string(self).expect("a cursor has only string keys"))
    }
}

/// An entity and its place in the order.
type Placed<'a> = ((Option<String>, &'a str), &'a Entity);

impl Query {
    /// Which of the entities are asked for, with their places.
    fn select<'a>(
        &self,
        entities: impl Iterator<Item = &'a Entity>,
    ) -> Result<impl Iterator<Item = Placed<'a>>, String> {
        let predicate = self.predicate.as_ref().map(Predicate::parse).transpose()?;
        let order = self.order_fields.first();
        Ok(entities
            .filter(|entity| self.filter.matches(&entity.rows))
            .filter(move |entity| {
                predicate
                    .as_ref()
                    .is_none_or(|one| one.matches(&entity.rows))
            })
            .filter(|entity| self.contains_term(entity))
            .filter_map(move |entity| {
                let value = match order {
                    // Entities without the field are left out, since Backstage 1.51.
                    Some(order) => Some(value_of(entity, &order.field)?),
                    None => None,
                };
                Some(((value, entity.uid.as_str()), entity))
            }))
    }

    /// The entities that are asked for, in order.
    fn run<'a>(&self, view: View<'a>) -> Result<Vec<Placed<'a>>, String> {
        let mut found: Vec<Placed<'a>> = self.select(view.iter())?.collect();
        let order = self.order_fields.first();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        if order.is_some_and(|order| order.order == Order::Desc) {
            found.reverse();
        }
        Ok(found)
    }

    fn contains_term(&self, entity: &Entity) -> bool {
        let Some(FullText { term, fields }) = &self.full_text_filter else {
            return true;
        };
        let pattern = format!("%{}%", term.trim().to_lowercase());
        let default = self
            .order_fields
            .first()
            .map_or("metadata.uid", |order| order.field.as_str());
        let fields: Vec<String> = match fields.as_deref() {
            None | Some([]) => vec![default.to_lowercase()],
            Some(fields) => fields.iter().map(|field| field.to_lowercase()).collect(),
        };
        entity
            .rows
            .iter()
            .filter(|row| fields.iter().any(|field| **field == *row.key))
            .filter_map(|row| row.value.as_deref())
            .any(|value| like(value, &pattern))
    }
}

/// The page of what `view` shows that begins at `start`.
pub(super) fn page(view: View<'_>, start: Start, limit: usize) -> Result<Page<'_>, String> {
    let (query, offset, cursor) = match start {
        Start::Query { query, offset } => (query, offset, None),
        Start::Cursor(cursor) if cursor.walks_on() => return next_page(view, *cursor, limit),
        Start::Cursor(cursor) => (cursor.query.clone(), 0, Some(cursor)),
    };
    let found = query.run(view)?;
    let number = 1 + cursor.as_ref().map_or(0, |cursor| cursor.pages);
    let total = cursor
        .as_ref()
        .and_then(|cursor| cursor.total_items)
        .unwrap_or(found.len());
    let descending = query
        .order_fields
        .first()
        .is_some_and(|order| order.order == Order::Desc);
    let range = match &cursor {
        None => offset.min(found.len())..offset.saturating_add(limit).min(found.len()),
        Some(cursor) => {
            let (value, uid) = &cursor.order_field_values;
            let place = (value.clone(), uid.as_str());
            let precedes = |one: &(Option<String>, &str)| {
                if descending {
                    *one > place
                } else {
                    *one < place
                }
            };
            let at = found.partition_point(|(one, _)| precedes(one));
            if cursor.is_previous {
                at.saturating_sub(limit)..at
            } else {
                let after = at + usize::from(found.get(at).is_some_and(|(one, _)| *one == place));
                after..after.saturating_add(limit).min(found.len())
            }
        }
    };
    let to = |index: usize, is_previous: bool| {
        let ((value, uid), _) = &found[index];
        Cursor {
            is_previous,
            query: query.clone(),
            order_field_values: (value.clone(), (*uid).to_owned()),
            total_items: Some(total),
            pages: number,
        }
        .encode()
    };
    let something = !range.is_empty();
    Ok(Page {
        next: (something && range.end < found.len()).then(|| to(range.end - 1, false)),
        // The first answer has no page before it, even if it begins somewhere else than at the beginning.
        previous: (something && range.start > 0 && cursor.is_some()).then(|| to(range.start, true)),
        entities: found[range].iter().map(|(_, entity)| *entity).collect(),
        total,
        number,
    })
}

/// The next page of a listing in no order of its own: looks no further than the page, or who reads 100,000 entities to
/// the end would wait for each of them as often as there are pages.
fn next_page(view: View<'_>, cursor: Cursor, limit: usize) -> Result<Page<'_>, String> {
    let (_, last) = &cursor.order_field_values;
    let mut entities: Vec<&Entity> = cursor
        .query
        .select(view.after(last))?
        .map(|(_, entity)| entity)
        .take(limit.saturating_add(1))
        .collect();
    let more = entities.len() > limit;
    entities.truncate(limit);
    let number = cursor.pages + 1;
    let to = |entity: &Entity, is_previous: bool| {
        Cursor {
            is_previous,
            order_field_values: (None, entity.uid.clone()),
            pages: number,
            ..cursor.clone()
        }
        .encode()
    };
    let (first, last) = (entities.first(), entities.last());
    Ok(Page {
        next: last.filter(|_| more).map(|last| to(last, false)),
        previous: first.map(|first| to(first, true)),
        total: cursor.total_items.unwrap_or_default(),
        number,
        entities,
    })
}

fn value_of(entity: &Entity, field: &str) -> Option<String> {
    let key = field.to_lowercase();
    entity
        .rows
        .iter()
        .find(|row| *row.key == *key)
        .map(|row| row.value.as_deref().unwrap_or_default().to_owned())
}

/// SQL's `LIKE`: `%` is any text, `_` any character.
fn like(text: &str, pattern: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = rest.as_str();
            text.char_indices()
                .map(|(index, _)| index)
                .chain([text.len()])
                .any(|index| like(&text[index..], rest))
        }
        Some(wanted) => {
            let mut text = text.chars();
            text.next()
                .is_some_and(|found| wanted == '_' || wanted == found)
                && like(text.as_str(), rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::catalog::entity::load;
    use crate::sandbox::catalog::view::Entities;

    fn page(entities: &Entities, start: Start, limit: usize) -> Result<Page<'_>, String> {
        super::page(View::new(entities, false, &[]), start, limit)
    }

    fn entities() -> Entities {
        Entities::new(read())
    }

    fn read() -> Vec<Entity> {
        load(
            r#"[
            {"kind": "Resource", "metadata": {"name": "a", "title": "Zed"}, "spec": {"type": "database"}},
            {"kind": "Resource", "metadata": {"name": "b"}, "spec": {"type": "database"}},
            {"kind": "Resource", "metadata": {"name": "c", "title": "Alpha"}, "spec": {"type": "database"}},
            {"kind": "Resource", "metadata": {"name": "d", "title": "mid_50%"}, "spec": {"type": "bucket"}},
            {"kind": "Resource", "metadata": {"name": "e", "title": "mid"}, "spec": {"type": "database"}}
            ]"#,
        )
        .unwrap()
    }

    fn ordered(field: &str, order: Order) -> Query {
        Query {
            order_fields: vec![OrderField {
                field: field.to_owned(),
                order,
            }],
            ..Query::default()
        }
    }

    fn names(page: &Page<'_>) -> String {
        page.entities
            .iter()
            .map(|entity| {
                entity.value()["metadata"]["name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    fn first(query: Query) -> Start {
        Start::Query { query, offset: 0 }
    }

    fn at(cursor: &str) -> Start {
        Start::Cursor(Box::new(Cursor::decode(cursor).unwrap()))
    }

    #[test]
    fn pages_follow_each_other_both_ways() {
        let entities = entities();
        for (order, expected) in [
            (Order::Asc, ["ab", "cd", "e"]),
            (Order::Desc, ["ed", "cb", "a"]),
        ] {
            let one = page(&entities, first(ordered("metadata.name", order)), 2).unwrap();
            assert_eq!((names(&one).as_str(), one.total), (expected[0], 5));
            assert!(one.previous.is_none());
            let two = page(&entities, at(&one.next.unwrap()), 2).unwrap();
            assert_eq!((names(&two).as_str(), two.total), (expected[1], 5));
            let three = page(&entities, at(two.next.as_ref().unwrap()), 2).unwrap();
            assert_eq!(names(&three), expected[2]);
            assert!(three.next.is_none());
            let back = page(&entities, at(&three.previous.unwrap()), 2).unwrap();
            assert_eq!(names(&back), expected[1]);
            let back = page(&entities, at(&back.previous.unwrap()), 2).unwrap();
            assert_eq!(names(&back), expected[0]);
        }
    }

    #[test]
    fn without_an_order_every_entity_comes_once() {
        let entities = entities();
        let mut seen = String::new();
        let mut start = first(Query::default());
        for number in 1.. {
            let page = page(&entities, start, 2).unwrap();
            seen += &names(&page);
            assert_eq!((page.number, page.total), (number, 5));
            assert_eq!(page.previous.is_some(), number > 1);
            match page.next {
                Some(cursor) => start = at(&cursor),
                None => break,
            }
        }
        let mut seen: Vec<char> = seen.chars().collect();
        seen.sort_unstable();
        assert_eq!(seen, ['a', 'b', 'c', 'd', 'e']);
    }

    #[test]
    fn the_cursor_brings_the_query_and_survives_a_lost_entity() {
        let query = Query {
            filter: Filter::parse(["spec.type=database"].into_iter()).unwrap(),
            predicate: Some(serde_json::json!({ "kind": "Resource" })),
            ..ordered("metadata.name", Order::Asc)
        };
        let entities = entities();
        let one = page(&entities, first(query), 2).unwrap();
        assert_eq!((names(&one).as_str(), one.total), ("ab", 4));
        let next = one.next.unwrap();
        let mut left = read();
        left.remove(1);
        let left = Entities::new(left);
        let two = page(&left, at(&next), 2).unwrap();
        assert_eq!(names(&two), "ce");
        assert_eq!(two.total, 4, "not counted again");
    }

    #[test]
    fn entities_without_the_order_field_are_left_out() {
        let found = entities();
        let page = page(&found, first(ordered("metadata.title", Order::Asc)), 9).unwrap();
        assert_eq!((names(&page).as_str(), page.total), ("ceda", 4));
    }

    #[test]
    fn offset_and_limit_zero() {
        let entities = entities();
        let query = ordered("metadata.name", Order::Asc);
        let start = Start::Query {
            query: query.clone(),
            offset: 3,
        };
        assert_eq!(names(&page(&entities, start, 9).unwrap()), "de");
        let start = Start::Query {
            query: query.clone(),
            offset: 9,
        };
        assert_eq!(names(&page(&entities, start, 9).unwrap()), "");
        let count = page(&entities, first(query), 0).unwrap();
        assert_eq!((count.entities.len(), count.total), (0, 5));
        assert!(count.next.is_none());
    }

    #[test]
    fn full_text_is_sqls_like() {
        let entities = entities();
        let found = |term: &str, fields: &[&str]| {
            let query = Query {
                full_text_filter: Some(FullText {
                    term: term.to_owned(),
                    fields: Some(fields.iter().map(ToString::to_string).collect()),
                }),
                ..ordered("metadata.name", Order::Asc)
            };
            names(&page(&entities, first(query), 9).unwrap())
        };
        assert_eq!(found("MID", &["metadata.title"]), "de");
        assert_eq!(found(" a ", &["metadata.name", "metadata.title"]), "ac");
        assert_eq!(found("z_d", &["metadata.title"]), "a");
        assert_eq!(found("m%0", &["metadata.title"]), "d");
        assert_eq!(found("b", &[]), "b", "the order field by default");
        let by_uid = Query {
            full_text_filter: Some(FullText {
                term: "zed".to_owned(),
                fields: None,
            }),
            ..Query::default()
        };
        assert_eq!(names(&page(&entities, first(by_uid), 9).unwrap()), "");
    }

    #[test]
    fn malformed_cursors_are_refused() {
        for text in ["xyz", "", "e30=", &STANDARD.encode("[]"), "bnVsbA=="] {
            let error = Cursor::decode(text).unwrap_err();
            assert!(error.starts_with("Malformed cursor: "), "{text}: {error}");
        }
    }
}
