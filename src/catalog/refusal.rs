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
    /// Whether the server is too old for the parameter `name`.
    pub(super) fn is_about_unknown(&self, name: &str) -> bool {
        let message = &self.error.message;
        // Of parameters in a URL, and of properties in a body.
        let is_unknown = [
            "Unknown query parameter",
            "additional properties",
            "Unrecognized key",
        ];
        is_unknown.iter().any(|words| message.contains(words)) && message.contains(name)
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
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        | StatusCode::URI_TOO_LONG
        | StatusCode::PAYLOAD_TOO_LARGE => {
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
    let host = location(answer).and_then(|location| Some(location.host_str()?.to_owned()));
    let cause = match &host {
        Some(host) => anyhow::anyhow!("it sends to `{}`", printable(host)),
        None => anyhow::anyhow!("status {}, a web page", answer.status.as_u16()),
    };
    let backend =
        "set `backstage.url` to the URL of the Backstage backend, not of its web interface";
    match gatekeeper(answer) {
        Some(gatekeeper) => {
            let error = ErrorKind::Config
                .error(format!(
                    "not the catalog but the sign-in page of {} answers at `{base_url}`",
                    gatekeeper.name()
                ))
                .because(cause);
            let error = if gatekeeper.may_be_iap() {
                error.hint("if that is Google's Identity-Aware Proxy: set `backstage.auth` to \"iap\"")
            } else {
                error
            };
            error
                .hint("ask who runs it to let requests with a token through to `/api/catalog`, which Backstage checks itself, or for an address behind it")
                .hint(backend)
        }
        None => ErrorKind::Config
            .error(format!("not the catalog but a web page answers at `{base_url}`"))
            .because(cause)
            .hint(backend)
            .hint("if that is Google's Identity-Aware Proxy: set `backstage.auth` to \"iap\"; if it is another one, ask who runs it for a way in for programs"),
    }
}

/// Who asks people to sign in before anything gets through to Backstage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gatekeeper {
    Iap,
    Google,
    Okta,
    Entra,
    Auth0,
    Cognito,
    CloudflareAccess,
    OAuth2Proxy,
}

impl Gatekeeper {
    fn name(self) -> &'static str {
        match self {
            Self::Iap => "Google's Identity-Aware Proxy",
            Self::Google => "Google",
            Self::Okta => "Okta",
            Self::Entra => "Microsoft Entra ID",
            Self::Auth0 => "Auth0",
            Self::Cognito => "Amazon Cognito",
            Self::CloudflareAccess => "Cloudflare Access",
            Self::OAuth2Proxy => "oauth2-proxy",
        }
    }

    fn may_be_iap(self) -> bool {
        matches!(self, Self::Iap | Self::Google)
    }
}

/// Hosts and the ends of hosts where people are sent to sign in.
const SIGN_IN_HOSTS: [(&str, Gatekeeper); 10] = [
    ("accounts.google.com", Gatekeeper::Google),
    (".okta.com", Gatekeeper::Okta),
    (".okta-emea.com", Gatekeeper::Okta),
    (".oktapreview.com", Gatekeeper::Okta),
    ("login.microsoftonline.com", Gatekeeper::Entra),
    ("login.microsoftonline.us", Gatekeeper::Entra),
    (".auth0.com", Gatekeeper::Auth0),
    (".amazoncognito.com", Gatekeeper::Cognito),
    (".cloudflareaccess.com", Gatekeeper::CloudflareAccess),
    ("iap.googleapis.com", Gatekeeper::Iap),
];

fn gatekeeper(answer: &Answer) -> Option<Gatekeeper> {
    // What it answers itself it marks so.
    if answer.headers.contains_key("x-goog-iap-generated-response") {
        return Some(Gatekeeper::Iap);
    }
    let Some(location) = location(answer) else {
        let text = String::from_utf8_lossy(answer.body()).to_lowercase();
        let is_oauth2_proxy = text.contains("oauth2 proxy") || text.contains("/oauth2/start");
        return is_oauth2_proxy.then_some(Gatekeeper::OAuth2Proxy);
    };
    let host = location.host_str().unwrap_or_default();
    let known = SIGN_IN_HOSTS.iter().find(|(known, _)| {
        if known.starts_with('.') {
            host.ends_with(known)
        } else {
            host == *known
        }
    });
    let sends_to_itself = ["/oauth2/start", "/oauth2/sign_in"]
        .iter()
        .any(|path| location.path().ends_with(path));
    known
        .map(|(_, gatekeeper)| *gatekeeper)
        .or_else(|| sends_to_itself.then_some(Gatekeeper::OAuth2Proxy))
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

/// Where a redirect leads to. Only host and path may be shown: the rest may hold other people's secrets.
fn location(answer: &Answer) -> Option<Url> {
    let location = answer.headers.get(header::LOCATION)?.to_str().ok()?;
    // A path alone stays on the same host, whichever that is.
    let nowhere = Url::parse("file:///").ok()?;
    Url::options().base_url(Some(&nowhere)).parse(location).ok()
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
