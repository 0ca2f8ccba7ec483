//! The instances' doors: where Cloud SQL listens on port 3307, asks for a certificate that its API has signed, and lets
//! those in whom the certificate or a password makes a database user. Behind the door is
//! [`crate::sandbox::postgres`] or [`crate::sandbox::mysql`], or, for SQL Server, nobody.
//!
//! Written from the protocols' documentation, without the client's code, so that a mistake there cannot hide.

mod bind;
mod door;
mod login;
mod mysql;
mod mysql_wire;
mod served;
mod startup;
mod tds;

#[cfg(test)]
pub(in crate::sandbox) use bind::bind_shared;
pub(in crate::sandbox) use bind::{Listeners, bind};
pub(in crate::sandbox) use door::{Door, Doors};
pub(in crate::sandbox) use served::{ServedInstance, Server};
