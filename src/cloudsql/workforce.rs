//! Workforce Identity Federation: the company's own ID token becomes tokens of Google's, with no Google account and no
//! secret of bsql's.
//!
//! RFC 8693 as <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token> has it. Nothing is kept on
//! either side: a new token is had by exchanging a fresh ID token again.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::credentials::{
    AccessToken, CredentialSource, Principal, Scope, Subject, SubjectTokenSource,
};
use super::endpoints::below;
use super::per_scope::{Issuer, PerScope, granted};
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, printable};
use crate::http::{Answer, HttpClient};

const SERVICE: &str = "Google's Security Token Service";

/// Exchanges ID tokens for access tokens, one per scope, and keeps them while they last.
#[derive(Debug)]
pub struct WorkforceTokens<S: SubjectTokenSource> {
    tokens: PerScope<TokenService<S>>,
}

impl<S: SubjectTokenSource> WorkforceTokens<S> {
    /// Tokens for `provider`, `locations/global/workforcePools/POOL/providers/PROVIDER`, from the service at `sts`. Calls
    /// with them count against `user_project`.
    pub fn new(
        subject: S,
        http: HttpClient,
        sts: Url,
        provider: String,
        user_project: Option<String>,
        clock: Clock,
    ) -> Self {
        let service = TokenService {
            subject,
            http,
            sts,
            provider,
            user_project,
            clock,
        };
        Self {
            tokens: PerScope::new(service, clock),
        }
    }
}

impl<S: SubjectTokenSource> CredentialSource for WorkforceTokens<S> {
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        self.tokens.get(scope).await
    }

    async fn principal(&self) -> Result<Principal> {
        let service = self.tokens.issuer();
        let Subject { subject, email } = service.subject.subject().await?;
        let provider = &service.provider;
        let pool = provider.split("/providers/").next().unwrap_or(provider);
        // Of a pool that maps `google.subject` to the mail address. Cloud SQL names the database user after the same
        // subject, so a pool that maps something else would not get in anyway.
        let subject = email.unwrap_or(subject);
        Ok(Principal {
            member: format!("principal://iam.googleapis.com/{pool}/subject/{subject}"),
            login: subject,
            user_type: "CLOUD_IAM_WORKFORCE_IDENTITY",
        })
    }
}

#[derive(Debug)]
struct TokenService<S> {
    subject: S,
    http: HttpClient,
    sts: Url,
    provider: String,
    user_project: Option<String>,
    clock: Clock,
}

/// RFC 6749 section 5.2.
#[derive(Deserialize)]
struct OAuthProblem {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl<S: SubjectTokenSource> Issuer for TokenService<S> {
    async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        let subject_token = self.subject.subject_token().await?;
        let audience = format!("//iam.googleapis.com/{}", self.provider);
        let mut form = vec![
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("audience", &audience),
            ("scope", scope.url()),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token", subject_token.expose()),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:id_token",
            ),
        ];
        let options = self
            .user_project
            .as_ref()
            .map(|project| json!({ "userProject": project }).to_string());
        if let Some(options) = &options {
            form.push(("options", options));
        }
        let request = self
            .http
            .post(below(&self.sts, &["v1", "token"])?)
            .form(&form);
        let asked_at = self.clock.now();
        let answer = self.http.send_idempotent(SERVICE, request).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        tracing::debug!(?scope, "exchanged the ID token");
        granted(SERVICE, &answer, asked_at)
    }
}

impl<S: SubjectTokenSource> TokenService<S> {
    fn refused(&self, answer: &Answer) -> Error {
        let provider = &self.provider;
        let Ok(problem) = answer.json::<OAuthProblem>() else {
            let refusal = Refusal::of(answer);
            let general = refusal.of_any_service(SERVICE, self.user_project.as_deref());
            return general.unwrap_or_else(|| refusal.unexpected(SERVICE));
        };
        let said = printable(&problem.error_description);
        let cause = anyhow::anyhow!("{}: {said}", printable(&problem.error));
        let over = ["expired", "stale"]
            .iter()
            .any(|word| said.to_lowercase().contains(word));
        match problem.error.as_str() {
            // An ID token that is too old: only this is mended by signing in.
            "invalid_grant" if over => ErrorKind::SignedOut
                .error("your sign-in is too old for Google")
                .because(cause)
                .hint("bsql login --force"),
            "invalid_grant" | "unauthorized_client" | "access_denied" => ErrorKind::Denied
                .error("Google does not accept your sign-in")
                .because(cause)
                .hint(format!("ask your Google Cloud administrators whether the workforce provider `{provider}` lets you in"))
                .hint("its issuer and client id must be those of `identity` in your profile"),
            "invalid_target" => ErrorKind::Config
                .error(format!("Google knows no workforce provider `{}`", printable(provider)))
                .because(cause)
                .hint("set `google.workforce_provider` to `locations/global/workforcePools/POOL/providers/PROVIDER`"),
            _ if answer.status == StatusCode::TOO_MANY_REQUESTS => ErrorKind::TryLater
                .error(format!("{SERVICE} has had too many requests from you"))
                .because(cause),
            _ if answer.status.is_server_error() => ErrorKind::Unavailable
                .error(format!("{SERVICE} is failing"))
                .because(cause)
                .hint("run it again in a minute; see https://status.cloud.google.com"),
            _ => ErrorKind::Config
                .error(format!("{SERVICE} refuses the request"))
                .because(cause)
                .hint("check `google.workforce_provider` and `google.user_project` in your profile"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::Value;

    use super::*;
    use crate::loopback::{Response, Server};
    use crate::secret::Secret;

    const PROVIDER: &str = "locations/global/workforcePools/acme/providers/okta";

    struct IdToken;

    impl SubjectTokenSource for IdToken {
        async fn subject_token(&self) -> Result<Secret> {
            Ok(Secret::from("id-t0ken".to_owned()))
        }

        async fn subject(&self) -> Result<Subject> {
            Ok(Subject {
                subject: "00u7".to_owned(),
                email: Some("ada@acme.example".to_owned()),
            })
        }
    }

    fn tokens(server: &Server, clock: Clock) -> WorkforceTokens<IdToken> {
        WorkforceTokens::new(
            IdToken,
            HttpClient::new(Vec::new()).unwrap(),
            server.url().clone(),
            PROVIDER.to_owned(),
            Some("acme-tools".to_owned()),
            clock,
        )
    }

    fn granted(expires_in: &Value) -> Response {
        Response::json(
            200,
            &json!({ "access_token": "sbx-access", "token_type": "Bearer", "expires_in": expires_in }),
        )
    }

    #[tokio::test]
    async fn each_scope_is_exchanged_once() {
        let server = Server::start(|_| granted(&json!("3599"))).await;
        let clock = Clock::system();
        let tokens = tokens(&server, clock);
        let (admin, again, login) = tokio::join!(
            tokens.access_token(Scope::Admin),
            tokens.access_token(Scope::Admin),
            tokens.access_token(Scope::Login),
        );
        assert_eq!(admin.unwrap().secret.expose(), "sbx-access");
        again.unwrap();
        let left = login.unwrap().expires_at.duration_since(clock.now());
        assert!((3_500..=3_599).contains(&left.as_secs()), "{left:?}");

        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        let mut scopes: Vec<String> = requests
            .iter()
            .flat_map(|request| request.form("scope"))
            .collect();
        scopes.sort();
        assert_eq!(
            scopes,
            [
                "https://www.googleapis.com/auth/sqlservice.admin",
                "https://www.googleapis.com/auth/sqlservice.login",
            ]
        );
        let request = &requests[0];
        assert_eq!(
            (request.method.as_str(), request.path()),
            ("POST", "/v1/token")
        );
        for (field, value) in [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            (
                "audience",
                "//iam.googleapis.com/locations/global/workforcePools/acme/providers/okta",
            ),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token", "id-t0ken"),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:id_token",
            ),
            ("options", r#"{"userProject":"acme-tools"}"#),
        ] {
            assert_eq!(request.form(field), [value], "{field}");
        }
    }

    #[tokio::test]
    async fn who_one_is_takes_no_request() {
        let server = Server::start(|_| granted(&json!(1))).await;
        let who = tokens(&server, Clock::system()).principal().await.unwrap();
        assert_eq!(
            who.member,
            "principal://iam.googleapis.com/locations/global/workforcePools/acme/subject/ada@acme.example"
        );
        assert_eq!(who.user_type, "CLOUD_IAM_WORKFORCE_IDENTITY");
        assert!(server.requests().is_empty());
    }

    #[tokio::test]
    async fn lives_of_tokens() {
        for (expires_in, expected) in [
            (json!(600), 600),
            (json!("600"), 600),
            (json!(null), 3_600),
            (json!("soon"), 3_600),
            (json!(-5), 0),
            (json!(i64::MAX), 43_200),
        ] {
            let answer = granted(&expires_in);
            let server = Server::start(move |_| answer.clone()).await;
            let clock = Clock::system();
            let token = tokens(&server, clock)
                .access_token(Scope::Admin)
                .await
                .unwrap();
            let left = token.expires_at.duration_since(clock.now()).as_secs();
            assert!(
                (expected - 20..=expected).contains(&left),
                "{expires_in}: {left}"
            );
        }
    }

    #[tokio::test]
    async fn what_each_refusal_means() {
        let oauth = |status, error: &str, description: &str| {
            Response::json(
                status,
                &json!({ "error": error, "error_description": description }),
            )
        };
        for (response, kind, step) in [
            (
                oauth(
                    400,
                    "invalid_grant",
                    "ID Token issued at 1 is stale to sign-in.",
                ),
                ErrorKind::SignedOut,
                "bsql login --force",
            ),
            (
                oauth(
                    400,
                    "invalid_grant",
                    "The given credential is rejected by the attribute condition.",
                ),
                ErrorKind::Denied,
                "ask your Google Cloud administrators whether the workforce provider \
                 `locations/global/workforcePools/acme/providers/okta` lets you in",
            ),
            (
                oauth(
                    400,
                    "invalid_target",
                    "The target service indicated by the \"audience\" parameters is invalid.",
                ),
                ErrorKind::Config,
                "set `google.workforce_provider` to `locations/global/workforcePools/POOL/providers/PROVIDER`",
            ),
            (
                oauth(400, "invalid_request", "Invalid value for \"audience\"."),
                ErrorKind::Config,
                "check `google.workforce_provider` and `google.user_project` in your profile",
            ),
            (
                Response::json(
                    403,
                    &json!({ "error": { "code": 403, "status": "PERMISSION_DENIED", "message":
                        "Caller does not have required permission to use project acme-tools. Grant the caller the \
                         roles/serviceusage.serviceUsageConsumer role" } }),
                ),
                ErrorKind::Denied,
                "it takes the role `roles/serviceusage.serviceUsageConsumer` on project `acme-tools`",
            ),
            (
                Response::json(
                    429,
                    &json!({ "error": { "code": 429, "message": "Quota" } }),
                )
                .header("retry-after", "7"),
                ErrorKind::TryLater,
                "wait 7 s and run it again",
            ),
            (
                Response::new(200, "text/plain", "what?"),
                ErrorKind::Unavailable,
                "",
            ),
        ] {
            let server = Server::start(move |_| response.clone()).await;
            let error = tokens(&server, Clock::system())
                .access_token(Scope::Admin)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(
                error.next_steps().first().copied().unwrap_or_default(),
                step
            );
            assert!(!format!("{error:?}").contains("id-t0ken"));
        }
    }

    #[tokio::test]
    async fn a_failing_service_is_asked_again() {
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Response::new(503, "text/plain", "busy"),
            _ => granted(&json!(3_600)),
        })
        .await;
        tokens(&server, Clock::system())
            .access_token(Scope::Login)
            .await
            .unwrap();
        assert_eq!(server.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_token_that_is_over_is_exchanged_again() {
        let server = Server::start(|_| granted(&json!(60))).await;
        let tokens = tokens(&server, Clock::system());
        tokens.access_token(Scope::Login).await.unwrap();
        tokens.access_token(Scope::Login).await.unwrap();
        assert_eq!(
            server.requests().len(),
            2,
            "a minute is too little for a certificate"
        );
    }
}
