//! The catalog entity as a database: the whole contract between a company's catalog and bsql is in this file.
//!
//! docs/catalog.md tells the platform team what to write.

use url::Url;

use crate::catalog::{Conventions, Entity, EntityRef};
use crate::cloudsql::{Engine, InstanceConnectionName, InstanceLocator, IpType};
use crate::error::{Error, ErrorKind, Result, printable};

/// Project and instance by bsql's own names; the region is looked up.
pub(crate) const PROJECT: &str = "bsql.dev/project";
pub(crate) const INSTANCE: &str = "bsql.dev/instance";
/// What @backtostage/plugin-catalog-backend-module-gcp writes when it imports instances. The instance itself is in the link
/// to the console, and in the entity's name with a suffix.
pub(crate) const IMPORTED_PROJECT: &str = "backtostage.app/google-project";
pub(crate) const IMPORTED_VERSION: &str = "backtostage.app/google-sql-database-version";
pub(crate) const DATABASE: &str = "bsql.dev/database";
pub(crate) const ENGINE: &str = "bsql.dev/engine";
pub(crate) const IP_TYPE: &str = "bsql.dev/ip-type";
const EXPECTED_INSTANCE: &str = "`project:region:instance`";

/// A database to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseTarget {
    /// The catalog's entity; `None` for an instance that somebody named directly.
    pub entity_ref: Option<EntityRef>,
    /// The name to show.
    pub name: String,
    /// The instance it is on.
    pub instance: InstanceLocator,
    /// The database on the instance. Where the catalog names none the engine decides, see
    /// [`database_on`](Self::database_on).
    pub database: Option<String>,
    /// The engine as far as the catalog says; SQL Admin knows in any case.
    pub engine: Option<Engine>,
    /// The environment, for example `staging`.
    pub environment: Option<String>,
    /// Who owns it.
    pub owner: Option<EntityRef>,
    /// The system it is part of.
    pub system: Option<EntityRef>,
    /// Which address to dial, where the catalog says so.
    pub ip_type: Option<IpType>,
}

impl DatabaseTarget {
    /// Reads an entity.
    ///
    /// Fails with [`ErrorKind::Catalog`] when it does not say which instance it is or says something malformed.
    pub fn from_entity(entity: &Entity, conventions: &Conventions) -> Result<Self> {
        let read = Reading { entity };
        Ok(Self {
            entity_ref: Some(entity.entity_ref()),
            name: entity.metadata.name.clone(),
            instance: read.instance(conventions)?,
            database: entity.annotation(DATABASE).map(str::to_owned),
            engine: read.engine()?,
            environment: conventions.environments.of(entity),
            owner: entity.owner(),
            system: entity.system(),
            ip_type: read.parsed(IP_TYPE, "`public`, `private`, `psc` or `auto`")?,
        })
    }

    /// The instance that somebody named directly, `project:region:instance`, if `asked` is that and not a catalog name.
    pub fn from_connection_name(asked: &str) -> Option<Self> {
        // An entity reference has one colon, or a slash.
        let name: InstanceConnectionName = asked.parse().ok()?;
        Some(Self {
            entity_ref: None,
            name: name.instance().to_owned(),
            instance: name.into(),
            database: None,
            engine: None,
            environment: None,
            owner: None,
            system: None,
            ip_type: None,
        })
    }

    /// The database to connect to: the one the catalog names, else the engine's usual one. MySQL can do without.
    pub fn database_on(&self, engine: Engine) -> Option<&str> {
        self.database.as_deref().or(engine.default_database())
    }
}

/// With the [`Conventions`] that hold when nobody has set others.
impl TryFrom<&Entity> for DatabaseTarget {
    type Error = Error;

    fn try_from(entity: &Entity) -> Result<Self> {
        Self::from_entity(entity, &Conventions::default())
    }
}

struct Reading<'a> {
    entity: &'a Entity,
}

impl Reading<'_> {
    fn instance(&self, conventions: &Conventions) -> Result<InstanceLocator> {
        for key in &conventions.instance_annotations {
            if let Some(name) = self.parsed::<InstanceConnectionName>(key, EXPECTED_INSTANCE)? {
                return Ok(name.into());
            }
        }
        let annotated = |key| self.entity.annotation(key);
        match (annotated(PROJECT), annotated(INSTANCE)) {
            (Some(project), Some(instance)) => InstanceLocator::without_region(project, instance)
                .map_err(|cause| {
                    self.wrong(&format!(
                        "annotations `{PROJECT}` and `{INSTANCE}` of {self}"
                    ))
                    .because(cause)
                }),
            (Some(_), None) => Err(self.half(PROJECT, INSTANCE)),
            (None, Some(_)) => Err(self.half(INSTANCE, PROJECT)),
            (None, None) => self.linked_instance(conventions),
        }
    }

    /// The instance that the entity's links to the Google Cloud console show.
    fn linked_instance(&self, conventions: &Conventions) -> Result<InstanceLocator> {
        let project = self.entity.annotation(IMPORTED_PROJECT);
        let mut linked: Vec<InstanceLocator> = self
            .entity
            .metadata
            .links
            .iter()
            .filter_map(|link| console_instance(&link.url))
            .filter(|found| project.is_none_or(|project| found.project() == project))
            .collect();
        linked.sort();
        linked.dedup();
        match linked.as_slice() {
            [one] => Ok(one.clone()),
            [] => {
                if let Some(imported) = self.imported_instance(conventions) {
                    return Ok(imported);
                }
                let keys: Vec<String> = conventions
                    .instance_annotations
                    .iter()
                    .map(|key| format!("`{key}`"))
                    .collect();
                let key = conventions
                    .instance_annotations
                    .first()
                    .map_or(INSTANCE, String::as_str);
                Err(ErrorKind::Catalog
                    .error(format!("{self} does not say which Cloud SQL instance it is"))
                    .because(anyhow::anyhow!(
                        "it has none of the annotations {}, no `{PROJECT}` with `{INSTANCE}`, and no link to the instance \
                         in the Google Cloud console",
                        keys.join(", ")
                    ))
                    .hint(format!(
                        "tell {} to add the annotation `{key}: project:region:instance`",
                        self.owner()
                    )))
            }
            several => {
                let names: Vec<String> = several.iter().map(|found| format!("`{found}`")).collect();
                Err(ErrorKind::Catalog
                    .error(format!("{self} links to several Cloud SQL instances"))
                    .because(anyhow::anyhow!("{}", names.join(", ")))
                    .hint(format!(
                        "tell {} to say which one with the annotations `{PROJECT}` and `{INSTANCE}`",
                        self.owner()
                    )))
            }
        }
    }

    /// The instance by the importer's name for it, which is the instance's with something behind it.
    fn imported_instance(&self, conventions: &Conventions) -> Option<InstanceLocator> {
        let project = self.entity.annotation(IMPORTED_PROJECT)?;
        let name = &self.entity.metadata.name;
        let instance = name.strip_suffix(&conventions.importer_suffix)?;
        InstanceLocator::without_region(project, instance).ok()
    }

    fn engine(&self) -> Result<Option<Engine>> {
        if let Some(engine) = self.parsed(ENGINE, "`postgres`, `mysql` or `sqlserver`")? {
            return Ok(Some(engine));
        }
        let imported = self.entity.annotation(IMPORTED_VERSION);
        let by_type = || self.entity.spec_type()?.parse().ok();
        let by_tag = || {
            self.entity
                .metadata
                .tags
                .iter()
                .find_map(|tag| tag.parse().ok())
        };
        Ok(imported
            .and_then(Engine::of_version)
            .or_else(by_type)
            .or_else(by_tag))
    }

    /// The annotation's value, if there is one; a malformed one is the owner's to mend.
    fn parsed<T: std::str::FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>> {
        let Some(value) = self.entity.annotation(key) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => Err(self
                .wrong(&format!("annotation `{key}` of {self}"))
                .because(anyhow::anyhow!(
                    "it is `{}` and must be {expected}",
                    printable(value)
                ))),
        }
    }

    fn half(&self, there: &str, missing: &str) -> Error {
        self.wrong(&format!("annotation `{there}` of {self}"))
            .because(anyhow::anyhow!("it means nothing without `{missing}`"))
    }

    fn wrong(&self, what: &str) -> Error {
        ErrorKind::Catalog
            .error(format!("cannot use {what}"))
            .hint(format!("tell {}", self.owner()))
    }

    fn owner(&self) -> String {
        self.entity.owner().map_or_else(
            || "its owner".to_owned(),
            |owner| printable(&format!("its owner `{owner}`")),
        )
    }
}

impl std::fmt::Display for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entity_ref = self.entity.entity_ref().to_string();
        write!(f, "`{}`", printable(&entity_ref))
    }
}

/// The instance of a link like `https://console.cloud.google.com/sql/instances/INSTANCE/overview?project=PROJECT`.
fn console_instance(link: &str) -> Option<InstanceLocator> {
    let url = Url::parse(link).ok()?;
    if url.scheme() != "https" || url.host_str() != Some("console.cloud.google.com") {
        return None;
    }
    let mut path = url.path_segments()?;
    let (Some("sql"), Some("instances"), Some(instance)) = (path.next(), path.next(), path.next())
    else {
        return None;
    };
    let (_, project) = url.query_pairs().find(|(key, _)| key == "project")?;
    InstanceLocator::without_region(&project, instance).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entity(annotations: &Value, links: &[&str]) -> Entity {
        let links: Vec<Value> = links.iter().map(|url| json!({ "url": url })).collect();
        serde_json::from_value(json!({
            "kind": "Resource",
            "metadata": {
                "name": "payments-staging", "annotations": annotations, "links": links, "tags": ["cloudsql", "postgresql"],
            },
            "spec": { "type": "database" },
            "relations": [
                { "type": "ownedBy", "targetRef": "group:default/payments" },
                { "type": "partOf", "targetRef": "system:default/billing" },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn everything_an_entity_can_say() {
        let target = DatabaseTarget::try_from(&entity(
            &json!({
                "bsql.dev/instance-connection-name": "acme-staging:europe-west1:payments",
                "bsql.dev/database": "payments",
                "bsql.dev/ip-type": "private",
            }),
            &[],
        ))
        .unwrap();
        assert_eq!(
            target,
            DatabaseTarget {
                entity_ref: Some("resource:default/payments-staging".parse().unwrap()),
                name: "payments-staging".to_owned(),
                instance: "acme-staging:europe-west1:payments"
                    .parse::<InstanceConnectionName>()
                    .unwrap()
                    .into(),
                database: Some("payments".to_owned()),
                engine: Some(Engine::Postgres),
                environment: Some("staging".to_owned()),
                owner: Some("group:default/payments".parse().unwrap()),
                system: Some("system:default/billing".parse().unwrap()),
                ip_type: Some(IpType::Private),
            }
        );
        assert_eq!(target.database_on(Engine::Postgres), Some("payments"));
    }

    #[test]
    fn where_an_instance_is_named() {
        let console = "https://console.cloud.google.com/sql/instances/from-link/overview?project=p";
        for (annotations, links, expected) in [
            (
                json!({ "google.com/cloudsql-instance": "p:r:i" }),
                vec![],
                "p:r:i",
            ),
            (
                json!({
                    "bsql.dev/instance-connection-name": "p:r:first", "google.com/cloudsql-instance": "p:r:second",
                }),
                vec![console],
                "p:r:first",
            ),
            (
                json!({ "bsql.dev/project": "p", "bsql.dev/instance": "i" }),
                vec![console],
                "p:?:i",
            ),
            (
                json!({ "backtostage.app/google-project": "p" }),
                vec![console],
                "p:?:from-link",
            ),
            (
                json!({}),
                vec!["https://a.example", "not a url", console, console],
                "p:?:from-link",
            ),
            (
                json!({ "backtostage.app/google-project": "p" }),
                vec![
                    "https://console.cloud.google.com/sql/instances/j?project=q",
                    console,
                ],
                "p:?:from-link",
            ),
        ] {
            let target = DatabaseTarget::try_from(&entity(&annotations, &links)).unwrap();
            assert_eq!(
                target.instance.to_string(),
                expected,
                "{annotations} {links:?}"
            );
        }
    }

    #[test]
    fn what_the_importer_wrote() {
        let imported = |name: &str, links: &[&str], suffix: &str| {
            let mut entity = entity(&json!({ "backtostage.app/google-project": "p" }), links);
            name.clone_into(&mut entity.metadata.name);
            let conventions = Conventions {
                importer_suffix: suffix.to_owned(),
                ..Conventions::default()
            };
            DatabaseTarget::from_entity(&entity, &conventions)
                .map(|target| target.instance.to_string())
        };
        let link = "https://console.cloud.google.com/sql/instances/ledger/overview?project=p";
        let elsewhere = "https://console.cloud.google.com/sql/instances/ledger/overview?project=q";
        for (name, links, suffix, expected) in [
            (
                "ledger-cloudsql",
                vec![link],
                "-cloudsql",
                Some("p:?:ledger"),
            ),
            (
                "other-cloudsql",
                vec![link],
                "-cloudsql",
                Some("p:?:ledger"),
            ),
            ("ledger-cloudsql", vec![], "-cloudsql", Some("p:?:ledger")),
            (
                "ledger-cloudsql",
                vec![elsewhere],
                "-cloudsql",
                Some("p:?:ledger"),
            ),
            ("ledger-pg", vec![], "-pg", Some("p:?:ledger")),
            ("ledger", vec![], "", Some("p:?:ledger")),
            ("ledger-cloudsql", vec![], "-pg", None),
            ("-cloudsql", vec![], "-cloudsql", None),
            ("ledger", vec![], "-cloudsql", None),
        ] {
            let found = imported(name, &links, suffix).ok();
            assert_eq!(found.as_deref(), expected, "{name} {links:?} {suffix}");
        }
    }

    #[test]
    fn mistakes_name_the_place_and_whom_to_tell() {
        let tell = "tell its owner `group:default/payments`";
        for (annotations, links, message, cause) in [
            (
                json!({ "bsql.dev/instance-connection-name": "payments\u{1b}[31m" }),
                vec![],
                "cannot use annotation `bsql.dev/instance-connection-name` of `resource:default/payments-staging`",
                "it is `payments\u{fffd}[31m` and must be `project:region:instance`",
            ),
            (
                json!({ "bsql.dev/project": "p" }),
                vec![],
                "cannot use annotation `bsql.dev/project` of `resource:default/payments-staging`",
                "it means nothing without `bsql.dev/instance`",
            ),
            (
                json!({ "bsql.dev/project": "p", "bsql.dev/instance": "i/j" }),
                vec![],
                "cannot use annotations `bsql.dev/project` and `bsql.dev/instance` of `resource:default/payments-staging`",
                "project `p` and instance `i/j` cannot be the names of a Cloud SQL instance",
            ),
            (
                json!({ "google.com/cloudsql-instance": "p:r:i", "bsql.dev/ip-type": "nat" }),
                vec![],
                "cannot use annotation `bsql.dev/ip-type` of `resource:default/payments-staging`",
                "it is `nat` and must be `public`, `private`, `psc` or `auto`",
            ),
            (
                json!({ "google.com/cloudsql-instance": "p:r:i", "bsql.dev/engine": "oracle" }),
                vec![],
                "cannot use annotation `bsql.dev/engine` of `resource:default/payments-staging`",
                "it is `oracle` and must be `postgres`, `mysql` or `sqlserver`",
            ),
            (
                json!({}),
                vec![
                    "https://console.cloud.google.com/sql/instances/i?project=p",
                    "https://console.cloud.google.com/sql/instances/j?project=p",
                ],
                "`resource:default/payments-staging` links to several Cloud SQL instances",
                "`p:?:i`, `p:?:j`",
            ),
        ] {
            let error = DatabaseTarget::try_from(&entity(&annotations, &links)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Catalog);
            assert_eq!(error.to_string(), message);
            assert_eq!(error.causes(), [cause]);
            assert!(
                error.next_steps()[0].starts_with(tell),
                "{:?}",
                error.next_steps()
            );
        }
    }

    #[test]
    fn an_entity_that_says_nothing() {
        let error =
            DatabaseTarget::try_from(&entity(&json!({}), &["https://console.cloud.google.com/x"]))
                .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Catalog);
        assert_eq!(
            error.to_string(),
            "`resource:default/payments-staging` does not say which Cloud SQL instance it is"
        );
        assert_eq!(
            error.next_steps(),
            [
                "tell its owner `group:default/payments` to add the annotation \
              `bsql.dev/instance-connection-name: project:region:instance`"
            ]
        );
    }

    #[test]
    fn engines_from_the_most_to_the_least_certain() {
        for (annotations, spec_type, tags, expected) in [
            (
                json!({ "bsql.dev/engine": "mysql" }),
                "postgres",
                json!(["postgresql"]),
                Some(Engine::MySql),
            ),
            (
                json!({ "backtostage.app/google-sql-database-version": "SQLSERVER_2022_WEB" }),
                "postgres",
                json!([]),
                Some(Engine::SqlServer),
            ),
            (
                json!({}),
                "mysql",
                json!(["postgresql"]),
                Some(Engine::MySql),
            ),
            (
                json!({}),
                "database",
                json!(["cloudsql", "postgresql"]),
                Some(Engine::Postgres),
            ),
            (json!({}), "database", json!(["cloudsql"]), None),
        ] {
            let mut entity = entity(
                &annotations,
                &["https://console.cloud.google.com/sql/instances/i?project=p"],
            );
            entity.spec.insert("type".to_owned(), json!(spec_type));
            entity.metadata.tags = serde_json::from_value(tags).unwrap();
            assert_eq!(
                DatabaseTarget::try_from(&entity).unwrap().engine,
                expected,
                "{annotations}"
            );
        }
    }

    #[test]
    fn instances_named_directly() {
        let target = DatabaseTarget::from_connection_name("example.com:p:r:i").unwrap();
        assert_eq!(target.instance.to_string(), "example.com:p:r:i");
        assert_eq!(target.entity_ref, None);
        assert_eq!(target.database_on(Engine::Postgres), Some("postgres"));
        assert_eq!(target.database_on(Engine::MySql), None);
        for name in [
            "payments",
            "resource:payments",
            "resource:default/payments",
            "a:b/c:d",
            "payments@staging",
        ] {
            assert_eq!(DatabaseTarget::from_connection_name(name), None, "{name}");
        }
    }
}
