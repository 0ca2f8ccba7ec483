//! Bare `bsql`: my databases, those I use most first, and Enter connects.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ls::{Row, Whose, age};
use crate::app::{App, CatalogTokens};
use crate::auth::Session;
use crate::catalog::{Directory, Freshness, Uses, ago};
use crate::config::Profile;
use crate::error::Result;
use crate::ui::Ui;
use crate::ui::picker::{Choice, Picked, Picker, Update};

/// Lets the person choose one of their databases; returns what to type for it, or `None` if they left.
pub(super) async fn run(app: &App, ui: &mut Ui) -> Result<Option<String>> {
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    super::access::signed_in(&session, app, &profile, ui).await?;
    let ask = |freshness| mine(freshness, app, &profile, &session);

    // What is known is there at once, however old; Backstage is asked meanwhile, unless it was a moment ago.
    let (first, ask_now) = match ask(Freshness::Offline).await {
        Ok(first) if !first.choices.is_empty() => (first, true),
        _ => {
            let asking = app.shutdown().or_interrupted(ask(Freshness::Usual));
            let first = ui
                .wait("asking Backstage for your databases", asking)
                .await?;
            (first, false)
        }
    };
    if first.choices.is_empty() {
        ui.status(&first.status);
        ui.hint("bsql ls --all");
        return Ok(None);
    }
    let mut picker = Picker::new(first.choices, "connect", first.status);
    // The first time what is kept will do if it is new enough; after that somebody has pressed a key for it.
    let mut asked = !ask_now;
    let refresh = || {
        let freshness = if asked {
            Freshness::Refresh
        } else {
            Freshness::Usual
        };
        asked = true;
        ask(freshness)
    };
    let picking = ui.pick(&mut picker, ask_now, refresh);
    match app.shutdown().or_interrupted(picking).await? {
        Picked::Chosen(nth) => Ok(Some(picker.choices()[nth].name.clone())),
        Picked::Nothing => Ok(None),
    }
}

async fn mine(
    freshness: Freshness,
    app: &App,
    profile: &Profile,
    session: &Session,
) -> Result<Update> {
    let directory: Directory<CatalogTokens> = app.directory(profile, session, freshness)?;
    let whose = Whose::mine(&directory, session).await?;
    let listing = directory.databases(&whose.selection).await?;
    let mut rows = Vec::with_capacity(listing.value.len());
    for entity in listing.value.entities() {
        let conventions = directory.conventions();
        rows.push(Row::new(&entity?, conventions, &profile.backstage.web_url));
    }
    let (usage, now) = (app.usage(profile).all(), app.clock().now());
    most_used_first(&mut rows, |row| row, &usage, now);
    let status = match &listing.note {
        _ if rows.is_empty() => format!("no databases {}, or none that you may see", whose.words),
        Some(note) if freshness != Freshness::Offline => note.clone(),
        _ => format!("{} · {}", whose.words, age(&listing, now)),
    };
    Ok(Update {
        choices: rows.iter().map(|row| choice(row, &usage, now)).collect(),
        status,
    })
}

/// Those used most first, the others as they were.
pub(super) fn most_used_first<T>(
    items: &mut [T],
    row: impl Fn(&T) -> &Row,
    usage: &BTreeMap<String, Uses>,
    now: Timestamp,
) {
    let frecency = |item: &T| {
        usage
            .get(&row(item).reference)
            .map_or(0.0, |uses| uses.frecency(now))
    };
    items.sort_by(|a, b| {
        frecency(b)
            .partial_cmp(&frecency(a))
            .unwrap_or(Ordering::Equal)
    });
}

/// A database as the picker shows it.
pub(super) fn choice(row: &Row, usage: &BTreeMap<String, Uses>, now: Timestamp) -> Choice {
    let detail =
        |what: &str, value: &Option<String>| value.clone().map(|value| (what.to_owned(), value));
    let used = usage.get(&row.reference).map(|uses| {
        let times = if uses.count == 1 { "once" } else { "times" };
        let count = if uses.count == 1 {
            String::new()
        } else {
            format!("{} ", uses.count)
        };
        format!("{count}{times}, last {}", ago(uses.last, now))
    });
    let details = [
        detail("problem", &row.problem),
        detail("title", &row.title),
        detail("owner", &row.owner),
        detail("environment", &row.environment),
        detail("engine", &row.engine),
        detail("instance", &row.instance),
        detail("database", &row.database),
        detail("about", &row.description),
        detail("used", &used),
    ];
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Choice {
        name: row.name.clone(),
        environment: text(&row.environment),
        is_production: row.environment.as_deref() == Some("production"),
        columns: vec![text(&row.engine), text(&row.short_owner), text(&row.system)],
        about: format!(
            "{} {} {}",
            row.about(),
            text(&row.environment),
            text(&row.engine)
        ),
        details: details.into_iter().flatten().collect(),
    }
}
