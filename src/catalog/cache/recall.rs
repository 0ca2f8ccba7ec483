//! What a name may stand for as far as the cache knows: for when Backstage cannot be asked.
//!
//! The rules are those of [`lookup`](crate::catalog::lookup), over what listings and lookups saw.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::listing::{self, entity_of};
use super::lookups;
use super::place::Place;
use crate::catalog::conventions::Conventions;
use crate::catalog::entity::{Entity, EntityRef};
use crate::catalog::lookup::FindOptions;

/// All databases that `asked` may mean, and when the oldest of what says so is from. Empty when none is known.
pub(super) fn recall(
    place: &Place,
    asked: &str,
    options: &FindOptions,
    conventions: &Conventions,
) -> Option<(Timestamp, Vec<Entity>)> {
    let environments = &conventions.environments;
    let (name, environment) = asked.rsplit_once('@').map_or(
        (asked, options.environment.as_deref()),
        |(name, environment)| (name, Some(environment)),
    );
    let environment = environment.map(|wanted| environments.named(wanted));
    let wanted = EntityRef::parse(name, "resource").ok()?;
    let known = known(place, &wanted.name);
    let in_environment = |entity: &Entity, environment: Option<&str>| {
        environment.is_none() || environments.of(entity).as_deref() == environment
    };

    let itself = |entity: &Entity| {
        let found = entity.entity_ref();
        let same = if name.contains([':', '/']) {
            found == wanted
        } else {
            found.name == wanted.name
        };
        same && in_environment(entity, environment.as_deref())
    };
    let of = |component: &str, environment: Option<&str>, entity: &Entity| {
        let depends = |found: EntityRef| {
            found.name == component
                && (found.kind == "component" || options.system && found.kind == "system")
        };
        let related = entity
            .related("dependencyOf")
            .chain(entity.related("partOf"))
            .any(depends);
        related && in_environment(entity, environment)
    };
    let choose = |fits: &dyn Fn(&Entity) -> bool| {
        let chosen: Vec<_> = known.values().filter(|(_, entity)| fits(entity)).collect();
        let as_of = chosen.iter().map(|(as_of, _)| *as_of).min()?;
        Some((
            as_of,
            chosen
                .into_iter()
                .map(|(_, entity)| entity.clone())
                .collect(),
        ))
    };
    choose(&itself)
        .or_else(|| choose(&|entity| of(&wanted.name, environment.as_deref(), entity)))
        .or_else(|| {
            let (component, environment) = environments.split_name(&wanted.name)?;
            choose(&|entity| of(component, Some(environment), entity))
        })
}

/// Every entity in which a name occurs, with the latest time that it was seen.
fn known(place: &Place, name: &str) -> BTreeMap<String, (Timestamp, Entity)> {
    let mut known: BTreeMap<String, (Timestamp, Entity)> = BTreeMap::new();
    let mut add = |as_of: Timestamp, entity: Entity| {
        let entity_ref = entity.entity_ref().to_string();
        let seen = known.get(&entity_ref).map(|(seen, _)| *seen);
        if seen.is_none_or(|seen| seen < as_of) {
            known.insert(entity_ref, (as_of, entity));
        }
    };
    for kept in listing::all(place) {
        let mut lines = kept.listing.sorted().lines();
        // A listing that cannot be read to its end has told what it could.
        while let Ok(Some(line)) = lines.next_line() {
            if mentions(line, name)
                && let Ok(entity) = entity_of(line)
            {
                add(kept.as_of, entity);
            }
        }
    }
    for kept in lookups::all_found(place) {
        for entity in kept.answer {
            add(kept.as_of, entity);
        }
    }
    known
}

/// Spares reading JSON that cannot be meant. The environment that a name may end in is not part of a component's name.
fn mentions(line: &[u8], name: &str) -> bool {
    let stem = name.split(['-', '_', '.']).next().unwrap_or(name);
    let stem = stem.as_bytes();
    stem.is_empty()
        || line
            .windows(stem.len())
            .any(|part| part.eq_ignore_ascii_case(stem))
}
