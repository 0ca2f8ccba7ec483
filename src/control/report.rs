//! What a process says of a tunnel that it has open.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::tunnel::{Endpoint, Protocol, Reading};

/// An open tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the catalog calls the database.
    pub name: String,
    /// What the person typed.
    pub asked: String,
    /// The catalog entity, if the name was one.
    pub entity: Option<String>,
    /// The profile.
    pub profile: String,
    /// The instance connection name.
    pub instance: String,
    /// What the database speaks.
    pub engine: Protocol,
    /// The database within the instance.
    pub database: String,
    /// The database user that every connection is signed in as.
    pub user: String,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// The environment, if known.
    pub environment: Option<String>,
    /// Whether connections ask for read-only transactions.
    pub read_only: bool,
    /// Where local programs dial in.
    pub endpoint: Endpoint,
    /// The process that has it open.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself, if it does.
    pub ends: Option<Timestamp>,
    /// Its log, when it is in the background.
    pub log: Option<PathBuf>,
    /// What has gone through.
    pub traffic: Reading,
    /// The file with the authority that vouches for it to local programs, if it speaks TLS with them.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// The way to the instance, as `--via` takes it: `direct` only where a domain name leads there.
    pub via: String,
    /// The way that `direct` stands for, by the catalog and the settings.
    pub straight: String,
}

impl Report {
    /// Whether a person who says `name` means this one.
    pub fn is_called(&self, name: &str) -> bool {
        let entity = self.entity.as_deref().unwrap_or_default();
        let bare = |reference: &str| {
            let (_, rest) = reference.split_once(':')?;
            Some(rest.strip_prefix("default/").unwrap_or(rest).to_owned())
        };
        [&self.asked, &self.name, &self.instance].contains(&&name.to_owned())
            || (!entity.is_empty() && entity.eq_ignore_ascii_case(name))
            || bare(entity).is_some_and(|bare| bare.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::control) fn report() -> Report {
        Report {
            name: "payments-staging".to_owned(),
            asked: "payments@staging".to_owned(),
            entity: Some("resource:default/payments-staging".to_owned()),
            profile: "acme".to_owned(),
            instance: "acme:europe-west1:payments".to_owned(),
            engine: Protocol::Postgres,
            database: "payments".to_owned(),
            user: "ada@acme.example".to_owned(),
            application_name: "bsql:ada@acme.example".to_owned(),
            environment: Some("staging".to_owned()),
            read_only: false,
            endpoint: Endpoint::Tcp(([127, 0, 0, 1], 15_432).into()),
            pid: 7,
            since: Timestamp::UNIX_EPOCH,
            ends: None,
            log: None,
            traffic: Reading::default(),
            authority: None,
            via: "private".to_owned(),
            straight: "public".to_owned(),
        }
    }

    #[test]
    fn by_any_of_its_names() {
        let report = report();
        for name in [
            "payments-staging",
            "payments@staging",
            "resource:default/payments-staging",
            "Resource:default/Payments-Staging",
            "acme:europe-west1:payments",
        ] {
            assert!(report.is_called(name), "{name}");
        }
        for name in ["payments", "", "staging", "payments@production"] {
            assert!(!report.is_called(name), "{name}");
        }
        let raw = Report {
            entity: None,
            ..report
        };
        assert!(!raw.is_called(""));
    }

    #[test]
    fn it_survives_the_wire() {
        let report = report();
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.contains(r#""engine":"postgres""#), "{text}");
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        let socket = Report {
            endpoint: Endpoint::Unix {
                dir: "/run/user/7/bsql/payments".into(),
                port: 5432,
            },
            ..report
        };
        let text = serde_json::to_string(&socket).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), socket);
    }
}
