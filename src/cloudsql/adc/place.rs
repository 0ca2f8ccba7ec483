//! Where credentials are looked for: the file that is named, the file that gcloud writes, the machine itself.

use std::path::PathBuf;

use url::Url;

use super::AdcEnvironment;
use crate::error::{ErrorKind, Result};

/// What gcloud calls its file, in its directory.
const WELL_KNOWN: &str = "application_default_credentials.json";
/// On every machine of Google Cloud, and nowhere else.
const METADATA_HOST: &str = "metadata.google.internal";

/// Where the credentials are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In this file.
    File(PathBuf),
    /// With the metadata server at this URL, if this is a machine of Google's.
    MetadataServer(Url),
}

impl Place {
    /// The first place that there is. Whether there is a metadata server shows when it is asked.
    pub(super) fn find(environment: &AdcEnvironment) -> Result<Self> {
        if let Some(file) = &environment.credentials_file {
            return Ok(Self::File(file.clone()));
        }
        let well_known = environment.gcloud_dir.as_ref();
        let well_known = well_known.map(|dir| dir.join(WELL_KNOWN));
        if let Some(file) = well_known.filter(|file| file.exists()) {
            return Ok(Self::File(file));
        }
        let host = environment
            .metadata_host
            .as_deref()
            .unwrap_or(METADATA_HOST);
        let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/");
        let url = Url::parse(&url).map_err(|error| {
            ErrorKind::Config
                .error(format!("GCE_METADATA_HOST is not a host: `{host}`"))
                .because(error)
        })?;
        if environment.no_metadata {
            return Err(none(anyhow::anyhow!(
                "there is no credentials file, and NO_GCE_CHECK says that there is no metadata server"
            )));
        }
        Ok(Self::MetadataServer(url))
    }
}

/// The error when there are none.
pub(super) fn none(cause: anyhow::Error) -> crate::error::Error {
    ErrorKind::Config
        .error("there are no Application Default Credentials")
        .because(cause)
        .hint("gcloud auth application-default login")
        .hint("or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_then_gclouds_then_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let mut environment = AdcEnvironment {
            credentials_file: Some("/named.json".into()),
            gcloud_dir: Some(dir.path().to_owned()),
            ..AdcEnvironment::default()
        };
        assert_eq!(
            Place::find(&environment).unwrap(),
            Place::File("/named.json".into()),
            "even if it is not there"
        );
        environment.credentials_file = None;
        let machine =
            "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/";
        assert_eq!(
            Place::find(&environment).unwrap(),
            Place::MetadataServer(machine.parse().unwrap())
        );
        let file = dir.path().join(WELL_KNOWN);
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(Place::find(&environment).unwrap(), Place::File(file));

        environment.gcloud_dir = None;
        environment.no_metadata = true;
        let error = Place::find(&environment).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(
            error.next_steps()[0],
            "gcloud auth application-default login"
        );
        environment.metadata_host = Some("a b".to_owned());
        assert!(Place::find(&environment).is_err());
    }
}
