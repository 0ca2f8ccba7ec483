//! One of many, chosen by typing a part of its name.
//!
//! [`Picker`] is a state machine without a terminal: keys go in, lines come out. `terminal` is the only part that
//! knows of one; it draws on stderr, so that stdout stays data.

mod keys;
mod state;
mod terminal;
mod view;

pub use state::{Choice, Picker};
pub use terminal::{Picked, Update};
