//! What the catalog says when it does not answer with what was asked for, and what answers in its place.

use reqwest::{StatusCode, header};
use serde::Deserialize;
use url::Url;

use crate::error::{Error, ErrorKind, printable};
use crate::http::Answer;

/// Backstage's error body.
#[derive(Deserialize)]
pub(super) struct Problem {
    error: ProblemDetail,
}

#[derive(Deserialize)]
struct ProblemDetail {
    #[serde(default)]
    name: String,
    #[serde(default)]
    message: String,
}

impl Problem {
    /// Whether the server is too old for the query parameter `name`.
    pub(super) fn is_about_unknown(&self, name: &str) -> bool {
        let message = &self.error.message;
        message.contains("Unknown query parameter") && message.contains(name)
    }
}

/// What an answer that is not the thing asked for means.
pub(super) fn refusal(base_url: &Url, answer: &Answer) -> Error {
    let status = answer.status;
    if status.is_redirection() || is_web_page(answer) {
        return proxy_in_front(base_url, answer);
    }
    let cause = || anyhow::anyhow!("{}", said(answer));
    match status {
        StatusCode::UNAUTHORIZED => ErrorKind::Denied
            .error(format!("the catalog at `{base_url}` does not accept your sign-in"))
            .because(cause())
            .hint("bsql login --force")
            .hint("if that does not help: `backstage.auth` must name a way to sign in that this Backstage is set up for"),
        StatusCode::FORBIDDEN => ErrorKind::Denied
            .error(format!("you may not read the catalog at `{base_url}`"))
            .because(cause())
            .hint("ask your Backstage administrators for the permission `catalog.entity.read`"),
        StatusCode::NOT_FOUND => ErrorKind::Config
            .error(format!("there is no catalog at `{base_url}`"))
            .because(cause())
            .hint("set `backstage.url` to the URL of the Backstage backend (its `backend.baseUrl`)"),
        StatusCode::TOO_MANY_REQUESTS => {
            let wait = answer.retry_after().map_or_else(
                || "wait a minute".to_owned(),
                |seconds| format!("wait {seconds} s"),
            );
            ErrorKind::TryLater
                .error("the catalog has had too many requests from here")
                .because(cause())
                .hint(format!("{wait} and run it again"))
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            ErrorKind::Unavailable
                .error(format!("the catalog at `{base_url}` does not take requests this long"))
                .because(cause())
                .hint("ask for fewer owners at once: bsql ls --owner group:default/NAME")
        }
        StatusCode::BAD_REQUEST => ErrorKind::Internal
            .error(format!("the catalog at `{base_url}` does not understand the request"))
            .because(cause()),
        _ => ErrorKind::Unavailable
            .error(format!("the catalog at `{base_url}` is failing"))
            .because(cause())
            .hint("wait a minute and run it again; if it stays, tell your Backstage administrators"),
    }
}

fn proxy_in_front(base_url: &Url, answer: &Answer) -> Error {
    let host = location_host(answer);
    let cause = match &host {
        Some(host) => anyhow::anyhow!("it sends to `{}`", printable(host)),
        None => anyhow::anyhow!("status {}, a web page", answer.status.as_u16()),
    };
    ErrorKind::Config
        .error(format!("not the catalog but a web page answers at `{base_url}`"))
        .because(cause)
        .hint("set `backstage.url` to the URL of the Backstage backend, not of its web interface")
        .hint("if that is Google's Identity-Aware Proxy: set `backstage.auth` to \"iap\"; if it is another one, ask who runs it for a way in for programs")
}

/// Whether this is what a sign-in page or the web interface answers. Other statuses come as HTML too, from load balancers,
/// but mean what they say.
pub(super) fn is_web_page(answer: &Answer) -> bool {
    let kind = answer.headers.get(header::CONTENT_TYPE);
    let html = kind
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    html && may_be_a_page(answer.status)
}

fn may_be_a_page(status: StatusCode) -> bool {
    status.is_success() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The host that a redirect leads to. The rest of the URL may hold other people's secrets.
fn location_host(answer: &Answer) -> Option<String> {
    let location = answer.headers.get(header::LOCATION)?.to_str().ok()?;
    Some(Url::parse(location).ok()?.host_str()?.to_owned())
}

/// What the server says about its refusal. Its message may be empty.
fn said(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    let text = match answer.json::<Problem>() {
        Ok(Problem { error }) if error.message.is_empty() => error.name,
        Ok(Problem { error }) => error.message,
        Err(_) => answer.excerpt(),
    };
    match printable(&text) {
        text if text.is_empty() => format!("status {status}"),
        text => format!("status {status}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancers_error_page_is_no_sign_in_page() {
        for (status, expected) in [
            (200, true),
            (401, true),
            (403, true),
            (404, false),
            (429, false),
            (502, false),
        ] {
            assert_eq!(
                may_be_a_page(StatusCode::from_u16(status).unwrap()),
                expected,
                "{status}"
            );
        }
    }
}
