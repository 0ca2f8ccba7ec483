//! The identity provider: signing a person in, keeping the session fresh, ending it.
//!
//! OpenID Connect for a public client on a person's machine: the authorization code grant with PKCE over a loopback
//! redirect (RFC 8252), the device grant (RFC 8628), and a pasted address where neither works. [`Session`] is what the
//! rest of bsql sees; it hands out tokens that have been checked and are not about to end, and it is careful with the
//! refresh token, which most providers let be used once.
//!
//! "The provider said no" ([`SignedOut`](crate::error::ErrorKind::SignedOut)) and "the provider was not reached"
//! ([`Unavailable`](crate::error::ErrorKind::Unavailable)) are never mixed up: only the first ends a session. This room
//! knows nothing of Google, of Backstage, of the configuration or of the terminal.

mod authorization;
mod beside;
mod browser;
pub mod browser_command;
mod callback;
mod device;
mod file_store;
mod flow;
mod id_token;
mod jwks;
mod keyring;
mod keyring_or_file;
mod lock;
mod metadata;
mod oauth_server;
mod page;
mod paste;
mod private_file;
mod prompt;
mod proof;
mod provider;
mod refusal;
mod sealing;
mod session;
mod store;
#[cfg(test)]
mod test_provider;
mod token;

pub use beside::Beside;
pub use callback::{LoopbackHost, Redirect};
pub use file_store::FileStore;
pub use flow::{Flow, Surroundings, choose};
pub use id_token::Claims;
pub use keyring::KeyringStore;
pub use keyring_or_file::{StoreChoice, open_store};
pub use metadata::Metadata;
pub use oauth_server::AuthorizationServer;
pub use prompt::{LoginPrompt, PastedLine};
pub use provider::{IdentityProvider, Registration, TokenHint};
pub use session::{IdentityOptions, Session, SignIn, SignedOut};
pub use store::{MemoryStore, StoreKey, TokenStore};
pub use token::TokenSet;
