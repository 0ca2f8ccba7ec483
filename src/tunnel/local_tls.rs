//! TLS between a local program and the tunnel, for programs that insist. The certificate is for this machine's own names,
//! and an authority vouches for it that is this user's alone.
//!
//! The authority signs one certificate and its key is dropped: nothing that stays on disk can sign for another name, and
//! whoever trusts the authority trusts one key for `localhost`. The price is a new authority with each certificate.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::private_dir;
use crate::private_file;

/// How long a certificate is good for.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
/// One that has less left is replaced when a tunnel opens: tunnels stay open for days.
const RENEWAL: SignedDuration = SignedDuration::from_hours(24 * 30);
/// For clocks that are a little behind, in containers.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);
/// What a client is to trust: the authority, and after a renewal the one before, whose certificate may still be in use.
const AUTHORITY: &str = "authority.pem";
/// The certificate, its key and its authority. 0600.
const SERVER: &str = "server.pem";
const LOCK: &str = "lock";

/// What a tunnel proves itself with to local programs that ask for TLS.
#[derive(Clone)]
pub struct LocalTls {
    acceptor: TlsAcceptor,
    authority: PathBuf,
}

impl fmt::Debug for LocalTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTls")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl LocalTls {
    /// The certificate that is kept in `dir`. A new one is made when there is none or it is about to expire.
    ///
    /// Fails with [`CannotCreate`](ErrorKind::CannotCreate).
    pub fn kept_in(dir: &Path, now: Timestamp) -> Result<Self> {
        let failed = || format!("cannot keep a certificate in `{}`", dir.display());
        let kept = keep(dir, now).or_fail(ErrorKind::CannotCreate, failed)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![kept.certificate], kept.key)
            })
            .or_fail(ErrorKind::CannotCreate, failed)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority: dir.join(AUTHORITY),
        })
    }

    /// The file with the authority that clients are to trust, as PEM.
    pub fn authority(&self) -> &Path {
        &self.authority
    }
}

struct Kept {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Kept {
    /// `None` when it is not whole, or is to be replaced.
    fn read(pem: &[u8], now: Timestamp) -> Option<Self> {
        let mut certificates = CertificateDer::pem_slice_iter(pem);
        let certificate = certificates.next()?.ok()?;
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        let until = parsed.validity().not_after.timestamp();
        if until < (now + RENEWAL).as_second() {
            return None;
        }
        let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
        Some(Self { certificate, key })
    }
}

fn keep(dir: &Path, now: Timestamp) -> anyhow::Result<Kept> {
    private_dir::create(dir)?;
    // Two tunnels that open at once must end up with one certificate. Released when it is closed.
    let lock = File::create(dir.join(LOCK))?;
    lock.lock()?;
    let server = dir.join(SERVER);
    if let Some(kept) = read(&server)?.and_then(|pem| Kept::read(&pem, now))
        && dir.join(AUTHORITY).exists()
    {
        return Ok(kept);
    }
    let made = make(now)?;
    let before = fs::read_to_string(dir.join(AUTHORITY)).unwrap_or_default();
    let before = before.split_inclusive("-----END CERTIFICATE-----").next();
    let trusted = format!("{}{}\n", made.authority, before.unwrap_or_default().trim());
    // First, so that whoever finds the certificate finds who vouches for it.
    private_file::replace_durably(&dir.join(AUTHORITY), trusted.as_bytes())?;
    private_file::replace_durably(&server, made.server.as_bytes())?;
    tracing::info!(dir = %dir.display(), "made a certificate for this machine");
    Kept::read(made.server.as_bytes(), now)
        .ok_or_else(|| anyhow::anyhow!("the new certificate cannot be read"))
}

/// Somebody else's key is not used.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match private_file::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if let Some(why) = private_file::unsafe_because(&file)? {
        return Err(io::Error::other(format!("`{}`: {why}", path.display())));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(Some(bytes))
}

struct Made {
    /// The authority's certificate.
    authority: String,
    /// Certificate and key.
    server: String,
}

fn make(now: Timestamp) -> anyhow::Result<Made> {
    let mut params = params("bsql on this machine", now)?;
    // Its certificates are the ends, and for these names: whatever else it might have signed, nobody would believe.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 1], 32)),
            GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(
                std::net::Ipv6Addr::LOCALHOST.octets(),
                128,
            )),
        ],
        excluded_subtrees: Vec::new(),
    });
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let mut params = self::params("localhost", now)?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &authority)?;
    Ok(Made {
        authority: authority.pem(),
        server: format!("{}{}", certificate.pem(), key.serialize_pem()),
    })
}

fn params(common_name: &str, now: Timestamp) -> anyhow::Result<CertificateParams> {
    let at = |time: Timestamp| -> anyhow::Result<_> {
        let since_1970 = Duration::from_secs(u64::try_from(time.as_second())?);
        Ok(date_time_ymd(1970, 1, 1) + since_1970)
    };
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    // Authorities that follow each other are told apart.
    name.push(DnType::OrganizationalUnitName, now.as_second().to_string());
    params.distinguished_name = name;
    params.not_before = at(now - BACKDATED)?;
    params.not_after = at(now + LIFE)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A local program's stream: as it came, or encrypted since.
pub(super) enum Local<S> {
    /// With what it may be encrypted with.
    Plain(S, Option<LocalTls>),
    Tls(Box<TlsStream<S>>),
    /// The handshake failed.
    Gone,
}

impl<S> From<S> for Local<S> {
    fn from(stream: S) -> Self {
        Self::Plain(stream, None)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Local<S> {
    /// Whether it can still be encrypted.
    pub(super) fn has_tls(&self) -> bool {
        matches!(self, Self::Plain(_, Some(_)))
    }

    /// Answers a request for TLS with `yes`, which is nothing where TLS is offered beforehand, and shakes hands. False, and nothing is said, where there is no TLS to be had.
    pub(super) async fn encrypt(&mut self, yes: &[u8]) -> io::Result<bool> {
        if !self.has_tls() {
            return Ok(false);
        }
        let Self::Plain(mut stream, Some(tls)) = std::mem::replace(self, Self::Gone) else {
            return Ok(false);
        };
        stream.write_all(yes).await?;
        stream.flush().await?;
        *self = Self::Tls(Box::new(tls.acceptor.accept(stream).await?));
        Ok(true)
    }
}

/// Runs `$body` on whichever stream it is.
macro_rules! either {
    ($local:expr, $stream:ident => $body:expr) => {
        match $local.get_mut() {
            Local::Plain($stream, _) => $body,
            Local::Tls($stream) => $body,
            Local::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Local<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Local<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::clock::Clock;

    /// The TLS of a client that trusts what is in `authority`.
    pub(in crate::tunnel) fn trusting(authority: &[u8]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    /// What a client that trusts what is in `authority` makes of the tunnel as `name`.
    async fn visit(tls: &LocalTls, authority: &[u8], name: &str) -> io::Result<()> {
        let (mut client, server) = duplex(4096);
        let mut local = Local::Plain(server, Some(tls.clone()));
        let serving = async {
            if local.encrypt(b"S").await.is_ok_and(|encrypted| encrypted) {
                local.write_all(b"hello").await.unwrap();
                local.shutdown().await.unwrap();
            }
        };
        let visiting = async {
            assert_eq!(client.read_u8().await?, b'S');
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let mut stream = trusting(authority).connect(name, client).await?;
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await?;
            assert_eq!(heard, "hello");
            Ok(())
        };
        tokio::join!(serving, visiting).1
    }

    #[tokio::test]
    async fn whoever_trusts_the_authority_believes_this_machines_names_alone() {
        let dir = tempfile::tempdir().unwrap();
        let now = Clock::system().now();
        let tls = LocalTls::kept_in(dir.path(), now).unwrap();
        let authority = fs::read(tls.authority()).unwrap();
        for name in ["localhost", "127.0.0.1", "::1"] {
            visit(&tls, &authority, name).await.unwrap();
        }
        for name in ["db.acme.example", "127.0.0.2"] {
            visit(&tls, &authority, name).await.unwrap_err();
        }
        // Somebody else's authority does not vouch for it, though it has the same name.
        let other = tempfile::tempdir().unwrap();
        let other = LocalTls::kept_in(other.path(), now).unwrap();
        let other = fs::read(other.authority()).unwrap();
        visit(&tls, &other, "localhost").await.unwrap_err();
    }

    #[tokio::test]
    async fn it_is_kept_until_it_is_about_to_expire() {
        let dir = tempfile::tempdir().unwrap();
        let long_ago = Clock::system().now() - (LIFE - RENEWAL);
        let first = LocalTls::kept_in(dir.path(), long_ago).unwrap();
        let read = || fs::read(dir.path().join(AUTHORITY)).unwrap();
        let before = read();
        let soon = long_ago + LIFE - RENEWAL - SignedDuration::from_secs(1);
        LocalTls::kept_in(dir.path(), soon).unwrap();
        assert_eq!(read(), before, "the same");
        let renewed = LocalTls::kept_in(dir.path(), soon + SignedDuration::from_secs(2)).unwrap();
        let after = read();
        assert_ne!(after, before);
        // A tunnel that is open has the one before, and clients read the file anew.
        visit(&first, &after, "localhost").await.unwrap();
        visit(&renewed, &after, "localhost").await.unwrap();
        visit(&renewed, &before, "localhost").await.unwrap_err();
        assert_eq!(CertificateDer::pem_slice_iter(&after).count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn no_key_that_can_sign_is_kept_and_the_other_is_private() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

        let dir = tempfile::tempdir().unwrap();
        let now = Clock::system().now();
        LocalTls::kept_in(dir.path(), now).unwrap();
        let all: String = fs::read_dir(dir.path())
            .unwrap()
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        assert_eq!(
            all.matches("PRIVATE KEY-----").count(),
            2,
            "one, in two lines"
        );
        let server = dir.path().join(SERVER);
        assert_eq!(fs::metadata(&server).unwrap().mode() & 0o777, 0o600);
        let certificate = CertificateDer::from_pem_file(&server).unwrap();
        let (_, certificate) = X509Certificate::from_der(&certificate).unwrap();
        assert!(!certificate.is_ca());
        // One that others could have written is not used.
        fs::set_permissions(&server, fs::Permissions::from_mode(0o644)).unwrap();
        let error = LocalTls::kept_in(dir.path(), now).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
    }

    #[tokio::test]
    async fn without_it_nothing_is_said() {
        let (mut client, server) = duplex(64);
        let mut local = Local::from(server);
        assert!(!local.encrypt(b"S").await.unwrap());
        drop(local);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}
