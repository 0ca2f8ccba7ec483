//! The sources that a profile can choose between, as one.

use super::adc::Adc;
use super::credentials::{AccessToken, CredentialSource, Principal, Scope, SubjectTokenSource};
use super::gcloud::GcloudTokens;
use super::oauth::{NarrowedTokenSource, OAuthTokens};
use super::workforce::WorkforceTokens;
use crate::error::Result;

/// Google's tokens, from wherever the profile says.
#[derive(Debug)]
pub enum GoogleTokens<S: SubjectTokenSource + NarrowedTokenSource> {
    /// For the ID token of the company's own provider.
    Workforce(WorkforceTokens<S>),
    /// From the Application Default Credentials.
    Adc(Adc),
    /// From gcloud.
    Gcloud(GcloudTokens),
    /// Of the session, where the provider is Google.
    OAuth(OAuthTokens<S>),
}

impl<S: SubjectTokenSource + NarrowedTokenSource> CredentialSource for GoogleTokens<S> {
    // Boxed: the futures of the sources are so many inside one another that the compiler would give up.
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        match self {
            Self::Workforce(tokens) => Box::pin(tokens.access_token(scope)).await,
            Self::Adc(tokens) => Box::pin(tokens.access_token(scope)).await,
            Self::Gcloud(tokens) => Box::pin(tokens.access_token(scope)).await,
            Self::OAuth(tokens) => Box::pin(tokens.access_token(scope)).await,
        }
    }

    async fn principal(&self) -> Result<Principal> {
        match self {
            Self::Workforce(tokens) => Box::pin(tokens.principal()).await,
            Self::Adc(tokens) => Box::pin(tokens.principal()).await,
            Self::Gcloud(tokens) => Box::pin(tokens.principal()).await,
            Self::OAuth(tokens) => Box::pin(tokens.principal()).await,
        }
    }
}
