//! Where Google's services are.

use url::Url;

use crate::error::{ErrorKind, Result, ResultExt as _, printable};

/// The port of every instance's TLS door. No API tells it and no setting changes it.
const INSTANCE_PORT: u16 = 3307;

/// The base URLs of the services. Whoever takes others from a configuration checks them with
/// [`require_secure`](crate::http::require_secure): access tokens go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Security Token Service.
    pub sts: Url,
    /// SQL Admin API.
    pub sql_admin: Url,
    /// IAM Service Account Credentials API.
    pub iam_credentials: Url,
    /// Google's OAuth server.
    pub oauth2: Url,
    /// The TCP port of the instances.
    pub instance_port: u16,
}

impl Endpoints {
    /// The services of a universe: `googleapis.com`, or a private one's domain.
    ///
    /// Fails with [`ErrorKind::Config`] when that cannot be a domain.
    pub fn for_universe(domain: &str) -> Result<Self> {
        let service = |name: &str| -> Result<Url> {
            Url::parse(&format!("https://{name}.{domain}/"))
                .ok()
                // A domain with more in it would send tokens elsewhere.
                .filter(|url| {
                    let host = format!("{name}.{domain}");
                    !domain.is_empty() && url.host_str() == Some(&host)
                })
                .ok_or_else(|| {
                    ErrorKind::Config
                        .error(format!("`{}` is not a universe domain", printable(domain)))
                })
        };
        Ok(Self {
            sts: service("sts")?,
            sql_admin: service("sqladmin")?,
            iam_credentials: service("iamcredentials")?,
            oauth2: service("oauth2")?,
            instance_port: INSTANCE_PORT,
        })
    }
}

/// The URL of `path` below `base`. Segments are encoded, but for `:`, which Google's custom methods need.
pub(super) fn below(base: &Url, path: &[&str]) -> Result<Url> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("it has no path"))
        .or_fail(ErrorKind::Config, || {
            format!("`{base}` cannot be a service's URL")
        })?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn universes() {
        let google = Endpoints::for_universe("googleapis.com").unwrap();
        assert_eq!(google.sts.as_str(), "https://sts.googleapis.com/");
        assert_eq!(
            google.sql_admin.as_str(),
            "https://sqladmin.googleapis.com/"
        );
        assert_eq!(
            google.iam_credentials.as_str(),
            "https://iamcredentials.googleapis.com/"
        );
        assert_eq!(google.oauth2.as_str(), "https://oauth2.googleapis.com/");
        assert_eq!(google.instance_port, 3307);
        for domain in [
            "",
            "a.example/x",
            "a.example:80",
            "u@a.example",
            "a.example#",
        ] {
            assert!(Endpoints::for_universe(domain).is_err(), "{domain}");
        }
    }

    #[test]
    fn urls_below_a_base() {
        let base: Url = "http://127.0.0.1:9/google/".parse().unwrap();
        let url = below(&base, &["instances", "x:generateEphemeralCert", "a/b"]).unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:9/google/instances/x:generateEphemeralCert/a%2Fb"
        );
        assert!(below(&"mailto:x".parse().unwrap(), &["a"]).is_err());
    }
}
