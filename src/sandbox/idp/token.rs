//! The endpoints that programs speak to: token, device authorization, revocation, and user info.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::device;
use super::params::{OAuthError, Params, no_store};
use super::provider::{Client, Provider, fault};
use crate::sandbox::http::bearer;

/// Exchanges a code, a refresh token or a device code for tokens (RFC 6749 section 3.2).
pub(super) async fn token(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let faults = provider.settings.faults.get();
    if let Some(fault) = fault(faults.token_status, faults.token_refusal.as_deref()) {
        return fault;
    }
    match exchange(&provider, &headers, &body) {
        Ok(tokens) => (no_store(), Json(tokens)).into_response(),
        Err(error) => error.into_response(),
    }
}

fn exchange(provider: &Provider, headers: &HeaderMap, body: &str) -> Result<Value, OAuthError> {
    let params = form(headers, body)?;
    let client = client(headers, &params)?;
    let now = provider.clock.now();
    let life = provider.settings.token_life;
    let issued = match params.required("grant_type")? {
        "authorization_code" => provider.state().grants.redeem(
            params.required("code")?,
            client.id,
            params.required("redirect_uri")?,
            params.required("code_verifier")?,
            now,
            life,
        )?,
        "refresh_token" => {
            let mut state = provider.state();
            let issued = state.grants.refresh(
                params.required("refresh_token")?,
                client.id,
                params.optional("scope"),
                now,
                life,
            )?;
            state.refreshes += 1;
            issued
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            let mut state = provider.state();
            let device_code = params.required("device_code")?;
            let approval = state.devices.poll(device_code, client.id, now)?;
            state.grants.begin(approval, now, life).1
        }
        _ => {
            return Err(OAuthError::new(
                "unsupported_grant_type",
                "only authorization_code, refresh_token and device codes are supported",
            ));
        }
    };
    Ok(provider.token_response(&issued))
}

/// Begins the device flow (RFC 8628 section 3.1).
pub(super) async fn device_authorization(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, OAuthError> {
    let params = form(&headers, &body)?;
    let client = client(&headers, &params)?;
    let scope = params.optional("scope").unwrap_or_default();
    if !scope.split(' ').any(|scope| scope == "openid") {
        return Err(OAuthError::new(
            "invalid_scope",
            "the scope `openid` is missing",
        ));
    }
    let now = provider.clock.now();
    let mut state = provider.state();
    let (device_code, user_code) = state.devices.begin(client.id, scope, now);
    if let Some(person) = provider.settings.auto_approve {
        let answer = device::Answer::Approved(person, now);
        state.devices.answer(&user_code, answer, now);
    }
    drop(state);
    let issuer = &provider.settings.issuer;
    let body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": format!("{issuer}/device"),
        "verification_uri_complete": format!("{issuer}/device?user_code={user_code}"),
        "expires_in": device::LIFE.as_secs(),
        "interval": device::INTERVAL.as_secs(),
    });
    Ok((no_store(), Json(body)).into_response())
}

/// Revokes (RFC 7009). An unknown token is as good as revoked, so the answer is 200 all the same.
pub(super) async fn revoke(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: String,
) -> Result<StatusCode, OAuthError> {
    let params = form(&headers, &body)?;
    let client = client(&headers, &params)?;
    let token = params.required("token")?;
    provider.state().grants.revoke(token, client.id);
    Ok(StatusCode::OK)
}

/// Says who an access token speaks for (OpenID Connect Core section 5.3).
pub(super) async fn userinfo(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
) -> Response {
    let now = provider.clock.now();
    let Some(token) = bearer(&headers) else {
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response();
    };
    let holder = provider.state().grants.holder(token, now);
    let Some(person) = holder else {
        let challenge = r#"Bearer error="invalid_token""#;
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
    };
    let claims = json!({
        "sub": person.email,
        "email": person.email,
        "email_verified": true,
        "name": person.name,
        "groups": person.groups,
    });
    (no_store(), Json(claims)).into_response()
}

fn form(headers: &HeaderMap, body: &str) -> Result<Params, OAuthError> {
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| {
            media_type
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
    if !is_form {
        return Err(OAuthError::new("invalid_request", "the body is not a form"));
    }
    let params = Params::parse(body);
    params.check()?;
    Ok(params)
}

/// The public client that asks. One that brings a secret has mistaken itself for another.
fn client(headers: &HeaderMap, params: &Params) -> Result<&'static Client, OAuthError> {
    if headers.contains_key(AUTHORIZATION) || params.optional("client_secret").is_some() {
        return Err(OAuthError::new(
            "invalid_client",
            "the client is public and has no secret",
        ));
    }
    Client::find(params.required("client_id")?)
        .ok_or_else(|| OAuthError::new("invalid_client", "no such client"))
}
