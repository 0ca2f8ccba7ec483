//! Where the keys and certificates for instances are between two runs: beside the session, sealed as its tokens are.

use std::sync::Arc;

use crate::auth::{Beside, Session};
use crate::cloudsql::{CertificateStore, ClientKey, Kept, PendingKey};
use crate::error::Result;
use crate::secret::Secret;

use super::App;

/// The session's own place.
#[derive(Debug)]
struct BesideSession(Beside);

impl CertificateStore for BesideSession {
    fn load(&self, name: &str) -> Result<Option<Secret>> {
        self.0.load(name)
    }

    fn save(&self, name: &str, text: &Secret) -> Result<()> {
        self.0.save(name, text)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.0.delete(name)
    }
}

/// What a person's client certificates are made of, and where they are kept.
#[derive(Debug, Clone)]
pub(crate) struct ClientCertificates {
    pub(super) key: PendingKey,
    pub(super) kept: Kept,
    pub(super) iam_login: bool,
}

impl ClientCertificates {
    /// Whether they are to be the database login as well, as they are if nobody says otherwise.
    pub(crate) fn with_login(self, iam_login: bool) -> Self {
        Self { iam_login, ..self }
    }
}

impl App {
    /// What is kept of instances for whoever is signed in.
    pub(crate) fn kept(session: &Session) -> Kept {
        Kept::new(Arc::new(BesideSession(session.beside())))
    }

    /// Client certificates for whoever is signed in, with the key of the last run, or else one that is being made from now
    /// on.
    pub(crate) fn client_certificates(&self, session: &Session) -> ClientCertificates {
        let kept = Self::kept(session);
        ClientCertificates {
            key: ClientKey::kept_or_new(kept.clone(), self.clock),
            kept,
            iam_login: true,
        }
    }
}
