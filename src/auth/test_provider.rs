//! A small OpenID provider on a loopback socket, and a person with a browser, for this room's tests. Written from the
//! specifications and not shared with the sandbox, so that a mistake in one is not hidden by the other.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::task::AbortOnDropHandle;
use url::{Url, form_urlencoded};

use super::prompt::{LoginPrompt, PastedLine};
use super::provider::{IdentityProvider, Registration};
use crate::clock::Clock;
use crate::http::HttpClient;

pub(super) const CLIENT_ID: &str = "bsql";

/// What the provider does, and what it was asked.
pub(super) struct State {
    key: EcdsaKeyPair,
    kid: u32,
    /// Authorization requests by code.
    codes: HashMap<String, HashMap<String, String>>,
    pushed: HashMap<String, HashMap<String, String>>,
    /// The only refresh token that is good, if there is one.
    pub(super) refresh_token: Option<String>,
    issued: u32,
    /// Changes the metadata document.
    pub(super) metadata: fn(&mut Value),
    /// Changes the claims before they are signed.
    pub(super) claims: fn(&mut Value),
    /// Changes the signed token.
    pub(super) id_token: fn(String) -> String,
    /// Changes the parameters of the redirect.
    pub(super) redirect: fn(&mut Vec<(&'static str, String)>),
    /// The token endpoint's answers to come, before it works again.
    pub(super) token_answers: VecDeque<(u16, &'static str)>,
    /// The JWKS endpoint's answers to come, before it works again.
    pub(super) jwks_answers: VecDeque<u16>,
    /// The device endpoint's answers to come, before it works again.
    pub(super) device_answers: VecDeque<(u16, &'static str)>,
    /// Whether refresh tokens can be used once only.
    pub(super) rotates: bool,
    /// The answers to device polls, before the tokens.
    pub(super) device_polls: VecDeque<(u16, &'static str)>,
    /// Paths and forms, in order.
    pub(super) requests: Vec<(String, HashMap<String, String>)>,
}

/// Stops when dropped.
pub(super) struct TestProvider {
    pub(super) issuer: String,
    state: Arc<Mutex<State>>,
    _task: AbortOnDropHandle<()>,
}

fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap()
}

pub(super) fn http() -> HttpClient {
    HttpClient::new(Vec::new()).unwrap()
}

impl TestProvider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            key: new_key(),
            kid: 1,
            codes: HashMap::new(),
            pushed: HashMap::new(),
            refresh_token: None,
            issued: 0,
            metadata: |_| {},
            claims: |_| {},
            id_token: |token| token,
            redirect: |_| {},
            token_answers: VecDeque::new(),
            jwks_answers: VecDeque::new(),
            device_answers: VecDeque::new(),
            rotates: true,
            device_polls: VecDeque::new(),
            requests: Vec::new(),
        }));
        let serving = (issuer.clone(), Arc::clone(&state));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (issuer, state) = serving.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| async {
                        Ok::<_, Infallible>(answer(&issuer, &state, request).await)
                    });
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            issuer,
            state,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn rotate_keys(&self) {
        let mut state = self.state();
        state.key = new_key();
        state.kid += 1;
    }

    /// How often `path` was asked for.
    pub(super) fn count(&self, path: &str) -> usize {
        let state = self.state();
        state.requests.iter().filter(|(p, _)| p == path).count()
    }

    /// The last form that was sent to `path`.
    pub(super) fn last_form(&self, path: &str) -> HashMap<String, String> {
        let state = self.state();
        let last = state.requests.iter().rev().find(|(p, _)| p == path);
        last.unwrap().1.clone()
    }

    pub(super) async fn discover(&self) -> crate::error::Result<IdentityProvider> {
        let registration = Registration {
            client_id: CLIENT_ID.to_owned(),
            public_client_secret: None,
            authorize_params: [("access_type", "offline"), ("prompt", "consent")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        };
        IdentityProvider::discover(http(), &self.issuer, registration, Clock::system()).await
    }
}

async fn answer(
    issuer: &str,
    state: &Mutex<State>,
    request: Request<Incoming>,
) -> Response<String> {
    let path = request.uri().path().to_owned();
    let mut form = parse(request.uri().query().unwrap_or_default().as_bytes());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    form.extend(parse(&body));
    let mut state = state.lock().unwrap();
    state.requests.push((path.clone(), form.clone()));
    match path.as_str() {
        "/.well-known/openid-configuration" => {
            let mut document = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/jwks"),
                "device_authorization_endpoint": format!("{issuer}/device"),
                "revocation_endpoint": format!("{issuer}/revoke"),
                "end_session_endpoint": format!("{issuer}/logout"),
                "code_challenge_methods_supported": ["S256"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "authorization_response_iss_parameter_supported": true,
            });
            (state.metadata)(&mut document);
            respond(200, &document)
        }
        "/jwks" => match state.jwks_answers.pop_front() {
            Some(status) => respond(status, &json!({})),
            None => respond(200, &jwks(&state)),
        },
        "/par" => {
            state.pushed.insert("urn:request:1".to_owned(), form);
            respond(
                201,
                &json!({ "request_uri": "urn:request:1", "expires_in": 60 }),
            )
        }
        "/authorize" => authorize(&mut state, issuer, form),
        "/token" => token(&mut state, issuer, &form),
        "/device" => match state.device_answers.pop_front() {
            Some((status, body)) => raw(status, body.to_owned()),
            None => respond(
                200,
                &json!({
                    "device_code": "d", "user_code": "KNJS-\u{1b}CJFD",
                    "verification_uri": format!("{issuer}/enter"),
                    "verification_uri_complete": format!("{issuer}/enter?user_code=KNJS-CJFD"),
                    "expires_in": 600, "interval": 7,
                }),
            ),
        },
        "/revoke" => respond(200, &json!({})),
        _ => respond(404, &json!({})),
    }
}

fn parse(form: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}

fn respond(status: u16, body: &Value) -> Response<String> {
    raw(status, body.to_string())
}

fn raw(status: u16, body: String) -> Response<String> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

fn jwks(state: &State) -> Value {
    let (x, y) = state.key.public_key().as_ref()[1..].split_at(32);
    json!({ "keys": [
        { "kty": "something new", "kid": "odd" },
        {
            "kty": "EC", "crv": "P-256", "kid": state.kid.to_string(),
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        },
    ]})
}

fn authorize(
    state: &mut State,
    issuer: &str,
    mut asked: HashMap<String, String>,
) -> Response<String> {
    if let Some(uri) = asked.get("request_uri") {
        asked = state.pushed.remove(uri).unwrap();
    }
    state.issued += 1;
    let code = format!("code-{}", state.issued);
    let mut answer = vec![
        ("code", code.clone()),
        ("state", asked["state"].clone()),
        ("iss", issuer.to_owned()),
    ];
    (state.redirect)(&mut answer);
    let mut to = Url::parse(&asked["redirect_uri"]).unwrap();
    to.query_pairs_mut().extend_pairs(&answer);
    state.codes.insert(code, asked);
    Response::builder()
        .status(302)
        .header("location", to.as_str())
        .body(String::new())
        .unwrap()
}

fn token(state: &mut State, issuer: &str, form: &HashMap<String, String>) -> Response<String> {
    if let Some((status, body)) = state.token_answers.pop_front() {
        return raw(status, body.to_owned());
    }
    let refuse = |why| {
        respond(
            400,
            &json!({ "error": "invalid_grant", "error_description": why }),
        )
    };
    if form["client_id"] != CLIENT_ID {
        return respond(400, &json!({ "error": "invalid_client" }));
    }
    let nonce = match form["grant_type"].as_str() {
        "authorization_code" => {
            let Some(asked) = state.codes.remove(&form["code"]) else {
                return refuse("no such code");
            };
            let challenge =
                URL_SAFE_NO_PAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()));
            if asked["code_challenge_method"] != "S256" || asked["code_challenge"] != challenge {
                return refuse("wrong verifier");
            }
            if asked["redirect_uri"] != form["redirect_uri"] {
                return refuse("wrong redirect URI");
            }
            asked.get("nonce").cloned()
        }
        "refresh_token" => {
            if state.refresh_token.as_ref() != Some(&form["refresh_token"]) {
                // A second use is theft: the whole family ends.
                state.refresh_token = None;
                return refuse("session \u{1b}[31mrevoked");
            }
            None
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            if let Some((status, body)) = state.device_polls.pop_front() {
                return raw(status, body.to_owned());
            }
            None
        }
        other => panic!("{other}"),
    };
    state.issued += 1;
    let access_token = format!("access-{}", state.issued);
    let refresh_token = if state.rotates || nonce.is_some() {
        json!(format!("refresh-{}", state.issued))
    } else {
        Value::Null
    };
    let now = Clock::system().now().as_second();
    let hash = digest(&SHA256, access_token.as_bytes());
    let mut claims = json!({
        "iss": issuer, "sub": "1", "aud": CLIENT_ID, "iat": now, "exp": now + 3600,
        "auth_time": now, "acr": "urn:pwd",
        "at_hash": URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]),
        "name": "Ada <b>", "email": "ada@acme.example",
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    (state.claims)(&mut claims);
    let id_token = (state.id_token)(sign(state, &claims));
    if let Some(token) = refresh_token.as_str() {
        state.refresh_token = Some(token.to_owned());
    }
    respond(
        200,
        &json!({
            "access_token": access_token, "token_type": "bearer", "expires_in": 3600,
            "refresh_token": refresh_token, "id_token": id_token,
        }),
    )
}

fn sign(state: &State, claims: &Value) -> String {
    let header = json!({ "alg": "ES256", "kid": state.kid.to_string() });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(claims));
    let signature = state
        .key
        .sign(&SystemRandom::new(), signed.as_bytes())
        .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Somebody at a terminal, with a browser that follows redirects.
#[derive(Default)]
pub(super) struct Person {
    pub(super) notes: Vec<String>,
    pub(super) visited: Vec<Url>,
    /// Verification URI, the complete one, and the code.
    pub(super) codes: Vec<(Url, Option<Url>, String)>,
    /// Turns the address of the callback into those that the browser loads, one after the other.
    pub(super) meddle: Option<fn(Url) -> Vec<Url>>,
    /// Goes to the provider and pastes what comes of it, after this line.
    pub(super) pastes: Option<&'static str>,
    /// Opens nothing.
    pub(super) has_no_browser: bool,
    pub(super) browser: Option<JoinHandle<Vec<(u16, String)>>>,
}

impl Person {
    /// The status and the text of every page that the browser ended at.
    pub(super) async fn pages(self) -> Vec<(u16, String)> {
        self.browser.unwrap().await.unwrap()
    }
}

/// Where the provider sends the browser to.
async fn callback_of(url: Url) -> Url {
    let http = http();
    let answer = http.send("the provider", http.get(url)).await.unwrap();
    let location = answer.headers["location"].to_str().unwrap();
    location.parse().unwrap()
}

async fn load(mut url: Url) -> (u16, String) {
    let http = http();
    loop {
        let answer = http.send("the page", http.get(url.clone())).await.unwrap();
        let Some(location) = answer.headers.get("location") else {
            let text = String::from_utf8(answer.body().to_vec()).unwrap();
            return (answer.status.as_u16(), text);
        };
        url = url.join(location.to_str().unwrap()).unwrap();
    }
}

impl LoginPrompt for Person {
    fn note(&mut self, line: &str) {
        self.notes.push(line.to_owned());
    }

    fn warn(&mut self, line: &str) {
        self.notes.push(format!("warning: {line}"));
    }

    fn open_browser(&mut self, url: &Url) -> bool {
        if self.has_no_browser {
            return false;
        }
        let url = url.clone();
        let meddle = self.meddle.unwrap_or(|url| vec![url]);
        self.browser = Some(tokio::spawn(async move {
            let mut pages = Vec::new();
            for url in meddle(callback_of(url).await) {
                pages.push(load(url).await);
            }
            pages
        }));
        true
    }

    fn visit(&mut self, url: &Url) {
        self.visited.push(url.clone());
    }

    fn enter_code(&mut self, verification_uri: &Url, complete: Option<&Url>, code: &str) {
        self.codes
            .push((verification_uri.clone(), complete.cloned(), code.to_owned()));
    }

    fn pasted(&mut self) -> PastedLine {
        let url = self.visited[0].clone();
        match self.pastes.take() {
            Some("") => Box::pin(async { Ok(None) }),
            Some(first) => {
                self.pastes = Some("the address");
                if first == "the address" {
                    Box::pin(async { Ok(Some(callback_of(url).await.into())) })
                } else {
                    Box::pin(async move { Ok(Some(first.to_owned())) })
                }
            }
            None => Box::pin(std::future::pending()),
        }
    }
}
