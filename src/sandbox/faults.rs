//! How the sandbox misbehaves when asked to. Faults are data, so that tests, documentation and `POST /faults` share them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that is wrong at the moment. The default is that nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The catalog answers every request with this HTTP status.
    pub catalog_status: Option<u16>,
    /// The `Retry-After` in seconds that goes with a [`catalog_status`](Self::catalog_status) of 429 or 503.
    pub catalog_retry_after_seconds: Option<u64>,
    /// The identity provider's token endpoint answers with this HTTP status.
    pub token_status: Option<u16>,
    /// The words that go with a [`token_status`](Self::token_status) of 400.
    pub token_refusal: Option<String>,
    /// What token answers say otherwise; null leaves it out.
    pub token_answer: BTreeMap<String, Value>,
    /// What the identity provider's metadata say otherwise; null leaves it out.
    pub provider_metadata: BTreeMap<String, Value>,
    /// The identity provider's key set has another key than the one that signs.
    pub other_keys: bool,
    /// How far ahead the identity provider's clock is when it signs ID tokens, in seconds; behind if negative.
    pub provider_clock_ahead_seconds: i64,
    /// The identity provider's metadata and keys answer with this HTTP status.
    pub discovery_status: Option<u16>,
    /// Google's Security Token Service answers with this HTTP status.
    pub sts_status: Option<u16>,
    /// The SQL Admin API answers with this HTTP status.
    pub admin_status: Option<u16>,
    /// How long ephemeral client certificates live, in seconds.
    pub certificate_life_seconds: Option<i64>,
    /// The instances' doors present the certificate of this instance (`project:region:instance`) instead of their own.
    pub certificate_of: Option<String>,
    /// The ids of the people who may read nothing in the catalog. Backstage shows them emptiness, not a refusal.
    pub hidden_from: Vec<String>,
}

/// The faults that all servers of a sandbox look at, anew for each request.
#[derive(Debug, Clone, Default)]
pub struct FaultBox(Arc<Mutex<Faults>>);

impl FaultBox {
    /// What is wrong at the moment.
    pub fn get(&self) -> Faults {
        // Nothing panics while it holds the lock, and half-set faults do not exist.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Makes exactly these faults wrong, and nothing else.
    pub fn set(&self, faults: Faults) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clones_see_the_same_faults() {
        let faults = FaultBox::default();
        let seen = faults.clone();
        faults.set(Faults {
            catalog_status: Some(429),
            ..Faults::default()
        });
        assert_eq!(seen.get().catalog_status, Some(429));
    }

    #[test]
    fn json_names_what_it_sets_and_misspelt_faults_are_refused() {
        let faults: Faults =
            serde_json::from_str(r#"{"sts_status": 503, "hidden_from": ["ada"]}"#).unwrap();
        assert_eq!(faults.sts_status, Some(503));
        assert_eq!(faults.hidden_from, ["ada"]);
        assert!(serde_json::from_str::<Faults>(r#"{"sts": 503}"#).is_err());
    }
}
