//! The identity provider.
