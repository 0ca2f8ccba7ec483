//! A credentials file: what it says, and whether that may be believed.

use std::path::Path;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::AdcOptions;
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::secret::Secret;

/// Bigger ones are something else.
const LARGEST_FILE: u64 = 1024 * 1024;
const USUAL_UNIVERSE: &str = "googleapis.com";

/// A file that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) kind: Kind,
    pub(super) common: Common,
}

/// What all kinds may have.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Common {
    /// The project that calls are counted against.
    pub(super) quota_project_id: Option<String>,
    universe_domain: Option<String>,
}

/// What the file is.
#[derive(Debug)]
pub(super) enum Kind {
    AuthorizedUser(AuthorizedUser),
    Impersonated(Impersonation),
}

/// `authorized_user`.
#[derive(Debug, Deserialize)]
pub(super) struct AuthorizedUser {
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    pub(super) refresh_token: Secret,
}

/// Whom to become, and as whom to ask for that.
#[derive(Debug)]
pub(super) struct Impersonation {
    pub(super) source: Box<Kind>,
    /// Mail addresses, the last one is who one is.
    pub(super) chain: Vec<String>,
    /// Of each token.
    pub(super) lifetime: Option<SignedDuration>,
}

/// `impersonated_service_account`.
#[derive(Deserialize)]
struct ImpersonatedServiceAccount {
    source_credentials: Value,
    service_account_impersonation_url: String,
    #[serde(default)]
    delegates: Vec<String>,
}

/// Reads a credentials file.
pub(super) fn read(path: &Path, options: &AdcOptions) -> Result<Read> {
    let unreadable = || format!("cannot read the credentials in `{}`", path.display());
    let size = std::fs::metadata(path)
        .or_fail(ErrorKind::Config, unreadable)
        .map_err(|error| {
            error.hint(
                "gcloud auth application-default login, or correct GOOGLE_APPLICATION_CREDENTIALS",
            )
        })?
        .len();
    if size > LARGEST_FILE {
        return Err(ErrorKind::Config
            .error(unreadable())
            .because(anyhow::anyhow!("it has {size} bytes")));
    }
    let text = std::fs::read(path).or_fail(ErrorKind::Config, unreadable)?;
    let file = File { path, options };
    // Not the parser's own words: they can quote the file.
    let value: Value = serde_json::from_slice(&text).map_err(|_| file.wrong("it is not JSON"))?;
    let common: Common = file.parse(&value)?;
    let universe = common.universe_domain.as_deref().unwrap_or(USUAL_UNIVERSE);
    if universe != options.universe_domain {
        let universe = printable(universe);
        return Err(file
            .wrong(&format!(
                "they are for `{universe}`, not for `{}`",
                printable(&options.universe_domain)
            ))
            .hint("set `google.universe_domain`, or use other credentials"));
    }
    Ok(Read {
        kind: file.kind(&value)?,
        common,
    })
}

/// The error when who is to be impersonated must be impersonated for that in turn.
pub(super) fn nested(path: &Path) -> Error {
    ErrorKind::Config
        .error(format!(
            "cannot use the credentials in `{}`",
            path.display()
        ))
        .because(anyhow::anyhow!(
            "their source is impersonated as well; name the accounts in between as delegates"
        ))
}

/// A file that is being read.
struct File<'a> {
    path: &'a Path,
    options: &'a AdcOptions,
}

impl File<'_> {
    fn wrong(&self, why: &str) -> Error {
        ErrorKind::Config
            .error(format!(
                "cannot use the credentials in `{}`",
                self.path.display()
            ))
            .because(anyhow::anyhow!("{why}"))
    }

    fn parse<T: DeserializeOwned>(&self, value: &Value) -> Result<T> {
        T::deserialize(value).map_err(|error| {
            let said = error.to_string();
            // Only the name of a field is quoted here; other messages may quote its value.
            let missing = said.strip_prefix("missing field ");
            self.wrong(&missing.map_or_else(
                || "it is not as Google writes it".to_owned(),
                |field| format!("it has no {field}"),
            ))
        })
    }

    fn kind(&self, value: &Value) -> Result<Kind> {
        match value["type"].as_str().unwrap_or_default() {
            "authorized_user" => self.parse(value).map(Kind::AuthorizedUser),
            "impersonated_service_account" => {
                let file: ImpersonatedServiceAccount = self.parse(value)?;
                let mut chain: Vec<String> = file
                    .delegates
                    .iter()
                    .map(|name| name.rsplit('/').next().unwrap_or(name).to_owned())
                    .collect();
                chain.push(self.impersonated(&file.service_account_impersonation_url)?);
                Ok(Kind::Impersonated(Impersonation {
                    source: Box::new(self.kind(&file.source_credentials)?),
                    chain,
                    lifetime: None,
                }))
            }
            "service_account" if !self.options.allow_key_files => Err(self
                .wrong("they are a service account's key, which is good until somebody deletes it")
                .hint("sign in as yourself and become the account: `google.impersonate` in your profile")
                .hint("or allow it: google.allow_key_files = true")),
            other => Err(self
                .wrong(&format!("`{}` is a kind that this version does not know", printable(other)))
                .hint("gcloud auth application-default login")),
        }
    }

    /// The service account in the URL at which tokens for it are generated. Where that is, the profile says.
    fn impersonated(&self, url: &str) -> Result<String> {
        let parsed = Url::parse(url).map_err(|_| self.wrong("the impersonation URL is none"))?;
        self.pinned(
            &parsed,
            "iamcredentials",
            &self.options.endpoints.iam_credentials,
        )?;
        let account = parsed
            .path_segments()
            .and_then(|mut segments| segments.next_back())
            .and_then(|method| method.strip_suffix(":generateAccessToken"))
            .filter(|email| !email.is_empty());
        account
            .map(|email| email.replace("%40", "@"))
            .ok_or_else(|| self.wrong("the impersonation URL names no service account"))
    }

    /// Checks that a URL of the file's is one of Google's `service`, and says where to ask instead if the profile has
    /// moved that. A file from elsewhere could otherwise have its reader send their tokens anywhere, see
    /// <https://cloud.google.com/docs/authentication/client-libraries#external-credentials>.
    fn pinned(&self, url: &Url, service: &str, configured: &Url) -> Result<Url> {
        let anonymous = url.username().is_empty() && url.password().is_none();
        if anonymous && url.origin() == configured.origin() {
            return Ok(url.clone());
        }
        let universe = &self.options.universe_domain;
        let host = url.host_str().unwrap_or_default();
        let plain = anonymous && url.scheme() == "https" && url.port().is_none();
        if plain && host == format!("{service}.{universe}") {
            let mut moved = configured.clone();
            moved.set_path(url.path());
            return Ok(moved);
        }
        // Of a region, or for clients with certificates.
        let regional =
            host.starts_with(&format!("{service}.")) && host.ends_with(&format!(".{universe}"));
        if plain && regional {
            return Ok(url.clone());
        }
        Err(self
            .wrong(&format!(
                "they would send secrets to `{}`, which is not Google's",
                printable(host)
            ))
            .hint("use credentials from somebody you trust"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cloudsql::adc::AdcEnvironment;
    use crate::cloudsql::endpoints::Endpoints;

    pub(super) fn options() -> AdcOptions {
        AdcOptions {
            environment: AdcEnvironment::default(),
            endpoints: Endpoints::for_universe("googleapis.com").unwrap(),
            universe_domain: "googleapis.com".to_owned(),
            allow_key_files: false,
            user_project: None,
        }
    }

    fn read_json(value: &Value, options: &AdcOptions) -> Result<Read> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), value.to_string()).unwrap();
        read(file.path(), options)
    }

    fn person() -> Value {
        json!({
            "type": "authorized_user", "client_id": "c", "client_secret": "s3cret", "refresh_token": "r3fresh",
            "quota_project_id": "acme-tools",
        })
    }

    #[test]
    fn a_person() {
        let read = read_json(&person(), &options()).unwrap();
        assert_eq!(read.common.quota_project_id.as_deref(), Some("acme-tools"));
        assert!(!format!("{read:?}").contains("r3fresh"));
    }

    #[test]
    fn a_person_who_becomes_an_account() {
        let mut file = json!({
            "type": "impersonated_service_account",
            "source_credentials": person(),
            "service_account_impersonation_url":
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/b@p.iam.gserviceaccount.com:generateAccessToken",
            "delegates": ["projects/-/serviceAccounts/a@p.iam.gserviceaccount.com"],
        });
        let Kind::Impersonated(impersonation) = read_json(&file, &options()).unwrap().kind else {
            panic!("not impersonated");
        };
        assert_eq!(
            impersonation.chain,
            ["a@p.iam.gserviceaccount.com", "b@p.iam.gserviceaccount.com"]
        );
        for bad in [
            "https://iamcredentials.googleapis.com.evil.example/v1/projects/-/serviceAccounts/b@p:generateAccessToken",
            "http://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/b@p:generateAccessToken",
            "https://iamcredentials.googleapis.com:444/v1/projects/-/serviceAccounts/b@p:generateAccessToken",
            "https://u@iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/b@p:generateAccessToken",
            "https://sts.googleapis.com/v1/projects/-/serviceAccounts/b@p:generateAccessToken",
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/:generateAccessToken",
            "nowhere",
        ] {
            file["service_account_impersonation_url"] = json!(bad);
            let error = read_json(&file, &options()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn what_is_refused_and_that_nothing_is_quoted() {
        let key =
            json!({ "type": "service_account", "client_email": "a@p", "private_key": "s3cret" });
        let mut elsewhere = person();
        elsewhere["universe_domain"] = json!("cloud.example");
        for (file, why) in [
            (key, "a service account's key"),
            (elsewhere, "they are for `cloud.example`"),
            (
                json!({ "type": "authorized_user", "client_id": "c" }),
                "it has no `client_secret`",
            ),
            (
                json!({ "type": "authorized_user", "client_id": "c", "client_secret": { "s3cret": 1 } }),
                "it is not as Google writes it",
            ),
            (json!({ "type": "gdch_service_account" }), "does not know"),
            (json!(["s3cret"]), "it is not as Google writes it"),
        ] {
            let error = read_json(&file, &options()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.causes()[0].contains(why), "{error:?}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        assert!(read(Path::new("/nowhere.json"), &options()).is_err());
    }
}
