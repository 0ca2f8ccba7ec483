//! Backstage: which databases there are, who owns them, and what a name that somebody typed stands for.
//!
//! The room speaks the catalog's REST API and its words (entity, kind, relation) and knows nothing of SQL or Google;
//! what an entity means as a database is [`crate::target`]'s matter. Text in entities is other people's: it is kept as it
//! came, made [`printable`](crate::error::printable) in the room's own errors, and whoever shows it does the same.

mod cache;
mod client;
mod conventions;
mod directory;
mod entity;
mod lookup;
mod page;
mod refusal;
mod sign_in;
#[cfg(test)]
mod stand_in;
mod usage;

pub use cache::{Cache, CachedName, Listing, Owner};
pub use client::{BearerSource, CatalogClient, Pages, Person, Selection};
pub use conventions::{Conventions, Environments};
pub use directory::{Dated, Directory, Freshness, Keeping, ago};
pub use entity::{Entity, EntityRef, Link, Metadata, Relation};
pub use lookup::{FindOptions, ambiguous, find_database, find_databases};
pub use page::entity_page;
pub use sign_in::{IapTokens, OAUTH_SCOPES, OAuthEndpoints, TokenCommand};
pub use usage::{Usage, Uses};
