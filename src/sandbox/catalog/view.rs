//! All entities, in the order in which pages are cut, and what of them somebody gets to see.

use std::collections::HashMap;

use super::entity::Entity;

/// The entities, quick to find by reference.
#[derive(Debug)]
pub(super) struct Entities {
    /// By uid, which is Backstage's order when nobody asks for another.
    list: Vec<Entity>,
    by_reference: HashMap<String, usize>,
}

impl Entities {
    pub(super) fn new(mut list: Vec<Entity>) -> Self {
        list.sort_by(|one, other| one.uid.cmp(&other.uid));
        let by_reference = list
            .iter()
            .enumerate()
            .map(|(index, entity)| (entity.reference.clone(), index))
            .collect();
        Self { list, by_reference }
    }
}

/// What somebody sees of the entities.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    entities: &'a Entities,
    /// Whether permissions leave nothing.
    nothing: bool,
    /// Kinds of which nothing is left, in any case.
    lost_kinds: &'a [String],
}

impl<'a> View<'a> {
    pub(super) fn new(entities: &'a Entities, nothing: bool, lost_kinds: &'a [String]) -> Self {
        Self {
            entities,
            nothing,
            lost_kinds,
        }
    }

    /// What is seen, in the order of uids.
    pub(super) fn iter(self) -> impl Iterator<Item = &'a Entity> {
        self.seen_from(0)
    }

    /// What is seen behind this uid, whether it is still there or not.
    pub(super) fn after(self, uid: &str) -> impl Iterator<Item = &'a Entity> {
        let list = &self.entities.list;
        self.seen_from(list.partition_point(|entity| *entity.uid <= *uid))
    }

    /// The entity with exactly this reference.
    pub(super) fn find(self, reference: &str) -> Option<&'a Entity> {
        let index = *self.entities.by_reference.get(reference)?;
        let entity = &self.entities.list[index];
        self.shows(entity).then_some(entity)
    }

    fn seen_from(self, index: usize) -> impl Iterator<Item = &'a Entity> {
        let list = &self.entities.list[index..];
        list.iter().filter(move |entity| self.shows(entity))
    }

    fn shows(self, entity: &Entity) -> bool {
        let kind = entity.reference.split(':').next().unwrap_or_default();
        !self.nothing
            && !self
                .lost_kinds
                .iter()
                .any(|lost| lost.eq_ignore_ascii_case(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::catalog::entity::load;

    #[test]
    fn lost_kinds_and_forbidden_entities_are_not_there() {
        let entities = Entities::new(
            load(
                r#"[{"kind": "Resource", "metadata": {"name": "db"}}, {"kind": "User", "metadata": {"name": "ada"}}]"#,
            )
            .unwrap(),
        );
        let lost = ["Resource".to_owned()];
        for (view, references) in [
            (
                View::new(&entities, false, &[]),
                &["resource:default/db", "user:default/ada"][..],
            ),
            (View::new(&entities, false, &lost), &["user:default/ada"]),
            (View::new(&entities, true, &[]), &[]),
        ] {
            let mut seen: Vec<&str> = view.iter().map(|one| one.reference.as_str()).collect();
            seen.sort_unstable();
            assert_eq!(seen, references);
            for reference in ["resource:default/db", "user:default/ada"] {
                let expected = references.contains(&reference);
                assert_eq!(view.find(reference).is_some(), expected, "{reference}");
            }
        }
    }
}
