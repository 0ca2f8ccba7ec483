//! The search index: an entity as rows of key and value, both in lower case.
//!
//! As `buildEntitySearch.ts` (plugins/catalog-backend) makes them. Filters, facets, ordering and full text see nothing else.

use std::sync::Arc;

use serde_json::Value;

/// Longer keys are left out, longer values are kept as null: they exist but equal nothing.
const LONGEST: usize = 200;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SearchRow {
    /// A dotted path in lower case.
    pub(super) key: Arc<str>,
    /// The value in lower case.
    pub(super) value: Option<Box<str>>,
    /// The value as it was, where that is something else.
    spelling: Option<Box<str>>,
}

impl SearchRow {
    /// The value as it was, for facets.
    pub(super) fn original(&self) -> Option<&str> {
        self.spelling.as_deref().or(self.value.as_deref())
    }

    /// The rows of a whole entity.
    pub(super) fn all(entity: &Value) -> Vec<Self> {
        let mut rows = Vec::new();
        visit(&mut rows, "", entity);
        for path in ["name", "namespace", "uid"] {
            push(
                &mut rows,
                &format!("metadata.{path}"),
                &entity["metadata"][path],
            );
        }
        for relation in entity["relations"].as_array().into_iter().flatten() {
            if let Some(name) = relation["type"].as_str() {
                push(
                    &mut rows,
                    &format!("relations.{name}"),
                    &relation["targetRef"],
                );
            }
        }
        rows
    }
}

fn visit(rows: &mut Vec<SearchRow>, path: &str, value: &Value) {
    match path {
        // These have rows of their own kind, or none.
        "attachments" | "relations" | "status" | "metadata.name" | "metadata.namespace"
        | "metadata.uid" | "metadata.etag" => {}
        _ => match value {
            Value::Array(items) => {
                for item in items {
                    visit(rows, path, item);
                    if let Value::String(item) = item {
                        let path = format!("{path}.{item}");
                        let seen = rows.iter().any(|row| *row.key == *path.to_lowercase());
                        if !seen {
                            push(rows, &path, &Value::Bool(true));
                        }
                    }
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    visit(rows, &path, value);
                }
            }
            scalar => push(rows, path, scalar),
        },
    }
}

fn push(rows: &mut Vec<SearchRow>, path: &str, value: &Value) {
    if path.chars().count() > LONGEST {
        return;
    }
    let original = match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
    .filter(|text| text.chars().count() <= LONGEST);
    let value = original.as_deref().map(str::to_lowercase);
    let spelling = original.filter(|original| value.as_ref() != Some(original));
    rows.push(SearchRow {
        key: path.to_lowercase().into(),
        value: value.map(Into::into),
        spelling: spelling.map(Into::into),
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(entity: &Value) -> Vec<(String, Option<String>)> {
        SearchRow::all(entity)
            .into_iter()
            .map(|row| (row.key.to_string(), row.value.map(String::from)))
            .collect()
    }

    #[test]
    fn paths_arrays_relations_and_long_values() {
        let long = "x".repeat(201);
        let rows = rows(&json!({
            "kind": "Resource",
            "metadata": {
                "name": "DB", "namespace": "default", "uid": "U", "etag": "e",
                "annotations": { "bsql.dev/Database": "Pay", "long": long },
                "tags": ["SQL", "sql"],
                "links": [{ "url": "https://a" }, { "url": "https://b" }],
            },
            "spec": { "size": 3, "public": false },
            "relations": [{ "type": "ownedBy", "targetRef": "group:default/a" }],
        }));
        let has = |key: &str, value: Option<&str>| {
            rows.iter()
                .filter(|(k, v)| k == key && v.as_deref() == value)
                .count()
        };
        assert_eq!(has("kind", Some("resource")), 1);
        assert_eq!(has("metadata.name", Some("db")), 1);
        assert_eq!(has("metadata.uid", Some("u")), 1);
        assert_eq!(
            has("metadata.annotations.bsql.dev/database", Some("pay")),
            1
        );
        assert_eq!(has("metadata.annotations.long", None), 1);
        assert_eq!(has("metadata.tags", Some("sql")), 2);
        assert_eq!(has("metadata.tags.sql", Some("true")), 1);
        assert_eq!(has("metadata.links.url", Some("https://b")), 1);
        assert_eq!(has("spec.size", Some("3")), 1);
        assert_eq!(has("spec.public", Some("false")), 1);
        assert_eq!(has("relations.ownedby", Some("group:default/a")), 1);
        assert!(!rows.iter().any(|(key, _)| key == "metadata.etag"));
    }
}
