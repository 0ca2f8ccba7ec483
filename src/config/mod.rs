//! The person's files: which profile, and what it says. Every value keeps the place it came from.

mod aliases;
mod edit;
mod layers;
mod paths;
mod profile;
mod published;
mod schema;

pub use aliases::Aliases;
pub use edit::SettingsFile;
pub use layers::{Found, Layer, Origin, Settings};
pub use paths::{Environment, Paths};
pub use profile::{Backstage, CatalogSettings, ENVIRONMENTS};
pub use profile::{
    BackstageAuth, Credentials, EndpointOverrides, Google, Identity, Profile, ProfileName,
};
pub use published::PublishedProfile;
pub use schema::{Key, PROFILE_KEYS, Shape, TOP_KEYS, nearest, variable};
