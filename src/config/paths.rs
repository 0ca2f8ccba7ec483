//! The process's environment, read once, and where files live in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use directories::ProjectDirs;

use crate::error::{ErrorKind, Result};

/// The environment variables as they were at the start.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// All variables, for programs that are started.
    pub fn variables(&self) -> impl Iterator<Item = (OsString, OsString)> + '_ {
        self.0
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
    }

    /// A variable that is set and not empty.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.0.get(&OsString::from(name))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }

    /// Whether a variable is set, if only to nothing.
    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(&OsString::from(name))
    }

    /// A variable that is set, not empty and text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(&OsString::from(name))?
            .to_str()
            .filter(|value| !value.is_empty())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(
            variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// Where bsql keeps things. `BSQL_CONFIG`, `BSQL_STATE_DIR`, `BSQL_CACHE_DIR` and `BSQL_RUNTIME_DIR` move them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The user's settings.
    pub config_file: PathBuf,
    /// The machine's settings.
    pub system_config_file: PathBuf,
    /// Tokens in files, the audit log: what must survive.
    pub state: PathBuf,
    /// What can be fetched again.
    pub cache: PathBuf,
    /// Sockets and control files of running programs.
    pub runtime: PathBuf,
}

impl Paths {
    /// Decides where everything is; touches nothing.
    pub fn new(environment: &Environment) -> Result<Self> {
        let dirs = ProjectDirs::from("dev", "bsql", "bsql").ok_or_else(|| {
            ErrorKind::Config
                .error("cannot tell where your home directory is")
                .hint("set HOME, or BSQL_CONFIG, BSQL_STATE_DIR and BSQL_CACHE_DIR")
        })?;
        let state = dirs
            .state_dir()
            .unwrap_or_else(|| dirs.data_local_dir())
            .to_owned();
        Ok(Self {
            config_file: environment
                .path("BSQL_CONFIG")
                .unwrap_or_else(|| dirs.config_dir().join("config.toml")),
            system_config_file: PathBuf::from("/etc/bsql/config.toml"),
            state: environment.path("BSQL_STATE_DIR").unwrap_or(state),
            cache: environment
                .path("BSQL_CACHE_DIR")
                .unwrap_or_else(|| dirs.cache_dir().to_owned()),
            runtime: environment
                .path("BSQL_RUNTIME_DIR")
                .or_else(|| Some(environment.path("XDG_RUNTIME_DIR")?.join("bsql")))
                .unwrap_or_else(fallback_runtime_dir),
        })
    }
}

/// Short on purpose: a socket's path is limited to about 104 bytes.
#[cfg(unix)]
fn fallback_runtime_dir() -> PathBuf {
    std::env::temp_dir().join(format!("bsql-{}", rustix::process::getuid().as_raw()))
}

#[cfg(not(unix))]
fn fallback_runtime_dir() -> PathBuf {
    std::env::temp_dir().join("bsql")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_move_everything() {
        let environment = Environment::from([
            ("BSQL_CONFIG", "/c/x.toml"),
            ("BSQL_STATE_DIR", "/s"),
            ("BSQL_CACHE_DIR", "/k"),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
        ]);
        let paths = Paths::new(&environment).unwrap();
        assert_eq!(paths.config_file, PathBuf::from("/c/x.toml"));
        assert_eq!(paths.state, PathBuf::from("/s"));
        assert_eq!(paths.cache, PathBuf::from("/k"));
        assert_eq!(paths.runtime, PathBuf::from("/run/user/7/bsql"));
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = Environment::from([("BSQL_RUNTIME_DIR", "")]);
        assert_eq!(environment.path("BSQL_RUNTIME_DIR"), None);
        assert!(environment.is_set("BSQL_RUNTIME_DIR") && !environment.is_set("PAGER"));
        assert!(Paths::new(&environment).unwrap().runtime.is_absolute());
    }
}
