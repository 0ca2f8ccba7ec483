//! Where tokens are exchanged for Google's: the Security Token Service (RFC 8693,
//! <https://cloud.google.com/iam/docs/reference/sts/rest>) and Google's OAuth server.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Form, State};
use serde_json::{Value, json};

use super::Api;
use super::refusal::TokenError;
use super::tokens::{CLOUD_PLATFORM, SCOPES, SQL_ADMIN, SQL_LOGIN, USERINFO_EMAIL};
use crate::clock::Clock;
use crate::sandbox::company::{self, USER_PROJECT, WORKFORCE_PROVIDER};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Google takes an ID token under either name.
const ID_TOKENS: [&str; 2] = [
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:jwt",
];
/// What the people of Acme have consented to when they signed in to Google.
const CONSENTED: [&str; 5] = [
    CLOUD_PLATFORM,
    SQL_ADMIN,
    SQL_LOGIN,
    "openid",
    USERINFO_EMAIL,
];
/// Before the person's id in a refresh token.
const REFRESH_TOKEN: &str = "sbx-secret-google-refresh-";

type Fields = HashMap<String, String>;

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// `POST /v1/token`: an ID token of the workforce's identity provider for an access token.
pub(super) async fn exchange(
    State(api): State<Api>,
    Form(fields): Form<Fields>,
) -> Result<Json<Value>, TokenError> {
    if let Some(status) = api.faults.get().sts_status {
        return Err(TokenError::fault(status));
    }
    let subject = check_exchange(&fields)?;
    let person = api.subject_tokens.verify(subject).map_err(|reason| {
        let description = match reason {
            "wrong signature" | "not a JSON web token" => {
                "Invalid JWT signature: the token was not signed by the provider's keys.".to_owned()
            }
            "wrong audience" => format!(
                "The audience in ID Token does not match the expected audience {}.",
                company::CLIENT_ID
            ),
            "wrong issuer" => "The issuer in ID Token does not match the expected ones.".to_owned(),
            "expired" => "ID Token is stale to sign-in.".to_owned(),
            other => format!("The subject token is invalid: {other}."),
        };
        TokenError::new("invalid_grant", description)
    })?;
    let scopes = scopes(field(&fields, "scope"), &SCOPES)?;
    let (token, _) = api.tokens.issue(person.email, scopes, api.token_life);
    Ok(Json(json!({
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": api.token_life.as_secs(),
    })))
}

/// Everything but the subject token itself, which it returns. The order is Google's.
fn check_exchange(fields: &Fields) -> Result<&str, TokenError> {
    let invalid = |name: &str| {
        TokenError::new(
            "invalid_request",
            format!("Invalid value for \"{name}\": \"{}\".", field(fields, name)),
        )
    };
    if field(fields, "grant_type") != TOKEN_EXCHANGE {
        return Err(TokenError::new(
            "unsupported_grant_type",
            format!(
                "Invalid value for \"grant_type\": \"{}\".",
                field(fields, "grant_type")
            ),
        ));
    }
    if field(fields, "audience") != format!("//iam.googleapis.com/{WORKFORCE_PROVIDER}") {
        return Err(TokenError::new(
            "invalid_target",
            "The target service indicated by the \"audience\" parameters is invalid. This might either be because \
             the pool or provider is disabled or deleted or because it doesn't exist.",
        ));
    }
    if field(fields, "requested_token_type") != ACCESS_TOKEN {
        return Err(invalid("requested_token_type"));
    }
    if !ID_TOKENS.contains(&field(fields, "subject_token_type")) {
        return Err(invalid("subject_token_type"));
    }
    match user_project(field(fields, "options")).as_deref() {
        Some(USER_PROJECT) => {}
        Some(other) => {
            return Err(TokenError::new(
                "invalid_request",
                format!(
                    "Caller does not have required permission to use project {other}: grant \
                     roles/serviceusage.serviceUsageConsumer."
                ),
            ));
        }
        None => {
            return Err(TokenError::new(
                "invalid_request",
                "Client authentication or \"userProject\" in \"options\" is required for workforce pools.",
            ));
        }
    }
    let subject = field(fields, "subject_token");
    if subject.is_empty() {
        return Err(TokenError::new(
            "invalid_request",
            "Missing required parameter: subject_token.",
        ));
    }
    Ok(subject)
}

/// The project that the exchange counts against. `options` is JSON; Google's Python library percent-encodes it once more
/// than the form does, and Google reads both.
fn user_project(options: &str) -> Option<String> {
    let decoded = if options.starts_with('{') {
        options.to_owned()
    } else {
        let pairs = format!("options={options}");
        url::form_urlencoded::parse(pairs.as_bytes())
            .next()?
            .1
            .into_owned()
    };
    let options: Value = serde_json::from_str(&decoded).ok()?;
    options["userProject"].as_str().map(str::to_owned)
}

/// `POST /token`: a refresh token for an access token, for all consented scopes or only some of them.
pub(super) async fn refresh(
    State(api): State<Api>,
    Form(fields): Form<Fields>,
) -> Result<Json<Value>, TokenError> {
    if let Some(status) = api.faults.get().sts_status {
        return Err(TokenError::fault(status));
    }
    if field(&fields, "grant_type") != "refresh_token" {
        return Err(TokenError::new(
            "unsupported_grant_type",
            format!("Invalid grant_type: {}", field(&fields, "grant_type")),
        ));
    }
    for required in ["client_id", "client_secret"] {
        if field(&fields, required).is_empty() {
            let description = format!("Missing required parameter: {required}");
            return Err(TokenError::new("invalid_request", description));
        }
    }
    let person = field(&fields, "refresh_token")
        .strip_prefix(REFRESH_TOKEN)
        .and_then(company::person)
        .ok_or_else(|| TokenError::new("invalid_grant", "Token has been expired or revoked."))?;
    let scopes = match field(&fields, "scope") {
        "" => CONSENTED.map(str::to_owned).to_vec(),
        narrower => scopes(narrower, &CONSENTED)?,
    };
    let scope = scopes.join(" ");
    let (token, _) = api.tokens.issue(person.email, scopes, api.token_life);
    Ok(Json(json!({
        "access_token": token,
        "expires_in": api.token_life.as_secs(),
        "scope": scope,
        "token_type": "Bearer",
    })))
}

/// `POST /tokeninfo`: what an access token is. Whose it is, only the scope for that shows.
pub(super) async fn token_info(
    State(api): State<Api>,
    Form(fields): Form<Fields>,
) -> Result<Json<Value>, TokenError> {
    let grant = api
        .tokens
        .grant(field(&fields, "access_token"))
        .ok_or_else(|| TokenError::new("invalid_token", "Invalid Value"))?;
    let left = grant.expires_at.duration_since(Clock::system().now());
    // Google writes the numbers as text here.
    let mut info = json!({
        "scope": grant.scopes.join(" "),
        "exp": grant.expires_at.as_second().to_string(),
        "expires_in": left.as_secs().to_string(),
    });
    if grant.covers(&[USERINFO_EMAIL]) {
        info["email"] = grant.principal.into();
        info["email_verified"] = "true".into();
    }
    Ok(Json(info))
}

fn scopes(asked: &str, known: &[&str]) -> Result<Vec<String>, TokenError> {
    let asked: Vec<String> = asked.split_whitespace().map(str::to_owned).collect();
    let bad: Vec<&str> = asked
        .iter()
        .map(String::as_str)
        .filter(|scope| !known.contains(scope))
        .collect();
    if asked.is_empty() {
        return Err(TokenError::new(
            "invalid_scope",
            "Missing required parameter: scope.",
        ));
    }
    if !bad.is_empty() {
        let description = format!(
            "Some requested scopes were invalid. {{invalid=[{}]}}",
            bad.join(", ")
        );
        return Err(TokenError::new("invalid_scope", description));
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Fields {
        [
            ("grant_type", TOKEN_EXCHANGE),
            (
                "audience",
                "//iam.googleapis.com/locations/global/workforcePools/acme/providers/sandbox",
            ),
            ("requested_token_type", ACCESS_TOKEN),
            ("subject_token_type", ID_TOKENS[0]),
            ("subject_token", "x.y.z"),
            ("options", r#"{"userProject":"acme-tools"}"#),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn every_field_of_an_exchange_is_looked_at() {
        assert_eq!(check_exchange(&good()), Ok("x.y.z"));
        for (name, value, error) in [
            ("grant_type", "refresh_token", "unsupported_grant_type"),
            ("audience", "//iam.googleapis.com/x", "invalid_target"),
            ("requested_token_type", "", "invalid_request"),
            ("subject_token_type", ACCESS_TOKEN, "invalid_request"),
            ("subject_token", "", "invalid_request"),
            ("options", "", "invalid_request"),
            ("options", r#"{"userProject":"other"}"#, "invalid_request"),
        ] {
            let mut fields = good();
            fields.insert(name.to_owned(), value.to_owned());
            assert_eq!(check_exchange(&fields).unwrap_err().error, error, "{name}");
        }
    }

    #[test]
    fn options_may_be_encoded_once_more() {
        let options = "%7B%22userProject%22%3A%20%22acme-tools%22%7D";
        assert_eq!(user_project(options).as_deref(), Some("acme-tools"));
        assert_eq!(user_project("nonsense"), None);
    }

    #[test]
    fn scopes_are_named_and_known() {
        assert_eq!(
            scopes(&format!("{SQL_ADMIN} {CLOUD_PLATFORM}"), &SCOPES).unwrap(),
            [SQL_ADMIN, CLOUD_PLATFORM]
        );
        for bad in ["", "https://www.googleapis.com/auth/drive"] {
            assert_eq!(scopes(bad, &SCOPES).unwrap_err().error, "invalid_scope");
        }
    }
}
