//! The names of instances, by which Google's API, its DNS zones and TXT records call them.

#![no_main]

use bsql::cloudsql::{DomainName, InstanceConnectionName, InstanceDnsName, InstanceLocator};
use bsql_fuzz::assert_printable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    connection_name(text);
    match text.parse::<InstanceDnsName>() {
        Ok(name) => {
            assert_eq!(name.to_string().parse::<InstanceDnsName>().unwrap(), name);
            assert_eq!(name.to_string(), canonical(text));
            assert_eq!(canonical(text).split('.').nth(2), Some(name.region()));
        }
        Err(error) => assert_printable(&error),
    }
    match text.parse::<DomainName>() {
        Ok(name) => {
            assert_eq!(name.to_string().parse::<DomainName>().unwrap(), name);
            assert_eq!(name.as_str(), canonical(text));
            assert!(name.as_str().len() <= 253 && name.as_str().is_ascii());
        }
        Err(error) => assert_printable(&error),
    }
});

fn canonical(text: &str) -> String {
    let mut name = text.to_ascii_lowercase();
    name.truncate(name.len() - usize::from(name.ends_with('.')));
    name
}

fn connection_name(text: &str) {
    let parts: Vec<&str> = text.split(':').collect();
    let well_formed = parts.iter().all(|part| is_path_segment(part));
    let parsed = text.parse::<InstanceConnectionName>();
    assert_eq!(
        parsed.is_ok(),
        well_formed && matches!(parts.len(), 3 | 4),
        "{text:?}"
    );
    match parsed {
        Ok(name) => {
            assert_eq!(name.to_string(), text);
            let (project, region, instance) = (name.project(), name.region(), name.instance());
            assert_eq!(format!("{project}:{region}:{instance}"), text);
            let nowhere = InstanceLocator::without_region(project, instance).unwrap();
            let locator = InstanceLocator::from(name.clone());
            assert_eq!(
                (locator.project(), locator.instance()),
                (nowhere.project(), nowhere.instance())
            );
            assert_eq!(locator.connection_name().as_ref(), Some(&name));
            assert_eq!(nowhere.connection_name(), None);
        }
        Err(error) => assert_printable(&error),
    }
}

/// What can stand in the path of a URL as it is, and does not lead out of it.
fn is_path_segment(part: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    part.bytes().all(unreserved) && part.bytes().any(|byte| byte.is_ascii_alphanumeric())
}
