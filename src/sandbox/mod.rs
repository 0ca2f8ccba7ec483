//! The whole world on one machine.
pub mod company;
mod idp;
