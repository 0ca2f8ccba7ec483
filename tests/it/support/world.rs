//! The sandbox, in the test's own process.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use bsql::sandbox::faults::Faults;
use bsql::sandbox::{Options, Sandbox, company};
use tokio::runtime::Runtime;

/// A sandbox, shared by its clones.
#[derive(Clone)]
pub(crate) struct World(Arc<Inner>);

struct Inner {
    /// Dropped first: it stops the servers.
    sandbox: Option<Sandbox>,
    /// Runs the servers.
    runtime: Runtime,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.runtime.block_on(sandbox.stop());
        }
    }
}

impl World {
    /// The one that all tests share, so that PostgreSQL is started once. It ends with the process.
    ///
    /// The embedded engine has room for one session at a time: with it, every test has a world of its own.
    pub(crate) fn shared() -> Self {
        static SHARED: LazyLock<World> = LazyLock::new(World::own);
        if SHARED.has_system_postgres() {
            SHARED.clone()
        } else {
            Self::own()
        }
    }

    /// One of the test's own. PostgreSQL is only started when somebody connects.
    pub(crate) fn own() -> Self {
        Self::with(|options| options)
    }

    /// One that signs this person in without asking.
    pub(crate) fn approving(id: &str) -> Self {
        let person = company::person(id).unwrap();
        Self::with(|options| Options {
            auto_approve: Some(person),
            ..options
        })
    }

    /// One with other options.
    pub(crate) fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let options = change(Options {
            search_path: Some(system_path().into()),
            ..Options::default()
        });
        let sandbox = runtime.block_on(Sandbox::start(options)).unwrap();
        Self(Arc::new(Inner {
            sandbox: Some(sandbox),
            runtime,
        }))
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        self.0.sandbox.as_ref().unwrap()
    }

    /// The profile as `bsql sandbox up` writes it.
    pub(crate) fn profile(&self) -> String {
        self.sandbox().profile()
    }

    /// Makes exactly this go wrong.
    pub(crate) fn break_with(&self, faults: Faults) {
        self.sandbox().set_faults(faults);
    }

    /// The addresses, by what answers there.
    pub(crate) fn urls(&self) -> Vec<(&'static str, String)> {
        let profile: toml::Table = self.profile().parse().unwrap();
        let profile = &profile["profiles"]["sandbox"];
        vec![
            (
                "ISSUER",
                profile["identity"]["issuer"].as_str().unwrap().to_owned(),
            ),
            (
                "BACKSTAGE",
                profile["backstage"]["url"].as_str().unwrap().to_owned(),
            ),
            (
                "GOOGLE",
                profile["google"]["endpoints"]["sts"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            ),
        ]
    }

    /// Whether more than one person can be in the database at a time.
    pub(crate) fn has_system_postgres(&self) -> bool {
        !self.sandbox().status().engine.contains("embedded")
    }
}

/// Where the machine's programs are: the sandbox looks for PostgreSQL there, and bsql for psql.
pub(crate) fn system_path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

/// psql, if the machine has it.
pub(crate) fn psql() -> Option<PathBuf> {
    std::env::split_paths(&system_path())
        .map(|dir| dir.join("psql"))
        .find(|path| path.exists())
}
