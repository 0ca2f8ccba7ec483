//! `bsql show`: everything known of one database.

use std::fmt::Write as _;

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;
use url::Url;

use super::OutputOne;
use super::complete;
use super::ls::{Link, Row, age, last_signed_in, short};
use super::named::{Candidates, NamingArgs, candidates, choose, say_note, without_alias};
use super::tunnel;
use super::yaml;
use crate::app::{App, CatalogTokens};
use crate::auth::LoginPrompt as _;
use crate::catalog::{CatalogClient, Conventions, Dated, Entity, EntityRef, Freshness};
use crate::cloudsql::{Engine, database_user};
use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::target::DatabaseTarget;
use crate::ui::{Paint, Ui};

/// Show everything known of one database
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// A name from the catalog
    #[arg(add = ArgValueCompleter::new(complete::databases))]
    name: String,
    /// Open its page in Backstage
    #[arg(long)]
    web: bool,
    #[command(flatten)]
    naming: NamingArgs,
    /// How to write it
    #[arg(short, long, default_value = "text")]
    pub(super) output: OutputOne,
}

pub(crate) async fn run(args: ShowArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    let claims = app
        .shutdown()
        .or_interrupted(last_signed_in(&session))
        .await?;
    let freshness = args.naming.freshness();
    let name = without_alias(&args.name, app, &profile, ui);
    let looking = candidates(&name, &args.naming, freshness, app, &profile, &session);
    let found = ui
        .wait("asking Backstage", app.shutdown().or_interrupted(looking))
        .await?;
    let (found, directory) = match found {
        Candidates::Entities(found, directory) => (found, directory),
        Candidates::Instance(target, _) => {
            return Err(ErrorKind::Usage
                .error(format!(
                    "`{}` is the name of an instance, of which the catalog was not asked",
                    printable(&args.name)
                ))
                .hint(format!("bsql ls --all {}", target.name))
                .hint(format!("bsql connect {}", printable(&args.name))));
        }
    };
    let conventions = directory.conventions();
    let found = choose(&args.name, found, conventions, "show", app, &profile, ui).await?;
    say_note(&found, freshness, ui);
    let mut shown = Shown::new(&found.value, conventions, &profile, claims.login());
    if args.web {
        return open_page(&shown, ui);
    }
    if let Some(owner) = found
        .value
        .owner()
        .filter(|_| freshness != Freshness::Offline)
    {
        shown.owner_title = title_of(&owner, directory.client(), app, ui).await;
    }
    let entity = found.value.entity_ref().to_string();
    match tunnel::of_entity(&entity, profile.name.as_str(), app).await {
        Ok(tunnels) => shown.tunnels = tunnels,
        // What the catalog says is shown all the same.
        Err(error) => ui.warn(&error.to_string()),
    }
    match args.output {
        OutputOne::Json => {
            let text = serde_json::to_string_pretty(&shown)
                .or_fail(ErrorKind::Internal, || "cannot write JSON")?;
            ui.print(&(text + "\n"))?;
        }
        OutputOne::Yaml => {
            let value = serde_json::to_value(&shown)
                .or_fail(ErrorKind::Internal, || "cannot write YAML")?;
            ui.print(&yaml::document(&value))?;
        }
        OutputOne::Text => {
            ui.print(&shown.to_text(ui))?;
            shown.say_what_next(&found, app, ui);
        }
    }
    Ok(0)
}

/// Opens the page, or prints its address where nobody sees a browser.
fn open_page(shown: &Shown, ui: &mut Ui) -> Result<u8> {
    let page = shown
        .row
        .page
        .as_deref()
        .and_then(|page| page.parse::<Url>().ok());
    let page = page.ok_or_else(|| {
        ErrorKind::Config
            .error("cannot tell where Backstage's pages are")
            .hint("set `backstage.web_url`, see docs/configuration.md")
    })?;
    if ui.open_browser(&page) {
        ui.status(&format!("opened {page}"));
    } else {
        ui.print(&format!("{page}\n"))?;
    }
    Ok(0)
}

/// The owner's title and address, which are only worth one request, and no failure.
async fn title_of(
    owner: &EntityRef,
    catalog: &CatalogClient<CatalogTokens>,
    app: &App,
    ui: &Ui,
) -> Option<String> {
    let asking = app.shutdown().or_interrupted(catalog.by_name(owner));
    let entity = ui
        .wait("asking Backstage for the owner", asking)
        .await
        .ok()??;
    let profile = entity.spec.get("profile");
    let field = |name: &str| {
        let text = profile?.get(name)?.as_str()?;
        Some(printable(text)).filter(|text| !text.is_empty())
    };
    let title = entity.metadata.title.as_deref().map(printable);
    let title = field("displayName").or(title);
    match (title, field("email")) {
        (Some(title), Some(email)) => Some(format!("{title} <{email}>")),
        (title, email) => title.or(email),
    }
}

/// Everything known of one database.
#[derive(Debug, Serialize)]
struct Shown {
    version: u32,
    #[serde(flatten)]
    row: Row,
    description: Option<String>,
    lifecycle: Option<String>,
    tags: Vec<String>,
    /// The components that depend on it.
    used_by: Vec<String>,
    /// Where the environment was read from.
    environment_from: Option<String>,
    /// The database user that one would be.
    database_user: Option<String>,
    owner_title: Option<String>,
    /// Those of this user that are open on this machine.
    tunnels: Vec<tunnel::Shown>,
    /// What is wrong with the entry, and what to do about it.
    problems: Vec<Problem>,
    /// Whether one can sign in as oneself, as far as is known.
    #[serde(skip)]
    has_iam_login: bool,
}

#[derive(Debug, Serialize)]
struct Problem {
    what: String,
    why: Vec<String>,
    fix: Vec<String>,
}

impl Problem {
    fn of(error: &Error) -> Self {
        Self {
            what: printable(&error.to_string()),
            why: error.causes().iter().map(|why| printable(why)).collect(),
            fix: error.next_steps().into_iter().map(printable).collect(),
        }
    }
}

impl Shown {
    fn new(entity: &Entity, conventions: &Conventions, profile: &Profile, person: &str) -> Self {
        let row = Row::new(entity, conventions, &profile.backstage.web_url);
        let target = DatabaseTarget::from_entity(entity, conventions);
        let problems = target.as_ref().err().map(Problem::of).into_iter().collect();
        let engine = target.ok().and_then(|target| target.engine);
        let mut used_by: Vec<String> = entity
            .related("dependencyOf")
            .map(|user| printable(&user.to_string()))
            .collect();
        used_by.sort();
        used_by.dedup();
        Self {
            version: 1,
            description: row.description.clone(),
            lifecycle: entity
                .spec
                .get("lifecycle")
                .and_then(|lifecycle| lifecycle.as_str())
                .map(printable),
            tags: entity
                .metadata
                .tags
                .iter()
                .map(|tag| printable(tag))
                .collect(),
            used_by,
            environment_from: environment_source(entity, conventions),
            has_iam_login: engine.is_none_or(Engine::has_iam_login),
            database_user: engine
                .filter(|engine| engine.has_iam_login())
                .map(|engine| printable(&database_user(person, engine))),
            owner_title: None,
            tunnels: Vec::new(),
            problems,
            row,
        }
    }

    fn to_text(&self, ui: &Ui) -> String {
        let row = &self.row;
        let joined = |texts: &[String]| Some(texts.join(", ")).filter(|text| !text.is_empty());
        let with = |value: &Option<String>, more: Option<String>| {
            let value = value.as_ref()?;
            Some(match more {
                Some(more) => format!("{value} ({more})"),
                None => value.clone(),
            })
        };
        let from = self
            .environment_from
            .as_ref()
            .map(|from| format!("from {from}"));
        let mut lines = vec![
            ("entity", Some(row.reference.clone())),
            ("title", row.title.clone()),
            ("about", self.description.clone()),
            ("owner", with(&row.short_owner, self.owner_title.clone())),
            ("system", row.system.clone()),
            ("lifecycle", self.lifecycle.clone()),
            ("tags", joined(&self.tags)),
            ("used by", joined(&self.used_by)),
            ("environment", with(&row.environment, from)),
            ("engine", row.engine.clone()),
            ("instance", row.instance.clone()),
            ("region", row.region.clone()),
            ("database", row.database.clone()),
            ("you would be", self.database_user.clone()),
        ];
        for Link { title, url } in &row.links {
            lines.push(("link", Some(format!("{title}: {url}"))));
        }
        for tunnel in &self.tunnels {
            lines.push(("tunnel", Some(tunnel.line.clone())));
        }
        lines.push(("page", row.page.as_ref().map(|page| ui.link(page, page))));
        let mut text = String::new();
        for (what, value) in lines {
            if let Some(value) = value {
                let _ = writeln!(text, "{what:<13} {value}");
            }
        }
        for problem in &self.problems {
            let what = ui.paint_data(Paint::Warning, &format!("{:<13}", "problem"));
            let _ = writeln!(text, "{what} {}", problem.what);
            for why in &problem.why {
                let _ = writeln!(text, "{:<13} {why}", "");
            }
            for fix in &problem.fix {
                let _ = writeln!(text, "{:<13} {fix}", "fix");
            }
        }
        text
    }

    fn say_what_next(&self, found: &Dated<Entity>, app: &App, ui: &Ui) {
        if found.from_cache {
            let age = age(found, app.clock().now());
            ui.status(&ui.paint(Paint::Faint, &format!("{age} · `--refresh` asks again")));
        }
        if self.problems.is_empty() {
            ui.status(&format!(
                "{} bsql connect {}{}",
                ui.paint(Paint::Faint, "next:"),
                short(&found.value.entity_ref()),
                if self.has_iam_login { "" } else { " -u USER" }
            ));
        }
    }
}

/// Where the environment was read from, in the order of [`crate::catalog::Environments::of`].
fn environment_source(entity: &Entity, conventions: &Conventions) -> Option<String> {
    let environment = conventions.environments.of(entity)?;
    for label in ["environment", "env"] {
        if entity.label(label).is_some() {
            return Some(format!("the label `{label}`"));
        }
    }
    if entity.annotation("bsql.dev/environment").is_some() {
        return Some("the annotation `bsql.dev/environment`".to_owned());
    }
    // Which of the rest it was shows when it is taken away.
    let mut without = entity.clone();
    without.metadata.tags.clear();
    if conventions.environments.of(&without).as_ref() != Some(&environment) {
        return Some("a tag".to_owned());
    }
    "x".clone_into(&mut without.metadata.name);
    if conventions.environments.of(&without).as_ref() != Some(&environment) {
        return Some("its name".to_owned());
    }
    Some("its namespace".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn where_an_environment_comes_from() {
        for (metadata, expected) in [
            (
                json!({ "name": "a", "labels": { "environment": "prod" } }),
                Some("the label `environment`"),
            ),
            (
                json!({ "name": "a", "labels": { "env": "prod" } }),
                Some("the label `env`"),
            ),
            (
                json!({ "name": "a-staging", "annotations": { "bsql.dev/environment": "prod" } }),
                Some("the annotation `bsql.dev/environment`"),
            ),
            (json!({ "name": "a", "tags": ["prod"] }), Some("a tag")),
            (json!({ "name": "a-prod" }), Some("its name")),
            (
                json!({ "name": "a", "namespace": "prod" }),
                Some("its namespace"),
            ),
            (json!({ "name": "a" }), None),
        ] {
            let entity = json!({ "kind": "Resource", "metadata": metadata });
            let entity: Entity = serde_json::from_value(entity).unwrap();
            let source = environment_source(&entity, &Conventions::default());
            assert_eq!(source.as_deref(), expected, "{entity:?}");
        }
    }
}
