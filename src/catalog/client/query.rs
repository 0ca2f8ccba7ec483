//! What is asked of `entities/by-query`, in the two ways that the catalog can be told: filters in the URL, which every
//! release knows, and predicates in a body.

use serde_json::{Map, Value, json};
use url::form_urlencoded::byte_serialize;

/// What reading an entity takes. `spec` as a whole would bring what other kinds of resources keep there.
pub(super) const FIELDS: [&str; 5] = ["kind", "metadata", "spec.type", "spec.profile", "relations"];
/// What offering a name takes.
pub(in crate::catalog) const NAME_FIELDS: [&str; 4] = [
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.title",
];
/// Entities per page. The server has no limit of its own; this many are some 500 KB.
const PAGE: usize = 500;
/// How long the filters in a URL may get: Node refuses request heads of 16 KiB, proxies of 8, and the cursor, which holds
/// the filters again, gets a little longer than they are.
const LONGEST_FILTERS: usize = 6_000;
/// How long a predicate may get: Backstage takes bodies up to 100 KiB.
const LONGEST_PREDICATE: usize = 80 * 1024;

/// One thing that must hold for an entity. Backstage compares without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::catalog) enum Condition {
    /// The key is there.
    Exists(String),
    /// The key has one of these values.
    In(String, Vec<String>),
}

impl Condition {
    /// The key has one of these values.
    pub(in crate::catalog) fn any_of(
        key: &str,
        values: impl IntoIterator<Item = impl ToString>,
    ) -> Self {
        let values = values
            .into_iter()
            .map(|value| value.to_string().to_lowercase());
        Self::In(key.to_owned(), values.collect())
    }

    /// In a filter the same key twice means either value.
    fn filter_terms(&self) -> Vec<String> {
        match self {
            Self::Exists(key) => vec![key.clone()],
            Self::In(key, values) => values
                .iter()
                .map(|value| format!("{key}={value}"))
                .collect(),
        }
    }

    fn predicate(&self) -> (String, Value) {
        match self {
            Self::Exists(key) => (key.clone(), json!({ "$exists": true })),
            Self::In(key, values) => match values.as_slice() {
                [value] => (key.clone(), json!(value)),
                values => (key.clone(), json!({ "$in": values })),
            },
        }
    }

    /// Nothing escapes a comma in a filter, and both sides are trimmed.
    fn fits_a_filter(&self) -> bool {
        match self {
            Self::Exists(key) => !key.contains([',', '=']),
            Self::In(key, values) => {
                !key.contains([',', '='])
                    && values
                        .iter()
                        .all(|value| !value.contains(',') && value.trim() == value)
            }
        }
    }
}

/// Entities for which any of `any` holds and all of `also`. A key is in only one place of both: in a filter, the same key
/// twice means either.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Query {
    any: Vec<Vec<Condition>>,
    also: Vec<Condition>,
    /// Text that the name or the title has in it.
    text: Option<String>,
    pub(super) fields: &'static [&'static str],
    pub(super) limit: usize,
    /// Whether the first page will do.
    pub(super) one_page: bool,
}

impl Query {
    pub(in crate::catalog) fn new(any: Vec<Vec<Condition>>) -> Self {
        Self {
            any,
            also: Vec::new(),
            text: None,
            fields: &FIELDS,
            limit: PAGE,
            one_page: false,
        }
    }

    /// Only those for which this holds as well.
    pub(in crate::catalog) fn and(mut self, condition: Condition) -> Self {
        self.also.push(condition);
        self
    }

    /// Only those for which one of these holds as well.
    pub(in crate::catalog) fn and_either(mut self, conditions: &[Condition]) -> Self {
        let with = |all: &Vec<Condition>, one: &Condition| {
            let mut all = all.clone();
            all.push(one.clone());
            all
        };
        let any = self.any.iter();
        self.any = any
            .flat_map(|all| conditions.iter().map(move |one| with(all, one)))
            .collect();
        self
    }

    /// Only those with this text in their name or title.
    pub(in crate::catalog) fn with_text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// Only as much of the first few hundred as it takes to offer their names.
    pub(in crate::catalog) fn names_of_the_first(mut self) -> Self {
        self.fields = &NAME_FIELDS;
        self.one_page = true;
        self
    }

    /// Whether the catalog can be asked this in a URL at all.
    pub(super) fn fits_filters(&self) -> bool {
        let mut conditions = self.any.iter().flatten().chain(&self.also);
        conditions.all(Condition::fits_a_filter)
    }

    /// Whether that URL is one that servers and proxies take.
    pub(super) fn is_short(&self) -> bool {
        self.filters_length() <= LONGEST_FILTERS
    }

    fn filters_length(&self) -> usize {
        let encoded = |filter: &String| {
            byte_serialize(filter.as_bytes())
                .map(str::len)
                .sum::<usize>()
        };
        self.filters()
            .iter()
            .map(|filter| encoded(filter) + "&filter=".len())
            .sum()
    }

    /// How many of `values` there is room for in one request for this query, at least one.
    pub(super) fn room_for(&self, key: &str, values: &[String], in_body: bool) -> usize {
        let (mut length, most, times) = if in_body {
            let predicate = self.predicate().to_string().len();
            // The new condition has a key as well.
            (predicate + key.len() + 64, LONGEST_PREDICATE, 1)
        } else {
            (self.filters_length(), LONGEST_FILTERS, self.any.len())
        };
        let cost = |value: &String| {
            let term = if in_body {
                format!("\"{value}\",")
            } else {
                byte_serialize(format!(",{key}={value}").as_bytes()).collect()
            };
            term.len() * times
        };
        let fitting = values.iter().take_while(|value| {
            length += cost(value);
            length <= most
        });
        fitting.count().max(1).min(values.len())
    }

    /// The `filter` parameters: different keys mean both, the same key twice either, several filters any.
    pub(super) fn filters(&self) -> Vec<String> {
        let also: Vec<String> = self.also.iter().flat_map(Condition::filter_terms).collect();
        self.any
            .iter()
            .map(|all| {
                let mut terms: Vec<String> = all.iter().flat_map(Condition::filter_terms).collect();
                terms.extend_from_slice(&also);
                terms.join(",")
            })
            .collect()
    }

    /// The `query` of a body.
    pub(super) fn predicate(&self) -> Value {
        let all = |conditions: &[Condition]| {
            let object: Map<String, Value> = conditions.iter().map(Condition::predicate).collect();
            Value::Object(object)
        };
        let any: Vec<Value> = self.any.iter().map(|conditions| all(conditions)).collect();
        let any = json!({ "$any": any });
        if self.also.is_empty() {
            return any;
        }
        json!({ "$all": [any, all(&self.also)] })
    }

    /// Text and fields of the full-text filter. The server's own choice of fields would be of no use.
    pub(super) fn text(&self) -> Option<(&str, [&'static str; 2])> {
        let text = self.text.as_deref()?;
        Some((text, ["metadata.name", "metadata.title"]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        let resources = vec![
            Condition::any_of("kind", ["Resource"]),
            Condition::any_of("spec.type", ["CloudSQL", "database"]),
        ];
        let marked = vec![Condition::Exists("metadata.annotations.a/b".to_owned())];
        Query::new(vec![resources, marked])
    }

    #[test]
    fn in_two_ways() {
        let used_by = Condition::any_of("relations.dependencyOf", ["component:default/a"]);
        let part_of = Condition::any_of("relations.partOf", ["system:default/s"]);
        let owned = Condition::any_of("relations.ownedBy", ["user:default/x", "group:default/y"]);
        let owners = "relations.ownedBy=user:default/x,relations.ownedBy=group:default/y";
        let owned_query = query().and(owned);
        assert_eq!(
            owned_query.filters(),
            [
                format!("kind=resource,spec.type=cloudsql,spec.type=database,{owners}"),
                format!("metadata.annotations.a/b,{owners}"),
            ]
        );
        assert_eq!(
            owned_query.predicate(),
            json!({ "$all": [
                { "$any": [
                    { "kind": "resource", "spec.type": { "$in": ["cloudsql", "database"] } },
                    { "metadata.annotations.a/b": { "$exists": true } },
                ] },
                { "relations.ownedBy": { "$in": ["user:default/x", "group:default/y"] } },
            ] })
        );
        assert_eq!(
            query().predicate(),
            json!({ "$any": [
                { "kind": "resource", "spec.type": { "$in": ["cloudsql", "database"] } },
                { "metadata.annotations.a/b": { "$exists": true } },
            ] })
        );
        let either = query().and_either(&[used_by, part_of]).filters();
        assert_eq!(either.len(), 4);
        assert_eq!(
            either[3],
            "metadata.annotations.a/b,relations.partOf=system:default/s"
        );
    }

    #[test]
    fn what_fits_where() {
        let owners: Vec<String> = (0..5_000)
            .map(|nth| format!("group:default/team-{nth}"))
            .collect();
        let key = "relations.ownedBy";
        for in_body in [false, true] {
            let mut rest = owners.as_slice();
            while !rest.is_empty() {
                let room = query().room_for(key, rest, in_body);
                let part = query().and(Condition::any_of(key, &rest[..room]));
                if in_body {
                    assert!(part.predicate().to_string().len() <= LONGEST_PREDICATE);
                } else {
                    assert!(part.is_short());
                }
                assert!(room > 50 || room == rest.len(), "{room}");
                rest = &rest[room..];
            }
        }
        let huge = vec!["x".repeat(200_000)];
        assert_eq!(query().room_for(key, &huge, true), 1, "it gets no smaller");
        for (value, fits) in [("a", true), ("a=b", true), ("a,b", false), (" a", false)] {
            let query = query().and(Condition::any_of(key, [value]));
            assert_eq!(query.fits_filters(), fits, "{value}");
        }
    }
}
