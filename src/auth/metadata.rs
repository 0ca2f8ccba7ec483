//! What a provider says about itself (OpenID Connect Discovery 1.0 section 3, RFC 8414).

use serde::Deserialize;
use url::Url;

use super::oauth_server::AuthorizationServer;
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::http::require_secure;

/// A provider's own description, checked.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The issuer as the provider spells it: what `iss` must be everywhere.
    pub issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    /// None at a server that signs no ID tokens.
    pub(super) jwks_uri: Option<Url>,
    pub(super) device_authorization_endpoint: Option<Url>,
    pub(super) revocation_endpoint: Option<Url>,
    pub(super) end_session_endpoint: Option<Url>,
    /// Where requests must be pushed to, if they must (RFC 9126 section 5).
    pub(super) pushed_authorization_request_endpoint: Option<Url>,
    /// The signature algorithms of ID tokens; None when the provider does not say.
    pub(super) id_token_algorithms: Option<Vec<String>>,
    /// Every answer carries `iss` (RFC 9207 section 3).
    pub(super) answers_carry_issuer: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Reads the document that was found for `issuer`.
    ///
    /// Fails with [`ErrorKind::Config`] when it is not one, is another issuer's, or would have bsql do something unsafe.
    pub(super) fn read(document: &[u8], issuer: &str) -> Result<Self> {
        let document: Document = serde_json::from_slice(document)
            .or_fail(ErrorKind::Config, || not_a_provider(issuer))
            .map_err(|error| error.hint(CHECK_ISSUER))?;
        // The document's address is the same with and without a slash at the end, so whoever answered there speaks for
        // both spellings. Everything else must be equal (OpenID Connect Discovery section 4.3).
        if document.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            let other = printable(&document.issuer);
            return Err(ErrorKind::Config
                .error(format!(
                    "the provider at `{issuer}` says that it is `{other}`"
                ))
                .hint(format!(
                    "if that is the right one, set identity.issuer to \"{other}\""
                )));
        }
        if let Some(methods) = &document.code_challenge_methods_supported
            && !methods.iter().any(|method| method == "S256")
        {
            return Err(ErrorKind::Config
                .error(format!("the provider at `{issuer}` does not offer PKCE with S256"))
                .hint("ask its administrator: without it a stolen sign-in code could be redeemed by others"));
        }
        let pushed = optional(
            "pushed_authorization_request_endpoint",
            document.pushed_authorization_request_endpoint,
        )?;
        if document.require_pushed_authorization_requests && pushed.is_none() {
            return Err(ErrorKind::Config.error(format!(
                "the provider at `{issuer}` demands pushed requests and has no endpoint for them"
            )));
        }
        Ok(Self {
            authorization_endpoint: endpoint(
                "authorization_endpoint",
                &document.authorization_endpoint,
            )?,
            token_endpoint: endpoint("token_endpoint", &document.token_endpoint)?,
            jwks_uri: Some(endpoint("jwks_uri", &document.jwks_uri)?),
            device_authorization_endpoint: optional(
                "device_authorization_endpoint",
                document.device_authorization_endpoint,
            )?,
            revocation_endpoint: optional("revocation_endpoint", document.revocation_endpoint)?,
            end_session_endpoint: optional("end_session_endpoint", document.end_session_endpoint)?,
            pushed_authorization_request_endpoint: pushed
                .filter(|_| document.require_pushed_authorization_requests),
            id_token_algorithms: document.id_token_signing_alg_values_supported,
            answers_carry_issuer: document.authorization_response_iss_parameter_supported,
            issuer: document.issuer,
        })
    }

    /// What there is to know of a server that is no OpenID provider.
    pub(super) fn of(server: &AuthorizationServer) -> Self {
        Self {
            issuer: server.issuer.clone(),
            authorization_endpoint: server.authorization_endpoint.clone(),
            token_endpoint: server.token_endpoint.clone(),
            jwks_uri: None,
            device_authorization_endpoint: None,
            revocation_endpoint: Some(server.revocation_endpoint.clone()),
            end_session_endpoint: None,
            pushed_authorization_request_endpoint: None,
            id_token_algorithms: None,
            answers_carry_issuer: false,
        }
    }

    /// Whether a person can sign in by entering a code on another device (RFC 8628).
    pub fn offers_device_flow(&self) -> bool {
        self.device_authorization_endpoint.is_some()
    }
}

/// The next step whenever what answers is not the provider.
pub(super) const CHECK_ISSUER: &str = "check identity.issuer: a browser must find a JSON document at <issuer>/.well-known/openid-configuration";

/// The message when what answers at `issuer` is no provider.
pub(super) fn not_a_provider(issuer: &str) -> String {
    format!("there is no OpenID provider at `{issuer}`")
}

fn optional(name: &str, value: Option<String>) -> Result<Option<Url>> {
    value.map(|value| endpoint(name, &value)).transpose()
}

fn endpoint(name: &str, value: &str) -> Result<Url> {
    let wrong = |cause: Error| {
        ErrorKind::Config
            .error(format!(
                "the identity provider's `{name}` cannot be used: `{}`",
                printable(value)
            ))
            .because(cause)
            .hint("ask the identity provider's administrator")
    };
    let url = Url::parse(value)
        .or_fail(ErrorKind::Config, || "it is not a URL")
        .map_err(wrong)?;
    require_secure(&url).map_err(wrong)?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://login.acme.example";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.acme.example/authorize",
            "token_endpoint": "https://login.acme.example/token",
            "jwks_uri": "https://keys.acme.example/jwks",
        })
    }

    fn read(changes: &Value) -> Result<Metadata> {
        let mut document = document();
        for (key, value) in changes.as_object().unwrap() {
            document[key] = value.clone();
        }
        Metadata::read(document.to_string().as_bytes(), ISSUER)
    }

    #[test]
    fn the_least_that_is_needed_is_enough() {
        let metadata = read(&json!({})).unwrap();
        assert_eq!(metadata.issuer, ISSUER);
        assert!(!metadata.offers_device_flow());
        assert!(!metadata.answers_carry_issuer);
    }

    #[test]
    fn the_providers_own_spelling_counts_and_only_a_slash_may_differ() {
        let with_slash = format!("{ISSUER}/");
        let metadata = read(&json!({ "issuer": with_slash })).unwrap();
        assert_eq!(metadata.issuer, with_slash);
        for other in [
            "https://evil.example",
            "https://login.acme.example/x",
            "http://login.acme.example",
        ] {
            let error = read(&json!({ "issuer": other })).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{other}");
            assert!(error.next_steps()[0].contains(other));
        }
    }

    #[test]
    fn pkce_with_s256_is_a_must_when_methods_are_listed() {
        assert!(read(&json!({ "code_challenge_methods_supported": ["plain", "S256"] })).is_ok());
        let error = read(&json!({ "code_challenge_methods_supported": ["plain"] })).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the provider at `{ISSUER}` does not offer PKCE with S256")
        );
    }

    #[test]
    fn no_endpoint_may_be_in_the_clear() {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "device_authorization_endpoint",
            "revocation_endpoint",
            "end_session_endpoint",
            "pushed_authorization_request_endpoint",
        ] {
            for url in ["http://login.acme.example/x", "javascript:alert(1)", "x"] {
                let error = read(&json!({ name: url })).unwrap_err();
                assert!(error.to_string().contains(name), "{name}: {error}");
            }
        }
    }

    #[test]
    fn requests_are_pushed_only_on_demand() {
        let endpoint = "https://login.acme.example/par";
        let offered = json!({ "pushed_authorization_request_endpoint": endpoint });
        assert!(
            read(&offered)
                .unwrap()
                .pushed_authorization_request_endpoint
                .is_none()
        );
        let demanded = json!({
            "pushed_authorization_request_endpoint": endpoint,
            "require_pushed_authorization_requests": true,
        });
        assert!(
            read(&demanded)
                .unwrap()
                .pushed_authorization_request_endpoint
                .is_some()
        );
        assert!(read(&json!({ "require_pushed_authorization_requests": true })).is_err());
    }

    #[test]
    fn a_web_page_is_not_a_provider() {
        let error = Metadata::read(b"<html>", ISSUER).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("no OpenID provider"));
    }
}
