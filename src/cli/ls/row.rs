//! One database of a list.

use serde::Serialize;
use url::Url;

use crate::catalog::{Conventions, Entity, EntityRef, entity_page};
use crate::cloudsql::Engine;
use crate::error::{Error, printable};
use crate::target::DatabaseTarget;

/// Everything that is shown of a database, fit for a terminal. The order and the names of the fields are the contract of
/// docs/ls.schema.json.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct Row {
    #[serde(rename = "ref")]
    pub(in crate::cli) reference: String,
    /// The shortest thing to type for it.
    pub(in crate::cli) name: String,
    pub(in crate::cli) title: Option<String>,
    pub(in crate::cli) environment: Option<String>,
    pub(in crate::cli) engine: Option<String>,
    pub(in crate::cli) owner: Option<String>,
    pub(in crate::cli) system: Option<String>,
    pub(in crate::cli) instance: Option<String>,
    pub(in crate::cli) region: Option<String>,
    pub(in crate::cli) database: Option<String>,
    /// Its page in Backstage.
    pub(in crate::cli) page: Option<String>,
    pub(in crate::cli) links: Vec<Link>,
    /// Why it cannot be connected to.
    pub(in crate::cli) problem: Option<String>,
    #[serde(skip)]
    pub(in crate::cli) description: Option<String>,
    /// The owner as a person says it.
    #[serde(skip)]
    pub(in crate::cli) short_owner: Option<String>,
    /// The instance without its region, for narrow terminals.
    #[serde(skip)]
    pub(in crate::cli) short_instance: Option<String>,
}

/// A link of a database.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct Link {
    pub(in crate::cli) title: String,
    pub(in crate::cli) url: String,
}

impl Row {
    /// What an entity says. What it says wrongly or not at all is missing, and `problem` says why.
    pub(in crate::cli) fn new(entity: &Entity, conventions: &Conventions, web_url: &Url) -> Self {
        let entity_ref = entity.entity_ref();
        let owner = entity.owner();
        let text = |text: Option<&str>| text.map(printable).filter(|text| !text.is_empty());
        let mut row = Self {
            reference: printable(&entity_ref.to_string()),
            name: short(&entity_ref),
            title: text(entity.metadata.title.as_deref()),
            environment: conventions
                .environments
                .of(entity)
                .map(|name| printable(&name)),
            engine: None,
            owner: owner.as_ref().map(|owner| printable(&owner.to_string())),
            system: entity.system().map(|system| printable(&system.name)),
            instance: None,
            region: None,
            database: None,
            page: entity_page(web_url, &entity_ref).map(String::from),
            links: entity
                .metadata
                .links
                .iter()
                .map(|link| Link {
                    title: text(link.title.as_deref()).unwrap_or_else(|| "link".to_owned()),
                    url: printable(&link.url),
                })
                .collect(),
            problem: None,
            description: text(entity.metadata.description.as_deref()),
            short_owner: owner.as_ref().map(short),
            short_instance: None,
        };
        match DatabaseTarget::from_entity(entity, conventions) {
            Ok(target) => row.add(&target),
            Err(error) => {
                row.engine = said_engine(entity).map(|engine| engine.to_string());
                row.problem = Some(in_one_line(&error));
            }
        }
        row
    }

    fn add(&mut self, target: &DatabaseTarget) {
        let instance = &target.instance;
        self.engine = target.engine.map(|engine| engine.to_string());
        self.instance = Some(instance.to_string());
        self.region = instance.region().map(str::to_owned);
        self.short_instance = Some(format!("{}:…:{}", instance.project(), instance.instance()));
        self.database = target.database.as_deref().map(printable);
    }

    /// What it is found by besides its name.
    pub(in crate::cli) fn about(&self) -> String {
        [&self.title, &self.system, &self.short_owner]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The engine as type or tags name it, where the rest of the entry cannot be read.
fn said_engine(entity: &Entity) -> Option<Engine> {
    let words = entity.spec_type().into_iter();
    words
        .chain(entity.metadata.tags.iter().map(String::as_str))
        .find_map(|word| word.parse().ok())
}

fn in_one_line(error: &Error) -> String {
    let causes = error.causes();
    match causes.first() {
        Some(cause) => printable(&format!("{error}: {cause}")),
        None => printable(&error.to_string()),
    }
}

/// What a person types: no kind for a Resource, no namespace for the default one.
pub(in crate::cli) fn short(entity_ref: &EntityRef) -> String {
    let text = match entity_ref.namespace.as_str() {
        "default" => entity_ref.name.clone(),
        namespace => format!("{namespace}/{}", entity_ref.name),
    };
    printable(&text)
}
