//! A Google and an instance for unit tests, with certificates made to measure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SubjectPublicKeyInfo, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::admin::SqlAdminClient;
use super::credentials::{AccessToken, CredentialSource, Principal, Scope};
use super::info::{ConnectionInfoSource, Moved};
use super::key::ClientKey;
use super::name::InstanceConnectionName;
use crate::clock::Clock;
use crate::error::Result;
use crate::http::HttpClient;
use crate::loopback::{Request, Response, Server};
use crate::secret::Secret;

pub(super) const INSTANCE: &str = "acme:europe-west1:payments";

/// A certification authority.
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = leaf(common_name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages.clear();
    params
}

/// A server's certificate. An empty common name is none.
pub(super) fn leaf(common_name: &str, dns_names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if !common_name.is_empty() {
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
    }
    params.subject_alt_names = dns_names
        .iter()
        .map(|name| SanType::DnsName((*name).try_into().unwrap()))
        .collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

impl Authority {
    pub(super) fn new(common_name: &str) -> Self {
        Self::self_signed(authority_params(common_name))
    }

    pub(super) fn lasting_until(common_name: &str, (year, month, day): (i32, u8, u8)) -> Self {
        let mut params = authority_params(common_name);
        params.not_after = date_time_ymd(year, month, day);
        Self::self_signed(params)
    }

    fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// One that this one vouches for.
    pub(super) fn authority(&self, common_name: &str) -> Self {
        let params = authority_params(common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(super) fn sign(&self, params: &CertificateParams) -> CertificateDer<'static> {
        Self::sign_with(&self.issuer, params)
    }

    pub(super) fn sign_with(
        issuer: &Issuer<'_, KeyPair>,
        params: &CertificateParams,
    ) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, issuer).unwrap().der().clone()
    }

    pub(super) fn sign_for(
        &self,
        params: &CertificateParams,
        key: &KeyPair,
    ) -> CertificateDer<'static> {
        params.signed_by(key, &self.issuer).unwrap().der().clone()
    }

    /// A client's certificate for the public key it sent, as PEM.
    fn client_certificate(&self, public_key_pem: &str, ends: Timestamp) -> String {
        let mut params = leaf("Google Cloud SQL Client", &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after =
            date_time_ymd(1970, 1, 1) + Duration::from_secs(ends.as_second().try_into().unwrap());
        let public_key = SubjectPublicKeyInfo::from_pem(public_key_pem).unwrap();
        params.signed_by(&public_key, &self.issuer).unwrap().pem()
    }
}

/// What the stand-ins do; tests change it while they run.
pub(super) struct Behaviour {
    /// Signs the instance's certificate.
    pub(super) server_ca: Authority,
    /// The CA that the API names.
    pub(super) trusted_ca: String,
    /// The instance's certificate.
    pub(super) certificate: CertificateParams,
    /// Signs clients' certificates.
    pub(super) client_ca: Authority,
    /// The CA whose clients the instance lets in.
    pub(super) welcome_ca: CertificateDer<'static>,
    /// How long clients' certificates last.
    pub(super) certificate_life: SignedDuration,
    /// What `connectSettings` says besides the usual.
    pub(super) settings: Value,
    /// What the instance has to be told first; it says that it has understood.
    pub(super) told: Option<&'static [u8]>,
    /// The API's HTTP status.
    pub(super) status: u16,
}

/// Google's API and one instance behind it, which sends back what it is sent.
pub(super) struct StandIn {
    pub(super) behaviour: Arc<Mutex<Behaviour>>,
    pub(super) google: Server,
    pub(super) port: u16,
    _instance: JoinSet<()>,
}

impl StandIn {
    pub(super) async fn start() -> Self {
        let server_ca = Authority::new("Google Cloud SQL Server CA");
        let client_ca = Authority::new("Google Cloud SQL Signing CA");
        let behaviour = Arc::new(Mutex::new(Behaviour {
            trusted_ca: server_ca.pem.clone(),
            server_ca,
            certificate: leaf("acme:payments", &[]),
            welcome_ca: client_ca.der.clone(),
            client_ca,
            certificate_life: SignedDuration::from_hours(1),
            settings: json!({}),
            told: None,
            status: 200,
        }));
        let for_google = Arc::clone(&behaviour);
        let google =
            Server::start(move |request| answer(&for_google.lock().unwrap(), request)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut instance = JoinSet::new();
        instance.spawn(serve(listener, Arc::clone(&behaviour)));
        Self {
            behaviour,
            google,
            port,
            _instance: instance,
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    pub(super) fn source(&self, clock: Clock) -> ConnectionInfoSource<FixedTokens> {
        ConnectionInfoSource {
            instance: INSTANCE.parse::<InstanceConnectionName>().unwrap().into(),
            admin: SqlAdminClient::new(
                HttpClient::new(Vec::new()).unwrap(),
                self.google.url().clone(),
                None,
            ),
            credentials: Arc::new(FixedTokens::default()),
            key: ClientKey::generate_in_background(),
            iam_login: true,
            kept: None,
            domain: None,
            moved_to: Moved::default(),
            clock,
        }
    }

    /// The requests for certificates so far.
    pub(super) fn certificates(&self) -> Vec<Request> {
        let mut requests = self.google.requests();
        requests.retain(|request| request.method == "POST");
        requests
    }
}

/// Tokens that are simply there.
#[derive(Debug)]
pub(super) struct FixedTokens {
    pub(super) login_ends: Timestamp,
    pub(super) email: &'static str,
}

impl Default for FixedTokens {
    fn default() -> Self {
        Self {
            login_ends: Timestamp::MAX,
            email: "ada@acme.example",
        }
    }
}

impl CredentialSource for FixedTokens {
    async fn access_token(&self, scope: Scope) -> Result<AccessToken> {
        Ok(AccessToken {
            secret: Secret::from(format!("{scope:?}")),
            expires_at: self.login_ends,
        })
    }

    async fn principal(&self) -> Result<Principal> {
        Ok(Principal::of_email(self.email))
    }
}

fn answer(behaviour: &Behaviour, request: &Request) -> Response {
    assert_eq!(request.header("authorization"), "Bearer Admin");
    if behaviour.status != 200 {
        return Response::json(behaviour.status, &json!({}));
    }
    if request.method == "POST" {
        let ends = Clock::system().now() + behaviour.certificate_life;
        let body = request.json();
        let public_key = body["public_key"].as_str().unwrap();
        let cert = behaviour.client_ca.client_certificate(public_key, ends);
        return Response::json(200, &json!({ "ephemeralCert": { "cert": cert } }));
    }
    let mut settings = json!({
        "region": "europe-west1", "databaseVersion": "POSTGRES_17", "backendType": "SECOND_GEN",
        "ipAddresses": [{ "type": "OUTGOING", "ipAddress": "192.0.2.1" }, { "type": "PRIMARY", "ipAddress": "127.0.0.1" }],
        "serverCaCert": { "cert": behaviour.trusted_ca },
    });
    for (key, value) in behaviour.settings.as_object().unwrap() {
        settings[key] = value.clone();
    }
    Response::json(200, &settings)
}

async fn serve(listener: TcpListener, behaviour: Arc<Mutex<Behaviour>>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let tls = TlsAcceptor::from(server_config(&behaviour.lock().unwrap()));
        let told = behaviour.lock().unwrap().told;
        connections.spawn(async move {
            let Ok(mut stream) = tls.accept(socket).await else {
                return;
            };
            if let Some(expected) = told {
                let mut told = vec![0; expected.len()];
                stream.read_exact(&mut told).await.unwrap();
                assert_eq!(told, expected);
                let understood = b"CSQLMDEX\0\0\0\x02\x08\x01";
                stream.write_all(understood).await.unwrap();
            }
            let (mut read, mut write) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        });
    }
}

fn server_config(behaviour: &Behaviour) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut clients = RootCertStore::empty();
    clients.add(behaviour.welcome_ca.clone()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider))
            .build()
            .unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = behaviour.server_ca.sign_for(&behaviour.certificate, &key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![certificate],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    Arc::new(config)
}
