//! Databases without end, for who wants to see how things go in a big company: `bsql sandbox up --databases N`.
//!
//! The same number makes the same catalog. Each database stands for the database on one of the sandbox's instances, so all
//! of them can be connected to by who may connect to that one.

use serde_json::{Value, json};

use crate::sandbox::company::{INSTANCES, Instance};

/// The first instances are PostgreSQL's, in pairs: staging, production.
const POSTGRES_PAIRS: usize = 3;
/// What things are called after, in the order of their numbers.
const WORDS: [&str; 16] = [
    "invoices", "parcels", "ratings", "coupons", "returns", "carriers", "tariffs", "baskets",
    "vouchers", "refunds", "stores", "routes", "claims", "loyalty", "pricing", "search",
];
/// How many services a team has, and so half as many databases as it has.
const SERVICES_PER_TEAM: usize = 10;
/// Ada's team owns every so manieth service, so that her own list grows as well.
const EVERY: usize = 100;

/// At least `count` databases: one for staging and one for production of each service, the services, and their teams.
pub(super) fn entities(count: usize) -> Vec<Value> {
    let services = count.div_ceil(2);
    let mut entities = Vec::with_capacity(3 * services + services / SERVICES_PER_TEAM + 1);
    for number in 0..services.div_ceil(SERVICES_PER_TEAM) {
        entities.push(json!({
            "kind": "Group",
            "metadata": { "name": team(number) },
            "spec": { "type": "team", "children": [], "parent": "engineering" },
        }));
    }
    for number in 0..services {
        let name = format!("{}-{number:05}", WORDS[number % WORDS.len()]);
        let owner = if number % EVERY == 0 {
            "payments".to_owned()
        } else {
            team(number / SERVICES_PER_TEAM)
        };
        // They come in pairs: staging, production.
        let pair = &INSTANCES[number % POSTGRES_PAIRS * 2..][..2];
        let mut needs = Vec::new();
        for (environment, instance) in ["staging", "production"].into_iter().zip(pair) {
            needs.push(format!("resource:{name}-{environment}"));
            entities.push(database(&name, environment, &owner, instance));
        }
        entities.push(json!({
            "kind": "Component",
            "metadata": { "name": name, "description": format!("Generated service {number}") },
            "spec": { "type": "service", "lifecycle": "production", "owner": owner, "dependsOn": needs },
        }));
    }
    entities
}

fn team(number: usize) -> String {
    format!("team-{number:04}")
}

fn database(service: &str, environment: &str, owner: &str, instance: &Instance) -> Value {
    json!({
        "kind": "Resource",
        "metadata": {
            "name": format!("{service}-{environment}"),
            "description": format!("Generated; the database of {service} in {environment}"),
            "labels": { "environment": environment },
            "annotations": {
                "bsql.dev/instance-connection-name": instance.connection_name(),
                "bsql.dev/database": instance.database,
                "bsql.dev/engine": "postgres",
            },
        },
        "spec": { "type": "database", "owner": owner },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::catalog::entity;

    #[test]
    fn as_many_as_were_asked_for_with_an_owner_that_exists_and_an_instance_of_its_environment() {
        let entities = entity::complete(entities(1_001)).unwrap();
        let of_kind = |kind: &'static str| {
            let entities = entities.iter();
            entities.filter(move |one| one.reference.starts_with(kind))
        };
        assert_eq!(of_kind("resource:").count(), 1_002);
        assert_eq!(of_kind("component:").count(), 501);
        let owners: Vec<String> = of_kind("resource:")
            .map(|one| one.value()["spec"]["owner"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(owners.iter().filter(|one| **one == "payments").count(), 12);
        for owner in owners.into_iter().filter(|one| *one != "payments") {
            let group = format!("group:default/{owner}");
            assert!(of_kind("group:").any(|one| one.reference == group));
        }
        for database in of_kind("resource:") {
            let metadata = &database.value()["metadata"];
            let instance = metadata["annotations"]["bsql.dev/instance-connection-name"].as_str();
            let project = format!(
                "acme-{}:",
                metadata["labels"]["environment"].as_str().unwrap()
            );
            assert!(instance.unwrap().starts_with(&project), "{metadata}");
        }
    }
}
