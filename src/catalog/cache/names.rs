//! Names for completion: what may be typed for the databases that the cache knows.
//!
//! Takes a few thousand bytes of each listing, wherever in it they are: completion runs at every press of a key.

use std::collections::BTreeMap;
use std::io;

use super::listing::{Listing, entity_of, heads};
use super::place::Place;
use super::sorted::key;
use super::{CachedName, listing, lookups};
use crate::catalog::entity::EntityRef;
use crate::error::printable;

/// How many databases of a component are looked at for `component@environment`.
const MOST_OF_COMPONENT: usize = 200;

/// What is being typed.
#[derive(Debug, Clone)]
struct Typed {
    /// In front of a `:`.
    kind: Option<String>,
    /// In front of a `/`.
    namespace: Option<String>,
    /// The rest.
    name: String,
}

impl Typed {
    fn new(text: &str) -> Self {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) if !kind.contains('/') => (Some(kind.to_owned()), rest),
            _ => (None, text),
        };
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, rest),
        };
        Self {
            kind,
            namespace,
            name: name.to_owned(),
        }
    }

    /// What to type for `entity_ref`, as far as that continues what is typed.
    fn continued_by(&self, entity_ref: &EntityRef) -> Option<String> {
        if let Some(kind) = &self.kind
            && *kind != entity_ref.kind
        {
            return None;
        }
        let EntityRef {
            namespace, name, ..
        } = entity_ref;
        let is_default = namespace == "default";
        let form = match &self.namespace {
            Some(typed) if typed == namespace && name.starts_with(&self.name) => {
                format!("{namespace}/{name}")
            }
            None if is_default && name.starts_with(&self.name) => name.clone(),
            None if !is_default && namespace.starts_with(&self.name) => {
                format!("{namespace}/{name}")
            }
            _ => return None,
        };
        let kind = self.kind.as_ref().map(|kind| format!("{kind}:"));
        Some(kind.unwrap_or_default() + &form)
    }
}

/// At most `most` names that begin with `prefix`, in order.
pub(super) fn starting_with(place: &Place, prefix: &str, most: usize) -> Vec<CachedName> {
    let prefix = prefix.to_lowercase();
    let mut found = BTreeMap::new();
    for kept in listing::all(place) {
        let searched = match prefix.rsplit_once('@') {
            None => in_listing(&kept.listing, &Typed::new(&prefix), most, &mut found),
            Some((component, environment)) => {
                environments_of(&kept.listing, component, environment, &mut found)
            }
        };
        if let Err(error) = searched {
            tracing::debug!(%error, "cannot search a cached listing");
        }
    }
    if !prefix.contains('@') {
        let typed = Typed::new(&prefix);
        for name in lookups::names(place) {
            let heads = [&name.entity_ref, &name.environment, &name.owner];
            add(heads.map(String::as_str), &typed, &mut found);
        }
    }
    let names = found.into_iter().take(most);
    names
        .map(|(typed, about)| CachedName { typed, about })
        .collect()
}

fn in_listing(
    listing: &Listing,
    typed: &Typed,
    most: usize,
    found: &mut BTreeMap<String, String>,
) -> io::Result<()> {
    for kind in kinds(listing, typed.kind.as_deref())? {
        let name = &typed.name;
        let ranges = if let Some(namespace) = &typed.namespace {
            let begin = format!("{kind}:{namespace}/{name}");
            vec![(begin.clone(), begin)]
        } else {
            let default = format!("{kind}:default/");
            let behind_default = format!("{kind}:default0");
            let in_default = format!("{default}{name}");
            // Namespaces that begin so, before and behind the one that is not typed.
            let begin = format!("{kind}:{name}");
            let behind = begin.clone().max(behind_default);
            vec![
                (in_default.clone(), in_default),
                (begin.clone(), begin.clone()),
                (behind, begin),
            ]
        };
        for (from, begin) in ranges {
            let mut lines = listing.sorted().lines_from(from.as_bytes())?;
            let mut taken = 0;
            while taken < most
                && let Some(line) = lines.next_line()?
                && line.starts_with(begin.as_bytes())
            {
                let Some(heads) = heads(line) else { break };
                if !add(heads, typed, found) && typed.namespace.is_none() {
                    // Has come to the namespace that is not typed.
                    break;
                }
                taken += 1;
            }
        }
    }
    Ok(())
}

/// The kinds in a listing, or the one that is typed.
fn kinds(listing: &Listing, typed: Option<&str>) -> io::Result<Vec<String>> {
    if let Some(kind) = typed {
        return Ok(vec![kind.to_owned()]);
    }
    let mut kinds: Vec<String> = Vec::new();
    loop {
        // Behind everything of the last kind: `;` follows `:`.
        let behind = kinds.last().map(|kind| format!("{kind};"));
        let from = behind.unwrap_or_default();
        let mut lines = listing.sorted().lines_from(from.as_bytes())?;
        let Some(line) = lines.next_line()? else {
            return Ok(kinds);
        };
        let key = String::from_utf8_lossy(key(line));
        match key.split_once(':') {
            Some((kind, _)) if Some(kind) > kinds.last().map(String::as_str) => {
                kinds.push(kind.to_owned());
            }
            _ => return Ok(kinds),
        }
    }
}

/// `component@environment` for the databases that are called after the component: that it depends on, or that have the
/// environment behind its name and nothing else.
fn environments_of(
    listing: &Listing,
    component: &str,
    environment: &str,
    found: &mut BTreeMap<String, String>,
) -> io::Result<()> {
    let begin = format!("resource:default/{component}");
    let mut lines = listing.sorted().lines_from(begin.as_bytes())?;
    let mut looked_at = 0;
    while looked_at < MOST_OF_COMPONENT
        && let Some(line) = lines.next_line()?
        && line.starts_with(begin.as_bytes())
    {
        looked_at += 1;
        let Some([entity_ref, its_environment, owner]) = heads(line) else {
            break;
        };
        if !its_environment.starts_with(environment) || !can_be_typed(its_environment) {
            continue;
        }
        let behind = entity_ref[begin.len()..].strip_prefix(['-', '_', '.']);
        let depended_on = || {
            entity_of(line).is_ok_and(|entity| {
                let mut components = entity.related("dependencyOf");
                components.any(|found| found.kind == "component" && found.name == component)
            })
        };
        if behind == Some(its_environment) || depended_on() {
            let typed = format!("{component}@{its_environment}");
            found.insert(typed, about(its_environment, owner));
        }
    }
    Ok(())
}

/// Whether it continues what is typed.
fn add(heads: [&str; 3], typed: &Typed, found: &mut BTreeMap<String, String>) -> bool {
    let [entity_ref, environment, owner] = heads;
    let Ok(entity_ref) = entity_ref.parse::<EntityRef>() else {
        return true;
    };
    let Some(typed) = typed.continued_by(&entity_ref) else {
        return false;
    };
    if can_be_typed(&typed) {
        found.insert(typed, about(environment, owner));
    }
    true
}

/// Shells put a candidate on the command line as it is: what they would take for more than a word must not get there.
pub(super) fn can_be_typed(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "-_.:/@+".contains(c);
    !name.starts_with('-') && name.chars().all(fits)
}

fn about(environment: &str, owner: &str) -> String {
    let owner = owner.parse::<EntityRef>().ok().map(|owner| owner.name);
    let parts = [Some(environment.to_owned()), owner];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    printable(&parts.join(", "))
}
