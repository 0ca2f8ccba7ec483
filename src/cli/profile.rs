//! `bsql profile`: which companies there are settings for.

use std::fmt::Write as _;

use serde_json::json;

use super::{Output, yaml};
use crate::app::App;
use crate::config::{PROFILE_KEYS, ProfileName, Settings, SettingsFile};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::ui::{Table, Ui, csv_line};

const COLUMNS: [&str; 4] = ["NAME", "IN USE", "ISSUER", "BACKSTAGE"];

/// Choose, see and remove profiles
#[derive(Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    #[command(subcommand)]
    command: ProfileCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ProfileCommand {
    /// List the profiles
    Ls {
        /// How to write them
        #[arg(short, long, default_value = "table")]
        output: Output,
    },
    /// Use a profile from now on
    Use {
        /// The profile
        name: String,
    },
    /// Print what a profile says, and where each value comes from
    Show {
        /// The profile; the one in use if not given
        name: Option<String>,
    },
    /// Remove a profile from your settings
    Rm {
        /// The profile
        name: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Print the path of your settings
    Path,
}

impl ProfileArgs {
    pub(super) fn is_json(&self) -> bool {
        matches!(&self.command, ProfileCommand::Ls { output } if output.is_json())
    }
}

pub(crate) async fn run(args: ProfileArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    match args.command {
        ProfileCommand::Ls { output } => list(output, app, ui)?,
        ProfileCommand::Use { name } => use_profile(&name, app, ui)?,
        ProfileCommand::Show { name } => show(name.as_deref(), app, ui)?,
        ProfileCommand::Rm { name, yes } => remove(&name, yes, app, ui).await?,
        ProfileCommand::Path => ui.print(&format!("{}\n", app.paths().config_file.display()))?,
    }
    Ok(0)
}

/// A text of a profile, as the files say it. A profile that is not complete yet is listed all the same.
fn text<'a>(settings: &'a Settings, name: &str, key: &str) -> &'a str {
    settings
        .find(&["profiles", name], key)
        .and_then(|found| found.value.as_str())
        .unwrap_or_default()
}

fn list(output: Output, app: &App, ui: &mut Ui) -> Result<()> {
    let settings = app.files()?;
    let in_use = app.profile_in_use(&settings).ok();
    let names = settings.profile_names();
    let rows: Vec<[&str; 4]> = names
        .iter()
        .map(|name| {
            let is_used = in_use.as_ref().is_some_and(|used| used.as_str() == name);
            [
                name.as_str(),
                if is_used { "yes" } else { "" },
                text(&settings, name, "identity.issuer"),
                text(&settings, name, "backstage.url"),
            ]
        })
        .collect();
    match output {
        Output::Table | Output::Wide => {
            let mut table = Table::new(COLUMNS);
            for row in &rows {
                table.row(row.iter().copied());
            }
            if !rows.is_empty() {
                ui.print_table(&table)?;
            }
        }
        Output::Name => {
            for name in &names {
                ui.print(&format!("{name}\n"))?;
            }
        }
        Output::Csv => {
            let header = COLUMNS.map(str::to_lowercase);
            let mut lines = csv_line(header.iter().map(|cell| Some(cell.as_str())));
            for row in &rows {
                lines.push_str(&csv_line(row.iter().copied().map(Some)));
            }
            ui.print(&lines)?;
        }
        Output::Json | Output::Yaml => {
            let profiles: Vec<_> = rows
                .iter()
                .map(|[name, used, issuer, backstage]| {
                    json!({
                        "name": name,
                        "in_use": !used.is_empty(),
                        "issuer": issuer,
                        "backstage": backstage,
                    })
                })
                .collect();
            let value = json!({ "version": 1, "profiles": profiles });
            if output == Output::Yaml {
                return ui.print(&yaml::document(&value));
            }
            let text = serde_json::to_string_pretty(&value)
                .or_fail(ErrorKind::Internal, || "cannot write JSON")?;
            ui.print(&(text + "\n"))?;
        }
    }
    if rows.is_empty() {
        ui.status("there are no profiles");
        ui.hint("bsql init https://backstage.YOUR-COMPANY.example");
    } else if in_use.is_none() {
        ui.hint("none of them is the default: bsql profile use NAME");
    }
    Ok(())
}

/// Fails when there is no such profile, and says which there are.
fn known(name: &str, app: &App, settings: &Settings) -> Result<ProfileName> {
    ProfileName::choose(Some(name), app.environment(), settings)
}

fn use_profile(name: &str, app: &App, ui: &Ui) -> Result<()> {
    known(name, app, &app.files()?)?;
    let mut file = SettingsFile::open(&app.paths().config_file)?;
    file.set_default_profile(name);
    file.save()?;
    ui.status(&format!("from now on the profile is `{name}`"));
    if let Some(other) = app.environment().text("BSQL_PROFILE")
        && other != name
    {
        ui.warn(&format!(
            "but the variable BSQL_PROFILE says `{other}`, and it wins"
        ));
    }
    Ok(())
}

fn show(name: Option<&str>, app: &App, ui: &mut Ui) -> Result<()> {
    let mut settings = app.files()?;
    let name = match name {
        Some(name) => known(name, app, &settings)?,
        None => app.profile_in_use(&settings)?,
    };
    if app
        .profile_in_use(&settings)
        .is_ok_and(|in_use| in_use == name)
    {
        settings.add_environment(app.environment(), name.as_str())?;
    }
    let found = PROFILE_KEYS.iter().filter_map(|key| {
        Some((
            key.path,
            settings.find(&["profiles", name.as_str()], key.path)?,
        ))
    });
    let mut lines = format!("[profiles.{name}]\n");
    for (path, found) in found {
        // Comments, so that it can be sent to a colleague as it is.
        writeln!(lines, "{path} = {} # {}", found.value, found.layer)
            .expect("a String takes everything");
    }
    ui.print(&lines)
}

async fn remove(name: &str, yes: bool, app: &App, ui: &mut Ui) -> Result<()> {
    let settings = app.files()?;
    known(name, app, &settings)?;
    let path = &app.paths().config_file;
    let mut file = SettingsFile::open(path)?;
    if file.profile(name).is_none() {
        return Err(ErrorKind::Config
            .error(format!(
                "the profile `{name}` is not in `{}`",
                path.display()
            ))
            .hint(format!(
                "it is the machine's: see `{}`",
                app.paths().system_config_file.display()
            )));
    }
    if !yes {
        if !ui.can_ask() {
            return Err(ErrorKind::Usage
                .error("nothing was removed: there is nobody to ask")
                .hint("to remove it: --yes"));
        }
        let question = format!(
            "remove the profile `{name}`? `bsql logout --profile {name}` ends its session first"
        );
        if !app.shutdown().or_interrupted(ui.confirm(&question)).await? {
            ui.status("nothing was changed");
            return Ok(());
        }
    }
    file.remove_profile(name);
    file.save()?;
    ui.status(&format!("removed the profile `{name}`"));
    Ok(())
}
