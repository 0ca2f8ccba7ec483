//! What was wanted, kept to ask for it once more: the entry that was found may be out of date.

use super::Wanted;
use crate::cli::named::NamingArgs;
use crate::cli::via::ViaArgs;

/// [`Wanted`] of an entry that was found in what is kept of the catalog.
#[derive(Debug, Clone)]
pub(super) struct Again {
    name: String,
    database: Option<String>,
    user: Option<String>,
    read_only: bool,
    reason: Option<String>,
    command: &'static str,
    via: ViaArgs,
    /// How the name is to be taken.
    pub(super) naming: NamingArgs,
}

impl Again {
    /// The same, by the reference of the entity that was found.
    pub(super) fn new(wanted: &Wanted<'_>, naming: &NamingArgs, entity: String) -> Self {
        Self {
            name: entity,
            database: wanted.database.map(str::to_owned),
            user: wanted.user.map(str::to_owned),
            read_only: wanted.read_only,
            reason: wanted.reason.map(str::to_owned),
            command: wanted.command,
            via: wanted.via.clone(),
            naming: naming.clone(),
        }
    }

    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            name: &self.name,
            database: self.database.as_deref(),
            user: self.user.as_deref(),
            read_only: self.read_only,
            reason: self.reason.as_deref(),
            command: self.command,
            via: &self.via,
        }
    }
}
