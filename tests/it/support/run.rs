//! One run of the program, and what it said.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Output};

use url::Url;

use super::TestEnv;

/// What the program said, with everything that differs between runs replaced.
pub(crate) struct Run {
    command: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The exit status; 128 and the signal for a signal, as a shell says it.
    pub(crate) code: i32,
}

impl Run {
    pub(super) fn new(env: &TestEnv, command: &Command, output: Output) -> Self {
        let home = env.file("").display().to_string();
        let home = home.trim_end_matches('/');
        let steady = |bytes: Vec<u8>| {
            let mut text = String::from_utf8(bytes)
                .expect("bsql writes UTF-8")
                .replace(home, "[HOME]");
            for (name, url) in env.world().urls() {
                text = text.replace(url.trim_end_matches('/'), &format!("[{name}]"));
                let host = url.trim_start_matches("http://").trim_end_matches('/');
                text = text.replace(host, &format!("[{name}]"));
            }
            text
        };
        Self {
            command: command
                .get_args()
                .skip(2)
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" "),
            stdout: steady(output.stdout),
            stderr: steady(output.stderr),
            code: exit_code(output.status),
        }
    }

    /// It must have succeeded.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self}");
        self
    }

    /// It must have failed with this exit status.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        assert_eq!(self.stdout, "", "nothing is data when it fails:\n{self}");
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// stderr must say each of these.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "does not say {text:?}:\n{self}");
        }
        self
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    status
        .code()
        .or(signal.map(|signal: i32| 128 + signal))
        .unwrap()
}

/// For snapshots: the command, the exit status, and both streams.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ bsql {}", self.command)?;
        writeln!(f, "exit {}", self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "--- {name}\n{text}")?;
            }
        }
        Ok(())
    }
}

/// The program while it runs.
#[must_use]
pub(crate) struct Started<'a> {
    env: &'a TestEnv,
    command: Command,
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl<'a> Started<'a> {
    pub(super) fn new(env: &'a TestEnv, command: Command, mut child: Child) -> Self {
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            env,
            command,
            child,
            stderr,
            said: String::new(),
        }
    }

    /// Reads stderr up to the first line that has this in it.
    pub(crate) fn until(mut self, text: &str) -> Self {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            self.said.push_str(&line);
            assert!(read > 0, "ended without saying {text:?}:\n{}", self.said);
            if line.contains(text) {
                return self;
            }
        }
    }

    /// What has been read of stderr.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// Reads stderr up to the first address.
    pub(crate) fn until_url(self) -> (Self, Url) {
        let started = self.until("http://");
        let line = started.said.lines().last().unwrap();
        let url = line[line.find("http://").unwrap()..]
            .trim()
            .parse()
            .unwrap();
        (started, url)
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Run {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        self.said.push_str(&rest);
        let mut output = self.child.wait_with_output().unwrap();
        output.stderr = self.said.into_bytes();
        self.env.check_for_leaks(&output.stdout, &output.stderr);
        Run::new(self.env, &self.command, output)
    }
}
