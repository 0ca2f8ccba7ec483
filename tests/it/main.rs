//! The integration tests: the real program against the sandbox, with an empty environment and a home of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "the harness finds the machine's programs by the PATH it was given"
)]

mod architecture;
mod audit;
mod bad_input;
mod builtin;
mod cache;
mod clients;
mod config;
mod connect;
mod credentials;
mod data_api;
mod dataplane;
mod docs;
mod endpoint;
mod exec;
mod identity;
mod lint;
mod listing;
mod login;
mod mariadb;
mod mysql;
mod open;
mod profile;
mod query;
mod sandbox;
mod shutdown;
mod support;
mod tunnel;
mod via;
