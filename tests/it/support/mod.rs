//! A person's machine for one test: a home, an environment with nothing in it, and a sandbox to talk to.

mod browser;
pub(crate) mod mariadb;
pub(crate) mod run;
pub(crate) mod world;

pub(crate) use browser::Browser;
pub(crate) use run::Run;
pub(crate) use world::World;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A person's machine.
pub(crate) struct TestEnv {
    home: TempDir,
    world: World,
    path: String,
}

impl TestEnv {
    /// A machine with the profile of the sandbox that all tests share. Nobody is signed in.
    pub(crate) fn new() -> Self {
        Self::in_world(World::shared())
    }

    /// A machine that talks to a sandbox of its own, to make it misbehave.
    pub(crate) fn in_world(world: World) -> Self {
        let home = tempfile::Builder::new()
            .prefix("bsql-it-")
            .tempdir()
            .unwrap();
        fs::write(home.path().join("config.toml"), world.profile()).unwrap();
        Self {
            home,
            world,
            path: world::system_path(),
        }
    }

    /// Somebody's machine after `bsql login`.
    pub(crate) fn signed_in(id: &str) -> Self {
        Self::new().sign_in(id)
    }

    /// Signs `id` in, as a person with a browser on another device would.
    pub(crate) fn sign_in(self, id: &str) -> Self {
        let login = self.spawn(&["login", "--flow", "device"]);
        let (login, url) = login.until_url();
        Browser::new().answer_device(&url, id);
        login.finish().succeeds();
        self
    }

    /// The world this machine is in.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Takes every program but bsql from the PATH.
    pub(crate) fn without_programs(mut self) -> Self {
        self.path = String::new();
        self
    }

    /// A file in the person's home.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Changes the settings.
    pub(crate) fn edit_config(&self, change: impl FnOnce(String) -> String) {
        let file = self.file("config.toml");
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
    }

    /// The program, ready to run: nothing is inherited, and everything it logs is kept for the look for leaks.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsql"));
        let log = tempfile::Builder::new()
            .prefix("log-")
            .suffix(".jsonl")
            .tempfile_in(self.home.path())
            .unwrap();
        let (_, log) = log.keep().unwrap();
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", &self.path)
            .env("TZ", "UTC")
            .env("BSQL_CONFIG", self.file("config.toml"))
            .env("BSQL_STATE_DIR", self.file("state"))
            .env("BSQL_CACHE_DIR", self.file("cache"))
            .env("BSQL_RUNTIME_DIR", self.file("run"))
            .args(["--log-file", log.to_str().unwrap()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    #[must_use]
    pub(crate) fn bsql(&self, args: &[&str]) -> Run {
        self.run(self.command(args))
    }

    /// Runs a command made by [`command`](Self::command) to its end.
    #[must_use]
    pub(crate) fn run(&self, mut command: Command) -> Run {
        let output = command.output().unwrap();
        self.check_for_leaks(&output.stdout, &output.stderr);
        Run::new(self, &command, output)
    }

    /// Starts the program.
    pub(crate) fn spawn(&self, args: &[&str]) -> run::Started<'_> {
        self.start(self.command(args))
    }

    /// Starts a command made by [`command`](Self::command).
    pub(crate) fn start(&self, mut command: Command) -> run::Started<'_> {
        let child: Child = command.spawn().unwrap();
        run::Started::new(self, command, child)
    }

    /// Nothing secret may be in what the program said, logged or left, except in the token store.
    fn check_for_leaks(&self, stdout: &[u8], stderr: &[u8]) {
        for (place, bytes) in [("stdout", stdout), ("stderr", stderr)] {
            assert_no_secret(place, &String::from_utf8_lossy(bytes));
        }
        for file in files_below(self.home.path()) {
            // The token store, the sandbox's own key and that of tunnels are for secrets, and for the owner only; everything
            // else is not.
            let for_secrets = file.starts_with(self.file("state/tokens"))
                || file == self.file("state/local-tls/server.pem")
                || file.ends_with("sandbox/running.json");
            // The embedded engine unpacks its own programs, in which anything can be found.
            let engine = file.starts_with(self.file(".cache/pglite-oxide"));
            if !for_secrets && !engine {
                let text = fs::read(&file).unwrap_or_default();
                assert_no_secret(&file.display().to_string(), &String::from_utf8_lossy(&text));
            }
        }
    }

    /// What is left in the directory of sockets.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        files_below(&self.file("run"))
    }
}

/// Every opaque token, code and password of the sandbox begins so; an ID token begins with a JSON object in base64, and
/// a key says what it is.
fn assert_no_secret(place: &str, text: &str) {
    for mark in ["sbx-secret-", "eyJ", "PRIVATE KEY"] {
        let leak = text
            .find(mark)
            .map(|at| text[at..].chars().take(40).collect::<String>());
        assert!(leak.is_none(), "a secret is in {place}: {leak:?}");
    }
}

/// Every file (and socket) below a directory.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
