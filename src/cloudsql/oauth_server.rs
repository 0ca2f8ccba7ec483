//! Google's OAuth server: access tokens for refresh tokens and signed assertions, and what a token is.
//!
//! <https://developers.google.com/identity/protocols/oauth2/native-app#offline>.

use jiff::SignedDuration;
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::credentials::AccessToken;
use super::endpoints::below;
use super::per_scope::{granted, seconds};
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::http::{Answer, HttpClient};
use crate::secret::Secret;

const SERVICE: &str = "Google's OAuth server";
/// The scope under which [`OAuthServer::token_info`] says the mail address.
pub(super) const EMAIL_SCOPE: &str = "https://www.googleapis.com/auth/userinfo.email";

/// Google's OAuth server.
#[derive(Debug, Clone)]
pub(super) struct OAuthServer {
    pub(super) http: HttpClient,
    pub(super) base_url: Url,
    pub(super) clock: Clock,
}

/// A refusal of OAuth's, RFC 6749 section 5.2.
#[derive(Debug, Deserialize)]
pub(super) struct OAuthProblem {
    pub(super) error: String,
    #[serde(default)]
    error_description: String,
}

impl OAuthProblem {
    /// As a cause.
    pub(super) fn cause(&self) -> anyhow::Error {
        let said = printable(&self.error_description);
        anyhow::anyhow!("{}: {said}", printable(&self.error))
    }
}

/// What Google says of a token.
#[derive(Debug, Deserialize)]
pub(super) struct TokenInfo {
    /// Whose it is, if the token is for saying so.
    pub(super) email: Option<String>,
    /// In seconds; a number, or one in quotes.
    #[serde(default)]
    expires_in: Value,
}

impl TokenInfo {
    /// How long the token still lives.
    pub(super) fn life(&self) -> Option<SignedDuration> {
        seconds(&self.expires_in)
    }
}

impl OAuthServer {
    /// A token by the grant in `form`. `refused` says what the server's own no means.
    pub(super) async fn grant(
        &self,
        form: &[(&str, &str)],
        refused: impl FnOnce(&OAuthProblem) -> Error,
    ) -> Result<AccessToken> {
        let url = below(&self.base_url, &["token"])?;
        self.ask(self.http.post(url).form(form), SERVICE, refused)
            .await
    }

    /// Sends a request for a token to `service`.
    pub(super) async fn ask(
        &self,
        request: RequestBuilder,
        service: &str,
        refused: impl FnOnce(&OAuthProblem) -> Error,
    ) -> Result<AccessToken> {
        let asked_at = self.clock.now();
        let answer = self.http.send_idempotent(service, request).await?;
        if answer.status.is_success() {
            return granted(service, &answer, asked_at);
        }
        Err(problem(&answer, service, refused))
    }

    /// What Google knows of `token`. Fails with [`ErrorKind::Denied`] when it is none of Google's.
    pub(super) async fn token_info(&self, token: &Secret) -> Result<TokenInfo> {
        let url = below(&self.base_url, &["tokeninfo"])?;
        // In the body, since addresses are logged.
        let request = self
            .http
            .post(url)
            .form(&[("access_token", token.expose())]);
        let answer = self.http.send_idempotent(SERVICE, request).await?;
        if !answer.status.is_success() {
            return Err(problem(&answer, SERVICE, |problem| {
                ErrorKind::Denied
                    .error("Google does not know the access token")
                    .because(problem.cause())
            }));
        }
        answer.json().or_fail(ErrorKind::Unavailable, || {
            format!("cannot read the answer of {SERVICE}")
        })
    }
}

/// What it means that there is no token.
fn problem(answer: &Answer, service: &str, refused: impl FnOnce(&OAuthProblem) -> Error) -> Error {
    let busy = answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS;
    match answer.json::<OAuthProblem>() {
        Ok(problem) if !busy => refused(&problem),
        _ => {
            let refusal = Refusal::of(answer);
            let general = refusal.of_any_service(service, None);
            general.unwrap_or_else(|| refusal.unexpected(service))
        }
    }
}
