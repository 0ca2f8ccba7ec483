//! A profile: one company's identity provider, Backstage and Google, as validated values.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use jiff::SignedDuration;
use toml::Value;
use url::Url;

use super::layers::{Found, Settings};
use super::paths::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::http::require_secure;

/// A profile's name: letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileName(String);

/// One company's settings.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// Who signs people in.
    pub identity: Identity,
    /// Where the catalog is.
    pub backstage: Backstage,
    /// What makes an entity a database.
    pub catalog: CatalogSettings,
    /// How to get at Google.
    pub google: Google,
}

/// The identity provider.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The OIDC issuer.
    pub issuer: Url,
    /// bsql's client there.
    pub client_id: String,
    /// What a few providers issue beside the id, and call a secret though it is in every copy of the settings.
    pub public_client_secret: Option<String>,
    /// More parameters for the authorization endpoint.
    pub authorize_params: Vec<(String, String)>,
    /// What to ask for.
    pub scopes: Vec<String>,
    /// The flow's name; checked where flows are known.
    pub flow: String,
    /// Ports to try for the redirect; empty is any free one.
    pub redirect_ports: Vec<u16>,
    /// How the redirect names this machine; checked where redirects are known.
    pub redirect_host: String,
    /// The token store's name; checked where stores are known.
    pub token_store: String,
}

/// Backstage.
#[derive(Debug, Clone)]
pub struct Backstage {
    /// The backend's base URL.
    pub url: Url,
    /// Where people look at it: the backend's URL unless it is said otherwise.
    pub web_url: Url,
    /// How to sign in there.
    pub auth: BackstageAuth,
}

/// How Backstage knows the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackstageAuth {
    /// [`Backstage`](Self::Backstage) where that is switched on, else [`IdToken`](Self::IdToken).
    Auto,
    /// Backstage's own OAuth server, in a browser.
    Backstage,
    /// The identity provider's ID token, by `backend.auth.externalAccess` of type `jwks`.
    IdToken,
    /// What a command prints.
    TokenCommand(Vec<String>),
    /// Backstage's token for whoever Google's Identity-Aware Proxy lets in.
    Iap {
        /// Prints the ID token for the proxy; `None` is the identity provider's.
        token_command: Option<Vec<String>>,
        /// The proxy's OAuth client, to check the ID token's audience.
        audience: Option<String>,
    },
    /// Not at all.
    None,
}

/// How the catalog is read.
#[derive(Debug, Clone)]
pub struct CatalogSettings {
    /// The environments' names.
    pub environments: Vec<String>,
    /// Annotations that hold an instance connection name, first hit wins; `None` is the usual ones.
    pub instance_annotations: Option<Vec<String>>,
    /// Values of `spec.type` that make a Resource a database; `None` is the usual ones.
    pub database_types: Option<Vec<String>>,
    /// Labels and annotations that hold the environment, first hit wins; `None` is the usual ones.
    pub environment_keys: Option<Vec<String>>,
    /// What the importer of Cloud SQL instances puts behind their names; `None` is the usual one.
    pub importer_suffix: Option<String>,
    /// Whether people own what the groups above theirs own.
    pub include_parent_groups: bool,
    /// For how long Backstage's answers are good without asking again; zero is not at all.
    pub cache_ttl: SignedDuration,
}

/// Google.
#[derive(Debug, Clone)]
pub struct Google {
    /// Where credentials come from.
    pub credentials: Credentials,
    /// Service accounts to become, the last one is who one is.
    pub impersonate: Vec<String>,
    /// How long each token of the last of them lives; `None` is as long as can be.
    pub impersonate_lifetime: Option<SignedDuration>,
    /// The project that API calls are counted against.
    pub user_project: Option<String>,
    /// The universe's domain.
    pub universe_domain: String,
    /// Where services are, if not at the universe's usual hosts.
    pub endpoints: EndpointOverrides,
    /// More CA certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// Which address to dial: `public`, `private`, `psc` or `auto`.
    pub ip_type: String,
    /// The way to the instances; checked where ways are known.
    pub via: Option<String>,
}

/// Where Google credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Workforce Identity Federation: the ID token is exchanged.
    Workforce {
        /// `locations/global/workforcePools/POOL/providers/PROVIDER`.
        provider: String,
    },
    /// Application Default Credentials.
    Adc {
        /// Whether they may be a service account's key.
        allow_key_files: bool,
    },
    /// gcloud's.
    Gcloud,
    /// The session's, where Google is the identity provider.
    OAuth,
}

/// Other places of Google's services, for private universes, tests and trying out.
#[derive(Debug, Clone, Default)]
pub struct EndpointOverrides {
    /// Security Token Service.
    pub sts: Option<Url>,
    /// SQL Admin.
    pub sql_admin: Option<Url>,
    /// The SQL Data service.
    pub sql_data: Option<Url>,
    /// IAM Credentials.
    pub iam_credentials: Option<Url>,
    /// The OAuth server.
    pub oauth2: Option<Url>,
    /// The instances' TLS door.
    pub instance_port: Option<u16>,
    /// The DNS server for instances' domain names.
    pub dns: Option<SocketAddr>,
}

impl ProfileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Decides which profile: the flag, `BSQL_PROFILE`, `default_profile`, or the only one there is.
    pub fn choose(
        flag: Option<&str>,
        environment: &Environment,
        settings: &Settings,
    ) -> Result<Self> {
        let names = settings.profile_names();
        let default = settings
            .find(&[], "default_profile")
            .and_then(|found| found.value.as_str());
        let named = flag
            .or_else(|| environment.text("BSQL_PROFILE"))
            .or(default);
        match (named, names.as_slice()) {
            (Some(name), _) if names.iter().any(|known| known == name) => Ok(Self(name.to_owned())),
            (Some(name), []) => Err(no_profiles(format!("there is no profile `{name}`"))),
            (Some(name), _) => Err(ErrorKind::Config
                .error(format!("there is no profile `{name}`"))
                .hint(format!("use one of: {}", names.join(", ")))),
            (None, [only]) => Ok(Self(only.clone())),
            (None, []) => Err(no_profiles(
                "bsql is not set up yet: there is no profile".to_owned(),
            )),
            (None, _) => Err(ErrorKind::Config
                .error("there are several profiles and none is the default")
                .hint(format!("use --profile with one of: {}", names.join(", ")))
                .hint("bsql profile use NAME")),
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn no_profiles(message: String) -> Error {
    ErrorKind::Config
        .error(message)
        .hint("if your company publishes its profile: bsql init https://backstage.YOUR-COMPANY.example")
        .hint("or write it to the file that `bsql config path` names; see docs/configuration.md")
        .hint("or try bsql without any account: bsql sandbox demo")
}

/// What `catalog.environments` is by default.
pub const ENVIRONMENTS: [&str; 3] = ["development", "staging", "production"];
/// Long enough for the commands of one errand, short enough that whoever mends the catalog sees it the same morning.
const CACHE_TTL: SignedDuration = SignedDuration::from_mins(10);
const SCOPES: [&str; 4] = ["openid", "email", "profile", "offline_access"];
/// For when Google is the identity provider: enough to reach a database, and no more.
const GOOGLE_SCOPES: [&str; 4] = [
    "openid",
    "email",
    "https://www.googleapis.com/auth/sqlservice.admin",
    "https://www.googleapis.com/auth/sqlservice.login",
];
/// Without these Google gives no refresh token.
const GOOGLE_PARAMS: [&str; 2] = ["access_type=offline", "prompt=consent"];
/// What bsql itself says to the authorization endpoint.
const OWN_PARAMS: [&str; 9] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "response_mode",
];

impl Profile {
    /// Reads and checks the profile's values.
    pub fn read(name: ProfileName, settings: &Settings) -> Result<Self> {
        let values = Values {
            name: &name,
            settings,
        };
        let auth = values.backstage_auth()?;
        let credentials = match values.text("google.credentials")?.as_deref() {
            None | Some("workforce") => Credentials::Workforce {
                provider: values.require("google.workforce_provider")?,
            },
            Some("adc") => Credentials::Adc {
                allow_key_files: values.flag("google.allow_key_files")?,
            },
            Some("gcloud") => Credentials::Gcloud,
            Some("oauth") => Credentials::OAuth,
            Some(other) => {
                return Err(values.wrong(
                    "google.credentials",
                    other,
                    "workforce, adc, gcloud or oauth",
                ));
            }
        };
        let google_signs_in = credentials == Credentials::OAuth;
        let (scopes, params) = if google_signs_in {
            (&GOOGLE_SCOPES, &GOOGLE_PARAMS[..])
        } else {
            (&SCOPES, &[][..])
        };
        Ok(Self {
            identity: Identity {
                issuer: values.require_url("identity.issuer")?,
                client_id: values
                    .text("identity.client_id")?
                    .unwrap_or_else(|| "bsql".to_owned()),
                public_client_secret: values.text("identity.public_client_secret")?,
                authorize_params: values.params("identity.authorize_params", params)?,
                scopes: values.texts("identity.scopes", &scopes[..])?,
                flow: values
                    .text("identity.flow")?
                    .unwrap_or_else(|| "auto".to_owned()),
                redirect_ports: values.ports("identity.redirect_ports")?,
                redirect_host: values
                    .text("identity.redirect_host")?
                    .unwrap_or_else(|| "127.0.0.1".to_owned()),
                token_store: values
                    .text("identity.token_store")?
                    .unwrap_or_else(|| "auto".to_owned()),
            },
            backstage: Backstage {
                url: values.require_url("backstage.url")?,
                web_url: match values.url("backstage.web_url")? {
                    Some(url) => url,
                    None => values.require_url("backstage.url")?,
                },
                auth,
            },
            catalog: CatalogSettings {
                environments: values.texts("catalog.environments", &ENVIRONMENTS)?,
                instance_annotations: values.list("catalog.instance_annotations")?,
                database_types: values.list("catalog.database_types")?,
                environment_keys: values.list("catalog.environment_keys")?,
                importer_suffix: values.text("catalog.importer_suffix")?,
                include_parent_groups: values.flag("catalog.include_parent_groups")?,
                cache_ttl: values.duration("catalog.cache_ttl", CACHE_TTL)?,
            },
            google: Google {
                credentials,
                impersonate: values.texts("google.impersonate", &[])?,
                impersonate_lifetime: values.seconds("google.impersonate_lifetime", 60..=3_600)?,
                user_project: values.text("google.user_project")?,
                universe_domain: values
                    .text("google.universe_domain")?
                    .unwrap_or_else(|| "googleapis.com".to_owned()),
                endpoints: EndpointOverrides {
                    sts: values.url("google.endpoints.sts")?,
                    sql_admin: values.url("google.endpoints.sql_admin")?,
                    sql_data: values.url("google.endpoints.sql_data")?,
                    iam_credentials: values.url("google.endpoints.iam_credentials")?,
                    oauth2: values.url("google.endpoints.oauth2")?,
                    instance_port: values.port("google.endpoints.instance_port")?,
                    dns: values.address("google.endpoints.dns")?,
                },
                ca_file: values.text("google.ca_file")?.map(PathBuf::from),
                ip_type: values
                    .text("google.ip_type")?
                    .unwrap_or_else(|| "public".to_owned()),
                via: values.text("google.via")?,
            },
            name,
        })
    }
}

/// The values of one profile.
struct Values<'a> {
    name: &'a ProfileName,
    settings: &'a Settings,
}

impl Values<'_> {
    fn find(&self, path: &str) -> Option<Found<'_>> {
        self.settings.find(&["profiles", &self.name.0], path)
    }

    fn full(&self, path: &str) -> String {
        format!("profiles.{}.{path}", self.name)
    }

    fn wrong(&self, path: &str, value: &str, expected: &str) -> Error {
        let place = self
            .find(path)
            .map(|found| format!(" in `{}`", found.layer))
            .unwrap_or_default();
        ErrorKind::Config
            .error(format!(
                "the key `{}`{place} is `{value}`; expected {expected}",
                self.full(path)
            ))
            .hint("see docs/configuration.md")
    }

    fn text(&self, path: &str) -> Result<Option<String>> {
        match self.find(path) {
            None => Ok(None),
            Some(Found {
                value: Value::String(text),
                ..
            }) => Ok(Some(text.clone())),
            Some(found) => Err(self.wrong(path, found.value.type_str(), "text")),
        }
    }

    /// As `10m`, `1h 30m` or `0s`.
    fn duration(&self, path: &str, default: SignedDuration) -> Result<SignedDuration> {
        let Some(text) = self.text(path)? else {
            return Ok(default);
        };
        let duration: Option<SignedDuration> = text.parse().ok();
        duration
            .filter(|duration| !duration.is_negative())
            .ok_or_else(|| self.wrong(path, &text, "a duration such as 10m, 1h or 0s"))
    }

    fn require(&self, path: &str) -> Result<String> {
        self.text(path)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.missing(path))
    }

    fn missing(&self, path: &str) -> Error {
        ErrorKind::Config
            .error(format!("the key `{}` is missing", self.full(path)))
            .hint("add it to the file that `bsql config path` names; see docs/configuration.md")
    }

    fn url(&self, path: &str) -> Result<Option<Url>> {
        self.text(path)?
            .map(|text| self.parse_url(path, &text))
            .transpose()
    }

    fn address(&self, path: &str) -> Result<Option<SocketAddr>> {
        let text = self.text(path)?;
        let parse = |text: String| {
            let address = text.parse();
            address.map_err(|_| self.wrong(path, &text, "an IP address and a port, as 10.0.0.2:53"))
        };
        text.map(parse).transpose()
    }

    fn require_url(&self, path: &str) -> Result<Url> {
        let text = self.require(path)?;
        self.parse_url(path, &text)
    }

    fn parse_url(&self, path: &str, text: &str) -> Result<Url> {
        let url: Url = text.parse().map_err(|_| self.wrong(path, text, "a URL"))?;
        require_secure(&url).map_err(|_| {
            self.wrong(path, text, "an https URL (plain http is for loopback only)")
        })?;
        Ok(url)
    }

    fn backstage_auth(&self) -> Result<BackstageAuth> {
        const COMMAND: &str = "backstage.token_command";
        let token_command = self.list(COMMAND)?;
        if token_command.as_ref().is_some_and(Vec::is_empty) {
            return Err(self.wrong(COMMAND, "[]", "a program and its arguments"));
        }
        Ok(match self.text("backstage.auth")?.as_deref() {
            None | Some("auto") => BackstageAuth::Auto,
            Some("backstage") => BackstageAuth::Backstage,
            Some("id-token") => BackstageAuth::IdToken,
            Some("token-command") => {
                BackstageAuth::TokenCommand(token_command.ok_or_else(|| self.missing(COMMAND))?)
            }
            Some("iap") => BackstageAuth::Iap {
                token_command,
                audience: self.text("backstage.iap_audience")?,
            },
            Some("none") => BackstageAuth::None,
            Some(other) => {
                let known = "auto, backstage, id-token, token-command, iap or none";
                return Err(self.wrong("backstage.auth", other, known));
            }
        })
    }

    fn array(&self, path: &str) -> Result<Option<&[Value]>> {
        match self.settings.find(&["profiles", &self.name.0], path) {
            None => Ok(None),
            Some(Found {
                value: Value::Array(items),
                ..
            }) => Ok(Some(items)),
            Some(found) => Err(self.wrong(path, found.value.type_str(), "a list")),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<String>>> {
        let Some(items) = self.array(path)? else {
            return Ok(None);
        };
        let text = |item: &Value| {
            let text = item
                .as_str()
                .ok_or_else(|| self.wrong(path, item.type_str(), "a list of texts"))?;
            Ok(text.to_owned())
        };
        items.iter().map(text).collect::<Result<_>>().map(Some)
    }

    fn texts(&self, path: &str, default: &[&str]) -> Result<Vec<String>> {
        let usual = || default.iter().map(|&item| item.to_owned()).collect();
        Ok(self.list(path)?.unwrap_or_else(usual))
    }

    /// A list of `name=value`.
    fn params(&self, path: &str, default: &[&str]) -> Result<Vec<(String, String)>> {
        let params = self.texts(path, default)?;
        let split = |param: String| {
            let pair = param.split_once('=');
            let (name, value) = pair
                .filter(|(name, _)| !name.is_empty() && !OWN_PARAMS.contains(name))
                .ok_or_else(|| {
                    self.wrong(path, &param, "name=value, and none that bsql itself sends")
                })?;
            Ok((name.to_owned(), value.to_owned()))
        };
        params.into_iter().map(split).collect()
    }

    fn to_port(&self, path: &str, value: &Value) -> Result<u16> {
        value
            .as_integer()
            .and_then(|number| u16::try_from(number).ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| self.wrong(path, &value.to_string(), "a port number"))
    }

    fn port(&self, path: &str) -> Result<Option<u16>> {
        self.find(path)
            .map(|found| self.to_port(path, found.value))
            .transpose()
    }

    fn flag(&self, path: &str) -> Result<bool> {
        match self.find(path) {
            None => Ok(false),
            Some(found) => found
                .value
                .as_bool()
                .ok_or_else(|| self.wrong(path, &found.value.to_string(), "true or false")),
        }
    }

    fn seconds(&self, path: &str, range: RangeInclusive<i64>) -> Result<Option<SignedDuration>> {
        let seconds = self.find(path).map(|found| {
            let number = found.value.as_integer();
            number
                .filter(|seconds| range.contains(seconds))
                .map(SignedDuration::from_secs)
                .ok_or_else(|| {
                    let expected = format!("{} to {} seconds", range.start(), range.end());
                    self.wrong(path, &found.value.to_string(), &expected)
                })
        });
        seconds.transpose()
    }

    fn ports(&self, path: &str) -> Result<Vec<u16>> {
        self.array(path)?
            .unwrap_or_default()
            .iter()
            .map(|item| self.to_port(path, item))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    const SMALL: &str = "
        [profiles.acme]
        identity.issuer = 'https://login.acme.example'
        backstage.url = 'https://backstage.acme.example'
        google.workforce_provider = 'locations/global/workforcePools/acme/providers/okta'
    ";

    fn read(text: &str) -> Result<Profile> {
        let mut settings = Settings::default();
        settings.add(Origin::User, "config.toml".to_owned(), text)?;
        let name = ProfileName::choose(None, &Environment::default(), &settings)?;
        Profile::read(name, &settings)
    }

    #[test]
    fn three_keys_are_enough() {
        let profile = read(SMALL).unwrap();
        assert_eq!(profile.name.as_str(), "acme");
        assert_eq!(profile.identity.client_id, "bsql");
        assert_eq!(
            profile.catalog.environments,
            ["development", "staging", "production"]
        );
        assert_eq!(profile.google.universe_domain, "googleapis.com");
    }

    #[test]
    fn the_web_interface_is_where_the_backend_is_unless_said() {
        let backstage = read(SMALL).unwrap().backstage;
        assert_eq!(backstage.web_url, backstage.url);
        let web = "backstage.web_url = 'https://portal.acme.example/dev'";
        let backstage = read(&format!("{SMALL}\n{web}")).unwrap().backstage;
        assert_eq!(
            backstage.web_url.as_str(),
            "https://portal.acme.example/dev"
        );
    }

    #[test]
    fn google_as_the_identity_provider() {
        let google = "google.credentials = 'oauth'\nidentity.public_client_secret = 'GOCSPX-x'";
        let identity = read(&format!("{SMALL}\n{google}")).unwrap().identity;
        assert_eq!(identity.public_client_secret.as_deref(), Some("GOCSPX-x"));
        assert!(
            !identity
                .scopes
                .iter()
                .any(|scope| scope == "offline_access")
        );
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            identity.authorize_params,
            [pair("access_type", "offline"), pair("prompt", "consent")]
        );
        assert!(read(SMALL).unwrap().identity.authorize_params.is_empty());
    }

    #[test]
    fn wrong_values_are_named_with_key_and_file() {
        for (extra, expected) in [
            (
                "backstage.auth = 'magic'",
                "the key `profiles.acme.backstage.auth` in `config.toml` is `magic`; expected auto, backstage, id-token, token-command, iap or none",
            ),
            (
                "google.endpoints.sts = 'http://sts.example'",
                "the key `profiles.acme.google.endpoints.sts` in `config.toml` is `http://sts.example`; expected an https URL (plain http is for loopback only)",
            ),
            (
                "google.endpoints.instance_port = 70000",
                "the key `profiles.acme.google.endpoints.instance_port` in `config.toml` is `70000`; expected a port number",
            ),
            (
                "identity.authorize_params = ['state=1']",
                "the key `profiles.acme.identity.authorize_params` in `config.toml` is `state=1`; expected name=value, and none that bsql itself sends",
            ),
            (
                "google.impersonate_lifetime = 7200",
                "the key `profiles.acme.google.impersonate_lifetime` in `config.toml` is `7200`; expected 60 to 3600 seconds",
            ),
            (
                "google.credentials = 'adc'\ngoogle.allow_key_files = 'yes'",
                "the key `profiles.acme.google.allow_key_files` in `config.toml` is `\"yes\"`; expected true or false",
            ),
            (
                "identity.scopes = 'openid'",
                "the key `profiles.acme.identity.scopes` in `config.toml` is `string`; expected a list",
            ),
        ] {
            let error = read(&format!("{SMALL}\n{extra}")).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.kind(), ErrorKind::Config);
        }
        let error = read("[profiles.acme]\nbackstage.url = 'https://b.example'").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the key `profiles.acme.google.workforce_provider` is missing"
        );
    }

    #[test]
    fn each_way_into_backstage_has_what_it_needs() {
        let auth = |extra: &str| read(&format!("{SMALL}\n{extra}")).map(|it| it.backstage.auth);
        let argv = || vec!["pass".to_owned(), "backstage".to_owned()];
        let command = "backstage.token_command = ['pass', 'backstage']";
        assert_eq!(
            auth(&format!("backstage.auth = 'token-command'\n{command}")).unwrap(),
            BackstageAuth::TokenCommand(argv())
        );
        assert_eq!(
            auth(&format!(
                "backstage.auth = 'iap'\nbackstage.iap_audience = 'c'\n{command}"
            ))
            .unwrap(),
            BackstageAuth::Iap {
                token_command: Some(argv()),
                audience: Some("c".to_owned())
            }
        );
        for (extra, expected) in [
            (
                "backstage.auth = 'token-command'",
                "the key `profiles.acme.backstage.token_command` is missing",
            ),
            (
                "backstage.token_command = []",
                "the key `profiles.acme.backstage.token_command` in `config.toml` is `[]`; expected a program and its arguments",
            ),
            (
                "backstage.token_command = 'pass backstage'",
                "the key `profiles.acme.backstage.token_command` in `config.toml` is `string`; expected a list",
            ),
        ] {
            assert_eq!(auth(extra).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_profile_is_chosen_by_flag_variable_default_or_for_being_alone() {
        let mut settings = Settings::default();
        let choose = |flag, environment: &Environment, settings: &Settings| {
            ProfileName::choose(flag, environment, settings).map(|name| name.0)
        };
        let none = Environment::default();
        assert_eq!(
            choose(None, &none, &settings).unwrap_err().kind(),
            ErrorKind::Config
        );
        settings
            .add(Origin::User, "f".into(), "[profiles.a]\n[profiles.b]")
            .unwrap();
        assert!(choose(None, &none, &settings).is_err(), "several");
        settings
            .add(Origin::User, "g".into(), "default_profile = 'a'")
            .unwrap();
        assert_eq!(choose(None, &none, &settings).unwrap(), "a");
        let variable = Environment::from([("BSQL_PROFILE", "b")]);
        assert_eq!(choose(None, &variable, &settings).unwrap(), "b");
        assert_eq!(choose(Some("a"), &variable, &settings).unwrap(), "a");
        assert!(choose(Some("c"), &variable, &settings).is_err());
    }
}
