//! The catalog's REST API.
//!
//! <https://backstage.io/docs/features/software-catalog/software-catalog-api>. Works with every release since 1.8 (2023):
//! newer parts of the API are only used where an older server says that it does not know them.

mod answered;
mod named;
mod pages;
mod person;
mod query;
mod selection;
#[cfg(test)]
mod tests;
mod user_token;

use std::sync::atomic::AtomicBool;

use reqwest::header::{self, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use super::conventions::Conventions;
use super::entity::EntityRef;
use super::refusal::{is_web_page, refusal};
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::http::{Answer, HttpClient};
use crate::secret::Secret;

pub use pages::Pages;
pub use person::Person;
pub(super) use query::{Condition, Query};
pub use selection::Selection;

const SERVICE: &str = "the catalog";

/// A token for the catalog; `None` sends no Authorization header.
pub trait BearerSource: Send + Sync {
    /// The token as it is now.
    fn bearer(&self) -> impl Future<Output = Result<Option<Secret>>> + Send;

    /// A token for an authenticating proxy in front of it; `None` sends no Proxy-Authorization header.
    fn proxy_bearer(&self) -> impl Future<Output = Result<Option<Secret>>> + Send {
        std::future::ready(Ok(None))
    }
}

/// Adds the token for an authenticating proxy (RFC 9110 section 11.7.1).
pub(super) fn proxy_authorization(
    request: RequestBuilder,
    token: &Secret,
) -> Result<RequestBuilder> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| ErrorKind::Config.error("the token for the proxy cannot be in a header"))?;
    value.set_sensitive(true);
    Ok(request.header(header::PROXY_AUTHORIZATION, value))
}

/// Asks one catalog.
///
/// The catalog hides what a person may not read: it answers as if it were not there. So "not found" here always means
/// "not there, or not visible".
#[derive(Debug)]
pub struct CatalogClient<B> {
    http: HttpClient,
    base_url: Url,
    bearer: B,
    conventions: Conventions,
    /// Counting matches costs the server a second query. Since Backstage 1.52 it can be told not to.
    skips_totals: AtomicBool,
    /// Long queries go into a body. Since Backstage 1.49 they may.
    takes_posts: AtomicBool,
}

impl<B: BearerSource> CatalogClient<B> {
    /// A client for the catalog of the backend at `base_url`, which is not always where the web interface is.
    pub fn new(http: HttpClient, base_url: Url, bearer: B, conventions: Conventions) -> Self {
        Self {
            http,
            base_url,
            bearer,
            conventions,
            skips_totals: AtomicBool::new(true),
            takes_posts: AtomicBool::new(true),
        }
    }

    /// How databases are written into this catalog.
    pub fn conventions(&self) -> &Conventions {
        &self.conventions
    }

    /// The User that the catalog takes the person for, where it is Backstage's own token that is shown to it.
    ///
    /// With other tokens the catalog sees a service and nobody in particular. Asks nothing.
    pub async fn signed_in_as(&self) -> Option<EntityRef> {
        let token = self.bearer.bearer().await.ok()??;
        user_token::user(&token)
    }

    fn url(&self, path: &[&str]) -> Result<Url> {
        self.plugin_url("catalog", path)
    }

    fn plugin_url(&self, plugin: &str, path: &[&str]) -> Result<Url> {
        let mut url = self.base_url.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("it has no path"))
            .or_fail(ErrorKind::Config, || {
                format!("`{}` cannot be a Backstage URL", self.base_url)
            })?
            .pop_if_empty()
            .extend(["api", plugin])
            .extend(path);
        Ok(url)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer> {
        let request = match self.bearer.bearer().await? {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let request = match self.bearer.proxy_bearer().await? {
            Some(token) => proxy_authorization(request, &token)?,
            None => request,
        };
        self.http.send_idempotent(SERVICE, request).await
    }

    /// The body of a good answer, or what the answer means. `what` names the part for "cannot read …".
    fn read<T: serde::de::DeserializeOwned>(
        &self,
        answer: &Answer,
        what: impl FnOnce() -> String,
    ) -> Result<T> {
        if answer.status != StatusCode::OK || is_web_page(answer) {
            return Err(refusal(&self.base_url, answer));
        }
        answer.json().map_err(|cause| self.unreadable(what, cause))
    }

    fn unreadable(&self, what: impl FnOnce() -> String, cause: anyhow::Error) -> Error {
        ErrorKind::Unavailable
            .error(format!(
                "cannot read {} from the catalog at `{}`",
                what(),
                self.base_url
            ))
            .because(cause)
            .hint("check that `backstage.url` is the URL of a Backstage backend")
    }
}
