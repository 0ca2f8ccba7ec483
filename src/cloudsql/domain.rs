//! A company's own domain names for its instances: <https://cloud.google.com/sql/docs/postgres/connect-connectors#dns>.
//!
//! A TXT record says which instance a name leads to. When it changes, as after a failover, connections to the old
//! instance are of no use, see [`Dialer::follow`](super::Dialer::follow).

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::dns::{self, Failure};
use super::dns_name::InstanceDnsName;
use super::name::InstanceConnectionName;
use crate::error::{Error, ErrorKind, Result, printable};

/// A domain name that may lead to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainName(String);

/// Where a domain name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To this instance, says a TXT record.
    Instance(InstanceConnectionName),
    /// It stands for a name that Google gave an instance.
    DnsName(InstanceDnsName),
}

/// Finds out where domain names lead.
#[derive(Debug, Clone)]
pub struct DomainResolver {
    servers: Vec<SocketAddr>,
}

impl DomainName {
    /// The name, in small letters and without a dot at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DomainName {
    type Err = Error;

    /// Fails with [`ErrorKind::Usage`]. There must be a dot in it, and the last label begins with a letter: as Google's
    /// connectors know them.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            let fits =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
            (1..=63).contains(&label.len())
                && label.chars().all(fits)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_name = name.split('.').all(is_label)
            && name.len() <= 253
            && name
                .rsplit_once('.')
                .is_some_and(|(_, last)| last.starts_with(|c: char| c.is_ascii_lowercase()));
        if is_name {
            Ok(Self(name))
        } else {
            Err(ErrorKind::Usage.error(format!("`{}` is not a domain name", printable(text))))
        }
    }
}

impl DomainResolver {
    /// Asks `server`, or those that the system asks.
    pub fn new(server: Option<SocketAddr>) -> Self {
        let system = || {
            let conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
            dns::servers(&conf)
        };
        Self {
            servers: server.map_or_else(system, |server| vec![server]),
        }
    }

    /// Where the name leads; None when nothing says that it leads to an instance.
    ///
    /// Fails with [`ErrorKind::Unavailable`] when nobody could be asked.
    pub async fn resolve(&self, name: &DomainName) -> Result<Option<Destination>> {
        let found = match dns::txt(&self.servers, &name.0).await {
            Ok(found) => found,
            Err(Failure::NoSuchName) => return Ok(None),
            Err(Failure::Unanswered(why)) => {
                return Err(ErrorKind::Unavailable
                    .error(format!("cannot look up the domain name `{name}`"))
                    .because(anyhow::anyhow!(why))
                    .hint("check the network and VPN: the name may be known inside only")
                    .hint("or name a DNS server in `google.endpoints.dns`"));
            }
        };
        let mut texts = found.texts;
        // As Google's connectors: so that everybody takes the same one of several.
        texts.sort_unstable();
        let named = texts.iter().find_map(|text| text.trim().parse().ok());
        let alias = || {
            found
                .canonical
                .as_deref()
                .and_then(|name| name.parse().ok())
        };
        Ok(named
            .map(Destination::Instance)
            .or_else(|| alias().map(Destination::DnsName)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::dns::tests::server;
    use super::*;

    #[test]
    fn domain_names() {
        for (text, name) in [
            ("db.acme.example", "db.acme.example"),
            ("DB.acme.example.", "db.acme.example"),
            ("_x.a-b.c1.io", "_x.a-b.c1.io"),
        ] {
            assert_eq!(text.parse::<DomainName>().unwrap().as_str(), name);
        }
        for text in [
            "",
            "payments-staging",
            "p:r:i",
            "resource:default/payments",
            "payments@staging",
            "10.0.0.5",
            "a..b",
            "-a.b",
            "a.b..",
            "a b.c",
        ] {
            assert!(text.parse::<DomainName>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn the_first_text_that_names_an_instance() {
        let name: DomainName = "db.acme.example".parse().unwrap();
        for (texts, expected) in [
            (&["v=spf1 -all", "p:r:b", "p:r:a"][..], Some("p:r:a")),
            (&["v=spf1 -all"], None),
            (&[], None),
        ] {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            let server = server(move || texts.clone(), false).await;
            let found = DomainResolver::new(Some(server))
                .resolve(&name)
                .await
                .unwrap();
            let expected = expected.map(|name| Destination::Instance(name.parse().unwrap()));
            assert_eq!(found, expected);
        }
    }
}
