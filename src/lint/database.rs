//! What makes an entity a database that can be connected to: the annotation contract.

use super::document::Document;
use super::finding::{
    ENGINE_CONTRADICTION, ENGINE_UNKNOWN, ENVIRONMENT_CONTRADICTION, ENVIRONMENT_DOUBTFUL,
    ENVIRONMENT_MISSING, ENVIRONMENT_UNKNOWN, INSTANCE_CONTRADICTION, INSTANCE_IN_LABEL,
    INSTANCE_MALFORMED, INSTANCE_MISSING, IP_TYPE_UNKNOWN, LABEL, NOT_TEXT, OWNER_MISSING, Span,
    UNKNOWN_ANNOTATION,
};
use super::form::is_placeholder;
use super::{secrets, shown};
use crate::catalog::{Conventions, Entity};
use crate::cloudsql::{Engine, InstanceConnectionName, InstanceDnsName, InstanceLocator, IpType};
use crate::target::{
    DATABASE, DatabaseTarget, ENGINE, IMPORTED_PROJECT, IMPORTED_VERSION, INSTANCE, IP_TYPE,
    PROJECT,
};

/// bsql's own annotations begin so.
const OWN: &str = "bsql.dev/";
/// Each is an entity of its own to check, and no company has as many.
const MOST_ENVIRONMENTS: usize = 32;
/// More alike than this, a word is taken for a slip of the pen.
const ALIKE: f64 = 0.8;

/// Checks an entity against the contract. Says whether it is a database.
pub(super) fn check(
    document: &mut Document<'_>,
    entity: &Entity,
    conventions: &Conventions,
) -> bool {
    unknown_annotations(document, conventions);
    in_labels(document, conventions);
    let environments = per_environment(entity, conventions);
    let is_database = conventions.is_database(entity);
    if !is_database && environments.is_empty() {
        return false;
    }
    let owner = document.spec("owner");
    let is_open = owner
        .and_then(|(_, value)| value.text())
        .is_some_and(is_placeholder);
    if entity.owner().is_none() && !is_open {
        let span = owner.map_or_else(|| document.name_span(), |(key, _)| key.span);
        document.add(
            &OWNER_MISSING,
            span,
            "nobody owns this database".to_owned(),
            "add `spec.owner`, for example `owner: group:default/payments`: who is refused asks them",
        );
    }
    let names_instance = conventions
        .instance_annotations
        .iter()
        .any(|key| entity.annotation(key).is_some());
    if environments.is_empty() || names_instance {
        let plain = View {
            entity,
            conventions,
            environment: None,
        };
        plain.check(document);
    }
    if environments.is_empty() {
        environment(document, entity, conventions);
    }
    for environment in environments {
        let of_environment = overlaid(entity, &environment);
        let view = View {
            entity: &of_environment,
            conventions,
            environment: Some(&environment),
        };
        view.check(document);
    }
    true
}

/// The parts of the contract that bsql's own annotations hold.
fn own_keys(conventions: &Conventions) -> Vec<&str> {
    let own = [PROJECT, INSTANCE, DATABASE, ENGINE, IP_TYPE];
    let instance = conventions.instance_annotations.iter().map(String::as_str);
    instance
        .chain(own)
        .chain(conventions.environments.keys())
        .filter(|key| key.starts_with(OWN))
        .collect()
}

/// `staging` and the plain key, for `bsql.dev/staging.database`.
fn split_environment<'a>(key: &'a str, conventions: &Conventions) -> Option<(&'a str, String)> {
    let (environment, part) = key.strip_prefix(OWN)?.split_once('.')?;
    let plain = format!("{OWN}{part}");
    let is_known = own_keys(conventions).contains(&plain.as_str());
    let mut of_environments = conventions.environments.keys();
    (is_known && !of_environments.any(|key| key == plain)).then_some((environment, plain))
}

/// The environments that annotations like `bsql.dev/staging.instance-connection-name` are for.
fn per_environment(entity: &Entity, conventions: &Conventions) -> Vec<String> {
    let keys = entity.metadata.annotations.keys();
    let mut found: Vec<String> = keys
        .filter_map(|key| split_environment(key, conventions))
        .map(|(environment, _)| environment.to_owned())
        .collect();
    found.dedup();
    found.truncate(MOST_ENVIRONMENTS);
    found
}

/// The entity as it is in one of its environments.
fn overlaid(entity: &Entity, environment: &str) -> Entity {
    let mut overlaid = entity.clone();
    let annotations = &mut overlaid.metadata.annotations;
    let prefix = format!("{OWN}{environment}.");
    let of_environment: Vec<(String, String)> = annotations
        .iter()
        .filter_map(|(key, value)| {
            let part = key.strip_prefix(&prefix)?;
            Some((format!("{OWN}{part}"), value.clone()))
        })
        .collect();
    annotations.extend(of_environment);
    overlaid
}

fn unknown_annotations(document: &mut Document<'_>, conventions: &Conventions) {
    let known = own_keys(conventions);
    for (key, _) in document.annotations() {
        let Some(text) = key.text().filter(|text| text.starts_with(OWN)) else {
            continue;
        };
        if is_placeholder(text) || known.contains(&text) {
            continue;
        }
        if let Some((environment, _)) = split_environment(text, conventions) {
            if conventions.environments.known(environment).is_none() {
                let message = format!("`{}` is not a known environment", shown(environment));
                let fix = nearest_environment(environment, conventions);
                document.add(&ENVIRONMENT_UNKNOWN, key.span, message, fix);
            }
            continue;
        }
        let part = text.rsplit(['/', '.']).next().unwrap_or(text);
        let nearest = known
            .iter()
            .map(|known| (strsim::jaro_winkler(part, &known[OWN.len()..]), *known))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .filter(|(alike, _)| *alike > ALIKE);
        let fix = match nearest {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => format!("remove it, or use one of: {}", known.join(", ")),
        };
        let message = format!("bsql does not know the annotation `{}`", shown(text));
        document.add(&UNKNOWN_ANNOTATION, key.span, message, fix);
    }
}

/// Labels that hold a connection name, or would.
fn in_labels(document: &mut Document<'_>, conventions: &Conventions) {
    for (key, value) in document.labels() {
        let (Some(key_text), Some(text)) = (key.text(), value.text()) else {
            continue;
        };
        let is_name = text.parse::<InstanceConnectionName>().is_ok();
        let is_key = conventions
            .instance_annotations
            .iter()
            .any(|known| known == key_text);
        if !is_name && !is_key {
            continue;
        }
        document.retract(&LABEL, value.span);
        let annotation = conventions
            .instance_annotations
            .first()
            .map_or(INSTANCE, String::as_str);
        document.add(
            &INSTANCE_IN_LABEL,
            if is_name { value.span } else { key.span },
            format!(
                "label `{}` cannot hold a connection name: labels have no colons",
                shown(key_text)
            ),
            format!("move it to `metadata.annotations`, as `{annotation}`"),
        );
    }
}

/// An entity, or what it is in one of its environments.
struct View<'a> {
    entity: &'a Entity,
    conventions: &'a Conventions,
    environment: Option<&'a str>,
}

/// A value of an annotation.
struct Said<'a> {
    /// The key as it is written.
    key: String,
    value: &'a str,
    span: Span,
}

impl View<'_> {
    /// The annotation as it is written for this environment.
    fn said<'v>(&'v self, key: &str, document: &Document<'_>) -> Option<Said<'v>> {
        let value = self.entity.annotation(key)?;
        let of_environment = self.environment.and_then(|environment| {
            let part = key.strip_prefix(OWN)?;
            document.annotation(&format!("{OWN}{environment}.{part}"))
        });
        // What is not the environment's own is looked at once, with the plain ones.
        let (written, node) = match self.environment {
            Some(_) => of_environment?,
            None => document.annotation(key)?,
        };
        Some(Said {
            key: written.text()?.to_owned(),
            value,
            span: node.span,
        })
    }

    fn check(&self, document: &mut Document<'_>) {
        let instances = self.instances(document);
        self.value::<Engine>(
            document,
            ENGINE,
            &ENGINE_UNKNOWN,
            &["postgres", "mysql", "sqlserver"],
        );
        self.value::<IpType>(
            document,
            IP_TYPE,
            &IP_TYPE_UNKNOWN,
            &["public", "private", "psc", "auto"],
        );
        self.engines(document);
        self.doubtful_environment(document, &instances);
        self.readable(document);
    }

    /// The instances that annotations name, and where. Malformed ones are found here.
    fn instances(&self, document: &mut Document<'_>) -> Vec<(InstanceLocator, String, Span)> {
        let mut named: Vec<(InstanceLocator, String, Span)> = Vec::new();
        for key in &self.conventions.instance_annotations {
            let Some(said) = self.said(key, document) else {
                continue;
            };
            if is_placeholder(said.value) {
                continue;
            }
            match said.value.parse::<InstanceConnectionName>() {
                Ok(name) => named.push((name.into(), said.key, said.span)),
                Err(error) => {
                    let mut message =
                        format!("annotation `{}` is `{}`", said.key, shown(said.value));
                    // Its parts alone would no longer be seen to be secret.
                    if !secrets::has_any(said.value) {
                        message = format!("{message}: {}", shown(&error.causes().join(", ")));
                    }
                    let fix = if said.value.parse::<InstanceDnsName>().is_ok() {
                        "write `project:region:instance`; DNS names are for the command line"
                    } else {
                        "write `project:region:instance`, as `gcloud sql instances describe` shows it"
                    };
                    document.add(&INSTANCE_MALFORMED, said.span, message, fix);
                }
            }
        }
        let (project, instance) = (self.said(PROJECT, document), self.said(INSTANCE, document));
        let whole = named.is_empty() && self.environment.is_none();
        match (project, instance) {
            (Some(project), Some(instance)) => {
                let is_open = is_placeholder(project.value) || is_placeholder(instance.value);
                match InstanceLocator::without_region(project.value, instance.value) {
                    _ if is_open => (),
                    Ok(locator) => named.push((locator, instance.key, instance.span)),
                    Err(error) => document.add(
                        &INSTANCE_MALFORMED,
                        instance.span,
                        shown(&error.to_string()),
                        "write the project's id and the instance's id",
                    ),
                }
            }
            (Some(said), None) | (None, Some(said)) if whole => {
                let other = if said.key == PROJECT {
                    INSTANCE
                } else {
                    PROJECT
                };
                document.add(
                    &INSTANCE_MALFORMED,
                    said.span,
                    format!("annotation `{}` means nothing without `{other}`", said.key),
                    format!("add `{other}`"),
                );
            }
            // Beside a connection name it may still say something else.
            (Some(said), None) => contradicts(document, &named, &said, |it| it.project()),
            (None, Some(said)) => contradicts(document, &named, &said, |it| it.instance()),
            (None, None) => (),
        }
        if let Some(said) = self.said(IMPORTED_PROJECT, document) {
            contradicts(document, &named, &said, |it| it.project());
        }
        if let [(first, first_key, _), others @ ..] = named.as_slice() {
            for (other, key, span) in others {
                let regions_differ = matches!(
                    (first.region(), other.region()), (Some(one), Some(other)) if one != other
                );
                let same = first.project() == other.project()
                    && first.instance() == other.instance()
                    && !regions_differ;
                if !same {
                    document.add(
                        &INSTANCE_CONTRADICTION,
                        *span,
                        format!("`{key}` says `{other}`, but `{first_key}` says `{first}`"),
                        format!("keep the right one; `{first_key}` is what bsql reads"),
                    );
                }
            }
        }
        named
    }

    fn value<T: std::str::FromStr>(
        &self,
        document: &mut Document<'_>,
        key: &str,
        rule: &'static super::Rule,
        values: &[&str],
    ) {
        let Some(said) = self.said(key, document) else {
            return;
        };
        if is_placeholder(said.value) || said.value.parse::<T>().is_ok() {
            return;
        }
        let message = format!(
            "annotation `{}` cannot be `{}`",
            said.key,
            shown(said.value)
        );
        let fix = match nearest(said.value, values.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("use one of: {}", values.join(", ")),
        };
        document.add(rule, said.span, message, fix);
    }

    /// The engine by annotation, importer, type and tags, where these differ.
    fn engines(&self, document: &mut Document<'_>) {
        let Some(said) = self.said(ENGINE, document) else {
            return;
        };
        let Ok(engine) = said.value.parse::<Engine>() else {
            return;
        };
        let entity = self.entity;
        let imported = entity
            .annotation(IMPORTED_VERSION)
            .and_then(Engine::of_version);
        let by_type = entity.spec_type().and_then(|text| text.parse().ok());
        let by_tag = entity
            .metadata
            .tags
            .iter()
            .filter_map(|tag| tag.parse().ok());
        let others = imported
            .map(|engine| (format!("annotation `{IMPORTED_VERSION}`"), engine))
            .into_iter()
            .chain(by_type.map(|engine| ("`spec.type`".to_owned(), engine)))
            .chain(by_tag.map(|engine| ("a tag".to_owned(), engine)));
        if let Some((place, other)) = others.into_iter().find(|(_, other)| *other != engine) {
            document.add(
                &ENGINE_CONTRADICTION,
                said.span,
                format!(
                    "annotation `{}` says {engine}, but {place} says {other}",
                    said.key
                ),
                "mend the wrong one; the annotation is what bsql reads",
            );
        }
    }

    /// A project like `acme-staging` below the label `production`.
    fn doubtful_environment(
        &self,
        document: &mut Document<'_>,
        instances: &[(InstanceLocator, String, Span)],
    ) {
        let environments = &self.conventions.environments;
        let own = match self.environment {
            Some(environment) => environments.known(environment).map(str::to_owned),
            None => environments.of(self.entity),
        };
        let (Some(own), Some((instance, key, span))) = (own, instances.first()) else {
            return;
        };
        for part in [instance.project(), instance.instance()] {
            if let Some((_, theirs)) = environments.split_name(part)
                && theirs != own
                && environments.known(&own).is_some()
            {
                document.add(
                    &ENVIRONMENT_DOUBTFUL,
                    *span,
                    format!("the database is `{}`, but `{key}` is on `{part}`, which looks like `{theirs}`", shown(&own)),
                    "check both: prompts and guard rails follow the environment",
                );
                return;
            }
        }
    }

    /// Whether bsql can read it, which is what counts. What the rules above have found is not said twice.
    fn readable(&self, document: &mut Document<'_>) {
        let found = [
            &INSTANCE_MALFORMED,
            &INSTANCE_IN_LABEL,
            &ENGINE_UNKNOWN,
            &IP_TYPE_UNKNOWN,
            &NOT_TEXT,
        ];
        let is_open = |(key, value): (&String, &String)| key.contains('/') && is_placeholder(value);
        let annotations = &self.entity.metadata.annotations;
        if document.has_found(&found) || annotations.iter().any(is_open) {
            return;
        }
        if let Err(error) = DatabaseTarget::from_entity(self.entity, self.conventions) {
            let causes = error.causes().join(", ");
            let environment = self
                .environment
                .map(|environment| format!("in environment `{}`: ", shown(environment)));
            let message = format!(
                "{}{}: {}",
                environment.unwrap_or_default(),
                shown(&error.to_string()),
                shown(&causes)
            );
            let annotation = self
                .conventions
                .instance_annotations
                .first()
                .map_or(INSTANCE, String::as_str);
            let span = document.annotations_span();
            document.add(
                &INSTANCE_MISSING,
                span,
                message,
                format!("add the annotation `{annotation}: project:region:instance`"),
            );
        }
    }
}

/// A part of a name that is said beside the whole of it, and differently.
fn contradicts(
    document: &mut Document<'_>,
    named: &[(InstanceLocator, String, Span)],
    said: &Said<'_>,
    part: impl Fn(&InstanceLocator) -> &str,
) {
    let Some((first, key, _)) = named.first() else {
        return;
    };
    if part(first) != said.value && !is_placeholder(said.value) {
        document.add(
            &INSTANCE_CONTRADICTION,
            said.span,
            format!(
                "`{}` says `{}`, but `{key}` says `{first}`",
                said.key,
                shown(said.value)
            ),
            format!("keep the right one; `{key}` is what bsql reads"),
        );
    }
}

/// Which environment it is, by everything that says one.
fn environment(document: &mut Document<'_>, entity: &Entity, conventions: &Conventions) {
    let environments = &conventions.environments;
    let mut said: Vec<(String, String, Span)> = Vec::new();
    // In the order in which they are read.
    for key in environments.keys() {
        let label = document
            .labels()
            .iter()
            .find(|(found, _)| found.text() == Some(key));
        let places = [("label", label), ("annotation", document.annotation(key))];
        for (what, place) in places {
            if let Some((_, value)) = place
                && let Some(text) = value.text()
            {
                said.push((format!("{what} `{key}`"), text.to_owned(), value.span));
            }
        }
    }
    said.retain(|(_, text, _)| !text.trim().is_empty() && !is_placeholder(text));
    for (what, text, span) in &said {
        if environments.known(text.trim()).is_none() {
            let message = format!(
                "{what} is `{}`, which is not a known environment",
                shown(text)
            );
            let fix = nearest_environment(text.trim(), conventions);
            document.add(&ENVIRONMENT_UNKNOWN, *span, message, fix);
        }
    }
    let name_span = document.name_span();
    let (name, namespace) = (&entity.metadata.name, entity.metadata.namespace.as_deref());
    for tag in &entity.metadata.tags {
        said.push((format!("tag `{}`", shown(tag)), tag.clone(), name_span));
    }
    if let Some((_, found)) = environments.split_name(name) {
        said.push((
            format!("the name `{}`", shown(name)),
            found.to_owned(),
            name_span,
        ));
    }
    if let Some(namespace) = namespace {
        let split = environments.split_name(namespace).map(|(_, found)| found);
        let found = environments.known(namespace).or(split);
        said.extend(found.map(|found| {
            let what = format!("the namespace `{}`", shown(namespace));
            (what, found.to_owned(), name_span)
        }));
    }
    let known: Vec<(&String, &str, Span)> = said
        .iter()
        .filter_map(|(what, text, span)| Some((what, environments.known(text.trim())?, *span)))
        .collect();
    if let Some((first, environment, span)) = known.first() {
        if let Some((other, differs, _)) = known.iter().find(|(_, other, _)| other != environment) {
            document.add(
                &ENVIRONMENT_CONTRADICTION,
                *span,
                format!("{first} says `{environment}`, but {other} says `{differs}`"),
                "mend the wrong one: prompts and guard rails follow the environment",
            );
        }
    } else if environments.of(entity).is_none() && !open_environment(entity, conventions) {
        document.add(
            &ENVIRONMENT_MISSING,
            name_span,
            "nothing says which environment this database is".to_owned(),
            format!(
                "add the label `{}: …`, one of: {}",
                environments.keys().next().unwrap_or("environment"),
                environments.names().join(", ")
            ),
        );
    }
}

/// Whether a template engine has yet to write what may say the environment.
fn open_environment(entity: &Entity, conventions: &Conventions) -> bool {
    let mut said = conventions
        .environments
        .keys()
        .filter_map(|key| entity.label(key).or_else(|| entity.annotation(key)));
    said.any(is_placeholder) || is_placeholder(&entity.metadata.name)
}

fn nearest_environment(word: &str, conventions: &Conventions) -> String {
    let names = conventions.environments.names();
    match nearest(word, names.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!(
            "use one of: {}, or add it to `catalog.environments`",
            names.join(", ")
        ),
    }
}

fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
