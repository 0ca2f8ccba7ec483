//! The identity provider.
pub(in crate::sandbox) mod keys;
