//! Is this the instance's certificate?
//!
//! Cloud SQL's certificates do not follow the rules of the web (RFC 9525), and the rules they follow have grown:
//!
//! 1. At first every instance had a CA of its own, and its certificate the common name `project:instance` and no
//!    alternative names. A colon is in no DNS name, so no TLS library's own check can do this.
//! 2. With shared CAs (`serverCaMode` `GOOGLE_MANAGED_CAS_CA` and `CUSTOMER_MANAGED_CAS_CA`) the CA no longer tells
//!    instances apart. Those certificates carry a DNS name instead, and the API tells which.
//! 3. The API may tell a DNS name before the instance's certificate has it, so Google's connectors go back to the common
//!    name when the DNS name does not fit.
//! 4. The API and the certificates write DNS names with a trailing dot, which webpki never matches and Go stopped matching
//!    in 1.25.2 (cloud-sql-go-connector#1017).
//!
//! So this is the check, as in cloud-sql-go-connector `internal/cloudsql/tls_verify.go`:
//!
//! - The certificate is for servers, valid now, and signed by one of the CAs that the API named for this very instance:
//!   nothing that the system trusts counts, and no intermediate that only the other end vouches for.
//! - If an alternative name of the certificate is a DNS name that the API names for the instance, or the domain name that
//!   the person named and that leads there, it is the instance's. Case and one trailing dot make no difference; a `*` stands for one whole leftmost label.
//! - Otherwise the common name must be `project:instance`, letter for letter.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use x509_parser::certificate::{Validity, X509Certificate};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::error::{ErrorKind, Result, ResultExt as _, printable};

/// Accepts the certificate of one instance.
#[derive(Debug)]
pub struct InstanceVerifier {
    /// Read once: a connection has no time for it.
    roots: Vec<Root>,
    /// Lower case, without trailing dots.
    dns_names: Vec<String>,
    /// `project:instance`.
    common_name: String,
    provider: Arc<CryptoProvider>,
}

/// A CA that the API named.
#[derive(Debug)]
struct Root {
    validity: Validity,
    anchor: TrustAnchor<'static>,
}

/// The certificate is another server's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongServer {
    /// Every name in the certificate.
    found: Vec<String>,
    wanted: String,
}

impl std::fmt::Display for WrongServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let found: Vec<String> = self
            .found
            .iter()
            .map(|name| printable(&format!("`{name}`")))
            .collect();
        if found.is_empty() {
            write!(
                f,
                "the certificate is for nobody, not for `{}`",
                self.wanted
            )
        } else {
            write!(
                f,
                "the certificate is for {}, not for `{}`",
                found.join(" and "),
                self.wanted
            )
        }
    }
}

impl std::error::Error for WrongServer {}

impl InstanceVerifier {
    /// A verifier for the instance `common_name`, `project:instance`, whose CAs are in `roots_pem`: every block of it, for
    /// there are two while a CA is being replaced.
    pub fn new(
        roots_pem: &str,
        dns_names: &[&str],
        common_name: String,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self> {
        let unreadable = || format!("cannot read the CA of `{common_name}`");
        let roots = CertificateDer::pem_slice_iter(roots_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| anyhow::anyhow!("{error}"))
            .or_fail(ErrorKind::Unavailable, unreadable)?;
        if roots.is_empty() {
            return Err(ErrorKind::Unavailable.error(unreadable()));
        }
        // Found out now: later it would look as if the instance were wrong.
        let roots = roots
            .iter()
            .map(Root::read)
            .collect::<anyhow::Result<_>>()
            .or_fail(ErrorKind::Unavailable, unreadable)?;
        Ok(Self {
            roots,
            dns_names: dns_names.iter().copied().map(canonical).collect(),
            common_name,
            provider,
        })
    }

    /// The CAs that are valid now. webpki itself does not look at the dates of a trust anchor.
    fn valid_roots(&self, now: UnixTime) -> Result<RootCertStore, rustls::Error> {
        let now = i64::try_from(now.as_secs())
            .ok()
            .and_then(|now| ASN1Time::from_timestamp(now).ok());
        let now = now.ok_or(rustls::Error::FailedToGetCurrentTime)?;
        let valid = self
            .roots
            .iter()
            .filter(|root| root.validity.is_valid_at(now));
        Ok(valid.map(|root| root.anchor.clone()).collect())
    }

    fn check_names(&self, end_entity: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let bad = || rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let (_, certificate) = X509Certificate::from_der(end_entity).map_err(|_| bad())?;
        let alternative = certificate.subject_alternative_name().map_err(|_| bad())?;
        let dns_names: Vec<&str> = alternative
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            })
            .collect();
        let is_own = |name: &str| self.dns_names.iter().any(|own| stands_for(name, own));
        if dns_names.iter().any(|name| is_own(name)) {
            return Ok(());
        }
        let common_names: Vec<&str> = certificate
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .collect();
        // Of several, nobody could say which one counts.
        if common_names == [self.common_name.as_str()] {
            return Ok(());
        }
        let wrong = WrongServer {
            found: common_names
                .iter()
                .chain(&dns_names)
                .map(ToString::to_string)
                .collect(),
            wanted: self.dns_names.first().unwrap_or(&self.common_name).clone(),
        };
        Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
    }
}

impl Root {
    fn read(certificate: &CertificateDer<'static>) -> anyhow::Result<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate)?;
        let mut store = RootCertStore::empty();
        store.add(certificate.clone())?;
        Ok(Self {
            validity: parsed.validity().clone(),
            anchor: store.roots.remove(0),
        })
    }
}

impl ServerCertVerifier for InstanceVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.valid_roots(now)?,
            &[],
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        self.check_names(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Only TLS 1.3 is offered.
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether the name in a certificate stands for `wanted`, which is canonical.
fn stands_for(presented: &str, wanted: &str) -> bool {
    let presented = canonical(presented);
    match presented.strip_prefix("*.") {
        // One label and no more; and no `*.goog`, for that would be half the company.
        Some(parent) => {
            parent.contains('.')
                && wanted
                    .split_once('.')
                    .is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
        }
        None => !presented.is_empty() && presented == wanted,
    }
}

#[cfg(test)]
mod names {
    use super::*;

    #[test]
    fn dns_names_that_stand_for_another() {
        for (presented, wanted, expected) in [
            ("a.b.sql.goog", "a.b.sql.goog", true),
            ("a.b.sql.goog.", "a.b.sql.goog", true),
            ("A.B.SQL.goog", "a.b.sql.goog", true),
            ("*.b.sql.goog", "a.b.sql.goog", true),
            ("*.b.sql.goog.", "a.b.sql.goog", true),
            ("*.sql.goog", "a.b.sql.goog", false),
            ("*.b.sql.goog", "b.sql.goog", false),
            ("*.b.sql.goog", ".b.sql.goog", false),
            ("*.goog", "sql.goog", false),
            ("*", "goog", false),
            ("a*.b.sql.goog", "ab.b.sql.goog", false),
            ("a.*.sql.goog", "a.b.sql.goog", false),
            ("a.b.sql.goog..", "a.b.sql.goog", false),
            ("b.sql.goog", "a.b.sql.goog", false),
            ("a.b.sql.goog.evil.example", "a.b.sql.goog", false),
            ("a.b.sql.goog\0.evil.example", "a.b.sql.goog", false),
            ("", "", false),
        ] {
            assert_eq!(
                stands_for(presented, wanted),
                expected,
                "{presented:?} for {wanted:?}"
            );
        }
    }
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};

    use super::super::stand_in::{Authority, leaf};
    use super::*;

    const NAME: &str = "acme:payments";
    const DNS: &str = "1a2b.2imj.europe-west1.sql.goog";

    /// 2026-06-01.
    fn now() -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(1_780_272_000))
    }

    fn verify(
        roots: &str,
        dns_name: Option<&str>,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            InstanceVerifier::new(roots, dns_name.as_slice(), NAME.to_owned(), provider).unwrap();
        let anybody = ServerName::try_from("ignored.example").unwrap();
        match verifier.verify_server_cert(certificate, intermediates, &anybody, &[], now()) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
                Err(other.to_string())
            }
            Err(rustls::Error::InvalidCertificate(error)) => Err(format!("{error:?}")),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn names_by_generation_of_certificates() {
        let ca = Authority::new("Cloud SQL Server CA");
        for (common_name, alternative, dns_name, expected) in [
            (NAME, &[][..], None, Ok(())),
            (NAME, &["other.example"], None, Ok(())),
            ("", &[DNS], Some(DNS), Ok(())),
            ("", &["1a2b.2imj.europe-west1.sql.goog."], Some(DNS), Ok(())),
            (
                "",
                &["first.example", "*.2imj.europe-west1.sql.goog"],
                Some("1A2B.2imj.europe-west1.sql.goog."),
                Ok(()),
            ),
            // The API knows a name that the certificate does not have yet.
            (NAME, &[], Some(DNS), Ok(())),
            (NAME, &["other.example"], Some(DNS), Ok(())),
            (
                "acme:orders",
                &[],
                None,
                Err("the certificate is for `acme:orders`, not for `acme:payments`"),
            ),
            (
                "acme:orders",
                &["0.sql.goog"],
                Some(DNS),
                Err(
                    "the certificate is for `acme:orders` and `0.sql.goog`, not for `1a2b.2imj.europe-west1.sql.goog`",
                ),
            ),
            // A DNS name counts only if the API told it.
            (
                "",
                &[DNS],
                None,
                Err(
                    "the certificate is for `1a2b.2imj.europe-west1.sql.goog`, not for `acme:payments`",
                ),
            ),
            (
                "ACME:payments",
                &[],
                None,
                Err("the certificate is for `ACME:payments`, not for `acme:payments`"),
            ),
            (
                "acme:payments ",
                &[],
                None,
                Err("the certificate is for `acme:payments `, not for `acme:payments`"),
            ),
            (
                "acme:payments\u{1b}[2J",
                &[],
                None,
                Err("the certificate is for `acme:payments\u{fffd}[2J`, not for `acme:payments`"),
            ),
            (
                "",
                &[],
                None,
                Err("the certificate is for nobody, not for `acme:payments`"),
            ),
        ] {
            let certificate = ca.sign(&leaf(common_name, alternative));
            let found = verify(&ca.pem, dns_name, &certificate, &[]);
            assert_eq!(
                found,
                expected.map_err(str::to_owned),
                "{common_name:?} {alternative:?} {dns_name:?}"
            );
        }
    }

    #[test]
    fn a_common_name_is_no_dns_name_and_the_other_way_round() {
        let ca = Authority::new("Cloud SQL Server CA");
        let certificate = ca.sign(&leaf(DNS, &[]));
        assert!(verify(&ca.pem, Some(DNS), &certificate, &[]).is_err());
        // The right text as another kind of name.
        let mut params = leaf("x", &[]);
        params.subject_alt_names = vec![
            rcgen::SanType::URI(NAME.try_into().unwrap()),
            rcgen::SanType::Rfc822Name(DNS.try_into().unwrap()),
        ];
        let certificate = ca.sign(&params);
        assert!(verify(&ca.pem, None, &certificate, &[]).is_err());
        assert!(verify(&ca.pem, Some(DNS), &certificate, &[]).is_err());
        // The right address, which says nothing of the instance: whoever can make the API's address theirs has it too.
        let mut params = leaf("x", &[]);
        let address = rcgen::SanType::IpAddress("127.0.0.1".parse().unwrap());
        params.subject_alt_names = vec![address];
        let certificate = ca.sign(&params);
        assert!(verify(&ca.pem, None, &certificate, &[]).is_err());
        assert!(verify(&ca.pem, Some("127.0.0.1"), &certificate, &[]).is_err());
        // A name that ends early for whoever reads it as C does.
        for name in [format!("{DNS}\0.evil.example"), format!("{NAME}\0")] {
            let certificate = ca.sign(&leaf(&name, &[&name]));
            assert!(
                verify(&ca.pem, Some(DNS), &certificate, &[]).is_err(),
                "{name:?}"
            );
        }
        // The name in another part of the subject.
        let mut params = leaf("x", &[]);
        params
            .distinguished_name
            .push(DnType::OrganizationName, NAME);
        assert!(verify(&ca.pem, None, &ca.sign(&params), &[]).is_err());
        // Next to a second common name.
        let mut params = leaf(NAME, &[]);
        let common_name = DnType::CustomDnType(vec![2, 5, 4, 3]);
        params.distinguished_name.push(common_name, "acme:orders");
        assert_eq!(
            verify(&ca.pem, None, &ca.sign(&params), &[]),
            Err(
                "the certificate is for `acme:payments` and `acme:orders`, not for `acme:payments`"
                    .to_owned()
            )
        );
    }

    #[test]
    fn any_of_the_instances_names_will_do_and_no_other() {
        let ca = Authority::new("Customer's CA");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // The person's own domain name, in a certificate of a CA that is the customer's.
        let names = ["db.acme.example", DNS];
        let verifier = InstanceVerifier::new(&ca.pem, &names, NAME.to_owned(), provider).unwrap();
        let anybody = ServerName::try_from("ignored.example").unwrap();
        for (alternative, expected) in [
            (&["db.acme.example"][..], true),
            (&[DNS], true),
            (&["other.acme.example", "DB.acme.example."], true),
            (&["*.acme.example"], true),
            (&["other.acme.example"], false),
            (&["acme.example"], false),
            (&["db.acme.example.evil.example"], false),
        ] {
            let certificate = ca.sign(&leaf("", alternative));
            let found = verifier.verify_server_cert(&certificate, &[], &anybody, &[], now());
            assert_eq!(found.is_ok(), expected, "{alternative:?}");
        }
    }

    #[test]
    fn only_the_instances_own_cas_count() {
        let ca = Authority::new("Cloud SQL Server CA");
        let other = Authority::new("Cloud SQL Server CA");
        let certificate = ca.sign(&leaf(NAME, &[]));
        assert_eq!(
            verify(&other.pem, None, &certificate, &[]),
            Err("BadSignature".to_owned()),
            "of the same name"
        );
        let bundle = format!("{}{}", other.pem, ca.pem);
        assert_eq!(
            verify(&bundle, None, &certificate, &[]),
            Ok(()),
            "while a CA is replaced"
        );

        let stranger = Authority::new("Somebody's CA");
        assert_eq!(
            verify(&ca.pem, None, &stranger.sign(&leaf(NAME, &[])), &[]),
            Err("UnknownIssuer".to_owned())
        );
        let key = KeyPair::generate().unwrap();
        let own = leaf(NAME, &[]).self_signed(&key).unwrap();
        assert_eq!(
            verify(&ca.pem, None, own.der(), &[]),
            Err("UnknownIssuer".to_owned())
        );
    }

    #[test]
    fn an_intermediate_counts_only_if_the_api_named_it() {
        let root = Authority::new("Root");
        let intermediate = root.authority("Intermediate");
        let certificate = intermediate.sign(&leaf(NAME, &[]));
        let bundle = format!("{}{}", root.pem, intermediate.pem);
        assert_eq!(verify(&bundle, None, &certificate, &[]), Ok(()));
        let sent = [intermediate.der.clone()];
        assert_eq!(
            verify(&root.pem, None, &certificate, &sent),
            Err("UnknownIssuer".to_owned())
        );
    }

    #[test]
    fn a_leaf_that_signs_is_no_ca() {
        let root = Authority::new("Root");
        let key = KeyPair::generate().unwrap();
        let false_ca = root.sign_for(&leaf("acme:orders", &[]), &key);
        let issuer = rcgen::Issuer::new(leaf("acme:orders", &[]), key);
        let certificate = Authority::sign_with(&issuer, &leaf(NAME, &[]));
        assert!(verify(&root.pem, None, &certificate, &[false_ca]).is_err());
    }

    #[test]
    fn dates_and_purposes() {
        let ca = Authority::new("Cloud SQL Server CA");
        let changed = |change: fn(&mut CertificateParams)| {
            let mut params = leaf(NAME, &[]);
            change(&mut params);
            verify(&ca.pem, None, &ca.sign(&params), &[])
        };
        for (change, expected) in [
            (
                (|params| params.not_after = date_time_ymd(2026, 5, 31))
                    as fn(&mut CertificateParams),
                "ExpiredContext",
            ),
            (
                |params| params.not_before = date_time_ymd(2026, 6, 2),
                "NotValidYetContext",
            ),
            (
                |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
                "InvalidPurposeContext",
            ),
            (
                |params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
                "Other",
            ),
        ] {
            let error = changed(change).unwrap_err();
            if expected == "Other" {
                assert!(error.contains("CaUsedAsEndEntity"), "{error}");
            } else {
                assert!(error.starts_with(expected), "{error}");
            }
        }
        let none = changed(|params| params.extended_key_usages.clear());
        assert_eq!(none, Ok(()), "an instance's own CA need not say what for");
    }

    #[test]
    fn a_ca_that_is_over_signs_nothing_any_more() {
        let ca = Authority::lasting_until("Cloud SQL Server CA", (2026, 5, 31));
        let certificate = ca.sign(&leaf(NAME, &[]));
        assert_eq!(
            verify(&ca.pem, None, &certificate, &[]),
            Err("UnknownIssuer".to_owned())
        );
    }

    #[test]
    fn what_is_not_a_ca_at_all() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        for pem in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let error = InstanceVerifier::new(pem, &[], NAME.to_owned(), Arc::clone(&provider))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{pem}");
            assert_eq!(error.to_string(), "cannot read the CA of `acme:payments`");
        }
    }
}
