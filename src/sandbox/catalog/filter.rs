//! The `filter` parameter: comma-separated conditions that must all hold; a key twice means either value; several `filter`s
//! mean either of them.

use serde::{Deserialize, Serialize};

use super::search::SearchRow;

/// All `filter` parameters of a request. An empty one lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Filter(Vec<Vec<Condition>>);

/// A key that must exist, or must have one of the values; both in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Condition {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
}

impl Filter {
    /// Reads the values of all `filter` parameters.
    pub(super) fn parse<'a>(parameters: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut either = Vec::new();
        for parameter in parameters {
            let all = conditions(parameter)?;
            if !all.is_empty() {
                either.push(all);
            }
        }
        Ok(Self(either))
    }

    /// Whether it lets everything through.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an entity with these rows gets through.
    pub(super) fn matches(&self, rows: &[SearchRow]) -> bool {
        let holds = |condition: &Condition| {
            rows.iter()
                .filter(|row| *row.key == *condition.key)
                .any(|row| match &condition.values {
                    None => true,
                    Some(values) => values
                        .iter()
                        .any(|value| row.value.as_deref() == Some(value.as_str())),
                })
        };
        self.is_empty() || self.0.iter().any(|all| all.iter().all(holds))
    }
}

fn conditions(parameter: &str) -> Result<Vec<Condition>, String> {
    let mut all: Vec<Condition> = Vec::new();
    let statements = parameter.split(',').map(str::trim);
    for statement in statements.filter(|statement| !statement.is_empty()) {
        let (key, value) = match statement.split_once('=') {
            Some((key, value)) => (key.trim(), Some(value.trim().to_lowercase())),
            None => (statement, None),
        };
        if key.is_empty() {
            return Err(format!(
                "Invalid filter, '{statement}' is not a valid statement (expected a string on the form a=b or a= or a)"
            ));
        }
        let index = all
            .iter()
            .position(|condition| condition.key == key)
            .unwrap_or_else(|| {
                all.push(Condition {
                    key: key.to_owned(),
                    values: None,
                });
                all.len() - 1
            });
        if let Some(value) = value {
            all[index].values.get_or_insert_default().push(value);
        }
    }
    // Only now: keys that differ in case alone are two conditions.
    for condition in &mut all {
        condition.key = condition.key.to_lowercase();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(filters: &[&str]) -> bool {
        let rows = SearchRow::all(&json!({
            "kind": "Resource",
            "metadata": {
                "name": "payments-staging",
                "namespace": "default",
                "annotations": { "bsql.dev/instance-connection-name": "p:r:i" },
                "tags": ["cloudsql"],
                "title": "",
            },
            "spec": { "type": "database", "owner": "payments" },
            "relations": [
                { "type": "ownedBy", "targetRef": "group:default/payments" },
                { "type": "dependencyOf", "targetRef": "component:default/api" },
            ],
        }));
        Filter::parse(filters.iter().copied())
            .unwrap()
            .matches(&rows)
    }

    #[test]
    fn conditions_are_and_same_keys_are_or_and_filters_are_or() {
        for (filters, expected) in [
            (&[][..], true),
            (&[""], true),
            (&["kind=resource,spec.type=database"], true),
            (&["kind=resource,spec.type=bucket"], false),
            (&["spec.type=bucket,spec.type=database"], true),
            (
                &[
                    "relations.ownedBy=group:default/x,relations.ownedBy=group:default/payments,kind=resource",
                ],
                true,
            ),
            (&["kind=component", "kind=resource"], true),
            (&["kind=component", "kind=user"], false),
        ] {
            assert_eq!(matches(filters), expected, "{filters:?}");
        }
    }

    #[test]
    fn keys_exist_case_does_not_count_and_nothing_is_a_wildcard() {
        for (filter, expected) in [
            (
                "metadata.annotations.bsql.dev/instance-connection-name",
                true,
            ),
            (
                "metadata.annotations.bsql.dev/instance-connection-name=P:R:I",
                true,
            ),
            ("metadata.annotations.bsql.dev/database", false),
            ("KIND=RESOURCE,Metadata.Name=PAYMENTS-STAGING", true),
            (" kind = resource ", true),
            ("metadata.tags.cloudsql", true),
            ("metadata.tags.cloudsql=true", true),
            ("metadata.tags=cloudsql", true),
            ("metadata.name=payments-*", false),
            ("metadata.name=payments", false),
            ("metadata.title=", true),
            ("metadata.name=", false),
            ("relations.dependencyOf=component:default/api", true),
            ("spec.owner=group:default/payments", false),
            // Once with and once without a value is only as good as the value.
            ("spec.type,spec.type=bucket", false),
        ] {
            assert_eq!(matches(&[filter]), expected, "{filter}");
        }
    }

    #[test]
    fn a_value_without_a_key_is_refused() {
        let error = Filter::parse(["kind=x,=y"].into_iter()).unwrap_err();
        assert!(error.starts_with("Invalid filter, '=y' is not a valid statement"));
    }

    #[test]
    fn survives_the_cursor() {
        let filter = Filter::parse(["a=1,a=2,b", "c="].into_iter()).unwrap();
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
    }
}
