//! The names of Cloud SQL instances.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result, printable};

/// `project:region:instance`. The project may itself hold a colon: `example.com:project` is an old, domain-scoped one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceConnectionName {
    project: String,
    region: String,
    instance: String,
}

impl InstanceConnectionName {
    /// The project id.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The region, for example `europe-west1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The instance id within the project.
    pub fn instance(&self) -> &str {
        &self.instance
    }
}

impl fmt::Display for InstanceConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.project, self.region, self.instance)
    }
}

impl FromStr for InstanceConnectionName {
    type Err = Error;

    /// Fails with [`ErrorKind::Usage`]: where the text came from somewhere else, the caller says whose it is.
    fn from_str(text: &str) -> Result<Self> {
        // From the right: only the project can hold a colon.
        let mut parts = text.rsplitn(3, ':');
        let (instance, region, project) = (parts.next(), parts.next(), parts.next());
        match (project, region, instance) {
            (Some(project), Some(region), Some(instance))
                if is_project(project) && is_id(region) && is_id(instance) =>
            {
                Ok(Self {
                    project: project.to_owned(),
                    region: region.to_owned(),
                    instance: instance.to_owned(),
                })
            }
            _ => Err(ErrorKind::Usage
                .error(format!(
                    "`{}` is not an instance connection name",
                    printable(text)
                ))
                .because(anyhow::anyhow!("{}", malformed_parts(text).join(", ")))
                .hint(
                    "write `project:region:instance`, as `gcloud sql instances describe` shows it",
                )),
        }
    }
}

/// What is wrong with a text that is no connection name, part by part.
fn malformed_parts(text: &str) -> Vec<String> {
    let mut parts = text.rsplitn(3, ':');
    let (instance, region, project) = (parts.next(), parts.next(), parts.next());
    let Some(project) = project else {
        let what = match (region, instance) {
            (Some(project), Some(instance)) if is_id(project) && is_id(instance) => {
                "the region is missing: this is the old form `project:instance`"
            }
            (Some(_), _) => "one of its three parts is missing",
            (None, _) => "it has no colons",
        };
        return vec![what.to_owned()];
    };
    let parts = [
        ("project", project),
        ("region", region.unwrap_or_default()),
        ("instance", instance.unwrap_or_default()),
    ];
    let malformed = |(what, part): (&str, &str)| match part {
        "" => Some(format!("the {what} is empty")),
        // The others hold no colon, and so they are ids if they are projects.
        _ if is_project(part) => None,
        _ if what == "project" && part.matches(':').count() > 1 => {
            Some("it has too many colons".to_owned())
        }
        _ => Some(format!("the {what} cannot be `{}`", printable(part))),
    };
    parts.into_iter().filter_map(malformed).collect()
}

/// Where an instance is, as far as it is known: who registers it in the catalog may not know the region, and no API call
/// but the answer's check needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceLocator {
    project: String,
    region: Option<String>,
    instance: String,
}

impl InstanceLocator {
    /// An instance in a region to be found out. Fails with [`ErrorKind::Usage`] when these cannot be a project and an
    /// instance.
    pub fn without_region(project: &str, instance: &str) -> Result<Self> {
        if !is_project(project) || !is_id(instance) {
            return Err(ErrorKind::Usage.error(format!(
                "project `{}` and instance `{}` cannot be the names of a Cloud SQL instance",
                printable(project),
                printable(instance)
            )));
        }
        Ok(Self {
            project: project.to_owned(),
            region: None,
            instance: instance.to_owned(),
        })
    }

    /// The project id.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The region, if it is known.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The instance id within the project.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The connection name, if the region is known.
    pub fn connection_name(&self) -> Option<InstanceConnectionName> {
        self.region.as_deref().map(|region| self.in_region(region))
    }

    /// The connection name, now that the region is known.
    pub(super) fn in_region(&self, region: &str) -> InstanceConnectionName {
        InstanceConnectionName {
            project: self.project.clone(),
            region: region.to_owned(),
            instance: self.instance.clone(),
        }
    }

    /// The common name of the instance's certificate, `project:instance`.
    pub(super) fn certificate_name(&self) -> String {
        format!("{}:{}", self.project, self.instance)
    }
}

impl From<InstanceConnectionName> for InstanceLocator {
    fn from(name: InstanceConnectionName) -> Self {
        Self {
            project: name.project,
            region: Some(name.region),
            instance: name.instance,
        }
    }
}

/// `project:region:instance`, with a `?` for a region that is not known.
impl fmt::Display for InstanceLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = self.region.as_deref().unwrap_or("?");
        write!(f, "{}:{region}:{}", self.project, self.instance)
    }
}

/// Google's own rules are stricter, and differ between generations of projects. These characters are safe in a URL path.
fn is_id(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // Dots alone would be steps in a path.
    !text.is_empty() && text.chars().all(fits) && text.contains(|c: char| c.is_ascii_alphanumeric())
}

fn is_project(text: &str) -> bool {
    match text.split_once(':') {
        Some((domain, project)) => is_id(domain) && is_id(project),
        None => is_id(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_names() {
        for (text, project, region, instance) in [
            (
                "acme-staging:europe-west1:payments",
                "acme-staging",
                "europe-west1",
                "payments",
            ),
            (
                "example.com:tools:us-central1:x",
                "example.com:tools",
                "us-central1",
                "x",
            ),
        ] {
            let name: InstanceConnectionName = text.parse().unwrap();
            assert_eq!(
                (name.project(), name.region(), name.instance()),
                (project, region, instance)
            );
            assert_eq!(name.to_string(), text);
            let locator = InstanceLocator::from(name.clone());
            assert_eq!(locator.to_string(), text);
            assert_eq!(locator.connection_name(), Some(name));
        }
        for text in [
            "",
            "p",
            "p:i",
            "p:r:",
            ":r:i",
            "p::i",
            "a:b:c:d:e",
            "p:r:i ",
            "p:r:i\n",
            "p:r:../x",
            "p:r:..",
            "p:r:i?x",
            "p:r:i/../../j",
            "p r:r:i",
            "pröject:r:i",
            "x p:r:i",
        ] {
            assert!(text.parse::<InstanceConnectionName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_name_part_by_part() {
        for (text, causes) in [
            ("", "it has no colons"),
            ("payments", "it has no colons"),
            (
                "acme:payments",
                "the region is missing: this is the old form `project:instance`",
            ),
            ("acme:", "one of its three parts is missing"),
            ("p::i", "the region is empty"),
            (
                "pröject:eu west:i",
                "the project cannot be `pröject`, the region cannot be `eu west`",
            ),
            ("a:b:c:d:e", "it has too many colons"),
            ("p:r:i/j", "the instance cannot be `i/j`"),
            (
                "::",
                "the project is empty, the region is empty, the instance is empty",
            ),
        ] {
            let error = text.parse::<InstanceConnectionName>().unwrap_err();
            assert_eq!(error.causes(), [causes], "{text}");
        }
    }

    #[test]
    fn a_locator_may_not_know_its_region() {
        let locator = InstanceLocator::without_region("example.com:tools", "x").unwrap();
        assert_eq!(locator.to_string(), "example.com:tools:?:x");
        assert_eq!(locator.connection_name(), None);
        assert_eq!(locator.in_region("r").to_string(), "example.com:tools:r:x");
        assert_eq!(locator.certificate_name(), "example.com:tools:x");
        assert!(InstanceLocator::without_region("p", "i:j").is_err());
        assert!(InstanceLocator::without_region("p:q:r", "i").is_err());
    }
}
