//! The whole world on one machine.
pub mod company;
pub mod faults;
mod http;
mod idp;
