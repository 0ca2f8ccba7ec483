//! From an ID token to rows, as a client goes, and everything that can be refused on the way.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_postgres::{Config, NoTls};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::tokens::{SQL_ADMIN, SQL_LOGIN};
use super::*;
use crate::clock::Clock;
use crate::http::HttpClient;
use crate::sandbox::company::{self, BUILT_IN_PASSWORD, INSTANCES, Instance, WORKFORCE_PROVIDER};
use crate::sandbox::faults::Faults;
use crate::sandbox::idp::keys::SigningKey;
use crate::sandbox::postgres::EngineChoice;

const ISSUER: &str = "http://127.0.0.1:1/";
const ADA: &str = "ada@acme.example";
const CHLOE: &str = "chloe@acme.example";

/// Google Cloud, and the identity provider's key.
struct World {
    google: Google,
    key: Arc<SigningKey>,
    faults: FaultBox,
    http: HttpClient,
}

/// A client's certificate and what it needs to know to use it.
struct Ticket {
    address: (String, u16),
    server_name: ServerName<'static>,
    roots: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl World {
    /// `None`, with a reason on standard output, when there is no such engine here.
    async fn start(choice: EngineChoice) -> Option<Self> {
        let engine = match Engine::new(choice, None).await {
            Ok(engine) => engine,
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let key = Arc::new(SigningKey::generate());
        let subject_tokens = SubjectTokens::new(Arc::clone(&key), ISSUER.to_owned());
        let faults = FaultBox::default();
        let life = SignedDuration::from_hours(1);
        let google = Google::start(subject_tokens, engine, faults.clone(), life)
            .await
            .unwrap();
        Some(Self {
            google,
            key,
            faults,
            http: HttpClient::new(Vec::new()).unwrap(),
        })
    }

    fn id_token(&self, email: &str, audience: &str) -> String {
        let expires = Clock::system().now() + SignedDuration::from_mins(5);
        self.key.sign(&json!({
            "iss": ISSUER, "aud": audience, "sub": email, "email": email, "exp": expires.as_second(),
        }))
    }

    async fn sts(&self, id_token: &str, scope: &str) -> (u16, Value) {
        let form = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            (
                "audience",
                &format!("//iam.googleapis.com/{WORKFORCE_PROVIDER}"),
            ),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:id_token",
            ),
            ("subject_token", id_token),
            ("scope", scope),
            ("options", r#"{"userProject":"acme-tools"}"#),
        ];
        let url = self.google.url().join("v1/token").unwrap();
        answer(&self.http, self.http.post(url).form(&form)).await
    }

    async fn token(&self, email: &str, scope: &str) -> String {
        let id_token = self.id_token(email, company::CLIENT_ID);
        let (status, body) = self.sts(&id_token, scope).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["token_type"], "Bearer");
        body["access_token"].as_str().unwrap().to_owned()
    }

    fn instance_url(&self, instance: &Instance, rest: &str) -> Url {
        let Instance { project, name, .. } = instance;
        let path = format!("sql/v1beta4/projects/{project}/instances/{name}{rest}");
        self.google.url().join(&path).unwrap()
    }

    async fn get(&self, instance: &Instance, rest: &str, token: &str) -> (u16, Value) {
        let url = self.instance_url(instance, rest);
        answer(&self.http, self.http.get(url).bearer_auth(token)).await
    }

    async fn sign(&self, instance: &Instance, token: &str, body: &Value) -> (u16, Value) {
        let url = self.instance_url(instance, ":generateEphemeralCert");
        answer(
            &self.http,
            self.http.post(url).bearer_auth(token).json(body),
        )
        .await
    }

    /// Everything a client does before it dials. `login` puts a login token into the certificate.
    async fn ticket(&self, instance: &Instance, email: &str, login: bool) -> Ticket {
        let token = self.token(email, SQL_ADMIN).await;
        let (status, settings) = self.get(instance, "/connectSettings", &token).await;
        assert_eq!(status, 200, "{settings}");
        assert_eq!(settings["region"], instance.region);

        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let private: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let label = "RSA PUBLIC KEY";
        let public_key = format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(public.as_ref())
        );
        let mut body = json!({ "public_key": public_key });
        if login {
            body["access_token"] = self.token(email, SQL_LOGIN).await.into();
        }
        let (status, signed) = self.sign(instance, &token, &body).await;
        assert_eq!(status, 200, "{signed}");

        let ip = settings["ipAddresses"][0]["ipAddress"].as_str().unwrap();
        let server_name = match settings["dnsNames"][0]["name"].as_str() {
            Some(name) => name.trim_end_matches('.').to_owned().try_into().unwrap(),
            None => ServerName::IpAddress(ip.parse::<std::net::IpAddr>().unwrap().into()),
        };
        Ticket {
            address: (ip.to_owned(), self.google.instance_port()),
            server_name,
            roots: pem(&settings["serverCaCert"]["cert"]),
            chain: pem(&signed["ephemeralCert"]["cert"]),
            key: private.as_ref().to_vec(),
        }
    }

    async fn ask(
        &self,
        instance: &'static Instance,
        email: &str,
        sql: &str,
    ) -> Result<Vec<String>, tokio_postgres::Error> {
        let ticket = self.ticket(instance, email, true).await;
        let mut config = Config::new();
        config.user(email).dbname(instance.database);
        ask(&ticket, &config, sql).await
    }
}

async fn answer(http: &HttpClient, request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = http.send("Google", request).await.unwrap();
    (answer.status.as_u16(), answer.json().unwrap())
}

fn pem(text: &Value) -> Vec<CertificateDer<'static>> {
    let text = text.as_str().unwrap().as_bytes();
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .unwrap()
}

async fn ask(
    ticket: &Ticket,
    config: &Config,
    sql: &str,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let stream = ticket.dial().await.unwrap();
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    let query = async {
        let rows = client.simple_query(sql).await;
        drop(client);
        rows
    };
    let (rows, ended) = tokio::join!(query, connection);
    let rows = rows?;
    ended?;
    let texts = rows.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().to_owned()),
        _ => None,
    });
    Ok(texts.collect())
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("no code", |code| code.code())
}

/// Checks the chain only, like Google's connector for Python, and against nothing but what the API has sent.
#[derive(Debug)]
struct ChainOnly(RootCertStore, Arc<CryptoProvider>);

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let leaf = ParsedCertificate::try_from(leaf)?;
        let algorithms = self.1.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.0, &[], now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        panic!("the doors speak TLS 1.3 only");
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            leaf,
            signed,
            &self.1.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

impl Ticket {
    async fn dial(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone()).unwrap();
        }
        let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ChainOnly(roots, provider)))
            .with_client_auth_cert(
                self.chain.clone(),
                PrivatePkcs8KeyDer::from(self.key.clone()).into(),
            )
            .unwrap();
        let tcp = TcpStream::connect((self.address.0.as_str(), self.address.1)).await?;
        TlsConnector::from(Arc::new(config))
            .connect(self.server_name.clone(), tcp)
            .await
    }
}

#[tokio::test]
async fn from_an_id_token_to_rows() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let sql = "SELECT current_user || ' ' || count(*) FROM payments";
    let rows = world.ask(&INSTANCES[0], ADA, sql).await.unwrap();
    assert_eq!(rows, ["ada@acme.example 20"]);
    world.google.stop().await;
}

#[tokio::test]
async fn every_instance_shows_a_chain_that_the_api_vouches_for() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    for instance in &INSTANCES {
        let ticket = world.ticket(instance, CHLOE, true).await;
        let stream = ticket.dial().await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        let (_, leaf) = X509Certificate::from_der(&shown[0]).unwrap();
        let name = format!("{}:{}", instance.project, instance.name);
        let common_name = leaf.subject().iter_common_name().next();
        let common_name = common_name.map(|name| name.as_str().unwrap());
        let managed = name == "acme-production:orders";
        assert_eq!(common_name, (!managed).then_some(name.as_str()));
        assert_eq!(ticket.roots.len(), if managed { 2 } else { 1 });
        if world.google.instance_port() == 3307 {
            assert_ne!(
                ticket.address.0, "127.0.0.1",
                "each has an address of its own"
            );
        }
    }
}

#[tokio::test]
async fn iam_users_are_let_in_as_themselves_only() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let [payments, _, orders, ..] = &INSTANCES;
    let refused = world.ask(orders, ADA, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "28000");
    assert_eq!(
        refused.as_db_error().unwrap().message(),
        "Cloud SQL IAM user authentication failed for user \"ada@acme.example\""
    );
    let ticket = world.ticket(payments, ADA, true).await;
    let mut config = Config::new();
    config.user(CHLOE).dbname("payments");
    let refused = ask(&ticket, &config, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "28000");

    config.user(ADA).dbname("nonsense");
    let refused = ask(&ticket, &config, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "3D000");
    world.google.stop().await;
}

#[tokio::test]
async fn without_a_login_in_the_certificate_passwords_count() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let payments = &INSTANCES[0];
    let ticket = world.ticket(payments, ADA, false).await;
    let login = world.token(ADA, SQL_LOGIN).await;
    let admin = world.token(ADA, SQL_ADMIN).await;
    for (user, password, expected) in [
        (ADA, login.as_str(), Ok(ADA)),
        (ADA, &admin, Err("28P01")),
        (CHLOE, &login, Err("28P01")),
        ("app", BUILT_IN_PASSWORD, Ok("app")),
        ("app", "guess", Err("28P01")),
        ("postgres", BUILT_IN_PASSWORD, Err("28P01")),
    ] {
        let mut config = Config::new();
        config.user(user).password(password).dbname("payments");
        let rows = ask(&ticket, &config, "SELECT current_user").await;
        let rows = rows.as_ref().map(|rows| rows[0].as_str()).map_err(code);
        assert_eq!(rows, expected, "{user}");
    }
    world.google.stop().await;
}

#[tokio::test]
async fn a_service_account_is_reached_by_impersonation() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let caller = world.token(ADA, tokens::CLOUD_PLATFORM).await;
    let impersonate = async |account: &str, body: Value| {
        let path = format!("v1/projects/-/serviceAccounts/{account}:generateAccessToken");
        let url = world.google.url().join(&path).unwrap();
        answer(
            &world.http,
            world.http.post(url).bearer_auth(&caller).json(&body),
        )
        .await
    };
    let account = "bsql@acme-tools.iam.gserviceaccount.com";
    let (status, body) = impersonate(
        account,
        json!({ "scope": [SQL_LOGIN], "lifetime": "900s", "delegates": [] }),
    )
    .await;
    assert_eq!(status, 200, "{body}");
    let ends: jiff::Timestamp = body["expireTime"].as_str().unwrap().parse().unwrap();
    let left = ends.duration_since(Clock::system().now());
    assert!((895..=900).contains(&left.as_secs()), "{left}");

    // Its token as a password, through any certificate.
    let ticket = world.ticket(&INSTANCES[0], ADA, false).await;
    let mut config = Config::new();
    config
        .user("bsql@acme-tools.iam")
        .password(body["accessToken"].as_str().unwrap())
        .dbname("payments");
    let rows = ask(&ticket, &config, "SELECT count(*) FROM merchants").await;
    assert_eq!(rows.unwrap(), ["8"]);

    for (account, body, expected) in [
        (account, json!({ "scope": [] }), 400),
        (
            account,
            json!({ "scope": [SQL_LOGIN], "lifetime": "7200s" }),
            400,
        ),
        (
            "break-glass@acme-tools.iam.gserviceaccount.com",
            json!({ "scope": [SQL_LOGIN] }),
            403,
        ),
    ] {
        assert_eq!(impersonate(account, body).await.0, expected);
    }
    world.google.stop().await;
}

#[tokio::test]
async fn a_refresh_token_gets_narrower_access_tokens() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let refresh = async |token: &str, scope: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "c"),
            ("client_secret", "s"),
            ("refresh_token", token),
            ("scope", scope),
        ];
        let url = world.google.url().join("token").unwrap();
        answer(&world.http, world.http.post(url).form(&form)).await
    };
    let (status, wide) = refresh("sbx-secret-google-refresh-ada", "").await;
    assert_eq!(status, 200, "{wide}");
    let wide = wide["access_token"].as_str().unwrap();
    assert_eq!(
        world.get(&INSTANCES[0], "/connectSettings", wide).await.0,
        200
    );
    let (_, narrow) = refresh("sbx-secret-google-refresh-ada", SQL_LOGIN).await;
    assert_eq!(narrow["scope"], SQL_LOGIN);
    let narrow = narrow["access_token"].as_str().unwrap();
    assert_eq!(
        world.get(&INSTANCES[0], "/connectSettings", narrow).await.0,
        403
    );
    let (status, refused) = refresh("sbx-secret-google-refresh-eve", "").await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn the_api_refuses_as_google_does() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let [payments, production, ..] = &INSTANCES;
    let unknown = Instance {
        name: "nonsense",
        ..*payments
    };
    let ada = world.token(ADA, SQL_ADMIN).await;
    let login_only = world.token(ADA, SQL_LOGIN).await;
    let dmitri = world.token("dmitri@acme.example", SQL_ADMIN).await;
    let bruno = world.token("bruno@acme.example", SQL_ADMIN).await;
    for (instance, token, status, reason) in [
        (payments, "sbx-secret-nonsense", 401, "authError"),
        (payments, &login_only, 403, "insufficientPermissions"),
        (payments, &dmitri, 403, "notAuthorized"),
        (production, &bruno, 403, "notAuthorized"),
        (&unknown, &ada, 403, "notAuthorized"),
    ] {
        for path in ["/connectSettings", "/users", ""] {
            let (got, body) = world.get(instance, path, token).await;
            assert_eq!(got, status, "{body}");
            assert_eq!(body["error"]["code"], status);
            assert_eq!(body["error"]["errors"][0]["reason"], reason);
        }
    }
    let url = world.instance_url(payments, "/connectSettings");
    let anonymous = world
        .http
        .send("Google", world.http.get(url))
        .await
        .unwrap();
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.headers.contains_key("www-authenticate"));

    for (status, reason) in [(429, "rateLimitExceeded"), (503, "backendError")] {
        world.faults.set(Faults {
            admin_status: Some(status),
            ..Faults::default()
        });
        let (got, body) = world.get(payments, "/connectSettings", &ada).await;
        assert_eq!(got, status);
        assert_eq!(body["error"]["errors"][0]["reason"], reason);
    }
    world.faults.set(Faults {
        sts_status: Some(503),
        ..Faults::default()
    });
    let id_token = world.id_token(ADA, company::CLIENT_ID);
    assert_eq!(world.sts(&id_token, SQL_ADMIN).await.0, 503);
    world.faults.set(Faults::default());
    let (status, body) = world.sts(&world.id_token(ADA, "other"), SQL_ADMIN).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn a_certificate_request_must_make_sense() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let payments = &INSTANCES[0];
    let ada = world.token(ADA, SQL_ADMIN).await;
    let chloes_login = world.token(CHLOE, SQL_LOGIN).await;
    let public_key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    for (body, expected) in [
        (json!({ "public_key": public_key }), 200),
        (
            json!({ "public_key": public_key, "validDuration": "3600s" }),
            200,
        ),
        (
            json!({ "public_key": public_key, "validDuration": "86400s" }),
            400,
        ),
        (json!({ "public_key": "nonsense" }), 400),
        (json!({}), 400),
        (
            json!({ "public_key": public_key, "access_token": "nonsense" }),
            400,
        ),
        (
            json!({ "public_key": public_key, "access_token": ada }),
            403,
        ),
        (
            json!({ "public_key": public_key, "access_token": chloes_login }),
            403,
        ),
    ] {
        let (status, answer) = world.sign(payments, &ada, &body).await;
        assert_eq!(status, expected, "{answer}");
    }
}

#[tokio::test]
async fn users_are_listed_with_their_types() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let ada = world.token(ADA, SQL_ADMIN).await;
    let (_, body) = world.get(&INSTANCES[2], "/users", &ada).await;
    let users: Vec<String> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| format!("{} {}", user["type"].as_str().unwrap(), user["name"]))
        .collect();
    assert_eq!(
        users,
        [
            r#"BUILT_IN "postgres""#,
            r#"BUILT_IN "app""#,
            r#"CLOUD_IAM_WORKFORCE_IDENTITY "bruno@acme.example""#,
            r#"CLOUD_IAM_WORKFORCE_IDENTITY "chloe@acme.example""#,
            r#"CLOUD_IAM_SERVICE_ACCOUNT "bsql@acme-tools.iam""#,
            r#"CLOUD_IAM_SERVICE_ACCOUNT "break-glass@acme-tools.iam""#,
        ]
    );
}

#[tokio::test]
async fn a_bad_certificate_is_an_alert_on_the_first_read() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    world.faults.set(Faults {
        certificate_life_seconds: Some(-60),
        ..Faults::default()
    });
    let expired = world.ticket(&INSTANCES[0], ADA, true).await;
    world.faults.set(Faults::default());
    let mut of_another = world.ticket(&INSTANCES[0], ADA, true).await;
    let staging = world.ticket(&INSTANCES[4], ADA, true).await;
    of_another.chain = staging.chain;
    of_another.key = staging.key;
    for (ticket, alert) in [(expired, "CertificateExpired"), (of_another, "UnknownCA")] {
        // The handshake is over for the client before the server has looked.
        let mut stream = ticket.dial().await.unwrap();
        // What was sent early must not turn the alert into a reset.
        let _ = stream.write_all(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]).await;
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert!(error.to_string().contains(alert), "{error}");
    }
}

#[tokio::test]
async fn a_door_can_show_the_certificate_of_another_instance() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let ticket = world.ticket(&INSTANCES[0], ADA, true).await;
    world.faults.set(Faults {
        certificate_of: Some("acme-staging:europe-west1:orders".to_owned()),
        ..Faults::default()
    });
    let error = ticket.dial().await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn the_protocol_up_to_the_end() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let ticket = world.ticket(&INSTANCES[0], ADA, true).await;
    let mut stream = ticket.dial().await.unwrap();
    // SSLRequest, then GSSENCRequest: both are answered with no, and the session goes on.
    for code in [80_877_103_u32, 80_877_104] {
        let request = [8_u32.to_be_bytes(), code.to_be_bytes()].concat();
        stream.write_all(&request).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
    }
    let parameters = b"user\0ada@acme.example\0database\0payments\0\0";
    let length = u32::try_from(parameters.len() + 8).unwrap();
    let startup = [&length.to_be_bytes()[..], &[0, 3, 0, 0], parameters].concat();
    stream.write_all(&startup).await.unwrap();
    // AuthenticationOk without having been asked for anything.
    assert_eq!(stream.read_u8().await.unwrap(), b'R');
    assert_eq!(stream.read_u64().await.unwrap(), 8 << 32);
    // Terminate: everything that follows is read to an orderly end (without close_notify this would be an error).
    stream.write_all(b"X\0\0\0\x04").await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    world.google.stop().await;
}

#[tokio::test]
async fn a_statement_can_be_cancelled() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let ticket = world.ticket(&INSTANCES[0], ADA, true).await;
    let stream = ticket.dial().await.unwrap();
    let mut config = Config::new();
    config.user(ADA).dbname("payments");
    let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
    let statement = async {
        let cancel = client.cancel_token();
        let sleep = client.simple_query("SELECT pg_sleep(60)");
        let stop = async {
            // Again until it hits: the first one may come before the statement does.
            loop {
                let stream = ticket.dial().await.unwrap();
                cancel.cancel_query_raw(stream, NoTls).await.unwrap();
            }
        };
        tokio::select! {
            result = sleep => result,
            () = stop => unreachable!("it never ends"),
        }
    };
    let error = tokio::select! {
        result = statement => result.unwrap_err(),
        _ = connection => panic!("the session has ended"),
    };
    assert_eq!(code(&error), "57014");
    world.google.stop().await;
}

/// The server behind a session with this process id, and where its data is.
#[cfg(target_os = "linux")]
fn server_of(backend: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let status = std::fs::read_to_string(format!("/proc/{backend}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let server = std::path::PathBuf::from(format!("/proc/{}", parent.unwrap().trim()));
    let data = std::fs::read_link(server.join("cwd")).unwrap();
    (server, data)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_left_when_it_stops_or_is_dropped() {
    for stop in [true, false] {
        let Some(world) = World::start(EngineChoice::System).await else {
            return;
        };
        // A session that is open must not hold it up.
        let ticket = world.ticket(&INSTANCES[0], ADA, true).await;
        let mut config = Config::new();
        config.user(ADA).dbname("payments");
        let stream = ticket.dial().await.unwrap();
        let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
        let driving = tokio::spawn(connection);
        let row = client.query_one("SELECT pg_backend_pid()::text", &[]).await;
        let (server, data) = server_of(row.unwrap().get(0));
        assert!(server.exists() && data.exists());
        let url = world.google.url().clone();
        if stop {
            world.google.stop().await;
            assert!(!server.exists() && !data.exists());
        } else {
            drop(world);
            while server.exists() || data.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        // The session has ended, whether the server still could say so or not.
        let _ = driving.await.unwrap();
        let api = (url.host_str().unwrap(), url.port().unwrap());
        assert!(TcpStream::connect(api).await.is_err());
        let door = (ticket.address.0.as_str(), ticket.address.1);
        assert!(TcpStream::connect(door).await.is_err());
    }
}

#[cfg(feature = "embedded-postgres")]
#[tokio::test]
async fn the_embedded_engine_takes_one_client_after_another() {
    let world = World::start(EngineChoice::Embedded).await.unwrap();
    let payments = &INSTANCES[0];
    let ticket = world.ticket(payments, ADA, true).await;
    let mut config = Config::new();
    config.user(ADA).dbname("payments");
    let stream = ticket.dial().await.unwrap();
    let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
    let driving = tokio::spawn(connection);
    client.simple_query("SELECT 1").await.unwrap();

    let refused = ask(&ticket, &config, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "53300");
    let hint = refused.as_db_error().unwrap().hint().unwrap();
    assert!(hint.contains("apt install postgresql"), "{hint}");
    config.dbname("nonsense");
    let refused = ask(&ticket, &config, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "3D000");
    config.dbname("payments");
    drop(client);
    driving.await.unwrap().unwrap();

    // The end of the stream means that the engine is free, at once and every time.
    for _ in 0..5 {
        let mut stream = start_session(&ticket).await;
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let rows = ask(&ticket, &config, "SELECT count(*) FROM payments").await;
        assert_eq!(rows.unwrap(), ["20"]);
    }

    // Nor does a client that vanishes in the middle of a result take the engine with it.
    let mut stream = start_session(&ticket).await;
    let query = b"Q\0\0\0\x2eSELECT repeat('x', 1000000) FROM payments\0";
    stream.write_all(query).await.unwrap();
    stream.read_exact(&mut [0; 100_000]).await.unwrap();
    drop(stream);
    let rows = loop {
        match ask(&ticket, &config, "SELECT count(*) FROM merchants").await {
            Err(error) if code(&error) == "53300" => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(rows.unwrap(), ["8"]);

    // A session that is open does not hold the end up.
    let open = start_session(&ticket).await;
    world.google.stop().await;
    drop(open);
}

/// Starts a session of Ada's as soon as the engine is free, and reads the first byte of the answer: she is in.
#[cfg(feature = "embedded-postgres")]
async fn start_session(ticket: &Ticket) -> TlsStream<TcpStream> {
    let parameters = b"user\0ada@acme.example\0database\0payments\0\0";
    let length = u32::try_from(parameters.len() + 8).unwrap();
    let startup = [&length.to_be_bytes()[..], &[0, 3, 0, 0], parameters].concat();
    loop {
        let mut stream = ticket.dial().await.unwrap();
        stream.write_all(&startup).await.unwrap();
        if stream.read_u8().await.unwrap() == b'R' {
            return stream;
        }
    }
}
