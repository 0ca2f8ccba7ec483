//! By which way to an instance, where the straight one does not lead there: <https://cloud.google.com/sql/docs/postgres/private-ip>.
//!
//! Whatever lies in between sees TLS and no more, but for Google's own SQL Data service. The certificate at the other end has to be the instance's by every way,
//! and the one shown there is the person's own.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

use super::engine::IpType;
use crate::error::{Error, ErrorKind, Result, printable};

/// The way to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Via {
    /// To the address that the catalog or the settings choose.
    #[default]
    Direct,
    /// To its address of this type.
    Address(IpType),
    /// Through Google's SQL Data service, which takes no network that leads to the instance.
    DataApi,
    /// Through a SOCKS 5 proxy (RFC 1928), which looks names up itself.
    Socks5(Place),
    /// Through an HTTP proxy, with CONNECT (RFC 9110 section 9.3.6).
    Http(Place),
    /// To this place, from where somebody forwards to the instance's port, for example `ssh -L 3307:10.0.0.5:3307`.
    Forwarded(Place),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A name or an address, an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Place {
    pub(super) fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }
}

/// As a person would type it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Address(ip_type) => ip_type.fmt(f),
            Self::DataApi => f.write_str("data-api"),
            Self::Socks5(place) => write!(f, "socks5://{place}"),
            Self::Http(place) => write!(f, "http://{place}"),
            Self::Forwarded(place) => place.fmt(f),
        }
    }
}

impl FromStr for Via {
    type Err = Error;

    /// Fails with [`ErrorKind::Usage`]: where the text came from somewhere else, the caller says whose it is.
    fn from_str(text: &str) -> Result<Self> {
        if text == "direct" {
            return Ok(Self::Direct);
        }
        if text == "data-api" {
            return Ok(Self::DataApi);
        }
        if let Ok(ip_type) = text.parse() {
            return Ok(Self::Address(ip_type));
        }
        let wrong = |why: &str| {
            ErrorKind::Usage
                .error(format!("`{}` is no way to an instance", printable(text)))
                .because(anyhow::anyhow!(why.to_owned()))
                .hint("use direct, public, private, psc, data-api, socks5://HOST:PORT, http://HOST:PORT, or HOST:PORT of a forwarded port 3307")
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        if rest.contains('@') {
            // The text itself stays out of the message.
            return Err(ErrorKind::Usage
                .error("a proxy's user name and password cannot be given")
                .because(anyhow::anyhow!("bsql keeps no passwords"))
                .hint("start a proxy on this machine that adds them, and name that"));
        }
        let place = read_place(rest.strip_suffix('/').unwrap_or(rest));
        let place = place.ok_or_else(|| wrong("it takes a host and a port"))?;
        match scheme {
            None => Ok(Self::Forwarded(place)),
            Some("socks5" | "socks5h") => Ok(Self::Socks5(place)),
            Some("http") => Ok(Self::Http(place)),
            Some(_) => Err(wrong("bsql knows the proxies socks5 and http")),
        }
    }
}

/// The URL parser knows what a host is; `http` stands for any scheme with hosts.
fn read_place(text: &str) -> Option<Place> {
    // The parser would take the port of the scheme for none at all.
    let (_, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let url = Url::parse(&format!("http://{text}/")).ok()?;
    let host = match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => Ipv6Addr::to_string(&ip),
    };
    (url.path() == "/" && url.query().is_none() && url.fragment().is_none())
        .then_some(Place { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_as_they_are_written() {
        let place = |host: &str, port| Place::new(host, port);
        for (text, via) in [
            ("direct", Via::Direct),
            ("data-api", Via::DataApi),
            ("private", Via::Address(IpType::Private)),
            ("psc", Via::Address(IpType::Psc)),
            ("auto", Via::Address(IpType::Auto)),
            (
                "socks5://127.0.0.1:1080",
                Via::Socks5(place("127.0.0.1", 1080)),
            ),
            (
                "http://proxy.acme.example:80",
                Via::Http(place("proxy.acme.example", 80)),
            ),
            ("localhost:13307", Via::Forwarded(place("localhost", 13307))),
            ("[::1]:13307", Via::Forwarded(place("::1", 13307))),
        ] {
            assert_eq!(text.parse::<Via>().unwrap(), via, "{text}");
            assert_eq!(via.to_string(), text);
        }
        assert_eq!(
            "socks5h://a.example:1/".parse::<Via>().unwrap(),
            Via::Socks5(place("a.example", 1))
        );
        for (text, why) in [
            ("", "a host and a port"),
            ("vpn", "a host and a port"),
            ("localhost", "a host and a port"),
            ("localhost:0", "a host and a port"),
            ("localhost:99999", "a host and a port"),
            ("::1:3307", "a host and a port"),
            ("http://proxy", "a host and a port"),
            ("http://proxy:80/x", "a host and a port"),
            ("http://proxy:80?x", "a host and a port"),
            ("socks4://a:1", "socks5 and http"),
            ("https://a:1", "socks5 and http"),
            ("socks5://ada:hunter2@a:1", "keeps no passwords"),
        ] {
            let error = text.parse::<Via>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
            assert!(
                error.causes()[0].contains(why),
                "{text}: {:?}",
                error.causes()
            );
        }
    }
}
