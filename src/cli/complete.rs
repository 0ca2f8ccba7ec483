//! What the shell offers while a command line is typed: names from the cache and from the settings.
//!
//! Runs at every press of the key, so it asks nobody: no network, no keyring, no runtime. What goes wrong here offers
//! nothing, and says nothing either: whatever is printed would end up on the person's command line.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;

use super::{Cli, tunnel};
use crate::catalog::Cache;
use crate::clock::Clock;
use crate::config::{Aliases, ENVIRONMENTS, Environment, Paths, ProfileName, Settings};
use crate::control::{Remembered, glance};

/// The variable that says which shell asks. The scripts of `bsql completions` set it.
pub(super) const VARIABLE: &str = "COMPLETE";
/// More candidates than this help nobody.
const MOST: usize = 200;

/// Answers the shell, if it is one that asks. `None`: this is a run like any other.
pub(super) fn answer(args: &[OsString], environment: &Environment) -> Option<ExitCode> {
    let shell = environment.text(VARIABLE)?;
    // Somebody else may use a variable of that name.
    Shells::builtins().completer(shell)?;
    // Without the `--` of the scripts it would print one of them, which is for `bsql completions`.
    if !args.iter().any(|arg| arg == "--") {
        return None;
    }
    let current_dir = std::env::current_dir().ok();
    let answered = CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .try_complete(args.to_vec(), current_dir.as_deref());
    Some(if answered.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What candidates come from.
struct Known {
    paths: Paths,
    settings: Settings,
    profile: Option<ProfileName>,
    home: Option<PathBuf>,
}

impl Known {
    fn read() -> Option<Self> {
        let environment = Environment::of_process();
        let paths = Paths::new(&environment).ok()?;
        let settings = Settings::read(&paths).ok()?;
        let named = profile_on_the_line(std::env::args_os());
        let profile = ProfileName::choose(named.as_deref(), &environment, &settings).ok();
        Some(Self {
            home: environment.path("HOME"),
            paths,
            settings,
            profile,
        })
    }

    fn cache(&self) -> Option<Cache> {
        let profile = self.profile.as_ref()?;
        Cache::of_last_user(&self.paths.cache, profile.as_str(), Clock::system())
    }

    /// Their names, and where they listen.
    fn open_tunnels(&self) -> Vec<(String, String)> {
        let profile = self.profile.as_ref().map(ProfileName::as_str);
        let mut open: Vec<(String, String)> = glance(&self.paths.runtime)
            .into_iter()
            .filter(|report| Some(report.profile.as_str()) == profile)
            .map(|report| (report.name, tunnel::shown(&report.endpoint)))
            .collect();
        // Two databases of one entity have the same name.
        open.dedup_by(|one, other| one.0 == other.0);
        open
    }

    fn texts(&self, path: &str) -> Option<Vec<String>> {
        let profile = self.profile.as_ref()?.as_str();
        let found = self.settings.find(&["profiles", profile], path)?;
        let items = found.value.as_array()?.iter();
        Some(
            items
                .filter_map(|item| Some(item.as_str()?.to_owned()))
                .collect(),
        )
    }
}

/// `--profile NAME` of the command line that is being completed.
fn profile_on_the_line(args: impl Iterator<Item = OsString>) -> Option<String> {
    let mut args = args
        .skip_while(|arg| arg != "--")
        .skip(1)
        .filter_map(|arg| arg.into_string().ok());
    let mut named = None;
    while let Some(arg) = args.next() {
        match arg.strip_prefix("--profile") {
            // Bash makes words of their own of `=`.
            Some("") => named = args.find(|arg| arg != "="),
            Some(value) => named = value.strip_prefix('=').map(str::to_owned).or(named),
            None if arg == "--" => break,
            None => {}
        }
    }
    named
}

fn candidates(
    current: &OsStr,
    offered: impl IntoIterator<Item = (String, String)>,
) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else {
        return Vec::new();
    };
    let current = current.to_lowercase();
    offered
        .into_iter()
        .filter(|(value, _)| value.to_lowercase().starts_with(&current))
        .take(MOST)
        .map(|(value, about)| {
            let help = (!about.is_empty()).then(|| about.into());
            CompletionCandidate::new(value).help(help)
        })
        .collect()
}

/// Names of databases, and aliases. For every argument that takes one:
/// `#[arg(add = ArgValueCompleter::new(complete::databases))]`.
pub(super) fn databases(current: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(known), Some(text)) = (Known::read(), current.to_str()) else {
        return Vec::new();
    };
    let mut offered = BTreeMap::new();
    if let Some(cache) = known.cache() {
        let names = cache.names_starting_with(text, MOST);
        offered.extend(names.into_iter().map(|name| (name.typed, name.about)));
    }
    if let Some(profile) = &known.profile {
        let within = std::env::current_dir().ok();
        let home = known.home.as_deref();
        let aliases = Aliases::read(&known.settings, profile, within.as_deref(), home);
        for (name, stands_for) in aliases.iter() {
            offered.insert(name.to_owned(), format!("alias of {stands_for}"));
        }
    }
    candidates(current, offered)
}

/// Names of the tunnels of the profile in use that are open, each with where it listens.
pub(super) fn tunnels(current: &OsStr) -> Vec<CompletionCandidate> {
    let open = Known::read().map(|known| known.open_tunnels());
    candidates(current, open.unwrap_or_default())
}

/// Names of the tunnels in the background, also of those that have ended and left a log.
pub(super) fn logs(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(known) = Known::read() else {
        return Vec::new();
    };
    let remembered = Remembered::new(&known.paths.state);
    let ended = remembered.with_logs().unwrap_or_default().into_iter();
    let mut offered: BTreeMap<String, String> = ended
        .map(|name| (name, "its last log".to_owned()))
        .collect();
    for (name, place) in known.open_tunnels() {
        // One in the foreground has no log.
        offered.entry(name).and_modify(|about| *about = place);
    }
    candidates(current, offered)
}

/// Names of profiles.
pub(super) fn profiles(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = Known::read().map(|known| known.settings.profile_names());
    let names = names.unwrap_or_default().into_iter();
    candidates(current, names.map(|name| (name, String::new())))
}

/// Names of environments.
pub(super) fn environments(current: &OsStr) -> Vec<CompletionCandidate> {
    let own = Known::read().and_then(|known| known.texts("catalog.environments"));
    let names = own.unwrap_or_else(|| ENVIRONMENTS.map(str::to_owned).to_vec());
    candidates(current, names.into_iter().map(|name| (name, String::new())))
}

/// Everybody who owns a database that is known: groups by their name, as `--owner` takes them.
pub(super) fn owners(current: &OsStr) -> Vec<CompletionCandidate> {
    let cache = Known::read().and_then(|known| known.cache());
    let owners = cache.map(|cache| cache.owners()).unwrap_or_default();
    let typed_kind = current.to_str().is_some_and(|text| text.contains(':'));
    let short = |owner: String| match owner.strip_prefix("group:default/") {
        Some(name) if !typed_kind => name.to_owned(),
        _ => owner,
    };
    let offered = owners
        .into_iter()
        .map(|owner| (short(owner), String::new()));
    candidates(current, offered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_that_is_typed_counts() {
        for (line, expected) in [
            ("bsql -- bsql connect x", None),
            ("bsql -- bsql --profile acme connect x", Some("acme")),
            ("bsql -- bsql connect --profile=acme x", Some("acme")),
            ("bsql -- bsql connect --profile = acme x", Some("acme")),
            ("bsql -- bsql connect x -- --profile other", None),
            ("bsql --profile other -- bsql connect x", None),
        ] {
            let args = line.split(' ').map(OsString::from);
            assert_eq!(profile_on_the_line(args).as_deref(), expected, "{line}");
        }
    }
}
