//! The entities: read from the seed, completed, and related to each other as Backstage's processors do.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::{Value, json};

use super::refs::canonical;
use super::search::SearchRow;
use crate::hex;

/// An entity and its rows in the search index.
#[derive(Debug)]
pub(super) struct Entity {
    /// `kind:namespace/name` in lower case.
    pub(super) reference: String,
    /// Changes when an entity is made anew, so nobody may keep it. Here it never does.
    pub(super) uid: String,
    /// As it is answered: as text, which takes a fifth of what a value takes.
    pub(super) json: Box<str>,
    /// What filters look at.
    pub(super) rows: Vec<SearchRow>,
}

impl Entity {
    /// As it is answered, to look into.
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(&self.json).expect("it was written as JSON")
    }
}

/// One kind of relation: the field of `spec` that holds it, the kind that a reference there defaults to, the relation's
/// name, and its name from the other end. Kinds that cannot have the field do not have it.
struct Relation(
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
);

/// As `BuiltinKindsEntityProcessor` (plugins/catalog-backend) has them.
const RELATIONS: [Relation; 12] = [
    Relation("owner", Some("Group"), "ownedBy", "ownerOf"),
    Relation("system", Some("System"), "partOf", "hasPart"),
    Relation("domain", Some("Domain"), "partOf", "hasPart"),
    Relation("subcomponentOf", Some("Component"), "partOf", "hasPart"),
    Relation("dependsOn", None, "dependsOn", "dependencyOf"),
    Relation("dependencyOf", None, "dependencyOf", "dependsOn"),
    Relation("providesApis", Some("API"), "providesApi", "apiProvidedBy"),
    Relation("consumesApis", Some("API"), "consumesApi", "apiConsumedBy"),
    Relation("memberOf", Some("Group"), "memberOf", "hasMember"),
    Relation("members", Some("User"), "hasMember", "memberOf"),
    Relation("parent", Some("Group"), "childOf", "parentOf"),
    Relation("children", Some("Group"), "parentOf", "childOf"),
];

/// Reads a JSON array of entities as people write them.
#[cfg(test)]
pub(super) fn load(seed: &str) -> Result<Vec<Entity>, String> {
    complete(serde_json::from_str(seed).map_err(|error| error.to_string())?)
}

/// Makes entities of what people write.
pub(super) fn complete(mut entities: Vec<Value>) -> Result<Vec<Entity>, String> {
    let mut references = Vec::with_capacity(entities.len());
    for entity in &mut entities {
        references.push(fill_in(entity)?);
    }
    let known: HashSet<&str> = references.iter().map(String::as_str).collect();
    let mut relations: BTreeMap<String, BTreeSet<(&str, String)>> = BTreeMap::new();
    let mut relate = |from: &str, name: &'static str, target: &str| {
        let of_one = relations.entry(from.to_owned()).or_default();
        of_one.insert((name, target.to_owned()));
    };
    for (entity, reference) in entities.iter().zip(&references) {
        for (name, back, target) in related(entity, reference)? {
            relate(reference, name, &target);
            // From a target that does not exist nothing comes back.
            if known.contains(target.as_str()) {
                relate(&target, back, reference);
            }
        }
    }
    // The same few hundred keys again and again.
    let mut keys: HashSet<Arc<str>> = HashSet::new();
    let mut known_key = |key: &Arc<str>| {
        if let Some(known) = keys.get(key) {
            return Arc::clone(known);
        }
        keys.insert(Arc::clone(key));
        Arc::clone(key)
    };
    let finish = |(mut json, reference): (Value, String)| {
        let of_one = relations.get(&reference).into_iter().flatten();
        json["relations"] = of_one
            .map(|(name, target)| json!({ "type": name, "targetRef": target }))
            .collect();
        let mut rows = SearchRow::all(&json);
        for row in &mut rows {
            row.key = known_key(&row.key);
        }
        Entity {
            uid: json["metadata"]["uid"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            rows,
            reference,
            json: json.to_string().into(),
        }
    };
    Ok(entities.into_iter().zip(references).map(finish).collect())
}

/// Fills in what Backstage fills in, and returns the entity's reference.
fn fill_in(entity: &mut Value) -> Result<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&entity["kind"]), text(&entity["metadata"]["name"]));
    if entity["metadata"]["namespace"].is_null() {
        entity["metadata"]["namespace"] = json!("default");
    }
    let namespace = text(&entity["metadata"]["namespace"]);
    let reference = canonical(&format!("{kind}:{namespace}/{name}"), None, "default")
        .ok_or_else(|| format!("`{kind}:{namespace}/{name}` is not an entity's name"))?;
    let location = "url:https://git.acme.example/platform/catalog/blob/main/catalog-info.yaml";
    entity["apiVersion"] = json!("backstage.io/v1alpha1");
    let metadata = &mut entity["metadata"];
    metadata["uid"] = json!(uid(&reference));
    metadata["annotations"]["backstage.io/managed-by-location"] = json!(location);
    metadata["annotations"]["backstage.io/managed-by-origin-location"] = json!(location);
    let etag = digest(&SHA1_FOR_LEGACY_USE_ONLY, entity.to_string().as_bytes());
    entity["metadata"]["etag"] = json!(hex::encode(etag.as_ref()));
    Ok(reference)
}

/// A UUID (RFC 9562 version 8) that stays the same from run to run.
fn uid(reference: &str) -> String {
    let hex = hex::encode(&digest(&SHA256, reference.as_bytes()).as_ref()[..16]);
    format!(
        "{}-{}-8{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

/// The relations that the entity itself declares, each with its name from the other end and its target.
fn related(
    entity: &Value,
    reference: &str,
) -> Result<Vec<(&'static str, &'static str, String)>, String> {
    let namespace = entity["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for Relation(field, kind, name, back) in &RELATIONS {
        let targets: Vec<&Value> = match &entity["spec"][field] {
            Value::Null => continue,
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        };
        for target in targets {
            let target = target
                .as_str()
                .and_then(|target| canonical(target, *kind, namespace))
                .ok_or_else(|| format!("`{reference}` has a bad reference in `spec.{field}`"))?;
            found.push((*name, *back, target));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relations(entity: &Entity) -> Vec<String> {
        entity.value()["relations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let text = |key: &str| one[key].as_str().unwrap().to_owned();
                format!("{} {}", text("type"), text("targetRef"))
            })
            .collect()
    }

    #[test]
    fn relations_go_both_ways_and_dangling_ones_one_way() {
        let entities = load(
            r#"[
            {"kind": "Group", "metadata": {"name": "Payments"}, "spec": {"parent": "engineering"}},
            {"kind": "Component", "metadata": {"name": "api"}, "spec": {"owner": "payments", "dependsOn": ["resource:db"]}},
            {"kind": "Resource", "metadata": {"name": "db"}, "spec": {"owner": "user:ada", "dependencyOf": ["component:api"]}}
            ]"#,
        )
        .unwrap();
        assert_eq!(entities[0].reference, "group:default/payments");
        assert_eq!(
            relations(&entities[0]),
            [
                "childOf group:default/engineering",
                "ownerOf component:default/api"
            ]
        );
        assert_eq!(
            relations(&entities[1]),
            [
                "dependsOn resource:default/db",
                "ownedBy group:default/payments"
            ]
        );
        assert_eq!(
            relations(&entities[2]),
            [
                "dependencyOf component:default/api",
                "ownedBy user:default/ada"
            ]
        );
    }

    #[test]
    fn namespaces_are_inherited_by_references() {
        let entities = load(
            r#"[{"kind": "Resource", "metadata": {"name": "x", "namespace": "warehouse"}, "spec": {"owner": "a", "system": "default/s"}}]"#,
        )
        .unwrap();
        assert_eq!(
            relations(&entities[0]),
            ["ownedBy group:warehouse/a", "partOf system:default/s"]
        );
    }

    #[test]
    fn bad_seeds_are_refused() {
        for seed in [
            "{}",
            r#"[{"kind": "Resource", "metadata": {}}]"#,
            r#"[{"kind": "Resource", "metadata": {"name": "x"}, "spec": {"dependsOn": ["kindless"]}}]"#,
        ] {
            assert!(load(seed).is_err(), "{seed}");
        }
    }

    #[test]
    fn uids_look_like_uids_and_stay() {
        let one = uid("resource:default/x");
        assert_eq!(one, uid("resource:default/x"));
        assert_eq!(one.len(), 36);
        assert_eq!(&one[14..15], "8");
    }
}
