//! Which databases to list.

use serde::{Deserialize, Serialize};

use super::super::entity::{Entity, EntityRef};
use super::{BearerSource, CatalogClient, Condition, Pages, Query};
use crate::error::Result;

/// Which databases to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selection {
    /// Owned by any of these; `None` is everybody's.
    pub owners: Option<Vec<EntityRef>>,
    /// Part of this system.
    pub system: Option<EntityRef>,
}

impl<B: BearerSource> CatalogClient<B> {
    /// The databases of a selection, a page at a time: memory does not grow with the catalog.
    ///
    /// An entity may come twice (several owners): the reader drops repeats.
    pub fn databases<'a>(&'a self, selection: &Selection) -> Pages<'a, B> {
        let mut query = self.database_query();
        if let Some(system) = &selection.system {
            query = query.and(Condition::any_of("relations.partOf", [system]));
        }
        let owners = selection
            .owners
            .as_ref()
            .map(|owners| owners.iter().map(ToString::to_string).collect());
        self.pages(query, owners)
    }

    /// The databases that a component depends on.
    pub async fn databases_of(&self, component: &EntityRef) -> Result<Vec<Entity>> {
        self.databases_related(std::slice::from_ref(component), &[])
            .await
    }

    /// The databases that any of these components depends on, and those that are part of these systems.
    pub(in crate::catalog) async fn databases_related(
        &self,
        components: &[EntityRef],
        systems: &[EntityRef],
    ) -> Result<Vec<Entity>> {
        let either: Vec<Condition> = [
            ("relations.dependencyOf", components),
            ("relations.partOf", systems),
        ]
        .into_iter()
        .filter(|(_, refs)| !refs.is_empty())
        .map(|(key, refs)| Condition::any_of(key, refs))
        .collect();
        if either.is_empty() {
            return Ok(Vec::new());
        }
        self.by_query(self.database_query().and_either(&either))
            .await
    }

    /// All databases there are.
    pub(in crate::catalog) fn database_query(&self) -> Query {
        let conventions = self.conventions();
        // Without any value a condition would hold for all.
        let resources = (!conventions.database_types.is_empty()).then(|| {
            vec![
                Condition::any_of("kind", ["resource"]),
                Condition::any_of("spec.type", &conventions.database_types),
            ]
        });
        let annotated = conventions
            .telling_annotations()
            .map(|key| vec![Condition::Exists(format!("metadata.annotations.{key}"))]);
        Query::new(resources.into_iter().chain(annotated).collect())
    }
}
