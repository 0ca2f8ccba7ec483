//! Through Google's Identity-Aware Proxy: an ID token opens the proxy, and Backstage behind it gives a token of its own.
//!
//! <https://cloud.google.com/iap/docs/authentication-howto#authenticating_from_proxy-authorization_header>. The proxy takes
//! `Proxy-Authorization` for itself and leaves `Authorization` to Backstage, whose provider `gcpIap` gives a token to
//! whoever the proxy vouches for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::OnceCell;
use url::Url;

use super::super::client::{BearerSource, proxy_authorization};
use super::super::refusal::{is_web_page, refusal};
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::http::{Answer, HttpClient};
use crate::secret::Secret;

const SERVICE: &str = "Backstage";

/// Gets Backstage's token once, with the ID tokens of `T`.
#[derive(Debug)]
pub struct IapTokens<T> {
    http: HttpClient,
    base_url: Url,
    id_tokens: T,
    /// What the proxy expects as `aud`, if that is known: it refuses without saying why.
    audience: Option<String>,
    backstage: OnceCell<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refreshed {
    backstage_identity: BackstageIdentity,
}

#[derive(Deserialize)]
struct BackstageIdentity {
    token: Secret,
}

#[derive(Deserialize)]
struct AudienceClaim {
    aud: Audience,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl<T: BearerSource> IapTokens<T> {
    /// For the Backstage at `base_url`. Nothing is asked yet.
    pub fn new(http: HttpClient, base_url: Url, id_tokens: T, audience: Option<String>) -> Self {
        Self {
            http,
            base_url,
            id_tokens,
            audience,
            backstage: OnceCell::new(),
        }
    }

    async fn id_token(&self) -> Result<Secret> {
        let token = self.id_tokens.bearer().await?.ok_or_else(|| {
            ErrorKind::Config.error("there is no ID token for the proxy in front of Backstage")
        })?;
        if let Some(expected) = &self.audience {
            check_audience(&token, expected)?;
        }
        Ok(token)
    }

    async fn refresh(&self) -> Result<Secret> {
        let mut url = self.base_url.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("it has no path"))
            .or_fail(ErrorKind::Config, || {
                format!("`{}` cannot be a Backstage URL", self.base_url)
            })?
            .pop_if_empty()
            .extend(["api", "auth", "gcpIap", "refresh"]);
        let id_token = self.id_token().await?;
        let request = proxy_authorization(self.http.get(url), &id_token)?;
        let answer = self.http.send_idempotent(SERVICE, request).await?;
        if turned_away(&answer) {
            return Err(self.turned_away(&answer));
        }
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(ErrorKind::Config
                    .error(format!(
                        "Backstage at `{}` has no sign-in by Google's Identity-Aware Proxy",
                        self.base_url
                    ))
                    .hint("`backstage.auth` must name a way to sign in that this Backstage is set up for: there must be `auth.providers.gcpIap`"));
            }
            _ => return Err(refusal(&self.base_url, &answer)),
        }
        // The body holds a token, so the parser's message stays out of the error.
        let refreshed: Refreshed = answer.json().map_err(|_| {
            ErrorKind::Unavailable.error(format!(
                "cannot read the token that Backstage at `{}` gave",
                self.base_url
            ))
        })?;
        tracing::info!("Backstage gave a token behind the Identity-Aware Proxy");
        Ok(refreshed.backstage_identity.token)
    }

    fn turned_away(&self, answer: &Answer) -> Error {
        ErrorKind::Denied
            .error(format!(
                "the Identity-Aware Proxy in front of `{}` does not let you in",
                self.base_url
            ))
            .because(anyhow::anyhow!("it answered {}", answer.status))
            .hint("the ID token must be for the proxy: set `backstage.iap_audience` to its OAuth client id, and bsql says if it is not")
            .hint("if it is, ask your Google Cloud administrators for the role `roles/iap.httpsResourceAccessor`")
    }
}

impl<T: BearerSource> BearerSource for IapTokens<T> {
    async fn bearer(&self) -> Result<Option<Secret>> {
        let token = self.backstage.get_or_try_init(|| self.refresh()).await?;
        Ok(Some(token.clone()))
    }

    async fn proxy_bearer(&self) -> Result<Option<Secret>> {
        self.id_token().await.map(Some)
    }
}

/// Whether the proxy answered, and not what is behind it.
fn turned_away(answer: &Answer) -> bool {
    answer.status.is_redirection()
        || is_web_page(answer)
        || answer.headers.contains_key("x-goog-iap-generated-response")
}

/// Says what the proxy would not: that the token is somebody else's.
fn check_audience(token: &Secret, expected: &str) -> Result<()> {
    let claims = token
        .expose()
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|claims| serde_json::from_slice::<AudienceClaim>(&claims).ok());
    let audiences = match claims {
        Some(AudienceClaim {
            aud: Audience::One(one),
        }) => vec![one],
        Some(AudienceClaim {
            aud: Audience::Many(many),
        }) => many,
        None => {
            return Err(ErrorKind::Config
                .error("what should open the proxy in front of Backstage is no ID token")
                .hint("`backstage.token_command` must print an ID token (a JWT)"));
        }
    };
    if audiences.iter().any(|audience| audience == expected) {
        return Ok(());
    }
    Err(ErrorKind::Config
        .error(format!(
            "the ID token is for `{}`, and the proxy in front of Backstage wants one for `{}`",
            printable(&audiences.join(", ")),
            printable(expected)
        ))
        .hint("sign in as that client (`identity.client_id`), or set `backstage.token_command` to a command that prints an ID token for it"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::client::CatalogClient;
    use super::super::super::conventions::Conventions;
    use super::*;
    use crate::loopback::{Response, Server};

    struct IdToken(String);

    impl BearerSource for IdToken {
        async fn bearer(&self) -> Result<Option<Secret>> {
            Ok(Some(self.0.clone().into()))
        }
    }

    fn jwt(claims: &serde_json::Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn tokens(server: &Server, token: &str, audience: Option<&str>) -> IapTokens<IdToken> {
        IapTokens::new(
            HttpClient::new(Vec::new()).unwrap(),
            server.url().clone(),
            IdToken(token.to_owned()),
            audience.map(str::to_owned),
        )
    }

    #[tokio::test]
    async fn both_tokens_travel_and_backstages_is_fetched_once() {
        let server = Server::start(|request| match request.path() {
            "/api/auth/gcpIap/refresh" => Response::json(
                200,
                &json!({ "profile": {}, "backstageIdentity": { "token": "backst4ge", "expiresInSeconds": 3600 } }),
            ),
            _ => Response::json(200, &json!({ "items": [], "pageInfo": {} })),
        })
        .await;
        let id_token = jwt(&json!({ "aud": ["iap-client"] }));
        let client = CatalogClient::new(
            HttpClient::new(Vec::new()).unwrap(),
            server.url().clone(),
            tokens(&server, &id_token, Some("iap-client")),
            Conventions::default(),
        );
        for _ in 0..2 {
            client.named("x").await.unwrap();
        }
        let requests = server.requests();
        let paths: Vec<&str> = requests
            .iter()
            .map(crate::loopback::Request::path)
            .collect();
        let query = "/api/catalog/entities/by-query";
        assert_eq!(paths, ["/api/auth/gcpIap/refresh", query, query]);
        assert_eq!(requests[0].header("authorization"), "");
        for request in &requests {
            assert_eq!(
                request.header("proxy-authorization"),
                format!("Bearer {id_token}")
            );
        }
        assert_eq!(requests[1].header("authorization"), "Bearer backst4ge");
    }

    #[tokio::test]
    async fn a_token_for_somebody_else_is_not_sent() {
        let server = Server::start(|_| panic!("nothing must be asked")).await;
        for (token, expected) in [
            (
                jwt(&json!({ "aud": "bsql" })),
                "the ID token is for `bsql`, and the proxy in front of Backstage wants one for `iap`",
            ),
            (
                "opaque".to_owned(),
                "what should open the proxy in front of Backstage is no ID token",
            ),
        ] {
            let error = tokens(&server, &token, Some("iap"))
                .bearer()
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert_eq!(error.to_string(), expected);
        }
        assert!(server.requests().is_empty());
    }

    #[tokio::test]
    async fn the_proxys_no_and_backstages_no_are_told_apart() {
        for (answer, kind, words) in [
            (
                Response::json(302, &json!({}))
                    .header("location", "https://accounts.google.com/o/oauth2/auth?x"),
                ErrorKind::Denied,
                "does not let you in",
            ),
            (
                Response::new(401, "text/html", "Invalid IAP credentials: JWT audience")
                    .header("x-goog-iap-generated-response", "true"),
                ErrorKind::Denied,
                "does not let you in",
            ),
            (
                Response::json(404, &json!({ "error": { "name": "NotFoundError" } })),
                ErrorKind::Config,
                "has no sign-in by Google's Identity-Aware Proxy",
            ),
            (
                Response::json(
                    401,
                    &json!({ "error": { "name": "AuthenticationError", "message": "no header" } }),
                ),
                ErrorKind::Denied,
                "does not accept your sign-in",
            ),
            (
                Response::json(200, &json!({ "token": "s3cret" })),
                ErrorKind::Unavailable,
                "cannot read the token",
            ),
        ] {
            let server = Server::start(move |_| answer.clone()).await;
            let error = tokens(&server, "t", None).bearer().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"));
        }
    }
}
