//! Builds every part from a profile: the only file that knows them all. It constructs; it does not act.

mod backstage;
mod clients;
mod google;
mod kept;
mod sessions;

pub(crate) use backstage::CatalogTokens;
pub(crate) use clients::Chosen;
pub(crate) use google::{GoogleCredentials, InstanceDialer};
pub(crate) use kept::ClientCertificates;

use std::io::BufReader;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::audit::AuditLog;
use crate::auth::{StoreChoice, TokenStore};
use crate::catalog::Usage;
use crate::clock::Clock;
use crate::config::{Aliases, Environment, Paths, Profile, ProfileName, Settings};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::http::HttpClient;
use crate::shutdown::Shutdown;
use crate::tunnel::LocalTls;
use crate::ui::Ui;

/// What all commands share.
#[derive(Debug)]
pub(crate) struct App {
    environment: Environment,
    paths: Paths,
    profile_flag: Option<String>,
    store_flag: Option<StoreChoice>,
    /// One for all sessions, so that it warns once of a keyring that is missing.
    auto_store: OnceLock<Arc<dyn TokenStore>>,
    clock: Clock,
    shutdown: Shutdown,
    /// One for everything that trusts the same certificates, so that connections are shared and the system's are read once.
    http: Mutex<Vec<(Option<PathBuf>, HttpClient)>>,
}

impl App {
    pub(crate) fn new(
        environment: Environment,
        profile_flag: Option<String>,
        store_flag: Option<StoreChoice>,
        shutdown: Shutdown,
    ) -> Result<Self> {
        let paths = Paths::new(&environment)?;
        Ok(Self {
            environment,
            paths,
            profile_flag,
            store_flag,
            auto_store: OnceLock::new(),
            clock: Clock::system(),
            shutdown,
            http: Mutex::default(),
        })
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// The settings as the files say them.
    pub(crate) fn files(&self) -> Result<Settings> {
        Settings::read(&self.paths)
    }

    /// The name of the profile in use.
    pub(crate) fn profile_in_use(&self, settings: &Settings) -> Result<ProfileName> {
        ProfileName::choose(self.profile_flag.as_deref(), &self.environment, settings)
    }

    /// One of the profiles. What the environment says counts for the one in use only.
    pub(crate) fn profile_named(&self, name: &str) -> Result<Profile> {
        let mut settings = self.files()?;
        let in_use = self.profile_in_use(&settings);
        if in_use.is_ok_and(|in_use| in_use.as_str() == name) {
            settings.add_environment(&self.environment, name)?;
        }
        let name = ProfileName::choose(Some(name), &self.environment, &settings)?;
        Profile::read(name, &settings)
    }

    /// The settings, with what the environment says of the profile in use, and that profile's name.
    pub(crate) fn settings(&self) -> Result<(Settings, ProfileName)> {
        let mut settings = self.files()?;
        let name = self.profile_in_use(&settings)?;
        settings.add_environment(&self.environment, name.as_str())?;
        Ok((settings, name))
    }

    /// The profile in use. Says what the person should know of the settings.
    pub(crate) fn profile(&self, ui: &Ui) -> Result<Profile> {
        let (settings, name) = self.settings()?;
        for warning in &settings.warnings {
            ui.warn(warning);
        }
        Profile::read(name, &settings)
    }

    /// The profile in use, if there is one, for what can do without. One that was named has to be there.
    pub(crate) fn profile_if_any(&self, ui: &Ui) -> Result<Option<Profile>> {
        let is_named =
            self.profile_flag.is_some() || self.environment.text("BSQL_PROFILE").is_some();
        match self.profile_in_use(&self.files()?) {
            Err(_) if !is_named => Ok(None),
            _ => self.profile(ui).map(Some),
        }
    }

    /// The person's short names for databases, with those of the project that they are in.
    pub(crate) fn aliases(&self, profile: &Profile) -> Aliases {
        // That the settings can be read is known since there is a profile.
        let settings = self.files().unwrap_or_default();
        let within = std::env::current_dir().ok();
        let home = self.environment.path("HOME");
        Aliases::read(&settings, &profile.name, within.as_deref(), home.as_deref())
    }

    fn http(&self, profile: &Profile) -> Result<HttpClient> {
        self.http_trusting(profile.google.ca_file.as_ref())
    }

    /// For what is asked before there is a profile: trusts what the system trusts.
    pub(crate) fn http_without_profile(&self) -> Result<HttpClient> {
        self.http_trusting(None)
    }

    fn http_trusting(&self, ca_file: Option<&PathBuf>) -> Result<HttpClient> {
        // A client that is not there yet is made while the lock is held, and nothing else is done with it.
        let mut clients = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, http)) = clients.iter().find(|(file, _)| file.as_ref() == ca_file) {
            return Ok(http.clone());
        }
        let http = HttpClient::new(Self::roots(ca_file)?)?;
        clients.push((ca_file.cloned(), http.clone()));
        Ok(http)
    }

    fn roots(ca_file: Option<&PathBuf>) -> Result<Vec<CertificateDer<'static>>> {
        let Some(file) = ca_file else {
            return Ok(Vec::new());
        };
        let failed = || format!("cannot read the CA certificates in `{}`", file.display());
        let reader = std::fs::File::open(file)
            .map(BufReader::new)
            .or_fail(ErrorKind::Config, failed)?;
        CertificateDer::pem_reader_iter(reader)
            .collect::<Result<_, _>>()
            .map_err(|error| anyhow::anyhow!("{error}"))
            .or_fail(ErrorKind::Config, failed)
    }

    /// Which of the profile's databases are used most on this machine.
    pub(crate) fn usage(&self, profile: &Profile) -> Usage {
        Usage::new(&self.paths.state, profile.name.as_str(), self.clock)
    }

    /// What tunnels prove themselves with to local programs that insist on TLS.
    pub(crate) fn local_tls(&self) -> Result<LocalTls> {
        LocalTls::kept_in(&self.paths.state.join("local-tls"), self.clock.now())
    }

    /// This machine's audit log.
    pub(crate) fn audit(&self) -> AuditLog {
        AuditLog::new(&self.paths.state, self.clock)
    }
}
