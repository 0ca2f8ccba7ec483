//! What Google's APIs say when they refuse: one shape for all of them, <https://cloud.google.com/apis/design/errors>, and
//! the refusals that mean the same everywhere.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::error::{Error, ErrorKind, printable};
use crate::http::Answer;

/// A refusal, read from an answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Google's words, fit for a terminal.
    pub(super) message: String,
    reasons: Vec<String>,
    retry_after: Option<u64>,
}

#[derive(Deserialize)]
struct Body {
    error: Detail,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Reason>,
    #[serde(default)]
    details: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

impl Refusal {
    /// Reads an answer that is not a success, whatever its body.
    pub(super) fn of(answer: &Answer) -> Self {
        let (message, reasons) = match answer.json::<Body>() {
            Ok(Body { error }) => (
                error.message,
                error.errors.into_iter().chain(error.details).collect(),
            ),
            Err(_) => (answer.excerpt(), Vec::new()),
        };
        Self {
            status: answer.status,
            message: printable(&message),
            reasons: reasons
                .into_iter()
                .map(|Reason { reason }| reason)
                .collect(),
            retry_after: answer.retry_after(),
        }
    }

    /// A refusal in gRPC's words: `google.rpc.Code`, each of which stands for an HTTP status.
    pub(super) fn of_grpc(code: u64, message: String) -> Self {
        let status = match code {
            3 | 9 | 11 => StatusCode::BAD_REQUEST,
            5 => StatusCode::NOT_FOUND,
            7 => StatusCode::FORBIDDEN,
            8 => StatusCode::TOO_MANY_REQUESTS,
            16 => StatusCode::UNAUTHORIZED,
            4 => StatusCode::GATEWAY_TIMEOUT,
            12 => StatusCode::NOT_IMPLEMENTED,
            14 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            message,
            reasons: Vec::new(),
            retry_after: None,
        }
    }

    /// As a cause.
    pub(super) fn cause(&self) -> anyhow::Error {
        let status = self.status.as_u16();
        if self.message.is_empty() {
            anyhow::anyhow!("status {status}")
        } else {
            anyhow::anyhow!("status {status}: {}", self.message)
        }
    }

    fn has_reason(&self, wanted: &[&str]) -> bool {
        self.reasons
            .iter()
            .any(|reason| wanted.contains(&reason.as_str()))
    }

    /// What the refusal means whichever `service` it is from, named as in "the SQL Admin API"; `None` when that depends
    /// on what was asked.
    pub(super) fn of_any_service(
        &self,
        service: &str,
        user_project: Option<&str>,
    ) -> Option<Error> {
        if self.has_reason(&["SERVICE_DISABLED", "accessNotConfigured"]) {
            return Some(
                ErrorKind::Denied
                    .error(format!("{service} is switched off in the project that is asked"))
                    .because(self.cause())
                    .hint("tell the project's owner to enable it; Google's message above names the project"),
            );
        }
        // The text is all that some services give, see google.auth's tests.
        let quota = self.has_reason(&["USER_PROJECT_DENIED"])
            || self.message.contains("serviceusage.services.use")
            || self
                .message
                .contains("roles/serviceusage.serviceUsageConsumer");
        if let (true, Some(project)) = (quota, user_project) {
            return Some(
                ErrorKind::Denied
                    .error(format!("you may not use the project `{project}` for API calls"))
                    .because(self.cause())
                    .hint(format!("it takes the role `roles/serviceusage.serviceUsageConsumer` on project `{project}`"))
                    .hint("or set `google.user_project` to a project on which you have it"),
            );
        }
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = match self.retry_after {
                    Some(seconds) => format!("wait {seconds} s and run it again"),
                    None => "wait a minute and run it again".to_owned(),
                };
                Some(
                    ErrorKind::TryLater
                        .error(format!("{service} has had too many requests from you"))
                        .because(self.cause())
                        .hint(wait),
                )
            }
            status if status.is_server_error() => Some(
                ErrorKind::Unavailable
                    .error(format!("{service} is failing"))
                    .because(self.cause())
                    .hint("run it again in a minute; see https://status.cloud.google.com"),
            ),
            status if status.is_redirection() => Some(
                ErrorKind::Config
                    .error(format!("not {service} but something else answers"))
                    .because(self.cause())
                    .hint("check HTTPS_PROXY and `google.endpoints`"),
            ),
            _ => None,
        }
    }

    /// What a refusal means that nothing better is known about.
    pub(super) fn unexpected(&self, service: &str) -> Error {
        ErrorKind::Unavailable
            .error(format!("{service} refuses the request"))
            .because(self.cause())
            .hint("run it again with -vv and report what it prints")
    }
}
