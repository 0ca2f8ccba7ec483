//! A person who has signed in with `gcloud auth application-default login`: a refresh token of Google's.

use crate::cloudsql::credentials::{AccessToken, Principal, Scope};
use crate::cloudsql::oauth_server::{EMAIL_SCOPE, OAuthProblem, OAuthServer};
use crate::error::{Error, ErrorKind, Result};

use super::file;

/// All that bsql needs people to consent to.
const SIGN_IN: &str = "gcloud auth application-default login";

/// A person's refresh token.
#[derive(Debug)]
pub(super) struct AuthorizedUser {
    file: file::AuthorizedUser,
    server: OAuthServer,
}

impl AuthorizedUser {
    pub(super) fn new(file: file::AuthorizedUser, server: OAuthServer) -> Self {
        Self { file, server }
    }

    pub(super) async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        self.refresh(scope.consented_url()).await
    }

    /// Asks for a token that is for nothing but saying whose it is.
    pub(super) async fn principal(&self) -> Result<Principal> {
        let token = self.refresh(EMAIL_SCOPE).await?;
        let info = self.server.token_info(&token.secret).await?;
        let email = info.email.ok_or_else(|| {
            ErrorKind::Denied
                .error("Google does not say whose the Application Default Credentials are")
                .hint(SIGN_IN)
                .hint("or name the database user: --user NAME")
        })?;
        Ok(Principal::of_email(&email))
    }

    /// A token for less than was consented to, RFC 6749 section 6.
    async fn refresh(&self, scope: &str) -> Result<AccessToken> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", self.file.refresh_token.expose()),
            ("client_id", &self.file.client_id),
            ("client_secret", self.file.client_secret.expose()),
            ("scope", scope),
        ];
        self.server
            .grant(&form, |problem| refused(problem, scope))
            .await
    }
}

fn refused(problem: &OAuthProblem, scope: &str) -> Error {
    match problem.error.as_str() {
        // The session controls of Google Workspace end sessions so as well, with `invalid_rapt` for a reason.
        "invalid_grant" => ErrorKind::SignedOut
            .error("your Application Default Credentials are over")
            .because(problem.cause())
            .hint(SIGN_IN),
        "invalid_scope" => ErrorKind::Denied
            .error(format!(
                "your Application Default Credentials are not for `{scope}`"
            ))
            .because(problem.cause())
            .hint(SIGN_IN),
        _ => ErrorKind::Denied
            .error("Google refuses your Application Default Credentials")
            .because(problem.cause())
            .hint(SIGN_IN),
    }
}
