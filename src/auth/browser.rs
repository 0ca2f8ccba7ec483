//! Signing in with a browser: the authorization code grant with PKCE (RFC 8252), answered over loopback or by pasting.

use std::net::SocketAddr;
use std::time::Duration;

use url::Url;

use super::authorization::{Answer, AuthorizationRequest, Wishes};
use super::callback::{CallbackListener, CallbackServer, Redirect};
use super::flow::Flow;
use super::id_token::{Claims, Expectations};
use super::page::Outcome;
use super::paste;
use super::prompt::{LoginPrompt, PastedLine};
use super::provider::IdentityProvider;
use super::token::TokenSet;
use crate::error::{Error, ErrorKind, Result};

/// Time to find the password and the second factor.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(180);
/// A provider that does not like the redirect URI shows an error page and bsql never hears of it.
const HINT_AFTER: Duration = Duration::from_secs(20);

/// One sign-in with a browser.
#[derive(Debug)]
pub(super) struct BrowserSignIn<'a> {
    pub(super) provider: &'a IdentityProvider,
    pub(super) scopes: &'a [String],
    pub(super) redirect: &'a Redirect,
    /// Addresses that come before those of `redirect`.
    pub(super) listen: &'a [SocketAddr],
    pub(super) wishes: Wishes<'a>,
    pub(super) timeout: Option<Duration>,
    /// Whether the browser is elsewhere, and the person pastes what it ends at.
    pub(super) paste: bool,
}

impl BrowserSignIn<'_> {
    /// Sends the person to the provider, waits for the answer and redeems it.
    ///
    /// Fails with [`ErrorKind::SignedOut`] when nobody signs in in time, and as
    /// [`Refusal::error`](super::refusal::Refusal::error) says when the provider says no.
    pub(super) async fn run(&self, prompt: &mut dyn LoginPrompt) -> Result<(TokenSet, Claims)> {
        let listener = match CallbackListener::bind(self.redirect, self.listen).await {
            // On a machine that many share, the registered ports may all be taken. Pasting needs none.
            Err(error) if self.paste && error.kind() == ErrorKind::CannotCreate => {
                CallbackListener::deaf(self.redirect, self.listen)?
            }
            bound => bound?,
        };
        let listens = listener.listens();
        let redirect_uri = listener.redirect_uri()?;
        let request =
            AuthorizationRequest::new(self.provider, self.scopes, redirect_uri, &self.wishes)
                .await?;
        let mut server = listener.serve(request.expected.clone(), &request.url)?;
        self.send_there(&request, listens.then(|| server.link()), prompt);

        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let answer = tokio::time::timeout(timeout, self.answer(&request, &mut server, prompt))
            .await
            .unwrap_or_else(|_| Err(self.nobody_signed_in(timeout, &server)));
        let signed_in = match answer {
            Ok(answer) => self.redeem(answer, &request).await,
            Err(error) => Err(error),
        };
        let outcome = match &signed_in {
            Ok((_, claims)) => Outcome::SignedIn(claims.person()),
            Err(error) => Outcome::Failed(in_one_sentence(error)),
        };
        server.conclude(outcome).await;
        signed_in
    }

    fn send_there(
        &self,
        request: &AuthorizationRequest,
        link: Option<&Url>,
        prompt: &mut dyn LoginPrompt,
    ) {
        if !self.paste {
            prompt.open_browser(&request.url);
        }
        prompt.visit(&request.url);
        if self.paste {
            prompt.note(
                "at the end the browser fails to open a page: that page's address is what to paste",
            );
        }
        if let Some(link) = link {
            let port = link.port().unwrap_or_default();
            prompt.note(&if self.paste {
                format!("or forward the port first, and nothing needs to be pasted: ssh -L {port}:127.0.0.1:{port} HOST")
            } else {
                format!("or, on this machine: {link}")
            });
        }
    }

    /// Waits for an answer that counts. Cancel safe.
    async fn answer(
        &self,
        request: &AuthorizationRequest,
        server: &mut CallbackServer,
        prompt: &mut dyn LoginPrompt,
    ) -> Result<Answer> {
        let nobody_to_ask = || -> PastedLine { Box::pin(std::future::pending()) };
        let mut pasted = if self.paste {
            prompt.pasted()
        } else {
            nobody_to_ask()
        };
        let hint = tokio::time::sleep(HINT_AFTER);
        tokio::pin!(hint);
        // A server that was asked first has already accepted the redirect URI.
        let mut hinted = self.paste || self.provider.oauth_server().is_some();
        loop {
            tokio::select! {
                answer = server.answer() => return Ok(answer),
                line = &mut pasted => match line {
                    Ok(Some(line)) => {
                        match judge(&line, request) {
                            Ok(answer) => return Ok(answer),
                            Err(why) => prompt.note(&why),
                        }
                        pasted = prompt.pasted();
                    }
                    Ok(None) => return Err(ErrorKind::SignedOut
                        .error("nobody signed in: the input ended before an address was pasted")
                        .hint("in a terminal: bsql login --flow paste")),
                    Err(error) => return Err(ErrorKind::SignedOut
                        .error("nobody signed in: cannot read what is pasted")
                        .because(error)
                        .hint("in a terminal: bsql login --flow paste")),
                },
                () = &mut hint, if !hinted => {
                    hinted = true;
                    prompt.note(&format!(
                        "if the browser complains about the redirect URI: {} must be registered with the provider; for a fixed port set identity.redirect_ports",
                        request.redirect_uri
                    ));
                }
            }
        }
    }

    async fn redeem(
        &self,
        answer: Answer,
        request: &AuthorizationRequest,
    ) -> Result<(TokenSet, Claims)> {
        let code = match answer {
            Answer::Code(code) => code,
            Answer::Refused(refusal) => {
                return Err(self.provider.refused(&refusal));
            }
        };
        let proof = &request.proof;
        let grant = self
            .provider
            .redeem(&code, &proof.verifier, &request.redirect_uri)
            .await?;
        let expected = Expectations {
            nonce: Some(&proof.nonce),
            max_age: self.wishes.max_age,
            acr: self.wishes.acr,
            ..Expectations::default()
        };
        self.provider.accept(&grant, expected).await
    }

    fn nobody_signed_in(&self, timeout: Duration, server: &CallbackServer) -> Error {
        let elsewhere = if self.provider.metadata().offers_device_flow() {
            Flow::Device
        } else {
            Flow::Paste
        };
        let mut error = ErrorKind::SignedOut
            .error(format!("nobody signed in within {timeout:?}"))
            .hint("for more time: bsql login --timeout 10m");
        if !self.paste {
            error = error.hint(format!(
                "with a browser on another machine: bsql login --flow {elsewhere}"
            ));
        }
        match server.rejection() {
            Some(rejection) => error.because(anyhow::anyhow!(
                "the last answer of the browser was refused: {rejection}"
            )),
            None => error,
        }
    }
}

/// What a pasted line comes to, or what to tell the person.
fn judge(line: &str, request: &AuthorizationRequest) -> Result<Answer, String> {
    let query = paste::query(line, &request.redirect_uri)?;
    request
        .expected
        .read(&query)
        .map_err(|rejection| format!("that address was not accepted: {rejection}"))
}

/// The error for the browser's page: the message and the innermost reason, nothing more.
fn in_one_sentence(error: &Error) -> String {
    match error.causes().pop() {
        Some(cause) => format!("{error}: {cause}."),
        None => format!("{error}."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::test_provider::{CLIENT_ID, Person, TestProvider};
    use super::*;

    struct Setting {
        wishes: Wishes<'static>,
        timeout: Option<Duration>,
        paste: bool,
    }

    impl Default for Setting {
        fn default() -> Self {
            Self {
                wishes: Wishes::default(),
                // Loopback is fast; what takes longer than this is a test that fails.
                timeout: Some(Duration::from_secs(20)),
                paste: false,
            }
        }
    }

    async fn run(
        provider: &IdentityProvider,
        setting: Setting,
        person: &mut Person,
    ) -> Result<(TokenSet, Claims)> {
        BrowserSignIn {
            provider,
            scopes: &["openid".to_owned(), "email".to_owned()],
            redirect: &Redirect::default(),
            listen: &[],
            wishes: setting.wishes,
            timeout: setting.timeout,
            paste: setting.paste,
        }
        .run(person)
        .await
    }

    /// Signs in at a provider that `prepare` has changed, and says how it failed.
    async fn failure(prepare: impl FnOnce(&TestProvider)) -> (Error, Vec<(u16, String)>) {
        let server = TestProvider::start().await;
        prepare(&server);
        let provider = server.discover().await.unwrap();
        let mut person = Person::default();
        let error = run(&provider, Setting::default(), &mut person)
            .await
            .unwrap_err();
        (error, person.pages().await)
    }

    #[tokio::test]
    async fn signs_in_and_only_then_says_so() {
        let server = TestProvider::start().await;
        let provider = server.discover().await.unwrap();
        let mut person = Person::default();
        let setting = Setting {
            wishes: Wishes {
                login_hint: Some("ada"),
                acr: Some("urn:mfa urn:pwd"),
                max_age: Some(60),
                prompt: Some("login"),
            },
            ..Setting::default()
        };
        let (tokens, claims) = run(&provider, setting, &mut person).await.unwrap();
        assert_eq!(claims.email.as_deref(), Some("ada@acme.example"));
        assert_eq!(tokens.refresh_token.unwrap().expose(), "refresh-2");

        let asked = server.last_form("/authorize");
        for (name, value) in [
            ("client_id", CLIENT_ID),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("code_challenge_method", "S256"),
            ("login_hint", "ada"),
            ("acr_values", "urn:mfa urn:pwd"),
            ("max_age", "60"),
            ("access_type", "offline"),
            // Not what is always asked, as the person wants something else now.
            ("prompt", "login"),
        ] {
            assert_eq!(asked[name], value, "{name}");
        }
        assert!(asked["redirect_uri"].starts_with("http://127.0.0.1:"));
        assert_eq!(person.visited.len(), 1, "the address is always shown");
        let pages = person.pages().await;
        assert_eq!(pages[0].0, 200);
        assert!(
            pages[0]
                .1
                .contains("Signed in as Ada &lt;b&gt; (ada@acme.example)")
        );
    }

    #[tokio::test]
    async fn a_wrong_state_does_not_end_it() {
        let server = TestProvider::start().await;
        let provider = server.discover().await.unwrap();
        let mut person = Person {
            meddle: Some(|url| {
                let mut forged = url.clone();
                forged.set_query(Some("code=stolen&state=wrong"));
                let mut lie = url.clone();
                lie.set_query(Some("error=access_denied&state=wrong"));
                vec![forged, lie, url]
            }),
            ..Person::default()
        };
        run(&provider, Setting::default(), &mut person)
            .await
            .unwrap();
        let statuses: Vec<u16> = person.pages().await.iter().map(|page| page.0).collect();
        assert_eq!(statuses, [400, 400, 200]);
    }

    #[tokio::test]
    async fn another_issuer_is_not_believed_and_said_so_in_the_end() {
        let server = TestProvider::start().await;
        server.state().redirect = |answer| answer[2].1 = "https://evil.example".to_owned();
        let provider = server.discover().await.unwrap();
        let mut person = Person::default();
        let setting = Setting {
            timeout: Some(Duration::from_secs(3)),
            ..Setting::default()
        };
        let error = run(&provider, setting, &mut person).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
        assert_eq!(error.to_string(), "nobody signed in within 3s");
        assert!(error.causes()[0].contains("`iss`"), "{error:?}");
        assert_eq!(person.pages().await[0].0, 400);
        assert_eq!(server.count("/token"), 0);
    }

    #[tokio::test]
    async fn a_no_of_the_provider_ends_it() {
        let (error, pages) = failure(|server| {
            server.state().redirect = |answer| {
                answer[0] = ("error", "access_denied".to_owned());
                answer.push(("error_description", "not \u{1b}[1mtoday".to_owned()));
            };
        })
        .await;
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(error.causes(), ["access_denied: not \u{fffd}[1mtoday"]);
        assert!(pages[0].1.contains("Not signed in"));
    }

    #[tokio::test]
    async fn an_id_token_that_is_not_right_signs_nobody_in() {
        type Change = fn(&mut super::super::test_provider::State);
        let changes: [(Change, &str); 7] = [
            (
                |state| state.claims = |claims| claims["nonce"] = json!("x"),
                "nonce",
            ),
            (
                |state| {
                    state.claims = |claims| claims["nonce"] = json!(null);
                },
                "nonce",
            ),
            (
                |state| state.claims = |claims| claims["aud"] = json!("other"),
                "not for",
            ),
            (
                |state| state.claims = |claims| claims["exp"] = json!(1),
                "ended",
            ),
            (
                |state| state.claims = |claims| claims["at_hash"] = json!("x"),
                "access token",
            ),
            (
                // {"alg":"none"}
                |state| {
                    state.id_token = |token| {
                        let claims = token.split('.').nth(1).unwrap();
                        format!("eyJhbGciOiJub25lIn0.{claims}.")
                    };
                },
                "`none`",
            ),
            (
                |state| {
                    state.id_token = |token| {
                        let (signed, _) = token.rsplit_once('.').unwrap();
                        format!("{signed}.{}", "A".repeat(86))
                    };
                },
                "signature",
            ),
        ];
        for (change, why) in changes {
            let (error, pages) = failure(|server| change(&mut server.state())).await;
            assert_eq!(error.kind(), ErrorKind::Refused, "{why}: {error:?}");
            let causes = error.causes().join("; ");
            assert!(causes.contains(why), "{why}: {causes}");
            assert!(pages[0].1.contains("Not signed in"), "{why}");
        }
    }

    #[tokio::test]
    async fn what_the_token_endpoint_says_is_told_apart() {
        for (status, body, kind) in [
            (400, r#"{"error":"invalid_grant"}"#, ErrorKind::SignedOut),
            (401, r#"{"error":"invalid_client"}"#, ErrorKind::Config),
            (400, r#"{"error":"invalid_client"}"#, ErrorKind::Config),
            (503, "", ErrorKind::Unavailable),
            (500, r#"{"error":"invalid_grant"}"#, ErrorKind::Unavailable),
            (429, "{}", ErrorKind::TryLater),
            (403, "<html>", ErrorKind::Refused),
            (200, r#"{"access_token":7}"#, ErrorKind::Refused),
            (
                200,
                r#"{"access_token":"a","token_type":"bearer"}"#,
                ErrorKind::Config,
            ),
        ] {
            let (error, _) =
                failure(|server| server.state().token_answers.push_back((status, body))).await;
            assert_eq!(error.kind(), kind, "{status} {body}: {error:?}");
        }
    }

    #[tokio::test]
    async fn weaker_than_asked_is_not_enough() {
        let server = TestProvider::start().await;
        let provider = server.discover().await.unwrap();
        let setting = Setting {
            wishes: Wishes {
                acr: Some("urn:mfa"),
                ..Wishes::default()
            },
            ..Setting::default()
        };
        let error = run(&provider, setting, &mut Person::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.to_string().contains("urn:mfa"));
    }

    #[tokio::test]
    async fn requests_are_pushed_where_that_is_demanded() {
        let server = TestProvider::start().await;
        server.state().metadata = |document| {
            let issuer = document["issuer"].as_str().unwrap();
            document["pushed_authorization_request_endpoint"] = json!(format!("{issuer}/par"));
            document["require_pushed_authorization_requests"] = json!(true);
        };
        let provider = server.discover().await.unwrap();
        let mut person = Person::default();
        run(&provider, Setting::default(), &mut person)
            .await
            .unwrap();
        let mut names: Vec<_> = server.last_form("/authorize").into_keys().collect();
        names.sort_unstable();
        assert_eq!(names, ["client_id", "request_uri"]);
        assert_eq!(server.last_form("/par")["code_challenge_method"], "S256");
    }

    #[tokio::test]
    async fn the_keys_are_fetched_again_once() {
        let server = TestProvider::start().await;
        let provider = server.discover().await.unwrap();
        let sign_in = async || run(&provider, Setting::default(), &mut Person::default()).await;
        sign_in().await.unwrap();
        sign_in().await.unwrap();
        assert_eq!(server.count("/jwks"), 1);
        server.rotate_keys();
        sign_in().await.unwrap();
        assert_eq!(server.count("/jwks"), 2);
        server.rotate_keys();
        let error = sign_in().await.unwrap_err();
        assert!(
            error.causes()[0].contains("its key `3` is not among"),
            "{error:?}"
        );
        assert_eq!(server.count("/jwks"), 2, "there is a cool-down");
    }

    #[tokio::test]
    async fn a_pasted_address_is_judged_like_the_browsers() {
        let server = TestProvider::start().await;
        let provider = server.discover().await.unwrap();
        let pasting = || Setting {
            paste: true,
            ..Setting::default()
        };
        let mut person = Person {
            pastes: Some("?code=c&state=wrong&iss=x"),
            ..Person::default()
        };
        let (_, claims) = run(&provider, pasting(), &mut person).await.unwrap();
        assert_eq!(claims.subject, "1");
        assert!(person.notes.iter().any(|note| note.contains("ssh -L")));
        assert!(
            person
                .notes
                .iter()
                .any(|note| note.contains("not accepted"))
        );

        let mut nobody = Person {
            pastes: Some(""),
            ..Person::default()
        };
        let error = run(&provider, pasting(), &mut nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
    }

    #[tokio::test]
    async fn pasting_needs_no_port() {
        let server = TestProvider::start().await;
        let provider = server.discover().await.unwrap();
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut person = Person {
            pastes: Some("the address"),
            ..Person::default()
        };
        let redirect = Redirect {
            ports: vec![taken.local_addr().unwrap().port()],
            ..Redirect::default()
        };
        let sign_in = |paste| BrowserSignIn {
            provider: &provider,
            scopes: &[],
            redirect: &redirect,
            listen: &[],
            wishes: Wishes::default(),
            timeout: Some(Duration::from_secs(20)),
            paste,
        };
        sign_in(true).run(&mut person).await.unwrap();
        assert!(!person.notes.iter().any(|note| note.contains("ssh -L")));
        let error = sign_in(false).run(&mut person).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
    }

    #[tokio::test]
    async fn time_runs_out() {
        let server = TestProvider::start().await;
        let provider = server.discover().await.unwrap();
        let mut person = Person {
            has_no_browser: true,
            ..Person::default()
        };
        let setting = Setting {
            timeout: Some(Duration::from_millis(10)),
            ..Setting::default()
        };
        let error = run(&provider, setting, &mut person).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
        assert_eq!(person.visited.len(), 1);
    }
}
