//! The wall clock. Expiry is a wall-clock matter: monotonic clocks stand still while a laptop sleeps.

use jiff::{SignedDuration, Timestamp};

/// What time it is. Tests shift it instead of waiting.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    offset: SignedDuration,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The system's clock, `offset` ahead.
    pub fn ahead_by(offset: SignedDuration) -> Self {
        Self { offset }
    }

    /// Now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the system"
    )]
    pub fn now(self) -> Timestamp {
        Timestamp::now() + self.offset
    }
}
