//! Google as the identity provider itself: the session's own tokens, each narrowed to what it is for.
//!
//! <https://developers.google.com/identity/protocols/oauth2/native-app>.

use super::credentials::{AccessToken, CredentialSource, Principal, Scope, Subject};
use super::per_scope::{Issuer, PerScope};
use crate::clock::Clock;
use crate::error::{ErrorKind, Result};

/// All of Google Cloud.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Gives out access tokens of the session's, for less than the person has consented to.
pub trait NarrowedTokenSource: Send + Sync + 'static {
    /// A new token for this scope.
    fn narrowed_token(&self, scope: &str) -> impl Future<Output = Result<AccessToken>> + Send;

    /// Whose session it is.
    fn person(&self) -> impl Future<Output = Result<Subject>> + Send;
}

/// The tokens of a session at Google.
#[derive(Debug)]
pub struct OAuthTokens<S: NarrowedTokenSource> {
    tokens: PerScope<Narrowing<S>>,
}

#[derive(Debug)]
struct Narrowing<S> {
    session: S,
    /// What sign-ins ask for.
    consented: Vec<String>,
}

impl<S: NarrowedTokenSource> OAuthTokens<S> {
    /// Tokens of a session whose sign-ins ask for `consented`.
    ///
    /// Fails with [`ErrorKind::Config`] when that is too little to reach a database.
    pub fn new(session: S, consented: Vec<String>, clock: Clock) -> Result<Self> {
        let narrowing = Narrowing { session, consented };
        narrowing.scope(Scope::Admin)?;
        narrowing.scope(Scope::Login)?;
        Ok(Self {
            tokens: PerScope::new(narrowing, clock),
        })
    }
}

impl<S: NarrowedTokenSource> CredentialSource for OAuthTokens<S> {
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        self.tokens.get(scope).await
    }

    async fn principal(&self) -> Result<Principal> {
        let person = self.tokens.issuer().session.person().await?;
        let email = person.email.ok_or_else(|| {
            ErrorKind::Config
                .error("Google does not say your mail address")
                .hint("identity.scopes must contain \"email\"; then: bsql login --force")
        })?;
        Ok(Principal::of_email(&email))
    }
}

impl<S: NarrowedTokenSource> Issuer for Narrowing<S> {
    async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        self.session.narrowed_token(self.scope(scope)?).await
    }
}

impl<S> Narrowing<S> {
    /// The narrowest of what was consented to that will do. A login token is for nothing else: it goes to the instance.
    fn scope(&self, scope: Scope) -> Result<&'static str> {
        let will_do: &[&'static str] = match scope {
            Scope::Login => &[Scope::Login.url()],
            scope => &[scope.url(), CLOUD_PLATFORM],
        };
        let has = |wanted: &&&str| self.consented.iter().any(|scope| scope == **wanted);
        will_do.iter().find(has).copied().ok_or_else(|| {
            ErrorKind::Config
                .error(format!("you are not asked to consent to `{}`", scope.url()))
                .hint("add it to identity.scopes, then: bsql login --force")
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::secret::Secret;

    struct Session;

    impl NarrowedTokenSource for Session {
        async fn narrowed_token(&self, scope: &str) -> Result<AccessToken> {
            Ok(AccessToken {
                secret: Secret::from(scope.to_owned()),
                expires_at: Timestamp::MAX,
            })
        }

        async fn person(&self) -> Result<Subject> {
            Ok(Subject {
                subject: "1".to_owned(),
                email: Some("ada@acme.example".to_owned()),
            })
        }
    }

    fn tokens(scopes: &[&str]) -> Result<OAuthTokens<Session>> {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        OAuthTokens::new(Session, scopes, Clock::system())
    }

    #[tokio::test]
    async fn the_narrowest_scope_that_will_do() {
        let (admin, login) = (Scope::Admin.url(), Scope::Login.url());
        for (consented, asked) in [
            (vec!["openid", CLOUD_PLATFORM, admin, login], admin),
            (vec![login, CLOUD_PLATFORM], CLOUD_PLATFORM),
        ] {
            let tokens = tokens(&consented).unwrap();
            let token = tokens.access_token(Scope::Admin).await.unwrap();
            assert_eq!(token.secret.expose(), asked);
            let token = tokens.access_token(Scope::Login).await.unwrap();
            assert_eq!(token.secret.expose(), login);
        }
        let narrow = tokens(&[admin, login]).unwrap();
        let error = narrow.access_token(Scope::Impersonation).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let who = narrow.principal().await.unwrap();
        assert_eq!(who.user_type, "CLOUD_IAM_USER");
    }

    #[test]
    fn too_little_to_reach_a_database() {
        assert!(tokens(&[CLOUD_PLATFORM]).is_err(), "no login");
        assert!(tokens(&[Scope::Login.url()]).is_err(), "no API");
    }
}
