//! The tokens of whoever is signed in to gcloud, <https://cloud.google.com/sdk/gcloud/reference/auth/print-access-token>
//! and <https://cloud.google.com/sdk/gcloud/reference/sql/generate-login-token>.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use jiff::SignedDuration;
use url::Url;

use super::credentials::{AccessToken, CredentialSource, Principal, Scope};
use super::oauth_server::OAuthServer;
use super::per_scope::{Issuer, PerScope};
use super::program;
use crate::clock::Clock;
use crate::error::{ErrorKind, Result};
use crate::http::HttpClient;
use crate::secret::Secret;

/// gcloud needs some seconds to start, and may ask Google.
const LIMIT: Duration = Duration::from_secs(45);
/// gcloud gives out tokens that live for five minutes at least, and does not say how long.
const SURE_LIFE: SignedDuration = SignedDuration::from_mins(5);
const SIGN_IN: &str = "gcloud auth login";

/// Tokens that gcloud prints.
#[derive(Debug)]
pub struct GcloudTokens {
    tokens: PerScope<Gcloud>,
}

#[derive(Debug)]
struct Gcloud {
    program: PathBuf,
    server: OAuthServer,
}

impl GcloudTokens {
    /// Tokens from `program`, a path or a name for the PATH. The OAuth server at `oauth2` says how long they live.
    pub fn new(program: PathBuf, http: HttpClient, oauth2: Url, clock: Clock) -> Self {
        let server = OAuthServer {
            http,
            base_url: oauth2,
            clock,
        };
        Self {
            tokens: PerScope::new(Gcloud { program, server }, clock),
        }
    }
}

impl CredentialSource for GcloudTokens {
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        self.tokens.get(scope).await
    }

    async fn principal(&self) -> Result<Principal> {
        let token = self.tokens.get(Scope::Admin).await?;
        let gcloud = self.tokens.issuer();
        let info = gcloud.server.token_info(&token.secret).await;
        // Not every token may say whose it is.
        let email = match info.ok().and_then(|info| info.email) {
            Some(email) => email,
            None => gcloud.ask(&["config", "get", "account"]).await?,
        };
        Ok(Principal::of_email(&email))
    }
}

impl Issuer for Gcloud {
    async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        // A token of the first kind is for all of Google Cloud, so databases must not see it.
        let arguments = match scope {
            Scope::Admin | Scope::Impersonation => ["auth", "print-access-token"],
            Scope::Login => ["sql", "generate-login-token"],
        };
        let secret = Secret::from(self.ask(&arguments).await?);
        let now = self.server.clock.now();
        let life = match self.server.token_info(&secret).await {
            Ok(info) => info.life().unwrap_or(SURE_LIFE),
            Err(error) => {
                tracing::debug!(%error, "Google does not say how long a token of gcloud's lives");
                SURE_LIFE
            }
        };
        Ok(AccessToken {
            secret,
            expires_at: now + life.clamp(SignedDuration::ZERO, SignedDuration::from_hours(1)),
        })
    }
}

impl Gcloud {
    /// The word that gcloud prints.
    async fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("CLOUDSDK_CORE_DISABLE_PROMPTS", "1");
        let output = program::output(command, LIMIT).await.map_err(|error| {
            if error.kind() == ErrorKind::ClientMissing {
                error.hint("install the Google Cloud CLI, https://cloud.google.com/sdk/docs/install, or set `google.credentials`")
            } else {
                error
            }
        })?;
        if output.success {
            return program::word(output.stdout);
        }
        let complaint = output.complaint.to_lowercase();
        let signed_out = ["auth login", "reauth", "active account", "invalid_grant"]
            .iter()
            .any(|words| complaint.contains(words));
        let cause = anyhow::anyhow!("{}", output.complaint);
        Err(if signed_out {
            ErrorKind::SignedOut
                .error("nobody is signed in to gcloud, or the session is over")
                .because(cause)
                .hint(SIGN_IN)
        } else {
            ErrorKind::Unavailable
                .error(format!("`gcloud {}` fails", arguments.join(" ")))
                .because(cause)
                .hint(format!("gcloud {}", arguments.join(" ")))
        })
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;
    use crate::loopback::{Response, Server};

    /// A gcloud that is this shell script.
    fn gcloud(dir: &tempfile::TempDir, script: &str, server: &Server) -> GcloudTokens {
        let program = dir.path().join("gcloud");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        GcloudTokens::new(
            program,
            HttpClient::new(Vec::new()).unwrap(),
            server.url().clone(),
            Clock::system(),
        )
    }

    #[tokio::test]
    async fn each_scope_has_its_command() {
        let server = Server::start(|request| {
            assert_eq!(request.path(), "/tokeninfo");
            let email = (request.form("access_token") == ["auth-print-access-token"])
                .then_some("ada@acme.example");
            Response::json(200, &json!({ "expires_in": "1800", "email": email }))
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let tokens = gcloud(&dir, "echo \"$1-$2\"", &server);
        for (scope, said) in [
            (Scope::Admin, "auth-print-access-token"),
            (Scope::Login, "sql-generate-login-token"),
            (Scope::Impersonation, "auth-print-access-token"),
        ] {
            let token = tokens.access_token(scope).await.unwrap();
            assert_eq!(token.secret.expose(), said);
            let left = token.expires_at.duration_since(Clock::system().now());
            assert!((1_700..=1_800).contains(&left.as_secs()), "{left:?}");
        }
        let who = tokens.principal().await.unwrap();
        assert_eq!(who.member, "user:ada@acme.example");
    }

    #[tokio::test]
    async fn what_gcloud_may_say_instead() {
        let server =
            Server::start(|_| Response::json(400, &json!({ "error": "invalid_token" }))).await;
        let dir = tempfile::tempdir().unwrap();
        for (script, kind, step) in [
            (
                "echo 'You do not currently have an active account selected.' >&2; exit 1",
                ErrorKind::SignedOut,
                "gcloud auth login",
            ),
            (
                "echo 'crashed' >&2; exit 1",
                ErrorKind::Unavailable,
                "gcloud sql generate-login-token",
            ),
            ("echo two w0rds", ErrorKind::Unavailable, ""),
            ("", ErrorKind::Unavailable, ""),
        ] {
            let tokens = gcloud(&dir, script, &server);
            let error = tokens.access_token(Scope::Login).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error:?}");
            let first = error.next_steps().first().copied().unwrap_or_default();
            assert_eq!(first, step);
            assert!(!format!("{error:?}").contains("w0rds"), "{error:?}");
        }
        let missing = GcloudTokens::new(
            dir.path().join("none"),
            HttpClient::new(Vec::new()).unwrap(),
            server.url().clone(),
            Clock::system(),
        );
        let error = missing.access_token(Scope::Admin).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientMissing);
    }

    #[tokio::test]
    async fn a_token_google_does_not_describe() {
        let server =
            Server::start(|_| Response::json(400, &json!({ "error": "invalid_token" }))).await;
        let dir = tempfile::tempdir().unwrap();
        let script = "if [ $1 = config ]; then echo app@p.iam.gserviceaccount.com; else echo t; fi";
        let tokens = gcloud(&dir, script, &server);
        let token = tokens.access_token(Scope::Admin).await.unwrap();
        let left = token.expires_at.duration_since(Clock::system().now());
        assert!((200..=300).contains(&left.as_secs()), "{left:?}");
        let who = tokens.principal().await.unwrap();
        assert_eq!(who.member, "serviceAccount:app@p.iam.gserviceaccount.com");
    }
}
