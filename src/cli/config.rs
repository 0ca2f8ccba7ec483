//! `bsql config`: what settings say, where they are, and whether they are sound.

use toml::Value;

use crate::app::App;
use crate::auth::Flow;
use crate::cloudsql::{IpType, Via};
use crate::config::{Found, PROFILE_KEYS, Profile, Settings, TOP_KEYS, nearest};
use crate::error::{Error, ErrorKind, Result, printable};
use crate::ui::Ui;

/// See and check settings
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Print what a setting is
    Get {
        /// A key of the profile in use, as `identity.issuer`, or one at the top, as `default_profile`
        key: String,
        /// Also print where it was set
        #[arg(long)]
        show_origin: bool,
    },
    /// Check the settings of all profiles
    Validate,
    /// Print the path of your settings
    Path,
}

pub(crate) fn run(args: ConfigArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    match args.command {
        ConfigCommand::Get { key, show_origin } => get(&key, show_origin, app, ui)?,
        ConfigCommand::Validate => validate(app, ui)?,
        ConfigCommand::Path => ui.print(&format!("{}\n", app.paths().config_file.display()))?,
    }
    Ok(0)
}

fn get(key: &str, show_origin: bool, app: &App, ui: &mut Ui) -> Result<()> {
    let is_top = TOP_KEYS.iter().any(|known| known.path == key);
    let (settings, prefix) = if is_top {
        (app.files()?, Vec::new())
    } else {
        if !PROFILE_KEYS.iter().any(|known| known.path == key) {
            return Err(unknown(key));
        }
        let (settings, name) = app.settings()?;
        (settings, vec!["profiles".to_owned(), name.to_string()])
    };
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let Some(Found { value, layer }) = settings.find(&prefix, key) else {
        return Err(ErrorKind::Config
            .error(format!("the key `{key}` is not set"))
            .hint("docs/configuration.md has the defaults"));
    };
    let origin = if show_origin {
        format!("{layer}\t")
    } else {
        String::new()
    };
    let items = match value {
        Value::Array(items) => items.as_slice(),
        value => std::slice::from_ref(value),
    };
    for item in items {
        ui.print(&format!("{origin}{}\n", plain(item)))?;
    }
    Ok(())
}

/// Text as it is, for scripts; everything else as TOML.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn unknown(key: &str) -> Error {
    let known = PROFILE_KEYS.iter().chain(&TOP_KEYS).map(|key| key.path);
    let error = ErrorKind::Usage.error(format!("there is no key `{}`", printable(key)));
    match nearest(key, known) {
        Some(near) => error.hint(format!("bsql config get {near}")),
        None => error.hint("docs/configuration.md has them all"),
    }
}

fn validate(app: &App, ui: &mut Ui) -> Result<()> {
    let settings = app.files()?;
    for warning in &settings.warnings {
        ui.warn(warning);
    }
    let names = settings.profile_names();
    let mut problems: Vec<Error> = names
        .iter()
        .filter_map(|name| profile(name, app).err())
        .collect();
    problems.extend(general(app, &settings));
    if problems.is_empty() {
        return ui.print(&format!("sound: {}\n", names.join(", ")));
    }
    for problem in &problems {
        ui.must_say(&format!("{problem}"));
    }
    let noun = if problems.len() == 1 {
        "1 problem".to_owned()
    } else {
        format!("{} problems", problems.len())
    };
    Err(ErrorKind::Config
        .error(format!("the settings have {noun}"))
        .hint(format!("edit `{}`", app.paths().config_file.display())))
}

/// What the files say of a profile is checked where it is read, but for two words that are only known elsewhere.
fn profile(name: &str, app: &App) -> Result<Profile> {
    let profile = app.profile_named(name)?;
    let wrong = |key: &str, error: &Error| {
        ErrorKind::Config.error(format!("the key `profiles.{name}.{key}` is wrong: {error}"))
    };
    let flow = profile.identity.flow.parse::<Flow>();
    flow.map_err(|error| wrong("identity.flow", &error))?;
    let ip_type = profile.google.ip_type.parse::<IpType>();
    ip_type.map_err(|error| wrong("google.ip_type", &error))?;
    if let Some(via) = &profile.google.via {
        let via = via.parse::<Via>();
        via.map_err(|error| wrong("google.via", &error))?;
    }
    Ok(profile)
}

/// What is wrong beside the profiles.
fn general(app: &App, settings: &Settings) -> Vec<Error> {
    let default = match settings.find(&[], "default_profile") {
        None if !settings.profile_names().is_empty() => None,
        // Also when there is no profile at all.
        _ => app.profile_in_use(settings).err(),
    };
    default
        .into_iter()
        .chain(
            ["postgres", "mysql", "sqlserver"]
                .into_iter()
                .filter_map(|key| settings.clients(key).err()),
        )
        .collect()
}
