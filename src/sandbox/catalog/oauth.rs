//! Backstage's own OAuth server with the client that is built in for `backstage-cli` (plugins/auth-backend of 1.55), and
//! the page where a person agrees.
//!
//! As there: a request that is refused is JSON in the browser and never reaches the client, `expires_in` is an hour
//! whatever the token says, a refresh token is good once, and revoking needs the `client_id`.
//!
//! Not implemented, because bsql does not ask for it: dynamic client registration, other clients' documents, and the API
//! of the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::answer::{ApiError, render_errors};
use crate::clock::Clock;
use crate::sandbox::company::{PEOPLE, Person, person};
use crate::sandbox::http::{bearer, opaque_secret, random};
use crate::sandbox::idp::keys::SigningKey;

/// The audience of Backstage's own tokens.
const AUDIENCE: &str = "backstage";
/// How long the page may take.
const PAGE_LIFE: SignedDuration = SignedDuration::from_hours(1);
const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// The server.
#[derive(Debug)]
pub(in crate::sandbox) struct OAuth {
    key: SigningKey,
    /// The backend, without a slash at the end.
    base_url: String,
    auto_approve: Option<&'static Person>,
    token_life: SignedDuration,
    state: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    /// Requests whose page is open, by their id.
    asked: BTreeMap<String, Asked>,
    codes: BTreeMap<String, Granted>,
    refresh_tokens: BTreeMap<String, (&'static Person, String)>,
}

/// An authorization request.
#[derive(Debug, Clone)]
struct Asked {
    redirect_uri: Url,
    state: Option<String>,
    scope: String,
    challenge: String,
    at: Timestamp,
}

/// What a code stands for.
#[derive(Debug)]
struct Granted {
    asked: Asked,
    person: &'static Person,
    at: Timestamp,
}

type Parameters = BTreeMap<String, String>;

impl OAuth {
    /// For the backend at `base_url`.
    pub(in crate::sandbox) fn new(
        base_url: &Url,
        auto_approve: Option<&'static Person>,
        token_life: SignedDuration,
    ) -> Arc<Self> {
        Arc::new(Self {
            key: SigningKey::generate(),
            base_url: base_url.as_str().trim_end_matches('/').to_owned(),
            auto_approve,
            token_life,
            state: Mutex::default(),
        })
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        let api = Router::new()
            .route("/.well-known/oauth-client/cli.json", get(client_document))
            .route("/v1/authorize", get(authorize))
            .route("/v1/token", post(token))
            .route("/v1/revoke", post(revoke))
            .route("/v1/userinfo", get(user_info))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .layer(from_fn(render_errors));
        Router::new()
            .nest("/api/auth", api)
            .route("/oauth2/authorize/{id}", get(page).post(agree))
            .with_state(self)
    }

    /// Who a token of this Backstage speaks for; None if it is another issuer's, which others may know.
    pub(super) fn user(&self, token: &str) -> Option<Result<&'static Person, ApiError>> {
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        // Whoever signed it: the audience alone makes it a user's token.
        (claims["aud"] == AUDIENCE).then(|| {
            self.key
                .verify(token, &self.issuer(), AUDIENCE, Clock::system().now())
                .ok()
                .and_then(|claims| person(claims["sub"].as_str()?.strip_prefix("user:default/")?))
                .ok_or_else(|| ApiError::authentication("Failed user token verification"))
        })
    }

    fn issuer(&self) -> String {
        format!("{}/api/auth", self.base_url)
    }

    fn client_id(&self) -> String {
        format!("{}/.well-known/oauth-client/cli.json", self.issuer())
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a request and keeps it; returns its id.
    fn ask(&self, sent: &Parameters) -> Result<String, ApiError> {
        let of = |name: &str| sent.get(name).map_or("", String::as_str);
        if of("client_id") != self.client_id() {
            return Err(ApiError::input("Invalid client_id"));
        }
        let redirect_uri = of("redirect_uri")
            .parse::<Url>()
            .ok()
            .filter(|url| {
                url.scheme() == "http"
                    && url.host_str() == Some("127.0.0.1")
                    && url.path() == "/callback"
            })
            .ok_or_else(|| ApiError::input("Invalid redirect_uri"))?;
        if of("response_type") != "code" {
            return Err(ApiError::input("Only authorization code flow is supported"));
        }
        if of("code_challenge").is_empty() || of("code_challenge_method") != "S256" {
            return Err(ApiError::input("PKCE with S256 is required"));
        }
        // Not a secret: it is in the address that the person is shown.
        let id = URL_SAFE_NO_PAD.encode(random::<16>());
        let asked = Asked {
            redirect_uri,
            state: sent.get("state").cloned(),
            scope: of("scope").to_owned(),
            challenge: of("code_challenge").to_owned(),
            at: Clock::system().now(),
        };
        self.sessions().asked.insert(id.clone(), asked);
        Ok(id)
    }

    /// Answers a request, once: with a code for somebody, or with a no. None when there is no such request.
    fn conclude(&self, id: &str, who: Option<&'static Person>) -> Option<Url> {
        let mut sessions = self.sessions();
        let asked = sessions
            .asked
            .remove(id)
            .filter(|it| is_young(it.at, PAGE_LIFE))?;
        let mut url = asked.redirect_uri.clone();
        let state = asked.state.clone();
        if let Some(person) = who {
            let code = opaque_secret();
            url.query_pairs_mut().append_pair("code", &code);
            let at = Clock::system().now();
            sessions.codes.insert(code, Granted { asked, person, at });
        } else {
            url.query_pairs_mut().append_pair("error", "access_denied");
        }
        if let Some(state) = state {
            url.query_pairs_mut().append_pair("state", &state);
        }
        Some(url)
    }

    fn redeem(&self, sent: &Parameters) -> Result<Value, Refusal> {
        let of = |name: &str| sent.get(name).map_or("", String::as_str);
        let taken = self.sessions().codes.remove(of("code"));
        let granted = taken
            .filter(|granted| is_young(granted.at, CODE_LIFE))
            .ok_or(Refusal("invalid_grant", "Invalid authorization code"))?;
        if of("redirect_uri") != granted.asked.redirect_uri.as_str() {
            return Err(Refusal("invalid_grant", "Redirect URI mismatch"));
        }
        let verifier = digest(&SHA256, of("code_verifier").as_bytes());
        if URL_SAFE_NO_PAD.encode(verifier) != granted.asked.challenge {
            return Err(Refusal("invalid_grant", "Invalid code verifier"));
        }
        Ok(self.tokens(granted.person, granted.asked.scope))
    }

    fn refresh(&self, sent: &Parameters) -> Result<Value, Refusal> {
        let token = sent.get("refresh_token").map_or("", String::as_str);
        // It dies at once, so of two that come together one fails.
        let taken = self.sessions().refresh_tokens.remove(token);
        let (person, scope) = taken.ok_or(Refusal("invalid_grant", "Invalid refresh token"))?;
        Ok(self.tokens(person, scope))
    }

    fn tokens(&self, person: &'static Person, scope: String) -> Value {
        let now = Clock::system().now().as_second();
        let token = self.key.sign(&json!({
            "iss": self.issuer(),
            "sub": format!("user:default/{}", person.id),
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + self.token_life.as_secs(),
        }));
        let mut answer = json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": token,
            "scope": scope,
        });
        if scope.split(' ').any(|scope| scope == "offline_access") {
            let refresh_token = opaque_secret();
            answer["refresh_token"] = json!(refresh_token);
            let mut sessions = self.sessions();
            sessions
                .refresh_tokens
                .insert(refresh_token, (person, scope));
        }
        answer
    }
}

fn is_young(since: Timestamp, life: SignedDuration) -> bool {
    Clock::system().now().duration_since(since) < life
}

/// An error of RFC 6749 section 5.2.
#[derive(Debug)]
struct Refusal(&'static str, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0 {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({ "error": self.0, "error_description": self.1 });
        (status, Json(body)).into_response()
    }
}

fn parameters(encoded: &str) -> Parameters {
    form_urlencoded::parse(encoded.as_bytes())
        .into_owned()
        .collect()
}

/// JSON or a form, both are fine.
fn body(headers: &HeaderMap, body: &str) -> Parameters {
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if is_json {
        serde_json::from_str(body).unwrap_or_default()
    } else {
        parameters(body)
    }
}

async fn client_document(State(oauth): State<Arc<OAuth>>) -> Json<Value> {
    Json(json!({
        "client_id": oauth.client_id(),
        "client_name": "Backstage CLI",
        "redirect_uris": ["http://127.0.0.1:8055/callback"],
        "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
        "scope": "openid offline_access",
    }))
}

async fn authorize(
    State(oauth): State<Arc<OAuth>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let id = oauth.ask(&parameters(query.as_deref().unwrap_or_default()))?;
    Ok(found(&format!("{}/oauth2/authorize/{id}", oauth.base_url)))
}

async fn token(
    State(oauth): State<Arc<OAuth>>,
    headers: HeaderMap,
    sent: String,
) -> Result<Json<Value>, Refusal> {
    let sent = body(&headers, &sent);
    let answer = match sent.get("grant_type").map(String::as_str) {
        Some("authorization_code") => oauth.redeem(&sent),
        Some("refresh_token") => oauth.refresh(&sent),
        _ => Err(Refusal("unsupported_grant_type", "Unsupported grant type")),
    };
    answer.map(Json)
}

async fn revoke(
    State(oauth): State<Arc<OAuth>>,
    headers: HeaderMap,
    sent: String,
) -> Result<StatusCode, Refusal> {
    let sent = body(&headers, &sent);
    if sent.get("client_id") != Some(&oauth.client_id()) {
        return Err(Refusal("invalid_client", "Invalid client"));
    }
    if let Some(token) = sent.get("token") {
        oauth.sessions().refresh_tokens.remove(token);
    }
    Ok(StatusCode::OK)
}

/// Who somebody is and what they own, as it was kept when they last signed in to the web interface.
async fn user_info(
    State(oauth): State<Arc<OAuth>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let token = bearer(&headers).ok_or_else(|| ApiError::authentication("No token provided"))?;
    let person = oauth
        .user(token)
        .ok_or_else(|| ApiError::authentication("Illegal token"))??;
    let user = format!("user:default/{}", person.id);
    let groups = person.groups.iter();
    let owns: Vec<String> = std::iter::once(user.clone())
        .chain(groups.map(|group| format!("group:default/{group}")))
        .collect();
    Ok(Json(json!({ "claims": { "sub": user, "ent": owns } })))
}

/// Whom the person is at Backstage, and whether bsql may act for them.
async fn page(State(oauth): State<Arc<OAuth>>, Path(id): Path<String>) -> Response {
    if let Some(person) = oauth.auto_approve {
        return back(oauth.conclude(&id, Some(person)));
    }
    if !oauth.sessions().asked.contains_key(&id) {
        return back(None);
    }
    let mut people = String::new();
    for Person { id, name, .. } in &PEOPLE {
        let _ = write!(
            people,
            "<p><button name=person value={id}>Authorize as {name}</button></p>"
        );
    }
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Authorization request</title>\
         <h1>Authorization request</h1><p><strong>Backstage CLI</strong> on this computer wants to act for you at Acme's \
         Backstage. Nobody in this sandbox is real.</p>\
         <form method=post>{people}<p><button name=deny value=1>Cancel</button></p></form></html>"
    ))
    .into_response()
}

async fn agree(State(oauth): State<Arc<OAuth>>, Path(id): Path<String>, sent: String) -> Response {
    let sent = parameters(&sent);
    match sent.get("person").and_then(|id| person(id)) {
        Some(person) => back(oauth.conclude(&id, Some(person))),
        None if sent.contains_key("deny") => back(oauth.conclude(&id, None)),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Sends the browser back to the client.
fn back(url: Option<Url>) -> Response {
    match url {
        Some(url) => found(url.as_str()),
        None => (StatusCode::NOT_FOUND, "There is no such request.").into_response(),
    }
}

fn found(location: &str) -> Response {
    (StatusCode::FOUND, [(LOCATION, location.to_owned())]).into_response()
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;
    use tokio_util::sync::DropGuard;

    use super::*;
    use crate::http::{Answer, HttpClient};
    use crate::sandbox::http::Bound;

    const VERIFIER: &str = "verifier";

    struct World {
        http: HttpClient,
        oauth: Arc<OAuth>,
        _stop: DropGuard,
    }

    impl World {
        async fn new(auto_approve: Option<&'static Person>) -> Self {
            let bound = Bound::loopback().await.unwrap();
            let oauth = OAuth::new(bound.url(), auto_approve, SignedDuration::from_mins(10));
            let stop = CancellationToken::new();
            bound.serve(Arc::clone(&oauth).router(), stop.clone());
            Self {
                http: HttpClient::new(Vec::new()).unwrap(),
                oauth,
                _stop: stop.drop_guard(),
            }
        }

        fn url(&self, path: &str) -> Url {
            format!("{}{path}", self.oauth.base_url).parse().unwrap()
        }

        async fn get(&self, url: Url) -> Answer {
            self.http.send("it", self.http.get(url)).await.unwrap()
        }

        async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
            let request = self.http.post(self.url(path)).form(form);
            self.http.send("it", request).await.unwrap()
        }

        /// The authorization request, with one parameter changed.
        async fn authorize(&self, name: &str, value: &str) -> Answer {
            let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
            let client_id = self.oauth.client_id();
            let mut sent = BTreeMap::from([
                ("client_id", client_id.as_str()),
                ("redirect_uri", "http://127.0.0.1:9/callback"),
                ("response_type", "code"),
                ("scope", "openid offline_access"),
                ("state", "s"),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ]);
            sent.insert(name, value);
            let mut url = self.url("/api/auth/v1/authorize");
            url.query_pairs_mut().extend_pairs(sent);
            self.get(url).await
        }

        /// Signs in and returns the answer of the token endpoint.
        async fn sign_in(&self) -> Value {
            let to_page = location(&self.authorize("state", "s").await);
            let back = location(&self.get(to_page).await);
            let code = parameters(back.query().unwrap())["code"].clone();
            let sent = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", "http://127.0.0.1:9/callback"),
                ("code_verifier", VERIFIER),
            ];
            let answer = self.post("/api/auth/v1/token", &sent).await;
            let again = self.post("/api/auth/v1/token", &sent).await;
            assert_eq!(again.status, 400, "a code is good once");
            answer.json().unwrap()
        }

        async fn refresh(&self, token: &Value) -> Answer {
            let token = token.as_str().unwrap();
            let sent = [("grant_type", "refresh_token"), ("refresh_token", token)];
            self.post("/api/auth/v1/token", &sent).await
        }
    }

    fn location(answer: &Answer) -> Url {
        assert_eq!(answer.status, 302, "{}", answer.excerpt());
        answer.headers["location"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    #[tokio::test]
    async fn tokens_are_a_persons_and_refresh_tokens_are_good_once() {
        let world = World::new(person("ada")).await;
        let tokens = world.sign_in().await;
        assert_eq!(
            tokens["expires_in"], 3600,
            "though the token lives 10 minutes"
        );
        let token = tokens["access_token"].as_str().unwrap();
        assert_eq!(world.oauth.user(token).unwrap().unwrap().id, "ada");
        let other = World::new(None).await;
        assert!(other.oauth.user(token).unwrap().is_err(), "another's key");
        assert!(world.oauth.user("e30.e30.c2ln").is_none());

        let renewed: Value = world
            .refresh(&tokens["refresh_token"])
            .await
            .json()
            .unwrap();
        let twice = world.refresh(&tokens["refresh_token"]).await;
        assert_eq!(twice.status, 400);
        let refusal: Value = twice.json().unwrap();
        assert_eq!(refusal["error_description"], "Invalid refresh token");

        let token = renewed["refresh_token"].as_str().unwrap();
        let revoked = world.post("/api/auth/v1/revoke", &[("token", token)]).await;
        assert_eq!(revoked.status, 401, "without client_id");
        let client_id = world.oauth.client_id();
        let sent = [("token", token), ("client_id", &client_id)];
        assert_eq!(world.post("/api/auth/v1/revoke", &sent).await.status, 200);
        assert_eq!(world.refresh(&renewed["refresh_token"]).await.status, 400);
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_to_the_browser_and_not_to_the_client() {
        let world = World::new(None).await;
        for (name, value, said) in [
            (
                "client_id",
                "https://bsql.example/cli.json",
                "Invalid client_id",
            ),
            (
                "redirect_uri",
                "http://localhost:9/callback",
                "Invalid redirect_uri",
            ),
            (
                "redirect_uri",
                "http://127.0.0.1:9/cb",
                "Invalid redirect_uri",
            ),
            ("code_challenge", "", "PKCE with S256 is required"),
        ] {
            let answer = world.authorize(name, value).await;
            assert_eq!(answer.status, 400, "{name}");
            let problem: Value = answer.json().unwrap();
            assert_eq!(problem["error"]["message"], said);
            assert_eq!(problem["error"]["name"], "InputError");
        }
    }

    #[tokio::test]
    async fn the_person_chooses_on_the_page() {
        let world = World::new(None).await;
        let to_page = location(&world.authorize("state", "s").await);
        assert!(
            world
                .get(to_page.clone())
                .await
                .excerpt()
                .contains("Backstage CLI")
        );
        let refused = world.post(to_page.path(), &[("deny", "1")]).await;
        assert_eq!(
            location(&refused).as_str(),
            "http://127.0.0.1:9/callback?error=access_denied&state=s"
        );
        let twice = world.post(to_page.path(), &[("person", "ada")]).await;
        assert_eq!(twice.status, 404, "it was answered");
    }
}
