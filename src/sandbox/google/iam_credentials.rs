//! The IAM Credentials API: a token for a service account, for those who may be it.
//! <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::principals;
use super::refusal::ApiError;
use super::tokens::{CLOUD_PLATFORM, IAM, SCOPES};

/// Longer needs an exception in the organisation's policy.
const MAX_LIFE: SignedDuration = SignedDuration::from_hours(1);
const PERMISSION: &str = "iam.serviceAccounts.getAccessToken";

#[derive(Debug, Deserialize)]
struct Request {
    #[serde(default)]
    scope: Vec<String>,
    #[serde(default)]
    lifetime: Option<String>,
    #[serde(default)]
    delegates: Vec<String>,
}

/// `POST /v1/projects/-/serviceAccounts/{email}:generateAccessToken`
pub(super) async fn generate_access_token(
    State(api): State<Api>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let Some((email, "generateAccessToken")) = method.rsplit_once(':') else {
        return Err(ApiError::not_found());
    };
    let caller = api.authorized(&headers, &[CLOUD_PLATFORM, IAM])?.principal;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid(format!("Invalid JSON payload received. {error}")))?;
    let known = |scope: &String| SCOPES.contains(&scope.as_str());
    if request.scope.is_empty() || !request.scope.iter().all(known) {
        return Err(ApiError::invalid(
            "Request contains an invalid argument: scope.",
        ));
    }
    let life = request.lifetime.as_deref().map_or(Some(MAX_LIFE), seconds);
    let Some(life) = life.filter(|life| life.is_positive() && *life <= MAX_LIFE) else {
        return Err(ApiError::invalid(
            "The access token lifetime cannot exceed 3600s and must be positive.",
        ));
    };
    if !may_be(&caller, &request.delegates, email) {
        return Err(ApiError::permission_denied(PERMISSION));
    }
    let (token, grant) = api.tokens.issue(email, request.scope, life);
    Ok(Json(json!({
        "accessToken": token,
        "expireTime": grant.expires_at.strftime("%FT%TZ").to_string(),
    })))
}

/// Whether each link of the chain may impersonate the next one. Delegates are `projects/-/serviceAccounts/EMAIL`, the
/// caller's neighbour first.
fn may_be(caller: &str, delegates: &[String], target: &str) -> bool {
    let mut previous = caller;
    for next in delegates.iter().map(String::as_str).chain([target]) {
        let email = next.rsplit('/').next().unwrap_or(next);
        let Some(account) = principals::service_account(email) else {
            return false;
        };
        if !account.impersonators.contains(&previous) {
            return false;
        }
        previous = account.email;
    }
    true
}

/// Reads a duration as protocol buffers write it in JSON: `3600s`.
fn seconds(text: &str) -> Option<SignedDuration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    SignedDuration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::google::principals::SERVICE_ACCOUNTS;

    #[test]
    fn every_link_of_a_chain_must_hold() {
        let [bsql, break_glass] = SERVICE_ACCOUNTS.map(|account| account.email);
        let through = [format!("projects/-/serviceAccounts/{bsql}")];
        assert!(may_be("ada@acme.example", &[], bsql));
        assert!(!may_be("bruno@acme.example", &[], bsql));
        assert!(!may_be("ada@acme.example", &[], break_glass));
        assert!(may_be("ada@acme.example", &through, break_glass));
        assert!(!may_be("bruno@acme.example", &through, break_glass));
        assert!(!may_be("ada@acme.example", &[], "nobody@acme.example"));
    }

    #[test]
    fn durations_as_protocol_buffers_write_them() {
        assert_eq!(seconds("900s"), Some(SignedDuration::from_secs(900)));
        assert_eq!(seconds("1.5s"), Some(SignedDuration::from_millis(1500)));
        assert_eq!(seconds("900"), None);
    }
}
