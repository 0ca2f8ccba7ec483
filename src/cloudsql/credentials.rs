//! Tokens for Google, and where they come from.

use std::sync::Arc;

use jiff::Timestamp;

use crate::error::Result;
use crate::secret::Secret;

/// An OAuth access token of Google's.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token.
    pub secret: Secret,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a token is for. No token can do more than one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Calling the SQL Admin API.
    Admin,
    /// Logging in to databases. It goes into the client certificate and so to the instance, which must not be able to
    /// call APIs with it.
    Login,
    /// Becoming a service account by the IAM Credentials API.
    Impersonation,
}

impl Scope {
    /// The OAuth scope, see <https://developers.google.com/identity/protocols/oauth2/scopes>.
    pub fn url(self) -> &'static str {
        match self {
            Self::Admin => "https://www.googleapis.com/auth/sqlservice.admin",
            Self::Login => "https://www.googleapis.com/auth/sqlservice.login",
            Self::Impersonation => "https://www.googleapis.com/auth/iam",
        }
    }
}

/// Gives out access tokens, new ones only when it must.
pub trait CredentialSource: Send + Sync + 'static {
    /// A token for `scope` that is valid now.
    fn access_token(&self, scope: Scope) -> impl Future<Output = Result<AccessToken>> + Send;
}

/// Gives out the OIDC ID token that the Security Token Service exchanges.
pub trait SubjectTokenSource: Send + Sync + 'static {
    /// The ID token as it is now.
    fn subject_token(&self) -> impl Future<Output = Result<Secret>> + Send;
}

impl<C: CredentialSource> CredentialSource for Arc<C> {
    fn access_token(&self, scope: Scope) -> impl Future<Output = Result<AccessToken>> + Send {
        C::access_token(self, scope)
    }
}

impl<S: SubjectTokenSource> SubjectTokenSource for Arc<S> {
    fn subject_token(&self) -> impl Future<Output = Result<Secret>> + Send {
        S::subject_token(self)
    }
}
