//! The SQL Admin API, as far as clients of databases use it:
//! <https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1beta4>

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::principals::{self, UserType};
use super::refusal::ApiError;
use super::tokens::{CLOUD_PLATFORM, Grant, SQL_ADMIN, SQL_LOGIN};
use crate::clock::Clock;
use crate::hex;
use crate::sandbox::company::Engine;
use crate::sandbox::instance::{ServedInstance, Server};
use crate::sandbox::pki;

/// A way that has no address, only a name.
const PSC: &str = "PRIVATE_SERVICE_CONNECT";
/// How long a client's certificate lives.
const CERTIFICATE_LIFE: SignedDuration = SignedDuration::from_hours(1);

impl Api {
    /// The instance, and whose token is asking, if they may connect to it.
    async fn instance(
        &self,
        headers: &HeaderMap,
        project: &str,
        name: &str,
    ) -> Result<(&ServedInstance, Grant), ApiError> {
        let faults = self.faults.for_admin_request();
        tokio::time::sleep(Duration::from_millis(faults.admin_delay_milliseconds)).await;
        if let Some(status) = faults.admin_status {
            return Err(ApiError::fault(status).retry_after(faults.admin_retry_after_seconds));
        }
        let grant = self.authorized(headers, &[CLOUD_PLATFORM, SQL_ADMIN])?;
        self.instances
            .iter()
            .find(|served| served.instance.project == project && served.instance.name == name)
            .filter(|served| principals::may_connect(&grant.principal, served.instance))
            .map(|served| (served, grant))
            .ok_or_else(ApiError::not_authorized)
    }
}

/// `GET …/instances/{instance}/connectSettings`: where the instance is and whom to trust.
pub(super) async fn connect_settings(
    State(api): State<Api>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let (served, _) = api.instance(&headers, &project, &name).await?;
    let instance = served.instance;
    let faults = api.faults.get();
    let types = faults.admin_addresses.as_deref();
    let types = types.map_or_else(
        || vec!["PRIMARY"],
        |types| types.iter().map(String::as_str).collect(),
    );
    let psc = types.contains(&PSC);
    let region = faults.admin_region.as_deref().unwrap_or(instance.region);
    let ip = faults.admin_ip.unwrap_or_else(|| served.ip.to_string());
    let addresses: Vec<Value> = (types.iter().filter(|kind| **kind != PSC))
        .map(|kind| json!({ "type": kind, "ipAddress": ip }))
        .collect();
    let mut dns_names: Vec<Value> = served
        .dns_name
        .iter()
        .map(|name| {
            json!({
                "name": name, "connectionType": "PUBLIC", "dnsScope": "INSTANCE",
                "recordManager": "CLOUD_SQL_AUTOMATION",
            })
        })
        .collect();
    if psc {
        // Whatever name it has in the company's own DNS, it is this machine.
        dns_names.push(json!({
            "name": ip, "connectionType": PSC, "dnsScope": "INSTANCE", "recordManager": "CLOUD_SQL_AUTOMATION",
        }));
    }
    let mut settings = json!({
        "kind": "sql#connectSettings",
        "region": region,
        "connectionName": format!("{project}:{region}:{name}"),
        "databaseVersion": api.database_version(instance),
        "backendType": "SECOND_GEN",
        "ipAddresses": addresses,
        "serverCaCert": server_ca_cert(served, &*api.server(served)?),
        "serverCaMode": served.ca_mode.name(),
        "pscEnabled": psc,
        "dnsNames": dns_names,
    });
    if instance.engine() == Engine::MySql {
        settings["mdxProtocolSupport"] = json!(["CLIENT_PROTOCOL_TYPE"]);
    }
    if let Some(name) = &served.dns_name {
        settings["dnsName"] = name.as_str().into();
    }
    Ok(Json(settings))
}

/// `GET …/locations/{region}/dns/{name}:resolveConnectSettings`: which instance has a DNS name. The name is written with
/// the dot at its end, and one that is nobody's, or that the caller may not connect to, is not told apart.
pub(super) async fn resolve_connect_settings(
    State(api): State<Api>,
    Path((region, method)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let Some((name, "resolveConnectSettings")) = method.rsplit_once(':') else {
        return Err(ApiError::not_found());
    };
    if !name.ends_with('.') {
        return Err(ApiError::invalid(
            "Invalid request: The DNS name must be fully qualified.",
        ));
    }
    let named = api.instances.iter().find(|served| {
        served.instance.region == region && served.dns_name.as_deref() == Some(name)
    });
    // Nobody's name is refused where an instance would be, so that who has no token is told so first.
    let (project, instance) = named.map_or(("", ""), |served| {
        (served.instance.project, served.instance.name)
    });
    let path = Path((project.to_owned(), instance.to_owned()));
    connect_settings(State(api), path, headers).await
}

fn ip_address(served: &ServedInstance) -> Value {
    json!({ "type": "PRIMARY", "ipAddress": served.ip.to_string() })
}

fn server_ca_cert(served: &ServedInstance, server: &Server) -> Value {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, server.ca.der());
    json!({
        "kind": "sql#sslCert",
        "cert": server.ca.bundle_pem(),
        "certSerialNumber": "0",
        "commonName": "C=US,O=Google\\, Inc,CN=Google Cloud SQL Server CA",
        "createTime": rfc3339(server.created_at),
        "expirationTime": rfc3339(server.ca.not_after()),
        "sha1Fingerprint": hex::encode(digest.as_ref()),
        "instance": served.instance.name,
    })
}

/// `GET …/instances/{instance}`
pub(super) async fn instance(
    State(api): State<Api>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let (served, _) = api.instance(&headers, &project, &name).await?;
    let region = served.instance.region;
    Ok(Json(json!({
        "kind": "sql#instance",
        "name": name,
        "project": project,
        "region": region,
        "connectionName": format!("{project}:{region}:{name}"),
        "state": "RUNNABLE",
        "databaseVersion": api.database_version(served.instance),
        "backendType": "SECOND_GEN",
        "instanceType": "CLOUD_SQL_INSTANCE",
        "ipAddresses": [ip_address(served)],
        "serverCaCert": server_ca_cert(served, &*api.server(served)?),
        "settings": {
            "kind": "sql#settings",
            "tier": "db-custom-1-3840",
            "activationPolicy": "ALWAYS",
            "databaseFlags": [{ "name": "cloudsql.iam_authentication", "value": "on" }],
        },
    })))
}

/// `GET …/instances/{instance}/users`
pub(super) async fn users(
    State(api): State<Api>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let (served, _) = api.instance(&headers, &project, &name).await?;
    // Where they may come from is a part of MySQL's accounts alone.
    let host = match served.instance.engine() {
        Engine::MySql => "%",
        Engine::Postgres | Engine::SqlServer => "",
    };
    let user = |user_name: &str, user_type: UserType| {
        json!({
            "kind": "sql#user", "name": user_name, "host": host, "type": user_type.name(),
            "instance": name, "project": project,
        })
    };
    let built_in =
        principals::built_in_users(served.instance).map(|name| user(name, UserType::BuiltIn));
    let iam = principals::database_users(served.instance);
    let iam = iam.iter().map(|one| {
        let mut value = user(&one.name, one.user_type);
        value["iamEmail"] = one.email.into();
        value
    });
    let items: Vec<Value> = built_in.into_iter().chain(iam).collect();
    Ok(Json(json!({ "kind": "sql#usersList", "items": items })))
}

#[derive(Debug, Deserialize)]
struct EphemeralCertRequest {
    public_key: String,
    /// With it the certificate also logs its holder in.
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default, rename = "validDuration")]
    valid_duration: Option<String>,
}

/// `POST …/instances/{instance}:generateEphemeralCert`
pub(super) async fn generate_ephemeral_cert(
    State(api): State<Api>,
    Path((project, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let Some((name, "generateEphemeralCert")) = method.rsplit_once(':') else {
        return Err(ApiError::not_found());
    };
    let (served, caller) = api.instance(&headers, &project, name).await?;
    let request: EphemeralCertRequest = serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid(format!("Invalid JSON payload received. {error}")))?;
    let public_key = pki::public_key(&request.public_key)
        .ok_or_else(|| ApiError::invalid("Invalid request: The public key is malformed."))?;
    let login = request
        .access_token
        .map(|token| api.login(&token, &caller))
        .transpose()?;

    let now = Clock::system().now();
    let life = match (
        api.faults.get().certificate_life_seconds,
        request.valid_duration,
    ) {
        (Some(seconds), _) => SignedDuration::from_secs(seconds),
        (None, None) => CERTIFICATE_LIFE,
        (None, Some(text)) => text
            .strip_suffix('s')
            .and_then(|seconds| seconds.parse().ok())
            .map(SignedDuration::from_secs)
            .filter(|life| life.is_positive() && *life <= CERTIFICATE_LIFE)
            .ok_or_else(|| ApiError::invalid("Invalid request: Invalid validDuration."))?,
    };
    let certificate = served.sign(&public_key, login, &api.faults.get(), now, now + life);
    let serial = certificate
        .serial
        .iter()
        .fold(0, |number: u128, byte| (number << 8) | u128::from(*byte));
    Ok(Json(json!({ "ephemeralCert": {
        "kind": "sql#sslCert",
        "cert": certificate.pem,
        "certSerialNumber": serial.to_string(),
        "commonName": "Google Cloud SQL Client",
        "createTime": rfc3339(now),
        "expirationTime": rfc3339(now + life),
        "instance": name,
    }})))
}

impl Api {
    /// Who vouches for an instance's server.
    fn server(&self, served: &ServedInstance) -> Result<Arc<Server>, ApiError> {
        served
            .server(&self.faults.get(), Clock::system().now())
            .map_err(|_| ApiError::fault(500))
    }

    /// The login that `token` is for. It must be the caller's own: one person's certificate never logs in another.
    fn login(&self, token: &str, caller: &Grant) -> Result<Grant, ApiError> {
        let grant = self.tokens.grant(token);
        let grant = grant.ok_or_else(|| {
            ApiError::invalid("Invalid request: The access token in the request is invalid.")
        })?;
        if !grant.covers(&[SQL_LOGIN]) {
            return Err(ApiError::insufficient_scopes());
        }
        if grant.principal != caller.principal {
            return Err(ApiError::not_authorized());
        }
        Ok(grant)
    }
}

fn rfc3339(at: Timestamp) -> String {
    at.strftime("%FT%T%.3fZ").to_string()
}
