//! What goes through a tunnel, readable while it runs.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::counted::Traffic;

/// As many process ids are kept, of the sessions that came first: a client that opens a session a second must not fill
/// the memory.
const MOST_PIDS: usize = 256;

/// Counts what goes through a tunnel.
#[derive(Debug, Default)]
pub struct Meter {
    connections: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    pub(super) traffic: Traffic,
    /// Connections that are open now.
    open: watch::Sender<u64>,
    backend_pids: Mutex<Vec<u32>>,
}

/// What a meter shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Connections of this user, cancel requests among them.
    pub connections: u64,
    /// Of them, those that are open now.
    pub open: u64,
    /// Connections of other users, turned away before a byte was read.
    pub refused: u64,
    /// Of the connections, those that the database never answered.
    pub failed: u64,
    /// Bytes from local programs to the database, after the start-up packet.
    pub bytes_up: u64,
    /// Bytes from the database to local programs.
    pub bytes_down: u64,
}

impl Meter {
    /// What it shows now.
    pub fn read(&self) -> Reading {
        Reading {
            connections: self.connections.load(Ordering::Relaxed),
            open: *self.open.borrow(),
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            bytes_up: self.traffic.up(),
            bytes_down: self.traffic.down(),
        }
    }

    /// Completes when no connection has been open for as long as `this`, from now on. Cancel safe.
    pub async fn idle_for(&self, this: Duration) {
        let mut open = self.open.subscribe();
        loop {
            let _ = open.wait_for(|open| *open == 0).await;
            tokio::select! {
                biased;
                // Also one that was closed again meanwhile.
                _ = open.changed() => {}
                () = tokio::time::sleep(this) => return,
            }
        }
    }

    /// How many there have been.
    pub(super) fn refused(&self) -> u64 {
        self.refused.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// One more connection, which has its number. It counts as open until [`closed`](Self::closed).
    pub(super) fn opened(&self) -> u64 {
        self.open.send_modify(|open| *open += 1);
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn closed(&self) {
        self.open.send_modify(|open| *open -= 1);
    }

    pub(super) fn signed_in(&self, backend_pid: u32) {
        let mut pids = self.pids();
        if pids.len() < MOST_PIDS {
            pids.push(backend_pid);
        }
    }

    pub(super) fn backend_pids(&self) -> Vec<u32> {
        self.pids().clone()
    }

    fn pids(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.backend_pids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn idle_is_counted_from_the_last_connection() {
        let idle = Duration::from_millis(200);
        let meter = Arc::new(Meter::default());
        let waiting = Arc::clone(&meter);
        meter.opened();
        let is_idle = tokio::spawn(async move { waiting.idle_for(idle).await });
        tokio::time::sleep(idle * 2).await;
        assert!(!is_idle.is_finished(), "somebody is connected");
        meter.closed();
        tokio::time::sleep(idle / 2).await;
        // Opened and closed before anybody looks.
        let start = std::time::Instant::now();
        meter.opened();
        meter.closed();
        is_idle.await.unwrap();
        assert!(start.elapsed() >= idle, "{:?}", start.elapsed());
    }

    #[test]
    fn process_ids_do_not_fill_the_memory() {
        let meter = Meter::default();
        (0..1_000).for_each(|pid| meter.signed_in(pid));
        assert_eq!(meter.backend_pids().len(), MOST_PIDS);
    }
}
