//! Signing in on another device: the device authorization grant (RFC 8628).

use std::time::Duration;

use oauth2::{
    EmptyExtraDeviceAuthorizationFields, RequestTokenError, Scope,
    StandardDeviceAuthorizationResponse,
};
use url::Url;

use super::authorization::Wishes;
use super::id_token::{Claims, Expectations};
use super::prompt::LoginPrompt;
use super::provider::{Asked, Grant, IdentityProvider};
use super::token::TokenSet;
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::http::require_secure;

/// The clocks of virtual machines can run fast by a few per cent; providers punish early polls by slowing down, each time
/// for good (<https://github.com/cli/cli/issues/9370>).
const MARGIN: f64 = 1.2;
/// The longest wait between polls while the provider cannot be reached (RFC 8628 section 3.5 wants a back-off).
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Codes live for minutes. Whatever a provider says, nothing is waited for longer.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// One sign-in with a code.
#[derive(Debug)]
pub(super) struct DeviceSignIn<'a> {
    pub(super) provider: &'a IdentityProvider,
    pub(super) scopes: &'a [String],
    pub(super) wishes: Wishes<'a>,
    /// None: as long as the code lives.
    pub(super) timeout: Option<Duration>,
}

impl DeviceSignIn<'_> {
    /// Shows a code, and waits until it was entered and the person signed in.
    ///
    /// `wait` waits for a time; tests are in a hurry. Fails with [`ErrorKind::SignedOut`] when the code ends first, with
    /// [`ErrorKind::Denied`] when the person declines, and with [`ErrorKind::Config`] when the provider does not offer this
    /// flow to bsql.
    pub(super) async fn run<W>(
        &self,
        prompt: &mut dyn LoginPrompt,
        wait: impl Fn(Duration) -> W + Send + Sync,
    ) -> Result<(TokenSet, Claims)>
    where
        W: Future<Output = ()> + Send,
    {
        let code = self.code().await?;
        show(&code, prompt)?;
        let limit = self
            .timeout
            .unwrap_or(LONGEST_LIFE)
            .min(code.expires_in())
            .min(LONGEST_LIFE);
        let grant = tokio::time::timeout(limit, self.poll(&code, limit, wait))
            .await
            .unwrap_or_else(|_| Err(too_late()))?;
        let expected = Expectations {
            max_age: self.wishes.max_age,
            acr: self.wishes.acr,
            ..Expectations::default()
        };
        self.provider.accept(&grant, expected).await
    }

    async fn code(&self) -> Result<StandardDeviceAuthorizationResponse> {
        let asked = Asked::of(self.provider);
        let client = asked.client();
        let Ok(mut request) = self.provider.oauth.exchange_device_code() else {
            return Err(ErrorKind::Config
                .error("the identity provider has no device flow")
                .hint("bsql login --flow browser"));
        };
        request = request.add_scopes(self.scopes.iter().cloned().map(Scope::new));
        // Not in RFC 8628, but what providers that can do more look for.
        if let Some(acr) = self.wishes.acr {
            request = request.add_extra_param("acr_values", acr);
        }
        if let Some(max_age) = self.wishes.max_age {
            request = request.add_extra_param("max_age", max_age.to_string());
        }
        request
            .request_async::<_, EmptyExtraDeviceAuthorizationFields>(&client)
            .await
            .map_err(|error| self.provider.failed(asked.error(error)))
    }

    /// Asks for the tokens until there are some. An outage does not end it, only the code does.
    async fn poll<W>(
        &self,
        code: &StandardDeviceAuthorizationResponse,
        limit: Duration,
        wait: impl Fn(Duration) -> W + Send + Sync,
    ) -> Result<Grant>
    where
        W: Future<Output = ()> + Send,
    {
        let asked = Asked::of(self.provider);
        let client = asked.client();
        let wait = |interval: Duration| wait(interval.min(limit).mul_f64(MARGIN));
        // Nobody has entered the code in the time that the first request takes.
        wait(code.interval()).await;
        self.provider
            .oauth
            .exchange_device_access_token(code)
            .set_max_backoff_interval(LONGEST_WAIT)
            .request_async(&client, wait, Some(limit))
            .await
            .map(Grant::from)
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(refusal)
                    if refusal.error().as_ref() == "expired_token" =>
                {
                    too_late()
                }
                error => self.provider.failed(asked.error(error)),
            })
    }
}

fn show(code: &StandardDeviceAuthorizationResponse, prompt: &mut dyn LoginPrompt) -> Result<()> {
    // The person will open these: a provider has no business to show anything but a web page.
    let at = Url::parse(code.verification_uri()).or_fail(
        ErrorKind::Refused,
        || "the identity provider's address for codes is no URL",
    )?;
    require_secure(&at).map_err(|error| error.with_kind(ErrorKind::Refused))?;
    let complete = code
        .verification_uri_complete()
        .and_then(|url| Url::parse(url.secret()).ok())
        .filter(|url| require_secure(url).is_ok());
    prompt.enter_code(
        &at,
        complete.as_ref(),
        &printable(code.user_code().secret()),
    );
    Ok(())
}

fn too_late() -> Error {
    ErrorKind::SignedOut
        .error("the code was not entered in time")
        .hint("bsql login --flow device")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::test_provider::{Person, TestProvider};
    use super::*;

    /// Polls without waiting, and returns what it would have waited, in seconds.
    async fn run(server: &TestProvider) -> (Result<(TokenSet, Claims)>, Person, Vec<f64>) {
        let provider = server.discover().await.unwrap();
        let mut person = Person::default();
        let waits = Mutex::new(Vec::new());
        let outcome = DeviceSignIn {
            provider: &provider,
            scopes: &["openid".to_owned()],
            wishes: Wishes::default(),
            timeout: None,
        }
        .run(&mut person, |wait| {
            waits.lock().unwrap().push(wait.as_secs_f64());
            std::future::ready(())
        })
        .await;
        (outcome, person, waits.into_inner().unwrap())
    }

    fn rounded(waits: &[f64]) -> Vec<f64> {
        waits
            .iter()
            .map(|wait| (wait * 10.0).round() / 10.0)
            .collect()
    }

    const PENDING: (u16, &str) = (400, r#"{"error":"authorization_pending"}"#);
    const SLOW_DOWN: (u16, &str) = (400, r#"{"error":"slow_down"}"#);

    #[tokio::test]
    async fn polls_with_a_margin_and_slows_down_for_good() {
        let server = TestProvider::start().await;
        server
            .state()
            .device_polls
            .extend([PENDING, SLOW_DOWN, PENDING]);
        let (outcome, person, waits) = run(&server).await;
        assert_eq!(outcome.unwrap().1.subject, "1");
        // 7 s as the provider asks, 5 s more after `slow_down`, a fifth on top.
        assert_eq!(rounded(&waits), [8.4, 8.4, 14.4, 14.4]);
        let (at, complete, code) = &person.codes[0];
        assert_eq!(at.path(), "/enter");
        assert_eq!(
            complete.as_ref().unwrap().query(),
            Some("user_code=KNJS-CJFD")
        );
        assert_eq!(code, "KNJS-\u{fffd}CJFD");
        assert_eq!(server.last_form("/device")["scope"], "openid");
    }

    #[tokio::test]
    async fn an_outage_backs_off_and_does_not_end_it() {
        let server = TestProvider::start().await;
        server
            .state()
            .device_polls
            .extend([(503, ""), (502, "<html>"), (503, ""), PENDING]);
        let (outcome, _, waits) = run(&server).await;
        outcome.unwrap();
        assert_eq!(rounded(&waits), [8.4, 16.8, 33.6, 36.0, 36.0]);
    }

    #[tokio::test]
    async fn a_no_ends_it() {
        for (answer, kind) in [
            ((400, r#"{"error":"access_denied"}"#), ErrorKind::Denied),
            ((400, r#"{"error":"expired_token"}"#), ErrorKind::SignedOut),
            ((401, r#"{"error":"invalid_client"}"#), ErrorKind::Config),
            ((404, "<html>"), ErrorKind::Refused),
        ] {
            let server = TestProvider::start().await;
            server.state().device_polls.extend([PENDING, answer]);
            let (outcome, _, _) = run(&server).await;
            assert_eq!(outcome.unwrap_err().kind(), kind, "{answer:?}");
            assert_eq!(server.count("/token"), 2, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_provider_without_the_flow_says_so() {
        let server = TestProvider::start().await;
        server.state().metadata = |document| {
            document["device_authorization_endpoint"] = serde_json::Value::Null;
        };
        let (outcome, _, _) = run(&server).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(
            error.to_string(),
            "the identity provider has no device flow"
        );
    }

    #[tokio::test]
    async fn time_runs_out() {
        let server = TestProvider::start().await;
        let provider = server.discover().await.unwrap();
        let outcome = DeviceSignIn {
            provider: &provider,
            scopes: &[],
            wishes: Wishes::default(),
            timeout: Some(Duration::from_millis(10)),
        }
        .run(&mut Person::default(), |_| std::future::pending())
        .await;
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "the code was not entered in time"
        );
    }
}
