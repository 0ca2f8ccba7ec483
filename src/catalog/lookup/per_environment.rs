//! Components that say themselves where their database is in each environment.

use std::collections::BTreeMap;

use super::super::conventions::{Conventions, PREFIX};
use super::super::entity::Entity;

const INSTANCE: &str = "instance-connection-name";

/// The databases that a component says it has: itself, and one for each environment it has annotations for, such as
/// `bsql.dev/staging.instance-connection-name`.
///
/// Each of them is the component with that environment's annotations in the place of the usual ones, so that whoever reads
/// on needs to know nothing of environments.
pub(super) fn databases_on(component: &Entity, conventions: &Conventions) -> Vec<Entity> {
    let mut environments: BTreeMap<String, BTreeMap<&str, &str>> = BTreeMap::new();
    for key in component.metadata.annotations.keys() {
        let Some((environment, what)) = conventions.of_environment(key) else {
            continue;
        };
        if let Some(value) = component.annotation(key) {
            let said = environments.entry(environment).or_default();
            said.insert(what, value);
        }
    }
    environments.retain(|_, said| said.contains_key(INSTANCE) || said.contains_key("instance"));
    let itself = conventions
        .names_instance(component)
        .then(|| component.clone());
    let each = environments.into_iter().map(|(environment, said)| {
        let mut database = component.clone();
        let metadata = &mut database.metadata;
        // The component's own instance is another one.
        for key in conventions.telling_annotations() {
            metadata.annotations.remove(key);
        }
        for (what, value) in said {
            let key = match conventions.instance_annotations.first() {
                Some(key) if what == INSTANCE => key.clone(),
                _ => format!("{PREFIX}{what}"),
            };
            metadata.annotations.insert(key, value.to_owned());
        }
        conventions.environments.set(metadata, &environment);
        database
    });
    itself.into_iter().chain(each).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn component(annotations: &Value) -> Entity {
        serde_json::from_value(json!({
            "kind": "Component",
            "metadata": {
                "name": "payments", "annotations": annotations, "labels": { "environment": "production" },
            },
            "spec": { "type": "service" },
        }))
        .unwrap()
    }

    fn found(annotations: &Value) -> Vec<(Option<String>, String)> {
        let conventions = Conventions::default();
        databases_on(&component(annotations), &conventions)
            .iter()
            .map(|database| {
                let said = database.annotation("bsql.dev/instance-connection-name");
                (
                    conventions.environments.of(database),
                    said.or(database.annotation("bsql.dev/instance"))
                        .unwrap()
                        .to_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn one_for_each_environment() {
        let some =
            |environment: &str, instance: &str| (Some(environment.to_owned()), instance.to_owned());
        assert_eq!(
            found(&json!({
                "bsql.dev/stg.instance-connection-name": "p:r:stg",
                "bsql.dev/production.instance-connection-name": "p:r:prd",
                "bsql.dev/production.database": "payments",
                "bsql.dev/canary.instance": "i",
                "bsql.dev/dev.database": "no instance",
                "bsql.dev/test.instance-connection-name": " ",
                "bsql.dev/.instance-connection-name": "p:r:nowhere",
            })),
            [
                some("canary", "i"),
                some("production", "p:r:prd"),
                some("staging", "p:r:stg")
            ]
        );
        assert_eq!(
            found(&json!({
                "bsql.dev/instance-connection-name": "p:r:i",
                "bsql.dev/staging.instance-connection-name": "p:r:stg",
            })),
            [some("production", "p:r:i"), some("staging", "p:r:stg")]
        );
        assert!(found(&json!({ "example.com/staging.instance": "i" })).is_empty());
    }
}
