//! The endpoints (plugins/catalog-backend/src/schema/openapi.yaml).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{ApiError, broken, streamed, tagged};
use super::entity::Entity;
use super::fields::Fields;
use super::filter::Filter;
use super::page::{Cursor, DEFAULT_LIMIT, FullText, Order, OrderField, Query, Start, page};
use super::predicate::Predicate;
use super::view::View;
use super::{Reader, Store};

/// What Express's JSON parser takes.
const BODY_LIMIT: usize = 100 * 1024;

pub(super) fn router() -> Router<Arc<Store>> {
    Router::new()
        .route("/entities/by-query", get(get_by_query).post(post_by_query))
        .route("/entities/by-refs", post(by_refs))
        .route("/entities/by-name/{kind}/{namespace}/{name}", get(by_name))
        .route(
            "/entities/by-name/{kind}/{namespace}/{name}/ancestry",
            get(ancestry),
        )
        .route("/entities/by-uid/{uid}", get(by_uid))
        .route("/entity-facets", get(get_facets).post(post_facets))
}

/// The parameters of a query string, in order.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Refuses parameters that the endpoint does not know.
    fn read(query: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        match pairs
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
        {
            Some((name, _)) => Err(ApiError::input(format!("Unknown query parameter '{name}'"))),
            None => Ok(Self(pairs)),
        }
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// A number as JavaScript reads it, so `1e3` is one, in the words of Backstage's check against its description.
    fn count(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.one(name) else {
            return Ok(None);
        };
        let number = text.parse::<f64>().ok().filter(|one| one.fract() == 0.0);
        let wrong = match number {
            None => "must be integer",
            Some(number) if number < 0.0 => "must be >= 0",
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is whole and not negative, and too large a one saturates"
            )]
            Some(number) => return Ok(Some(number as usize)),
        };
        Err(ApiError::input(format!("request/query/{name} {wrong}")))
    }

    fn filter(&self) -> Result<Filter, ApiError> {
        Filter::parse(self.all("filter")).map_err(ApiError::input)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageBody {
    items: Vec<Value>,
    total_items: usize,
    page_info: PageInfo,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_cursor: Option<String>,
}

async fn get_by_query(
    State(store): State<Arc<Store>>,
    Extension(reader): Extension<Reader>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    const KNOWN: [&str; 9] = [
        "filter",
        "fields",
        "limit",
        "offset",
        "orderField",
        "fullTextFilterTerm",
        "fullTextFilterFields",
        "cursor",
        "totalItems",
    ];
    let parameters = Parameters::read(query.as_deref(), &KNOWN)?;
    let fields = Fields::parse(parameters.all("fields")).map_err(ApiError::input)?;
    let limit = parameters.count("limit")?.unwrap_or(DEFAULT_LIMIT);
    let offset = parameters.count("offset")?.unwrap_or(0);
    let start = match parameters.one("cursor") {
        Some(cursor) => cursor_start(cursor)?,
        None => Start::Query {
            query: query_of(&parameters)?,
            offset,
        },
    };
    let count = counts(parameters.one("totalItems"))?;
    let (body, number) = page_body(&store, &reader, start, limit, &fields, count)?;
    Ok(if reader.broken_page == Some(number) {
        broken(&body)
    } else {
        entities_answer(&reader, &fields, &headers, &Method::GET, &body)
    })
}

fn query_of(parameters: &Parameters) -> Result<Query, ApiError> {
    let full_text_fields = parameters
        .all("fullTextFilterFields")
        .flat_map(|list| list.split(','))
        .map(|field| field.trim().to_owned())
        .collect();
    Ok(Query {
        filter: parameters.filter()?,
        predicate: None,
        order_fields: parameters
            .all("orderField")
            .map(order_field)
            .collect::<Result<_, _>>()?,
        full_text_filter: parameters.one("fullTextFilterTerm").map(|term| FullText {
            term: term.to_owned(),
            fields: Some(full_text_fields),
        }),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QueryBody {
    query: Option<Value>,
    fields: Vec<String>,
    limit: Option<i64>,
    offset: Option<i64>,
    order_by: Vec<OrderField>,
    full_text_filter: Option<FullText>,
    cursor: Option<String>,
    total_items: Option<String>,
}

async fn post_by_query(
    State(store): State<Arc<Store>>,
    Extension(reader): Extension<Reader>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: axum::body::Bytes,
) -> Result<Response, ApiError> {
    Parameters::read(query.as_deref(), &[])?;
    let body: QueryBody = json_body(&headers, &body)?;
    let fields = Fields::parse(body.fields.iter().map(String::as_str)).map_err(ApiError::input)?;
    let count = |name, number: Option<i64>| {
        number
            .map(|number| {
                usize::try_from(number)
                    .map_err(|_| ApiError::input(format!("Invalid {name}: must be >= 0")))
            })
            .transpose()
    };
    let limit = count("limit", body.limit)?.unwrap_or(DEFAULT_LIMIT);
    let offset = count("offset", body.offset)?.unwrap_or(0);
    let start = match body.cursor {
        Some(cursor) => cursor_start(&cursor)?,
        None => Start::Query {
            query: Query {
                filter: Filter::default(),
                predicate: body.query,
                order_fields: body.order_by,
                full_text_filter: body.full_text_filter,
            },
            offset,
        },
    };
    let counted = counts(body.total_items.as_deref())?;
    let (body, number) = page_body(&store, &reader, start, limit, &fields, counted)?;
    Ok(if reader.broken_page == Some(number) {
        broken(&body)
    } else {
        entities_answer(&reader, &fields, &headers, &Method::POST, &body)
    })
}

/// Whole entities are streamed, as the database has them; for who may see nothing, the database is not asked.
fn entities_answer(
    reader: &Reader,
    fields: &Fields,
    headers: &HeaderMap,
    method: &Method,
    body: &impl Serialize,
) -> Response {
    if fields.is_empty() && !reader.sees_nothing {
        streamed(body)
    } else {
        tagged(headers, method, body)
    }
}

/// A page and its number.
fn page_body(
    store: &Store,
    reader: &Reader,
    start: Start,
    limit: usize,
    fields: &Fields,
    count: bool,
) -> Result<(PageBody, usize), ApiError> {
    let page = page(store.visible_to(reader), start, limit).map_err(ApiError::input)?;
    let number = page.number;
    let body = PageBody {
        items: page
            .entities
            .iter()
            .map(|entity| fields.pick(&entity.value()))
            .collect(),
        total_items: if count { page.total } else { 0 },
        page_info: PageInfo {
            next_cursor: page.next,
            prev_cursor: page.previous,
        },
    };
    Ok((body, number))
}

fn cursor_start(text: &str) -> Result<Start, ApiError> {
    let cursor = Cursor::decode(text).map_err(ApiError::input)?;
    Ok(Start::Cursor(Box::new(cursor)))
}

fn order_field(text: &str) -> Result<OrderField, ApiError> {
    let (field, order) = text.split_once(',').unwrap_or((text, "asc"));
    let order = match order.trim() {
        "asc" => Order::Asc,
        "desc" => Order::Desc,
        _ => {
            return Err(ApiError::input(
                "Invalid order field order, must be asc or desc",
            ));
        }
    };
    Ok(OrderField {
        field: field.trim().to_owned(),
        order,
    })
}

/// Whether `totalItems` wants the count.
fn counts(parameter: Option<&str>) -> Result<bool, ApiError> {
    match parameter {
        None | Some("include") => Ok(true),
        Some("exclude") => Ok(false),
        Some(_) => Err(ApiError::input(
            "request/query/totalItems must be equal to one of the allowed values: include, exclude",
        )),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefsBody {
    entity_refs: Vec<String>,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    query: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Items {
    items: Vec<Option<Value>>,
}

/// One item for each reference, null for what is not there. References are compared as they are: without a namespace or
/// with capitals they are nobody's.
async fn by_refs(
    State(store): State<Arc<Store>>,
    Extension(reader): Extension<Reader>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: axum::body::Bytes,
) -> Result<Response, ApiError> {
    let filter = Parameters::read(query.as_deref(), &["filter"])?.filter()?;
    let body: RefsBody = json_body(&headers, &body)?;
    let fields = Fields::parse(body.fields.iter().map(String::as_str)).map_err(ApiError::input)?;
    let predicate = predicate(body.query.as_ref())?;
    let visible = store.visible_to(&reader);
    let items = body
        .entity_refs
        .iter()
        .map(|reference| {
            visible
                .find(reference)
                .filter(|entity| filter.matches(&entity.rows) && holds(predicate.as_ref(), entity))
                .map(|entity| fields.pick(&entity.value()))
        })
        .collect();
    let answer = Items { items };
    let method = Method::POST;
    Ok(entities_answer(
        &reader, &fields, &headers, &method, &answer,
    ))
}

async fn by_name(
    State(store): State<Arc<Store>>,
    Extension(reader): Extension<Reader>,
    Path((kind, namespace, name)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Parameters::read(query.as_deref(), &[])?;
    let reference = format!("{kind}:{namespace}/{name}").to_lowercase();
    store
        .visible_to(&reader)
        .find(&reference)
        .map(|entity| streamed(&entity.value()))
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "No entity named '{name}' found, with kind '{kind}' in namespace '{namespace}'"
            ))
        })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ancestry<'a> {
    root_entity_ref: &'a str,
    items: [Ancestor; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ancestor {
    entity: Value,
    parent_entity_refs: [String; 0],
}

/// Where an entity came from; here each is its own root. The one answer that says that somebody may not see it.
async fn ancestry(
    State(store): State<Arc<Store>>,
    Extension(reader): Extension<Reader>,
    headers: HeaderMap,
    Path((kind, namespace, name)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Parameters::read(query.as_deref(), &[])?;
    if reader.sees_nothing {
        return Err(ApiError::not_allowed());
    }
    let reference = format!("{kind}:{namespace}/{name}").to_lowercase();
    let entity = store
        .visible_to(&reader)
        .find(&reference)
        .ok_or_else(|| ApiError::not_found(format!("No such entity {reference}")))?;
    let answer = Ancestry {
        root_entity_ref: &entity.reference,
        items: [Ancestor {
            entity: entity.value(),
            parent_entity_refs: [],
        }],
    };
    Ok(tagged(&headers, &Method::GET, &answer))
}

async fn by_uid(
    State(store): State<Arc<Store>>,
    Extension(reader): Extension<Reader>,
    Path(uid): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Parameters::read(query.as_deref(), &[])?;
    store
        .visible_to(&reader)
        .iter()
        .find(|entity| entity.uid == uid)
        .map(|entity| streamed(&entity.value()))
        .ok_or_else(|| ApiError::not_found(format!("No entity with uid {uid}")))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FacetsBody {
    facets: Vec<String>,
    query: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Facets {
    facets: BTreeMap<String, Vec<Facet>>,
}

#[derive(Debug, Serialize)]
struct Facet {
    value: String,
    count: usize,
}

async fn get_facets(
    State(store): State<Arc<Store>>,
    Extension(reader): Extension<Reader>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters = Parameters::read(query.as_deref(), &["facet", "filter"])?;
    let filter = parameters.filter()?;
    let keys: Vec<&str> = parameters.all("facet").collect();
    if keys.is_empty() {
        return Err(ApiError::input(
            "request/query must have required property 'facet'",
        ));
    }
    let answer = facets(store.visible_to(&reader), &keys, |entity| {
        filter.matches(&entity.rows)
    });
    Ok(tagged(&headers, &Method::GET, &answer))
}

async fn post_facets(
    State(store): State<Arc<Store>>,
    Extension(reader): Extension<Reader>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: axum::body::Bytes,
) -> Result<Response, ApiError> {
    Parameters::read(query.as_deref(), &[])?;
    let body: FacetsBody = json_body(&headers, &body)?;
    let predicate = predicate(body.query.as_ref())?;
    let keys: Vec<&str> = body.facets.iter().map(String::as_str).collect();
    if keys.is_empty() {
        return Err(ApiError::input("Missing or empty facets parameter"));
    }
    let answer = facets(store.visible_to(&reader), &keys, |entity| {
        holds(predicate.as_ref(), entity)
    });
    Ok(tagged(&headers, &Method::POST, &answer))
}

/// How often each value of each key occurs, in the values' own spelling.
fn facets(view: View<'_>, keys: &[&str], wanted: impl Fn(&Entity) -> bool) -> Facets {
    let entities: Vec<&Entity> = view.iter().filter(|entity| wanted(entity)).collect();
    let of_key = |key: &str| {
        let lower = key.to_lowercase();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let rows = entities.iter().flat_map(|entity| &entity.rows);
        for value in rows
            .filter(|row| *row.key == *lower)
            .filter_map(|row| row.original().map(str::to_owned))
        {
            *counts.entry(value).or_default() += 1;
        }
        let facet = |(value, count)| Facet { value, count };
        counts.into_iter().map(facet).collect()
    };
    Facets {
        facets: keys
            .iter()
            .map(|key| ((*key).to_owned(), of_key(key)))
            .collect(),
    }
}

fn predicate(query: Option<&Value>) -> Result<Option<Predicate>, ApiError> {
    query
        .map(Predicate::parse)
        .transpose()
        .map_err(ApiError::input)
}

fn holds(predicate: Option<&Predicate>, entity: &Entity) -> bool {
    predicate.is_none_or(|predicate| predicate.matches(&entity.rows))
}

fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    if body.len() > BODY_LIMIT {
        return Err(ApiError::input("request entity too large"));
    }
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    if !is_json {
        return Err(ApiError::input("the body is not application/json"));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::input(error.to_string()))
}
