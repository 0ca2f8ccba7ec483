//! A credentials file: what it says, and whether that may be believed.

use std::path::Path;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::AdcOptions;
use super::subject_token::SubjectToken;
use crate::cloudsql::endpoints::below;
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
    /// With where tokens are.
    ServiceAccount(ServiceAccount, Url),
    /// With where tokens are.
    External(External, Url),
    /// With where tokens are, and where they are introspected.
    ExternalUser(ExternalUser, Url, Url),
}

/// `authorized_user`.
#[derive(Debug, Deserialize)]
pub(super) struct AuthorizedUser {
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    pub(super) refresh_token: Secret,
}

/// `service_account`.
#[derive(Debug, Deserialize)]
pub(super) struct ServiceAccount {
    pub(super) client_email: String,
    pub(super) private_key: Secret,
    pub(super) private_key_id: Option<String>,
    pub(super) token_uri: String,
}

/// `external_account`.
#[derive(Debug, Deserialize)]
pub(super) struct External {
    pub(super) audience: String,
    pub(super) subject_token_type: String,
    token_url: String,
    pub(super) credential_source: SubjectToken,
    pub(super) workforce_pool_user_project: Option<String>,
    service_account_impersonation_url: Option<String>,
    #[serde(default)]
    service_account_impersonation: ImpersonationOptions,
}

#[derive(Debug, Default, Deserialize)]
struct ImpersonationOptions {
    token_lifetime_seconds: Option<u32>,
}

/// `external_account_authorized_user`.
#[derive(Debug, Deserialize)]
pub(super) struct ExternalUser {
    token_url: String,
    token_info_url: Option<String>,
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
            "service_account" => {
                let file: ServiceAccount = self.parse(value)?;
                let endpoints = &self.options.endpoints;
                let url = self.google(&file.token_uri, "oauth2", &endpoints.oauth2)?;
                Ok(Kind::ServiceAccount(file, url))
            }
            "external_account" => self.external(self.parse(value)?),
            "external_account_authorized_user" => {
                let file: ExternalUser = self.parse(value)?;
                let sts = &self.options.endpoints.sts;
                let tokens = self.google(&file.token_url, "sts", sts)?;
                let introspection = match &file.token_info_url {
                    Some(url) => self.google(url, "sts", sts)?,
                    None => below(sts, &["v1", "introspect"])?,
                };
                Ok(Kind::ExternalUser(file, tokens, introspection))
            }
            other => Err(self
                .wrong(&format!("`{}` is a kind that this version does not know", printable(other)))
                .hint("gcloud auth application-default login")),
        }
    }

    fn external(&self, file: External) -> Result<Kind> {
        file.credential_source
            .check(self.options.environment.allow_executables)
            .map_err(|why| self.wrong(why))?;
        let url = self.google(&file.token_url, "sts", &self.options.endpoints.sts)?;
        let Some(account) = &file.service_account_impersonation_url else {
            return Ok(Kind::External(file, url));
        };
        let lifetime = file.service_account_impersonation.token_lifetime_seconds;
        Ok(Kind::Impersonated(Impersonation {
            chain: vec![self.impersonated(account)?],
            lifetime: lifetime.map(|seconds| SignedDuration::from_secs(seconds.into())),
            source: Box::new(Kind::External(file, url)),
        }))
    }

    /// Where to ask what the file has at `url`.
    fn google(&self, url: &str, service: &str, configured: &Url) -> Result<Url> {
        let url = Url::parse(url).map_err(|_| self.wrong("the address for tokens is none"))?;
        self.pinned(&url, service, configured)
    }

    /// The service account in the URL at which tokens for it are generated. Where that is, the profile says.
    fn impersonated(&self, url: &str) -> Result<String> {
        let parsed = self.google(
            url,
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

    fn options() -> AdcOptions {
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

    fn workload() -> Value {
        json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/github",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": { "file": "/var/run/token" },
        })
    }

    #[test]
    fn a_workload() {
        let mut file = workload();
        for (url, asked) in [
            (
                "https://sts.googleapis.com/v1/token",
                Some("http://127.0.0.1:9/v1/token"),
            ),
            (
                "https://sts.europe-west1.rep.googleapis.com/v1/token",
                Some("https://sts.europe-west1.rep.googleapis.com/v1/token"),
            ),
            ("https://sts.evil.example/v1/token", None),
            ("https://evil.example/sts.googleapis.com", None),
        ] {
            file["token_url"] = json!(url);
            let mut options = options();
            options.endpoints.sts = "http://127.0.0.1:9/".parse().unwrap();
            let asked_at = read_json(&file, &options).ok().map(|read| match read.kind {
                Kind::External(_, url) => url.to_string(),
                kind => panic!("{kind:?}"),
            });
            assert_eq!(asked_at.as_deref(), asked, "{url}");
        }
    }

    #[test]
    fn a_workload_that_becomes_an_account() {
        let mut file = workload();
        file["service_account_impersonation_url"] = json!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/b@p:generateAccessToken"
        );
        file["service_account_impersonation"] = json!({ "token_lifetime_seconds": 900 });
        let Kind::Impersonated(impersonation) = read_json(&file, &options()).unwrap().kind else {
            panic!("not impersonated");
        };
        assert_eq!(impersonation.chain, ["b@p"]);
        assert_eq!(impersonation.lifetime, Some(SignedDuration::from_mins(15)));
        file["credential_source"] = json!({ "executable": { "command": "/bin/token" } });
        let error = read_json(&file, &options()).unwrap_err();
        assert!(error.causes()[0].contains("ALLOW_EXECUTABLES"), "{error:?}");
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
