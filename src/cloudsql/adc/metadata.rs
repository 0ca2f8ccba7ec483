//! The metadata server of a machine on Google Cloud, <https://cloud.google.com/compute/docs/metadata/overview>: tokens of
//! the service account that the machine runs as.

use std::time::Duration;

use url::Url;

use super::place::none;
use crate::clock::Clock;
use crate::cloudsql::credentials::{AccessToken, Principal, Scope};
use crate::cloudsql::endpoints::below;
use crate::cloudsql::per_scope::granted;
use crate::cloudsql::refusal::Refusal;
use crate::error::{ErrorKind, Result};
use crate::http::{Answer, HttpClient};
use crate::refresh::within;

const SERVICE: &str = "the metadata server";
/// In requests it says that they are meant, in answers that they are Google's.
const FLAVOR: &str = "Metadata-Flavor";
/// It is next to the machine; elsewhere nobody should wait for it long.
const LIMIT: Duration = Duration::from_secs(5);

/// The metadata server.
#[derive(Debug)]
pub(super) struct MetadataServer {
    http: HttpClient,
    /// Of the service account.
    url: Url,
    clock: Clock,
}

impl MetadataServer {
    pub(super) fn new(http: HttpClient, url: Url, clock: Clock) -> Self {
        Self { http, url, clock }
    }

    pub(super) async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        let mut url = below(&self.url, &["token"])?;
        url.query_pairs_mut().append_pair("scopes", scope.url());
        let asked_at = self.clock.now();
        let answer = self.ask(url).await?;
        granted(SERVICE, &answer, asked_at)
    }

    pub(super) async fn principal(&self) -> Result<Principal> {
        let answer = self.ask(below(&self.url, &["email"])?).await?;
        Ok(Principal::of_email(answer.excerpt().trim()))
    }

    async fn ask(&self, url: Url) -> Result<Answer> {
        let request = self.http.get(url).header(FLAVOR, "Google");
        let late = || {
            none(anyhow::anyhow!(
                "there is no credentials file, and {SERVICE} does not answer"
            ))
        };
        let answer = match within(LIMIT, self.http.send(SERVICE, request), late).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                return Err(none(anyhow::Error::new(error).context(
                    "there is no credentials file, and this is no machine of Google Cloud",
                )));
            }
            answer => answer?,
        };
        // Anything may answer at that name in somebody's network.
        let flavor = answer.headers.get(FLAVOR);
        if flavor.is_none_or(|flavor| flavor.as_bytes() != b"Google") {
            return Err(none(anyhow::anyhow!(
                "there is no credentials file, and what answers as {SERVICE} is something else"
            )));
        }
        if answer.status.is_success() {
            return Ok(answer);
        }
        let refusal = Refusal::of(&answer);
        if answer.status.as_u16() == 404 {
            return Err(ErrorKind::Config
                .error("this machine runs as no service account")
                .because(refusal.cause())
                .hint(
                    "give the machine a service account, or set GOOGLE_APPLICATION_CREDENTIALS",
                ));
        }
        let general = refusal.of_any_service(SERVICE, None);
        Err(general.unwrap_or_else(|| refusal.unexpected(SERVICE)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::loopback::{Response, Server};

    fn machine(server: &Server) -> MetadataServer {
        let http = HttpClient::new(Vec::new()).unwrap();
        MetadataServer::new(http, server.url().clone(), Clock::system())
    }

    #[tokio::test]
    async fn the_machines_own_account() {
        let server = Server::start(|request| {
            let answer = if request.path() == "/email" {
                Response::new(200, "text/plain", "app@acme.iam.gserviceaccount.com\n")
            } else {
                Response::json(200, &json!({ "access_token": "t", "expires_in": 600 }))
            };
            answer.header("metadata-flavor", "Google")
        })
        .await;
        let machine = machine(&server);
        let token = machine.issue(Scope::Login).await.unwrap();
        assert_eq!(token.secret.expose(), "t");
        let who = machine.principal().await.unwrap();
        assert_eq!(
            who.member,
            "serviceAccount:app@acme.iam.gserviceaccount.com"
        );
        let requests = server.requests();
        assert_eq!(
            requests[0].query("scopes"),
            ["https://www.googleapis.com/auth/sqlservice.login"]
        );
        assert_eq!(requests[0].header("metadata-flavor"), "Google");
    }

    #[tokio::test]
    async fn somebody_else_at_that_name() {
        let server = Server::start(|_| {
            Response::json(200, &json!({ "access_token": "t", "expires_in": 600 }))
        })
        .await;
        let error = machine(&server).issue(Scope::Admin).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.causes()[0].contains("something else"), "{error:?}");
    }

    #[tokio::test]
    async fn a_machine_without_an_account() {
        let server = Server::start(|_| {
            Response::new(404, "text/html", "").header("metadata-flavor", "Google")
        })
        .await;
        let error = machine(&server).issue(Scope::Admin).await.unwrap_err();
        assert_eq!(error.to_string(), "this machine runs as no service account");
    }
}
