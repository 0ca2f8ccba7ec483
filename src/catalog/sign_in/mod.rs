//! What Backstage is shown to know who asks, where that is more than a token that bsql has anyway.
//!
//! <https://backstage.io/docs/auth/service-to-service-auth>. Each file is one way: a command that prints a token, the
//! token that Backstage gives to whoever gets through Google's Identity-Aware Proxy, and Backstage's own OAuth server.

mod iap;
mod oauth;
mod token_command;

pub use iap::IapTokens;
pub use oauth::{OAUTH_SCOPES, OAuthEndpoints};
pub use token_command::TokenCommand;
