//! One expiring value, fetched when it is asked for: used for Google's tokens and for connection info.
//!
//! Pull, not push: no task keeps the value fresh. Every use decides by the wall clock, so a laptop that slept needs no
//! code of its own. Concurrent callers share one fetch; a value that is stale but still valid survives an outage.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::error::{Error, Result};

/// What to do with a value that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Fetch a new one, but use this one if that fails.
    Stale,
    /// Of no use.
    Expired,
}

/// Judges a value that ends at `expires_at` and should be replaced `early` before that.
pub fn freshness(now: Timestamp, expires_at: Timestamp, early: SignedDuration) -> Freshness {
    if now >= expires_at {
        Freshness::Expired
    } else if now >= expires_at - early {
        Freshness::Stale
    } else {
        Freshness::Fresh
    }
}

/// Where a value comes from.
pub trait Source: Send + Sync {
    /// What is fetched.
    type Value: Clone + Send;

    /// Replace a value this long before it expires.
    const EARLY: SignedDuration;

    /// Fetches a new value.
    fn fetch(&self) -> impl Future<Output = Result<Self::Value>> + Send;

    /// When a value ends.
    fn expires_at(value: &Self::Value) -> Timestamp;
}

/// Keeps the newest value of a [`Source`].
#[derive(Debug)]
pub struct RefreshCache<S: Source> {
    source: S,
    clock: Clock,
    current: Mutex<Option<S::Value>>,
}

impl<S: Source> RefreshCache<S> {
    /// An empty cache: nothing is fetched before [`get`](Self::get).
    pub fn new(source: S, clock: Clock) -> Self {
        Self {
            source,
            clock,
            current: Mutex::new(None),
        }
    }

    /// Where the values come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The value, fetched if there is none that is fresh.
    ///
    /// Cancel safe: a dropped caller lets go of the lock and the next one starts afresh.
    pub async fn get(&self) -> Result<S::Value> {
        let mut current = self.current.lock().await;
        let state = current
            .as_ref()
            .map(|value| freshness(self.clock.now(), S::expires_at(value), S::EARLY));
        if let (Some(Freshness::Fresh), Some(value)) = (state, current.as_ref()) {
            return Ok(value.clone());
        }
        match self.source.fetch().await {
            Ok(value) => Ok(current.insert(value).clone()),
            Err(error) => match (state, current.as_ref()) {
                (Some(Freshness::Stale), Some(value)) => {
                    tracing::warn!(%error, "kept the old value, which is still valid");
                    Ok(value.clone())
                }
                _ => Err(error),
            },
        }
    }

    /// Forgets the value: the far side has refused it.
    pub async fn invalidate(&self) {
        *self.current.lock().await = None;
    }
}

/// Fails with `error` when `work` takes longer than `limit`.
pub async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T>>,
    error: impl FnOnce() -> Error,
) -> Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(error()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn judged_by_the_wall_clock() {
        let end = Timestamp::from_second(10_000).unwrap();
        let early = SignedDuration::from_secs(240);
        for (second, expected) in [
            (0, Freshness::Fresh),
            (9_759, Freshness::Fresh),
            (9_760, Freshness::Stale),
            (9_999, Freshness::Stale),
            (10_000, Freshness::Expired),
            (99_999, Freshness::Expired),
        ] {
            assert_eq!(
                freshness(Timestamp::from_second(second).unwrap(), end, early),
                expected,
                "{second}"
            );
        }
    }

    /// Counts its fetches; every value lives for `life`.
    struct Counter {
        life: SignedDuration,
        fetches: AtomicUsize,
        down: AtomicBool,
    }

    impl Counter {
        fn living(seconds: i64) -> RefreshCache<Self> {
            let life = SignedDuration::from_secs(seconds);
            let source = Self {
                life,
                fetches: AtomicUsize::new(0),
                down: AtomicBool::new(false),
            };
            RefreshCache::new(source, Clock::system())
        }
    }

    impl Source for Counter {
        type Value = (usize, Timestamp);
        const EARLY: SignedDuration = SignedDuration::from_secs(60);

        async fn fetch(&self) -> Result<Self::Value> {
            tokio::task::yield_now().await;
            if self.down.load(Ordering::SeqCst) {
                return Err(ErrorKind::Unavailable.error("down"));
            }
            let nth = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
            Ok((nth, Clock::system().now() + self.life))
        }

        fn expires_at(value: &Self::Value) -> Timestamp {
            value.1
        }
    }

    #[tokio::test]
    async fn ten_callers_share_one_fetch() {
        let cache = Counter::living(3600);
        let callers = (0..10).map(|_| cache.get());
        for value in futures_util::future::join_all(callers).await {
            assert_eq!(value.unwrap().0, 1);
        }
    }

    #[tokio::test]
    async fn a_stale_value_survives_an_outage_and_an_expired_one_does_not() {
        let cache = Counter::living(30);
        assert_eq!(cache.get().await.unwrap().0, 1);
        cache.source.down.store(true, Ordering::SeqCst);
        assert_eq!(cache.get().await.unwrap().0, 1, "stale but valid");
        cache.source.down.store(false, Ordering::SeqCst);
        assert_eq!(cache.get().await.unwrap().0, 2, "stale is replaced");

        let cache = Counter::living(-1);
        cache.get().await.unwrap();
        cache.source.down.store(true, Ordering::SeqCst);
        assert_eq!(
            cache.get().await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }

    #[tokio::test]
    async fn an_invalidated_value_is_fetched_again() {
        let cache = Counter::living(3600);
        cache.get().await.unwrap();
        cache.invalidate().await;
        assert_eq!(cache.get().await.unwrap().0, 2);
    }
}
