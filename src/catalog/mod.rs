//! Backstage.
