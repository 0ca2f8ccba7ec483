//! Which answers of the catalog will do: `--refresh` and `--offline`, and who is signed in when nobody can be asked.

use crate::auth::{Claims, Session};
use crate::catalog::Freshness;
use crate::error::{ErrorKind, Result};

/// Kept answers or new ones
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct FreshnessArgs {
    /// Ask Backstage, whatever is known
    #[arg(long, conflicts_with = "offline")]
    refresh: bool,
    /// Use what is known, however old, and ask nobody
    #[arg(long)]
    offline: bool,
}

impl FreshnessArgs {
    pub(super) fn freshness(self) -> Freshness {
        match (self.refresh, self.offline) {
            (true, _) => Freshness::Refresh,
            (_, true) => Freshness::Offline,
            _ => Freshness::Usual,
        }
    }

    /// Who is signed in, for what the cache may answer: `online` asks and may refresh the session. With `--offline`, and
    /// when the identity provider cannot be reached, whoever signed in last will do, even if their session is over.
    pub(super) async fn person(
        self,
        session: &Session,
        online: impl Future<Output = Result<Claims>>,
    ) -> Result<Claims> {
        if self.offline {
            return session.claims().await?.ok_or_else(|| {
                ErrorKind::SignedOut.error("nobody has signed in, so nothing is known offline")
            });
        }
        match online.await {
            Err(error)
                if !self.refresh
                    && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TryLater) =>
            {
                session.claims().await?.ok_or(error)
            }
            result => result,
        }
    }
}
