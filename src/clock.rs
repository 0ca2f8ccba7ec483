//! The wall clock. Expiry is a wall-clock matter: monotonic clocks stand still while a laptop sleeps.

use jiff::{SignedDuration, Timestamp};

/// What time it is. Tests shift it instead of waiting.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    offset: SignedDuration,
    /// More seconds, which somebody may change while it goes.
    #[cfg(test)]
    hands: Option<&'static std::sync::atomic::AtomicI64>,
}

/// Sets a clock that is in use.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Hands(&'static std::sync::atomic::AtomicI64);

#[cfg(test)]
impl Hands {
    /// As after a laptop's sleep, or when somebody sets the clock.
    pub(crate) fn move_by(&self, by: SignedDuration) {
        self.0
            .fetch_add(by.as_secs(), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The system's clock, `offset` ahead.
    pub fn ahead_by(offset: SignedDuration) -> Self {
        Self {
            offset,
            #[cfg(test)]
            hands: None,
        }
    }

    /// The system's clock, and the hands to set it with.
    #[cfg(test)]
    pub(crate) fn adjustable() -> (Self, Hands) {
        let seconds = Box::leak(Box::default());
        let clock = Self {
            hands: Some(seconds),
            ..Self::default()
        };
        (clock, Hands(seconds))
    }

    /// Now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the system"
    )]
    pub fn now(self) -> Timestamp {
        let now = Timestamp::now() + self.offset;
        #[cfg(test)]
        let now = match self.hands {
            Some(hands) => {
                now + SignedDuration::from_secs(hands.load(std::sync::atomic::Ordering::SeqCst))
            }
            None => now,
        };
        now
    }
}
