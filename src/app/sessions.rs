//! The person's session at the identity provider: where it is kept, and how one signs in here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{
    IdentityOptions, Redirect, Registration, Session, StoreChoice, Surroundings, TokenStore,
    open_store,
};
use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::ui::Browser;

use super::App;

impl App {
    /// The person's session at the profile's provider.
    pub(crate) fn session(&self, profile: &Profile) -> Result<Session> {
        let identity = &profile.identity;
        let options = IdentityOptions {
            issuer: identity.issuer.to_string(),
            registration: Registration {
                client_id: identity.client_id.clone(),
                public_client_secret: identity.public_client_secret.clone(),
                authorize_params: identity.authorize_params.clone(),
            },
            scopes: identity.scopes.clone(),
            redirect: Redirect {
                // The name came from the settings, not from the command line.
                host: (identity.redirect_host.parse())
                    .map_err(|error: Error| error.with_kind(ErrorKind::Config))?,
                ports: identity.redirect_ports.clone(),
                ..Redirect::default()
            },
        };
        let (store, lock_dir) = self.store(profile)?;
        Ok(Session::new(
            self.http(profile)?,
            options,
            store,
            lock_dir,
            self.clock,
        ))
    }

    /// Where sessions are kept, and where the locks are that their refreshes take.
    pub(super) fn store(&self, profile: &Profile) -> Result<(Arc<dyn TokenStore>, PathBuf)> {
        let tokens = self.paths.state.join("tokens");
        let choice = self.store_choice(profile)?;
        let open = || open_store(choice, &tokens, self.keyring_patience());
        let store = if choice == StoreChoice::Auto {
            Arc::clone(self.auto_store.get_or_init(open))
        } else {
            open()
        };
        Ok((store, tokens))
    }

    /// Where sessions are to be kept.
    pub(crate) fn store_choice(&self, profile: &Profile) -> Result<StoreChoice> {
        match self.store_flag {
            Some(choice) => Ok(choice),
            // The name came from the settings, not from the command line.
            None => (profile.identity.token_store.parse())
                .map_err(|error: Error| error.with_kind(ErrorKind::Config)),
        }
    }

    /// Where the command line says that sessions are kept, for programs that are to do the same.
    pub(crate) fn store_flag(&self) -> Option<StoreChoice> {
        self.store_flag
    }

    /// How long the keyring may take: where it can ask the person for a password, as long as typing one takes.
    pub(super) fn keyring_patience(&self) -> Duration {
        let display = ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| self.environment.text(name).is_some());
        if display || cfg!(any(target_os = "macos", windows)) {
            Duration::from_secs(60)
        } else {
            Duration::from_secs(3)
        }
    }

    /// What a sign-in flow is chosen by.
    pub(crate) fn surroundings(&self, has_terminal: bool) -> Surroundings {
        let set = |names: &[&str]| {
            names
                .iter()
                .any(|name| self.environment.text(name).is_some())
        };
        Surroundings {
            has_terminal,
            desktop_system: cfg!(any(target_os = "macos", windows)),
            display: set(&["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]),
            wsl: set(&["WSL_DISTRO_NAME", "WSL_INTEROP"]),
            ssh: set(&["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"]),
            container: set(&["CODESPACES", "CLOUD_SHELL", "REMOTE_CONTAINERS"])
                || ["/.dockerenv", "/run/.containerenv"]
                    .iter()
                    .any(|file| std::path::Path::new(file).exists()),
        }
    }

    /// How to open a browser.
    pub(crate) fn browser(&self, never: bool) -> Browser {
        match self.environment.text("BROWSER") {
            _ if never => Browser::Never,
            Some(command) => Browser::Command(command.to_owned()),
            None => Browser::System,
        }
    }
}
