//! The profile that makes bsql talk to the sandbox.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde::Serialize;

use super::company::{CLIENT_ID, USER_PROJECT, WORKFORCE_PROVIDER};
use super::world::Addresses;

#[derive(Debug, Serialize)]
struct File<'a> {
    profiles: BTreeMap<&'static str, Profile<'a>>,
}

#[derive(Debug, Serialize)]
struct Profile<'a> {
    identity: Identity<'a>,
    backstage: Backstage<'a>,
    google: Google<'a>,
}

#[derive(Debug, Serialize)]
struct Identity<'a> {
    issuer: &'a str,
    client_id: &'static str,
    scopes: [&'static str; 4],
    token_store: &'static str,
}

#[derive(Debug, Serialize)]
struct Backstage<'a> {
    url: &'a str,
    auth: &'static str,
}

#[derive(Debug, Serialize)]
struct Google<'a> {
    credentials: &'static str,
    workforce_provider: &'static str,
    user_project: &'static str,
    endpoints: Endpoints<'a>,
}

#[derive(Debug, Serialize)]
struct Endpoints<'a> {
    sts: &'a str,
    sql_admin: &'a str,
    sql_data: &'a str,
    iam_credentials: &'a str,
    oauth2: &'a str,
    instance_port: u16,
}

/// `[profiles.sandbox]` as TOML.
pub(super) fn profile(addresses: &Addresses) -> String {
    let apis = addresses.google.as_str();
    let google = Google {
        credentials: "workforce",
        workforce_provider: WORKFORCE_PROVIDER,
        user_project: USER_PROJECT,
        endpoints: Endpoints {
            sts: apis,
            sql_admin: apis,
            sql_data: addresses.sql_data.as_str(),
            iam_credentials: apis,
            oauth2: apis,
            instance_port: addresses.instance_port,
        },
    };
    let profile = Profile {
        identity: Identity {
            issuer: &addresses.issuer,
            client_id: CLIENT_ID,
            scopes: ["openid", "email", "profile", "offline_access"],
            // What a make-believe company gives out does not belong in the person's keyring.
            token_store: "file",
        },
        backstage: Backstage {
            url: addresses.backstage.as_str(),
            auth: if addresses.backstage_sign_in {
                "backstage"
            } else {
                "id-token"
            },
        },
        google,
    };
    let file = File {
        profiles: BTreeMap::from([("sandbox", profile)]),
    };
    toml::to_string(&file).expect("every part has a name in TOML")
}

/// The profile where `bsql init` looks for it, below Backstage's address.
pub(super) fn router(addresses: &Addresses) -> Router {
    let text = profile(addresses);
    let answer = move || async move { ([(CONTENT_TYPE, "application/toml")], text) };
    Router::new().route("/.well-known/bsql.toml", get(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_whole_configuration() {
        let addresses = Addresses {
            issuer: "http://127.0.0.1:1".to_owned(),
            backstage: "http://127.0.0.1:2/".parse().unwrap(),
            backstage_sign_in: false,
            google: "http://127.0.0.1:3/".parse().unwrap(),
            sql_data: "http://127.0.0.1:4/".parse().unwrap(),
            instance_port: 3307,
        };
        insta::assert_snapshot!(profile(&addresses), @r#"
        [profiles.sandbox.identity]
        issuer = "http://127.0.0.1:1"
        client_id = "bsql"
        scopes = ["openid", "email", "profile", "offline_access"]
        token_store = "file"

        [profiles.sandbox.backstage]
        url = "http://127.0.0.1:2/"
        auth = "id-token"

        [profiles.sandbox.google]
        credentials = "workforce"
        workforce_provider = "locations/global/workforcePools/acme/providers/sandbox"
        user_project = "acme-tools"

        [profiles.sandbox.google.endpoints]
        sts = "http://127.0.0.1:3/"
        sql_admin = "http://127.0.0.1:3/"
        sql_data = "http://127.0.0.1:4/"
        iam_credentials = "http://127.0.0.1:3/"
        oauth2 = "http://127.0.0.1:3/"
        instance_port = 3307
        "#);
    }
}
