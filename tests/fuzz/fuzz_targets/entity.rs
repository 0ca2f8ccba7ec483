//! References that people type, and entities that a catalog sends.

#![no_main]

use bsql::catalog::{Entity, EntityRef};
use bsql_fuzz::assert_printable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match EntityRef::parse(text, "resource") {
        Ok(entity_ref) => reference(text, &entity_ref),
        Err(error) => assert_printable(&error),
    }
    if let Ok(entity) = serde_json::from_str::<Entity>(text) {
        described(&entity);
    }
});

fn reference(typed: &str, entity_ref: &EntityRef) {
    let printed = entity_ref.to_string();
    assert_eq!(printed.parse::<EntityRef>().unwrap(), *entity_ref);
    // As the cache keeps it.
    let kept = serde_json::to_string(entity_ref).unwrap();
    assert_eq!(
        serde_json::from_str::<EntityRef>(&kept).unwrap(),
        *entity_ref
    );
    assert_eq!(printed, printed.to_lowercase(), "canonical");
    // A comma would be another condition in the API's filters, and nothing is lost on the way.
    assert!(!printed.contains([',', ' ', '\n', '\0']));
    let lower = typed.to_lowercase();
    assert!(lower.ends_with(&entity_ref.name) || lower.contains('ς') || lower.contains('σ'));
    for part in [&entity_ref.kind, &entity_ref.namespace, &entity_ref.name] {
        assert!(!matches!(part.as_str(), "" | "." | ".."));
    }
}

fn described(entity: &Entity) {
    let kept = serde_json::to_string(entity).unwrap();
    let mut again: Entity = serde_json::from_str(&kept).unwrap();
    // Numbers there are as precise as JSON's writers make them.
    again.spec.clone_from(&entity.spec);
    assert_eq!(again, *entity);
    assert_eq!(again.entity_ref(), entity.entity_ref());
    // What a relation leads to can be asked for.
    for owner in entity.related("ownedBy") {
        assert_eq!(owner.to_string().parse::<EntityRef>().unwrap(), owner);
    }
}
