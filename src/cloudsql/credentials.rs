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

    /// The scope that people consent to when they sign in with a Google account: `gcloud auth application-default login`
    /// asks for all of Google Cloud and for the database login, and a token can only be for what was consented to.
    pub(super) fn consented_url(self) -> &'static str {
        match self {
            Self::Admin | Self::Impersonation => "https://www.googleapis.com/auth/cloud-platform",
            Self::Login => self.url(),
        }
    }
}

/// Who Google takes the bearer of a token for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// As IAM policies write it: `user:EMAIL`, `serviceAccount:EMAIL` or `principal://…`. Empty when Google does not say.
    pub member: String,
    /// What database users are made of: a mail address, or a workforce subject.
    pub login: String,
    /// The type of its database users, as `gcloud sql users create --type` takes it.
    pub user_type: &'static str,
}

impl Principal {
    /// Whoever has this mail address: a service account by its domain, else a person with a Google account.
    pub fn of_email(email: &str) -> Self {
        let is_account = email.ends_with(".gserviceaccount.com");
        let (kind, user_type) = if is_account {
            ("serviceAccount", "CLOUD_IAM_SERVICE_ACCOUNT")
        } else {
            ("user", "CLOUD_IAM_USER")
        };
        Self {
            member: format!("{kind}:{email}"),
            login: email.to_owned(),
            user_type,
        }
    }
}

/// Gives out access tokens, new ones only when it must.
pub trait CredentialSource: Send + Sync + 'static {
    /// A token for `scope` that is valid now.
    fn access_token(&self, scope: Scope) -> impl Future<Output = Result<AccessToken>> + Send;

    /// Whose tokens these are. May ask Google.
    fn principal(&self) -> impl Future<Output = Result<Principal>> + Send;
}

/// The signed-in person, as their ID token has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The claim `sub`.
    pub subject: String,
    /// The claim `email`.
    pub email: Option<String>,
}

/// Gives out the OIDC ID token that the Security Token Service exchanges.
pub trait SubjectTokenSource: Send + Sync + 'static {
    /// The ID token as it is now.
    fn subject_token(&self) -> impl Future<Output = Result<Secret>> + Send;

    /// Whose ID token it is.
    fn subject(&self) -> impl Future<Output = Result<Subject>> + Send;
}

impl<C: CredentialSource> CredentialSource for Arc<C> {
    fn access_token(&self, scope: Scope) -> impl Future<Output = Result<AccessToken>> + Send {
        C::access_token(self, scope)
    }

    fn principal(&self) -> impl Future<Output = Result<Principal>> + Send {
        C::principal(self)
    }
}

impl<S: SubjectTokenSource> SubjectTokenSource for Arc<S> {
    fn subject_token(&self) -> impl Future<Output = Result<Secret>> + Send {
        S::subject_token(self)
    }

    fn subject(&self) -> impl Future<Output = Result<Subject>> + Send {
        S::subject(self)
    }
}
