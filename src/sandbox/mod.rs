//! The whole world on one machine.
mod catalog;
pub mod company;
pub mod faults;
mod http;
mod idp;
