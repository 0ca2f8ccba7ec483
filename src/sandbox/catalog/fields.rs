//! The `fields` parameter: which parts of an entity to answer with. The shape stays; what is missing is left out.

use serde_json::{Map, Value};

/// The paths to keep; none means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<String>);

impl Fields {
    /// Reads comma-separated lists of paths.
    pub(super) fn parse<'a>(lists: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut paths = Vec::new();
        for path in lists.flat_map(|list| list.split(',')).map(str::trim) {
            if path.contains(['[', ']']) {
                return Err(format!(
                    "Invalid field \"{path}\", array type fields are not supported"
                ));
            }
            if !path.is_empty() {
                paths.push(path.to_owned());
            }
        }
        Ok(Self(paths))
    }

    /// Whether everything is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The kept parts of `entity`.
    pub(super) fn pick(&self, entity: &Value) -> Value {
        if self.is_empty() {
            return entity.clone();
        }
        let mut kept = Value::Object(Map::new());
        for path in &self.0 {
            if let Some((steps, value)) = walk(entity, path) {
                let mut place = &mut kept;
                for step in steps {
                    place = &mut place[step];
                }
                *place = value.clone();
            }
        }
        kept
    }
}

/// The keys along `path` and what they lead to. Keys may have dots in them, so at each step the longest key that fits is
/// taken.
fn walk<'a>(value: &'a Value, path: &'a str) -> Option<(Vec<&'a str>, &'a Value)> {
    let mut steps = Vec::new();
    let (mut value, mut rest) = (value, path);
    loop {
        let object = value.as_object()?;
        let end = std::iter::once(rest.len())
            .chain(rest.rmatch_indices('.').map(|(index, _)| index))
            .find(|end| object.contains_key(&rest[..*end]))?;
        steps.push(&rest[..end]);
        value = &object[&rest[..end]];
        if end == rest.len() {
            return Some((steps, value));
        }
        rest = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_the_shape_and_leaves_out_what_is_missing() {
        let entity = json!({
            "kind": "Resource",
            "metadata": {
                "name": "db",
                "annotations": { "bsql.dev/database": "pay", "bsql.dev": "odd", "x": "y" },
                "tags": ["a"],
            },
            "relations": [{ "type": "ownedBy", "targetRef": "group:default/a" }],
        });
        let pick = |list: &str| Fields::parse([list].into_iter()).unwrap().pick(&entity);
        assert_eq!(pick(""), entity);
        assert_eq!(
            pick("kind,metadata.name,spec.type,metadata.tags.a"),
            json!({ "kind": "Resource", "metadata": { "name": "db" } })
        );
        assert_eq!(
            pick("metadata.annotations.bsql.dev/database"),
            json!({ "metadata": { "annotations": { "bsql.dev/database": "pay" } } })
        );
        assert_eq!(
            pick("relations"),
            json!({ "relations": entity["relations"] })
        );
        assert_eq!(
            pick("metadata.name,metadata"),
            json!({ "metadata": entity["metadata"] })
        );
        assert_eq!(pick("nothing"), json!({}));
    }

    #[test]
    fn arrays_cannot_be_indexed() {
        let error = Fields::parse(["kind,metadata.tags[0]"].into_iter()).unwrap_err();
        assert_eq!(
            error,
            "Invalid field \"metadata.tags[0]\", array type fields are not supported"
        );
    }
}
