//! The parameters of a query or form, and the errors that answer them (RFC 6749 sections 3.1, 3.2 and 5.2).

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What a client sent. A parameter without a value counts as not sent.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: BTreeMap<String, String>,
    repeated: Option<String>,
}

impl Params {
    /// Reads `application/x-www-form-urlencoded` text.
    pub(super) fn parse(text: &str) -> Self {
        let mut params = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if value.is_empty() {
                continue;
            }
            let name = name.into_owned();
            let value = value.into_owned();
            if params.values.insert(name.clone(), value).is_some() {
                params.repeated = Some(name);
            }
        }
        params
    }

    /// The value of `name`.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value of `name`, or `invalid_request`.
    pub(super) fn required(&self, name: &str) -> Result<&str, OAuthError> {
        self.optional(name)
            .ok_or_else(|| OAuthError::new("invalid_request", format!("`{name}` is missing")))
    }

    /// A parameter that was sent more than once, which none may be.
    pub(super) fn repeated(&self) -> Option<&str> {
        self.repeated.as_deref()
    }

    /// Refuses what no request may contain.
    pub(super) fn check(&self) -> Result<(), OAuthError> {
        match self.repeated() {
            Some(name) => Err(OAuthError::new(
                "invalid_request",
                format!("`{name}` was sent more than once"),
            )),
            None => Ok(()),
        }
    }
}

/// An error of RFC 6749 section 5.2 or RFC 8628 section 3.5.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OAuthError {
    /// The registered error code.
    pub(super) code: &'static str,
    /// For the developer who reads it.
    pub(super) description: Cow<'static, str>,
}

impl OAuthError {
    pub(super) fn new(code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            description: description.into(),
        }
    }

    /// The grant is not, no longer, or was never good.
    pub(super) fn invalid_grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let status = match self.code {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({ "error": self.code, "error_description": self.description });
        (status, no_store(), Json(body)).into_response()
    }
}

/// The headers of every answer that may hold a secret (RFC 6749 section 5.1).
pub(super) fn no_store() -> [(http::HeaderName, &'static str); 2] {
    [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_are_not_there_and_repeats_are_found() {
        let params = Params::parse("a=1&b=&c=x%20y+z");
        assert_eq!(params.optional("a"), Some("1"));
        assert_eq!(params.optional("b"), None);
        assert_eq!(params.optional("c"), Some("x y z"));
        assert_eq!(params.required("b").unwrap_err().code, "invalid_request");
        assert!(params.check().is_ok());

        let params = Params::parse("a=1&a=1");
        assert_eq!(params.repeated(), Some("a"));
        assert_eq!(params.check().unwrap_err().code, "invalid_request");
    }
}
