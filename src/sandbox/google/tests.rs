//! From an ID token to rows, as a client goes, and everything that can be refused on the way.

mod api;
mod doors;
mod mysql_doors;

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
use crate::sandbox::mysql::MySql;
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
        Self::start_at(instance::bind().await.unwrap(), choice).await
    }

    async fn start_at(doors: Listeners, choice: EngineChoice) -> Option<Self> {
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
        let google = Google::start_at(
            doors,
            subject_tokens,
            engine,
            MySql::new(None).await,
            faults.clone(),
            life,
        )
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
