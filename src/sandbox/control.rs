//! The sandbox's own door: what is running, how to make it misbehave, and how to end it.
//!
//! It listens on loopback like the others, but only opens to who has the token: other people's programs on this machine,
//! and web pages in a browser here, can reach it as well.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::company::{PEOPLE, Person};
use super::faults::{FaultBox, Faults};
use super::http::bearer;
use super::instance::ServedInstance;
use super::world::Addresses;
use crate::secret::Secret;

/// How to reach a running sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Control {
    /// Where it listens.
    pub url: Url,
    /// What to show, as a bearer token.
    pub token: Secret,
}

/// What is running.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The process that all of it runs in.
    pub pid: u32,
    /// The PostgreSQL behind the instances, as people call it.
    pub engine: String,
    /// What is behind the MySQL instance, if anything is.
    pub mysql: Option<String>,
    /// The identity provider.
    pub issuer: String,
    /// Backstage.
    pub backstage: Url,
    /// Google's APIs.
    pub google: Url,
    /// The instances.
    pub instances: Vec<InstanceStatus>,
    /// Who can sign in.
    pub people: Vec<PersonStatus>,
}

/// An instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// `project:region:instance`.
    pub connection_name: String,
    /// Where it listens.
    pub address: String,
    /// The database on it.
    pub database: String,
    /// Who may connect, by mail address.
    pub clients: Vec<String>,
}

/// Somebody who can sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonStatus {
    /// The user name.
    pub id: String,
    /// The mail address.
    pub email: String,
    /// The name to show.
    pub name: String,
    /// What they do.
    pub role: String,
    /// Their Backstage groups.
    pub groups: Vec<String>,
}

impl Status {
    pub(super) fn new(
        addresses: &Addresses,
        (engine, mysql): (String, Option<String>),
        instances: &[ServedInstance],
    ) -> Self {
        let port = addresses.instance_port;
        Self {
            pid: std::process::id(),
            engine,
            mysql,
            issuer: addresses.issuer.clone(),
            backstage: addresses.backstage.clone(),
            google: addresses.google.clone(),
            instances: instances
                .iter()
                .map(|served| InstanceStatus::new(served, port))
                .collect(),
            people: PEOPLE.iter().map(PersonStatus::from).collect(),
        }
    }
}

impl InstanceStatus {
    fn new(served: &ServedInstance, port: u16) -> Self {
        let instance = served.instance;
        Self {
            address: format!("{}:{port}", served.ip),
            connection_name: instance.connection_name(),
            database: instance.database.to_owned(),
            clients: owned(instance.clients),
        }
    }
}

impl From<&Person> for PersonStatus {
    fn from(person: &Person) -> Self {
        Self {
            id: person.id.to_owned(),
            email: person.email.to_owned(),
            name: person.name.to_owned(),
            role: person.role.to_owned(),
            groups: owned(person.groups),
        }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// What the control server works on.
#[derive(Debug)]
pub(super) struct Controls {
    pub(super) token: Secret,
    pub(super) status: Status,
    pub(super) faults: FaultBox,
    /// Cancelled when somebody asks for the end.
    pub(super) shutdown: CancellationToken,
}

pub(super) fn router(controls: Controls) -> Router {
    let controls = Arc::new(controls);
    Router::new()
        .route("/status", get(status))
        .route("/shutdown", post(shutdown))
        .route("/faults", get(faults).post(set_faults))
        .layer(from_fn_with_state(Arc::clone(&controls), admit))
        .with_state(controls)
}

async fn admit(State(controls): State<Arc<Controls>>, request: Request, next: Next) -> Response {
    let shown = bearer(request.headers()).unwrap_or_default();
    // Digests, so that the time it takes says nothing about how much of the token was right.
    let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    if digest(shown).as_ref() != digest(controls.token.expose()).as_ref() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    next.run(request).await
}

async fn status(State(controls): State<Arc<Controls>>) -> Json<Status> {
    Json(controls.status.clone())
}

async fn shutdown(State(controls): State<Arc<Controls>>) -> StatusCode {
    controls.shutdown.cancel();
    StatusCode::ACCEPTED
}

async fn faults(State(controls): State<Arc<Controls>>) -> Json<Faults> {
    Json(controls.faults.get())
}

/// Replaces all faults; `{}` mends everything.
async fn set_faults(State(controls): State<Arc<Controls>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Faults>(&body) {
        Ok(faults) => {
            controls.faults.set(faults.clone());
            Json(faults).into_response()
        }
        Err(error) => {
            let body = json!({ "error": error.to_string() });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}
