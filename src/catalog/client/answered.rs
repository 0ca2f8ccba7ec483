//! Entities as they come in answers. One that cannot be read is left out and named in the log: it must not take the
//! hundreds beside it down.

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::entity::Entity;
use crate::error::printable;

/// The entity, if there is one and it can be read. `place` says where it came from.
pub(super) fn entity(raw: &RawValue, place: &str) -> Option<Entity> {
    if raw.get() == "null" {
        return None;
    }
    let problem = match serde_json::from_str::<Entity>(raw.get()) {
        Ok(entity) if entity.kind.is_empty() || entity.metadata.name.is_empty() => {
            "it has no kind or no name".to_owned()
        }
        Ok(entity) => return Some(entity),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        entity = %name(raw),
        problem = %printable(&problem),
        "left an entity out of {place}: it cannot be read"
    );
    None
}

/// What tells it from others, as far as it says so.
fn name(raw: &RawValue) -> String {
    let value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let parts = [
        text("/kind"),
        text("/metadata/namespace"),
        text("/metadata/name"),
    ];
    match parts {
        [None, _, None] => text("/metadata/uid").map_or_else(
            || "without kind and name".to_owned(),
            |uid| printable(&format!("uid {uid}")),
        ),
        [kind, namespace, name] => printable(&format!(
            "{}:{}/{}",
            kind.unwrap_or("?"),
            namespace.unwrap_or("default"),
            name.unwrap_or("?")
        )),
    }
}
