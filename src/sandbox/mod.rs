//! The whole world on one machine: an identity provider, a Backstage, and Google Cloud with its instances, for trying bsql
//! out and for its tests.
//!
//! Every other side that bsql talks to has its own module here, written from that side's specification and never with the
//! client's parsers or types. The client cannot tell the difference: it gets a profile with other addresses.
//!
//! [`Sandbox::start`] puts it together, [`company`] says who works at Acme, and [`faults`] how to make it misbehave.

mod catalog;
pub mod company;
mod control;
pub mod faults;
mod google;
#[cfg(unix)]
mod home;
mod http;
mod idp;
mod instance;
mod mysql;
mod pki;
mod postgres;
mod profile;
mod protobuf;
#[cfg(unix)]
mod watched;
mod world;

pub use self::control::{Control, Status};
pub use self::postgres::EngineChoice;
pub use self::world::{Options, Sandbox};
