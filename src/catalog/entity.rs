//! Entities and references to them, in Backstage's words.
//!
//! Format: <https://backstage.io/docs/features/software-catalog/descriptor-format>.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result, printable};

const DEFAULT_NAMESPACE: &str = "default";

/// A reference to an entity, `kind:namespace/name`, in its canonical lower case.
///
/// Backstage compares references without regard to case, but some of its calls find the canonical form only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityRef {
    /// The kind, for example `resource`.
    pub kind: String,
    /// The namespace, mostly `default`.
    pub namespace: String,
    /// The name within kind and namespace.
    pub name: String,
}

impl EntityRef {
    /// The canonical reference of these parts.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.to_lowercase(),
            namespace: namespace.to_lowercase(),
            name: name.to_lowercase(),
        }
    }

    /// Reads `[kind:][namespace/]name`, the grammar of `parseEntityRef` in @backstage/catalog-model.
    ///
    /// Fails with [`ErrorKind::Usage`] when a part is empty or holds what no name may hold.
    pub fn parse(text: &str, default_kind: &str) -> Result<Self> {
        let (kind, namespace, name) = split(text);
        let parts = [
            kind.unwrap_or(default_kind),
            namespace.unwrap_or(DEFAULT_NAMESPACE),
            name,
        ];
        // Backstage's own rules for names are stricter, but a company may loosen them. These keep out what cannot be
        // put into a filter of the API, where nothing can escape a comma.
        let unfit = |c: char| c.is_whitespace() || c.is_control() || c == ',';
        // Nor what URLs take for the way up.
        let is_no_name = |part: &&str| matches!(*part, "" | "." | "..");
        if parts.iter().any(is_no_name) || text.contains(unfit) {
            return Err(ErrorKind::Usage
                .error(format!("`{}` is not an entity reference", printable(text)))
                .hint(
                    "write `kind:namespace/name`, for example `resource:default/payments-staging`",
                ));
        }
        let [kind, namespace, name] = parts;
        Ok(Self::new(kind, namespace, name))
    }
}

/// The parts of a reference as typed. A `/` ahead of the `:` makes all that follows it the name.
fn split(text: &str) -> (Option<&str>, Option<&str>, &str) {
    let slash = text.find('/');
    let colon = text
        .find(':')
        .filter(|colon| slash.is_none_or(|slash| *colon < slash));
    let after_kind = colon.map_or(0, |colon| colon + 1);
    let after_namespace = slash.map_or(after_kind, |slash| slash + 1);
    (
        colon.map(|colon| &text[..colon]),
        slash.map(|slash| &text[after_kind..slash]),
        &text[after_namespace..],
    )
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.kind, self.namespace, self.name)
    }
}

/// Needs the kind; [`EntityRef::parse`] takes a default for it.
impl FromStr for EntityRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, "")
    }
}

/// As the text that it is everywhere else.
impl Serialize for EntityRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntityRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // Not as strict as with what people type: a company may have loosened the rules for names.
        match split(&text) {
            (Some(kind), Some(namespace), name) => Ok(Self::new(kind, namespace, name)),
            _ => Err(serde::de::Error::custom("not a whole entity reference")),
        }
    }
}

/// One entry of the catalog, as far as bsql reads it. What is missing is empty; what is unknown is ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// The kind as written, for example `Resource`.
    pub kind: String,
    /// What every kind has.
    pub metadata: Metadata,
    /// What only this kind has.
    #[serde(default, deserialize_with = "readable")]
    pub spec: serde_json::Map<String, Value>,
    /// Other entities this one has to do with. Canonical, unlike what is typed into `spec`.
    #[serde(default, deserialize_with = "readable_items")]
    pub relations: Vec<Relation>,
}

/// What every kind of entity has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The name within kind and namespace.
    pub name: String,
    /// The namespace, if it is not `default`.
    #[serde(
        default,
        deserialize_with = "readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespace: Option<String>,
    /// A name to show.
    #[serde(
        default,
        deserialize_with = "readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub title: Option<String>,
    /// A sentence or two.
    #[serde(
        default,
        deserialize_with = "readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub description: Option<String>,
    /// Short values to select by.
    #[serde(default, deserialize_with = "texts")]
    pub labels: BTreeMap<String, String>,
    /// Values for tools.
    #[serde(default, deserialize_with = "texts")]
    pub annotations: BTreeMap<String, String>,
    /// Words.
    #[serde(default, deserialize_with = "readable_items")]
    pub tags: Vec<String>,
    /// Where to read on.
    #[serde(default, deserialize_with = "readable_items")]
    pub links: Vec<Link>,
}

/// A link of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it leads. Anything may be written here: it need not be a URL.
    pub url: String,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A relation from one entity to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relation {
    /// The relation, for example `ownedBy`.
    #[serde(rename = "type")]
    pub relation: String,
    /// The other entity.
    #[serde(default)]
    pub target_ref: String,
}

/// The value, or as good as none where it is not what it should be: nothing that only describes is worth losing an entity.
fn readable<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Those items of a list that are what they should be.
fn readable_items<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let items: Vec<Value> = readable(deserializer)?;
    let items = items.into_iter();
    Ok(items
        .filter_map(|item| serde_json::from_value(item).ok())
        .collect())
}

/// Labels and annotations. They should be texts, but `true` and `5432` without quotes happen in YAML, and some
/// companies' catalogs let them pass.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values: BTreeMap<String, Value> = readable(deserializer)?;
    let texts = values.into_iter().filter_map(|(key, value)| match value {
        Value::String(text) => Some((key, text)),
        Value::Bool(_) | Value::Number(_) => Some((key, value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    });
    Ok(texts.collect())
}

impl Entity {
    /// The reference to this entity.
    pub fn entity_ref(&self) -> EntityRef {
        let namespace = self.metadata.namespace.as_deref();
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        EntityRef::new(
            &self.kind,
            namespace.unwrap_or(DEFAULT_NAMESPACE),
            &self.metadata.name,
        )
    }

    /// Whether it is of this kind, in any case.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
    }

    /// The name to show.
    pub fn title(&self) -> &str {
        self.metadata
            .title
            .as_deref()
            .filter(|title| !title.trim().is_empty())
            .unwrap_or(&self.metadata.name)
    }

    /// `spec.type`, for example `database`.
    pub fn spec_type(&self) -> Option<&str> {
        self.spec.get("type")?.as_str()
    }

    /// An annotation that says something.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        said(&self.metadata.annotations, key)
    }

    /// A label that says something.
    pub fn label(&self, key: &str) -> Option<&str> {
        said(&self.metadata.labels, key)
    }

    /// The entities on the other side of a relation such as `ownedBy`, in the catalog's order.
    pub fn related(&self, relation: &str) -> impl Iterator<Item = EntityRef> {
        self.relations
            .iter()
            .filter(move |found| found.relation == relation)
            .filter_map(|found| found.target_ref.parse().ok())
    }

    /// Who owns it. From relations: what is typed into `spec.owner` need not be canonical.
    pub fn owner(&self) -> Option<EntityRef> {
        self.related("ownedBy").next()
    }

    /// The system it is part of.
    pub fn system(&self) -> Option<EntityRef> {
        self.related("partOf").find(|found| found.kind == "system")
    }
}

/// An empty annotation is as good as none.
fn said<'a>(values: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    let value = values.get(key)?.trim();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_as_backstage_reads_them() {
        for (text, expected) in [
            ("payments", "resource:default/payments"),
            ("Payments", "resource:default/payments"),
            ("component:payments", "component:default/payments"),
            ("team-a/payments", "resource:team-a/payments"),
            (
                "Component:Team-A/Pay_ments.v2",
                "component:team-a/pay_ments.v2",
            ),
            ("team-a/odd:name", "resource:team-a/odd:name"),
            ("system:a/b/c", "system:a/b/c"),
        ] {
            let parsed = EntityRef::parse(text, "Resource").unwrap();
            assert_eq!(parsed.to_string(), expected, "{text}");
            assert_eq!(expected.parse::<EntityRef>().unwrap(), parsed);
        }
    }

    #[test]
    fn what_is_no_reference() {
        for text in [
            "",
            ":x",
            "/x",
            "resource:",
            "resource:/x",
            "a/",
            "a b",
            "a,b",
            "a\u{1b}[31m",
        ] {
            let error = EntityRef::parse(text, "resource").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
        assert!(
            "payments".parse::<EntityRef>().is_err(),
            "no kind, no default"
        );
    }

    #[test]
    fn reads_what_is_there_and_forgives_the_rest() {
        let entity: Entity = serde_json::from_value(json!({
            "apiVersion": "backstage.io/v1beta1",
            "kind": "Resource",
            "metadata": {
                "name": "Payments-Staging", "namespace": "default", "uid": "u", "etag": "e", "title": " ",
                "labels": { "env": "staging", "critical": true },
                "annotations": { "bsql.dev/database": " payments ", "bsql.dev/empty": "" },
                "tags": null,
                "links": [{ "url": "https://a.example", "icon": "web" }],
            },
            "spec": { "type": "database", "owner": "payments" },
            "relations": [
                { "type": "ownedBy", "targetRef": "group:default/payments", "target": { "kind": "group" } },
                { "type": "partOf", "targetRef": "domain:default/money" },
                { "type": "partOf", "targetRef": "system:default/payments" },
                { "type": "dependencyOf" },
            ],
            "status": {},
        }))
        .unwrap();
        assert_eq!(
            entity.entity_ref().to_string(),
            "resource:default/payments-staging"
        );
        assert_eq!(entity.title(), "Payments-Staging", "a blank title is none");
        assert_eq!(entity.annotation("bsql.dev/database"), Some("payments"));
        assert_eq!(entity.annotation("bsql.dev/empty"), None);
        assert_eq!(entity.label("critical"), Some("true"));
        assert_eq!(entity.spec_type(), Some("database"));
        assert_eq!(
            entity.owner().unwrap().to_string(),
            "group:default/payments"
        );
        assert_eq!(
            entity.system().unwrap().to_string(),
            "system:default/payments"
        );
        assert_eq!(entity.related("dependencyOf").count(), 0);
    }

    #[test]
    fn what_is_not_what_it_should_be_is_as_good_as_none() {
        let entity: Entity = serde_json::from_value(json!({
            "kind": "Resource",
            "metadata": {
                "name": "x/\u{1b}[31m\u{0}:\u{1F600}", "namespace": "", "title": 7, "description": ["x"],
                "labels": ["environment"], "annotations": { "a": { "b": 1 }, "c": [1], "d": 5432, "e": null },
                "tags": ["pg", 1, null], "links": [{ "title": "no url" }, "https://a.example", { "url": "u" }],
            },
            "spec": "database",
            "relations": [{ "targetRef": "group:default/x" }, 1, { "type": "ownedBy", "targetRef": "group:default/y" }],
        }))
        .unwrap();
        assert_eq!(entity.entity_ref().namespace, "default");
        assert_eq!(entity.metadata.title, None);
        assert_eq!(entity.metadata.description, None);
        assert!(entity.metadata.labels.is_empty());
        assert_eq!(entity.annotation("d"), Some("5432"));
        assert_eq!(entity.metadata.annotations.len(), 1);
        assert_eq!(entity.metadata.tags, ["pg"]);
        assert_eq!(entity.metadata.links.len(), 1);
        assert_eq!(entity.spec_type(), None);
        assert_eq!(entity.owner().unwrap().name, "y");
        let text = serde_json::to_string(&entity.entity_ref()).unwrap();
        let again: EntityRef = serde_json::from_str(&text).unwrap();
        assert_eq!(again, entity.entity_ref());
        for wrong in ["\"x\"", "\"default/x\"", "7"] {
            assert!(serde_json::from_str::<EntityRef>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_least_there_can_be() {
        let entity: Entity =
            serde_json::from_value(json!({ "kind": "Resource", "metadata": { "name": "x" } }))
                .unwrap();
        assert_eq!(entity.entity_ref().to_string(), "resource:default/x");
        assert_eq!(entity.owner(), None);
        let again: Entity = serde_json::from_value(serde_json::to_value(&entity).unwrap()).unwrap();
        assert_eq!(again, entity);
    }
}
