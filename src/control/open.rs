//! Finds the tunnels that are open, and asks them.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::claim::lock;
use super::{Ask, LOCK, LONGEST_LINE, PATIENCE, Report, SOCKET};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::private_dir;

/// A tunnel that is open, in another process or in this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// What is said of it.
    pub report: Report,
    socket: PathBuf,
}

/// All that are open, by name. Removes what dead processes have left.
pub async fn open_tunnels(runtime_dir: &Path) -> Result<Vec<Open>> {
    let dir = private_dir::for_sockets(runtime_dir)?;
    let entries = fs::read_dir(&dir).or_fail(ErrorKind::CannotCreate, || {
        format!("cannot read `{}`", dir.display())
    })?;
    let sockets = entries.flatten().map(|entry| entry.path());
    let sockets = sockets.filter(|path| path.to_string_lossy().ends_with(SOCKET));
    let mut open: Vec<Open> = join_all(sockets.map(find))
        .await
        .into_iter()
        .flatten()
        .collect();
    open.sort_by(|one, other| one.report.name.cmp(&other.report.name));
    Ok(open)
}

async fn find(socket: PathBuf) -> Option<Open> {
    match ask(&socket).await {
        Ok(report) => Some(Open { report, socket }),
        Err(error) => {
            tracing::debug!(socket = %socket.display(), %error, "nobody answers");
            remove_stale(&socket);
            None
        }
    }
}

async fn ask(socket: &Path) -> std::io::Result<Report> {
    let asked = async {
        let mut stream = send(socket, Ask::Report).await?;
        let mut line = String::new();
        BufReader::new((&mut stream).take(LONGEST_LINE))
            .read_line(&mut line)
            .await?;
        Ok(serde_json::from_str(&line)?)
    };
    timeout(PATIENCE, asked).await?
}

async fn send(socket: &Path, ask: Ask) -> std::io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut line = serde_json::to_string(&ask)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    Ok(stream)
}

/// A socket whose lock can be had is nobody's. The lock's file stays: another process may be about to take it.
fn remove_stale(socket: &Path) {
    if let Ok(Some(_held)) = lock(&socket.with_extension(&LOCK[1..])) {
        match fs::remove_file(socket) {
            Ok(()) => tracing::info!(socket = %socket.display(), "removed a dead tunnel's socket"),
            Err(error) => tracing::debug!(%error, "kept a dead tunnel's socket"),
        }
    }
}

impl Open {
    /// Has it end, and waits until it has. Its connections are given the tunnel's own time to end.
    pub async fn stop(&self) -> Result<()> {
        let failed = || format!("cannot end the tunnel of `{}`", self.report.name);
        let mut stream = send(&self.socket, Ask::Stop)
            .await
            .or_fail(ErrorKind::Unavailable, failed)?;
        // It says nothing; the connection ends with the tunnel, or breaks off with the process.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::super::claim::{Claim, key};
    use super::super::report::tests::report;
    use super::*;

    #[tokio::test]
    async fn found_asked_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let runtime_dir = dir.path().join("run");
        assert_eq!(open_tunnels(&runtime_dir).await.unwrap(), []);
        let key = key(&["acme", "resource:default/payments", "payments"]);
        let claim = Claim::make(&runtime_dir, &key).unwrap().unwrap();
        assert!(
            Claim::make(&runtime_dir, &key).unwrap().is_none(),
            "it is claimed"
        );
        let control = claim.open().unwrap();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let serving = tokio::spawn(async move {
            tokio::select! {
                () = control.serve(report, token.clone()) => unreachable!("it serves for ever"),
                () = token.cancelled() => {}
            }
            // There is always something left to do at the end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            drop(control);
        });
        let open = open_tunnels(&runtime_dir).await.unwrap();
        assert_eq!(open[0].report, report());
        open[0].stop().await.unwrap();
        assert!(stop.is_cancelled());
        // At once, for somebody else or for the next command.
        assert!(Claim::make(&runtime_dir, &key).unwrap().is_some());
        serving.await.unwrap();
        assert_eq!(open_tunnels(&runtime_dir).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_removed_and_a_starting_one_is_let_be() {
        let runtime_dir = tempfile::tempdir().unwrap();
        let dead = runtime_dir.path().join("dead.ctl");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let starting = Claim::make(runtime_dir.path(), "starting")
            .unwrap()
            .unwrap();
        let socket = runtime_dir.path().join("starting.ctl");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert_eq!(open_tunnels(runtime_dir.path()).await.unwrap(), []);
        assert!(!dead.exists());
        assert!(socket.exists(), "its process lives");
        let _control = starting.open().unwrap();
    }

    #[tokio::test]
    async fn nonsense_ends_nothing() {
        let runtime_dir = tempfile::tempdir().unwrap();
        let claim = Claim::make(runtime_dir.path(), "k").unwrap().unwrap();
        let control = claim.open().unwrap();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let serving = tokio::spawn(async move { control.serve(report, token).await });
        let mut stream = UnixStream::connect(runtime_dir.path().join("k.ctl"))
            .await
            .unwrap();
        stream.write_all(b"{\"ask\":\"dance\"}\n").await.unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert!(!stop.is_cancelled());
        serving.abort();
    }
}
