//! A tunnel from ready to its end: it serves, can be asked, and records who was turned away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::open::Opened;
use crate::audit::{Access, AuditLog};
use crate::cli::access::outcome;
use crate::clock::Clock;
use crate::control::Report;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::shutdown::Shutdown;
use crate::tunnel::{Meter, Stranger, Summary};

/// For connections to end by themselves when the tunnel does.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// The wall clock is looked at so often: a laptop may sleep.
const LOOK: Duration = Duration::from_secs(15);
/// Strangers are recorded no faster than this: nobody may fill somebody else's disk.
const PACE: Duration = Duration::from_secs(5);

/// The tunnels that this process has open, for whoever asks over HTTP.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<Mutex<Vec<Entry>>>);

type Entry = (Report, Arc<Meter>);

impl Board {
    pub(super) fn reports(&self) -> Vec<Report> {
        self.entries().iter().map(current).collect()
    }

    fn add(&self, entry: Entry) {
        self.entries().push(entry);
    }

    fn remove(&self, report: &Report) {
        self.entries().retain(|(other, _)| other != report);
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn current((report, meter): &Entry) -> Report {
    Report {
        traffic: meter.read(),
        ..report.clone()
    }
}

/// What ends tunnels, beside being asked to.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// Ends all.
    pub(super) all: CancellationToken,
    pub(super) idle_timeout: Option<Duration>,
    /// Knows which signal it was.
    pub(super) shutdown: Shutdown,
}

/// A tunnel that has ended.
pub(super) struct Ended {
    pub(super) report: Report,
    pub(super) summary: Summary,
    /// In the person's words; `None` when all were ended.
    pub(super) why: Option<&'static str>,
}

/// Serves until the tunnel ends, and records how.
pub(super) async fn serve(
    opened: Opened,
    ends: Ends,
    board: Board,
    audit: AuditLog,
    clock: Clock,
) -> Result<Ended> {
    let Opened {
        tunnel,
        control,
        entry,
        access,
        report,
        strangers,
        notice: _,
    } = opened;
    let meter = tunnel.meter();
    let line = (report.clone(), Arc::clone(&meter));
    board.add(line.clone());
    let stop = ends.all.child_token();
    let asked = stop.clone();
    let hurry = CancellationToken::new();
    let recording = tokio::spawn(record(strangers, access, audit, hurry.clone()));
    let watch = async {
        let why = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            () = at(report.ends, clock) => Some("its time is over"),
            () = idle(&meter, ends.idle_timeout) => Some("nobody was connected"),
        };
        stop.cancel();
        why
    };
    let serving = async { tokio::join!(tunnel.serve(stop.clone(), GRACE), watch) };
    let (summary, why) = tokio::select! {
        biased;
        served = serving => served,
        () = control.serve(move || current(&line), asked) => unreachable!("it answers for ever"),
    };
    board.remove(&report);
    // The tunnel has gone, and with it whoever tells of strangers: this ends after the last of them.
    hurry.cancel();
    recording
        .await
        .or_fail(ErrorKind::Internal, || "the recording task failed")?;
    let by_signal = ends.all.is_cancelled();
    let exit = if by_signal {
        ends.shutdown.error().kind().code()
    } else {
        0
    };
    entry.end(outcome(exit, &summary))?;
    // Whoever waits for the end learns of it only now.
    drop(control);
    let why = if by_signal {
        None
    } else {
        why.or(Some("it was stopped"))
    };
    Ok(Ended {
        report,
        summary,
        why,
    })
}

/// Writes down who was turned away.
async fn record(
    mut strangers: mpsc::Receiver<Stranger>,
    access: Access,
    audit: AuditLog,
    hurry: CancellationToken,
) {
    while let Some(stranger) = strangers.recv().await {
        let error = ErrorKind::Denied.error(format!("turned away {stranger}"));
        if let Err(error) = audit.refused(access.clone(), &error) {
            tracing::warn!(%error, "cannot record who was turned away");
        }
        let _ = tokio::time::timeout(PACE, hurry.cancelled()).await;
    }
}

/// Completes at this time by the wall clock; never without one.
async fn at(time: Option<Timestamp>, clock: Clock) {
    let Some(time) = time else {
        return std::future::pending().await;
    };
    loop {
        let left = time.duration_since(clock.now());
        if left <= SignedDuration::ZERO {
            return;
        }
        tokio::time::sleep(left.unsigned_abs().min(LOOK)).await;
    }
}

async fn idle(meter: &Meter, timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => meter.idle_for(timeout).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_time_that_has_come_is_noticed_by_the_wall_clock() {
        let later = Clock::system().now() + SignedDuration::from_hours(8);
        // As after a night in the bag: no timer has run, and the clock is ahead.
        at(Some(later), Clock::ahead_by(SignedDuration::from_hours(9))).await;
        let soon = Clock::system().now() + SignedDuration::from_millis(30);
        at(Some(soon), Clock::system()).await;
        assert!(Clock::system().now() >= soon);
    }
}
