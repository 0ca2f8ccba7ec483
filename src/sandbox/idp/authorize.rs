//! Reads authorization requests (OpenID Connect Core section 3.1.2.1, RFC 7636 section 4.3, RFC 8252 section 7.3).

use url::{Host, Url};

use super::grants::is_challenge;
use super::params::{OAuthError, Params};
use super::provider::Client;

/// A request that may be put before a person.
#[derive(Debug, Clone)]
pub(super) struct AuthorizationRequest {
    pub(super) client: &'static Client,
    pub(super) answer_to: AnswerTo,
    /// Space-separated.
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    /// PKCE's S256 challenge.
    pub(super) challenge: String,
    pub(super) login_hint: Option<String>,
}

/// Where the answer goes.
#[derive(Debug, Clone)]
pub(super) struct AnswerTo {
    /// Exactly as sent: the token request has to repeat it.
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
}

/// Why a request is not put before a person.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not sure where an answer may go, so only the person is told (RFC 6749 section 4.1.2.1).
    Here(&'static str),
    /// The client is told.
    There(AnswerTo, OAuthError),
}

impl AnswerTo {
    /// The redirect URI with an answer. `issuer` goes with every answer, errors too (RFC 9207).
    pub(super) fn with(&self, issuer: &str, answer: &[(&str, &str)]) -> Url {
        let mut url: Url = self
            .redirect_uri
            .parse()
            .expect("it was parsed when the request was read");
        let mut query = url.query_pairs_mut();
        query.extend_pairs(answer);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
        drop(query);
        url
    }
}

impl AuthorizationRequest {
    /// Reads the query or form of a request.
    pub(super) fn read(params: &Params) -> Result<Self, Refusal> {
        if let Some("client_id" | "redirect_uri") = params.repeated() {
            return Err(Refusal::Here("The request says twice who it is from."));
        }
        let client = params
            .optional("client_id")
            .and_then(Client::find)
            .ok_or(Refusal::Here("No application of this client id is known."))?;
        let redirect_uri = params
            .optional("redirect_uri")
            .filter(|uri| is_loopback_callback(uri))
            .ok_or(Refusal::Here(
                "The redirect URI is not one of this application's: http://127.0.0.1/callback or http://[::1]/callback, on any port.",
            ))?
            .to_owned();
        let answer_to = AnswerTo {
            redirect_uri,
            state: params.optional("state").map(str::to_owned),
        };
        match Self::read_rest(params, client, &answer_to) {
            Ok(request) => Ok(request),
            Err(error) => Err(Refusal::There(answer_to, error)),
        }
    }

    fn read_rest(
        params: &Params,
        client: &'static Client,
        answer_to: &AnswerTo,
    ) -> Result<Self, OAuthError> {
        params.check()?;
        let invalid = |description: &'static str| OAuthError::new("invalid_request", description);
        if params.optional("request").is_some() {
            return Err(OAuthError::new(
                "request_not_supported",
                "request objects are not supported",
            ));
        }
        if params.optional("request_uri").is_some() {
            return Err(OAuthError::new(
                "request_uri_not_supported",
                "request objects are not supported",
            ));
        }
        if params.required("response_type")? != "code" {
            return Err(OAuthError::new(
                "unsupported_response_type",
                "only `code` is supported",
            ));
        }
        if params
            .optional("response_mode")
            .is_some_and(|mode| mode != "query")
        {
            return Err(invalid("only the response mode `query` is supported"));
        }
        let scope = params.optional("scope").unwrap_or_default();
        if !scope.split(' ').any(|scope| scope == "openid") {
            return Err(OAuthError::new(
                "invalid_scope",
                "the scope `openid` is missing",
            ));
        }
        // A missing method means `plain`, which protects nobody (RFC 9700 section 2.1.1).
        if params.optional("code_challenge_method") != Some("S256") {
            return Err(invalid("PKCE with the method S256 is required"));
        }
        let challenge = params.required("code_challenge")?;
        if !is_challenge(challenge) {
            return Err(invalid("the PKCE challenge is malformed"));
        }
        check_prompt(params.optional("prompt").unwrap_or_default())?;
        Ok(Self {
            client,
            answer_to: answer_to.clone(),
            scope: scope.to_owned(),
            nonce: params.optional("nonce").map(str::to_owned),
            challenge: challenge.to_owned(),
            login_hint: params.optional("login_hint").map(str::to_owned),
        })
    }
}

/// `prompt` (OpenID Connect Core section 3.1.2.1). Nobody stays signed in here, so `none` never succeeds and the others
/// ask for what happens anyway.
fn check_prompt(prompt: &str) -> Result<(), OAuthError> {
    let prompts: Vec<&str> = prompt.split(' ').filter(|one| !one.is_empty()).collect();
    match prompts[..] {
        ["none"] => Err(OAuthError::new("login_required", "nobody is signed in")),
        _ if prompts
            .iter()
            .all(|one| ["login", "consent", "select_account"].contains(one)) =>
        {
            Ok(())
        }
        _ => Err(OAuthError::new(
            "invalid_request",
            "the prompt is unknown or contradicts itself",
        )),
    }
}

/// The registered redirect URIs: loopback by address, never by name, with any port (RFC 8252 section 7.3).
fn is_loopback_callback(uri: &str) -> bool {
    let Ok(url) = uri.parse::<Url>() else {
        return false;
    };
    let host = match url.host() {
        Some(Host::Ipv4(ip)) => ip == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(ip)) => ip == std::net::Ipv6Addr::LOCALHOST,
        _ => false,
    };
    host && url.scheme() == "http"
        && url.path() == "/callback"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        // `http://2130706433/callback` is the same address, but not what was registered.
        && url.as_str() == uri
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn good() -> Vec<(&'static str, &'static str)> {
        vec![
            ("client_id", "bsql"),
            ("redirect_uri", "http://127.0.0.1:4000/callback"),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("state", "s t&a=te"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]
    }

    fn read(pairs: &[(&str, &str)]) -> Result<AuthorizationRequest, Refusal> {
        let text = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        AuthorizationRequest::read(&Params::parse(&text))
    }

    fn with(name: &'static str, value: &'static str) -> Result<AuthorizationRequest, Refusal> {
        let mut pairs = good();
        pairs.retain(|(key, _)| *key != name);
        pairs.push((name, value));
        read(&pairs)
    }

    fn error_for(name: &'static str, value: &'static str) -> &'static str {
        match with(name, value) {
            Err(Refusal::There(to, error)) => {
                assert_eq!(to.state.is_some(), name != "state");
                error.code
            }
            other => panic!("{name}={value}: {other:?}"),
        }
    }

    #[test]
    fn redirects_go_to_the_callback_on_loopback_and_nowhere_else() {
        for uri in [
            "http://127.0.0.1:4000/callback",
            "http://127.0.0.1/callback",
            "http://[::1]:4000/callback",
        ] {
            assert!(with("redirect_uri", uri).is_ok(), "{uri}");
        }
        for uri in [
            "http://localhost:4000/callback",
            "http://127.0.0.1:4000/callback/",
            "http://127.0.0.1:4000/",
            "http://127.0.0.1:4000/callback?x=1",
            "http://127.0.0.1:4000/callback#x",
            "http://ada@127.0.0.1:4000/callback",
            "http://127.0.0.1.evil.example/callback",
            "http://127.0.0.2:4000/callback",
            "http://2130706433:4000/callback",
            "http://127.0.0.1:4000/../callback",
            "https://127.0.0.1:4000/callback",
            "callback",
            "",
        ] {
            assert!(
                matches!(with("redirect_uri", uri), Err(Refusal::Here(_))),
                "{uri}"
            );
        }
    }

    #[test]
    fn strangers_are_not_answered_by_redirect() {
        assert!(matches!(with("client_id", "eve"), Err(Refusal::Here(_))));
        let mut twice = good();
        twice.push(("redirect_uri", "http://127.0.0.1:1/callback"));
        assert!(matches!(read(&twice), Err(Refusal::Here(_))));
    }

    #[test]
    fn what_is_wrong_otherwise_is_told_to_the_client() {
        for (name, value, code) in [
            ("code_challenge", "", "invalid_request"),
            ("code_challenge", "short", "invalid_request"),
            ("code_challenge_method", "", "invalid_request"),
            ("code_challenge_method", "plain", "invalid_request"),
            ("response_type", "token", "unsupported_response_type"),
            ("response_type", "", "invalid_request"),
            ("response_mode", "form_post", "invalid_request"),
            ("scope", "email", "invalid_scope"),
            ("scope", "", "invalid_scope"),
            ("request", "x", "request_not_supported"),
            ("request_uri", "urn:x", "request_uri_not_supported"),
            ("prompt", "none", "login_required"),
            ("prompt", "none login", "invalid_request"),
            ("prompt", "dance", "invalid_request"),
        ] {
            assert_eq!(error_for(name, value), code, "{name}={value}");
        }
        assert!(with("prompt", "login consent").is_ok());
        let mut twice = good();
        twice.push(("nonce", "1"));
        twice.push(("nonce", "2"));
        assert!(
            matches!(read(&twice), Err(Refusal::There(_, error)) if error.code == "invalid_request")
        );
    }

    #[test]
    fn answers_carry_state_and_issuer() {
        let request = read(&good()).unwrap();
        let url = request
            .answer_to
            .with("http://127.0.0.1:9", &[("code", "c")]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:4000/callback?code=c&state=s+t%26a%3Dte&iss=http%3A%2F%2F127.0.0.1%3A9"
        );
    }
}
