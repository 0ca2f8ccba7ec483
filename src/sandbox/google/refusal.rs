//! Google's two ways to say no: the JSON of its APIs, and that of OAuth (RFC 6749 section 5.2).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An API's error, see <https://cloud.google.com/apis/design/errors>.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    reason: &'static str,
    details: Vec<Value>,
    retry_after: Option<u64>,
}

impl ApiError {
    /// The request makes no sense.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message, "invalid")
    }

    /// There is no token.
    pub(super) fn missing_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or \
             other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
            "required",
        )
        .detail("CREDENTIALS_MISSING", "googleapis.com")
    }

    /// The token is none of ours, or over.
    pub(super) fn invalid_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
             valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
            "authError",
        )
        .detail("ACCESS_TOKEN_INVALID", "googleapis.com")
    }

    /// The token is for something else.
    pub(super) fn insufficient_scopes() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Request had insufficient authentication scopes.",
            "insufficientPermissions",
        )
        .detail("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com")
    }

    /// Cloud SQL's, also for an instance that does not exist: who may not look must not learn.
    pub(super) fn not_authorized() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "The client is not authorized to make this request.",
            "notAuthorized",
        )
    }

    /// IAM's, likewise.
    pub(super) fn permission_denied(permission: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            format!("Permission '{permission}' denied on resource (or it may not exist)."),
            "forbidden",
        )
        .detail("IAM_PERMISSION_DENIED", "iam.googleapis.com")
    }

    /// No such method.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found", "notFound")
    }

    /// What a service says that has been told to fail with `status`.
    pub(super) fn fault(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match status {
            StatusCode::UNAUTHORIZED => Self::invalid_token(),
            StatusCode::FORBIDDEN => Self::not_authorized(),
            StatusCode::NOT_FOUND => Self::new(
                status,
                "The Cloud SQL instance does not exist.",
                "instanceDoesNotExist",
            ),
            StatusCode::TOO_MANY_REQUESTS => Self::new(
                status,
                "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of service \
                 'sqladmin.googleapis.com' for consumer 'project_number:123456789012'.",
                "rateLimitExceeded",
            )
            .detail("RATE_LIMIT_EXCEEDED", "googleapis.com"),
            StatusCode::BAD_REQUEST => Self::invalid(
                "Invalid request: Invalid request since instance is not running.",
            ),
            _ => Self::new(
                status,
                "An internal error has occurred. Retry your request, but if the problem persists, contact support.",
                "backendError",
            ),
        }
    }

    /// And says how long to wait, in seconds.
    pub(super) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    fn new(status: StatusCode, message: impl Into<String>, reason: &'static str) -> Self {
        Self {
            status,
            message: message.into(),
            reason,
            details: Vec::new(),
            retry_after: None,
        }
    }

    fn detail(mut self, reason: &str, domain: &str) -> Self {
        self.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain,
        }));
        self
    }

    /// The canonical name of the status, see `google/rpc/code.proto`.
    fn name(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            _ => "INTERNAL",
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = json!({
            "message": self.message, "domain": "global", "reason": self.reason,
        });
        let mut body = json!({
            "code": self.status.as_u16(), "message": self.message, "status": self.name(), "errors": [error],
        });
        if !self.details.is_empty() {
            body["details"] = self.details.into();
        }
        let mut response = (self.status, Json(json!({ "error": body }))).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge =
                header::HeaderValue::from_static(r#"Bearer realm="https://accounts.google.com/""#);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A token endpoint's error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TokenError {
    status: StatusCode,
    /// One of the codes of RFC 6749.
    pub(super) error: &'static str,
    description: String,
}

impl TokenError {
    /// With the status 400, as nearly all of them.
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            description: description.into(),
        }
    }

    /// What a token endpoint says that has been told to fail with `status`.
    pub(super) fn fault(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (error, description) = match status.as_u16() {
            400 | 401 | 403 => (
                "invalid_grant",
                "The given credential is rejected by the attribute condition.",
            ),
            429 => ("temporarily_unavailable", "Quota exceeded."),
            _ => ("internal_failure", "Internal error encountered."),
        };
        Self {
            status,
            ..Self::new(error, description)
        }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        (self.status, Json(body)).into_response()
    }
}
