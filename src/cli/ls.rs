//! `bsql ls`: the databases in the catalog.

use serde_json::{Value, json};

use super::Output;
use super::login::signed_in;
use crate::app::App;
use crate::catalog::{Entity, EntityRef, Selection};
use crate::error::{ErrorKind, Result, ResultExt as _, printable};
use crate::target::DatabaseTarget;
use crate::ui::{Table, Ui};

/// List the databases that you or your teams own
#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    /// Only those whose name has this in it
    query: Option<String>,
    /// Every database that you may see
    #[arg(long, conflicts_with = "owner")]
    all: bool,
    /// Those of this group or user, for example group:default/payments
    #[arg(long, value_name = "REF")]
    owner: Option<String>,
    /// Those of one environment
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Those of one system
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// How to write them
    #[arg(short, long, default_value = "table")]
    pub(super) output: Output,
}

pub(crate) async fn run(args: LsArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    let claims = app.shutdown().or_interrupted(signed_in(&session)).await?;
    let catalog = app.catalog(&profile, &session)?;

    let listing = async {
        if args.all {
            let everything = catalog.databases(&Selection::default()).all().await?;
            return Ok((everything, "in the catalog".to_owned()));
        }
        let owned_by = |owners: Vec<EntityRef>| {
            let selection = Selection {
                owners: Some(owners),
                system: None,
            };
            catalog.databases(&selection).all()
        };
        if let Some(owner) = &args.owner {
            let owner = EntityRef::parse(owner, "group")?;
            return Ok((
                owned_by(vec![owner.clone()]).await?,
                format!("of {}", short(&owner)),
            ));
        }
        let email = claims.email.as_deref().unwrap_or(&claims.subject);
        let person = catalog.person(email).await?.ok_or_else(|| {
            ErrorKind::NotFound
                .error(format!(
                    "the catalog has no user with the address `{email}`, or you may not see them"
                ))
                .hint("bsql ls --all")
                .hint("bsql ls --owner group:default/YOUR-TEAM")
        })?;
        let groups: Vec<String> = person.groups.iter().map(short).collect();
        let teams = if groups.is_empty() {
            String::new()
        } else {
            format!(" and {}", groups.join(", "))
        };
        Ok((
            owned_by(person.owners()).await?,
            format!("of {}{teams}", person.entity_ref.name),
        ))
    };
    let listing = ui.wait(
        "asking Backstage for databases",
        app.shutdown().or_interrupted(listing),
    );
    let (entities, whose) = listing.await?;

    let conventions = catalog.conventions();
    let environment = args
        .env
        .as_deref()
        .map(|name| conventions.environments.named(name));
    let mut rows: Vec<Row> = entities
        .iter()
        .map(|entity| Row::new(entity, DatabaseTarget::from_entity(entity, conventions)))
        .filter(|row| {
            args.query
                .as_ref()
                .is_none_or(|query| row.name.contains(&query.to_lowercase()))
        })
        .filter(|row| environment.is_none() || row.environment == environment)
        .filter(|row| {
            args.system
                .as_ref()
                .is_none_or(|system| row.system.as_deref() == Some(system.as_str()))
        })
        .collect();
    rows.sort_by(|a, b| (&a.name, &a.entity_ref).cmp(&(&b.name, &b.entity_ref)));

    write(&rows, args.output, ui)?;
    if args.output == Output::Table || args.output == Output::Wide {
        let noun = if rows.len() == 1 {
            "database"
        } else {
            "databases"
        };
        ui.status(&format!("{} {noun} {whose}", rows.len()));
        if rows.iter().any(|row| row.problem.is_some()) {
            ui.hint("`bsql show NAME` says what is wrong with an entry");
        }
        if rows.is_empty() && !args.all {
            ui.hint("bsql ls --all");
        }
    }
    Ok(0)
}

/// One database of the list.
#[derive(Debug)]
struct Row {
    entity_ref: EntityRef,
    /// The shortest thing to type for it.
    name: String,
    title: Option<String>,
    environment: Option<String>,
    engine: Option<String>,
    owner: Option<EntityRef>,
    system: Option<String>,
    instance: Option<String>,
    database: Option<String>,
    /// Why it cannot be connected to.
    problem: Option<String>,
}

impl Row {
    fn new(entity: &Entity, target: Result<DatabaseTarget>) -> Self {
        let entity_ref = entity.entity_ref();
        let (target, problem) = match target {
            Ok(target) => (Some(target), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            name: short(&entity_ref),
            title: entity.metadata.title.as_deref().map(printable),
            environment: target
                .as_ref()
                .and_then(|target| target.environment.clone()),
            engine: target
                .as_ref()
                .and_then(|target| target.engine)
                .map(|engine| engine.to_string()),
            owner: entity.owner(),
            system: entity.system().map(|system| system.name),
            instance: target.as_ref().map(|target| target.instance.to_string()),
            database: target.and_then(|target| target.database),
            problem,
            entity_ref,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "ref": self.entity_ref.to_string(),
            "name": self.name,
            "title": self.title,
            "environment": self.environment,
            "engine": self.engine,
            "owner": self.owner.as_ref().map(ToString::to_string),
            "system": self.system,
            "instance": self.instance,
            "database": self.database,
            "problem": self.problem,
        })
    }
}

/// What a person types: no kind for a Resource, no namespace for the default one.
pub(super) fn short(entity_ref: &EntityRef) -> String {
    match entity_ref.namespace.as_str() {
        "default" => entity_ref.name.clone(),
        namespace => format!("{namespace}/{}", entity_ref.name),
    }
}

fn write(rows: &[Row], output: Output, ui: &mut Ui) -> Result<()> {
    let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    match output {
        Output::Json => {
            let databases: Vec<Value> = rows.iter().map(Row::to_json).collect();
            let text =
                serde_json::to_string_pretty(&json!({ "version": 1, "databases": databases }))
                    .or_fail(ErrorKind::Internal, || "cannot write the list as JSON")?;
            ui.print(&(text + "\n"))
        }
        Output::Name => rows
            .iter()
            .try_for_each(|row| ui.print(&format!("{}\n", row.name))),
        Output::Table | Output::Wide | Output::Csv => {
            let wide = output != Output::Table;
            let mut columns = vec!["NAME", "ENV", "ENGINE", "OWNER", "SYSTEM", "INSTANCE"];
            if wide {
                columns.extend(["DATABASE", "TITLE"]);
            }
            let mut table = Table::new(columns);
            for row in rows {
                let instance = match (&row.instance, &row.problem) {
                    (None, Some(_)) if output != Output::Csv => "(the entry is wrong)".to_owned(),
                    (instance, _) => dash(instance),
                };
                let mut cells = vec![
                    row.name.clone(),
                    dash(&row.environment),
                    dash(&row.engine),
                    row.owner.as_ref().map_or_else(|| "-".to_owned(), short),
                    dash(&row.system),
                    instance,
                ];
                if wide {
                    cells.extend([dash(&row.database), dash(&row.title)]);
                }
                table.row(cells);
            }
            match output {
                Output::Csv => ui.print(&table.to_csv()),
                _ if rows.is_empty() => Ok(()),
                _ => ui.print_table(&table),
            }
        }
    }
}
