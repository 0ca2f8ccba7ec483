//! A workload's or a person's own token for Google's: Workload and Workforce Identity Federation as a credentials file
//! has them, <https://google.aip.dev/auth/4117>.

use serde_json::{Value, json};
use url::Url;

use super::file;
use crate::cloudsql::credentials::{AccessToken, Principal, Scope};
use crate::cloudsql::oauth_server::{OAuthProblem, OAuthServer};
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};

const SERVICE: &str = "Google's Security Token Service";

/// `external_account`.
#[derive(Debug)]
pub(super) struct External {
    file: file::External,
    token_url: Url,
    /// What exchanges count against, for workforce pools.
    user_project: Option<String>,
    server: OAuthServer,
}

impl External {
    /// `token_url` is where the file's is to be asked.
    pub(super) fn new(
        file: file::External,
        token_url: Url,
        user_project: Option<String>,
        server: OAuthServer,
    ) -> Self {
        Self {
            file,
            token_url,
            user_project,
            server,
        }
    }

    pub(super) async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        let file = &self.file;
        let subject_token = file
            .credential_source
            .fetch(&self.server.http, &file.audience, &file.subject_token_type)
            .await?;
        let mut form = vec![
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("audience", file.audience.as_str()),
            ("scope", scope.url()),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token", subject_token.expose()),
            ("subject_token_type", &file.subject_token_type),
        ];
        let project = file.workforce_pool_user_project.as_ref();
        let project = project.or(self.user_project.as_ref().filter(|_| self.is_workforce()));
        let options = project.map(|project| json!({ "userProject": project }).to_string());
        if let Some(options) = &options {
            form.push(("options", options));
        }
        let request = self.server.http.post(self.token_url.clone()).form(&form);
        self.server
            .ask(request, SERVICE, |problem| self.refused(problem))
            .await
    }

    fn is_workforce(&self) -> bool {
        self.file.audience.contains("/workforcePools/")
    }

    /// Nobody says whose a federated token is. What the pool makes of a workload's token is the pool's own mapping.
    pub(super) fn principal(&self) -> Result<Principal> {
        Err(ErrorKind::Config
            .error("Google does not say which database user federated credentials are")
            .because(anyhow::anyhow!(
                "they are for `{}`",
                printable(&self.file.audience)
            ))
            .hint("become a service account: `google.impersonate` in your profile")
            .hint("or name the database user: --user NAME"))
    }

    fn refused(&self, problem: &OAuthProblem) -> Error {
        ErrorKind::Denied
            .error("Google does not accept the workload's token")
            .because(problem.cause())
            .hint(format!(
                "ask your Google Cloud administrators whether `{}` lets it in",
                printable(&self.file.audience)
            ))
    }
}

/// `external_account_authorized_user`: somebody who has signed in to gcloud by Workforce Identity Federation.
#[derive(Debug)]
pub(super) struct ExternalUser {
    file: file::ExternalUser,
    token_url: Url,
    introspection_url: Url,
    server: OAuthServer,
}

impl ExternalUser {
    /// The URLs are where the file's are to be asked.
    pub(super) fn new(
        file: file::ExternalUser,
        token_url: Url,
        introspection_url: Url,
        server: OAuthServer,
    ) -> Self {
        Self {
            file,
            token_url,
            introspection_url,
            server,
        }
    }

    pub(super) async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        self.refresh(scope.consented_url()).await
    }

    async fn refresh(&self, scope: &str) -> Result<AccessToken> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", self.file.refresh_token.expose()),
            ("scope", scope),
        ];
        let request = self.server.http.post(self.token_url.clone()).form(&form);
        let request =
            request.basic_auth(&self.file.client_id, Some(self.file.client_secret.expose()));
        self.server.ask(request, SERVICE, refused).await
    }

    /// By introspection, RFC 7662.
    pub(super) async fn principal(&self) -> Result<Principal> {
        let token = self.issue(Scope::Admin).await?;
        let form = [
            ("token", token.secret.expose()),
            (
                "token_type_hint",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
        ];
        let request = self.server.http.post(self.introspection_url.clone());
        let request = request
            .form(&form)
            .basic_auth(&self.file.client_id, Some(self.file.client_secret.expose()));
        let answer = self.server.http.send_idempotent(SERVICE, request).await?;
        let read = || -> anyhow::Result<Principal> {
            anyhow::ensure!(answer.status.is_success(), "it answered {}", answer.status);
            let answer: Value = answer.json()?;
            let member = answer["username"].as_str().unwrap_or_default();
            let (_, subject) = member
                .rsplit_once("/subject/")
                .ok_or_else(|| anyhow::anyhow!("it names nobody"))?;
            Ok(Principal {
                member: member.to_owned(),
                login: subject.to_owned(),
                user_type: "CLOUD_IAM_WORKFORCE_IDENTITY",
            })
        };
        read().or_fail(ErrorKind::Unavailable, || {
            format!("cannot tell from {SERVICE} whose the credentials are")
        })
    }
}

fn refused(problem: &OAuthProblem) -> Error {
    const SIGN_IN: &str = "gcloud auth application-default login --login-config=FILE";
    let kind = if problem.error == "invalid_grant" {
        ErrorKind::SignedOut
    } else {
        ErrorKind::Denied
    };
    kind.error("Google refuses your Application Default Credentials, or they are over")
        .because(problem.cause())
        .hint(SIGN_IN)
}
