//! The DNS names that Google gives to instances.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result, printable};

/// Google's zones for them: for any network, for private services access, for Private Service Connect.
const ZONES: [&str; 3] = ["sql", "sql-psa", "sql-psc"];
/// A name in a zone that is in no region is not an instance's.
const NO_REGION: &str = "global";
const LONGEST_LABEL: usize = 63;

/// The DNS name of an instance, `LABEL.PROJECT_LABEL.REGION.sql.goog`. The labels mean nothing: Google has to be asked
/// which instance it is, see [`SqlAdminClient::resolve`](super::SqlAdminClient::resolve).
///
/// As Google's connectors know them, see `resolver.py` of
/// <https://github.com/GoogleCloudPlatform/cloud-sql-python-connector>. A company's own domain names, which stand for a
/// connection name by a TXT record, are [`DomainName`](super::DomainName)s.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceDnsName {
    /// In small letters, without a dot at the end.
    name: String,
    region: String,
}

impl InstanceDnsName {
    /// The region, which is in the name.
    pub fn region(&self) -> &str {
        &self.region
    }
}

/// Without a dot at the end.
impl fmt::Display for InstanceDnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for InstanceDnsName {
    type Err = Error;

    /// Fails with [`ErrorKind::Usage`]. A dot at the end is taken off.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let labels: Vec<&str> = name.split('.').collect();
        match labels.as_slice() {
            [label, project, region, zone, "goog"]
                if [label, project, region]
                    .into_iter()
                    .all(|label| is_label(label))
                    && *region != NO_REGION
                    && ZONES.contains(zone) =>
            {
                Ok(Self {
                    region: (*region).to_owned(),
                    name,
                })
            }
            _ => Err(ErrorKind::Usage
                .error(format!(
                    "`{}` is not the DNS name of an instance",
                    printable(text)
                ))
                .hint(
                    "it ends in `.REGION.sql.goog`, as `gcloud sql instances describe` shows it",
                )),
        }
    }
}

fn is_label(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let len = text.len();
    (1..=LONGEST_LABEL).contains(&len)
        && text.chars().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_instances() {
        for text in [
            "1a2b3c4d5e6f.2imj07zrx20yw.us-west1.sql.goog.",
            "1a2b3c4d5e6f.2imj07zrx20yw.us-west1.sql.goog",
            "1A2B3C4D5E6F.2imj07zrx20yw.US-west1.SQL.goog",
        ] {
            let name: InstanceDnsName = text.parse().unwrap();
            assert_eq!(name.region(), "us-west1");
            assert_eq!(
                name.to_string(),
                "1a2b3c4d5e6f.2imj07zrx20yw.us-west1.sql.goog"
            );
        }
        for zone in ["sql-psa", "sql-psc"] {
            assert!(
                format!("a.b.us-west1.{zone}.goog")
                    .parse::<InstanceDnsName>()
                    .is_ok()
            );
        }
        for text in [
            "",
            "payments-staging",
            "acme:europe-west1:payments",
            "resource:default/payments",
            "a.b.global.sql.goog",
            "a.b.us-west1.sql.goog.example",
            "b.us-west1.sql.goog",
            "x.a.b.us-west1.sql.goog",
            "a.b.us-west1.run.goog",
            "a..us-west1.sql.goog",
            "a.-b.us-west1.sql.goog",
            "a/..b.us-west1.sql.goog",
            "a.b.us-west1.sql.goog..",
        ] {
            assert!(text.parse::<InstanceDnsName>().is_err(), "{text}");
        }
    }
}
