//! Acting as a service account, for companies whose people have no roles of their own on databases.
//!
//! <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>. The
//! database user is then the service account's.

use std::sync::Arc;

use jiff::SignedDuration;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::credentials::{AccessToken, CredentialSource, Principal, Scope};
use super::endpoints::below;
use super::per_scope::{Issuer, PerScope};
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::http::{Answer, HttpClient};
use crate::secret::Secret;

const SERVICE: &str = "the IAM Credentials API";
/// Longer takes an exception in the organisation's policy.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// The tokens of another source, or of the service account that it may become.
#[derive(Debug)]
pub struct Impersonated<C: CredentialSource> {
    source: Arc<C>,
    /// `None` when nobody is to be impersonated.
    account: Option<PerScope<IamCredentials<C>>>,
}

impl<C: CredentialSource> Impersonated<C> {
    /// Becomes the last service account of `chain`, mail addresses, each of which may become the next, for at most
    /// `lifetime` at a time; with an empty chain it stays who `source` is.
    pub fn new(
        source: C,
        mut chain: Vec<String>,
        lifetime: Option<SignedDuration>,
        http: HttpClient,
        iam_credentials: Url,
        user_project: Option<String>,
        clock: Clock,
    ) -> Self {
        let source = Arc::new(source);
        let account = chain.pop().map(|target| {
            let api = IamCredentials {
                source: Arc::clone(&source),
                http,
                base_url: iam_credentials,
                target,
                delegates: chain
                    .iter()
                    .map(|email| format!("projects/-/serviceAccounts/{email}"))
                    .collect(),
                lifetime: lifetime.unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE),
                user_project,
            };
            PerScope::new(api, clock)
        });
        Self { source, account }
    }
}

impl<C: CredentialSource> CredentialSource for Impersonated<C> {
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        match &self.account {
            Some(account) => account.get(scope).await,
            None => self.source.access_token(scope).await,
        }
    }

    async fn principal(&self) -> Result<Principal> {
        match &self.account {
            Some(account) => Ok(Principal::of_email(&account.issuer().target)),
            None => self.source.principal().await,
        }
    }
}

#[derive(Debug)]
struct IamCredentials<C> {
    source: Arc<C>,
    http: HttpClient,
    base_url: Url,
    target: String,
    delegates: Vec<String>,
    lifetime: SignedDuration,
    user_project: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Generated {
    access_token: Secret,
    /// RFC 3339.
    expire_time: String,
}

impl<C: CredentialSource> Issuer for IamCredentials<C> {
    async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        let token = self.source.access_token(Scope::Impersonation).await?;
        let method = format!("{}:generateAccessToken", self.target);
        let url = below(
            &self.base_url,
            &["v1", "projects", "-", "serviceAccounts", &method],
        )?;
        let lifetime = format!("{}s", self.lifetime.as_secs());
        let body =
            json!({ "scope": [scope.url()], "lifetime": lifetime, "delegates": self.delegates });
        let mut request = self
            .http
            .post(url)
            .bearer_auth(token.secret.expose())
            .json(&body);
        if let Some(project) = &self.user_project {
            request = request.header("x-goog-user-project", project);
        }
        let answer = self.http.send_idempotent(SERVICE, request).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        let read = || -> anyhow::Result<AccessToken> {
            let generated: Generated = answer.json()?;
            Ok(AccessToken {
                secret: generated.access_token,
                expires_at: generated.expire_time.parse()?,
            })
        };
        read().or_fail(ErrorKind::Unavailable, || {
            format!("cannot read the answer of {SERVICE}")
        })
    }
}

impl<C: CredentialSource> IamCredentials<C> {
    fn refused(&self, answer: &Answer) -> Error {
        let refusal = Refusal::of(answer);
        if let Some(general) = refusal.of_any_service(SERVICE, self.user_project.as_deref()) {
            return general;
        }
        let target = printable(&self.target);
        match refusal.status {
            // Google says the same for an account that does not exist.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                ErrorKind::Denied
                    .error(format!(
                        "you may not act as the service account `{target}`, or there is none"
                    ))
                    .because(refusal.cause())
                    .hint(format!(
                        "it takes the role `roles/iam.serviceAccountTokenCreator` on `{target}`"
                    ))
                    .hint("the account's name is in `google.impersonate` of your profile")
            }
            _ => refusal.unexpected(SERVICE),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::loopback::{Response, Server};

    struct Person;

    impl CredentialSource for Person {
        async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
            Ok(AccessToken {
                secret: Secret::from(format!("person-{scope:?}")),
                expires_at: Timestamp::MAX,
            })
        }

        async fn principal(&self) -> Result<Principal> {
            Ok(Principal::of_email("ada@acme.example"))
        }
    }

    fn impersonated(server: &Server, chain: &[&str]) -> Impersonated<Person> {
        Impersonated::new(
            Person,
            chain.iter().map(ToString::to_string).collect(),
            Some(SignedDuration::from_mins(15)),
            HttpClient::new(Vec::new()).unwrap(),
            server.url().clone(),
            Some("acme-tools".to_owned()),
            Clock::system(),
        )
    }

    #[tokio::test]
    async fn the_last_of_the_chain_is_who_one_is() {
        let server = Server::start(|_| {
            Response::json(
                200,
                &json!({ "accessToken": "account", "expireTime": "2999-01-01T00:00:00Z" }),
            )
        })
        .await;
        let credentials = impersonated(
            &server,
            &["a@p.iam.gserviceaccount.com", "b@p.iam.gserviceaccount.com"],
        );
        for _ in 0..2 {
            let token = credentials.access_token(Scope::Login).await.unwrap();
            assert_eq!(token.secret.expose(), "account");
            assert_eq!(token.expires_at.to_string(), "2999-01-01T00:00:00Z");
        }
        let who = credentials.principal().await.unwrap();
        assert_eq!(who.member, "serviceAccount:b@p.iam.gserviceaccount.com");
        assert_eq!(who.user_type, "CLOUD_IAM_SERVICE_ACCOUNT");
        let [request] = server.requests().try_into().unwrap();
        assert_eq!(
            request.path(),
            "/v1/projects/-/serviceAccounts/b@p.iam.gserviceaccount.com:generateAccessToken"
        );
        assert_eq!(
            request.header("authorization"),
            "Bearer person-Impersonation"
        );
        assert_eq!(request.header("x-goog-user-project"), "acme-tools");
        assert_eq!(
            request.json(),
            json!({
                "scope": ["https://www.googleapis.com/auth/sqlservice.login"], "lifetime": "900s",
                "delegates": ["projects/-/serviceAccounts/a@p.iam.gserviceaccount.com"],
            })
        );
    }

    #[tokio::test]
    async fn nobody_to_become() {
        let server = Server::start(|_| Response::new(500, "text/plain", "")).await;
        let token = impersonated(&server, &[])
            .access_token(Scope::Login)
            .await
            .unwrap();
        assert_eq!(token.secret.expose(), "person-Login");
        let who = impersonated(&server, &[]).principal().await.unwrap();
        assert_eq!(who.member, "user:ada@acme.example");
        assert!(server.requests().is_empty());
    }

    #[tokio::test]
    async fn who_may_not() {
        let server = Server::start(|_| {
            Response::json(
                403,
                &json!({ "error": { "code": 403, "message": "Permission denied" } }),
            )
        })
        .await;
        let error = impersonated(&server, &["b@p"])
            .access_token(Scope::Admin)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(
            error.next_steps()[0],
            "it takes the role `roles/iam.serviceAccountTokenCreator` on `b@p`"
        );
    }
}
