//! One expiring value, fetched when it is asked for: used for Google's tokens and for connection info.
//!
//! Pull, not push: no task keeps the value fresh. Every use decides by the wall clock, so a laptop that slept needs no
//! code of its own. Concurrent callers share one fetch; a value that is stale but still valid survives an outage; and
//! where failures come in bursts, the last one answers for a while, so that nobody hammers a service that is down.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

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

    /// So many fetches may fail within [`PAUSE`]; after that the last failure is the answer, until one is older.
    const BURST: usize = usize::MAX;

    /// How long a fetch may take while there is a value that is still valid.
    const PATIENCE: Duration = Duration::MAX;

    /// Fetches a new value.
    fn fetch(&self) -> impl Future<Output = Result<Self::Value>> + Send;

    /// When a value ends.
    fn expires_at(value: &Self::Value) -> Timestamp;

    /// A value of an earlier run, if one was kept. Asked once, before the first fetch.
    fn recall(&self) -> impl Future<Output = Option<Self::Value>> + Send {
        async { None }
    }

    /// What was kept is of no use any more.
    fn forget(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// How long a failed fetch counts. As the rate limiter of Google's connectors.
pub const PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// Keeps the newest value of a [`Source`].
#[derive(Debug)]
pub struct RefreshCache<S: Source> {
    source: S,
    clock: Clock,
    state: Mutex<State<S::Value>>,
}

#[derive(Debug)]
struct State<V> {
    current: Option<Kept<V>>,
    /// What an earlier run kept has been looked at.
    recalled: bool,
    failures: Failures,
}

/// A value, and since when it is here, by both clocks.
#[derive(Debug)]
struct Kept<V> {
    value: V,
    at: Timestamp,
    since: Instant,
}

impl<V> Kept<V> {
    /// The wall clock's time, or a later one if somebody has set that clock back: no value lasts longer for it.
    fn now(&self, clock: Clock) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.since.elapsed()).unwrap_or(SignedDuration::MAX);
        let at_least = self.at.saturating_add(elapsed).unwrap_or(Timestamp::MAX);
        clock.now().max(at_least)
    }
}

/// The fetches that have failed since the last one that did not.
#[derive(Debug, Default)]
struct Failures {
    at: Vec<Timestamp>,
    last: Option<Error>,
}

impl Failures {
    /// The failure that stands for another one, if there were `most` of them within the last [`PAUSE`].
    fn standing(&mut self, now: Timestamp, most: usize) -> Option<Error> {
        // Those of the future are from before somebody set the clock.
        self.at
            .retain(|at| (SignedDuration::ZERO..PAUSE).contains(&now.duration_since(*at)));
        let last = self.last.as_ref().filter(|_| self.at.len() >= most)?;
        Some(last.repeated())
    }

    fn add(&mut self, now: Timestamp, error: &Error) {
        self.at.push(now);
        self.last = Some(error.repeated());
    }
}

impl<S: Source> RefreshCache<S> {
    /// An empty cache: nothing is fetched before [`get`](Self::get).
    pub fn new(source: S, clock: Clock) -> Self {
        Self {
            source,
            clock,
            state: Mutex::new(State {
                current: None,
                recalled: false,
                failures: Failures::default(),
            }),
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
        let mut state = self.state.lock().await;
        self.recall(&mut state).await;
        let stale = match &state.current {
            None => None,
            Some(kept) => {
                let ends = S::expires_at(&kept.value);
                match freshness(kept.now(self.clock), ends, S::EARLY) {
                    Freshness::Fresh => return Ok(kept.value.clone()),
                    Freshness::Stale => Some(kept.value.clone()),
                    Freshness::Expired => None,
                }
            }
        };
        let standing = state.failures.standing(self.clock.now(), S::BURST);
        let fetched = if let Some(error) = standing {
            Err(error)
        } else {
            // Who sleeps between a question and its answer may wake up with a value that is over: that is asked once more.
            let mut fetched = self.fetch(stale.is_some()).await;
            if fetched.as_ref().is_ok_and(|value| self.is_over(value)) {
                fetched = self.fetch(stale.is_some()).await;
            }
            if let Err(error) = &fetched
                && S::BURST < usize::MAX
            {
                state.failures.add(self.clock.now(), error);
            }
            fetched
        };
        match (fetched, stale) {
            (Ok(value), _) => {
                state.failures = Failures::default();
                state.current = Some(self.keep(value.clone()));
                Ok(value)
            }
            // It may have ended while the source was asked.
            (Err(error), Some(value)) if !self.is_over(&value) => {
                tracing::warn!(%error, "kept the old value, which is still valid");
                Ok(value)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn keep(&self, value: S::Value) -> Kept<S::Value> {
        Kept {
            value,
            at: self.clock.now(),
            since: Instant::now(),
        }
    }

    /// Asks the source; not for long where there is a value already.
    async fn fetch(&self, has_value: bool) -> Result<S::Value> {
        // Boxed: values come from values that come from values, and a worker's stack is small.
        let fetching = Box::pin(self.source.fetch());
        if has_value {
            within(S::PATIENCE, fetching, || {
                ErrorKind::Unavailable.error("no answer in time")
            })
            .await
        } else {
            fetching.await
        }
    }

    fn is_over(&self, value: &S::Value) -> bool {
        self.clock.now() >= S::expires_at(value)
    }

    /// The value that there is, also one that an earlier run kept, if it has not ended. Nothing is fetched.
    pub async fn known(&self) -> Option<S::Value> {
        let mut state = self.state.lock().await;
        self.recall(&mut state).await;
        let kept = state.current.as_ref()?;
        let is_over = kept.now(self.clock) >= S::expires_at(&kept.value);
        (!is_over).then(|| kept.value.clone())
    }

    async fn recall(&self, state: &mut State<S::Value>) {
        if !state.recalled {
            let recalled = Box::pin(self.source.recall()).await;
            state.current = recalled.map(|value| self.keep(value));
            state.recalled = true;
        }
    }

    /// Forgets the value: the far side has refused it.
    pub async fn invalidate(&self) {
        let mut state = self.state.lock().await;
        state.current = None;
        state.recalled = true;
        self.source.forget().await;
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
        /// Those that failed.
        failures: AtomicUsize,
        down: AtomicBool,
        hangs: AtomicBool,
        /// So many fetches bring a value that is over, as when the machine sleeps before the answer comes.
        slept_through: AtomicUsize,
        begun: AtomicUsize,
        /// How long the value that was kept lives, if one was.
        kept: Option<SignedDuration>,
        forgotten: AtomicUsize,
    }

    impl Counter {
        fn new(seconds: i64) -> Self {
            Self {
                life: SignedDuration::from_secs(seconds),
                fetches: AtomicUsize::new(0),
                failures: AtomicUsize::new(0),
                down: AtomicBool::new(false),
                hangs: AtomicBool::new(false),
                slept_through: AtomicUsize::new(0),
                begun: AtomicUsize::new(0),
                kept: None,
                forgotten: AtomicUsize::new(0),
            }
        }

        fn living(seconds: i64) -> RefreshCache<Self> {
            RefreshCache::new(Self::new(seconds), Clock::system())
        }
    }

    impl Source for Counter {
        type Value = (usize, Timestamp);
        const EARLY: SignedDuration = SignedDuration::from_secs(60);
        const BURST: usize = 2;
        const PATIENCE: Duration = Duration::from_millis(20);

        async fn fetch(&self) -> Result<Self::Value> {
            tokio::task::yield_now().await;
            self.begun.fetch_add(1, Ordering::SeqCst);
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.down.load(Ordering::SeqCst) {
                let nth = self.failures.fetch_add(1, Ordering::SeqCst) + 1;
                let cause = anyhow::anyhow!("inner").context(format!("failure {nth}"));
                return Err(ErrorKind::Unavailable
                    .error("down")
                    .because(cause)
                    .hint("wait"));
            }
            let nth = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
            let over = nth <= self.slept_through.load(Ordering::SeqCst);
            let life = if over {
                SignedDuration::ZERO
            } else {
                self.life
            };
            Ok((nth, Clock::system().now() + life))
        }

        fn expires_at(value: &Self::Value) -> Timestamp {
            value.1
        }

        async fn recall(&self) -> Option<Self::Value> {
            Some((0, Clock::system().now() + self.kept?))
        }

        async fn forget(&self) {
            self.forgotten.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn what_an_earlier_run_kept_is_used_while_it_lasts() {
        for (kept, first, later) in [(3_600, 0, 0), (30, 1, 1), (-1, 1, 1)] {
            let source = Counter {
                kept: Some(SignedDuration::from_secs(kept)),
                ..Counter::new(3_600)
            };
            let cache = RefreshCache::new(source, Clock::system());
            assert_eq!(cache.known().await.is_some(), kept > 0, "{kept}");
            assert_eq!(cache.get().await.unwrap().0, first, "{kept}");
            assert_eq!(cache.get().await.unwrap().0, later, "{kept}");
            cache.invalidate().await;
            assert!(cache.get().await.unwrap().0 > later, "not recalled again");
            assert_eq!(cache.source.forgotten.load(Ordering::SeqCst), 1);
        }
    }

    #[tokio::test]
    async fn a_burst_of_failures_is_answered_by_the_last_one() {
        let (clock, hands) = Clock::adjustable();
        let cache = RefreshCache::new(Counter::new(3_600), clock);
        cache.source.down.store(true, Ordering::SeqCst);
        let mut said = Vec::new();
        for _ in 0..5 {
            let error = cache.get().await.unwrap_err();
            assert_eq!(error.next_steps(), ["wait"]);
            assert_eq!(error.causes()[1], "inner");
            said.push(error.causes()[0].clone());
        }
        assert_eq!(
            said,
            [
                "failure 1",
                "failure 2",
                "failure 2",
                "failure 2",
                "failure 2"
            ]
        );
        hands.move_by(PAUSE);
        let error = cache.get().await.unwrap_err();
        assert_eq!(error.causes()[0], "failure 3");
        // Somebody set the clock back: what failed in the future says nothing.
        hands.move_by(SignedDuration::from_hours(-1));
        cache.source.down.store(false, Ordering::SeqCst);
        assert_eq!(cache.get().await.unwrap().0, 1);
    }

    #[tokio::test]
    async fn a_machine_that_slept_gets_a_new_value_first_thing() {
        let (clock, hands) = Clock::adjustable();
        let cache = RefreshCache::new(Counter::new(3_600), clock);
        assert_eq!(cache.get().await.unwrap().0, 1);
        hands.move_by(SignedDuration::from_hours(8));
        // The counter lives by the system's clock, so the new value has ended as well; it is asked for all the same, and
        // not for ever.
        assert_eq!(cache.get().await.unwrap().0, 3);
        assert!(cache.known().await.is_none());
        // Somebody sets the clock back: by which one that value has ended nobody can tell, so there is another.
        hands.move_by(SignedDuration::from_hours(-10));
        assert_eq!(cache.get().await.unwrap().0, 4);
        assert_eq!(cache.get().await.unwrap().0, 4);
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_makes_no_value_last_longer() {
        let (clock, hands) = Clock::adjustable();
        let cache = RefreshCache::new(Counter::new(3_600), clock);
        assert_eq!(cache.get().await.unwrap().0, 1);
        hands.move_by(SignedDuration::from_hours(-24));
        for _ in 0..3 {
            assert_eq!(cache.get().await.unwrap().0, 1, "no sooner either");
        }
        // Nobody waits an hour here.
        let pass = async |seconds| {
            let mut state = cache.state.lock().await;
            let since = &mut state.current.as_mut().unwrap().since;
            *since = since.checked_sub(Duration::from_secs(seconds)).unwrap();
        };
        pass(3_535).await;
        assert_eq!(cache.get().await.unwrap().0, 1);
        pass(10).await;
        assert_eq!(cache.get().await.unwrap().0, 2, "stale");
        assert_eq!(
            cache.get().await.unwrap().0,
            2,
            "and not asked for each time"
        );
        pass(3_600 + 24 * 3_600).await;
        assert!(cache.known().await.is_none());
    }

    #[tokio::test]
    async fn a_machine_that_slept_before_the_answer_came_asks_once_more() {
        let cache = Counter::living(3_600);
        cache.source.slept_through.store(1, Ordering::SeqCst);
        assert_eq!(cache.get().await.unwrap().0, 2);
        assert!(cache.known().await.is_some());
    }

    #[tokio::test]
    async fn a_stale_value_is_not_held_up_by_a_service_that_hangs() {
        let cache = Counter::living(30);
        assert_eq!(cache.get().await.unwrap().0, 1);
        cache.source.hangs.store(true, Ordering::SeqCst);
        for _ in 0..5 {
            assert_eq!(cache.get().await.unwrap().0, 1);
        }
        let begun = cache.source.begun.load(Ordering::SeqCst);
        assert_eq!(begun, 3, "the first, and two that hung");
    }

    #[tokio::test]
    async fn a_stale_value_that_ends_while_the_service_hangs_is_of_no_use() {
        let (clock, hands) = Clock::adjustable();
        let cache = RefreshCache::new(Counter::new(30), clock);
        assert_eq!(cache.get().await.unwrap().0, 1);
        cache.source.hangs.store(true, Ordering::SeqCst);
        let (got, ()) = tokio::join!(cache.get(), async {
            while cache.source.begun.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
            hands.move_by(SignedDuration::from_secs(31));
        });
        assert_eq!(got.unwrap_err().to_string(), "no answer in time");
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
