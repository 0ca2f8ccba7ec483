//! The signed-in person.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::entity::{Entity, EntityRef};
use super::{BearerSource, CatalogClient, Condition, Query, user_token};
use crate::error::{Error, ErrorKind, Result, printable};

/// The signed-in person, as the catalog knows them. For showing and selecting: no permission comes from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The User entity.
    pub entity_ref: EntityRef,
    /// The name to show.
    pub name: String,
    /// The groups they are a member of, and where `catalog.include_parent_groups` says so the groups above those.
    pub groups: Vec<EntityRef>,
}

impl Person {
    /// Everybody in whose name the person owns things: they and their groups.
    pub fn owners(&self) -> Vec<EntityRef> {
        let mut owners = vec![self.entity_ref.clone()];
        owners.extend_from_slice(&self.groups);
        owners
    }
}

/// What Backstage answers about whose token it is; its own shape, not OpenID Connect's.
#[derive(Deserialize)]
struct UserInfo {
    claims: UserClaims,
}

#[derive(Deserialize)]
struct UserClaims {
    /// In whose name the person owns things, as of their last sign-in in a browser.
    #[serde(default)]
    ent: Vec<String>,
}

impl<B: BearerSource> CatalogClient<B> {
    /// The signed-in person: whoever Backstage's own token is for, else the User with this mail address, compared without
    /// regard to case.
    ///
    /// Fails with [`ErrorKind::Catalog`] when several users have the address.
    pub async fn person(&self, email: &str) -> Result<Option<Person>> {
        let token = self.bearer.bearer().await?;
        let person = match token.as_ref().and_then(user_token::user) {
            Some(user) => Some(self.person_of_token(user).await?),
            None => self.user_with_address(email).await?.as_ref().map(person),
        };
        match person {
            Some(person) if self.conventions.include_parent_groups => {
                self.with_parent_groups(person).await.map(Some)
            }
            person => Ok(person),
        }
    }

    /// Who they are is certain, so the User entity may be missing. Both sources are needed: the entity is up to date, and a
    /// company may have its own rule for what the other says.
    async fn person_of_token(&self, user: EntityRef) -> Result<Person> {
        let (entity, owners) = tokio::join!(self.by_name(&user), self.ownership());
        let mut person = entity?.as_ref().map_or_else(
            || Person {
                entity_ref: user.clone(),
                name: user.name.clone(),
                groups: Vec::new(),
            },
            person,
        );
        for owner in owners {
            if owner != person.entity_ref && !person.groups.contains(&owner) {
                person.groups.push(owner);
            }
        }
        Ok(person)
    }

    /// What Backstage stored when the person last signed in in a browser; nothing if they never did.
    async fn ownership(&self) -> Vec<EntityRef> {
        let info = async {
            let url = self.plugin_url("auth", &["v1", "userinfo"])?;
            let answer = self.ask(self.http.get(url)).await?;
            Ok::<_, Error>(match answer.status {
                StatusCode::OK => answer.json::<UserInfo>().ok(),
                _ => None,
            })
        };
        match info.await {
            Ok(Some(info)) => {
                let owners = info.claims.ent.iter();
                owners.filter_map(|owner| owner.parse().ok()).collect()
            }
            Ok(None) => Vec::new(),
            // The User entity says most of it, and if the server is down, asking for that one says so.
            Err(error) => {
                tracing::info!(%error, "goes by the User entity alone");
                Vec::new()
            }
        }
    }

    async fn user_with_address(&self, email: &str) -> Result<Option<Entity>> {
        let email = email.trim();
        if email.is_empty() {
            return Ok(None);
        }
        let user = |key: &str| {
            vec![
                Condition::any_of("kind", ["user"]),
                Condition::any_of(key, [email]),
            ]
        };
        let query = Query::new(vec![
            user("spec.profile.email"),
            user("metadata.annotations.google.com/email"),
        ]);
        let mut users = self.by_query(query).await?;
        if users.len() < 2 {
            return Ok(users.pop());
        }
        let refs: Vec<String> = users
            .iter()
            .map(|user| user.entity_ref().to_string())
            .collect();
        Err(ErrorKind::Catalog
            .error(format!(
                "`{}` is the mail address of several users in the catalog",
                printable(email)
            ))
            .because(anyhow::anyhow!("{}", printable(&refs.join(", "))))
            .hint("tell your Backstage administrators: one of them must go"))
    }

    /// Adds the groups above the person's own, one request for each level.
    async fn with_parent_groups(&self, mut person: Person) -> Result<Person> {
        let mut known: BTreeSet<EntityRef> = person.groups.iter().cloned().collect();
        let mut level: Vec<EntityRef> = person.groups.clone();
        loop {
            // What owns things besides groups has nothing above it.
            level.retain(|group| group.kind == "group");
            if level.is_empty() {
                return Ok(person);
            }
            let groups = self.by_refs(&level).await?;
            let parents = groups
                .iter()
                .flatten()
                .flat_map(|group| group.related("childOf"));
            // Groups may be above each other in a circle: each is asked for once.
            level = parents
                .filter(|parent| known.insert(parent.clone()))
                .collect();
            person.groups.extend_from_slice(&level);
        }
    }
}

fn person(user: &Entity) -> Person {
    let shown = user
        .spec
        .get("profile")
        .and_then(|profile| profile["displayName"].as_str())
        .filter(|name| !name.trim().is_empty());
    let mut groups: Vec<EntityRef> = Vec::new();
    for group in user.related("memberOf") {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Person {
        entity_ref: user.entity_ref(),
        name: shown.unwrap_or(user.title()).to_owned(),
        groups,
    }
}
