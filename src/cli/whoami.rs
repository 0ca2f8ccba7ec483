//! `bsql whoami`: the person, everywhere.

use serde_json::json;

use super::OutputOne;
use super::login::signed_in;
use crate::app::App;
use crate::catalog::Person;
use crate::cloudsql::{CredentialSource as _, Engine, database_user};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::ui::Ui;

/// Say who you are: to the provider, the catalog, Google and the databases
#[derive(Debug, clap::Args)]
pub(crate) struct WhoamiArgs {
    /// How to write it
    #[arg(short, long, default_value = "text")]
    pub(super) output: OutputOne,
}

pub(crate) async fn run(args: WhoamiArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    let claims = app.shutdown().or_interrupted(signed_in(&session)).await?;
    let email = claims.login().to_owned();
    let catalog = app.catalog(&profile, &session)?;
    let asking = app.shutdown().or_interrupted(catalog.person(&email));
    // Who one is does not depend on the catalog: say the rest even when it is down.
    let (person, catalog_problem) = match ui.wait("asking Backstage", asking).await {
        Ok(person) => (person, None),
        Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
        Err(error) => (None, Some(error.to_string())),
    };
    // Nor on Google.
    let asking = app.shutdown().or_interrupted(async {
        let credentials = app.credentials(&profile, &session)?;
        credentials.principal().await
    });
    let (google, google_problem) = match ui.wait("asking Google", asking).await {
        Ok(principal) => (Some(principal), None),
        Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
        Err(error) => (None, Some(error.to_string())),
    };
    let seconds = claims
        .expires_at
        .duration_since(app.clock().now())
        .as_secs()
        .max(0);
    let users: Vec<_> = google
        .iter()
        .flat_map(|principal| {
            [Engine::Postgres, Engine::MySql]
                .map(|engine| (engine, database_user(&principal.login, engine)))
        })
        .collect();
    let store = session.store_name();

    if args.output.is_json() {
        let users: serde_json::Map<_, _> = users
            .iter()
            .map(|(engine, user)| (engine.to_string(), user.clone().into()))
            .collect();
        let value = json!({
            "version": 1,
            "profile": profile.name.as_str(),
            "issuer": claims.issuer,
            "subject": claims.subject,
            "email": claims.email,
            "name": claims.name,
            "catalog_user": person.as_ref().map(|person| person.entity_ref.to_string()),
            "groups": person.as_ref().map(|person| person.groups.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "google_principal": google.as_ref().map(|principal| &principal.member),
            "database_users": users,
            "token_seconds_left": seconds,
            "token_store": store,
        });
        let text = serde_json::to_string_pretty(&value)
            .or_fail(ErrorKind::Internal, || "cannot write JSON")?;
        ui.print(&(text + "\n"))?;
        return Ok(0);
    }

    let mut line = |what: &str, value: &str| ui.print(&format!("{what:<12} {value}\n"));
    let name = claims
        .name
        .as_ref()
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    line("person", &format!("{email}{name}"))?;
    line("profile", &format!("{} at {}", profile.name, claims.issuer))?;
    match (&person, catalog_problem) {
        (Some(person), _) => line("catalog", &catalog_line(person))?,
        (None, Some(problem)) => line("catalog", &format!("not known: {problem}"))?,
        (None, None) => line(
            "catalog",
            &format!("has no user with the address {email}, or you may not see them"),
        )?,
    }
    match (&google, google_problem) {
        (Some(principal), _) => line("google", &principal.member)?,
        (None, problem) => line(
            "google",
            &format!("not known: {}", problem.unwrap_or_default()),
        )?,
    }
    for (engine, user) in &users {
        line(&engine.to_string(), user)?;
    }
    line(
        "signed in",
        &format!(
            "for {} more, then renewed by itself; kept in {store}",
            minutes(seconds)
        ),
    )?;
    Ok(0)
}

fn catalog_line(person: &Person) -> String {
    let groups: Vec<String> = person.groups.iter().map(super::ls::short).collect();
    let groups = if groups.is_empty() {
        "in no group".to_owned()
    } else {
        format!("in {}", groups.join(", "))
    };
    format!("{}, {groups}", person.entity_ref)
}

fn minutes(seconds: i64) -> String {
    match (seconds + 59) / 60 {
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}
