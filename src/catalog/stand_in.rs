//! A catalog for unit tests, which filters as Backstage does.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::client::{BearerSource, CatalogClient};
use super::conventions::Conventions;
use super::entity::{Entity, EntityRef};
use crate::error::Result;
use crate::http::HttpClient;
use crate::loopback::{Request, Response, Server};
use crate::secret::Secret;

#[derive(Debug)]
pub(super) struct NoBearer;

impl BearerSource for NoBearer {
    async fn bearer(&self) -> Result<Option<Secret>> {
        Ok(None)
    }
}

/// Shows this token.
#[derive(Debug)]
pub(super) struct Token(pub(super) Secret);

impl BearerSource for Token {
    async fn bearer(&self) -> Result<Option<Secret>> {
        Ok(Some(Secret::from(self.0.expose().to_owned())))
    }
}

/// A token of this content that nobody has signed.
pub(super) fn user_token(header: &Value, claims: &Value) -> Secret {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    Secret::from(format!("{header}.{claims}.c2ln"))
}

pub(super) fn client<B: BearerSource>(server: &Server, bearer: B) -> CatalogClient<B> {
    client_with(server, bearer, Conventions::default())
}

pub(super) fn client_with<B: BearerSource>(
    server: &Server,
    bearer: B,
    conventions: Conventions,
) -> CatalogClient<B> {
    let http = HttpClient::new(Vec::new()).unwrap();
    CatalogClient::new(http, server.url().clone(), bearer, conventions)
}

/// A catalog that holds these entities.
pub(super) async fn catalog(entities: Vec<Value>) -> Server {
    Server::start(move |request| answer(request, &entities)).await
}

/// What such a catalog answers.
pub(super) fn answer(request: &Request, entities: &[Value]) -> Response {
    let with_ref = |wanted: &str| {
        let is_it = |entity: &&Value| entity_ref(entity).to_string() == wanted;
        entities.iter().find(is_it)
    };
    match request.path() {
        "/api/catalog/entities/by-query" => {
            let filters = request.query("filter");
            let text = request.query("fullTextFilterTerm").pop();
            let predicate = (request.method == "POST").then(|| request.json()["query"].clone());
            let items: Vec<&Value> = entities
                .iter()
                .filter(|entity| match &predicate {
                    Some(predicate) => satisfies(entity, predicate),
                    None => filters.iter().any(|filter| fulfils(entity, filter)),
                })
                .filter(|entity| text.as_ref().is_none_or(|text| has_text(entity, text)))
                .collect();
            Response::json(
                200,
                &json!({ "items": items, "totalItems": 0, "pageInfo": {} }),
            )
        }
        "/api/catalog/entities/by-refs" => {
            let asked = request.json()["entityRefs"].as_array().unwrap().clone();
            let asked = asked.iter().map(|asked| asked.as_str().unwrap());
            let items: Vec<Option<&Value>> = asked.map(with_ref).collect();
            Response::json(200, &json!({ "items": items }))
        }
        path => match path.strip_prefix("/api/catalog/entities/by-name/") {
            Some(wanted) => with_ref(&wanted.replacen('/', ":", 1)).map_or_else(
                || problem(404, "NotFoundError", "No entity"),
                |found| Response::json(200, found),
            ),
            None => Response::new(404, "text/plain", "User info not found"),
        },
    }
}

fn entity_ref(entity: &Value) -> EntityRef {
    serde_json::from_value::<Entity>(entity.clone())
        .unwrap()
        .entity_ref()
}

fn has_text(entity: &Value, text: &str) -> bool {
    ["/metadata/name", "/metadata/title"].iter().any(|field| {
        let held = entity.pointer(field).and_then(Value::as_str);
        held.is_some_and(|held| held.to_lowercase().contains(&text.to_lowercase()))
    })
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
    wanted
        .iter()
        .all(|(key, wanted)| holds(entity, key, wanted))
}

/// Whether a predicate of a body holds.
fn satisfies(entity: &Value, predicate: &Value) -> bool {
    let all = |object: &Value, all: &str| object[all].as_array().cloned();
    if let Some(predicates) = all(predicate, "$all") {
        return predicates.iter().all(|one| satisfies(entity, one));
    }
    if let Some(predicates) = all(predicate, "$any") {
        return predicates.iter().any(|one| satisfies(entity, one));
    }
    let mut fields = predicate.as_object().unwrap().iter();
    fields.all(|(key, value)| {
        let text = |value: &Value| Some(value.as_str().unwrap().to_lowercase());
        let wanted = match all(value, "$in") {
            Some(values) => values.iter().map(text).collect(),
            None if value["$exists"] == true => vec![None],
            None => vec![text(value)],
        };
        holds(entity, key, &wanted)
    })
}

/// Whether a key has one of the values; `None` is any.
fn holds(entity: &Value, key: &str, wanted: &[Option<String>]) -> bool {
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
        // The catalog writes the namespace into every entity.
        let namespace = (key == "metadata.namespace").then_some("default");
        held.and_then(Value::as_str)
            .or(namespace)
            .map(str::to_lowercase)
            .into_iter()
            .collect()
    };
    held.iter().any(|held| {
        wanted
            .iter()
            .any(|wanted| wanted.as_ref().is_none_or(|wanted| wanted == held))
    })
}

pub(super) fn problem(status: u16, name: &str, message: &str) -> Response {
    Response::json(
        status,
        &json!({ "error": { "name": name, "message": message }, "response": { "statusCode": status } }),
    )
}

pub(super) fn resource(name: &str) -> Value {
    json!({ "kind": "Resource", "metadata": { "name": name }, "spec": { "type": "database" } })
}
