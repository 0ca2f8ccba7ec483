//! From what somebody typed to one entity. Never a guess: between staging and production there is no "probably".

use super::client::{BearerSource, CatalogClient};
use super::conventions::Environments;
use super::entity::{Entity, EntityRef};
use crate::error::{Error, ErrorKind, Result, printable};

/// How alike names must be to be offered, from 0 to 1 (Jaro-Winkler): lets through one or two wrong letters.
const ALIKE: f64 = 0.85;
/// More names than this help nobody.
const MOST_OFFERED: usize = 3;
const MOST_CANDIDATES: usize = 20;

/// Finds the database that `asked` names: an entity reference, the name of a Resource, the name of a Component that has
/// one database, `component@environment` or `component-environment`.
///
/// Fails with [`ErrorKind::NotFound`] when there is none or are several; the hints then hold what to type instead.
pub async fn find_database<B: BearerSource>(
    client: &CatalogClient<B>,
    asked: &str,
) -> Result<Entity> {
    let environments = &client.conventions().environments;
    let (name, environment) = match asked.rsplit_once('@') {
        Some((name, environment)) => (name, Some(environments.named(environment))),
        None => (asked, None),
    };
    // Checks what may be in a name, too.
    let entity_ref = EntityRef::parse(name, "resource")?;
    let lookup = Lookup {
        client,
        asked,
        environment: environment.as_deref(),
    };
    let found = if name.contains([':', '/']) {
        lookup.by_ref(name, &entity_ref).await?
    } else {
        lookup.by_name(&entity_ref.name).await?
    };
    match found {
        Some(entity) => Ok(entity),
        None => Err(lookup.not_found(&entity_ref.name).await),
    }
}

struct Lookup<'a, B> {
    client: &'a CatalogClient<B>,
    /// As typed, for messages.
    asked: &'a str,
    environment: Option<&'a str>,
}

impl<B: BearerSource> Lookup<'_, B> {
    fn environments(&self) -> &Environments {
        &self.client.conventions().environments
    }

    async fn by_ref(&self, typed: &str, entity_ref: &EntityRef) -> Result<Option<Entity>> {
        let mut found = self.client.by_name(entity_ref).await?;
        // `team-a/payments` may mean either kind, as a bare name does.
        if found.is_none() && !typed.contains(':') {
            let component = EntityRef::parse(typed, "component")?;
            found = self.client.by_name(&component).await?;
        }
        self.choose(found.into_iter().collect()).await
    }

    async fn by_name(&self, name: &str) -> Result<Option<Entity>> {
        let named = self.client.named(name).await?;
        if let Some(found) = self.choose(named).await? {
            return Ok(Some(found));
        }
        if let Some(environment) = self.environment {
            // `payments@staging` for the Resource `payments-staging`.
            let full = format!("{name}-{environment}");
            let resources = only(self.client.named(&full).await?, "resource");
            return self.one_of(self.in_environment(resources));
        }
        // `payments-staging` for the database of the Component `payments` in staging.
        let Some((component, environment)) = self.environments().split_name(name) else {
            return Ok(None);
        };
        let components = only(self.client.named(component).await?, "component");
        let split = Lookup {
            environment: Some(environment),
            ..*self
        };
        split.one_of(split.on_components(&components).await?)
    }

    /// The database among entities of the name asked for: a Resource before a Component's.
    async fn choose(&self, named: Vec<Entity>) -> Result<Option<Entity>> {
        let resources = self.in_environment(only(named.clone(), "resource"));
        let is_database = |entity: &Entity| self.client.conventions().is_database(entity);
        let (databases, others): (Vec<_>, Vec<_>) = resources.into_iter().partition(is_database);
        if !databases.is_empty() {
            return self.one_of(databases);
        }
        let components = only(named, "component");
        let databases = self.on_components(&components).await?;
        match components.first() {
            _ if !databases.is_empty() => self.one_of(databases),
            Some(component) if self.environment.is_none() => Err(without_database(component)),
            // Perhaps a Resource that nothing marks as a database: whoever reads on can say what is missing.
            _ => self.one_of(others),
        }
    }

    /// The databases that the components depend on, and components that say themselves which instance they are.
    async fn on_components(&self, components: &[Entity]) -> Result<Vec<Entity>> {
        let mut found: Vec<Entity> = Vec::new();
        for component in components {
            if self.client.conventions().is_database(component) {
                found.push(component.clone());
            }
            found.extend(self.client.databases_of(&component.entity_ref()).await?);
        }
        found.sort_by_key(Entity::entity_ref);
        found.dedup_by_key(|entity| entity.entity_ref());
        Ok(self.in_environment(found))
    }

    fn in_environment(&self, mut entities: Vec<Entity>) -> Vec<Entity> {
        if let Some(asked) = self.environment {
            entities.retain(|entity| self.environments().of(entity).as_deref() == Some(asked));
        }
        entities
    }

    fn one_of(&self, mut candidates: Vec<Entity>) -> Result<Option<Entity>> {
        if candidates.len() < 2 {
            return Ok(candidates.pop());
        }
        candidates.sort_by_key(Entity::entity_ref);
        let mut error = ErrorKind::NotFound.error(format!(
            "`{}` could be any of {} databases",
            printable(self.asked),
            candidates.len()
        ));
        for candidate in candidates.iter().take(MOST_CANDIDATES) {
            error = error.hint(self.offer(candidate));
        }
        Err(error)
    }

    /// The reference to type, and what tells this one from the others.
    fn offer(&self, entity: &Entity) -> String {
        let environment = self.environments().of(entity);
        let owner = entity.owner().map(|owner| owner.to_string());
        let about: Vec<String> = environment.into_iter().chain(owner).collect();
        let entity_ref = entity.entity_ref();
        let offer = match about.as_slice() {
            [] => format!("type `{entity_ref}`"),
            about => format!("type `{entity_ref}` ({})", about.join(", ")),
        };
        printable(&offer)
    }

    async fn not_found(&self, name: &str) -> Error {
        let mut error = ErrorKind::NotFound.error(format!(
            "there is no database `{}` in the catalog, or you may not see it",
            printable(self.asked)
        ));
        // Only to help: that this fails as well is no news.
        let known = self.client.database_names().await.unwrap_or_default();
        for near in near_names(name, &known) {
            error = error.hint(printable(&format!("did you mean `{near}`?")));
        }
        error.hint("bsql ls --all")
    }
}

fn only(entities: Vec<Entity>, kind: &str) -> Vec<Entity> {
    entities
        .into_iter()
        .filter(|entity| entity.is_kind(kind))
        .collect()
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

/// The known names that are most like `name`, best first.
fn near_names<'a>(name: &str, known: &'a [EntityRef]) -> Vec<&'a EntityRef> {
    let mut near: Vec<(f64, &EntityRef)> = known
        .iter()
        .map(|entity_ref| (strsim::jaro_winkler(name, &entity_ref.name), entity_ref))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    near.sort_by(|(a, a_ref), (b, b_ref)| b.total_cmp(a).then_with(|| a_ref.cmp(b_ref)));
    near.into_iter()
        .take(MOST_OFFERED)
        .map(|(_, entity_ref)| entity_ref)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::client::tests::{NoBearer, catalog, client};

    fn entity(kind: &str, name: &str, relations: &[(&str, &str)]) -> Value {
        let relations: Vec<Value> = relations
            .iter()
            .map(|(relation, target)| json!({ "type": relation, "targetRef": target }))
            .collect();
        let spec_type = if kind == "Resource" {
            "database"
        } else {
            "service"
        };
        json!({
            "kind": kind, "metadata": { "name": name }, "spec": { "type": spec_type }, "relations": relations,
        })
    }

    fn acme() -> Vec<Value> {
        let payments = ("dependencyOf", "component:default/payments");
        let ours = ("ownedBy", "group:default/payments");
        let mut elsewhere = entity("Resource", "reports", &[]);
        elsewhere["metadata"]["namespace"] = json!("team-b");
        let mut labelled = entity(
            "Resource",
            "orders-main",
            &[("dependencyOf", "component:default/orders")],
        );
        labelled["metadata"]["labels"] = json!({ "env": "prod" });
        let mut itself = entity("Component", "legacy", &[]);
        itself["metadata"]["annotations"] = json!({ "bsql.dev/instance-connection-name": "p:r:i" });
        let mut bucket = entity("Resource", "archive", &[]);
        bucket["spec"]["type"] = json!("bucket");
        vec![
            entity("Resource", "payments-staging", &[payments, ours]),
            entity("Resource", "payments-production", &[payments, ours]),
            entity("Component", "payments", &[ours]),
            entity("Component", "orders", &[]),
            labelled,
            entity("Component", "website", &[("ownedBy", "group:default/web")]),
            entity("Resource", "ledger", &[]),
            entity("Component", "ledger", &[]),
            entity("Resource", "reports", &[]),
            elsewhere,
            itself,
            bucket,
        ]
    }

    async fn find(asked: &str) -> Result<String> {
        let server = catalog(acme()).await;
        let client = client(&server, NoBearer);
        let found = find_database(&client, asked).await?;
        Ok(found.entity_ref().to_string())
    }

    #[tokio::test]
    async fn what_people_type() {
        for (asked, expected) in [
            ("payments-staging", "resource:default/payments-staging"),
            ("Payments-Staging", "resource:default/payments-staging"),
            (
                "resource:default/payments-staging",
                "resource:default/payments-staging",
            ),
            ("payments@staging", "resource:default/payments-staging"),
            ("payments@prod", "resource:default/payments-production"),
            (
                "component:payments@staging",
                "resource:default/payments-staging",
            ),
            (
                "default/payments@staging",
                "resource:default/payments-staging",
            ),
            ("orders", "resource:default/orders-main"),
            ("orders@production", "resource:default/orders-main"),
            ("orders-production", "resource:default/orders-main"),
            ("ledger", "resource:default/ledger"),
            ("team-b/reports", "resource:team-b/reports"),
            ("legacy", "component:default/legacy"),
            ("archive", "resource:default/archive"),
        ] {
            assert_eq!(find(asked).await.unwrap(), expected, "{asked}");
        }
    }

    #[tokio::test]
    async fn several_are_listed_and_none_is_guessed() {
        let error = find("payments").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "`payments` could be any of 2 databases");
        assert_eq!(
            error.next_steps(),
            [
                "type `resource:default/payments-production` (production, group:default/payments)",
                "type `resource:default/payments-staging` (staging, group:default/payments)",
            ]
        );
        let error = find("reports").await.unwrap_err();
        assert_eq!(
            error.next_steps(),
            [
                "type `resource:default/reports`",
                "type `resource:team-b/reports`"
            ]
        );
    }

    #[tokio::test]
    async fn what_is_not_there() {
        let error = find("paymnets-staging").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            "there is no database `paymnets-staging` in the catalog, or you may not see it"
        );
        assert_eq!(
            error.next_steps()[0],
            "did you mean `resource:default/payments-staging`?"
        );
        assert_eq!(error.next_steps().last(), Some(&"bsql ls --all"));

        for asked in [
            "orders@staging",
            "orders-staging",
            "ledger@staging",
            "resource:x",
            "zzz",
        ] {
            let error = find(asked).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{asked}");
            assert!(
                error.to_string().starts_with("there is no database"),
                "{asked}: {error}"
            );
        }

        let error = find("website").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`component:default/website` depends on no database in the catalog that you can see"
        );
        assert!(error.next_steps()[0].contains("`group:default/web`"));

        assert_eq!(find("a b").await.unwrap_err().kind(), ErrorKind::Usage);
    }

    #[test]
    fn near_names_are_few_and_the_best_first() {
        let known: Vec<EntityRef> = [
            "payments-staging",
            "payments-production",
            "ledger",
            "payment-staging",
        ]
        .iter()
        .map(|name| EntityRef::new("resource", "default", name))
        .collect();
        let near = near_names("payments-stagin", &known);
        let names: Vec<&str> = near.iter().map(|near| near.name.as_str()).collect();
        assert_eq!(names[..2], ["payments-staging", "payment-staging"]);
        assert!(!names.contains(&"ledger"));
        assert!(near_names("qqq", &known).is_empty());
    }
}
