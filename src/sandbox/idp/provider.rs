//! The provider as a whole: its settings and state, its metadata, and the ID tokens it signs.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::authorize::AuthorizationRequest;
use super::device::Devices;
use super::grants::{Grants, Issued};
use super::keys::SigningKey;
use super::{SubjectTokens, sign_in, token};
use crate::clock::Clock;
use crate::sandbox::company::{CLIENT_ID, Person};
use crate::sandbox::faults::FaultBox;

/// How long a sign-in page may stay open.
const REQUEST_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// An application that may ask for sign-ins. All are public: they have no secret.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: &'static str,
    /// What the sign-in page calls it.
    pub(super) name: &'static str,
}

/// The portal is here so that there are codes and tokens of somebody else, which must be of no use to bsql.
const CLIENTS: [Client; 2] = [
    Client {
        id: CLIENT_ID,
        name: "bsql",
    },
    Client {
        id: "acme-portal",
        name: "The Acme portal",
    },
];

impl Client {
    pub(super) fn find(id: &str) -> Option<&'static Self> {
        CLIENTS.iter().find(|client| client.id == id)
    }
}

/// What can be chosen.
#[derive(Debug)]
pub(in crate::sandbox) struct Settings {
    /// The issuer identifier: the provider's own address without a slash at the end.
    pub(in crate::sandbox) issuer: String,
    /// Whom every request signs in at once; nobody sees a page then.
    pub(in crate::sandbox) auto_approve: Option<&'static Person>,
    /// How long ID and access tokens live.
    pub(in crate::sandbox) token_life: SignedDuration,
    /// How to misbehave.
    pub(in crate::sandbox) faults: FaultBox,
}

/// The identity provider.
#[derive(Debug)]
pub(in crate::sandbox) struct Provider {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    key: Arc<SigningKey>,
    state: Mutex<ProviderState>,
}

/// What was asked and granted.
#[derive(Debug, Default)]
pub(super) struct ProviderState {
    pub(super) grants: Grants,
    pub(super) devices: Devices,
    /// How many refresh tokens were redeemed.
    pub(super) refreshes: u64,
    requests: HashMap<String, (AuthorizationRequest, Timestamp)>,
}

impl ProviderState {
    /// Keeps a request while its person thinks.
    pub(super) fn keep(&mut self, id: String, request: AuthorizationRequest, now: Timestamp) {
        self.requests.insert(id, (request, now + REQUEST_LIFE));
    }

    /// The request that a page was about. Each page counts once.
    pub(super) fn take(&mut self, id: &str, now: Timestamp) -> Option<AuthorizationRequest> {
        let (request, expires_at) = self.requests.remove(id)?;
        (now < expires_at).then_some(request)
    }
}

impl Provider {
    /// A provider with a new key.
    pub(in crate::sandbox) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            clock: Clock::system(),
            key: Arc::new(SigningKey::generate()),
            state: Mutex::default(),
        })
    }

    /// What the services that trust this provider check tokens with.
    pub(in crate::sandbox) fn subject_tokens(&self) -> SubjectTokens {
        SubjectTokens::new(Arc::clone(&self.key), self.settings.issuer.clone())
    }

    /// How many refresh tokens were redeemed.
    pub(in crate::sandbox) fn refreshes(&self) -> u64 {
        self.state().refreshes
    }

    /// Its endpoints.
    pub(in crate::sandbox) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/authorize", get(sign_in::by_get).post(sign_in::by_post))
            .route("/sign-in", post(sign_in::answer))
            .route("/device_authorization", post(token::device_authorization))
            .route("/device", get(sign_in::device).post(sign_in::device_answer))
            .route("/token", post(token::token))
            .route("/revoke", post(token::revoke))
            .route("/userinfo", get(token::userinfo).post(token::userinfo))
            .with_state(self)
    }

    /// What was asked and granted. Never held across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, ProviderState> {
        // Every change is whole when a panic could come.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of a token response (OpenID Connect Core section 3.1.3.3).
    pub(super) fn token_response(&self, issued: &Issued) -> Value {
        let faults = self.settings.faults.get();
        let now = self.clock.now() + SignedDuration::from_secs(faults.provider_clock_ahead_seconds);
        let approval = &issued.approval;
        let person = approval.person;
        let mut claims = json!({
            "iss": self.settings.issuer,
            "sub": person.email,
            "aud": approval.client_id,
            "iat": now.as_second(),
            "exp": (now + self.settings.token_life).as_second(),
            "auth_time": approval.auth_time.as_second(),
            "amr": ["pwd"],
            "at_hash": at_hash(&issued.access_token),
            "email": person.email,
            "email_verified": true,
            "name": person.name,
            "groups": person.groups,
        });
        if let Some(nonce) = &approval.nonce {
            claims["nonce"] = json!(nonce);
        }
        let mut response = json!({
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": self.settings.token_life.as_secs(),
            "id_token": self.key.sign(&claims),
            "scope": approval.scope,
        });
        if let Some(refresh_token) = &issued.refresh_token {
            response["refresh_token"] = json!(refresh_token);
        }
        overridden(response, &faults.token_answer)
    }
}

/// What a fault says otherwise.
fn overridden(mut answer: Value, changes: &BTreeMap<String, Value>) -> Value {
    for (name, value) in changes {
        answer[name] = value.clone();
    }
    if let Some(members) = answer.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    answer
}

/// OpenID Connect Core section 3.1.3.6: the left half of the hash.
fn at_hash(access_token: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16])
}

/// The answer that a status fault asks for; `words` go with a refusal.
pub(super) fn fault(status: Option<u16>, words: Option<&str>) -> Option<Response> {
    let status = StatusCode::from_u16(status?).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match status {
        StatusCode::BAD_REQUEST => json!({
            "error": "invalid_grant",
            "error_description": words.unwrap_or("the sandbox was asked to refuse this"),
        }),
        StatusCode::UNAUTHORIZED => json!({ "error": "invalid_client" }),
        _ => json!({ "error": "temporarily_unavailable" }),
    };
    Some((status, Json(body)).into_response())
}

/// OpenID Connect Discovery 1.0 section 3, RFC 8414, RFC 8628 section 4, RFC 9207 section 3.
async fn metadata(State(provider): State<Arc<Provider>>) -> Response {
    let faults = provider.settings.faults.get();
    if let Some(fault) = fault(faults.discovery_status, None) {
        return fault;
    }
    let issuer = &provider.settings.issuer;
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "device_authorization_endpoint": format!("{issuer}/device_authorization"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "profile", "groups", "offline_access"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "amr",
            "email", "email_verified", "name", "groups",
        ],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    Json(overridden(document, &faults.provider_metadata)).into_response()
}

async fn jwks(State(provider): State<Arc<Provider>>) -> Response {
    let faults = provider.settings.faults.get();
    let keys = if faults.other_keys {
        SigningKey::generate().jwks()
    } else {
        provider.key.jwks()
    };
    fault(faults.discovery_status, None).unwrap_or_else(|| Json(keys).into_response())
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;
    use url::Url;

    use super::*;
    use crate::http::{Answer, HttpClient};
    use crate::sandbox::company::{PEOPLE, person};
    use crate::sandbox::faults::Faults;
    use crate::sandbox::http::Bound;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const REDIRECT: &str = "http://127.0.0.1:4000/callback";

    /// A provider on a real port and a browser without a screen.
    struct World {
        provider: Arc<Provider>,
        http: HttpClient,
        base: String,
        stop: CancellationToken,
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    impl World {
        async fn start(auto_approve: Option<&'static Person>) -> Self {
            let bound = Bound::loopback().await.unwrap();
            let base = bound.url().as_str().trim_end_matches('/').to_owned();
            let provider = Provider::new(Settings {
                issuer: base.clone(),
                auto_approve,
                token_life: SignedDuration::from_hours(1),
                faults: FaultBox::default(),
            });
            let stop = CancellationToken::new();
            bound.serve(Arc::clone(&provider).router(), stop.clone());
            let http = HttpClient::new(Vec::new()).unwrap();
            Self {
                provider,
                http,
                base,
                stop,
            }
        }

        async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
            let mut url: Url = format!("{}{path}", self.base).parse().unwrap();
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            self.http.send("it", self.http.get(url)).await.unwrap()
        }

        async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
            let url = format!("{}{path}", self.base).parse().unwrap();
            let request = self.http.post(url).form(form);
            self.http.send("it", request).await.unwrap()
        }

        async fn authorize(&self, more: &[(&str, &str)]) -> Answer {
            let mut query = vec![
                ("client_id", "bsql"),
                ("redirect_uri", REDIRECT),
                ("response_type", "code"),
                ("scope", "openid email offline_access"),
                ("state", "st"),
                ("nonce", "no"),
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "S256"),
            ];
            query.extend(more);
            self.get("/authorize", &query).await
        }

        async fn redeem(&self, code: &str) -> Answer {
            let form = [
                ("grant_type", "authorization_code"),
                ("client_id", "bsql"),
                ("code", code),
                ("redirect_uri", REDIRECT),
                ("code_verifier", VERIFIER),
            ];
            self.post("/token", &form).await
        }

        async fn refresh(&self, token: &str) -> Answer {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", "bsql"),
                ("refresh_token", token),
            ];
            self.post("/token", &form).await
        }

        async fn userinfo(&self, token: &str) -> Answer {
            let url = format!("{}/userinfo", self.base).parse().unwrap();
            let request = self.http.get(url).bearer_auth(token);
            self.http.send("it", request).await.unwrap()
        }
    }

    fn location(answer: &Answer) -> HashMap<String, String> {
        assert_eq!(answer.status, 303, "{}", answer.excerpt());
        let url: Url = answer.headers["location"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(url.as_str().starts_with("http://127.0.0.1:4000/callback?"));
        url.query_pairs().into_owned().collect()
    }

    fn json(answer: &Answer) -> Value {
        answer.json().unwrap()
    }

    fn text(answer: &Answer) -> String {
        String::from_utf8(answer.body().to_vec()).unwrap()
    }

    /// The value of the page's hidden field.
    fn hidden(page: &str, name: &str) -> String {
        let (_, rest) = page
            .split_once(&format!("type=hidden name={name} value=\""))
            .unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }

    #[tokio::test]
    async fn the_metadata_points_at_what_is_there() {
        let world = World::start(None).await;
        let metadata = json(&world.get("/.well-known/openid-configuration", &[]).await);
        assert_eq!(metadata["issuer"], world.base);
        assert_eq!(
            metadata["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert_eq!(
            metadata["authorization_response_iss_parameter_supported"],
            true
        );
        let keys = json(&world.get("/jwks", &[]).await);
        assert_eq!(keys["keys"][0]["alg"], "ES256");
        for name in ["token", "device_authorization", "revocation"] {
            let endpoint = metadata[format!("{name}_endpoint")].as_str().unwrap();
            let path = endpoint.strip_prefix(&world.base).unwrap();
            let answer = world.post(path, &[]).await;
            assert_eq!(answer.status, 400, "{name}");
            assert_eq!(json(&answer)["error"], "invalid_request", "{name}");
        }
    }

    #[tokio::test]
    async fn a_person_signs_in_with_the_browser() {
        let world = World::start(None).await;
        let page = world
            .authorize(&[("login_hint", "bruno@acme.example")])
            .await;
        assert_eq!(page.status, 200);
        assert!(
            page.headers["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'")
        );
        let page = text(&page);
        assert!(page.contains("Chloe Martin") && page.contains("is on call for everything"));
        let request = hidden(&page, "request");
        let answer = world
            .post("/sign-in", &[("request", &request), ("person", "bruno")])
            .await;
        let callback = location(&answer);
        assert_eq!(callback["state"], "st");
        assert_eq!(callback["iss"], world.base);
        let again = world
            .post("/sign-in", &[("request", &request), ("person", "ada")])
            .await;
        assert_eq!(again.status, 400, "a page counts once");

        let answer = world.redeem(&callback["code"]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["cache-control"], "no-store");
        let tokens = json(&answer);
        assert_eq!(tokens["expires_in"], 3600);
        let claims = world
            .provider
            .key
            .verify(
                tokens["id_token"].as_str().unwrap(),
                &world.base,
                "bsql",
                world.provider.clock.now(),
            )
            .unwrap();
        assert_eq!(claims["sub"], "bruno@acme.example");
        assert_eq!(claims["nonce"], "no");
        assert_eq!(claims["groups"], json!(["orders"]));
        let access_token = tokens["access_token"].as_str().unwrap();
        assert_eq!(claims["at_hash"], at_hash(access_token));
        let info = json(&world.userinfo(access_token).await);
        assert_eq!(info["email"], "bruno@acme.example");

        let replay = world.redeem(&callback["code"]).await;
        assert_eq!(json(&replay)["error"], "invalid_grant");
        let answer = world.userinfo(access_token).await;
        assert_eq!(answer.status, 401, "a replayed code costs the tokens");
        assert_eq!(
            answer.headers["www-authenticate"],
            r#"Bearer error="invalid_token""#
        );
    }

    #[tokio::test]
    async fn saying_no_and_not_asking_are_told_by_redirect() {
        let world = World::start(None).await;
        let request = hidden(&text(&world.authorize(&[]).await), "request");
        let answer = world
            .post("/sign-in", &[("request", &request), ("deny", "1")])
            .await;
        let callback = location(&answer);
        assert_eq!(callback["error"], "access_denied");
        assert_eq!(callback["state"], "st");
        assert_eq!(callback["iss"], world.base);

        let callback = location(&world.authorize(&[("prompt", "none")]).await);
        assert_eq!(callback["error"], "login_required");
        assert_eq!(callback["iss"], world.base);

        let nobody = world
            .post("/sign-in", &[("request", &request), ("person", "eve")])
            .await;
        assert_eq!(nobody.status, 400);
        let elsewhere = world.get("/authorize", &[("client_id", "bsql")]).await;
        assert_eq!(elsewhere.status, 400, "no redirect to nowhere");
        assert!(!elsewhere.headers.contains_key("location"));
    }

    #[tokio::test]
    async fn auto_approval_rotation_and_revocation() {
        let world = World::start(person("chloe")).await;
        let callback = location(&world.authorize(&[]).await);
        let tokens = json(&world.redeem(&callback["code"]).await);
        let first = tokens["refresh_token"].as_str().unwrap().to_owned();
        assert!(first.starts_with("sbx-secret-"));
        let tokens = json(&world.refresh(&first).await);
        let second = tokens["refresh_token"].as_str().unwrap().to_owned();
        assert!(tokens["id_token"].is_string());
        assert_eq!(json(&world.refresh(&first).await)["error"], "invalid_grant");
        assert_eq!(
            json(&world.refresh(&second).await)["error"],
            "invalid_grant"
        );

        let callback = location(&world.authorize(&[]).await);
        let tokens = json(&world.redeem(&callback["code"]).await);
        let token = tokens["refresh_token"].as_str().unwrap();
        for _ in 0..2 {
            let answer = world
                .post("/revoke", &[("client_id", "bsql"), ("token", token)])
                .await;
            assert_eq!(answer.status, 200, "also when there is nothing left");
        }
        assert_eq!(world.refresh(token).await.status, 400);
    }

    #[tokio::test]
    async fn a_device_is_approved_on_its_page() {
        let world = World::start(None).await;
        let form = [("client_id", "bsql"), ("scope", "openid")];
        let device = json(&world.post("/device_authorization", &form).await);
        assert_eq!(device["interval"], 1);
        let user_code = device["user_code"].as_str().unwrap();
        let poll = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", "bsql"),
            ("device_code", device["device_code"].as_str().unwrap()),
        ];
        assert_eq!(
            json(&world.post("/token", &poll).await)["error"],
            "authorization_pending"
        );

        assert!(text(&world.get("/device", &[]).await).contains("name=user_code"));
        let wrong = world.get("/device", &[("user_code", "<b>")]).await;
        assert_eq!(wrong.status, 404);
        assert!(text(&wrong).contains("&lt;b&gt;"));
        let page = text(&world.get("/device", &[("user_code", user_code)]).await);
        assert_eq!(hidden(&page, "user_code"), user_code);
        let answer = world
            .post("/device", &[("user_code", user_code), ("person", "ada")])
            .await;
        assert!(text(&answer).contains("Ada Berg"));
        let denied = world
            .post("/device", &[("user_code", user_code), ("deny", "1")])
            .await;
        assert_eq!(denied.status, 404, "answered already");
    }

    #[tokio::test]
    async fn devices_are_auto_approved_too() {
        let world = World::start(Some(&PEOPLE[0])).await;
        let form = [("client_id", "bsql"), ("scope", "openid")];
        let device = json(&world.post("/device_authorization", &form).await);
        let poll = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", "bsql"),
            ("device_code", device["device_code"].as_str().unwrap()),
        ];
        let tokens = json(&world.post("/token", &poll).await);
        let person = world
            .provider
            .subject_tokens()
            .verify(tokens["id_token"].as_str().unwrap())
            .unwrap();
        assert_eq!(person.id, "ada");
        assert!(tokens.get("refresh_token").is_none());
        assert_eq!(
            json(&world.post("/token", &poll).await)["error"],
            "invalid_grant"
        );
    }

    #[tokio::test]
    async fn tokens_for_strangers_and_odd_grants_are_refused() {
        let world = World::start(Some(&PEOPLE[0])).await;
        let code = location(&world.authorize(&[]).await)["code"].clone();
        let exchange = async |client: &str, more: &[(&str, &str)]| {
            let mut form = vec![
                ("grant_type", "authorization_code"),
                ("client_id", client),
                ("code", &code),
                ("redirect_uri", REDIRECT),
                ("code_verifier", VERIFIER),
            ];
            form.extend(more);
            let answer = world.post("/token", &form).await;
            let error = json(&answer)["error"].as_str().unwrap().to_owned();
            (answer.status.as_u16(), error)
        };
        let secret = [("client_secret", "x")];
        assert_eq!(
            exchange("bsql", &secret).await,
            (401, "invalid_client".into())
        );
        assert_eq!(exchange("eve", &[]).await, (401, "invalid_client".into()));
        let twice = [("code", "x")];
        assert_eq!(
            exchange("bsql", &twice).await,
            (400, "invalid_request".into())
        );
        assert_eq!(
            exchange("acme-portal", &[]).await,
            (400, "invalid_grant".into())
        );
        let form = [("grant_type", "password"), ("client_id", "bsql")];
        let answer = world.post("/token", &form).await;
        assert_eq!(json(&answer)["error"], "unsupported_grant_type");
    }

    #[tokio::test]
    async fn it_can_be_asked_to_fail() {
        let world = World::start(None).await;
        world.provider.settings.faults.set(Faults {
            token_status: Some(500),
            discovery_status: Some(503),
            ..Faults::default()
        });
        let answer = world.get("/.well-known/openid-configuration", &[]).await;
        assert_eq!(answer.status, 503);
        assert_eq!(world.get("/jwks", &[]).await.status, 503);
        assert_eq!(world.refresh("x").await.status, 500);
        world.provider.settings.faults.set(Faults::default());
        assert_eq!(world.get("/jwks", &[]).await.status, 200);
    }
}
