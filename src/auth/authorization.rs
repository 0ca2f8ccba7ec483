//! The authorization request, and which answers to it count (RFC 6749 section 4.1, RFC 7636, RFC 9126, RFC 9207).

use std::borrow::Cow;
use std::fmt;

use oauth2::{CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::proof::{Proof, same};
use super::provider::{IdentityProvider, SERVICE};
use super::refusal::Refusal;
use crate::error::{ErrorKind, Result, ResultExt as _, printable};
use crate::secret::Secret;

/// A request for a code, ready to be opened in a browser.
///
/// Has no `Debug`: the URL has the state in it.
pub(super) struct AuthorizationRequest {
    /// Where the person signs in.
    pub(super) url: Url,
    pub(super) redirect_uri: Url,
    pub(super) proof: Proof,
    pub(super) expected: Expected,
}

/// What an answer must carry to be the answer to one request.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) state: Secret,
    pub(super) issuer: String,
    /// The provider has announced that it always sends `iss`.
    pub(super) issuer_required: bool,
}

/// An answer to the request. It may be a no, but it is the provider's.
#[derive(Debug)]
pub(super) enum Answer {
    Code(Secret),
    Refused(Refusal),
}

/// An answer that is not to be believed: whoever sent it, the sign-in goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    Repeated,
    WrongState,
    WrongIssuer,
    Empty,
    AlreadyAnswered,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repeated => "a parameter occurs twice",
            Self::WrongState => "it does not belong to this sign-in (`state` is missing or wrong)",
            Self::WrongIssuer => {
                "it is not from the configured identity provider (`iss` is missing or wrong)"
            }
            Self::Empty => "it has neither a code nor an error",
            Self::AlreadyAnswered => "this sign-in has been answered already",
        })
    }
}

/// What may be asked of the provider beyond the scopes (OpenID Connect Core section 3.1.2.1).
#[derive(Debug, Default)]
pub(super) struct Wishes<'a> {
    pub(super) prompt: Option<&'a str>,
    pub(super) login_hint: Option<&'a str>,
    pub(super) acr: Option<&'a str>,
    pub(super) max_age: Option<u64>,
}

impl AuthorizationRequest {
    /// Makes the request, and pushes it to the provider if that is demanded.
    pub(super) async fn new(
        provider: &IdentityProvider,
        scopes: &[String],
        redirect_uri: Url,
        wishes: &Wishes<'_>,
    ) -> Result<Self> {
        let proof = Proof::generate()?;
        let verifier = PkceCodeVerifier::new(proof.verifier.expose().to_owned());
        let mut request = provider
            .oauth
            .authorize_url(|| CsrfToken::new(proof.state.expose().to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(redirect_uri.clone())))
            .add_scopes(scopes.iter().cloned().map(Scope::new));
        if provider.oauth_server().is_none() {
            request = request.add_extra_param("nonce", proof.nonce.expose());
        }
        for (name, value) in [
            ("prompt", wishes.prompt),
            ("login_hint", wishes.login_hint),
            ("acr_values", wishes.acr),
        ] {
            if let Some(value) = value {
                request = request.add_extra_param(name, value);
            }
        }
        if let Some(max_age) = wishes.max_age {
            request = request.add_extra_param("max_age", max_age.to_string());
        }
        let asked = |name: &str| match name {
            "prompt" => wishes.prompt.is_some(),
            "login_hint" => wishes.login_hint.is_some(),
            "acr_values" => wishes.acr.is_some(),
            "max_age" => wishes.max_age.is_some(),
            _ => false,
        };
        for (name, value) in provider.authorize_params() {
            // What the person wants now goes before what is always asked.
            if !asked(name) {
                request = request.add_extra_param(name, value);
            }
        }
        let (mut url, _) = request.url();
        let metadata = provider.metadata();
        if let Some(endpoint) = &metadata.pushed_authorization_request_endpoint {
            url = push(provider, endpoint, &url).await?;
        }
        if let Some(server) = provider.oauth_server() {
            url = server.pre_flight(&provider.http, &url).await?;
        }
        let expected = Expected {
            state: proof.state.clone(),
            issuer: metadata.issuer.clone(),
            issuer_required: metadata.answers_carry_issuer,
        };
        Ok(Self {
            url,
            redirect_uri,
            proof,
            expected,
        })
    }
}

/// Sends the parameters of `url` straight to the provider, and returns the URL that stands for them (RFC 9126 section 2).
async fn push(provider: &IdentityProvider, endpoint: &Url, url: &Url) -> Result<Url> {
    #[derive(Deserialize)]
    struct Pushed {
        request_uri: String,
    }
    let mut parameters: Vec<_> = url.query_pairs().collect();
    let secret = provider.client_secret();
    parameters.extend(secret.map(|(name, value)| (name.into(), value.into())));
    let request = provider.http.post(endpoint.clone()).form(&parameters);
    let answer = provider.http.send(SERVICE, request).await?;
    provider.expect_success(&answer)?;
    let pushed: Pushed = answer.json().or_fail(
        ErrorKind::Refused,
        || "the identity provider did not say where the pushed request is",
    )?;
    let mut url = provider.metadata().authorization_endpoint.clone();
    url.query_pairs_mut()
        .append_pair("client_id", provider.client_id())
        .append_pair("request_uri", &pushed.request_uri);
    Ok(url)
}

impl Expected {
    /// Reads the query of the address that the browser was sent to.
    ///
    /// Nothing in it is believed before `state` is right: any page can send the browser here.
    pub(super) fn read(&self, query: &str) -> Result<Answer, Rejection> {
        let mut code = None;
        let mut state = None;
        let mut iss = None;
        let mut error = None;
        let mut description = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "code" => &mut code,
                "state" => &mut state,
                "iss" => &mut iss,
                "error" => &mut error,
                "error_description" => &mut description,
                // Unknown parameters are to be ignored (RFC 6749 section 4.1.2).
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(Rejection::Repeated);
            }
        }
        if !state.is_some_and(|state| same(&state, self.state.expose())) {
            return Err(Rejection::WrongState);
        }
        let issuer_is_right = match iss {
            Some(iss) => iss == self.issuer,
            None => !self.issuer_required,
        };
        if !issuer_is_right {
            return Err(Rejection::WrongIssuer);
        }
        match (error, code) {
            (Some(code), _) => Ok(Answer::Refused(Refusal {
                code: printable(&code),
                description,
            })),
            (None, Some(code)) if !code.is_empty() => Ok(Answer::Code(code.into())),
            _ => Err(Rejection::Empty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(issuer_required: bool) -> Expected {
        Expected {
            state: "right".to_owned().into(),
            issuer: "https://op".to_owned(),
            issuer_required,
        }
    }

    #[test]
    fn a_code_counts_with_the_right_state_and_issuer() {
        for (query, required) in [
            ("code=c&state=right", false),
            ("code=c&state=right&iss=https%3A%2F%2Fop", false),
            ("iss=https://op&state=right&code=c&session_state=x", true),
        ] {
            match expected(required).read(query) {
                Ok(Answer::Code(code)) => assert_eq!(code.expose(), "c"),
                other => panic!("{query}: {other:?}"),
            }
        }
    }

    #[test]
    fn everything_else_is_rejected() {
        for (query, required, rejection) in [
            ("", false, Rejection::WrongState),
            ("code=c", false, Rejection::WrongState),
            ("code=c&state=", false, Rejection::WrongState),
            ("code=c&state=wrong", false, Rejection::WrongState),
            ("error=access_denied", false, Rejection::WrongState),
            (
                "error=access_denied&state=wrong",
                false,
                Rejection::WrongState,
            ),
            ("code=c&state=right", true, Rejection::WrongIssuer),
            (
                "code=c&state=right&iss=https://op/",
                false,
                Rejection::WrongIssuer,
            ),
            (
                "error=x&state=right&iss=https://evil",
                false,
                Rejection::WrongIssuer,
            ),
            ("code=c&code=d&state=right", false, Rejection::Repeated),
            ("code=c&state=right&state=right", false, Rejection::Repeated),
            ("state=right", false, Rejection::Empty),
            ("state=right&code=", false, Rejection::Empty),
        ] {
            let read = expected(required).read(query);
            assert_eq!(read.unwrap_err(), rejection, "{query}");
        }
    }

    #[test]
    fn a_no_is_an_answer() {
        let query = "error=access_denied&error_description=not+today&state=right&code=c";
        match expected(false).read(query) {
            Ok(Answer::Refused(refusal)) => {
                assert_eq!(refusal.code, "access_denied");
                assert_eq!(refusal.description.as_deref(), Some("not today"));
            }
            other => panic!("{other:?}"),
        }
    }
}
