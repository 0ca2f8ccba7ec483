//! Google Cloud SQL.
mod engine;
mod name;
pub use engine::{Engine, IpType, database_user};
pub use name::{InstanceConnectionName, InstanceLocator};
