//! An instance that is up: its address, its names, its authorities, and the certificates it has signed.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rcgen::SubjectPublicKeyInfo;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};

use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::hex;
use crate::sandbox::company::Instance;
use crate::sandbox::faults::Faults;
use crate::sandbox::google::tokens::Grant;
use crate::sandbox::pki::{Authority, ClientCertificate};

/// Who signs server certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum CaMode {
    /// An authority of the instance's own; the certificate's common name is `project:instance`.
    Internal,
    /// Google's Certificate Authority Service: an intermediate authority, and a DNS name instead of a common name.
    Managed,
}

impl CaMode {
    /// The API's word.
    pub(in crate::sandbox) fn name(self) -> &'static str {
        match self {
            Self::Internal => "GOOGLE_MANAGED_INTERNAL_CA",
            Self::Managed => "GOOGLE_MANAGED_CAS_CA",
        }
    }
}

/// How instances differ in what they can be recognised by. Real ones differ in all these ways, by age and settings.
#[derive(Debug, Clone, Copy)]
struct Names {
    ca_mode: CaMode,
    /// The API knows a DNS name.
    announced: bool,
    /// The certificate has it too.
    certified: bool,
}

fn names(instance: &Instance) -> Names {
    let (ca_mode, announced, certified) = match (instance.project, instance.name) {
        ("acme-production", "orders") => (CaMode::Managed, true, true),
        ("acme-staging", "ledger") => (CaMode::Internal, false, false),
        // The API is ahead of the certificate until the next rotation: clients have to fall back to the common name.
        ("acme-production", "ledger") => (CaMode::Internal, true, false),
        _ => (CaMode::Internal, true, true),
    };
    Names {
        ca_mode,
        announced,
        certified,
    }
}

/// An instance that is up.
#[derive(Debug)]
pub(in crate::sandbox) struct ServedInstance {
    /// What the company wants of it.
    pub(in crate::sandbox) instance: &'static Instance,
    /// Where it listens.
    pub(in crate::sandbox) ip: Ipv4Addr,
    /// The name that the API announces, with the dot at the end that Cloud SQL's names have.
    pub(in crate::sandbox) dns_name: Option<String>,
    /// Who signed the server's certificate.
    pub(in crate::sandbox) ca_mode: CaMode,
    /// Its authorities; replaced when somebody wants another generation of them.
    server: Mutex<Arc<Server>>,
    clients: Mutex<Arc<Clients>>,
    /// What the certificates that are still valid stand for, by serial number.
    certificates: Mutex<HashMap<Vec<u8>, Signed>>,
}

/// Who vouches for the server.
#[derive(Debug)]
pub(in crate::sandbox) struct Server {
    generation: u32,
    pub(in crate::sandbox) ca: Authority,
    /// When it was made.
    pub(in crate::sandbox) created_at: Timestamp,
    /// What the server shows.
    identity: Arc<CertifiedKey>,
}

/// Who signs the certificates of clients, for one instance only.
#[derive(Debug)]
struct Clients {
    generation: u32,
    ca: Authority,
}

impl Server {
    fn new(instance: &Instance, generation: u32, now: Timestamp) -> Result<Self> {
        let names = names(instance);
        let root = Authority::root("Google Cloud SQL Server CA", now);
        let ca = match names.ca_mode {
            CaMode::Internal => root,
            CaMode::Managed => root.subordinate("Google Cloud SQL Subordinate CA", now),
        };
        let common_name = match names.ca_mode {
            CaMode::Internal => format!("{}:{}", instance.project, instance.name),
            CaMode::Managed => String::new(),
        };
        let dns_name = dns_name(instance);
        let certified = names.certified.then_some(dns_name.as_str());
        let identity = ca.server(&common_name, certified, now);
        let identity = CertifiedKey::from_der(identity.chain, identity.key, &provider())
            .map(Arc::new)
            .or_fail(ErrorKind::Internal, || "cannot use a certificate just made")?;
        Ok(Self {
            generation,
            ca,
            created_at: now,
            identity,
        })
    }
}

impl Clients {
    fn new(instance: &Instance, generation: u32, now: Timestamp) -> Self {
        let Instance { project, name, .. } = instance;
        let name = format!("Google Cloud SQL Signing CA {project}:{name}");
        Self {
            generation,
            ca: Authority::root(&name, now),
        }
    }
}

#[derive(Debug)]
struct Signed {
    login: Option<Grant>,
    not_after: Timestamp,
}

impl ServedInstance {
    /// Makes the instance's authorities and its server's certificate.
    ///
    /// `told_apart_by_name`: instances share an address, so each must have a name that clients send.
    pub(super) fn new(
        instance: &'static Instance,
        ip: Ipv4Addr,
        told_apart_by_name: bool,
        now: Timestamp,
    ) -> Result<Self> {
        let names = names(instance);
        let dns_name = dns_name(instance);
        Ok(Self {
            instance,
            ip,
            dns_name: (names.announced || told_apart_by_name).then_some(dns_name),
            ca_mode: names.ca_mode,
            server: Mutex::new(Arc::new(Server::new(instance, 0, now)?)),
            clients: Mutex::new(Arc::new(Clients::new(instance, 0, now))),
            certificates: Mutex::default(),
        })
    }

    /// Whether this is `project:region:instance`.
    pub(super) fn is_called(&self, connection_name: &str) -> bool {
        let Instance {
            project,
            region,
            name,
            ..
        } = self.instance;
        connection_name == format!("{project}:{region}:{name}")
    }

    /// Signs a client's certificate, which also logs in if `login` says whom.
    pub(in crate::sandbox) fn sign(
        &self,
        public_key: &SubjectPublicKeyInfo,
        login: Option<Grant>,
        faults: &Faults,
        now: Timestamp,
        not_after: Timestamp,
    ) -> ClientCertificate {
        let certificate = self
            .clients(faults, now)
            .ca
            .client(public_key, now, not_after);
        let mut certificates = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        certificates.retain(|_, signed| signed.not_after > now);
        let signed = Signed { login, not_after };
        certificates.insert(certificate.serial.clone(), signed);
        certificate
    }

    /// Whom the certificate with this serial number logs in, if anybody.
    pub(super) fn login(&self, serial: &[u8]) -> Option<Grant> {
        let certificates = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        certificates.get(serial)?.login.clone()
    }

    /// Who vouches for the server at the moment.
    pub(in crate::sandbox) fn server(
        &self,
        faults: &Faults,
        now: Timestamp,
    ) -> Result<Arc<Server>> {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if server.generation != faults.server_ca_generation {
            *server = Arc::new(Server::new(
                self.instance,
                faults.server_ca_generation,
                now,
            )?);
        }
        Ok(Arc::clone(&server))
    }

    fn clients(&self, faults: &Faults, now: Timestamp) -> Arc<Clients> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.generation != faults.client_ca_generation {
            *clients = Arc::new(Clients::new(
                self.instance,
                faults.client_ca_generation,
                now,
            ));
        }
        Arc::clone(&clients)
    }

    /// TLS as this instance's door speaks it, with its own certificate or that of `other`.
    pub(super) fn tls(
        &self,
        other: Option<&Self>,
        faults: &Faults,
        now: Timestamp,
    ) -> Result<Arc<ServerConfig>> {
        let server = match other {
            Some(other) => other.server(faults, now)?,
            None if faults.door_other_ca => Arc::new(Server::new(self.instance, 0, now)?),
            None => self.server(faults, now)?,
        };
        tls(&self.clients(faults, now).ca, &server.identity)
    }
}

/// TLS 1.3 only, and only with a certificate that `client_ca` has signed. Sessions are not resumed: every connection has
/// to show a certificate that is valid now.
fn tls(client_ca: &Authority, identity: &Arc<CertifiedKey>) -> Result<Arc<ServerConfig>> {
    let config = || -> anyhow::Result<ServerConfig> {
        let mut trusted = RootCertStore::empty();
        trusted.add(client_ca.der().clone())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider());
        let identity = SingleCertAndKey::from(Arc::clone(identity));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier.build()?)
            .with_cert_resolver(Arc::new(identity));
        config.send_tls13_tickets = 0;
        Ok(config)
    };
    config()
        .map(Arc::new)
        .or_fail(ErrorKind::Internal, || "cannot set up an instance's TLS")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A name as Cloud SQL gives them: labels that mean nothing for the instance and the project, then the region. The same
/// instance always gets the same one.
fn dns_name(instance: &Instance) -> String {
    let label = |of: &str, length: usize| -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, of.as_bytes());
        hex::encode(digest.as_ref())[..length].to_owned()
    };
    let Instance {
        project,
        region,
        name,
        ..
    } = instance;
    format!(
        "{}.{}.{region}.sql.goog.",
        label(&format!("{project}:{name}"), 12),
        label(project, 13)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::sandbox::company::INSTANCES;

    #[test]
    fn names_are_like_cloud_sqls_and_all_different() {
        let mut names: Vec<String> = INSTANCES.iter().map(dns_name).collect();
        let labels: Vec<usize> = names[0].split('.').map(str::len).collect();
        assert_eq!(labels, [12, 13, "europe-west1".len(), 3, 4, 0]);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), INSTANCES.len());
    }

    #[test]
    fn an_instance_without_a_name_gets_one_when_it_shares_an_address() {
        let ledger = &INSTANCES[4];
        let now = Clock::system().now();
        let ip = Ipv4Addr::LOCALHOST;
        let own = ServedInstance::new(ledger, ip, false, now).unwrap();
        assert_eq!(own.dns_name, None);
        let shared = ServedInstance::new(ledger, ip, true, now).unwrap();
        assert!(shared.dns_name.unwrap().ends_with(".sql.goog."));
    }
}
