//! A profile that a company publishes for its people: the file `/.well-known/bsql.toml`.
//!
//! It comes from elsewhere, so it may be nothing but a profile: no secrets, no programs to run, nothing that this version
//! does not know, and nothing that cannot be shown as it is.

use toml::{Table, Value};

use super::layers::{Origin, Settings};
use super::paths::Environment;
use super::profile::{Credentials, Google, Profile, ProfileName};
use crate::error::{Error, ErrorKind, Result, printable};

/// Keys of a profile that are programs to run.
const PROGRAMS: [(&str, &str); 1] = [("backstage", "token_command")];

/// A profile from elsewhere, checked.
#[derive(Debug, Clone)]
pub struct PublishedProfile {
    name: String,
    values: Table,
}

impl PublishedProfile {
    /// Reads a profile that was found at `source`.
    ///
    /// Fails with [`ErrorKind::Config`] when it is anything but one sound profile.
    pub fn read(source: &str, text: &str) -> Result<Self> {
        let unusable = |cause: Error| {
            ErrorKind::Config
                .error(format!("the profile at `{source}` cannot be used"))
                .because(cause)
                .hint("tell whoever publishes it, most likely your platform team")
        };
        let table: Table = text
            .parse()
            .map_err(|_| unusable(refused("it is not TOML".to_owned())))?;
        let (name, values) = only_profile(table).map_err(unusable)?;
        let profile = Self { name, values };
        profile.check(source).map_err(unusable)?;
        Ok(profile)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same under another name.
    ///
    /// Fails with [`ErrorKind::Usage`] when that is none.
    pub fn renamed(self, name: &str) -> Result<Self> {
        if !is_name(name) {
            return Err(ErrorKind::Usage
                .error(format!("`{}` cannot be a profile's name", printable(name)))
                .hint("use letters, digits, `-` and `_`"));
        }
        Ok(Self {
            name: name.to_owned(),
            ..self
        })
    }

    /// Its values, as below `[profiles.NAME]`.
    pub fn values(&self) -> &Table {
        &self.values
    }

    /// As it is shown and saved: what it says, without what was written around it.
    pub fn to_toml(&self) -> String {
        let profile = Table::from_iter([(self.name.clone(), Value::Table(self.values.clone()))]);
        let file = Table::from_iter([("profiles".to_owned(), Value::Table(profile))]);
        toml::to_string(&file).expect("it was TOML before")
    }

    fn check(&self, source: &str) -> Result<()> {
        for (room, key) in PROGRAMS {
            if self
                .values
                .get(room)
                .and_then(|room| room.get(key))
                .is_some()
            {
                return Err(names_programs());
            }
        }
        let mut settings = Settings::default();
        settings.add(Origin::User, source.to_owned(), &self.to_toml())?;
        if let Some(warning) = settings.warnings.first() {
            return Err(refused(warning.clone()));
        }
        let name = ProfileName::choose(Some(&self.name), &Environment::default(), &settings)?;
        check_google(&Profile::read(name, &settings)?.google)
    }
}

fn names_programs() -> Error {
    refused("it names programs to run, which is for each person to decide".to_owned())
}

/// What the person has at Google already is not to be had by a profile that says where Google is.
fn check_google(google: &Google) -> Result<()> {
    let (persons_own, key_files) = match google.credentials {
        Credentials::Adc { allow_key_files } => (true, allow_key_files),
        Credentials::Gcloud => (true, false),
        Credentials::Workforce { .. } | Credentials::OAuth => (false, false),
    };
    let endpoints = &google.endpoints;
    let moved = [
        &endpoints.sts,
        &endpoints.sql_admin,
        &endpoints.sql_data,
        &endpoints.iam_credentials,
        &endpoints.oauth2,
    ];
    if persons_own
        && (moved.iter().any(|url| url.is_some()) || google.universe_domain != "googleapis.com")
    {
        return Err(refused(
            "it would send the Google credentials of this machine to somebody else than Google"
                .to_owned(),
        ));
    }
    if key_files {
        return Err(refused(
            "it allows key files, which is for each person to decide".to_owned(),
        ));
    }
    Ok(())
}

fn refused(why: String) -> Error {
    ErrorKind::Config.error(why)
}

fn only_profile(table: Table) -> Result<(String, Table)> {
    let mut profiles = None;
    for (key, value) in table {
        match (key.as_str(), value) {
            ("profiles", Value::Table(inner)) => profiles = Some(inner),
            ("clients", _) => {
                return Err(names_programs());
            }
            _ => {
                return Err(refused(format!(
                    "it has `{}`, and may have [profiles.NAME] only",
                    printable(&key)
                )));
            }
        }
    }
    let mut profiles = profiles.unwrap_or_default().into_iter();
    let (Some((name, values)), None) = (profiles.next(), profiles.next()) else {
        return Err(refused("it does not have exactly one profile".to_owned()));
    };
    if !is_name(&name) {
        return Err(refused(format!(
            "`{}` cannot be a profile's name",
            printable(&name)
        )));
    }
    let Value::Table(values) = values else {
        return Err(refused(format!("`profiles.{name}` is not a table")));
    };
    check_table(&values)?;
    Ok((name, values))
}

/// Everything in it can be shown as it is.
fn check_table(table: &Table) -> Result<()> {
    for (key, value) in table {
        if !is_name(key) {
            return Err(refused(format!("it has the key `{}`", printable(key))));
        }
        check_value(key, value)?;
    }
    Ok(())
}

fn check_value(key: &str, value: &Value) -> Result<()> {
    match value {
        Value::Table(table) => check_table(table),
        Value::Array(items) => items.iter().try_for_each(|item| check_value(key, item)),
        Value::String(text) if printable(text) != *text => Err(refused(format!(
            "the key `{key}` has characters that cannot be shown, or too many"
        ))),
        _ => Ok(()),
    }
}

/// Of a profile, or of a key.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
        # Acme's.
        [profiles.acme]
        identity.issuer = 'https://login.acme.example'
        backstage.url = 'https://backstage.acme.example'
        google.workforce_provider = 'locations/global/workforcePools/acme/providers/okta'
    ";

    fn read(text: &str) -> Result<PublishedProfile> {
        PublishedProfile::read("https://backstage.acme.example/.well-known/bsql.toml", text)
    }

    #[test]
    fn a_profile_is_kept_as_what_it_says() {
        let profile = read(GOOD).unwrap();
        assert_eq!(profile.name(), "acme");
        let text = profile.to_toml();
        assert!(text.contains("[profiles.acme.identity]\n"), "{text}");
        assert!(!text.contains("Acme's"), "{text}");
        let other = read(&text).unwrap().renamed("work").unwrap();
        assert_eq!(other.values(), profile.values());
        assert!(other.to_toml().contains("[profiles.work.identity]"));
        assert!(other.renamed("../x").is_err());
        for own in ["adc", "gcloud"] {
            read(&format!("{GOOD}\ngoogle.credentials = '{own}'")).unwrap();
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, why) in [
            (String::new(), "exactly one profile"),
            ("<!doctype html>".to_owned(), "not TOML"),
            (format!("{GOOD}\n[profiles.b]"), "exactly one profile"),
            (
                format!("default_profile = 'acme'\n{GOOD}"),
                "`default_profile`",
            ),
            (
                format!("{GOOD}\n[clients]\npostgres = ['sh']"),
                "programs to run",
            ),
            (
                format!("{GOOD}\nbackstage.token_command = ['sh', '-c', 'x']"),
                "programs to run",
            ),
            (
                format!(
                    "{GOOD}\ngoogle.credentials = 'adc'\ngoogle.endpoints.oauth2 = 'https://evil.example'"
                ),
                "somebody else than Google",
            ),
            (
                format!(
                    "{GOOD}\ngoogle.credentials = 'gcloud'\ngoogle.universe_domain = 'evil.example'"
                ),
                "somebody else than Google",
            ),
            (
                format!("{GOOD}\ngoogle.credentials = 'adc'\ngoogle.allow_key_files = true"),
                "key files",
            ),
            (
                format!("{GOOD}\nidentity.client_secret = 'hunter2'"),
                "looks like a secret",
            ),
            (
                format!("{GOOD}\nidentity.isuer = 'x'"),
                "did you mean `identity.issuer`?",
            ),
            (
                format!("{GOOD}\nidentity.client_id = \"b\\u001b[2Jsql\""),
                "cannot be shown",
            ),
            (
                format!("{GOOD}\n\"\\u001b\".x = 1"),
                "it has the key `\u{fffd}`",
            ),
            (
                GOOD.replace("https://login", "http://login"),
                "an https URL",
            ),
            ("[profiles.'a b']".to_owned(), "profile's name"),
        ] {
            let error = read(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            let said = format!("{error} {}", error.causes().join(" "));
            assert!(said.contains(why), "{why}: {said}");
            assert!(
                !said.contains("hunter2") && !said.contains('\u{1b}'),
                "{said}"
            );
        }
    }
}
