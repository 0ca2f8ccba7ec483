//! Answers in Backstage's form: JSON bodies, weak `ETag`s where Express makes them, and the error body.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Serialize;

use crate::sandbox::faults::SignInWall;

const JSON: &str = "application/json; charset=utf-8";

/// A refusal, to be told with the request that it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    /// As in `@backstage/errors`.
    pub(super) name: &'static str,
    pub(super) message: String,
    /// In seconds.
    pub(super) retry_after: Option<u64>,
}

/// As a production server writes it, without the stack.
#[derive(Debug, Serialize)]
struct ErrorBody<'a> {
    error: ErrorPart<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestPart<'a>>,
    response: ResponsePart,
}

#[derive(Debug, Serialize)]
struct ErrorPart<'a> {
    name: &'static str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct RequestPart<'a> {
    method: &'a str,
    /// Relative to the plugin.
    url: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponsePart {
    status_code: u16,
}

impl ApiError {
    fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            name,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The request makes no sense.
    pub(super) fn input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InputError", message)
    }

    /// There is no such entity, or none that the asker may see.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFoundError", message)
    }

    /// No token, or none that is known.
    pub(super) fn authentication(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "AuthenticationError", message)
    }

    /// The asker may not see it, where Backstage says so.
    pub(super) fn not_allowed() -> Self {
        Self::new(StatusCode::FORBIDDEN, "NotAllowedError", "")
    }

    /// What the status fault asks for.
    pub(super) fn fault(status: u16, retry_after: Option<u64>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (name, message) = match status.as_u16() {
            401 => ("AuthenticationError", "Illegal token"),
            403 => ("NotAllowedError", ""),
            404 => ("NotFoundError", "Not found"),
            429 => ("Error", "Too many requests, please try again later"),
            503 => ("ServiceUnavailableError", "Service has not started up yet"),
            _ => ("Error", "The sandbox was asked to fail"),
        };
        // The rate limiter always says how long; its window is a minute.
        let default = (status == StatusCode::TOO_MANY_REQUESTS).then_some(60);
        Self {
            retry_after: retry_after.or(default),
            ..Self::new(status, name, message)
        }
    }

    fn render(&self, method: &Method, uri: &Uri) -> Response {
        // The rate limiter answers before there is a request to tell about.
        let limited = self.status == StatusCode::TOO_MANY_REQUESTS;
        let body = ErrorBody {
            error: ErrorPart {
                name: self.name,
                message: &self.message,
            },
            request: (!limited).then(|| RequestPart {
                method: method.as_str(),
                url: uri.to_string(),
            }),
            response: ResponsePart {
                status_code: self.status.as_u16(),
            },
        };
        if self.status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
            return self.status.into_response(); // Node says no more than that.
        }
        // It has a tag, but is sent again all the same.
        let mut response = tagged(&HeaderMap::new(), method, &body);
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl IntoResponse for ApiError {
    /// Only a note: [`render_errors`] makes the body, for it knows the request.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives errors their bodies.
pub(super) async fn render_errors(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error.render(&method, &uri),
        None => response,
    }
}

/// What a proxy that wants a sign-in answers in Backstage's place.
pub(super) fn sign_in_wall(wall: SignInWall) -> Response {
    match wall {
        SignInWall::Redirect => {
            let page = "https://accounts.acme.example/o/oauth2/v2/auth?client_id=proxy";
            (StatusCode::FOUND, [(LOCATION, page)]).into_response()
        }
        SignInWall::Page => Html(
            "<!doctype html><title>Sign in</title><h1>Acme</h1><form method=\"post\"><input name=\"user\"></form>",
        )
        .into_response(),
    }
}

/// The first half of a body, as when a server or a proxy ends while it answers.
pub(super) fn broken(body: &impl Serialize) -> Response {
    let text = to_json(body);
    json_response(&String::from_utf8_lossy(&text.as_bytes()[..text.len() / 2]))
}

/// A body that Express streams: no `ETag`, and no length.
pub(super) fn streamed(body: &impl Serialize) -> Response {
    let text = to_json(body);
    let pieces = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(text)]);
    ([(CONTENT_TYPE, JSON)], Body::from_stream(pieces)).into_response()
}

/// A body that Express sends in one piece: with a weak `ETag`, and 304 for who has it already.
pub(super) fn tagged(headers: &HeaderMap, method: &Method, body: &impl Serialize) -> Response {
    let text = to_json(body);
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let tag = format!(
        "W/\"{:x}-{}\"",
        text.len(),
        STANDARD_NO_PAD.encode(&digest.as_ref()[..15])
    );
    let known = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    if known && method == Method::GET {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    ([(ETAG, tag)], json_response(&text)).into_response()
}

fn to_json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("answers have only string keys")
}

fn json_response(text: &str) -> Response {
    ([(CONTENT_TYPE, JSON)], text.to_owned()).into_response()
}
