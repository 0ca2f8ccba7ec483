//! `bsql init`: the company's profile, from where the company publishes it.

use url::Url;

use crate::app::App;
use crate::config::{PublishedProfile, SettingsFile};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::http::require_secure;
use crate::ui::Ui;

/// No profile is longer.
const LIMIT: usize = 64 * 1024;

/// Set up your company's profile, from Backstage or wherever it is published
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Your Backstage's address, or that of a .toml file
    url: String,
    /// Call the profile this
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Do not ask whether to save it
    #[arg(short, long)]
    yes: bool,
    /// Replace a profile of the same name
    #[arg(long)]
    replace: bool,
}

pub(crate) async fn run(args: InitArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let url = address(&args.url)?;
    let fetching = app.shutdown().or_interrupted(fetch(app, &url));
    let text = ui.wait("fetching the profile", fetching).await?;
    let mut profile = PublishedProfile::read(url.as_str(), &text)?;
    if let Some(name) = &args.name {
        profile = profile.renamed(name)?;
    }
    let name = profile.name().to_owned();
    let path = &app.paths().config_file;
    let mut file = SettingsFile::open(path)?;
    let existing = file.profile(&name);
    if existing.as_ref() == Some(profile.values()) {
        ui.status(&format!("the profile `{name}` is up to date"));
        return Ok(0);
    }

    ui.must_say(&format!("{url} has this profile:\n\n{}", profile.to_toml()));
    let may_replace = existing.is_none() || args.replace;
    if !(args.yes && may_replace) {
        let question = if existing.is_some() {
            format!("replace your profile `{name}` with it?")
        } else {
            format!("save it to {}?", path.display())
        };
        if !ui.can_ask() {
            return Err(unasked(&name, existing.is_some()));
        }
        if !app.shutdown().or_interrupted(ui.confirm(&question)).await? {
            ui.status("nothing was changed");
            return Ok(0);
        }
    }

    let is_first = app.files()?.profile_names().is_empty();
    file.put_profile(&name, &profile.to_toml())?;
    if is_first && file.default_profile().is_none() {
        file.set_default_profile(&name);
    }
    let is_default = file.default_profile() == Some(&name);
    file.save()?;
    ui.status(&format!("saved the profile `{name}` to {}", path.display()));
    if is_default {
        ui.hint("bsql login");
    } else {
        ui.hint(&format!("bsql login --profile {name}"));
        ui.hint(&format!(
            "to use it without --profile: bsql profile use {name}"
        ));
    }
    Ok(0)
}

fn unasked(name: &str, exists: bool) -> crate::error::Error {
    if exists {
        ErrorKind::Usage
            .error(format!(
                "there is a profile `{name}` already, and nobody to ask"
            ))
            .hint("to replace it: --yes --replace")
            .hint("to keep both: --yes --name OTHER")
    } else {
        ErrorKind::Usage
            .error("nothing was saved: there is nobody to ask")
            .hint("to save it: --yes")
    }
}

/// Where the profile is: the file itself, or its usual place below a Backstage's address.
fn address(text: &str) -> Result<Url> {
    let not_a_url = || format!("`{}` is not a URL", crate::error::printable(text));
    let mut url: Url = text
        .parse()
        .or_fail(ErrorKind::Usage, not_a_url)
        .map_err(|error| error.hint("bsql init https://backstage.YOUR-COMPANY.example"))?;
    require_secure(&url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ErrorKind::Usage.error("the URL has a user name or password in it"));
    }
    url.set_fragment(None);
    if !url.path().to_lowercase().ends_with(".toml") {
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/.well-known/bsql.toml"));
        url.set_query(None);
    }
    Ok(url)
}

async fn fetch(app: &App, url: &Url) -> Result<String> {
    let http = app.http_without_profile()?;
    let answer = http
        .send("the profile's server", http.get(url.clone()))
        .await?;
    let refused = |why: String| {
        ErrorKind::Config
            .error(format!("there is no profile at `{url}`"))
            .because(anyhow::anyhow!(why))
            .hint("ask your platform team for the address of bsql.toml")
    };
    if answer.status.is_server_error() {
        return Err(ErrorKind::Unavailable
            .error(format!("cannot fetch the profile at `{url}`"))
            .because(anyhow::anyhow!("the server answered {}", answer.status)));
    }
    if !answer.status.is_success() {
        return Err(refused(format!("the server answered {}", answer.status)));
    }
    if answer.body().len() > LIMIT {
        return Err(refused(format!(
            "what is there is longer than {} KiB",
            LIMIT / 1024
        )));
    }
    String::from_utf8(answer.body().to_vec())
        .map_err(|_| refused("what is there is not text".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backstage_or_a_file() {
        for (given, expected) in [
            (
                "https://b.example",
                "https://b.example/.well-known/bsql.toml",
            ),
            (
                "https://b.example/portal/?x#y",
                "https://b.example/portal/.well-known/bsql.toml",
            ),
            (
                "https://b.example/a.toml?v=1",
                "https://b.example/a.toml?v=1",
            ),
            (
                "http://127.0.0.1:7007",
                "http://127.0.0.1:7007/.well-known/bsql.toml",
            ),
        ] {
            assert_eq!(address(given).unwrap().as_str(), expected);
        }
        for given in [
            "backstage",
            "http://b.example",
            "file:///etc/passwd",
            "https://me:pass@b.example",
        ] {
            assert!(address(given).is_err(), "{given}");
        }
    }
}
