//! Backstage's own OAuth server and the client that is built into it, the one of `backstage-cli auth login`.
//!
//! <https://backstage.io/docs/next/tooling/cli/module-auth>; since Backstage 1.50 for any port on 127.0.0.1. Where
//! everything is follows from the backend's URL, so that nothing needs to be asked to know it.

use reqwest::StatusCode;
use url::Url;

use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::http::HttpClient;

/// What is asked for: `offline_access` gives a refresh token, where the server gives any.
pub const OAUTH_SCOPES: [&str; 2] = ["openid", "offline_access"];

/// Where Backstage's OAuth server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthEndpoints {
    /// The issuer of its tokens.
    pub issuer: Url,
    /// The metadata document of the built-in client; 404 where that is not switched on.
    pub client_document: Url,
    /// Sends the browser to the page where a person agrees.
    pub authorization: Url,
    /// Codes and refresh tokens for tokens.
    pub token: Url,
    /// Ends refresh tokens.
    pub revocation: Url,
}

impl OAuthEndpoints {
    /// Those of the backend at `base_url`.
    pub fn of(base_url: &Url) -> Result<Self> {
        let at = |path: &[&str]| -> Result<Url> {
            let mut url = base_url.clone();
            url.path_segments_mut()
                .map_err(|()| anyhow::anyhow!("it has no path"))
                .or_fail(ErrorKind::Config, || {
                    format!("`{base_url}` cannot be a Backstage URL")
                })?
                .pop_if_empty()
                .extend(["api", "auth"])
                .extend(path);
            Ok(url)
        };
        Ok(Self {
            issuer: at(&[])?,
            client_document: at(&[".well-known", "oauth-client", "cli.json"])?,
            authorization: at(&["v1", "authorize"])?,
            token: at(&["v1", "token"])?,
            revocation: at(&["v1", "revoke"])?,
        })
    }

    /// Whether the built-in client is switched on. A Backstage that cannot be asked is for its next request to report.
    pub async fn are_on(&self, http: &HttpClient) -> bool {
        let answer = http
            .send("Backstage", http.get(self.client_document.clone()))
            .await;
        answer.is_ok_and(|answer| {
            answer.status == StatusCode::OK && answer.json::<serde_json::Value>().is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::loopback::{Response, Server};

    #[test]
    fn a_path_in_the_base_url_is_kept() {
        let base_url = "https://a.example/backstage/".parse().unwrap();
        let endpoints = OAuthEndpoints::of(&base_url).unwrap();
        assert_eq!(
            endpoints.client_document.as_str(),
            "https://a.example/backstage/api/auth/.well-known/oauth-client/cli.json"
        );
        assert_eq!(
            endpoints.issuer.as_str(),
            "https://a.example/backstage/api/auth"
        );
    }

    #[tokio::test]
    async fn only_a_document_says_that_it_is_on() {
        for (answer, expected) in [
            (Response::json(200, &json!({ "client_id": "c" })), true),
            (Response::json(404, &json!({})), false),
            (
                Response::new(200, "text/html", "<html>the web interface</html>"),
                false,
            ),
        ] {
            let server = Server::start(move |_| answer.clone()).await;
            let http = HttpClient::new(Vec::new()).unwrap();
            let endpoints = OAuthEndpoints::of(server.url()).unwrap();
            assert_eq!(endpoints.are_on(&http).await, expected);
        }
    }
}
