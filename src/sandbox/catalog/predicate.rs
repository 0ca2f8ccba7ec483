//! The `query` of POST requests: predicates as `packages/filter-predicates` has them, answered from the search index.

use serde_json::{Map, Value};

use super::search::SearchRow;

/// A predicate that was found to be sound.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Predicate {
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
    /// A key in lower case and what is to hold for it.
    Field(String, Matcher),
}

/// What can be said about one key. Values are in lower case.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matcher {
    Exists(bool),
    In(Vec<String>),
    HasPrefix(String),
    /// For `relations`, whose items are objects: the relation's types, empty for any, and its targets, likewise.
    Relation {
        types: Vec<String>,
        targets: Vec<String>,
    },
}

impl Predicate {
    /// Reads the top level, which must be an object.
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        let invalid = |what: String| format!("Invalid query: Validation error: {what}");
        match value {
            Value::Object(object) => parse_object(object).map_err(invalid),
            _ => Err(invalid("Expected object at root".to_owned())),
        }
    }

    /// Whether an entity with these rows satisfies it.
    pub(super) fn matches(&self, rows: &[SearchRow]) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(rows)),
            Self::Any(any) => any.iter().any(|one| one.matches(rows)),
            Self::Not(one) => !one.matches(rows),
            Self::Field(key, matcher) => matcher.matches(key, rows),
        }
    }
}

impl Matcher {
    fn matches(&self, key: &str, rows: &[SearchRow]) -> bool {
        let mut values = rows
            .iter()
            .filter(|row| *row.key == *key)
            .map(|row| row.value.as_deref());
        match self {
            Self::Exists(expected) => values.next().is_some() == *expected,
            Self::In(wanted) => values
                .flatten()
                .any(|value| wanted.iter().any(|one| one == value)),
            Self::HasPrefix(prefix) => values.flatten().any(|value| value.starts_with(prefix)),
            Self::Relation { types, targets } => rows.iter().any(|row| {
                let Some(name) = row.key.strip_prefix("relations.") else {
                    return false;
                };
                let target = row.value.as_deref().unwrap_or_default();
                (types.is_empty() || types.iter().any(|one| one == name))
                    && (targets.is_empty() || targets.iter().any(|one| one == target))
            }),
        }
    }
}

fn parse_object(object: &Map<String, Value>) -> Result<Predicate, String> {
    if let Some((name, operand)) = object.iter().find(|(key, _)| key.starts_with('$')) {
        if object.len() > 1 {
            return Err(format!(
                "Operator '{name}' must be the only key of its object"
            ));
        }
        return match name.as_str() {
            "$all" => Ok(Predicate::All(parse_list(name, operand)?)),
            "$any" => Ok(Predicate::Any(parse_list(name, operand)?)),
            "$not" => match operand {
                Value::Object(inner) => Ok(Predicate::Not(Box::new(parse_object(inner)?))),
                _ => Err("Expected object at '$not'".to_owned()),
            },
            _ => Err(format!("Unknown operator '{name}'")),
        };
    }
    object
        .iter()
        .map(|(key, value)| {
            let key = key.to_lowercase();
            let matcher = parse_matcher(&key, value)?;
            Ok(Predicate::Field(key, matcher))
        })
        .collect::<Result<_, String>>()
        .map(Predicate::All)
}

fn parse_list(name: &str, operand: &Value) -> Result<Vec<Predicate>, String> {
    operand
        .as_array()
        .ok_or_else(|| format!("Expected array at '{name}'"))?
        .iter()
        .map(|item| match item {
            Value::Object(object) => parse_object(object),
            _ => Err(format!("Expected object in '{name}'")),
        })
        .collect()
}

fn parse_matcher(key: &str, value: &Value) -> Result<Matcher, String> {
    let Value::Object(object) = value else {
        return Ok(Matcher::In(vec![primitive(key, value)?]));
    };
    let mut operators = object.iter();
    let (Some((name, operand)), None) = (operators.next(), operators.next()) else {
        return Err(format!("Expected exactly one operator at '{key}'"));
    };
    match (name.as_str(), operand) {
        ("$exists", Value::Bool(expected)) => Ok(Matcher::Exists(*expected)),
        ("$in", Value::Array(_)) => Ok(Matcher::In(primitives(key, operand)?)),
        ("$hasPrefix", Value::String(prefix)) => Ok(Matcher::HasPrefix(prefix.to_lowercase())),
        ("$contains", Value::Object(inner)) if key == "relations" => parse_relation(inner),
        ("$contains", Value::Object(_)) => Err(format!(
            "'$contains' with an object is only supported at 'relations', not at '{key}'"
        )),
        // An array has one row for each of its items.
        ("$contains", scalar) => Ok(Matcher::In(vec![primitive(key, scalar)?])),
        _ => Err(format!("Invalid operator '{name}' at '{key}'")),
    }
}

fn parse_relation(object: &Map<String, Value>) -> Result<Matcher, String> {
    let mut types = Vec::new();
    let mut targets = Vec::new();
    for (key, value) in object {
        let values = match value {
            Value::Object(inner) if inner.len() == 1 && inner.contains_key("$in") => {
                primitives(key, &inner["$in"])?
            }
            scalar => vec![primitive(key, scalar)?],
        };
        match key.to_lowercase().as_str() {
            "type" => types = values,
            "targetref" => targets = values,
            _ => return Err(format!("Relations have no '{key}'")),
        }
    }
    Ok(Matcher::Relation { types, targets })
}

fn primitives(key: &str, value: &Value) -> Result<Vec<String>, String> {
    value
        .as_array()
        .ok_or_else(|| format!("Expected array at '{key}'"))?
        .iter()
        .map(|item| primitive(key, item))
        .collect()
}

fn primitive(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.to_lowercase()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err(format!("Expected string, number or boolean at '{key}'")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(query: &Value) -> bool {
        let rows = SearchRow::all(&json!({
            "kind": "Resource",
            "metadata": {
                "name": "payments-staging", "namespace": "default",
                "labels": { "environment": "staging" }, "tags": ["sql", "a,b"],
            },
            "spec": { "type": "database" },
            "relations": [
                { "type": "ownedBy", "targetRef": "group:default/payments" },
                { "type": "partOf", "targetRef": "system:default/checkout" },
            ],
        }));
        Predicate::parse(query).unwrap().matches(&rows)
    }

    #[test]
    fn operators() {
        for (query, expected) in [
            (json!({}), true),
            (json!({ "kind": "resource", "spec.type": "DATABASE" }), true),
            (json!({ "kind": "resource", "spec.type": "bucket" }), false),
            (
                json!({ "spec.type": { "$in": ["bucket", "Database"] } }),
                true,
            ),
            (json!({ "spec.type": { "$in": [] } }), false),
            (
                json!({ "$all": [{ "kind": "Resource" }, { "spec.type": "database" }] }),
                true,
            ),
            (
                json!({ "$any": [{ "kind": "User" }, { "metadata.name": { "$hasPrefix": "Payments-" } }] }),
                true,
            ),
            (json!({ "$any": [] }), false),
            (
                json!({ "$not": { "metadata.namespace": "default" } }),
                false,
            ),
            (
                json!({ "metadata.labels.environment": { "$exists": true } }),
                true,
            ),
            (json!({ "metadata.title": { "$exists": true } }), false),
            (json!({ "metadata.title": { "$exists": false } }), true),
            (json!({ "metadata.tags": { "$contains": "SQL" } }), true),
            (json!({ "metadata.tags": { "$contains": "a,b" } }), true),
            (json!({ "metadata.tags": { "$contains": "nosql" } }), false),
            (
                json!({ "relations.ownedBy": { "$in": ["group:default/payments"] } }),
                true,
            ),
            (
                json!({ "relations": { "$contains": { "type": "ownedBy", "targetRef": { "$in": ["group:default/payments"] } } } }),
                true,
            ),
            (
                json!({ "relations": { "$contains": { "type": "ownedBy", "targetRef": "system:default/checkout" } } }),
                false,
            ),
            (
                json!({ "relations": { "$contains": { "targetRef": "system:default/checkout" } } }),
                true,
            ),
        ] {
            assert_eq!(matches(&query), expected, "{query}");
        }
    }

    #[test]
    fn unsound_queries_are_refused() {
        for query in [
            json!([]),
            json!("kind=resource"),
            json!({ "$bogus": 1 }),
            json!({ "$all": {} }),
            json!({ "$all": ["x"] }),
            json!({ "$not": { "kind": "a" }, "kind": "b" }),
            json!({ "kind": ["a"] }),
            json!({ "kind": null }),
            json!({ "kind": { "$in": "a" } }),
            json!({ "kind": { "$exists": "yes" } }),
            json!({ "kind": { "$in": ["a"], "$exists": true } }),
            json!({ "metadata.links": { "$contains": { "url": "x" } } }),
            json!({ "relations": { "$contains": { "target": "x" } } }),
        ] {
            let error = Predicate::parse(&query).unwrap_err();
            assert!(
                error.starts_with("Invalid query: Validation error: "),
                "{query}: {error}"
            );
        }
    }
}
