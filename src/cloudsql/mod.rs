//! Google Cloud SQL: from somebody's sign-in to an authenticated, encrypted stream that speaks the database's protocol.
//!
//! Two OAuth tokens are needed, one to call APIs and one that is the database login ([`Scope`]). With them the SQL Admin
//! API tells where the instance is and which CA its certificate comes from, and signs a client certificate that lives for
//! an hour at most and holds the login ([`ConnectionInfo`]). The [`Dialer`] then opens TLS to port 3307 and checks that the
//! other end is the instance and nothing else. What Google's own connectors do is the specification, see
//! <https://github.com/GoogleCloudPlatform/cloud-sql-go-connector>; the differences are said where they are.

mod adc;
mod admin;
mod credentials;
mod data_api;
mod dialer;
mod dns;
mod dns_name;
mod domain;
mod endpoints;
mod engine;
mod gcloud;
mod http_connect;
mod impersonation;
mod info;
mod kept;
mod key;
mod mdx;
mod name;
mod oauth;
mod oauth_server;
mod per_scope;
mod program;
mod protobuf;
mod refusal;
mod signer;
mod socks;
mod source;
#[cfg(test)]
#[cfg(feature = "sandbox")]
mod stand_in;
mod tcp;
mod tls;
mod verify;
mod via;
mod workforce;

pub use adc::{Adc, AdcEnvironment, AdcOptions};
pub use admin::{ConnectSettings, DatabaseUser, IpAddress, SqlAdminClient};
pub use credentials::{
    AccessToken, CredentialSource, Principal, Scope, Subject, SubjectTokenSource,
};
pub use data_api::SqlDataStream;
pub use dialer::{Connection, Dialer};
pub use dns_name::InstanceDnsName;
pub use domain::{Destination, DomainName, DomainResolver};
pub use endpoints::Endpoints;
pub use engine::{Engine, IpType, database_user};
pub use gcloud::GcloudTokens;
pub use impersonation::Impersonated;
pub use info::{ConnectionInfo, ConnectionInfoSource, Moved};
pub use kept::{CertificateStore, Kept};
pub use key::{ClientKey, PendingKey};
pub use mdx::{ClientProtocol, Found, MetadataExchange, Response, ResponseParser};
pub use name::{InstanceConnectionName, InstanceLocator};
pub use oauth::{NarrowedTokenSource, OAuthTokens};
pub use source::GoogleTokens;
pub use verify::InstanceVerifier;
pub use via::{Place, Via};
pub use workforce::WorkforceTokens;
