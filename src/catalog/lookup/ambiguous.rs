//! Several candidates, and how to type each of them.

use super::super::conventions::Conventions;
use super::super::entity::Entity;
use crate::error::{Error, ErrorKind, printable};

/// More names than this help nobody.
const MOST_CANDIDATES: usize = 20;

/// The error that lists the candidates, for when nobody can choose: [`ErrorKind::NotFound`], with what to type for each.
pub fn ambiguous(asked: &str, candidates: &[Entity], conventions: &Conventions) -> Error {
    let mut error = ErrorKind::NotFound.error(format!(
        "`{}` could be any of {} databases",
        printable(asked),
        candidates.len()
    ));
    for candidate in candidates.iter().take(MOST_CANDIDATES) {
        error = error.hint(format!(
            "type {}",
            offer(candidate, candidates, conventions)
        ));
    }
    match candidates.len().checked_sub(MOST_CANDIDATES) {
        None | Some(0) => error,
        Some(more) => error.hint(format!("and {more} more: bsql ls --all")),
    }
}

/// The reference to type, and what tells this one from the others.
pub(super) fn offer(entity: &Entity, among: &[Entity], conventions: &Conventions) -> String {
    let environment = conventions.environments.of(entity);
    let entity_ref = entity.entity_ref();
    let same = among
        .iter()
        .filter(|other| other.entity_ref() == entity_ref);
    // One component may say where it is in each environment.
    let typed = match &environment {
        Some(environment) if same.count() > 1 => format!("{entity_ref}@{environment}"),
        _ => entity_ref.to_string(),
    };
    let owner = entity.owner().map(|owner| owner.to_string());
    let about: Vec<String> = environment.into_iter().chain(owner).collect();
    let offer = match about.as_slice() {
        [] => format!("`{typed}`"),
        about => format!("`{typed}` ({})", about.join(", ")),
    };
    printable(&offer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_that_is_long_says_that_it_goes_on() {
        let candidates: Vec<Entity> = (0..23)
            .map(|nth| {
                let name = format!("db-{nth:02}\u{1b}[31m");
                serde_json::from_value(json!({ "kind": "Resource", "metadata": { "name": name } }))
                    .unwrap()
            })
            .collect();
        let error = ambiguous("db\u{7}", &candidates, &Conventions::default());
        assert_eq!(
            error.to_string(),
            "`db\u{fffd}` could be any of 23 databases"
        );
        assert_eq!(error.next_steps().len(), 21);
        assert_eq!(
            error.next_steps()[0],
            "type `resource:default/db-00\u{fffd}[31m`"
        );
        assert_eq!(error.next_steps()[20], "and 3 more: bsql ls --all");
        let error = ambiguous("db", &candidates[..20], &Conventions::default());
        assert_eq!(error.next_steps().len(), 20);
    }
}
