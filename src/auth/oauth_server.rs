//! An OAuth 2.0 authorization server that is no OpenID provider: signing in there yields an access token and no more.
//!
//! bsql needs no registration there. The server keeps a document about the client itself, and that document's `client_id`
//! is bsql's (OAuth Client ID Metadata Document, draft-ietf-oauth-client-id-metadata-document).

use reqwest::header;
use serde::Deserialize;
use url::Url;

use super::id_token::Claims;
use super::refusal::Refusal;
use super::token::TokenSet;
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::http::{Answer, HttpClient, require_secure};
use crate::secret::Secret;

/// Where the server is, as whoever knows its product says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// How messages name it.
    pub name: &'static str,
    /// What to do when bsql is not welcome there.
    pub help: &'static str,
    /// The issuer identifier; names the session in the token store.
    pub issuer: String,
    /// The document about the client.
    pub client_document: Url,
    /// RFC 6749 section 3.1. It is asked by bsql first: what it says no to would be shown in the browser only.
    pub authorization_endpoint: Url,
    /// RFC 6749 section 3.2.
    pub token_endpoint: Url,
    /// RFC 7009.
    pub revocation_endpoint: Url,
}

#[derive(Deserialize)]
struct ClientDocument {
    client_id: String,
}

impl AuthorizationServer {
    /// bsql's client id there.
    pub(super) async fn client_id(&self, http: &HttpClient) -> Result<String> {
        require_secure(&self.client_document)?;
        let request = http.get(self.client_document.clone());
        let answer = http.send_idempotent(self.name, request).await?;
        if answer.status.is_server_error() {
            return Err(self.failing(&answer));
        }
        let no_client = || format!("{} offers no sign-in for programs", self.name);
        if !answer.status.is_success() {
            return Err(ErrorKind::Config
                .error(no_client())
                .because(anyhow::anyhow!("it answered {}", answer.status))
                .hint(self.help));
        }
        let document: ClientDocument = answer.json().or_fail(ErrorKind::Config, no_client)?;
        Ok(document.client_id)
    }

    /// Asks the authorization endpoint and returns where it sends the browser.
    pub(super) async fn pre_flight(&self, http: &HttpClient, url: &Url) -> Result<Url> {
        let answer = http.send(self.name, http.get(url.clone())).await?;
        if answer.status.is_server_error() {
            return Err(self.failing(&answer));
        }
        if !answer.status.is_redirection() {
            return Err(ErrorKind::Config
                .error(format!("{} does not let bsql ask for a sign-in", self.name))
                .because(anyhow::anyhow!(
                    "it answered {}: {}",
                    answer.status,
                    printable(&answer.excerpt())
                ))
                .hint(self.help));
        }
        let nowhere = || format!("{} does not say where to sign in", self.name);
        let location = answer.headers.get(header::LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let location = location
            .and_then(|location| url.join(location).ok())
            .ok_or_else(|| ErrorKind::Refused.error(nowhere()))?;
        require_secure(&location)?;
        Ok(location)
    }

    /// The tokens of a grant. Nothing is verified: the token is for others to judge, and it came from the server itself,
    /// over TLS. Only its end is read, because what the server says next to it may be wrong.
    pub(super) fn accept(
        &self,
        access_token: &Secret,
        refresh_token: Option<&Secret>,
        same_person_as: Option<&str>,
    ) -> Result<(TokenSet, Claims)> {
        let claims = Claims::of_checked_token(access_token).ok_or_else(|| {
            ErrorKind::Refused.error(format!("the token of {} does not say its end", self.name))
        })?;
        if same_person_as.is_some_and(|before| before != claims.subject) {
            return Err(ErrorKind::Refused.error(format!(
                "{} gave the token of somebody else: `{}`",
                self.name,
                printable(&claims.subject)
            )));
        }
        let tokens = TokenSet {
            id_token: access_token.clone(),
            access_token: access_token.clone(),
            refresh_token: refresh_token.cloned(),
            expires_at: claims.expires_at,
        };
        Ok((tokens, claims))
    }

    /// What a no means.
    pub(super) fn refused(&self, refusal: &Refusal) -> Error {
        let name = self.name;
        let words = || anyhow::anyhow!("{}: {}", printable(&refusal.code), refusal.words());
        match refusal.code.as_str() {
            "invalid_grant" => {
                ErrorKind::SignedOut.error(format!("signed out of {name}: {}", refusal.words()))
            }
            "access_denied" => ErrorKind::Denied
                .error(format!("the sign-in to {name} was declined"))
                .because(words()),
            "server_error" | "temporarily_unavailable" => ErrorKind::Unavailable
                .error(format!("{name} is failing"))
                .because(words())
                .hint("wait a minute and run it again"),
            _ => ErrorKind::Config
                .error(format!("{name} does not accept how bsql signs in"))
                .because(words())
                .hint(self.help),
        }
    }

    fn failing(&self, answer: &Answer) -> Error {
        ErrorKind::Unavailable
            .error(format!("{} is failing", self.name))
            .because(anyhow::anyhow!("it answered {}", answer.status))
            .hint("wait a minute and run it again")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::SignedDuration;
    use ring::digest::{SHA256, digest};
    use serde_json::json;

    use super::super::file_store::FileStore;
    use super::super::flow::Flow;
    use super::super::session::{Session, SignIn};
    use super::super::test_provider::{Person, http};
    use super::*;
    use crate::clock::Clock;
    use crate::loopback::{Request, Response, Server};

    const CLIENT: &str = "https://server.example/client.json";

    /// What the server remembers, and how it is set up.
    #[derive(Default)]
    struct Memory {
        challenge: String,
        redirect_uri: String,
        /// The one that is good.
        refresh_token: u32,
        person: &'static str,
        refuses_to_ask: bool,
        declines: bool,
    }

    /// The access token. Next to it the server says an hour, whatever the token says.
    fn token(person: &str, ends_in: i64) -> String {
        let now = Clock::system().now().as_second();
        let claims =
            json!({ "iss": "i", "sub": person, "aud": "a", "iat": now, "exp": now + ends_in });
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn respond(memory: &mut Memory, request: &Request) -> Response {
        let form = |name: &str| request.form(name).concat();
        match request.path() {
            "/client.json" => Response::json(200, &json!({ "client_id": CLIENT })),
            "/authorize" if memory.refuses_to_ask => {
                let problem = json!({ "error": { "message": "Failed to fetch client metadata" } });
                Response::json(400, &problem)
            }
            "/authorize" => {
                assert_eq!(request.query("client_id"), [CLIENT]);
                assert_eq!(request.query("code_challenge_method"), ["S256"]);
                assert_eq!(request.query("scope"), ["openid offline_access"]);
                memory.challenge = request.query("code_challenge").concat();
                memory.redirect_uri = request.query("redirect_uri").concat();
                let state = request.query("state").concat();
                let page = format!("/consent?state={state}");
                Response::json(302, &json!({})).header("location", &page)
            }
            // Only the page that the browser was sent to leads back.
            "/consent" => {
                let state = request.query("state").concat();
                let result = if memory.declines {
                    "error=access_denied"
                } else {
                    "code=c0de"
                };
                let back = format!("{}?{result}&state={state}", memory.redirect_uri);
                Response::json(302, &json!({})).header("location", &back)
            }
            "/token" => {
                let good = match form("grant_type").as_str() {
                    "authorization_code" => {
                        let verifier = digest(&SHA256, form("code_verifier").as_bytes());
                        form("code") == "c0de"
                            && form("redirect_uri") == memory.redirect_uri
                            && URL_SAFE_NO_PAD.encode(verifier) == memory.challenge
                    }
                    _ => form("refresh_token") == format!("r{}", memory.refresh_token),
                };
                if !good {
                    let refusal = json!({ "error": "invalid_grant", "error_description": "Invalid refresh token" });
                    return Response::json(400, &refusal);
                }
                memory.refresh_token += 1;
                Response::json(
                    200,
                    &json!({
                        "access_token": token(memory.person, 600), "token_type": "Bearer", "expires_in": 3600,
                        "refresh_token": format!("r{}", memory.refresh_token),
                    }),
                )
            }
            "/revoke" if form("client_id") == CLIENT => {
                assert_eq!(form("token"), format!("r{}", memory.refresh_token));
                memory.refresh_token = 1000;
                Response::json(200, &json!({}))
            }
            _ => Response::json(401, &json!({ "error": "invalid_client" })),
        }
    }

    async fn start(memory: Memory) -> (Server, Arc<Mutex<Memory>>) {
        let memory = Arc::new(Mutex::new(memory));
        let remembered = Arc::clone(&memory);
        let server =
            Server::start(move |request| respond(&mut remembered.lock().unwrap(), request)).await;
        (server, memory)
    }

    fn ada() -> Memory {
        Memory {
            person: "user:default/ada",
            ..Memory::default()
        }
    }

    /// A session as in a process of its own, whose clock is `ahead` seconds.
    fn session(server: &Server, directory: &Path, ahead: i64) -> Session {
        let at = |path: &str| server.url().join(path).unwrap();
        let server = AuthorizationServer {
            name: "Backroom",
            help: "ask in the backroom",
            issuer: server.url().to_string(),
            client_document: at("client.json"),
            authorization_endpoint: at("authorize"),
            token_endpoint: at("token"),
            revocation_endpoint: at("revoke"),
        };
        Session::at(
            http(),
            server,
            ["openid", "offline_access"].map(str::to_owned).to_vec(),
            Arc::new(FileStore::new(directory.join("tokens"))),
            directory.join("locks"),
            Clock::ahead_by(SignedDuration::from_secs(ahead)),
        )
    }

    async fn sign_in(session: &Session) -> Result<Claims> {
        let how = SignIn {
            flow: Flow::Browser,
            ..SignIn::default()
        };
        session.sign_in(&how, &mut Person::default()).await
    }

    #[tokio::test]
    async fn signs_in_refreshes_in_turn_and_signs_out() {
        let (server, memory) = start(ada()).await;
        let directory = tempfile::tempdir().unwrap();
        let first = session(&server, directory.path(), 0);
        let claims = sign_in(&first).await.unwrap();
        assert_eq!(claims.subject, "user:default/ada");
        let tokens = first.tokens().await.unwrap();
        let left = tokens.expires_at.duration_since(Clock::system().now());
        assert!(
            left.as_secs() <= 600,
            "the token's own end counts: {left:?}"
        );
        assert!(first.is_kept().await.unwrap());

        // Other processes with clocks that are ahead: to each of them even the newest token is about to end, so that each
        // refreshes, and a refresh token that is used twice fails.
        let later = [0, 1, 2].map(|_| session(&server, directory.path(), 580));
        let renewed = futures_util::future::join_all(later.iter().map(Session::tokens)).await;
        assert!(renewed.iter().all(Result::is_ok), "{renewed:?}");
        assert_eq!(memory.lock().unwrap().refresh_token, 4);

        let over = session(&server, directory.path(), 0)
            .sign_out()
            .await
            .unwrap();
        assert!(over.was_signed_in && over.revoked.is_ok());
        assert_eq!(memory.lock().unwrap().refresh_token, 1000, "revoked");
        let error = first.tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
    }

    #[tokio::test]
    async fn a_session_that_the_server_ended_is_over() {
        let (server, memory) = start(ada()).await;
        let directory = tempfile::tempdir().unwrap();
        sign_in(&session(&server, directory.path(), 0))
            .await
            .unwrap();
        memory.lock().unwrap().refresh_token = 7;
        let later = session(&server, directory.path(), 700);
        let error = later.tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignedOut);
        assert_eq!(
            error.to_string(),
            "signed out of Backroom: Invalid refresh token"
        );
    }

    #[tokio::test]
    async fn a_refresh_does_not_change_the_person() {
        let (server, memory) = start(ada()).await;
        let directory = tempfile::tempdir().unwrap();
        sign_in(&session(&server, directory.path(), 0))
            .await
            .unwrap();
        memory.lock().unwrap().person = "user:default/eve";
        let later = session(&server, directory.path(), 700);
        let error = later.tokens().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("user:default/eve"));
    }

    #[tokio::test]
    async fn what_would_be_seen_in_the_browser_only_is_seen_here() {
        let (server, _) = start(Memory {
            refuses_to_ask: true,
            ..ada()
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        let error = sign_in(&session(&server, directory.path(), 0))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.causes()[0].contains("Failed to fetch client metadata"));
        assert_eq!(error.next_steps(), ["ask in the backroom"]);
    }

    #[tokio::test]
    async fn a_no_is_a_no() {
        let (server, _) = start(Memory {
            declines: true,
            ..ada()
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        let error = sign_in(&session(&server, directory.path(), 0))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(error.to_string(), "the sign-in to Backroom was declined");
    }

    #[tokio::test]
    async fn where_there_is_no_client_there_is_no_sign_in() {
        let server = Server::start(|_| Response::json(404, &json!({}))).await;
        let directory = tempfile::tempdir().unwrap();
        let error = sign_in(&session(&server, directory.path(), 0))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), "Backroom offers no sign-in for programs");
    }
}
