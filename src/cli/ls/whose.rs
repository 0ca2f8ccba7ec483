//! Whose databases to list, and how to say so.

use super::short;
use crate::app::CatalogTokens;
use crate::auth::{Claims, Session};
use crate::catalog::{Directory, EntityRef, Selection};
use crate::error::{ErrorKind, Result, printable};

/// More groups than this are counted, not named.
const MOST_GROUPS_NAMED: usize = 3;

/// A selection of databases, in the API's words and in people's.
#[derive(Debug)]
pub(in crate::cli) struct Whose {
    pub(in crate::cli) selection: Selection,
    /// For example `of ada and payments`.
    pub(in crate::cli) words: String,
    /// What the person should know of how it was found out.
    pub(in crate::cli) note: Option<String>,
}

impl Whose {
    /// All that there are.
    pub(in crate::cli) fn everybody() -> Self {
        Self {
            selection: Selection::default(),
            words: "in the catalog".to_owned(),
            note: None,
        }
    }

    /// Of these groups and users, as typed.
    pub(in crate::cli) fn of(owners: &[String]) -> Result<Self> {
        let owners = owners
            .iter()
            .map(|owner| EntityRef::parse(owner, "group"))
            .collect::<Result<Vec<_>>>()?;
        let names: Vec<String> = owners.iter().map(short).collect();
        Ok(Self {
            words: format!("of {}", listed(&names)),
            selection: Selection {
                owners: Some(owners),
                system: None,
            },
            note: None,
        })
    }

    /// Of the person who is signed in and of their groups.
    pub(in crate::cli) async fn mine(
        directory: &Directory<CatalogTokens>,
        session: &Session,
    ) -> Result<Self> {
        let claims = last_signed_in(session).await?;
        let email = claims.login();
        let person = directory.person(email).await?;
        let note = person.note;
        let person = person.value.ok_or_else(|| {
            ErrorKind::NotFound
                .error(format!(
                    "the catalog has no user with the address `{}`, or you may not see them",
                    printable(email)
                ))
                .hint("bsql ls --all")
                .hint("bsql ls --owner group:default/YOUR-TEAM")
        })?;
        let mut names = vec![printable(&person.entity_ref.name)];
        if person.groups.len() > MOST_GROUPS_NAMED {
            names.push(format!("{} groups", person.groups.len()));
        } else {
            names.extend(person.groups.iter().map(short));
        }
        Ok(Self {
            words: format!("of {}", listed(&names)),
            selection: Selection {
                owners: Some(person.owners()),
                system: None,
            },
            note,
        })
    }

    /// Those of them that are part of this system.
    pub(in crate::cli) fn in_system(mut self, system: &str) -> Result<Self> {
        let system = EntityRef::parse(system, "system")?;
        self.words = format!("of the system {} {}", short(&system), self.words);
        self.selection.system = Some(system);
        Ok(self)
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Whoever signed in last. Nothing is asked: a listing that is kept can be shown without a token, and where one is needed
/// the catalog's client gets it, and says so when the session is over.
pub(in crate::cli) async fn last_signed_in(session: &Session) -> Result<Claims> {
    match session.claims().await? {
        Some(claims) => Ok(claims),
        None => crate::cli::login::signed_in(session).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_people_list_them() {
        let names = ["ada", "payments", "team-b/web"].map(str::to_owned);
        assert_eq!(listed(&names[..1]), "ada");
        assert_eq!(listed(&names[..2]), "ada and payments");
        assert_eq!(listed(&names), "ada, payments and team-b/web");
        let whose = Whose::of(&["payments".to_owned(), "user:ada".to_owned()]).unwrap();
        assert_eq!(whose.words, "of payments and ada");
        assert_eq!(
            whose.in_system("checkout").unwrap().words,
            "of the system checkout of payments and ada"
        );
        assert!(Whose::of(&["a b".to_owned()]).is_err());
    }
}
