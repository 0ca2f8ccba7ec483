//! `bsql show`: everything known of one database.

use serde_json::json;

use super::OutputOne;
use super::login::signed_in;
use super::ls::short;
use crate::app::App;
use crate::catalog::find_database;
use crate::cloudsql::database_user;
use crate::error::{ErrorKind, Result, ResultExt as _, printable};
use crate::target::DatabaseTarget;
use crate::ui::{Paint, Ui};

/// Show everything known of one database
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// A name from the catalog
    name: String,
    /// How to write it
    #[arg(short, long, default_value = "text")]
    pub(super) output: OutputOne,
}

pub(crate) async fn run(args: ShowArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    let claims = app.shutdown().or_interrupted(signed_in(&session)).await?;
    let catalog = app.catalog(&profile, &session)?;
    let finding = app
        .shutdown()
        .or_interrupted(find_database(&catalog, &args.name));
    let entity = ui.wait("asking Backstage", finding).await?;
    let target = DatabaseTarget::from_entity(&entity, catalog.conventions())?;
    let person = claims.email.as_deref().unwrap_or(&claims.subject);
    let user = target.engine.map(|engine| database_user(person, engine));
    let links: Vec<(String, String)> = entity
        .metadata
        .links
        .iter()
        .map(|link| {
            (
                printable(link.title.as_deref().unwrap_or("link")),
                printable(&link.url),
            )
        })
        .collect();

    if args.output.is_json() {
        let value = json!({
            "version": 1,
            "ref": entity.entity_ref().to_string(),
            "title": entity.metadata.title.as_deref().map(printable),
            "description": entity.metadata.description.as_deref().map(printable),
            "owner": entity.owner().map(|owner| owner.to_string()),
            "system": entity.system().map(|system| system.to_string()),
            "environment": target.environment,
            "engine": target.engine.map(|engine| engine.to_string()),
            "instance": target.instance.to_string(),
            "database": target.database,
            "database_user": user,
            "links": links.iter().map(|(title, url)| json!({ "title": title, "url": url })).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&value)
            .or_fail(ErrorKind::Internal, || "cannot write JSON")?;
        ui.print(&(text + "\n"))?;
        return Ok(0);
    }

    let mut lines = vec![("entity", Some(entity.entity_ref().to_string()))];
    lines.extend([
        ("title", entity.metadata.title.as_deref().map(printable)),
        (
            "about",
            entity.metadata.description.as_deref().map(printable),
        ),
        ("owner", entity.owner().as_ref().map(short)),
        ("system", entity.system().as_ref().map(short)),
        ("environment", target.environment.clone()),
        ("engine", target.engine.map(|engine| engine.to_string())),
        ("instance", Some(target.instance.to_string())),
        ("database", target.database.clone()),
        ("you would be", user),
    ]);
    for (what, value) in lines {
        if let Some(value) = value {
            ui.print(&format!("{what:<13} {value}\n"))?;
        }
    }
    for (title, url) in links {
        ui.print(&format!("{:<13} {title}: {url}\n", "link"))?;
    }
    ui.status(&format!(
        "{} bsql connect {}",
        ui.paint(Paint::Faint, "next:"),
        short(&entity.entity_ref())
    ));
    Ok(0)
}
