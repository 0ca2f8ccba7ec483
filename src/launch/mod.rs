//! Programs that are launched.
