//! What it means when the provider says no: whose turn it is, and what to do.

use crate::error::{Error, ErrorKind, printable};

/// An OAuth error answer (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, OpenID Connect Core section 3.1.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The error code, such as `invalid_grant`.
    pub(super) code: String,
    /// The provider's own words.
    pub(super) description: Option<String>,
}

impl Refusal {
    /// The error for the person. `client_id` and `issuer` are what to check when bsql itself is not welcome.
    pub(super) fn error(&self, client_id: &str, issuer: &str) -> Error {
        let code = printable(&self.code);
        let config = |message: String, hint: String| {
            ErrorKind::Config
                .error(message)
                .because(self.cause())
                .hint(hint)
        };
        match self.code.as_str() {
            // The one that ends a session. Providers say here what happened, so it is the message itself.
            "invalid_grant"
            | "login_required"
            | "interaction_required"
            | "consent_required"
            | "account_selection_required" => {
                ErrorKind::SignedOut.error(format!("signed out: {}", self.words()))
            }
            "expired_token" => ErrorKind::SignedOut
                .error("the code was not entered in time")
                .hint("bsql login"),
            "access_denied" => ErrorKind::Denied
                .error("the identity provider refused the sign-in")
                .because(self.cause())
                .hint(format!(
                    "if it was not you who declined, ask the identity provider's administrator for access to the client `{client_id}`"
                )),
            "invalid_client" | "unauthorized_client" => config(
                format!("the identity provider does not accept the client `{client_id}`"),
                format!(
                    "check identity.client_id, and that `{client_id}` is registered at `{issuer}` as a public (native) client that may use this flow"
                ),
            ),
            "unsupported_grant_type" | "unsupported_response_type" => config(
                format!("the identity provider does not let `{client_id}` sign in this way"),
                "try another flow: bsql login --flow browser, device or paste".to_owned(),
            ),
            "invalid_scope" | "invalid_target" => config(
                "the identity provider does not know a scope that bsql asks for".to_owned(),
                "check identity.scopes".to_owned(),
            ),
            "invalid_request" | "invalid_request_uri" | "invalid_request_object" => config(
                "the identity provider does not understand the request".to_owned(),
                format!(
                    "check that the redirect URI http://127.0.0.1/callback (any port) is registered for `{client_id}`, or set identity.redirect_ports"
                ),
            ),
            "server_error" | "temporarily_unavailable" => ErrorKind::Unavailable
                .error("the identity provider is failing")
                .because(self.cause())
                .hint("wait a minute and run it again"),
            "slow_down" => ErrorKind::TryLater
                .error("the identity provider asks to slow down")
                .because(self.cause()),
            _ => ErrorKind::Refused
                .error(format!("the identity provider answered `{code}`"))
                .because(self.cause())
                .hint("run it again with -vv, and show the administrator of the identity provider what it prints"),
        }
    }

    /// The description, or the code when there is none. In both cases fit for a terminal.
    pub(super) fn words(&self) -> String {
        match self.description.as_deref().map(printable) {
            Some(description) if !description.trim().is_empty() => description,
            _ => format!("the identity provider answered `{}`", printable(&self.code)),
        }
    }

    fn cause(&self) -> anyhow::Error {
        let code = printable(&self.code);
        match self.description.as_deref().map(printable) {
            Some(description) => anyhow::anyhow!("{code}: {description}"),
            None => anyhow::anyhow!("{code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, description: Option<&str>) -> Error {
        Refusal {
            code: code.to_owned(),
            description: description.map(str::to_owned),
        }
        .error("bsql", "https://login.acme.example")
    }

    #[test]
    fn only_the_end_of_a_session_signs_out() {
        for (code, kind) in [
            ("invalid_grant", ErrorKind::SignedOut),
            ("interaction_required", ErrorKind::SignedOut),
            ("expired_token", ErrorKind::SignedOut),
            ("access_denied", ErrorKind::Denied),
            ("invalid_client", ErrorKind::Config),
            ("unauthorized_client", ErrorKind::Config),
            ("invalid_scope", ErrorKind::Config),
            ("invalid_request", ErrorKind::Config),
            ("unsupported_grant_type", ErrorKind::Config),
            ("server_error", ErrorKind::Unavailable),
            ("temporarily_unavailable", ErrorKind::Unavailable),
            ("slow_down", ErrorKind::TryLater),
            ("something_new", ErrorKind::Refused),
        ] {
            assert_eq!(error(code, None).kind(), kind, "{code}");
        }
    }

    #[test]
    fn the_providers_words_are_kept_without_their_escapes() {
        let error = error("invalid_grant", Some("session \u{1b}[31mrevoked"));
        let message = error.to_string();
        assert!(message.starts_with("signed out: session "), "{message}");
        assert!(!message.contains('\u{1b}'));
    }

    #[test]
    fn no_words_no_stutter() {
        assert_eq!(
            error("invalid_grant", Some("")).to_string(),
            "signed out: the identity provider answered `invalid_grant`"
        );
    }

    #[test]
    fn a_client_that_is_not_welcome_says_what_to_check() {
        let error = error("invalid_client", Some("no such client"));
        assert_eq!(error.causes(), ["invalid_client: no such client"]);
        assert!(error.next_steps()[0].contains("identity.client_id"));
    }
}
