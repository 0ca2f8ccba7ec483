//! The catalog's REST API.
//!
//! <https://backstage.io/docs/features/software-catalog/software-catalog-api>. Works with every release since 1.8 (2023):
//! newer parts of the API are only used where an older server says that it does not know them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::{self, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::conventions::Conventions;
use super::entity::{Entity, EntityRef};
use super::refusal::{Problem, is_web_page, refusal};
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::http::{Answer, HttpClient};
use crate::secret::Secret;

const SERVICE: &str = "the catalog";
/// Entities per page. The server has no limit of its own; this many are some 500 KB.
const PAGE: usize = 500;
/// References per `by-refs` request: Backstage takes bodies up to 100 KiB, and a reference is 191 characters at most.
const REFS_PER_REQUEST: usize = 500;
/// Owners per query, and how long their part of the URL may get: Node refuses request heads of 16 KiB, proxies of 8.
const OWNERS_PER_QUERY: usize = 50;
const OWNERS_LENGTH: usize = 5_000;
/// What listing needs. `spec` as a whole would bring what other kinds of resources keep there.
const FIELDS: [&str; 5] = ["kind", "metadata", "spec.type", "spec.profile", "relations"];
const NAME_FIELDS: [&str; 3] = ["kind", "metadata.name", "metadata.namespace"];

/// A token for the catalog; `None` sends no Authorization header.
pub trait BearerSource: Send + Sync {
    /// The token as it is now.
    fn bearer(&self) -> impl Future<Output = Result<Option<Secret>>> + Send;

    /// A token for an authenticating proxy in front of it; `None` sends no Proxy-Authorization header.
    fn proxy_bearer(&self) -> impl Future<Output = Result<Option<Secret>>> + Send {
        std::future::ready(Ok(None))
    }
}

/// Adds the token for an authenticating proxy (RFC 9110 section 11.7.1).
pub(super) fn proxy_authorization(
    request: RequestBuilder,
    token: &Secret,
) -> Result<RequestBuilder> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| ErrorKind::Config.error("the token for the proxy cannot be in a header"))?;
    value.set_sensitive(true);
    Ok(request.header(header::PROXY_AUTHORIZATION, value))
}

/// Asks one catalog.
///
/// The catalog hides what a person may not read: it answers as if it were not there. So "not found" here always means
/// "not there, or not visible".
#[derive(Debug)]
pub struct CatalogClient<B> {
    http: HttpClient,
    base_url: Url,
    bearer: B,
    conventions: Conventions,
    /// Counting matches costs the server a second query. Since Backstage 1.52 it can be told not to.
    skips_totals: AtomicBool,
}

/// The signed-in person, as the catalog knows them. For showing and selecting: no permission comes from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The User entity.
    pub entity_ref: EntityRef,
    /// The name to show.
    pub name: String,
    /// The groups they are a direct member of.
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

/// A by-query request: any of the filters must hold.
struct Query<'a> {
    filters: Vec<String>,
    fields: &'a [&'a str],
    pages: usize,
}

impl Query<'static> {
    fn all_pages(filters: Vec<String>) -> Self {
        Self {
            filters,
            fields: &FIELDS,
            pages: usize::MAX,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Entity>,
    #[serde(default)]
    page_info: PageInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    next_cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ByRefs {
    entity_refs: Vec<String>,
    fields: [&'static str; 5],
}

#[derive(Deserialize)]
struct ByRefsAnswer {
    items: Vec<Option<Entity>>,
}

impl<B: BearerSource> CatalogClient<B> {
    /// A client for the catalog of the backend at `base_url`, which is not always where the web interface is.
    pub fn new(http: HttpClient, base_url: Url, bearer: B, conventions: Conventions) -> Self {
        Self {
            http,
            base_url,
            bearer,
            conventions,
            skips_totals: AtomicBool::new(true),
        }
    }

    /// How databases are written into this catalog.
    pub fn conventions(&self) -> &Conventions {
        &self.conventions
    }

    /// The entity with this reference.
    pub async fn by_name(&self, entity_ref: &EntityRef) -> Result<Option<Entity>> {
        let EntityRef {
            kind,
            namespace,
            name,
        } = entity_ref;
        let url = self.url(&["entities", "by-name", kind, namespace, name])?;
        let answer = self.ask(self.http.get(url)).await?;
        // Without Backstage's error body the path itself is unknown: then there is no catalog here.
        if answer.status == StatusCode::NOT_FOUND && answer.json::<Problem>().is_ok() {
            return Ok(None);
        }
        self.read(&answer, || format!("entity `{entity_ref}`"))
            .map(Some)
    }

    /// The entities with these references, in the same order; `None` where there is none or it is not visible.
    pub async fn by_refs(&self, entity_refs: &[EntityRef]) -> Result<Vec<Option<Entity>>> {
        let url = self.url(&["entities", "by-refs"])?;
        let mut entities = Vec::with_capacity(entity_refs.len());
        for chunk in entity_refs.chunks(REFS_PER_REQUEST) {
            let body = ByRefs {
                entity_refs: chunk.iter().map(ToString::to_string).collect(),
                fields: FIELDS,
            };
            let answer = self.ask(self.http.post(url.clone()).json(&body)).await?;
            let found: ByRefsAnswer = self.read(&answer, || "the entities asked for".to_owned())?;
            if found.items.len() != chunk.len() {
                return Err(self.unreadable(
                    || "the entities asked for".to_owned(),
                    anyhow::anyhow!(
                        "{} answers for {} references",
                        found.items.len(),
                        chunk.len()
                    ),
                ));
            }
            entities.extend(found.items);
        }
        Ok(entities)
    }

    /// The Resources and Components called `name`, in any namespace.
    pub async fn named(&self, name: &str) -> Result<Vec<Entity>> {
        let filter = format!("kind=resource,kind=component,metadata.name={name}");
        self.by_query(Query::all_pages(vec![filter])).await
    }

    /// Every database that is visible.
    pub async fn databases(&self) -> Result<Vec<Entity>> {
        self.databases_that("").await
    }

    /// The databases that any of `owners` owns.
    pub async fn databases_owned_by(&self, owners: &[EntityRef]) -> Result<Vec<Entity>> {
        let conditions: Vec<String> = owners
            .iter()
            .map(|owner| format!(",relations.ownedBy={owner}"))
            .collect();
        let filters = self.database_filters("").len();
        let mut databases = Vec::new();
        for chunk in chunks(&conditions, OWNERS_LENGTH / filters) {
            databases.extend(self.databases_that(&chunk.concat()).await?);
        }
        Ok(in_order(databases))
    }

    /// The databases that a component depends on.
    pub async fn databases_of(&self, component: &EntityRef) -> Result<Vec<Entity>> {
        self.databases_that(&format!(",relations.dependencyOf={component}"))
            .await
    }

    /// References of the first few hundred databases, for "did you mean".
    pub(super) async fn database_names(&self) -> Result<Vec<EntityRef>> {
        let query = Query {
            filters: self.database_filters(""),
            fields: &NAME_FIELDS,
            pages: 1,
        };
        let found = self.by_query(query).await?;
        Ok(found.iter().map(Entity::entity_ref).collect())
    }

    /// The User with this mail address, compared without regard to case.
    ///
    /// Fails with [`ErrorKind::Catalog`] when several users have it.
    pub async fn person(&self, email: &str) -> Result<Option<Person>> {
        if email.contains(',') {
            return Ok(None); // Nothing can escape a comma in a filter, and no organisation gives out such addresses.
        }
        let filters = vec![
            format!("kind=user,spec.profile.email={email}"),
            format!("kind=user,metadata.annotations.google.com/email={email}"),
        ];
        let users = self.by_query(Query::all_pages(filters)).await?;
        let user = match users.as_slice() {
            [] => return Ok(None),
            [user] => user,
            several => {
                let refs: Vec<String> = several
                    .iter()
                    .map(|user| user.entity_ref().to_string())
                    .collect();
                return Err(ErrorKind::Catalog
                    .error(format!(
                        "`{}` is the mail address of several users in the catalog",
                        printable(email)
                    ))
                    .because(anyhow::anyhow!("{}", printable(&refs.join(", "))))
                    .hint("tell your Backstage administrators: one of them must go"));
            }
        };
        let shown = user
            .spec
            .get("profile")
            .and_then(|profile| profile["displayName"].as_str());
        Ok(Some(Person {
            entity_ref: user.entity_ref(),
            name: shown.unwrap_or(user.title()).to_owned(),
            groups: user.related("memberOf").collect(),
        }))
    }

    async fn databases_that(&self, condition: &str) -> Result<Vec<Entity>> {
        let filters = self.database_filters(condition);
        let found = self.by_query(Query::all_pages(filters)).await?;
        Ok(in_order(found))
    }

    /// Filters for databases that fulfil `condition`, which starts with a comma.
    fn database_filters(&self, condition: &str) -> Vec<String> {
        let conventions = &self.conventions;
        let types: Vec<String> = conventions
            .database_types
            .iter()
            .map(|known| format!(",spec.type={known}"))
            .collect();
        let resources = format!("kind=resource{}{condition}", types.concat());
        let annotated = conventions
            .telling_annotations()
            .map(|key| format!("metadata.annotations.{key}{condition}"));
        // The same key twice means either, different keys mean both, and several filters mean any.
        std::iter::once(resources).chain(annotated).collect()
    }

    async fn by_query(&self, query: Query<'_>) -> Result<Vec<Entity>> {
        let url = self.url(&["entities", "by-query"])?;
        let limit = PAGE.to_string();
        let fields = query.fields.join(",");
        let mut entities = Vec::new();
        let mut cursor: Option<String> = None;
        for page in 1..=query.pages {
            // The cursor holds filters and order, but neither limit nor fields: without them pages 2 and on would be
            // of 20 whole entities.
            let mut parameters = vec![("limit", limit.as_str()), ("fields", &fields)];
            match &cursor {
                Some(cursor) => parameters.push(("cursor", cursor)),
                None => parameters.extend(
                    query
                        .filters
                        .iter()
                        .map(|filter| ("filter", filter.as_str())),
                ),
            }
            let answer = self.ask_without_totals(&url, &parameters).await?;
            let found: Page = self.read(&answer, || format!("page {page} of the entities"))?;
            entities.extend(found.items);
            match found.page_info.next_cursor {
                None => break,
                // Otherwise a confused server would keep this loop going for ever.
                next if next == cursor => {
                    return Err(self.unreadable(
                        || format!("page {page} of the entities"),
                        anyhow::anyhow!("it names itself as the next page"),
                    ));
                }
                next => cursor = next,
            }
        }
        Ok(entities)
    }

    async fn ask_without_totals(&self, url: &Url, parameters: &[(&str, &str)]) -> Result<Answer> {
        let request = || self.http.get(url.clone()).query(parameters);
        if self.skips_totals.load(Ordering::Relaxed) {
            let answer = self
                .ask(request().query(&[("totalItems", "exclude")]))
                .await?;
            let unknown = answer.status == StatusCode::BAD_REQUEST
                && answer
                    .json::<Problem>()
                    .is_ok_and(|problem| problem.is_about_unknown("totalItems"));
            if !unknown {
                return Ok(answer);
            }
            self.skips_totals.store(false, Ordering::Relaxed);
        }
        self.ask(request()).await
    }

    fn url(&self, path: &[&str]) -> Result<Url> {
        let mut url = self.base_url.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("it has no path"))
            .or_fail(ErrorKind::Config, || {
                format!("`{}` cannot be a Backstage URL", self.base_url)
            })?
            .pop_if_empty()
            .extend(["api", "catalog"])
            .extend(path);
        Ok(url)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer> {
        let request = match self.bearer.bearer().await? {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let request = match self.bearer.proxy_bearer().await? {
            Some(token) => proxy_authorization(request, &token)?,
            None => request,
        };
        self.http.send_idempotent(SERVICE, request).await
    }

    /// The body of a good answer, or what the answer means. `what` names the part for "cannot read …".
    fn read<T: serde::de::DeserializeOwned>(
        &self,
        answer: &Answer,
        what: impl FnOnce() -> String,
    ) -> Result<T> {
        if answer.status != StatusCode::OK || is_web_page(answer) {
            return Err(refusal(&self.base_url, answer));
        }
        answer.json().map_err(|cause| self.unreadable(what, cause))
    }

    fn unreadable(&self, what: impl FnOnce() -> String, cause: anyhow::Error) -> Error {
        ErrorKind::Unavailable
            .error(format!(
                "cannot read {} from the catalog at `{}`",
                what(),
                self.base_url
            ))
            .because(cause)
            .hint("check that `backstage.url` is the URL of a Backstage backend")
    }
}

/// Sorts by reference and drops what was found twice: two owners may own the same database.
fn in_order(entities: Vec<Entity>) -> Vec<Entity> {
    let by_ref: BTreeMap<EntityRef, Entity> = entities
        .into_iter()
        .map(|entity| (entity.entity_ref(), entity))
        .collect();
    by_ref.into_values().collect()
}

/// Chunks of at most [`OWNERS_PER_QUERY`] conditions and `longest` characters, but at least one condition.
fn chunks(conditions: &[String], longest: usize) -> Vec<&[String]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut length = 0;
    for (end, condition) in conditions.iter().enumerate() {
        let full = end - start == OWNERS_PER_QUERY || length + condition.len() > longest;
        if full && end > start {
            chunks.push(&conditions[start..end]);
            (start, length) = (end, 0);
        }
        length += condition.len();
    }
    if start < conditions.len() {
        chunks.push(&conditions[start..]);
    }
    chunks
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::AtomicUsize;

    use serde_json::{Value, json};

    use super::*;
    use crate::loopback::{Request, Response, Server};

    #[derive(Debug)]
    pub(in crate::catalog) struct NoBearer;

    impl BearerSource for NoBearer {
        async fn bearer(&self) -> Result<Option<Secret>> {
            Ok(None)
        }
    }

    struct Token;

    impl BearerSource for Token {
        async fn bearer(&self) -> Result<Option<Secret>> {
            Ok(Some(Secret::from("t0ken".to_owned())))
        }
    }

    pub(in crate::catalog) fn client<B: BearerSource>(
        server: &Server,
        bearer: B,
    ) -> CatalogClient<B> {
        let http = HttpClient::new(Vec::new()).unwrap();
        CatalogClient::new(http, server.url().clone(), bearer, Conventions::default())
    }

    /// A catalog that holds these entities and filters as Backstage does.
    pub(in crate::catalog) async fn catalog(entities: Vec<Value>) -> Server {
        Server::start(move |request| match request.path() {
            "/api/catalog/entities/by-query" => {
                let filters = request.query("filter");
                let items: Vec<&Value> = entities
                    .iter()
                    .filter(|entity| filters.iter().any(|filter| fulfils(entity, filter)))
                    .collect();
                Response::json(
                    200,
                    &json!({ "items": items, "totalItems": 0, "pageInfo": {} }),
                )
            }
            path => {
                let wanted = path.strip_prefix("/api/catalog/entities/by-name/").unwrap();
                let found = entities.iter().find(|entity| {
                    let entity: Entity = serde_json::from_value((*entity).clone()).unwrap();
                    let EntityRef {
                        kind,
                        namespace,
                        name,
                    } = entity.entity_ref();
                    format!("{kind}/{namespace}/{name}") == wanted
                });
                found.map_or_else(
                    || problem(404, "NotFoundError", "No entity"),
                    |found| Response::json(200, found),
                )
            }
        })
        .await
    }

    /// Whether all keys of a filter hold; one that is named twice holds with either value.
    fn fulfils(entity: &Value, filter: &str) -> bool {
        let mut wanted: BTreeMap<&str, Vec<Option<String>>> = BTreeMap::new();
        for condition in filter.split(',') {
            let (key, value) = match condition.split_once('=') {
                Some((key, value)) => (key, Some(value.to_lowercase())),
                None => (condition, None),
            };
            wanted.entry(key).or_default().push(value);
        }
        wanted.iter().all(|(key, wanted)| {
            let held: Vec<String> = if let Some(relation) = key.strip_prefix("relations.") {
                let relations = entity["relations"].as_array().into_iter().flatten();
                relations
                    .filter(|held| held["type"] == relation)
                    .map(|held| held["targetRef"].as_str().unwrap().to_owned())
                    .collect()
            } else {
                let held = match key.strip_prefix("metadata.annotations.") {
                    Some(annotation) => entity["metadata"]["annotations"].get(annotation),
                    None => entity.pointer(&format!("/{}", key.replace('.', "/"))),
                };
                held.and_then(Value::as_str)
                    .map(str::to_lowercase)
                    .into_iter()
                    .collect()
            };
            held.iter().any(|held| {
                wanted
                    .iter()
                    .any(|wanted| wanted.as_ref().is_none_or(|wanted| wanted == held))
            })
        })
    }

    fn problem(status: u16, name: &str, message: &str) -> Response {
        Response::json(
            status,
            &json!({ "error": { "name": name, "message": message }, "response": { "statusCode": status } }),
        )
    }

    fn resource(name: &str) -> Value {
        json!({ "kind": "Resource", "metadata": { "name": name }, "spec": { "type": "database" } })
    }

    #[tokio::test]
    async fn every_page_asks_for_the_same_fields_and_size() {
        let server = Server::start(|request| {
            let next = match request.query("cursor").first().map(String::as_str) {
                None => Some("two"),
                Some("two") => Some("three"),
                Some(_) => None,
            };
            let name = format!("db-{}", next.unwrap_or("last"));
            Response::json(
                200,
                &json!({ "items": [resource(&name)], "pageInfo": { "nextCursor": next } }),
            )
        })
        .await;
        let found = client(&server, Token).databases().await.unwrap();
        let names: Vec<&str> = found.iter().map(Entity::title).collect();
        assert_eq!(
            names,
            ["db-last", "db-three", "db-two"],
            "in order of their names"
        );

        let requests = server.requests();
        assert_eq!(requests.len(), 3);
        for (nth, request) in requests.iter().enumerate() {
            assert_eq!(request.query("limit"), ["500"]);
            assert_eq!(
                request.query("fields"),
                ["kind,metadata,spec.type,spec.profile,relations"]
            );
            assert_eq!(request.query("totalItems"), ["exclude"]);
            assert_eq!(request.query("filter").is_empty(), nth > 0);
            assert_eq!(request.header("authorization"), "Bearer t0ken");
            assert!(request.header("user-agent").starts_with("bsql/"));
        }
    }

    #[tokio::test]
    async fn an_older_backstage_is_asked_in_its_own_words() {
        let server = Server::start(|request| {
            if request.query("totalItems").is_empty() {
                Response::json(
                    200,
                    &json!({ "items": [], "totalItems": 0, "pageInfo": {} }),
                )
            } else {
                problem(400, "InputError", "Unknown query parameter 'totalItems'")
            }
        })
        .await;
        let client = client(&server, NoBearer);
        assert!(client.named("x").await.unwrap().is_empty());
        assert!(client.named("y").await.unwrap().is_empty());
        let requests = server.requests();
        assert_eq!(requests.len(), 3, "it is told once");
        assert_eq!(requests[0].header("authorization"), "");
    }

    #[tokio::test]
    async fn owners_are_asked_for_in_urls_that_servers_take() {
        let server = catalog(vec![
            json!({
                "kind": "Resource", "metadata": { "name": "shared" }, "spec": { "type": "CloudSQL" },
                "relations": [
                    { "type": "ownedBy", "targetRef": "group:default/team-0" },
                    { "type": "ownedBy", "targetRef": "group:default/team-119" },
                ],
            }),
            json!({
                "kind": "Resource", "spec": { "type": "thing" },
                "metadata": { "name": "marked", "annotations": { "bsql.dev/instance-connection-name": "p:r:i" } },
                "relations": [{ "type": "ownedBy", "targetRef": "group:default/team-60" }],
            }),
            resource("nobodys"),
        ])
        .await;
        let client = client(&server, NoBearer);
        let owners: Vec<EntityRef> = (0..120)
            .map(|nth| EntityRef::new("group", "default", &format!("team-{nth}")))
            .collect();
        let found = client.databases_owned_by(&owners).await.unwrap();
        let names: Vec<&str> = found.iter().map(Entity::title).collect();
        assert_eq!(names, ["marked", "shared"], "each once");
        let longest = server
            .requests()
            .iter()
            .map(|request| request.target.len())
            .max()
            .unwrap();
        assert!(longest < 8_000, "{longest}");
        assert!(
            client.databases_owned_by(&[]).await.unwrap().is_empty(),
            "no owners, no databases"
        );
    }

    #[test]
    fn chunks_hold_everything_once() {
        let conditions: Vec<String> = (0..7).map(|nth| nth.to_string().repeat(10)).collect();
        for longest in [0, 1, 10, 25, 1_000] {
            let chunked = chunks(&conditions, longest);
            assert_eq!(chunked.concat(), conditions, "{longest}");
            assert!(chunked.iter().all(|chunk| !chunk.is_empty()));
        }
        assert_eq!(chunks(&conditions, 25).len(), 4);
        assert_eq!(chunks(&vec![String::new(); 120], 1_000).len(), 3);
        assert!(chunks(&[], 10).is_empty());
    }

    #[tokio::test]
    async fn many_references_at_once() {
        let server = Server::start(|request| {
            let refs = request.json()["entityRefs"].as_array().unwrap().clone();
            let items: Vec<Value> = refs
                .iter()
                .map(|found| {
                    match found
                        .as_str()
                        .unwrap()
                        .strip_prefix("resource:default/even-")
                    {
                        Some(nth) => resource(&format!("even-{nth}")),
                        None => Value::Null,
                    }
                })
                .collect();
            Response::json(200, &json!({ "items": items }))
        })
        .await;
        let refs: Vec<EntityRef> = (0..1_201)
            .map(|nth| {
                EntityRef::new(
                    "Resource",
                    "default",
                    &format!("{}-{nth}", if nth % 2 == 0 { "even" } else { "odd" }),
                )
            })
            .collect();
        let found = client(&server, NoBearer).by_refs(&refs).await.unwrap();
        assert_eq!(server.requests().len(), 3);
        assert!(
            server
                .requests()
                .iter()
                .all(|request| request.method == "POST")
        );
        for (asked, found) in refs.iter().zip(&found) {
            assert_eq!(
                found.as_ref().map(Entity::entity_ref).as_ref(),
                Some(asked).filter(|asked| asked.name.starts_with("even"))
            );
        }
        assert_eq!(found.len(), refs.len());
    }

    #[tokio::test]
    async fn a_person_and_their_groups() {
        let user = |name: &str, email: &str| {
            json!({
                "kind": "User", "metadata": { "name": name },
                "spec": { "profile": { "email": email, "displayName": "Ada Berg" } },
                "relations": [
                    { "type": "memberOf", "targetRef": "group:default/payments" },
                    { "type": "ownerOf", "targetRef": "resource:default/x" },
                ],
            })
        };
        let server = catalog(vec![
            user("ada", "Ada@acme.example"),
            user("bob", "b@acme.example"),
            user("bob2", "b@acme.example"),
        ])
        .await;
        let client = client(&server, NoBearer);
        let ada = client.person("ada@ACME.example").await.unwrap().unwrap();
        assert_eq!(ada.name, "Ada Berg");
        let owners: Vec<String> = ada.owners().iter().map(ToString::to_string).collect();
        assert_eq!(owners, ["user:default/ada", "group:default/payments"]);
        assert_eq!(client.person("nobody@acme.example").await.unwrap(), None);
        assert_eq!(
            client.person("a,kind=group@acme.example").await.unwrap(),
            None
        );
        let error = client.person("b@acme.example").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Catalog);
        assert_eq!(error.causes(), ["user:default/bob, user:default/bob2"]);
    }

    #[tokio::test]
    async fn by_name_tells_no_entity_from_no_catalog() {
        let server = catalog(vec![resource("x")]).await;
        let there: EntityRef = "resource:default/x".parse().unwrap();
        let gone: EntityRef = "resource:default/y".parse().unwrap();
        let client = client(&server, NoBearer);
        assert!(client.by_name(&there).await.unwrap().is_some());
        assert!(client.by_name(&gone).await.unwrap().is_none());

        let elsewhere = Server::start(|_| Response::new(404, "text/plain", "")).await;
        let error = self::client(&elsewhere, NoBearer)
            .by_name(&gone)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }

    #[tokio::test]
    async fn a_name_cannot_leave_its_place_in_the_url() {
        let server = Server::start(|_| problem(404, "NotFoundError", "")).await;
        let odd = EntityRef::new("resource", "default", "../../x?a=b#c");
        client(&server, NoBearer).by_name(&odd).await.unwrap();
        assert_eq!(
            server.requests()[0].target,
            "/api/catalog/entities/by-name/resource/default/..%2F..%2Fx%3Fa=b%23c"
        );
    }

    #[tokio::test]
    async fn what_each_refusal_means() {
        let login = Response::new(302, "text/html", "")
            .header("location", "https://accounts.example/o/oauth2?state=secret");
        let busy = problem(429, "Error", "Too many requests").header("retry-after", "42");
        for (response, kind, cause, step) in [
            (
                problem(401, "AuthenticationError", "Illegal token"),
                ErrorKind::Denied,
                "status 401: Illegal token",
                "bsql login --force",
            ),
            (
                problem(403, "NotAllowedError", ""),
                ErrorKind::Denied,
                "status 403: NotAllowedError",
                "ask your Backstage administrators for the permission `catalog.entity.read`",
            ),
            (
                Response::new(404, "text/plain", ""),
                ErrorKind::Config,
                "status 404",
                "set `backstage.url` to the URL of the Backstage backend (its `backend.baseUrl`)",
            ),
            (
                busy,
                ErrorKind::TryLater,
                "status 429: Too many requests",
                "wait 42 s and run it again",
            ),
            (
                Response::new(431, "text/plain", ""),
                ErrorKind::Unavailable,
                "status 431",
                "ask for fewer owners at once: bsql ls --owner group:default/NAME",
            ),
            (
                problem(400, "InputError", "Malformed \u{1b}[31mcursor"),
                ErrorKind::Internal,
                "status 400: Malformed \u{fffd}[31mcursor",
                "run it again with -vv and report what it prints",
            ),
            (
                Response::new(418, "text/plain", "teapot"),
                ErrorKind::Unavailable,
                "status 418: teapot",
                "wait a minute and run it again; if it stays, tell your Backstage administrators",
            ),
            (
                login,
                ErrorKind::Config,
                "it sends to `accounts.example`",
                "set `backstage.url` to the URL of the Backstage backend, not of its web interface",
            ),
            (
                Response::new(200, "text/html; charset=utf-8", "<!doctype html>"),
                ErrorKind::Config,
                "status 200, a web page",
                "set `backstage.url` to the URL of the Backstage backend, not of its web interface",
            ),
            (
                Response::new(401, "text/html", "<html>"),
                ErrorKind::Config,
                "status 401, a web page",
                "set `backstage.url` to the URL of the Backstage backend, not of its web interface",
            ),
        ] {
            let server = Server::start(move |_: &Request| response.clone()).await;
            let error = client(&server, Token).databases().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{cause}");
            assert_eq!(error.causes(), [cause]);
            assert_eq!(error.next_steps()[0], step);
            let shown = format!("{error} {:?} {:?}", error.causes(), error.next_steps());
            assert!(
                !shown.contains("secret") && !shown.contains("t0ken"),
                "{shown}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_starts_up_is_asked_again() {
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |_| {
            if asked.fetch_add(1, Ordering::SeqCst) == 0 {
                problem(
                    503,
                    "ServiceUnavailableError",
                    "Service has not started up yet",
                )
            } else {
                Response::json(200, &json!({ "items": [resource("x")], "pageInfo": {} }))
            }
        })
        .await;
        assert_eq!(
            client(&server, NoBearer).databases().await.unwrap().len(),
            1
        );
    }

    #[tokio::test]
    async fn malformed_answers_name_their_place() {
        for (body, place) in [
            (
                json!({ "items": [{ "kind": "Resource" }] }),
                "cannot read page 1 of the entities from",
            ),
            (
                json!({ "items": [], "pageInfo": { "nextCursor": "again" } }),
                "cannot read page 2 of the entities from",
            ),
        ] {
            let server = Server::start(move |_| Response::json(200, &body)).await;
            let error = client(&server, NoBearer).databases().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().starts_with(place), "{error}");
            assert_eq!(error.causes().len(), 1);
        }
    }
}
