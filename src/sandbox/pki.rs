//! The certificates of a Cloud SQL instance: an authority that vouches for the server, and another one, trusted by that
//! server alone, that signs the ephemeral certificates of its clients.
//!
//! The keys are P-256 where Google's are RSA: no client can tell from the outside, and they cost nothing to make.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
    SubjectPublicKeyInfo, date_time_ymd,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::hex;

/// Google gives the authorities of an instance ten years.
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3652);
/// So that a client whose clock is a little behind does not refuse a certificate made just now.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// id-at-dnQualifier (X.520).
const DN_QUALIFIER: [u64; 4] = [2, 5, 4, 46];

/// Signs certificates.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// What is above it as PEM, root first; empty for a root.
    above: String,
    not_after: Timestamp,
}

/// A client's ephemeral certificate.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    /// As Google's API sends it.
    pub(super) pem: String,
    /// The serial number, without leading zeros.
    pub(super) serial: Vec<u8>,
}

/// What a server shows for itself.
#[derive(Debug)]
pub(super) struct ServerIdentity {
    /// Leaf first, with the intermediate authority if there is one.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub(super) key: PrivateKeyDer<'static>,
}

impl Authority {
    /// A new root named `common_name`.
    pub(super) fn root(common_name: &str, now: Timestamp) -> Self {
        let not_after = now + AUTHORITY_LIFE;
        let issuer =
            CertifiedIssuer::self_signed(authority_params(common_name, now, not_after), new_key())
                .expect("the parameters are complete");
        Self {
            issuer,
            above: String::new(),
            not_after,
        }
    }

    /// A new authority named `common_name` below this one, as Google's Certificate Authority Service has them.
    pub(super) fn subordinate(self, common_name: &str, now: Timestamp) -> Self {
        let params = authority_params(common_name, now, self.not_after);
        let issuer = CertifiedIssuer::signed_by(params, new_key(), &self.issuer)
            .expect("the parameters are complete");
        Self {
            issuer,
            above: self.bundle_pem(),
            not_after: self.not_after,
        }
    }

    /// The authority's own certificate, for those who trust it.
    pub(super) fn der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// All that a client must trust, as PEM: this authority and everything above it.
    ///
    /// Go's TLS looks at no certificate that the server sends, so the intermediate one has to be here; OpenSSL wants the
    /// root.
    pub(super) fn bundle_pem(&self) -> String {
        format!("{}{}", self.above, self.issuer.pem())
    }

    /// The end of the authority's life.
    pub(super) fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// A certificate for an instance.
    ///
    /// `common_name` is empty under the Certificate Authority Service. `dns_name` is written as it is given: Cloud SQL's
    /// end with a dot, which strict verifiers never match.
    pub(super) fn server(
        &self,
        common_name: &str,
        dns_name: Option<&str>,
        now: Timestamp,
    ) -> ServerIdentity {
        let key = new_key();
        let mut params = params(common_name, now, self.not_after);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = dns_name
            .map(|name| {
                let name = name.to_owned().try_into().expect("host names are ASCII");
                SanType::DnsName(name)
            })
            .into_iter()
            .collect();
        let leaf = params
            .signed_by(&key, &self.issuer)
            .expect("the parameters are complete");
        let mut chain = vec![leaf.der().clone()];
        if !self.above.is_empty() {
            chain.push(self.issuer.der().clone());
        }
        ServerIdentity {
            chain,
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }

    /// An ephemeral certificate for the holder of `public_key`.
    pub(super) fn client(
        &self,
        public_key: &SubjectPublicKeyInfo,
        now: Timestamp,
        not_after: Timestamp,
    ) -> ClientCertificate {
        let mut serial = random();
        // Positive and of full length (RFC 5280 section 4.1.2.2), so that it reads the same wherever it is parsed.
        serial[0] = (serial[0] & 0x3f) | 0x40;
        let mut params = params("Google Cloud SQL Client", now, not_after);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params
            .signed_by(public_key, &self.issuer)
            .expect("the parameters are complete");
        ClientCertificate {
            pem: leaf.pem(),
            serial: serial.to_vec(),
        }
    }
}

/// Reads the public key of a `generateEphemeralCert` request.
///
/// The body is a `SubjectPublicKeyInfo` whatever the label says: Go's connector writes `RSA PUBLIC KEY`, everybody else
/// `PUBLIC KEY`.
pub(super) fn public_key(pem: &str) -> Option<SubjectPublicKeyInfo> {
    let pem = pem.trim();
    let labelled = ["PUBLIC KEY", "RSA PUBLIC KEY"].iter().any(|label| {
        pem.starts_with(&format!("-----BEGIN {label}-----"))
            && pem.ends_with(&format!("-----END {label}-----"))
    });
    labelled
        .then(|| SubjectPublicKeyInfo::from_pem(pem).ok())
        .flatten()
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system has randomness");
    bytes
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}

fn params(common_name: &str, now: Timestamp, not_after: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "US");
    name.push(DnType::OrganizationName, "Google, Inc");
    if !common_name.is_empty() {
        name.push(DnType::CommonName, common_name);
    }
    params.distinguished_name = name;
    // A certificate that is over already (a fault) must not end before it begins.
    params.not_before =
        date_time_ymd(1970, 1, 1) + since_1970((now - BACKDATED).min(not_after - BACKDATED));
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(not_after);
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority_params(common_name: &str, now: Timestamp, not_after: Timestamp) -> CertificateParams {
    let mut params = params(common_name, now, not_after);
    // As Cloud SQL does, so that authorities of the same name are told apart.
    params.distinguished_name.push(
        DnType::CustomDnType(DN_QUALIFIER.to_vec()),
        hex::encode(&random()),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Time as rcgen takes it: it has its own type for that, which others cannot name.
fn since_1970(at: Timestamp) -> Duration {
    let seconds = u64::try_from(at.as_second()).expect("the sandbox runs after 1970");
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use x509_parser::pem::Pem;
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn an_instance_is_vouched_for_under_its_name() {
        let now = Clock::system().now();
        let ca = Authority::root("Google Cloud SQL Server CA", now);
        let identity = ca.server("acme:payments", Some("a.b.sql.goog."), now);
        assert_eq!(identity.chain.len(), 1);
        let (_, leaf) = X509Certificate::from_der(&identity.chain[0]).unwrap();
        let (_, root) = X509Certificate::from_der(ca.der()).unwrap();
        assert!(root.is_ca());
        leaf.verify_signature(Some(root.public_key())).unwrap();
        assert_eq!(
            leaf.subject().to_string(),
            "C=US, O=Google, Inc, CN=acme:payments"
        );
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        assert_eq!(
            names.value.general_names[0].to_string(),
            "DNSName(a.b.sql.goog.)"
        );
    }

    #[test]
    fn a_subordinate_authority_is_sent_and_its_root_is_bundled() {
        let now = Clock::system().now();
        let ca = Authority::root("root", now).subordinate("below", now);
        let identity = ca.server("", Some("a.sql.goog."), now);
        assert_eq!(identity.chain.len(), 2);
        assert_eq!(&identity.chain[1], ca.der());
        let names: Vec<String> = Pem::iter_from_buffer(ca.bundle_pem().as_bytes())
            .map(|pem| {
                let pem = pem.unwrap();
                let certificate = pem.parse_x509().unwrap();
                let name = certificate.subject().iter_common_name().next().unwrap();
                name.as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(names, ["root", "below"]);
    }

    #[test]
    fn both_labels_of_a_public_key_are_read() {
        let now = Clock::system().now();
        let ca = Authority::root("Google Cloud SQL Signing CA", now);
        let pem = KeyPair::generate().unwrap().public_key_pem();
        let until = now + SignedDuration::from_secs(90);
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
            let pem = pem.replace("PUBLIC KEY", label);
            let certificate = ca.client(&public_key(&pem).unwrap(), now, until);
            let der = Pem::iter_from_buffer(certificate.pem.as_bytes())
                .next()
                .unwrap()
                .unwrap();
            let leaf = der.parse_x509().unwrap();
            assert_eq!(
                leaf.subject().to_string(),
                "C=US, O=Google, Inc, CN=Google Cloud SQL Client"
            );
            assert_eq!(leaf.raw_serial(), certificate.serial);
            assert_eq!(leaf.validity().not_after.timestamp(), until.as_second());
            let usage = leaf.extended_key_usage().unwrap().unwrap();
            assert!(usage.value.client_auth && !usage.value.server_auth);
        }
        assert!(public_key(&pem.replace("PUBLIC KEY", "CERTIFICATE")).is_none());
        assert!(public_key("-----BEGIN PUBLIC KEY-----\nbm8=\n-----END PUBLIC KEY-----").is_none());
    }
}
