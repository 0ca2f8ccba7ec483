//! The sources that a profile can choose between, as one.

use super::adc::Adc;
use super::credentials::{AccessToken, CredentialSource, Principal, Scope, SubjectTokenSource};
use super::workforce::WorkforceTokens;
use crate::error::Result;

/// Google's tokens, from wherever the profile says.
#[derive(Debug)]
pub enum GoogleTokens<S: SubjectTokenSource> {
    /// For the ID token of the company's own provider.
    Workforce(WorkforceTokens<S>),
    /// From the Application Default Credentials.
    Adc(Adc),
}

impl<S: SubjectTokenSource> CredentialSource for GoogleTokens<S> {
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        match self {
            Self::Workforce(tokens) => tokens.access_token(scope).await,
            Self::Adc(tokens) => tokens.access_token(scope).await,
        }
    }

    async fn principal(&self) -> Result<Principal> {
        match self {
            Self::Workforce(tokens) => tokens.principal().await,
            Self::Adc(tokens) => tokens.principal().await,
        }
    }
}
