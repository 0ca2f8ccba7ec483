//! The metadata server of a machine in Acme's Google Cloud, which runs as a service account.
//! <https://cloud.google.com/compute/docs/metadata/overview>

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::principals::SERVICE_ACCOUNTS;
use super::tokens::{CLOUD_PLATFORM, SCOPES};

/// Both in requests, which a browser could otherwise be made to send, and in answers.
const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// Separated by commas; all that the machine has when nothing is said.
    #[serde(default)]
    scopes: Option<String>,
}

/// `GET /computeMetadata/v1/instance/service-accounts/default/email`
pub(super) async fn email(headers: HeaderMap) -> Response {
    if !is_meant(&headers) {
        return not_meant();
    }
    ([FLAVOR], SERVICE_ACCOUNTS[0].email).into_response()
}

/// `GET /computeMetadata/v1/instance/service-accounts/default/token`
pub(super) async fn token(
    State(api): State<Api>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    if !is_meant(&headers) {
        return not_meant();
    }
    let scopes = wanted.scopes.as_deref().unwrap_or(CLOUD_PLATFORM);
    let scopes: Vec<String> = scopes.split(',').map(str::to_owned).collect();
    if !scopes.iter().all(|scope| SCOPES.contains(&scope.as_str())) {
        return (StatusCode::BAD_REQUEST, [FLAVOR]).into_response();
    }
    let account = SERVICE_ACCOUNTS[0].email;
    let (token, _) = api.tokens.issue(account, scopes, api.token_life);
    let answer = json!({
        "access_token": token,
        "expires_in": api.token_life.as_secs(),
        "token_type": "Bearer",
    });
    ([FLAVOR], Json(answer)).into_response()
}

fn is_meant(headers: &HeaderMap) -> bool {
    headers
        .get(FLAVOR.0)
        .is_some_and(|value| value.as_bytes() == FLAVOR.1.as_bytes())
}

fn not_meant() -> Response {
    let words = "Missing Metadata-Flavor:Google header.";
    (StatusCode::FORBIDDEN, [FLAVOR], words).into_response()
}
