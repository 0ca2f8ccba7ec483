//! `bsql ls`: the databases in the catalog.
//!
//! A listing may hold any number of databases. It is read once to see what fits and how wide the columns are, and once
//! more to write it; only what a QUERY found best is held.

mod found;
mod printer;
mod row;
mod whose;

pub(super) use row::{Link, Row, short};
pub(super) use whose::{Whose, last_signed_in};

use clap_complete::engine::ArgValueCompleter;

use super::Output;
use super::complete;
use super::freshness::FreshnessArgs;
use crate::app::App;
use crate::catalog::{Dated, Freshness, Listing, ago};
use crate::cloudsql::Engine;
use crate::error::Result;
use crate::ui::Ui;

use found::{Filter, Found};
use printer::{Head, Printer};

/// List the databases that you or your teams own
#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    /// Only those with this in their name, title, system or owner; if there are none, those like it
    query: Option<String>,
    /// Those that you or your teams own, which is the default
    #[arg(long, conflicts_with_all = ["owner", "all"])]
    mine: bool,
    /// Every database that you may see
    #[arg(long, conflicts_with = "owner")]
    all: bool,
    /// Those of this group or user, for example group:default/payments; may be repeated
    #[arg(long, value_name = "REF", add = ArgValueCompleter::new(complete::owners))]
    owner: Vec<String>,
    /// With those of the groups above yours
    #[arg(long, conflicts_with_all = ["owner", "all"])]
    parents: bool,
    /// Those of one environment
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::environments))]
    env: Option<String>,
    /// Those of one engine: postgres, mysql or sqlserver
    #[arg(long)]
    engine: Option<Engine>,
    /// Those of one system
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    freshness: FreshnessArgs,
    /// How to write them
    #[arg(short, long, default_value = "table")]
    pub(super) output: Output,
}

pub(crate) async fn run(args: LsArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let mut profile = app.profile(ui)?;
    profile.catalog.include_parent_groups |= args.parents;
    let session = app.session(&profile)?;
    let freshness = args.freshness.freshness();
    let directory = app.directory(&profile, &session, freshness)?;

    let asking = async {
        let whose = if args.all {
            Whose::everybody()
        } else if args.owner.is_empty() {
            Whose::mine(&directory, &session).await?
        } else {
            Whose::of(&args.owner)?
        };
        let whose = match &args.system {
            Some(system) => whose.in_system(system)?,
            None => whose,
        };
        let listing = directory.databases(&whose.selection).await?;
        Ok((whose, listing))
    };
    let (whose, listing) = ui
        .wait(
            "asking Backstage for databases",
            app.shutdown().or_interrupted(asking),
        )
        .await?;

    let conventions = directory.conventions();
    let filter = Filter {
        query: args
            .query
            .as_deref()
            .filter(|query| !query.trim().is_empty()),
        environment: args
            .env
            .as_deref()
            .map(|name| conventions.environments.named(name)),
        engine: args.engine.map(|engine| engine.to_string()),
        limit: args.limit.unwrap_or(usize::MAX),
    };
    let read = |entity: &_| Row::new(entity, conventions, &profile.backstage.web_url);
    let found = Found::look(&listing.value, &filter, read)?;
    let mut printer = Printer::new(ui, args.output);
    printer.begin(
        &Head {
            as_of: listing.as_of,
            from_cache: listing.from_cache,
        },
        |each| found.each(each),
    )?;
    found.each(|row| printer.row(row))?;
    printer.end()?;

    let footer = Footer {
        listing: &listing,
        found: &found,
        whose: &whose,
        args: &args,
        app,
    };
    footer.say(ui);
    Ok(0)
}

/// What there is to say of a list, for people, below it.
struct Footer<'a, R> {
    listing: &'a Dated<Listing>,
    found: &'a Found<'a, R>,
    whose: &'a Whose,
    args: &'a LsArgs,
    app: &'a App,
}

impl<R> Footer<'_, R> {
    fn say(&self, ui: &Ui) {
        let offline = self.args.freshness.freshness() == Freshness::Offline;
        let note = self.listing.note.as_ref().or(self.whose.note.as_ref());
        // Whoever asked for a kept answer need not be warned of it.
        if let Some(note) = note.filter(|_| !offline) {
            ui.warn(note);
        }
        if !matches!(self.args.output, Output::Table | Output::Wide) {
            // Programs get all of what there is to know; that some were left out is known to whoever set a limit.
            return;
        }
        if self.found.only_alike() {
            let query = self.args.query.as_deref().unwrap_or_default();
            let query = crate::error::printable(query);
            ui.status(&format!("nothing has `{query}` in it; these are like it"));
        }
        let mut parts = vec![self.count()];
        if self.listing.from_cache || self.args.output == Output::Wide {
            let now = self.app.clock().now();
            parts.push(age(self.listing, now));
        }
        if self.listing.from_cache && note.is_none() {
            parts.push("`--refresh` asks again".to_owned());
        }
        ui.status(&ui.paint(crate::ui::Paint::Faint, &parts.join(" · ")));
        if self.found.has_problems() {
            ui.hint("`bsql show NAME` says what is wrong with an entry");
        }
        if self.found.shown() < self.found.fitting() {
            let left_out = self.found.fitting() - self.found.shown();
            ui.hint(&format!("--limit left out {left_out}"));
        }
        if self.found.fitting() == 0 && !self.args.all {
            ui.hint("bsql ls --all");
        }
    }

    /// The catalog hides what somebody may not see: that there are none is more than anybody can know.
    fn count(&self) -> String {
        let whose = &self.whose.words;
        let (fitting, all) = (self.found.fitting(), self.listing.value.len());
        match (fitting, all) {
            (_, 0) => format!("no databases {whose}, or none that you may see"),
            (0, 1) => format!("the only database {whose} does not fit"),
            (0, all) => format!("none of the {all} databases {whose} fits"),
            (1, 1) => format!("1 database {whose}"),
            (fitting, all) if fitting == all => format!("{all} databases {whose}"),
            (fitting, all) => format!("{fitting} of {all} databases {whose}"),
        }
    }
}

/// How old an answer is, for people.
pub(super) fn age<T>(answer: &Dated<T>, now: jiff::Timestamp) -> String {
    if !answer.from_cache {
        return "asked just now".to_owned();
    }
    if now.duration_since(answer.as_of) < jiff::SignedDuration::from_mins(1) {
        return "less than a minute old".to_owned();
    }
    let ago = ago(answer.as_of, now);
    format!("{} old", ago.trim_end_matches(" ago"))
}
