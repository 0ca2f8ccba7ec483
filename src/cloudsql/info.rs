//! All that a connection to an instance needs, for as long as its client certificate lasts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::admin::{ConnectSettings, SqlAdminClient};
use super::credentials::{CredentialSource, Scope};
use super::domain::DomainName;
use super::engine::{Engine, IpType};
use super::kept::{Kept, MARGIN, Record};
use super::key::{ClientKey, PendingKey};
use super::name::{InstanceConnectionName, InstanceLocator};
use super::signer::ClientKeys;
use super::verify::InstanceVerifier;
use crate::clock::Clock;
use crate::error::{ErrorKind, Result, ResultExt as _, printable};
use crate::refresh::{Source, within};

/// For everything a fetch asks, retries included; as Google's connectors.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Where an instance is, how to know it, and who bsql is there.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The instance with its region.
    pub instance: InstanceConnectionName,
    /// The engine and its version, for example `POSTGRES_17`.
    pub database_version: String,
    /// The engine, if this bsql knows it.
    pub engine: Option<Engine>,
    /// When the client certificate ends, or the login in it if that is sooner.
    pub expires_at: Timestamp,
    /// The name that the instance's certificate is expected to have, if there is one.
    pub dns_name: Option<String>,
    pub(super) fetched_at: Timestamp,
    /// An earlier run has fetched it.
    pub(super) recalled: bool,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) asks_for_client_protocol: bool,
    public_address: Option<String>,
    private_address: Option<String>,
    psc_names: Vec<String>,
}

/// Somewhere to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// An address, or a name.
    pub(super) host: &'a str,
    pub(super) kind: IpType,
}

impl ConnectionInfo {
    /// Where to dial, in this order. Never empty: fails with [`ErrorKind::Config`] when the instance has nothing of this
    /// type.
    pub(super) fn addresses(&self, ip_type: IpType) -> Result<Vec<Address<'_>>> {
        let of = |kind: IpType| -> Vec<Address<'_>> {
            let hosts = match kind {
                IpType::Public => self.public_address.as_slice(),
                IpType::Private => self.private_address.as_slice(),
                IpType::Psc => self.psc_names.as_slice(),
                IpType::Auto => &[],
            };
            hosts.iter().map(|host| Address { host, kind }).collect()
        };
        let all = [IpType::Public, IpType::Private, IpType::Psc];
        let first = all.into_iter().map(of).find(|found| !found.is_empty());
        let found = match ip_type {
            IpType::Auto => first.clone().unwrap_or_default(),
            ip_type => of(ip_type),
        };
        if !found.is_empty() {
            return Ok(found);
        }
        let instance = &self.instance;
        let what = match ip_type {
            IpType::Public => "public address",
            IpType::Private => "private address",
            IpType::Psc => "name for Private Service Connect",
            IpType::Auto => "address that bsql can dial",
        };
        let error = ErrorKind::Config.error(format!("`{instance}` has no {what}"));
        Err(match first.as_deref() {
            Some([other, ..]) => {
                let other = other.kind;
                error
                    .hint(format!("take the other one: --via {other}, or for good `google.ip_type = \"{other}\"`"))
                    .hint(format!("or tell the entity's owner to add the annotation `bsql.dev/ip-type: {other}`"))
            }
            _ => error.hint("tell the entity's owner: it takes a public or a private address, or Private Service Connect"),
        })
    }

    /// Whether both say the same of where the instance is.
    pub(super) fn is_where(&self, other: &Self) -> bool {
        self.public_address == other.public_address
            && self.private_address == other.private_address
            && self.psc_names == other.psc_names
    }

    /// The name for the handshake: with a DNS name it is sent (SNI), without one the verifier knows the instance anyway.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        sni(self.dns_name.as_deref())
            .unwrap_or_else(|| ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()))
    }
}

fn sni(dns_name: Option<&str>) -> Option<ServerName<'static>> {
    ServerName::try_from(dns_name?.to_owned()).ok()
}

/// Asks for [`ConnectionInfo`].
#[derive(Debug)]
pub struct ConnectionInfoSource<C> {
    /// The instance.
    pub instance: InstanceLocator,
    /// Whom to ask.
    pub admin: SqlAdminClient,
    /// As whom.
    pub credentials: Arc<C>,
    /// For the client certificates.
    pub key: PendingKey,
    /// Whether the certificate is to be the database login as well. MySQL then refuses users with passwords.
    pub iam_login: bool,
    /// Where it is kept for the next run, if it is.
    pub kept: Option<Kept>,
    /// The domain name that leads to the instance, if the person named it so. Its certificate may have that name.
    pub domain: Option<DomainName>,
    /// Where the domain name leads since it has changed.
    pub moved_to: Moved,
    /// What time it is.
    pub clock: Clock,
}

impl<C: CredentialSource> Source for ConnectionInfoSource<C> {
    type Value = Arc<ConnectionInfo>;
    /// As Google's connectors.
    const EARLY: SignedDuration = SignedDuration::from_mins(4);

    /// As Google's connectors.
    const BURST: usize = 2;
    /// Less than what a person waits for without asking why; the certificate lasts for minutes still.
    const PATIENCE: Duration = Duration::from_secs(10);

    async fn recall(&self) -> Option<Arc<ConnectionInfo>> {
        let kept = self.kept.as_ref()?;
        let record = kept.record(self.record_name()).await?;
        if record.principal != self.who().await? {
            return None;
        }
        let key = self.key.ready().await.ok()?;
        let certificate = record.certificate(&key, self.clock.now())?;
        let (expires_at, fetched_at) = (record.expires_at()?, record.fetched_at()?);
        let info = self.assemble(record.settings, certificate, &key, expires_at, fetched_at);
        let info = ConnectionInfo {
            recalled: true,
            ..info.ok()?
        };
        tracing::info!(instance = %info.instance, %expires_at, "connection info of an earlier run");
        Some(Arc::new(info))
    }

    async fn forget(&self) {
        if let Some(kept) = &self.kept {
            kept.forget(self.record_name()).await;
        }
    }

    async fn fetch(&self) -> Result<Arc<ConnectionInfo>> {
        let fetched = within(FETCH_TIMEOUT, Box::pin(self.ask()), || {
            ErrorKind::Unavailable
                .error(format!(
                    "cannot ask Google about `{}` in time",
                    self.instance()
                ))
                .because(anyhow::anyhow!(
                    "no answer within {} s",
                    FETCH_TIMEOUT.as_secs()
                ))
                .hint("check the network and run it again")
        });
        fetched.await.map(Arc::new)
    }

    fn expires_at(value: &Self::Value) -> Timestamp {
        value.expires_at
    }
}

/// The instance that has taken the place of another one.
#[derive(Debug, Default)]
pub struct Moved(Mutex<Option<InstanceLocator>>);

impl<C: CredentialSource> ConnectionInfoSource<C> {
    /// The instance as it is known now.
    pub(super) fn instance(&self) -> InstanceLocator {
        let moved = self
            .moved_to
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        moved.as_ref().unwrap_or(&self.instance).clone()
    }

    /// From now on it is another instance.
    pub(super) fn move_to(&self, instance: InstanceLocator) {
        let mut moved = self
            .moved_to
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *moved = Some(instance);
    }

    /// Both tokens, the key and both calls at the same time, as far as they do not need each other.
    async fn ask(&self) -> Result<ConnectionInfo> {
        let settings = async {
            let token = self.credentials.access_token(Scope::Admin).await?;
            self.admin.connect_settings(&token, &self.instance()).await
        };
        let login = async {
            if !self.iam_login {
                return Ok(None);
            }
            let token = self.credentials.access_token(Scope::Login).await?;
            Ok(Some(token))
        };
        let certificate = async {
            let admin = self.credentials.access_token(Scope::Admin);
            let (token, login, key) = tokio::try_join!(admin, login, self.key.ready())?;
            let certificate = self
                .admin
                .generate_ephemeral_cert(
                    &token,
                    &self.instance(),
                    key.public_key_pem(),
                    login.as_ref(),
                )
                .await?;
            let ends = not_after(&certificate).or_fail(ErrorKind::Unavailable, || {
                format!(
                    "cannot read the client certificate for `{}`",
                    self.instance()
                )
            })?;
            let login_ends = login.map(|login| login.expires_at);
            Ok((
                certificate,
                key,
                login_ends.map_or(ends, |login_ends| ends.min(login_ends)),
            ))
        };
        let (settings, (certificate, key, expires_at)) =
            tokio::try_join!(Box::pin(settings), Box::pin(certificate))?;
        let now = self.clock.now();
        let to_keep = self.kept.as_ref().map(|kept| (kept, settings.clone()));
        let info = self.assemble(settings, certificate.clone(), &key, expires_at, now)?;
        tracing::info!(instance = %info.instance, %expires_at, "fetched connection info");
        if let Some((kept, settings)) = to_keep
            && now < expires_at - MARGIN
            && let Some(who) = self.who().await
        {
            let record = Record::new(who, settings, &certificate, expires_at, now);
            kept.save_record(self.record_name(), record).await;
        }
        Ok(info)
    }

    /// Whose certificates these are. Whoever cannot be named cannot be recognised later.
    async fn who(&self) -> Option<String> {
        let principal = self.credentials.principal().await.ok()?;
        Some(format!("{} {}", principal.login, principal.member))
    }

    /// All that the certificate depends on, but for the person and the key, which are in the record.
    fn record_name(&self) -> String {
        let iam_login = if self.iam_login { "login" } else { "" };
        Kept::name(&[
            self.admin.base_url().as_str(),
            self.instance().project(),
            self.instance().instance(),
            iam_login,
        ])
    }

    fn assemble(
        &self,
        settings: ConnectSettings,
        certificate: CertificateDer<'static>,
        key: &ClientKey,
        expires_at: Timestamp,
        fetched_at: Timestamp,
    ) -> Result<ConnectionInfo> {
        self.check(&settings)?;
        Ok(ConnectionInfo {
            instance: self.instance().in_region(&settings.region),
            engine: settings.engine(),
            expires_at,
            dns_name: self.names(&settings).first().map(ToString::to_string),
            fetched_at,
            recalled: false,
            tls: self.tls(&settings, certificate, key)?,
            asks_for_client_protocol: settings.asks_for_client_protocol(),
            public_address: settings.address("PRIMARY").map(str::to_owned),
            private_address: settings.address("PRIVATE").map(str::to_owned),
            psc_names: settings
                .psc_names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            database_version: settings.database_version,
        })
    }

    /// The names that the instance's certificate may have, best first.
    fn names<'a>(&'a self, settings: &'a ConnectSettings) -> Vec<&'a str> {
        let domain = self.domain.as_ref().map(DomainName::as_str);
        domain.into_iter().chain(settings.own_dns_names()).collect()
    }

    fn check(&self, settings: &ConnectSettings) -> Result<()> {
        let region = &settings.region;
        if let Some(expected) = self.instance().region()
            && expected != region
        {
            return Err(ErrorKind::Catalog
                .error(format!(
                    "`{}` is not in region `{expected}`",
                    self.instance()
                ))
                .because(anyhow::anyhow!("Google has it in `{}`", printable(region)))
                .hint(format!(
                    "its name is `{}`: if yours is from the catalog, tell the entity's owner",
                    printable(&self.instance().in_region(region).to_string())
                )));
        }
        if let Some(backend) = &settings.backend_type
            && backend != "SECOND_GEN"
        {
            return Err(ErrorKind::Unavailable
                .error(format!("`{}` is too old for bsql", self.instance()))
                .because(anyhow::anyhow!(
                    "its backend is `{}`, not `SECOND_GEN`",
                    printable(backend)
                )));
        }
        match settings.engine() {
            Some(engine) if self.iam_login && !engine.has_iam_login() => Err(ErrorKind::Config
                .error(format!("{engine} has no login by Google identity"))
                .because(anyhow::anyhow!(
                    "`{}` runs `{}`",
                    self.instance,
                    printable(&settings.database_version)
                ))
                .hint("name a database user that has a password, with -u")),
            _ => Ok(()),
        }
    }

    fn tls(
        &self,
        settings: &ConnectSettings,
        certificate: CertificateDer<'static>,
        key: &ClientKey,
    ) -> Result<Arc<ClientConfig>> {
        let roots = settings
            .server_ca_cert
            .as_ref()
            .map_or("", |found| found.cert.as_str());
        // `ring`: the first handshake in a process takes aws-lc 40 ms longer.
        let mut provider = rustls::crypto::ring::default_provider();
        // First, as in Google's connectors: AES-256 takes 14 rounds for 10, and a server may go by the client's order.
        let fast = CipherSuite::TLS13_AES_128_GCM_SHA256;
        provider
            .cipher_suites
            .sort_by_key(|suite| suite.suite() != fast);
        provider.key_provider = &ClientKeys;
        let provider = Arc::new(provider);
        let common_name = self.instance().certificate_name();
        let names = self.names(settings);
        let verifier = InstanceVerifier::new(roots, &names, common_name, Arc::clone(&provider))?;
        let unusable = || format!("cannot set up TLS to `{}`", self.instance());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .or_fail(ErrorKind::Internal, unusable)?
            .dangerous() // The name for "not the default verifier"; verify.rs says why it must be another.
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(vec![certificate], key.private_key())
            .or_fail(ErrorKind::Internal, unusable)?;
        tls.enable_sni = sni(names.first().copied()).is_some();
        // In TLS 1.3 it saves no round trip, and a resumed session would skip the verifier.
        tls.resumption = Resumption::disabled();
        Ok(Arc::new(tls))
    }
}

/// When a certificate ends. The API does not say, but the certificate does.
fn not_after(certificate: &CertificateDer<'_>) -> anyhow::Result<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(certificate)?;
    Ok(Timestamp::from_second(
        parsed.validity().not_after.timestamp(),
    )?)
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use serde_json::json;

    use super::super::stand_in::{FixedTokens, StandIn};
    use super::*;

    #[tokio::test]
    async fn everything_is_asked_at_once_and_put_together() {
        let stand_in = StandIn::start().await;
        let clock = Clock::system();
        let mut source = stand_in.source(clock);
        source.instance = InstanceLocator::without_region("acme", "payments").unwrap();
        let info = source.fetch().await.unwrap();
        assert_eq!(info.instance.to_string(), "acme:europe-west1:payments");
        assert_eq!(
            (info.engine, info.database_version.as_str()),
            (Some(Engine::Postgres), "POSTGRES_17")
        );
        let life = info.expires_at.duration_since(clock.now()).as_secs();
        assert!((3_590..=3_600).contains(&life), "the certificate's: {life}");
        assert!(!info.tls.enable_sni);
        let [asked] = stand_in.certificates().try_into().unwrap();
        assert_eq!(asked.json()["access_token"], "Login");
    }

    #[tokio::test]
    async fn a_login_that_ends_sooner_ends_it() {
        let stand_in = StandIn::start().await;
        let clock = Clock::system();
        let mut source = stand_in.source(clock);
        let login_ends = clock.now() + SignedDuration::from_mins(20);
        source.credentials = Arc::new(FixedTokens {
            login_ends,
            ..FixedTokens::default()
        });
        assert_eq!(source.fetch().await.unwrap().expires_at, login_ends);

        source.iam_login = false;
        assert!(source.fetch().await.unwrap().expires_at > login_ends);
        let [_, without] = stand_in.certificates().try_into().unwrap();
        let body = without.json();
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["public_key"]);
    }

    #[tokio::test]
    async fn what_the_answer_may_not_be() {
        for (settings, kind, message, cause) in [
            (
                json!({ "region": "us-central1" }),
                ErrorKind::Catalog,
                "`acme:europe-west1:payments` is not in region `europe-west1`",
                "Google has it in `us-central1`",
            ),
            (
                json!({ "backendType": "FIRST_GEN" }),
                ErrorKind::Unavailable,
                "`acme:europe-west1:payments` is too old for bsql",
                "its backend is `FIRST_GEN`, not `SECOND_GEN`",
            ),
            (
                json!({ "databaseVersion": "SQLSERVER_2022_WEB" }),
                ErrorKind::Config,
                "SQL Server has no login by Google identity",
                "`acme:europe-west1:payments` runs `SQLSERVER_2022_WEB`",
            ),
        ] {
            let stand_in = StandIn::start().await;
            stand_in.change(|behaviour| behaviour.settings = settings);
            let error = stand_in.source(Clock::system()).fetch().await.unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
            assert_eq!(error.causes(), [cause]);
        }
        let stand_in = StandIn::start().await;
        stand_in.change(|behaviour| behaviour.settings = json!({ "serverCaCert": null }));
        let error = stand_in.source(Clock::system()).fetch().await.unwrap_err();
        assert_eq!(error.to_string(), "cannot read the CA of `acme:payments`");
    }

    #[tokio::test]
    async fn addresses_by_type() {
        let address = |kind: &str, ip: &str| json!({ "type": kind, "ipAddress": ip });
        let (public, private) = (
            address("PRIMARY", "34.1.2.3"),
            address("PRIVATE", "10.0.0.5"),
        );
        let none = |what: &str| Err(format!("`acme:europe-west1:payments` has no {what}"));
        let host = |host: &str| Ok(host.to_owned());
        for (addresses, ip_type, expected) in [
            (json!([private, public]), IpType::Public, host("34.1.2.3")),
            (json!([public, private]), IpType::Private, host("10.0.0.5")),
            (json!([private, public]), IpType::Auto, host("34.1.2.3")),
            (json!([private]), IpType::Auto, host("10.0.0.5")),
            (json!([private]), IpType::Public, none("public address")),
            (json!([public]), IpType::Private, none("private address")),
            (json!([]), IpType::Auto, none("address that bsql can dial")),
            (
                json!([public]),
                IpType::Psc,
                none("name for Private Service Connect"),
            ),
            (
                json!([address("OUTGOING", "1.1.1.1")]),
                IpType::Public,
                none("public address"),
            ),
        ] {
            let stand_in = StandIn::start().await;
            stand_in.change(|behaviour| behaviour.settings = json!({ "ipAddresses": addresses }));
            let info = stand_in.source(Clock::system()).fetch().await.unwrap();
            let found = info.addresses(ip_type);
            let found = found
                .map(|found| found[0].host.to_owned())
                .map_err(|error| error.to_string());
            assert_eq!(found, expected, "{addresses} {ip_type}");
        }
    }
}
