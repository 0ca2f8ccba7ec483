//! From what somebody typed to entities. Never a guess: between staging and production there is no "probably".

mod ambiguous;
mod asked;
mod near;
mod per_environment;

use std::collections::{BTreeMap, BTreeSet};

pub use self::ambiguous::ambiguous;
use self::ambiguous::offer;
use self::asked::Asked;
use super::client::{BearerSource, CatalogClient};
use super::conventions::{Conventions, Environments};
use super::entity::{Entity, EntityRef};
use crate::error::{Error, ErrorKind, Result, printable};

/// More of a component's other databases than this help nobody.
const MOST_OFFERED: usize = 3;

/// What else may be taken for a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindOptions {
    /// Only databases of this environment.
    pub environment: Option<String>,
    /// For a Component, the databases of its subcomponents as well.
    pub subcomponents: bool,
    /// For a Component, all databases of its system as well.
    pub system: bool,
}

/// Finds the one database that `asked` names, see [`find_databases`].
///
/// Fails with [`ErrorKind::NotFound`] when there is none or are several; the hints then hold what to type instead.
pub async fn find_database<B: BearerSource>(
    client: &CatalogClient<B>,
    asked: &str,
) -> Result<Entity> {
    let mut found = find_databases(client, asked, &FindOptions::default()).await?;
    match found.pop() {
        Some(only) if found.is_empty() => Ok(only),
        last => {
            found.extend(last);
            Err(ambiguous(asked, &found, client.conventions()))
        }
    }
}

/// All databases that `asked` may mean: an entity reference, the name of a Resource, the name of a Component for its
/// databases, `component@environment` or `component-environment`. Sorted by reference, each once, and never empty.
///
/// Asks the catalog twice at most when there is one; deep trees of subcomponents take one more for each level.
///
/// Fails with [`ErrorKind::NotFound`] when there is none; the hints then hold names that are like it.
pub async fn find_databases<B: BearerSource>(
    client: &CatalogClient<B>,
    asked: &str,
    options: &FindOptions,
) -> Result<Vec<Entity>> {
    let conventions = client.conventions();
    let lookup = Lookup {
        client,
        typed: asked,
        asked: Asked::read(asked, options, &conventions.environments)?,
        options,
    };
    lookup.run().await
}

struct Lookup<'a, B> {
    client: &'a CatalogClient<B>,
    /// For messages.
    typed: &'a str,
    asked: Asked,
    options: &'a FindOptions,
}

/// What the first request finds.
#[derive(Default)]
struct Named {
    /// Resources of the name that was typed.
    resources: Vec<Entity>,
    /// Components of that name, and systems where one was asked for by its kind.
    owners: Owners,
    /// Resources of the name with the environment behind it.
    suffixed: Vec<Entity>,
    /// Components of the name with its environment cut off, and that environment.
    cut: Option<(Owners, String)>,
}

/// Entities that databases belong to.
#[derive(Default)]
struct Owners {
    components: Vec<Entity>,
    /// Their references, and those of their subcomponents if these count.
    component_refs: BTreeSet<EntityRef>,
    systems: BTreeSet<EntityRef>,
}

impl Owners {
    fn of(components: Vec<Entity>) -> Self {
        Self {
            component_refs: components.iter().map(Entity::entity_ref).collect(),
            components,
            systems: BTreeSet::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.component_refs.is_empty() && self.systems.is_empty()
    }

    fn has(&self, database: &Entity) -> bool {
        let mut used_by = database.related("dependencyOf");
        used_by.any(|user| self.component_refs.contains(&user))
            || database
                .related("partOf")
                .any(|whole| self.systems.contains(&whole))
    }
}

impl<B: BearerSource> Lookup<'_, B> {
    async fn run(self) -> Result<Vec<Entity>> {
        let mut named = match &self.asked.exactly {
            Some(entity_ref) => self.exactly(entity_ref).await?,
            None => self.by_name().await?,
        };
        let wanted = self.asked.environment.as_deref();
        let (databases, others) = self.databases_among(self.within(named.resources, wanted));
        // The name alone says it all.
        if !databases.is_empty() && named.owners.is_empty() {
            return Ok(each_once(databases, self.environments()));
        }
        self.widen(&mut named.owners).await?;
        if let Some((owners, _)) = &mut named.cut {
            self.widen(owners).await?;
        }
        let related = self.related(&named.owners, named.cut.as_ref()).await?;

        let mut theirs = self.databases_of(&named.owners, &related);
        let found: Vec<Entity> = databases
            .into_iter()
            .chain(self.within(theirs.clone(), wanted))
            .collect();
        if !found.is_empty() {
            return Ok(each_once(found, self.environments()));
        }
        let (suffixed, other_suffixed) = self.databases_among(self.within(named.suffixed, wanted));
        if !suffixed.is_empty() {
            return Ok(each_once(suffixed, self.environments()));
        }
        if let Some((owners, environment)) = &named.cut {
            let of_cut = self.databases_of(owners, &related);
            let found = self.within(of_cut.clone(), Some(environment));
            if !found.is_empty() {
                return Ok(each_once(found, self.environments()));
            }
            theirs.extend(of_cut);
        }
        if let (Some(component), None) = (named.owners.components.first(), wanted) {
            return Err(without_database(component));
        }
        // Perhaps a Resource that nothing marks as a database: whoever reads on can say what is missing.
        let others: Vec<Entity> = others.into_iter().chain(other_suffixed).collect();
        if others.is_empty() {
            return Err(self.not_found(each_once(theirs, self.environments())).await);
        }
        Ok(each_once(others, self.environments()))
    }

    async fn exactly(&self, entity_ref: &EntityRef) -> Result<Named> {
        let Some(entity) = self.client.by_name(entity_ref).await? else {
            return Ok(Named::default());
        };
        let mut named = Named::default();
        if entity.is_kind("system") {
            named.owners.systems.insert(entity_ref.clone());
        } else if entity.is_kind("component") {
            named.owners = Owners::of(vec![entity]);
        } else if entity.is_kind("resource") || self.conventions().is_database(&entity) {
            named.resources.push(entity);
        }
        Ok(named)
    }

    /// Everything of a name that can be meant, in one request.
    async fn by_name(&self) -> Result<Named> {
        let name = &self.asked.name;
        let environments = self.environments();
        let mut names = vec![name.clone()];
        let mut cut = None;
        if let Some(environment) = &self.asked.environment {
            // `payments@staging` for the Resource `payments-staging`.
            let words = environments.words_for(environment);
            names.extend(words.map(|word| format!("{name}-{word}")));
        } else {
            // `payments-staging` for the database of the Component `payments` in staging.
            cut = environments
                .split_name(name)
                .map(|(before, environment)| (before.to_owned(), environment.to_owned()));
            names.extend(cut.iter().map(|(before, _)| before.clone()));
        }
        let namespace = self.asked.namespace.as_deref();
        let found = self
            .client
            .resources_and_components(&names, namespace)
            .await?;
        let (exact, alike): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|entity| entity.metadata.name.to_lowercase() == *name);
        let (resources, components) = by_kind(exact);
        let (alike_resources, alike_components) = by_kind(alike);
        Ok(Named {
            resources,
            owners: Owners::of(components),
            suffixed: if self.asked.environment.is_some() {
                alike_resources
            } else {
                Vec::new()
            },
            cut: cut.map(|(_, environment)| (Owners::of(alike_components), environment)),
        })
    }

    /// Adds subcomponents and systems, as far as they were asked for.
    async fn widen(&self, owners: &mut Owners) -> Result<()> {
        if self.options.system {
            let systems = owners.components.iter().filter_map(Entity::system);
            owners.systems.extend(systems);
        }
        if !self.options.subcomponents {
            return Ok(());
        }
        let parts = |components: &[Entity]| -> Vec<EntityRef> {
            let parts = components.iter().flat_map(|whole| whole.related("hasPart"));
            parts.filter(|part| part.kind == "component").collect()
        };
        let mut level = parts(&owners.components);
        loop {
            // Components may be part of each other in a circle.
            level.retain(|part| owners.component_refs.insert(part.clone()));
            if level.is_empty() {
                return Ok(());
            }
            let components: Vec<Entity> = self
                .client
                .by_refs(&level)
                .await?
                .into_iter()
                .flatten()
                .collect();
            level = parts(&components);
            owners.components.extend(components);
        }
    }

    /// The databases of all these owners, in one request.
    async fn related(
        &self,
        owners: &Owners,
        cut: Option<&(Owners, String)>,
    ) -> Result<Vec<Entity>> {
        let all: Vec<&Owners> = std::iter::once(owners)
            .chain(cut.map(|(owners, _)| owners))
            .collect();
        let components = all.iter().flat_map(|owners| &owners.component_refs);
        let systems = all.iter().flat_map(|owners| &owners.systems);
        let (components, systems): (Vec<_>, Vec<_>) =
            (components.cloned().collect(), systems.cloned().collect());
        self.client.databases_related(&components, &systems).await
    }

    fn databases_of(&self, owners: &Owners, related: &[Entity]) -> Vec<Entity> {
        let themselves = owners
            .components
            .iter()
            .flat_map(|component| per_environment::databases_on(component, self.conventions()));
        let related = related.iter().filter(|database| owners.has(database));
        related.cloned().chain(themselves).collect()
    }

    fn databases_among(&self, entities: Vec<Entity>) -> (Vec<Entity>, Vec<Entity>) {
        let is_database = |entity: &Entity| self.conventions().is_database(entity);
        entities.into_iter().partition(is_database)
    }

    fn within(&self, mut entities: Vec<Entity>, environment: Option<&str>) -> Vec<Entity> {
        if environment.is_some() {
            entities.retain(|entity| self.environments().of(entity).as_deref() == environment);
        }
        entities
    }

    fn conventions(&self) -> &Conventions {
        self.client.conventions()
    }

    fn environments(&self) -> &Environments {
        &self.conventions().environments
    }

    /// Says that there is none. `elsewhere` are databases of what was asked for in other environments.
    async fn not_found(&self, elsewhere: Vec<Entity>) -> Error {
        let signed_in_as = self.client.signed_in_as().await;
        let who = signed_in_as.map_or_else(String::new, |user| format!(" (signed in as {user})"));
        let mut error = ErrorKind::NotFound.error(printable(&format!(
            "there is no database `{}` in the catalog, or you may not see it{who}",
            self.typed
        )));
        for database in elsewhere.iter().take(MOST_OFFERED) {
            let offer = offer(database, &elsewhere, self.conventions());
            error = error.hint(format!("there is {offer}"));
        }
        if elsewhere.is_empty() {
            // That this fails as well is no news.
            let near = near::near_names(self.client, &self.asked.name).await;
            for near in near.unwrap_or_default() {
                error = error.hint(printable(&format!("did you mean `{near}`?")));
            }
        }
        error.hint("bsql ls --all")
    }
}

fn by_kind(entities: Vec<Entity>) -> (Vec<Entity>, Vec<Entity>) {
    let (resources, others): (Vec<_>, Vec<_>) = entities
        .into_iter()
        .partition(|entity| entity.is_kind("resource"));
    let components = others.into_iter();
    (
        resources,
        components
            .filter(|entity| entity.is_kind("component"))
            .collect(),
    )
}

/// Sorted by reference. A database that was reached on two ways is one; a component that says where it is in two
/// environments is two.
fn each_once(databases: Vec<Entity>, environments: &Environments) -> Vec<Entity> {
    let by_ref: BTreeMap<(EntityRef, Option<String>), Entity> = databases
        .into_iter()
        .map(|database| {
            (
                (database.entity_ref(), environments.of(&database)),
                database,
            )
        })
        .collect();
    by_ref.into_values().collect()
}

fn without_database(component: &Entity) -> Error {
    let owner = match component.owner() {
        Some(owner) => printable(&format!("its owner `{owner}`")),
        None => "its owner".to_owned(),
    };
    let component = printable(&component.entity_ref().to_string());
    ErrorKind::NotFound
        .error(format!(
            "`{component}` depends on no database in the catalog that you can see"
        ))
        .hint(format!(
            "if it has one, tell {owner} to add `dependsOn: [resource:NAME]` to it"
        ))
        .hint("bsql ls --all")
}

#[cfg(test)]
mod tests;
