//! A service account's key file: only where the profile allows one, because a key is good until somebody deletes it.
//!
//! RFC 7523: a statement signed with the key is exchanged for a token,
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use url::Url;

use super::file;
use crate::cloudsql::credentials::{AccessToken, Principal, Scope};
use crate::cloudsql::oauth_server::{OAuthProblem, OAuthServer};
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};

const SERVICE: &str = "Google's OAuth server";
/// How long the statement is good for, in seconds.
const STATEMENT_LIFE: i64 = 600;

/// A service account and its key.
pub(super) struct ServiceAccount {
    email: String,
    key: RsaKeyPair,
    key_id: Option<String>,
    /// The audience of the statement, as the file has it.
    audience: String,
    token_url: Url,
    server: OAuthServer,
}

impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

impl ServiceAccount {
    /// `token_url` is where the file's `token_uri` is to be asked.
    pub(super) fn new(
        file: file::ServiceAccount,
        token_url: Url,
        server: OAuthServer,
    ) -> Result<Self> {
        let broken = || {
            ErrorKind::Config.error(format!(
                "cannot use the private key of `{}`",
                printable(&file.client_email)
            ))
        };
        // Neither error may be shown: who knows what they quote.
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.expose().as_bytes())
            .map_err(|_| broken().because(anyhow::anyhow!("it is not PKCS #8 in PEM")))?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| broken().because(anyhow::anyhow!("it is no RSA key that is safe")))?;
        Ok(Self {
            email: file.client_email,
            key,
            key_id: file.private_key_id,
            audience: file.token_uri,
            token_url,
            server,
        })
    }

    pub(super) async fn issue(&self, scope: Scope) -> Result<AccessToken> {
        let now = self.server.clock.now().as_second();
        let statement = self.signed(&json!({
            "iss": self.email,
            "scope": scope.url(),
            "aud": self.audience,
            "iat": now,
            "exp": now + STATEMENT_LIFE,
        }))?;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", &statement),
        ];
        let request = self.server.http.post(self.token_url.clone()).form(&form);
        self.server
            .ask(request, SERVICE, |problem| self.refused(problem))
            .await
    }

    pub(super) fn principal(&self) -> Principal {
        Principal::of_email(&self.email)
    }

    /// A JSON web token with these claims (RFC 7515 section 7.1).
    fn signed(&self, claims: &Value) -> Result<String> {
        let header = match &self.key_id {
            Some(id) => json!({ "alg": "RS256", "typ": "JWT", "kid": id }),
            None => json!({ "alg": "RS256", "typ": "JWT" }),
        };
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .map_err(|_| anyhow::anyhow!("the system has no randomness"))
            .or_fail(ErrorKind::Internal, || "cannot sign with the account's key")?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn refused(&self, problem: &OAuthProblem) -> Error {
        ErrorKind::Denied
            .error(format!(
                "Google does not accept the key of `{}`",
                printable(&self.email)
            ))
            .because(problem.cause())
            .hint("the key may be deleted or the clock of this machine wrong")
            .hint("better use no key: `google.impersonate` in your profile")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;
    use crate::clock::Clock;
    use crate::http::HttpClient;
    use crate::loopback::{Response, Server};
    use crate::secret::Secret;

    fn server(server: &Server) -> OAuthServer {
        OAuthServer {
            http: HttpClient::new(Vec::new()).unwrap(),
            base_url: server.url().clone(),
            clock: Clock::system(),
        }
    }

    fn file(private_key: String) -> file::ServiceAccount {
        file::ServiceAccount {
            client_email: "app@acme.iam.gserviceaccount.com".to_owned(),
            private_key: Secret::from(private_key),
            private_key_id: Some("k1".to_owned()),
            token_uri: "https://oauth2.googleapis.com/token".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_signed_statement_for_a_token() {
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        let google = Server::start(|_| {
            Response::json(200, &json!({ "access_token": "t", "expires_in": 9 }))
        })
        .await;
        let token_url = google.url().join("token").unwrap();
        let account = ServiceAccount::new(file(pem), token_url, server(&google)).unwrap();
        assert_eq!(account.principal().user_type, "CLOUD_IAM_SERVICE_ACCOUNT");
        let token = account.issue(Scope::Login).await.unwrap();
        assert_eq!(token.secret.expose(), "t");

        let [request] = google.requests().try_into().unwrap();
        let [statement] = request.form("assertion").try_into().unwrap();
        let (message, signature) = statement.rsplit_once('.').unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, account.key.public().as_ref())
            .verify(
                message.as_bytes(),
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let read = |part| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(
            read(header),
            json!({ "alg": "RS256", "typ": "JWT", "kid": "k1" })
        );
        let claims = read(claims);
        assert_eq!(claims["iss"], "app@acme.iam.gserviceaccount.com");
        assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
        assert_eq!(claims["scope"], Scope::Login.url());
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(life, 600);
    }

    #[tokio::test]
    async fn a_key_that_is_none() {
        let google = Server::start(|_| Response::new(500, "text/plain", "")).await;
        for pem in [
            "s3cret",
            "-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----\n",
        ] {
            let url = google.url().clone();
            let error =
                ServiceAccount::new(file(pem.to_owned()), url, server(&google)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error:?}").contains("czNjcmV0"), "{error:?}");
        }
    }
}
