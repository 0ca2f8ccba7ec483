//! `--via`: the way to the instance, for every command that goes there.

use crate::cloudsql::Via;
use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};

/// By which way.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ViaArgs {
    /// The way to the instance: direct, public, private, psc, data-api, socks5://…, http://…, or HOST:PORT of a forwarded port 3307
    #[arg(long, value_name = "WAY")]
    via: Option<Via>,
}

impl ViaArgs {
    #[cfg(test)]
    pub(super) fn by(via: Via) -> Self {
        Self { via: Some(via) }
    }

    /// What the command line says, in its words.
    pub(super) fn asked(&self) -> Option<String> {
        self.via.as_ref().map(ToString::to_string)
    }

    /// Whether the command line says [`Via::Direct`].
    pub(super) fn is_direct(&self) -> bool {
        self.via == Some(Via::Direct)
    }

    /// The flag's, else the profile's.
    pub(super) fn way(&self, profile: &Profile) -> Result<Via> {
        match (&self.via, &profile.google.via) {
            (Some(via), _) => Ok(via.clone()),
            // The text came from the settings, not from the command line.
            (None, Some(text)) => text.parse().map_err(|error: Error| {
                error
                    .with_kind(ErrorKind::Config)
                    .hint("the key is `google.via`")
            }),
            (None, None) => Ok(Via::Direct),
        }
    }
}
