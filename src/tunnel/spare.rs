//! A connection that is dialled before anybody asks: whoever comes next does not wait for TCP and TLS.
//!
//! For PostgreSQL alone. It gives a client a minute to say who it is (`authentication_timeout`) and does not mind one that
//! never does; MySQL counts that as a failure, and blocks whoever has too many (`max_connect_errors`).
//!
//! Nobody is signed in on it, so it is no session, and in no count.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::Dial;
use crate::clock::Clock;
use crate::error::Result;

/// Half of what PostgreSQL allows. Nobody came meanwhile: then nobody is expected.
const LIFE: Duration = Duration::from_secs(30);

/// Dials, and has one connection in hand while clients come.
pub(super) struct Predial<D: Dial> {
    dialer: Arc<D>,
    slot: Mutex<Slot<D::Conn>>,
    /// A client came, and got in.
    came: Notify,
    life: Duration,
    clock: Clock,
}

/// What there is of the spare connection.
enum Slot<C> {
    Empty,
    Dialling,
    /// Being dialled, and a client waits for it already.
    Promised(oneshot::Sender<C>),
    Ready(C, Timestamp),
}

/// What a client finds.
enum Taken<C> {
    Nothing,
    Ready(C),
    Promise(oneshot::Receiver<C>),
}

impl<D: Dial> Predial<D> {
    /// Has none as long as nobody [`keep`](Self::keep)s one.
    pub(super) fn new(dialer: Arc<D>) -> Self {
        Self {
            dialer,
            slot: Mutex::new(Slot::Empty),
            came: Notify::new(),
            life: LIFE,
            clock: Clock::system(),
        }
    }

    /// Dials one now, and again whenever one was taken; one that nobody takes is closed after [`LIFE`], and the next is
    /// dialled when somebody has come. Never completes; dropping it closes the spare connection.
    pub(super) async fn keep(&self) {
        let _closed_at_the_end = Emptied(self);
        loop {
            if self.lacks_one() {
                self.put(self.dialer.dial().await);
            }
            if timeout(self.life, self.came.notified()).await.is_err() {
                *self.slot() = Slot::Empty;
                self.came.notified().await;
            }
        }
    }

    /// Whether it is time to dial. From now on somebody does.
    fn lacks_one(&self) -> bool {
        let mut slot = self.slot();
        let empty = matches!(*slot, Slot::Empty);
        if empty {
            *slot = Slot::Dialling;
        }
        empty
    }

    fn put(&self, dialled: Result<D::Conn>) {
        let mut slot = self.slot();
        let before = std::mem::replace(&mut *slot, Slot::Empty);
        match (dialled, before) {
            (Ok(connection), Slot::Promised(to)) => {
                // A client that has left meanwhile leaves it to the next.
                if let Err(connection) = to.send(connection) {
                    *slot = Slot::Ready(connection, self.clock.now());
                }
            }
            (Ok(connection), _) => *slot = Slot::Ready(connection, self.clock.now()),
            // Whoever comes finds out and is told; nobody has asked for this one.
            (Err(error), _) => tracing::debug!(%error, "no spare connection"),
        }
    }

    fn take(&self) -> Taken<D::Conn> {
        let mut slot = self.slot();
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Ready(mut connection, since) => {
                // By the wall clock: what was slept through counts, and the other end has not waited.
                let age = self.clock.now().duration_since(since);
                let life = SignedDuration::try_from(self.life).unwrap_or_default();
                let young = (SignedDuration::ZERO..life).contains(&age);
                if young && self.is_still_good(&connection) && is_quiet(&mut connection) {
                    return Taken::Ready(connection);
                }
            }
            Slot::Dialling => {
                let (to, promise) = oneshot::channel();
                *slot = Slot::Promised(to);
                return Taken::Promise(promise);
            }
            other => *slot = other,
        }
        Taken::Nothing
    }

    /// A client that got in is followed by others. One that did not must not have the same failure again at its back:
    /// after a few, nobody is asked any more for a while.
    fn expect_more(&self, got_in: bool) {
        if got_in {
            self.came.notify_one();
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<D::Conn>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Dial> Dial for Predial<D> {
    type Conn = D::Conn;

    async fn dial(&self) -> Result<D::Conn> {
        let dialled = self.dialer.dial().await;
        self.expect_more(dialled.is_ok());
        dialled
    }

    fn is_still_good(&self, unused: &D::Conn) -> bool {
        self.dialer.is_still_good(unused)
    }

    async fn spare(&self) -> Option<D::Conn> {
        let spare = match self.take() {
            Taken::Nothing => None,
            Taken::Ready(connection) => Some(connection),
            Taken::Promise(promise) => promise.await.ok(),
        };
        self.expect_more(spare.is_some());
        spare
    }
}

/// Before it is asked anything, PostgreSQL says nothing; an end, an error and a word all mean that it is of no use.
fn is_quiet(connection: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut byte = [0; 1];
    let mut cx = Context::from_waker(Waker::noop());
    let polled = std::pin::Pin::new(connection).poll_read(&mut cx, &mut ReadBuf::new(&mut byte));
    matches!(polled, Poll::Pending)
}

/// Empties the slot when it is dropped, so that nobody waits for what nobody dials any more.
struct Emptied<'a, D: Dial>(&'a Predial<D>);

impl<D: Dial> Drop for Emptied<'_, D> {
    fn drop(&mut self) {
        *self.0.slot() = Slot::Empty;
    }
}

impl<D: Dial + fmt::Debug> fmt::Debug for Predial<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predial")
            .field("dialer", &self.dialer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::error::ErrorKind;

    /// Dials as often as it is let, and hands the other ends to the test.
    struct Gated {
        dials: AtomicUsize,
        gate: Semaphore,
        certificates_are_over: AtomicBool,
        there: mpsc::UnboundedSender<DuplexStream>,
    }

    impl Dial for Gated {
        type Conn = DuplexStream;

        fn is_still_good(&self, _: &DuplexStream) -> bool {
            !self.certificates_are_over.load(Ordering::SeqCst)
        }

        async fn dial(&self) -> Result<DuplexStream> {
            self.dials.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            let (here, there) = duplex(64);
            self.there
                .send(there)
                .map_err(|_| ErrorKind::Unavailable.error("cannot reach `payments`"))?;
            Ok(here)
        }
    }

    type Far = mpsc::UnboundedReceiver<DuplexStream>;

    /// While somebody keeps a spare connection, for so long.
    fn kept_for(
        life: Duration,
        gate: usize,
    ) -> (Arc<Predial<Gated>>, Far, tokio::task::JoinHandle<()>) {
        let (there, far) = mpsc::unbounded_channel();
        let predial = Predial::new(Arc::new(Gated {
            dials: AtomicUsize::new(0),
            gate: Semaphore::new(gate),
            certificates_are_over: AtomicBool::new(false),
            there,
        }));
        let predial = Arc::new(Predial { life, ..predial });
        let keeper = Arc::clone(&predial);
        let keeping = tokio::spawn(async move { keeper.keep().await });
        (predial, far, keeping)
    }

    fn kept(gate: usize) -> (Arc<Predial<Gated>>, Far, tokio::task::JoinHandle<()>) {
        kept_for(LIFE, gate)
    }

    /// A client that finds no spare connection and dials.
    async fn come(predial: &Predial<Gated>, far: &mut Far) {
        predial.dial().await.unwrap();
        far.recv().await.unwrap();
    }

    async fn until(is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    }

    fn is_ready(predial: &Predial<Gated>) -> bool {
        matches!(*predial.slot(), Slot::Ready(..))
    }

    fn dials(predial: &Predial<Gated>) -> usize {
        predial.dialer.dials.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn there_is_one_again_for_the_next() {
        let (predial, mut far, _keeping) = kept(10);
        for _ in 0..3 {
            let mut database = far.recv().await.unwrap();
            until(|| is_ready(&predial)).await;
            let mut spare = predial.spare().await.unwrap();
            spare.write_all(b"hello").await.unwrap();
            let mut hello = [0; 5];
            database.read_exact(&mut hello).await.unwrap();
        }
    }

    #[tokio::test]
    async fn when_nobody_comes_there_is_none_until_somebody_does() {
        let (predial, mut far, _keeping) = kept_for(Duration::from_millis(20), 10);
        let mut unused = far.recv().await.unwrap();
        assert_eq!(unused.read(&mut [0]).await.unwrap(), 0, "closed");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(dials(&predial), 1);
        assert!(predial.spare().await.is_none());
        come(&predial, &mut far).await;
        far.recv().await.unwrap();
        assert_eq!(dials(&predial), 3);
    }

    #[tokio::test]
    async fn who_comes_while_it_is_dialled_waits_for_it_and_only_one_does() {
        let (predial, mut far, keeping) = kept(0);
        until(|| dials(&predial) == 1).await;
        let mut first = Box::pin(predial.spare());
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(predial.spare().await.is_none(), "the second dials itself");
        predial.dialer.gate.add_permits(1);
        assert!(first.await.is_some());
        far.recv().await.unwrap();

        // Nobody waits for a keeper that is gone.
        until(|| dials(&predial) == 2).await;
        let mut third = Box::pin(predial.spare());
        assert!(futures_util::poll!(&mut third).is_pending());
        keeping.abort();
        assert!(third.await.is_none());
    }

    #[tokio::test]
    async fn where_clients_do_not_get_in_nobody_dials_ahead() {
        let (predial, far, _keeping) = kept(1);
        until(|| is_ready(&predial)).await;
        drop(predial.spare().await.unwrap());
        until(|| dials(&predial) == 2).await;
        drop(far);
        predial.dialer.gate.add_permits(10);
        until(|| matches!(*predial.slot(), Slot::Empty)).await;
        predial.dial().await.unwrap_err();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(dials(&predial), 3, "the client's own was the last");
    }

    #[tokio::test]
    async fn one_that_died_or_is_old_is_not_used() {
        let (predial, mut far, keeping) = kept(10);
        let database = far.recv().await.unwrap();
        until(|| is_ready(&predial)).await;
        drop(database);
        assert!(predial.spare().await.is_none(), "the other end hung up");
        come(&predial, &mut far).await;

        let mut database = far.recv().await.unwrap();
        until(|| is_ready(&predial)).await;
        database.write_all(b"E").await.unwrap();
        assert!(predial.spare().await.is_none(), "it said something");
        come(&predial, &mut far).await;

        far.recv().await.unwrap();
        until(|| is_ready(&predial)).await;
        if let Slot::Ready(_, since) = &mut *predial.slot() {
            *since -= SignedDuration::from_hours(8);
        }
        assert!(predial.spare().await.is_none(), "the machine slept");
        come(&predial, &mut far).await;

        far.recv().await.unwrap();
        until(|| is_ready(&predial)).await;
        let over = &predial.dialer.certificates_are_over;
        over.store(true, Ordering::SeqCst);
        assert!(predial.spare().await.is_none(), "its login is over");
        come(&predial, &mut far).await;

        let mut database = far.recv().await.unwrap();
        until(|| is_ready(&predial)).await;
        keeping.abort();
        let closed = database.read(&mut [0]).await.unwrap();
        assert_eq!(closed, 0, "not left open when the tunnel ends");
    }
}
