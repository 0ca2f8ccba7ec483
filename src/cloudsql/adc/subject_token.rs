//! Where a workload's own token comes from, which is exchanged for Google's: a file, an address next to the machine, or a
//! program, <https://google.aip.dev/auth/4117>.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use crate::cloudsql::program;
use crate::cloudsql::refusal::Refusal;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::http::{HttpClient, require_secure};
use crate::secret::Secret;

const SERVICE: &str = "the source of the workload's token";
/// What Google's libraries give a program, in milliseconds, and the least and most that a file may say.
const USUAL_LIMIT: u64 = 30_000;
const LIMITS: (u64, u64) = (5_000, 120_000);

/// `credential_source` of an `external_account` file.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SubjectToken {
    /// Somebody keeps a file up to date.
    File {
        file: PathBuf,
        #[serde(default)]
        format: Format,
    },
    /// Asked by HTTP, as in a job of GitHub Actions.
    Url {
        url: Url,
        #[serde(default)]
        headers: BTreeMap<String, Secret>,
        #[serde(default)]
        format: Format,
    },
    /// Printed by a program.
    Executable { executable: Executable },
}

/// How the token is written.
#[derive(Debug, Default, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Format {
    /// It is all there is.
    #[default]
    Text,
    /// It is in an object.
    Json { subject_token_field_name: String },
}

/// A program.
#[derive(Debug, Deserialize)]
pub(super) struct Executable {
    command: String,
    timeout_millis: Option<u64>,
}

/// What a program prints.
#[derive(Deserialize)]
struct Printed {
    success: bool,
    id_token: Option<Secret>,
    saml_response: Option<Secret>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl SubjectToken {
    /// Whether it may be used at all. `executables` says whether a program may be started.
    pub(super) fn check(&self, executables: bool) -> std::result::Result<(), &'static str> {
        match self {
            Self::File { .. } => Ok(()),
            // Metadata servers have no certificates, and addresses that only the machine's own link reaches.
            Self::Url { url, .. } if require_secure(url).is_ok() || is_link_local(url) => Ok(()),
            Self::Url { .. } => Err("they would fetch a token over plain http"),
            Self::Executable { .. } if executables => Ok(()),
            Self::Executable { .. } => Err(
                "they start a program, which GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 must allow",
            ),
        }
    }

    /// The token as it is now, for `audience` and of the type `token_type`.
    pub(super) async fn fetch(
        &self,
        http: &HttpClient,
        audience: &str,
        token_type: &str,
    ) -> Result<Secret> {
        match self {
            Self::File { file, format } => {
                let bytes = tokio::fs::read(file).await.or_fail(ErrorKind::Config, || {
                    format!("cannot read the workload's token in `{}`", file.display())
                })?;
                format.read(&bytes)
            }
            Self::Url {
                url,
                headers,
                format,
            } => {
                let mut request = http.get(url.clone());
                for (name, value) in headers {
                    request = request.header(name, value.expose());
                }
                let answer = http.send_idempotent(SERVICE, request).await?;
                if !answer.status.is_success() {
                    let refusal = Refusal::of(&answer);
                    return Err(refusal.unexpected(SERVICE).with_kind(ErrorKind::Denied));
                }
                format.read(answer.body())
            }
            Self::Executable { executable } => executable.run(audience, token_type).await,
        }
    }
}

fn is_link_local(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Ipv4(address)) => address.is_link_local(),
            Some(Host::Ipv6(address)) => address.is_unicast_link_local(),
            _ => false,
        }
}

/// Nothing of what was read may be in the error.
fn unreadable() -> Error {
    ErrorKind::Config
        .error("cannot read the workload's token")
        .because(anyhow::anyhow!(
            "it is not where `credential_source` of the credentials says"
        ))
}

impl Format {
    fn read(&self, bytes: &[u8]) -> Result<Secret> {
        let token = match self {
            Self::Text => std::str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Json {
                subject_token_field_name,
            } => {
                let value: Option<Value> = serde_json::from_slice(bytes).ok();
                value.and_then(|value| value[subject_token_field_name].as_str().map(str::to_owned))
            }
        };
        let token = token.map(|token| token.trim().to_owned());
        token
            .filter(|token| !token.is_empty())
            .map(Secret::from)
            .ok_or_else(unreadable)
    }
}

impl Executable {
    async fn run(&self, audience: &str, token_type: &str) -> Result<Secret> {
        let mut words = self.command.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .env("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", audience)
            .env("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", token_type)
            .env("GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0");
        let limit = self.timeout_millis.unwrap_or(USUAL_LIMIT);
        let limit = Duration::from_millis(limit.clamp(LIMITS.0, LIMITS.1));
        let output = program::output(command, limit).await?;
        let printed: Printed = serde_json::from_slice(&output.stdout).map_err(|_| unreadable())?;
        match (printed.success, printed.id_token.or(printed.saml_response)) {
            (true, Some(token)) => Ok(token),
            (true, None) => Err(unreadable()),
            (false, _) => Err(ErrorKind::Denied
                .error("the program of the credentials gives no token")
                .because(anyhow::anyhow!(
                    "{}: {}",
                    crate::error::printable(&printed.code),
                    crate::error::printable(&printed.message)
                ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::loopback::{Response, Server};

    fn source(value: Value) -> SubjectToken {
        serde_json::from_value(value).unwrap()
    }

    async fn fetch(source: &SubjectToken) -> Result<String> {
        let http = HttpClient::new(Vec::new()).unwrap();
        let token = source.fetch(&http, "//iam/x", "urn:jwt").await?;
        Ok(token.expose().to_owned())
    }

    #[tokio::test]
    async fn in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, object) = (dir.path().join("plain"), dir.path().join("object"));
        std::fs::write(&plain, "t0ken\n").unwrap();
        std::fs::write(&object, r#"{"jwt":"t1ken"}"#).unwrap();
        assert_eq!(
            fetch(&source(json!({ "file": plain }))).await.unwrap(),
            "t0ken"
        );
        let format = json!({ "type": "json", "subject_token_field_name": "jwt" });
        let read = source(json!({ "file": object, "format": format }));
        assert_eq!(fetch(&read).await.unwrap(), "t1ken");
        let error = fetch(&source(json!({ "file": plain, "format": format }))).await;
        assert!(!format!("{error:?}").contains("t0ken"));
        assert!(fetch(&source(json!({ "file": "/nowhere" }))).await.is_err());
    }

    #[tokio::test]
    async fn as_in_github_actions() {
        let server = Server::start(|request| {
            assert_eq!(request.header("authorization"), "bearer r3quest");
            Response::json(200, &json!({ "value": "jwt", "count": 1 }))
        })
        .await;
        let source = source(json!({
            "url": server.url().join("token?audience=x").unwrap(),
            "headers": { "Authorization": "bearer r3quest" },
            "format": { "type": "json", "subject_token_field_name": "value" },
        }));
        assert_eq!(fetch(&source).await.unwrap(), "jwt");
        assert!(!format!("{source:?}").contains("r3quest"));
    }

    #[test]
    fn what_may_be_used() {
        for (value, executables, may) in [
            (
                json!({ "url": "http://169.254.169.254/token" }),
                false,
                true,
            ),
            (json!({ "url": "http://tokens.example/" }), false, false),
            (json!({ "executable": { "command": "x" } }), false, false),
            (json!({ "executable": { "command": "x" } }), true, true),
        ] {
            assert_eq!(
                source(value.clone()).check(executables).is_ok(),
                may,
                "{value}"
            );
        }
        let aws = json!({ "environment_id": "aws1" });
        assert!(serde_json::from_value::<SubjectToken>(aws).is_err());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn printed_by_a_program() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("token");
        let script = r#"echo "{\"version\":1,\"success\":$1,\"id_token\":\"$GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE\",\"code\":\"7\",\"message\":\"no\"}""#;
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let run = |success: &str| {
            let command = format!("{} {success}", program.display());
            source(json!({ "executable": { "command": command } }))
        };
        assert_eq!(fetch(&run("true")).await.unwrap(), "//iam/x");
        let error = fetch(&run("false")).await.unwrap_err();
        assert_eq!(error.causes(), ["7: no"]);
        assert!(fetch(&run("nonsense")).await.is_err());
    }
}
