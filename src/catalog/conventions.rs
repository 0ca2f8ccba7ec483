//! How a company writes databases into its catalog. Backstage itself has no words for databases, instances or
//! environments, so these are conventions; docs/catalog.md is for the people who keep the catalog.

use super::entity::{Entity, Metadata};

/// Annotations that hold `project:region:instance`, the first hit wins. bsql's own comes first; nobody else had one to
/// follow.
const INSTANCE_ANNOTATIONS: [&str; 3] = [
    "bsql.dev/instance-connection-name",
    "cloudsql.google.com/instance-connection-name",
    "google.com/cloudsql-instance",
];

/// Values of `spec.type` seen in the wild: `database` is Backstage's example, `CloudSQL` what the one importer of Cloud
/// SQL instances writes (@backtostage/plugin-catalog-backend-module-gcp). The API compares without regard to case.
const DATABASE_TYPES: [&str; 8] = [
    "database",
    "cloudsql",
    "cloud-sql",
    "gcp-cloudsql",
    "google-cloud-sql",
    "postgres",
    "postgresql",
    "mysql",
];

/// What bsql's own annotations start with.
pub(super) const PREFIX: &str = "bsql.dev/";

/// Labels and annotations that hold the environment, the first hit wins.
const ENVIRONMENT_KEYS: [&str; 3] = ["environment", "env", "bsql.dev/environment"];

/// Other annotations that only a Cloud SQL instance has, see [`crate::target`].
const INSTANCE_PART_ANNOTATIONS: [&str; 2] = [
    "bsql.dev/instance",
    "backtostage.app/google-sql-database-version",
];

/// The importer's default.
const IMPORTER_SUFFIX: &str = "-cloudsql";

/// Words that mean the same environment.
const SAME_ENVIRONMENT: [&[&str]; 6] = [
    &["production", "prod", "prd", "live"],
    &["staging", "stage", "stg"],
    &["development", "dev", "develop"],
    &["testing", "test", "tst"],
    &["integration", "int"],
    &["acceptance", "acc", "uat"],
];

/// Last parts of names that say what it is and not where.
const NOT_ENVIRONMENTS: [&str; 8] = [
    "db",
    "database",
    "sql",
    "cloudsql",
    "postgres",
    "postgresql",
    "pg",
    "mysql",
];

/// How databases are written into the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conventions {
    /// Annotations that hold `project:region:instance`, the first hit wins.
    pub instance_annotations: Vec<String>,
    /// Values of `spec.type` that make a Resource a database.
    pub database_types: Vec<String>,
    /// The environments there are.
    pub environments: Environments,
    /// What the importer of Cloud SQL instances puts behind their names.
    pub importer_suffix: String,
    /// Whether people own what the groups above theirs own.
    pub include_parent_groups: bool,
}

impl Default for Conventions {
    fn default() -> Self {
        Self {
            instance_annotations: INSTANCE_ANNOTATIONS.map(str::to_owned).to_vec(),
            database_types: DATABASE_TYPES.map(str::to_owned).to_vec(),
            environments: Environments::default(),
            importer_suffix: IMPORTER_SUFFIX.to_owned(),
            include_parent_groups: false,
        }
    }
}

impl Conventions {
    /// Whether an entity is a database: a Resource of a database's type, or anything that says which instance it is.
    pub fn is_database(&self, entity: &Entity) -> bool {
        let typed = entity.is_kind("resource")
            && entity.spec_type().is_some_and(|found| {
                let types = &self.database_types;
                types.iter().any(|known| known.eq_ignore_ascii_case(found))
            });
        typed || self.names_instance(entity)
    }

    /// Whether an annotation says which instance it is.
    pub(super) fn names_instance(&self, entity: &Entity) -> bool {
        self.telling_annotations()
            .any(|key| entity.annotation(key).is_some())
    }

    /// The environment that an annotation such as `bsql.dev/staging.instance-connection-name` is about, and what it says
    /// of it.
    pub(super) fn of_environment<'a>(&self, key: &'a str) -> Option<(String, &'a str)> {
        let (environment, what) = key.strip_prefix(PREFIX)?.split_once('.')?;
        let named = || (self.environments.named(environment), what);
        (!environment.is_empty()).then(named)
    }

    /// The annotations any of which makes an entity a database.
    pub(super) fn telling_annotations(&self) -> impl Iterator<Item = &str> {
        self.instance_annotations
            .iter()
            .map(String::as_str)
            .chain(INSTANCE_PART_ANNOTATIONS)
    }
}

/// The names of a company's environments, for example `staging`.
///
/// Usual short forms are understood: guard rails for `production` must hold for what is labelled `prod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environments {
    names: Vec<String>,
    keys: Vec<String>,
}

impl Default for Environments {
    fn default() -> Self {
        Self::new(["development", "staging", "production"])
    }
}

impl Environments {
    /// These environments.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(|name| name.into().to_lowercase());
        Self {
            names: names.collect(),
            keys: ENVIRONMENT_KEYS.map(str::to_owned).to_vec(),
        }
    }

    /// These environments, read from other labels and annotations than the usual ones; the first hit wins.
    #[must_use]
    pub fn read_from(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// The labels and annotations that hold the environment, in the order in which they are read.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The environment that `word` is a name or a short form of.
    pub fn known(&self, word: &str) -> Option<&str> {
        let same_as = |name: &str| {
            name.eq_ignore_ascii_case(word)
                || SAME_ENVIRONMENT.iter().any(|words| {
                    let says =
                        |text: &str| words.iter().any(|known| known.eq_ignore_ascii_case(text));
                    says(name) && says(word)
                })
        };
        self.names
            .iter()
            .find(|name| name.eq_ignore_ascii_case(word))
            .or_else(|| self.names.iter().find(|name| same_as(name)))
            .map(String::as_str)
    }

    /// The environment that somebody meant by `word`, be it known or not.
    pub fn named(&self, word: &str) -> String {
        let word = word.trim();
        self.known(word)
            .map_or_else(|| word.to_lowercase(), str::to_owned)
    }

    /// All words for an environment, its own name first.
    pub(super) fn words_for<'a>(&self, environment: &'a str) -> impl Iterator<Item = &'a str> {
        let same = SAME_ENVIRONMENT
            .iter()
            .filter(move |words| {
                words
                    .iter()
                    .any(|word| word.eq_ignore_ascii_case(environment))
            })
            .flat_map(|words| words.iter().copied())
            .filter(|word| self.known(word) == Some(environment) && *word != environment);
        let same: Vec<&str> = same.collect();
        std::iter::once(environment).chain(same)
    }

    /// Writes the environment to where [`of`](Self::of) reads it first.
    pub(super) fn set(&self, metadata: &mut Metadata, environment: &str) {
        let key = self
            .keys
            .first()
            .map_or(ENVIRONMENT_KEYS[0], String::as_str);
        metadata
            .labels
            .insert(key.to_owned(), environment.to_owned());
    }

    /// The environment of an entity. Backstage's model has none; the first of these that says something wins: a label or an
    /// annotation with one of the keys for it, by default `environment`, `env` and `bsql.dev/environment`, a tag, the end
    /// of the name, the namespace.
    ///
    /// Labels and annotations may say anything. The others are read only as far as they name a known environment. What says
    /// two environments at once says none.
    pub fn of(&self, entity: &Entity) -> Option<String> {
        let mut keys = self.keys();
        let stated = keys.find_map(|key| entity.label(key).or_else(|| entity.annotation(key)));
        if let Some(stated) = stated {
            return Some(self.named(stated));
        }
        let namespace = entity.metadata.namespace.as_deref().unwrap_or_default();
        self.tagged(&entity.metadata.tags)
            .or_else(|| {
                self.split_name(&entity.metadata.name)
                    .map(|(_, found)| found)
            })
            .or_else(|| self.known(namespace))
            .or_else(|| self.split_name(namespace).map(|(_, found)| found))
            .map(str::to_owned)
    }

    fn tagged(&self, tags: &[String]) -> Option<&str> {
        let mut found = tags.iter().filter_map(|tag| self.known(tag));
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }

    /// Splits `payments-staging` into `payments` and `staging`. An ending like `-db` behind the environment is left out.
    pub(crate) fn split_name<'a>(&self, name: &'a str) -> Option<(&'a str, &str)> {
        let (before, last) = name.rsplit_once(['-', '_', '.'])?;
        if let Some(environment) = self.known(last) {
            return (!before.is_empty()).then_some((before, environment));
        }
        let says_what = NOT_ENVIRONMENTS
            .iter()
            .any(|word| word.eq_ignore_ascii_case(last));
        let (before, last) = before.rsplit_once(['-', '_', '.']).filter(|_| says_what)?;
        let environment = self.known(last)?;
        (!before.is_empty()).then_some((before, environment))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resource(name: &str, extra: &Value) -> Entity {
        let mut metadata = json!({ "name": name });
        for (key, value) in extra.as_object().unwrap() {
            metadata[key] = value.clone();
        }
        serde_json::from_value(json!({ "kind": "Resource", "metadata": metadata })).unwrap()
    }

    #[test]
    fn where_an_environment_is_read_from() {
        let environments = Environments::default();
        for (name, extra, expected) in [
            ("payments", json!({}), None),
            (
                "payments",
                json!({ "labels": { "environment": "Staging" } }),
                Some("staging"),
            ),
            (
                "payments",
                json!({ "labels": { "env": "prod" } }),
                Some("production"),
            ),
            (
                "payments",
                json!({ "labels": { "env": "Canary" } }),
                Some("canary"),
            ),
            (
                "payments-staging",
                json!({ "labels": { "environment": "production", "env": "dev" } }),
                Some("production"),
            ),
            (
                "x",
                json!({ "annotations": { "bsql.dev/environment": "stg" } }),
                Some("staging"),
            ),
            (
                "x-dev",
                json!({ "tags": ["postgresql", "prod"] }),
                Some("production"),
            ),
            (
                "x",
                json!({ "tags": ["prod", "production"] }),
                Some("production"),
            ),
            ("x", json!({ "tags": ["prod", "staging"] }), None),
            ("payments-staging", json!({}), Some("staging")),
            ("payments_prd", json!({}), Some("production")),
            ("payments-dev-cloudsql", json!({}), Some("development")),
            ("payments-db", json!({}), None),
            ("dev-portal", json!({}), None),
            ("-staging", json!({}), None),
            ("staging", json!({}), None),
            (
                "payments",
                json!({ "namespace": "production" }),
                Some("production"),
            ),
            (
                "payments",
                json!({ "namespace": "team-a-prod" }),
                Some("production"),
            ),
            ("payments", json!({ "namespace": "team-a" }), None),
        ] {
            let entity = resource(name, &extra);
            assert_eq!(
                environments.of(&entity).as_deref(),
                expected,
                "{name} {extra}"
            );
        }
    }

    #[test]
    fn a_companys_own_keys() {
        let environments = Environments::default().read_from(["acme.example/stage", "tier"]);
        for (extra, expected) in [
            (json!({ "labels": { "environment": "production" } }), None),
            (
                json!({ "labels": { "tier": "prod" }, "annotations": { "acme.example/stage": "stg" } }),
                Some("staging"),
            ),
            (json!({ "labels": { "tier": "prod" } }), Some("production")),
        ] {
            let found = environments.of(&resource("payments", &extra));
            assert_eq!(found.as_deref(), expected, "{extra}");
        }
        let words: Vec<&str> = environments.words_for("production").collect();
        assert_eq!(words, ["production", "prod", "prd", "live"]);
        let words: Vec<&str> = environments.words_for("blue").collect();
        assert_eq!(words, ["blue"]);
        // Two environments of one meaning are two environments.
        let both = Environments::new(["prod", "live"]);
        let words: Vec<&str> = both.words_for("live").collect();
        assert_eq!(words, ["live"]);
    }

    #[test]
    fn a_companys_own_names() {
        let environments = Environments::new(["Prod", "live", "qa"]);
        for (word, expected) in [
            ("production", Some("prod")),
            ("LIVE", Some("live")),
            ("QA", Some("qa")),
            ("staging", None),
        ] {
            assert_eq!(environments.known(word), expected, "{word}");
        }
        assert_eq!(environments.named(" Blue "), "blue");
    }

    #[test]
    fn what_is_a_database() {
        let conventions = Conventions::default();
        let entity = |kind: &str, spec_type: &str, annotation: &str| -> Entity {
            serde_json::from_value(json!({
                "kind": kind,
                "metadata": { "name": "x", "annotations": { annotation: "y" } },
                "spec": { "type": spec_type },
            }))
            .unwrap()
        };
        for (kind, spec_type, annotation, expected) in [
            ("Resource", "database", "other", true),
            ("resource", "CloudSQL", "other", true),
            ("Resource", "s3-bucket", "other", false),
            ("Component", "database", "other", false),
            (
                "Component",
                "service",
                "bsql.dev/instance-connection-name",
                true,
            ),
            (
                "Resource",
                "instance",
                "backtostage.app/google-sql-database-version",
                true,
            ),
        ] {
            let found = conventions.is_database(&entity(kind, spec_type, annotation));
            assert_eq!(found, expected, "{kind} {spec_type} {annotation}");
        }
    }
}
