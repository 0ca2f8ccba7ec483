//! The one way from a name that somebody typed to one database, for every command that takes one.
//!
//! Never a guess: several databases are a choice for whoever is at the terminal, and an error where nobody is.

use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::freshness::FreshnessArgs;
use super::ls::Row;
use super::pick;
use crate::app::{App, CatalogTokens};
use crate::auth::{Claims, Session};
use crate::catalog::{Conventions, Dated, Directory, Entity, FindOptions, Freshness, ambiguous};
use crate::cloudsql::{CredentialSource as _, Destination, DomainName, InstanceDnsName, Scope};
use crate::config::Profile;
use crate::error::{ErrorKind, Result};
use crate::target::DatabaseTarget;
use crate::ui::Ui;
use crate::ui::picker::{Picked, Picker, Update};

/// How a name is to be taken
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct NamingArgs {
    /// Only a database of this environment
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::environments))]
    env: Option<String>,
    /// For a component, also the databases of its subcomponents, or of its whole system; may be repeated
    #[arg(long = "with", value_name = "WHAT")]
    with: Vec<With>,
    #[command(flatten)]
    freshness: FreshnessArgs,
}

/// What else a component's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum With {
    /// Databases of its subcomponents
    Subcomponents,
    /// Databases of its system
    System,
}

impl NamingArgs {
    fn options(&self) -> FindOptions {
        FindOptions {
            environment: self.env.clone(),
            subcomponents: self.with.contains(&With::Subcomponents),
            system: self.with.contains(&With::System),
        }
    }

    /// Which answers of the catalog will do.
    pub(super) fn freshness(&self) -> Freshness {
        self.freshness.freshness()
    }

    /// Who is signed in, as far as the answers that will do ask for it.
    pub(super) async fn person(
        &self,
        session: &Session,
        online: impl Future<Output = Result<Claims>>,
    ) -> Result<Claims> {
        self.freshness.person(session, online).await
    }
}

/// What a name may stand for.
#[derive(Debug)]
pub(super) enum Candidates {
    /// An instance that was named directly, perhaps by a domain name that leads to it; the catalog was not asked.
    Instance(Box<DatabaseTarget>, Option<DomainName>),
    /// Entities of the catalog, at least one, and the catalog they are in.
    Entities(Dated<Vec<Entity>>, Box<Directory<CatalogTokens>>),
}

/// What a name stands for, if it is an alias. Says so when the alias is a project's: whoever wrote the repository may have
/// given one database's name to another.
pub(super) fn without_alias(name: &str, app: &App, profile: &Profile, ui: &Ui) -> String {
    let aliases = app.aliases(profile);
    for warning in &aliases.warnings {
        ui.warn(warning);
    }
    let Some(stands_for) = aliases.resolve(name) else {
        return name.to_owned();
    };
    if let Some(file) = aliases.project_of(name) {
        ui.warn(&format!("`{name}` is `{stands_for}` here, says `{file}`"));
    }
    stands_for.to_owned()
}

/// Looks a name up, which is [no alias](without_alias). Needs nobody at the terminal: see [`choose`] for that.
pub(super) async fn candidates(
    name: &str,
    naming: &NamingArgs,
    freshness: Freshness,
    app: &App,
    profile: &Profile,
    session: &Session,
) -> Result<Candidates> {
    if let Some(target) = named_directly(name, app, profile, session).await? {
        return Ok(Candidates::Instance(Box::new(target), None));
    }
    let mut unanswered = None;
    if let Ok(domain) = name.parse::<DomainName>() {
        match named_by_domain(&domain, app, profile, session).await {
            Ok(Some(target)) => {
                return Ok(Candidates::Instance(Box::new(target), Some(domain)));
            }
            Ok(None) => {}
            // The catalog may have it, whatever ails the DNS.
            Err(error) if error.kind() == ErrorKind::Unavailable => unanswered = Some(error),
            Err(error) => return Err(error),
        }
    }
    let directory = app.directory(profile, session, freshness)?;
    let found = match (directory.find(name, &naming.options()).await, unanswered) {
        (Err(error), Some(unanswered)) if error.kind() == ErrorKind::NotFound => {
            return Err(unanswered.hint(format!("the catalog has no `{name}` either")));
        }
        (found, _) => found?,
    };
    Ok(Candidates::Entities(found, Box::new(directory)))
}

/// The instance that somebody named without the catalog: by its connection name, or by its DNS name, for which Google is
/// asked.
async fn named_directly(
    name: &str,
    app: &App,
    profile: &Profile,
    session: &Session,
) -> Result<Option<DatabaseTarget>> {
    if let Ok(dns_name) = name.parse::<InstanceDnsName>() {
        let credentials = app.credentials(profile, session)?;
        let token = credentials.access_token(Scope::Admin).await?;
        let found = app.sql_admin(profile)?.resolve(&token, &dns_name).await?;
        return Ok(DatabaseTarget::from_connection_name(&found.to_string()));
    }
    Ok(DatabaseTarget::from_connection_name(name))
}

/// The instance that a domain name of the company's leads to. One that leads nowhere may be a name in the catalog.
async fn named_by_domain(
    domain: &DomainName,
    app: &App,
    profile: &Profile,
    session: &Session,
) -> Result<Option<DatabaseTarget>> {
    let name = match App::domains(profile).resolve(domain).await? {
        None => return Ok(None),
        Some(Destination::Instance(name)) => name,
        Some(Destination::DnsName(dns_name)) => {
            let credentials = app.credentials(profile, session)?;
            let token = credentials.access_token(Scope::Admin).await?;
            app.sql_admin(profile)?.resolve(&token, &dns_name).await?
        }
    };
    tracing::info!(%domain, instance = %name, "leads to");
    Ok(DatabaseTarget::from_connection_name(&name.to_string()))
}

/// One of the entities: the only one, or the one that the person at the terminal chooses.
pub(super) async fn choose(
    name: &str,
    found: Dated<Vec<Entity>>,
    conventions: &Conventions,
    verb: &str,
    app: &App,
    profile: &Profile,
    ui: &Ui,
) -> Result<Dated<Entity>> {
    let place = match found.value.len() {
        0 => {
            return Err(ErrorKind::Internal.error("the catalog found nothing and did not say so"));
        }
        1 => 0,
        _ if !ui.can_ask() => return Err(ambiguous(name, &found.value, conventions)),
        several => {
            let usage = app.usage(profile).all();
            let mut rows: Vec<(Row, usize)> = found
                .value
                .iter()
                .map(|entity| Row::new(entity, conventions, &profile.backstage.web_url))
                .zip(0..several)
                .collect();
            pick::most_used_first(&mut rows, |(row, _)| row, &usage, app.clock().now());
            let choices = rows
                .iter()
                .map(|(row, _)| pick::choice(row, &usage, app.clock().now()))
                .collect();
            let status = format!("`{}` could be any of these", crate::error::printable(name));
            let mut picker = Picker::new(choices, verb, status);
            // There is nothing newer to ask for: these were just found.
            let nothing_new =
                || async { Err::<Update, _>(ErrorKind::Usage.error("these are all")) };
            let picking = ui.pick(&mut picker, false, nothing_new);
            match app.shutdown().or_interrupted(picking).await? {
                Picked::Chosen(nth) => rows[nth].1,
                Picked::Nothing => return Err(ambiguous(name, &found.value, conventions)),
            }
        }
    };
    Ok(found.map(|mut entities| entities.swap_remove(place)))
}

/// What `found` is worth saying about: that it is not fresh, and why.
pub(super) fn say_note<T>(found: &Dated<T>, freshness: Freshness, ui: &Ui) {
    if let Some(note) = found
        .note
        .as_ref()
        .filter(|_| freshness != Freshness::Offline)
    {
        ui.warn(note);
    }
}
