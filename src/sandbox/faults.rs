//! How the sandbox misbehaves when asked to. Faults are data, so that tests, documentation and `POST /faults` share them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

/// Everything that is wrong at the moment. The default is that nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The catalog answers every request with this HTTP status.
    pub catalog_status: Option<u16>,
    /// The `Retry-After` in seconds that goes with a [`catalog_status`](Self::catalog_status) of 429 or 503.
    pub catalog_retry_after_seconds: Option<u64>,
    /// Only so many requests meet the [`catalog_status`](Self::catalog_status), counted down here; without it, all do.
    pub catalog_status_times: Option<u32>,
    /// How long the catalog thinks before it answers, in milliseconds.
    pub catalog_delay_milliseconds: u64,
    /// What the catalog answers instead of JSON, as a proxy in front of it does that wants a sign-in first.
    pub catalog_sign_in: Option<SignInWall>,
    /// The page of a listing, counted from 1, that breaks off in the middle of its JSON.
    pub catalog_broken_page: Option<usize>,
    /// The kinds of which nothing is left (`Resource`), as after a restart without the provider that they came from.
    pub catalog_lost_kinds: Vec<String>,
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
    /// Only so many requests meet the [`admin_status`](Self::admin_status), counted down here; without it, all do.
    pub admin_status_times: Option<u32>,
    /// The `Retry-After` in seconds that goes with an [`admin_status`](Self::admin_status) of 429 or 503.
    pub admin_retry_after_seconds: Option<u64>,
    /// The SQL Data service refuses every session with this gRPC status.
    pub sql_data_status: Option<u64>,
    /// How long the SQL Admin API thinks before it answers, in milliseconds.
    pub admin_delay_milliseconds: u64,
    /// The SQL Admin API says that instances are in this region.
    pub admin_region: Option<String>,
    /// Which addresses the SQL Admin API tells, by their types (`PRIMARY`, `PRIVATE`, `PRIVATE_SERVICE_CONNECT`);
    /// without it, the public one.
    pub admin_addresses: Option<Vec<String>>,
    /// The address that the SQL Admin API tells for every instance, instead of its own.
    pub admin_ip: Option<String>,
    /// How long ephemeral client certificates live, in seconds.
    pub certificate_life_seconds: Option<i64>,
    /// The instances' doors present the certificate of this instance (`project:region:instance`) instead of their own.
    pub certificate_of: Option<String>,
    /// The doors show a certificate of the right name that another CA has signed, as if the API were behind.
    pub door_other_ca: bool,
    /// Which server CA the instances have: another number, and every one has got a new one, which the API names.
    pub server_ca_generation: u32,
    /// Which client CA the instances have: another number, and no certificate opens a door that was signed before.
    pub client_ca_generation: u32,
    /// Which run of the instances: another number, and every session is cut that is open, as a failover cuts them.
    pub session_generation: u32,
    /// The doors close a connection at this point.
    pub door_drops: Option<DropPoint>,
    /// Only so many connections meet [`door_drops`](Self::door_drops), counted down here; without it, all do.
    pub door_drops_times: Option<u32>,
    /// How long the doors wait before they answer, in milliseconds.
    pub door_delay_milliseconds: u64,
    /// The ids of the people who may read nothing in the catalog. Backstage shows them emptiness, not a refusal.
    pub hidden_from: Vec<String>,
}

/// How a proxy in front of Backstage asks for a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInWall {
    /// 302 to a page elsewhere, as Identity-Aware Proxy does.
    Redirect,
    /// The page itself, as HTML with status 200.
    Page,
}

/// When a door closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropPoint {
    /// As soon as it is open.
    Accept,
    /// After the client's hello.
    Hello,
    /// After the handshake.
    Handshake,
}

/// The faults that all servers of a sandbox look at, anew for each request.
#[derive(Debug, Clone, Default)]
pub struct FaultBox(Arc<watch::Sender<Faults>>);

impl FaultBox {
    /// What is wrong at the moment.
    pub fn get(&self) -> Faults {
        self.0.borrow().clone()
    }

    /// Waits for another [`session_generation`](Faults::session_generation) than there is when this is called.
    pub(super) fn next_session_generation(&self) -> impl Future<Output = ()> + use<> {
        let mut faults = self.0.subscribe();
        let now = faults.borrow_and_update().session_generation;
        async move {
            let is_next = |faults: &Faults| faults.session_generation != now;
            if faults.wait_for(is_next).await.is_err() {
                // Nobody is left who could set it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is wrong for one request to the catalog, which uses up one of
    /// [`catalog_status_times`](Faults::catalog_status_times).
    pub(super) fn for_catalog_request(&self) -> Faults {
        self.using_up(|faults| (&mut faults.catalog_status, &mut faults.catalog_status_times))
    }

    /// What is wrong for one request to the SQL Admin API, which uses up one of
    /// [`admin_status_times`](Faults::admin_status_times).
    pub(super) fn for_admin_request(&self) -> Faults {
        self.using_up(|faults| (&mut faults.admin_status, &mut faults.admin_status_times))
    }

    /// What is wrong for one connection at a door, which uses up one of
    /// [`door_drops_times`](Faults::door_drops_times).
    pub(super) fn for_connection(&self) -> Faults {
        self.using_up(|faults| (&mut faults.door_drops, &mut faults.door_drops_times))
    }

    /// What is wrong this time, where a fault happens only so many times; without a number it does each time.
    fn using_up<T>(
        &self,
        counted: impl Fn(&mut Faults) -> (&mut Option<T>, &mut Option<u32>),
    ) -> Faults {
        let mut now = Faults::default();
        self.0.send_if_modified(|faults| {
            now = faults.clone();
            match counted(faults).1 {
                Some(0) => *counted(&mut now).0 = None,
                Some(times) => *times -= 1,
                None => {}
            }
            // Nobody waits for a count.
            false
        });
        now
    }

    /// Makes exactly these faults wrong, and nothing else.
    pub fn set(&self, faults: Faults) {
        self.0.send_replace(faults);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

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
    fn a_fault_may_end_by_itself() {
        let faults = FaultBox::default();
        faults.set(Faults {
            catalog_status: Some(429),
            catalog_status_times: Some(2),
            ..Faults::default()
        });
        let statuses = [(); 4].map(|()| faults.for_catalog_request().catalog_status);
        assert_eq!(statuses, [Some(429), Some(429), None, None]);
    }

    #[test]
    fn what_happens_a_few_times_ends_by_itself() {
        let faults = FaultBox::default();
        faults.set(Faults {
            admin_status: Some(503),
            admin_status_times: Some(2),
            door_drops: Some(DropPoint::Hello),
            door_drops_times: Some(1),
            ..Faults::default()
        });
        let statuses = [(); 3].map(|()| faults.for_admin_request().admin_status);
        assert_eq!(statuses, [Some(503), Some(503), None]);
        let drops = [(); 2].map(|()| faults.for_connection().door_drops);
        assert_eq!(drops, [Some(DropPoint::Hello), None]);
    }

    #[tokio::test]
    async fn sessions_are_cut_by_another_number_than_theirs() {
        let faults = FaultBox::default();
        let generation = |session_generation| Faults {
            session_generation,
            ..Faults::default()
        };
        faults.set(generation(3));
        let mut cut = std::pin::pin!(faults.next_session_generation());
        faults.set(generation(3));
        assert!(cut.as_mut().now_or_never().is_none());
        faults.set(Faults::default());
        cut.await;
    }

    #[test]
    fn json_names_what_it_sets_and_misspelt_faults_are_refused() {
        let faults: Faults =
            serde_json::from_str(r#"{"sts_status": 503, "hidden_from": ["ada"]}"#).unwrap();
        assert_eq!(faults.sts_status, Some(503));
        assert_eq!(faults.hidden_from, ["ada"]);
        let faults: Faults = serde_json::from_str(r#"{"catalog_sign_in": "redirect"}"#).unwrap();
        assert_eq!(faults.catalog_sign_in, Some(SignInWall::Redirect));
        assert!(serde_json::from_str::<Faults>(r#"{"sts": 503}"#).is_err());
    }
}
