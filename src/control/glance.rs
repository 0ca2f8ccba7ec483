//! What may be known of tunnels at a press of the key: no runtime, and nobody is waited for who does not answer at once.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Ask, LONGEST_LINE, Report, SOCKET};
use crate::private_dir;

/// For all processes together: one that is stopped must not hold up the person's typing.
const PATIENCE: Duration = Duration::from_millis(50);

/// What the tunnels that are open say of themselves, by name. Makes and removes nothing, and what goes wrong is left out:
/// for completion.
pub fn glance(runtime_dir: &Path) -> Vec<Report> {
    let Some(entries) = private_dir::of_sockets(runtime_dir).and_then(|dir| fs::read_dir(dir).ok())
    else {
        return Vec::new();
    };
    let sockets = entries.flatten().map(|entry| entry.path());
    let sockets = sockets.filter(|path| path.to_string_lossy().ends_with(SOCKET));
    // All are asked before the first is listened to.
    let asked: Vec<UnixStream> = sockets.filter_map(|socket| ask(&socket)).collect();
    let end = Instant::now() + PATIENCE;
    let mut reports: Vec<Report> = asked
        .into_iter()
        .filter_map(|stream| hear(stream, end))
        .collect();
    reports.sort_by(|one, other| one.name.cmp(&other.name));
    reports
}

fn ask(socket: &Path) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let line = serde_json::to_string(&Ask::Report).ok()? + "\n";
    // So little fits into the socket's buffer whether somebody reads it or not.
    stream.write_all(line.as_bytes()).ok()?;
    Some(stream)
}

fn hear(stream: UnixStream, end: Instant) -> Option<Report> {
    // A time of zero would be for ever.
    let left = end.saturating_duration_since(Instant::now());
    let left = left.max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left)).ok()?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE))
        .read_line(&mut line)
        .ok()?;
    serde_json::from_str(&line).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tokio_util::sync::CancellationToken;

    use super::super::claim::Claim;
    use super::super::report::tests::report;
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn who_answers_is_seen_and_who_does_not_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let runtime_dir = dir.path().join("run");
        assert_eq!(glance(&runtime_dir), []);
        assert!(!runtime_dir.exists(), "looking makes nothing");

        let claim = Claim::make(&runtime_dir, "open").unwrap().unwrap();
        let control = claim.open().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(async move { control.serve(report, stop).await });
        let dead = runtime_dir.join("dead.ctl");
        drop(UnixListener::bind(&dead).unwrap());
        let _mute = UnixListener::bind(runtime_dir.join("mute.ctl")).unwrap();

        let began = Instant::now();
        // A busy machine may take longer than a glance does.
        while glance(&runtime_dir) != [report()] {
            assert!(began.elapsed() < Duration::from_secs(10));
        }
        assert!(dead.exists(), "looking removes nothing");
        serving.abort();
    }
}
