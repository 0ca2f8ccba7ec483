//! Is this the instance's certificate? With whatever names, extensions and bytes: only what the API named is let in.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bsql::cloudsql::InstanceVerifier;
use bsql::error::ErrorKind;
use bsql_fuzz::assert_printable;
use libfuzzer_sys::fuzz_target;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

const COMMON_NAME: &str = "acme:payments";
const DNS_NAMES: [&str; 2] = ["1a2b.2imj.europe-west1.sql.goog", "db.acme.example"];
/// `id-ce-subjectAltName`, RFC 5280 section 4.2.1.6.
const ALTERNATIVE_NAMES: [u64; 4] = [2, 5, 29, 17];

struct Instance {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    key: KeyPair,
    /// As the instance has it.
    certificate: CertificateDer<'static>,
    verifier: InstanceVerifier,
}

/// With the same keys in each process, and signatures that have no chance in them, so that what is found is found again.
static INSTANCE: LazyLock<Instance> = LazyLock::new(|| {
    let mut params = named(["Cloud SQL Server CA"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca_key = ed25519(1);
    let ca_pem = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let key = ed25519(2);
    let certificate = named([COMMON_NAME]).signed_by(&key, &issuer).unwrap();
    Instance {
        verifier: verifier(&ca_pem).unwrap(),
        issuer,
        ca_pem,
        key,
        certificate: certificate.der().clone(),
    }
});

fuzz_target!(|data: &[u8]| {
    let Some((what, rest)) = data.split_first() else {
        return;
    };
    match what {
        b'n' => names(&String::from_utf8_lossy(rest)),
        b'x' => extension(rest),
        b'c' => changed(rest),
        b'p' => authority(&String::from_utf8_lossy(rest)),
        _ => assert!(!is_accepted(&CertificateDer::from(rest))),
    }
});

/// A line for the common name, one for another, and the alternative names.
fn names(lines: &str) {
    let mut lines = lines.lines();
    let common_names = [(); 2].map(|()| lines.next().unwrap_or_default());
    let dns_names: Vec<&str> = lines.filter(|name| name.is_ascii()).collect();
    let mut params = named(common_names);
    params.subject_alt_names = dns_names
        .iter()
        .map(|name| SanType::DnsName((*name).try_into().unwrap()))
        .collect();
    let common_names: Vec<&str> = common_names
        .into_iter()
        .filter(|name| *name != "")
        .collect();
    assert_eq!(
        is_accepted(&signed(&params)),
        dns_names.iter().any(|name| is_own(name)) || common_names == [COMMON_NAME],
        "{common_names:?} {dns_names:?}"
    );
}

/// Label by label: case makes no difference, nor does one dot at the end, and a star is one label in front of two or more.
fn is_own(presented: &str) -> bool {
    let presented = presented.strip_suffix('.').unwrap_or(presented);
    let presented: Vec<&str> = presented.split('.').collect();
    DNS_NAMES.iter().any(|own| {
        let own: Vec<&str> = own.split('.').collect();
        let fits = |(n, (presented, own)): (usize, (&&str, &&str))| {
            presented.eq_ignore_ascii_case(own) || (n == 0 && *presented == "*")
        };
        presented.len() == own.len() && presented.iter().zip(&own).enumerate().all(fits)
    })
}

/// Alternative names that are anything.
fn extension(content: &[u8]) {
    let mut params = named([]);
    let names = CustomExtension::from_oid_content(&ALTERNATIVE_NAMES, content.to_vec());
    params.custom_extensions.push(names);
    if is_accepted(&signed(&params)) {
        let text = String::from_utf8_lossy(content).to_ascii_lowercase();
        let has_own = DNS_NAMES
            .iter()
            .any(|own| text.contains(own.split_once('.').unwrap().1));
        assert!(has_own, "{text:?}");
    }
}

/// The instance's certificate with other bytes at some places: two say where, the third says what is added.
fn changed(changes: &[u8]) {
    let mut der = INSTANCE.certificate.to_vec();
    let length = der.len();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % length;
        der[at] = der[at].wrapping_add(change[2]);
    }
    let same = der == *INSTANCE.certificate;
    assert_eq!(is_accepted(&CertificateDer::from(der)), same);
}

/// What the API may call the instance's CAs. An `@` stands for the real one.
fn authority(text: &str) {
    let (has_own, pem) = (text.contains('@'), text.replace('@', &INSTANCE.ca_pem));
    match verifier(&pem) {
        Ok(verifier) => assert!(!accepts(&verifier, &INSTANCE.certificate) || has_own),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_printable(&error);
        }
    }
}

fn verifier(ca_pem: &str) -> bsql::error::Result<InstanceVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    InstanceVerifier::new(ca_pem, &DNS_NAMES, COMMON_NAME.to_owned(), provider)
}

fn is_accepted(certificate: &CertificateDer<'_>) -> bool {
    accepts(&INSTANCE.verifier, certificate)
}

fn accepts(verifier: &InstanceVerifier, certificate: &CertificateDer<'_>) -> bool {
    let anybody = ServerName::try_from("ignored.example").unwrap();
    // 2026-06-01.
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_780_272_000));
    match verifier.verify_server_cert(certificate, &[], &anybody, &[], now) {
        Ok(_) => true,
        Err(error) => {
            let told = error.to_string();
            assert!(!told.contains(char::is_control), "{told:?}");
            false
        }
    }
}

fn signed(params: &CertificateParams) -> CertificateDer<'static> {
    let signed = params.signed_by(&INSTANCE.key, &INSTANCE.issuer);
    signed.unwrap().der().clone()
}

/// A server's certificate. An empty common name is none.
fn named<const N: usize>(common_names: [&str; N]) -> CertificateParams {
    // One type of name is there once, but the same type written otherwise is another to rcgen.
    let types = [DnType::CommonName, DnType::CustomDnType(vec![2, 5, 4, 3])];
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (name, kind) in common_names.into_iter().zip(types) {
        if !name.is_empty() {
            params.distinguished_name.push(kind, name);
        }
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// `OneAsymmetricKey` of RFC 8410 section 7, whose last 32 bytes are the key.
fn ed25519(key: u8) -> KeyPair {
    const HEAD: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let pkcs8 = [&HEAD[..], &[key; 32]].concat();
    let pkcs8 = PrivatePkcs8KeyDer::from(pkcs8);
    KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ED25519).unwrap()
}
