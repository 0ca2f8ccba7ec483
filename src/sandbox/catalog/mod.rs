//! Acme's Backstage: the catalog API of Backstage 1.55 over the entities of `acme.json`.
//!
//! Written from Backstage's own description and behaviour, with nothing of `catalog`. It takes bsql's ID tokens as
//! `backend.auth.externalAccess` of type `jwks` does, and what somebody may not see is not there, rather than forbidden.
//!
//! Not implemented, because bsql does not ask for it: the list of all entities in one array, locations, writes, and every
//! other plugin but the OAuth part of `auth`, which so answers 404 as one that is not installed.

mod answer;
mod endpoints;
mod entity;
mod fields;
mod filter;
mod generated;
mod oauth;
mod page;
mod predicate;
mod refs;
mod search;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use self::answer::ApiError;
pub(super) use self::oauth::OAuth;
use self::view::{Entities, View};
use super::faults::FaultBox;
use super::http::bearer;
use super::idp::SubjectTokens;

const SEED: &str = include_str!("acme.json");
/// The longest request head that Node takes: request line and headers.
const HEAD_LIMIT: usize = 16 * 1024;
/// Bodies of so many bytes are compressed for who understands it.
const COMPRESSED_FROM: u16 = 1024;

/// The entities, and who may see them.
#[derive(Debug)]
struct Store {
    entities: Entities,
    subject_tokens: SubjectTokens,
    /// Backstage's own tokens, where it gives any.
    oauth: Option<Arc<OAuth>>,
    faults: FaultBox,
}

/// Who asks, as far as the catalog cares, and what is wrong meanwhile.
#[derive(Debug, Clone)]
struct Reader {
    sees_nothing: bool,
    lost_kinds: Vec<String>,
    broken_page: Option<usize>,
}

impl Store {
    fn visible_to<'a>(&'a self, reader: &'a Reader) -> View<'a> {
        View::new(&self.entities, reader.sees_nothing, &reader.lost_kinds)
    }
}

/// The backend, with the catalog below `/api/catalog`, and its OAuth server if that is switched on. So many databases
/// are added to Acme's.
pub(super) fn router(
    subject_tokens: SubjectTokens,
    oauth: Option<Arc<OAuth>>,
    faults: FaultBox,
    more_databases: usize,
) -> Router {
    let mut entities: Vec<Value> = serde_json::from_str(SEED).expect("see the test");
    entities.extend(generated::entities(more_databases));
    let entities = entity::complete(entities).expect("the seed is sound, see the test");
    let store = Arc::new(Store {
        entities: Entities::new(entities),
        subject_tokens,
        oauth: oauth.clone(),
        faults,
    });
    let catalog = endpoints::router()
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(from_fn_with_state(Arc::clone(&store), admit))
        .layer(from_fn(answer::render_errors))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESSED_FROM)))
        .with_state(store);
    oauth
        .map_or_else(Router::new, OAuth::router)
        .nest("/api/catalog", catalog)
        .layer(from_fn(refuse_long_heads))
}

/// Lets in who has a token. Faults come first: a rate limiter or a broken service does not look at tokens.
async fn admit(
    State(store): State<Arc<Store>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let faults = store.faults.for_catalog_request();
    if faults.catalog_delay_milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(faults.catalog_delay_milliseconds)).await;
    }
    if let Some(wall) = faults.catalog_sign_in {
        return Ok(answer::sign_in_wall(wall));
    }
    if let Some(status) = faults.catalog_status {
        let retry_after = faults.catalog_retry_after_seconds;
        return Err(ApiError::fault(status, retry_after));
    }
    let token =
        bearer(request.headers()).ok_or_else(|| ApiError::authentication("Missing credentials"))?;
    let user = store.oauth.as_ref().and_then(|oauth| oauth.user(token));
    let person = match user {
        Some(user) => user?,
        // Wrong audience, wrong issuer, expired: it is all the same to Backstage.
        None => store
            .subject_tokens
            .verify(token)
            .map_err(|_| ApiError::authentication("Illegal token"))?,
    };
    let sees_nothing = faults.hidden_from.iter().any(|id| id == person.id);
    request.extensions_mut().insert(Reader {
        sees_nothing,
        lost_kinds: faults.catalog_lost_kinds,
        broken_page: faults.catalog_broken_page,
    });
    Ok(next.run(request).await)
}

/// Node answers too long a head with 431 and no body.
async fn refuse_long_heads(request: Request, next: Next) -> Response {
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    let line = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    if headers + line > HEAD_LIMIT {
        return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::SignedDuration;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_util::sync::CancellationToken;
    use url::Url;

    use super::*;
    use crate::clock::Clock;
    use crate::http::{Answer, HttpClient};
    use crate::sandbox::company::{INSTANCES, Instance, PEOPLE};
    use crate::sandbox::faults::{Faults, SignInWall};
    use crate::sandbox::http::serve;
    use crate::sandbox::idp::keys::SigningKey;

    const ISSUER: &str = "http://127.0.0.1:1";

    /// The catalog on a real port.
    struct World {
        url: Url,
        http: HttpClient,
        key: Arc<SigningKey>,
        faults: FaultBox,
        stop: CancellationToken,
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    impl World {
        async fn start() -> Self {
            Self::with(0).await
        }

        async fn with(databases: usize) -> Self {
            let key = Arc::new(SigningKey::generate());
            let tokens = SubjectTokens::new(Arc::clone(&key), ISSUER.to_owned());
            let faults = FaultBox::default();
            let stop = CancellationToken::new();
            let (url, _) = serve(
                router(tokens, None, faults.clone(), databases),
                stop.clone(),
            )
            .await
            .unwrap();
            Self {
                url: url.join("api/catalog/").unwrap(),
                http: HttpClient::new(Vec::new()).unwrap(),
                key,
                faults,
                stop,
            }
        }

        fn token(&self, life: SignedDuration) -> String {
            let exp = (Clock::system().now() + life).as_second();
            self.key.sign(
                &json!({ "iss": ISSUER, "aud": "bsql", "sub": "ada@acme.example", "exp": exp }),
            )
        }

        async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
            let mut request = self.http.get(self.url.join(path).unwrap());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            self.http.send("the catalog", request).await.unwrap()
        }

        async fn get(&self, path: &str) -> Answer {
            let token = format!("Bearer {}", self.token(SignedDuration::from_hours(1)));
            self.get_with(path, &[("authorization", &token)]).await
        }

        async fn post(&self, path: &str, body: &Value) -> Answer {
            let request = self
                .http
                .post(self.url.join(path).unwrap())
                .bearer_auth(self.token(SignedDuration::from_hours(1)))
                .json(body);
            self.http.send("the catalog", request).await.unwrap()
        }

        async fn query(&self, parameters: &[(&str, &str)]) -> Value {
            let text = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(parameters)
                .finish();
            let answer = self.get(&format!("entities/by-query?{text}")).await;
            assert_eq!(answer.status, 200, "{}", answer.excerpt());
            answer.json().unwrap()
        }
    }

    fn body(answer: &Answer) -> Value {
        answer.json().unwrap()
    }

    fn names(answer: &Value) -> Vec<&str> {
        let items = answer["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn the_seed_agrees_with_the_company() {
        let entities = entity::load(SEED).unwrap();
        let references: BTreeSet<&str> = entities
            .iter()
            .map(|entity| entity.reference.as_str())
            .collect();
        assert_eq!(references.len(), entities.len(), "no reference twice");
        let spec = |reference: String| {
            let entity = entities.iter().find(|one| one.reference == reference);
            entity.unwrap_or_else(|| panic!("{reference}")).value()["spec"].clone()
        };
        for person in &PEOPLE {
            let user = spec(format!("user:default/{}", person.id));
            assert_eq!(user["profile"]["email"], person.email);
            assert_eq!(user["memberOf"], json!(person.groups));
            for group in person.groups {
                spec(format!("group:default/{group}"));
            }
        }
        let connection_names: BTreeSet<String> = entities
            .iter()
            .filter_map(|entity| {
                let annotations = &entity.value()["metadata"]["annotations"];
                annotations["bsql.dev/instance-connection-name"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect();
        let mut expected: BTreeSet<String> =
            INSTANCES.iter().map(Instance::connection_name).collect();
        expected.insert("acme-staging/europe-west1/billing".to_owned());
        assert_eq!(connection_names, expected);
    }

    #[tokio::test]
    async fn the_one_call_of_a_listing() {
        let world = World::start().await;
        let answer = world
            .query(&[
                (
                    "filter",
                    "kind=resource,spec.type=database,relations.ownedBy=group:default/payments,relations.ownedBy=user:default/ada",
                ),
                ("fields", "kind,metadata.name,metadata.annotations.bsql.dev/database,relations"),
                ("orderField", "metadata.name,asc"),
            ])
            .await;
        assert_eq!(
            names(&answer),
            [
                "ledger-production",
                "ledger-staging",
                "payments-production",
                "payments-staging"
            ]
        );
        assert_eq!(answer["totalItems"], 4);
        assert_eq!(answer["pageInfo"], json!({}));
        assert_eq!(
            answer["items"][3],
            json!({
                "kind": "Resource",
                "metadata": {
                    "name": "payments-staging",
                    "annotations": { "bsql.dev/database": "payments" },
                },
                "relations": [
                    { "type": "dependencyOf", "targetRef": "component:default/payments-api" },
                    { "type": "dependencyOf", "targetRef": "component:default/payments-worker" },
                    { "type": "ownedBy", "targetRef": "group:default/payments" },
                    { "type": "partOf", "targetRef": "system:default/checkout" },
                ],
            })
        );
        let me = world
            .query(&[("filter", "kind=user,spec.profile.email=Ada@acme.example")])
            .await;
        assert_eq!(names(&me), ["ada"]);
        let of_component = world
            .query(&[(
                "filter",
                "kind=resource,spec.type=database,relations.dependencyOf=component:default/orders-api",
            ), ("orderField", "metadata.name,desc")])
            .await;
        assert_eq!(
            names(&of_component),
            ["orders-staging", "orders-production"]
        );
    }

    #[tokio::test]
    async fn pages_need_limit_and_fields_again() {
        let world = World::start().await;
        let one = world
            .query(&[
                ("filter", "kind=resource"),
                ("limit", "3"),
                ("fields", "metadata.name"),
            ])
            .await;
        assert_eq!(names(&one).len(), 3);
        assert_eq!(one["totalItems"], 18);
        let cursor = one["pageInfo"]["nextCursor"].as_str().unwrap();
        let two = world
            .query(&[("cursor", cursor), ("totalItems", "exclude")])
            .await;
        assert_eq!(names(&two).len(), 15, "the default limit");
        assert_eq!(two["totalItems"], 0);
        assert!(two["items"][0]["kind"].is_string(), "whole entities");
        assert!(two["pageInfo"]["nextCursor"].is_null());
        assert!(two["pageInfo"]["prevCursor"].is_string());
        let posted = world
            .post(
                "entities/by-query",
                &json!({ "cursor": cursor, "limit": 1 }),
            )
            .await;
        assert_eq!(names(&body(&posted)), names(&two)[..1]);
    }

    #[tokio::test]
    async fn predicates_by_post() {
        let world = World::start().await;
        let query = json!({
            "query": { "$all": [
                { "kind": "Resource", "spec.type": { "$in": ["database", "cloudsql"] } },
                { "relations": { "$contains": { "type": "ownedBy", "targetRef": "group:default/platform" } } },
            ]},
            "fields": ["metadata.name"],
            "orderBy": [{ "field": "metadata.name", "order": "asc" }],
        });
        let answer = world.post("entities/by-query", &query).await;
        assert_eq!(
            names(&body(&answer)),
            [
                "billing-staging",
                "ledger-cloudsql",
                "storefront-staging",
                "warehouse-staging"
            ]
        );
        let search = json!({
            "fullTextFilter": { "term": "INVEN", "fields": ["metadata.name", "metadata.title"] },
            "fields": ["kind", "metadata.namespace", "metadata.name"],
            "query": { "kind": "Resource" },
        });
        assert_eq!(
            body(&world.post("entities/by-query", &search).await)["totalItems"],
            2
        );
        let answer = world
            .post("entities/by-query", &json!({ "query": { "$bogus": 1 } }))
            .await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            body(&answer)["error"]["message"],
            "Invalid query: Validation error: Unknown operator '$bogus'"
        );
    }

    #[tokio::test]
    async fn by_refs_is_exact_and_by_name_is_not() {
        let world = World::start().await;
        let refs = json!({
            "entityRefs": [
                "resource:default/payments-staging",
                "resource:default/edge-certificates",
                "Resource:default/Payments-Staging",
                "resource:payments-staging",
            ],
            "fields": ["metadata.name"],
        });
        assert_eq!(
            body(&world.post("entities/by-refs", &refs).await),
            json!({ "items": [{ "metadata": { "name": "payments-staging" } }, null, null, null] })
        );
        let filtered = world
            .post("entities/by-refs?filter=kind=component", &refs)
            .await;
        assert_eq!(body(&filtered)["items"][0], Value::Null);

        let answer = world
            .get("entities/by-name/Resource/Default/PAYMENTS-staging")
            .await;
        let entity = body(&answer);
        assert_eq!(entity["metadata"]["name"], "payments-staging");
        assert!(!answer.headers.contains_key("etag"), "streamed");
        let uid = entity["metadata"]["uid"].as_str().unwrap();
        let by_uid = body(&world.get(&format!("entities/by-uid/{uid}")).await);
        assert_eq!(by_uid, entity);
        let nobody = world.get("entities/by-name/resource/default/nope").await;
        assert_eq!(
            body(&nobody),
            json!({
                "error": {
                    "name": "NotFoundError",
                    "message": "No entity named 'nope' found, with kind 'resource' in namespace 'default'",
                },
                "request": { "method": "GET", "url": "/entities/by-name/resource/default/nope" },
                "response": { "statusCode": 404 },
            })
        );
    }

    #[tokio::test]
    async fn facets_count_values_in_their_own_spelling() {
        let world = World::start().await;
        let answer = world
            .get("entity-facets?facet=spec.type&facet=metadata.labels.environment&filter=kind=resource,spec.type=database,spec.type=cloudsql")
            .await;
        assert_eq!(
            body(&answer),
            json!({ "facets": {
                "spec.type": [{ "value": "CloudSQL", "count": 1 }, { "value": "database", "count": 13 }],
                "metadata.labels.environment": [
                    { "value": "production", "count": 4 },
                    { "value": "staging", "count": 8 },
                ],
            }})
        );
        let posted = world
            .post(
                "entity-facets",
                &json!({ "facets": ["kind"], "query": { "kind": "user" } }),
            )
            .await;
        assert_eq!(
            body(&posted)["facets"]["kind"],
            json!([{ "value": "User", "count": 4 }])
        );
    }

    #[tokio::test]
    async fn without_a_good_token_nobody_gets_in() {
        let world = World::start().await;
        let path = "entities/by-query?limit=1";
        let answer = world.get_with(path, &[]).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.headers.contains_key("www-authenticate"));
        assert_eq!(
            body(&answer),
            json!({
                "error": { "name": "AuthenticationError", "message": "Missing credentials" },
                "request": { "method": "GET", "url": "/entities/by-query?limit=1" },
                "response": { "statusCode": 401 },
            })
        );
        let basic = world
            .get_with(path, &[("authorization", "Basic eDp5")])
            .await;
        assert_eq!(body(&basic)["error"]["message"], "Missing credentials");
        let old = format!("bearer {}", world.token(SignedDuration::from_secs(-1)));
        for value in ["Bearer nope", &old] {
            let answer = world.get_with(path, &[("authorization", value)]).await;
            assert_eq!(answer.status, 401);
            assert_eq!(body(&answer)["error"]["message"], "Illegal token");
        }
    }

    #[tokio::test]
    async fn requests_that_make_no_sense() {
        let world = World::start().await;
        for (path, message) in [
            ("entities/by-query?foo=bar", "Unknown query parameter 'foo'"),
            (
                "entities/by-query?limit=-1",
                "request/query/limit must be >= 0",
            ),
            (
                "entities/by-query?limit=1.5",
                "request/query/limit must be integer",
            ),
            (
                "entities/by-query?orderField=metadata.name,up",
                "Invalid order field order, must be asc or desc",
            ),
            (
                "entities/by-query?totalItems=maybe",
                "request/query/totalItems must be equal to one of the allowed values: include, exclude",
            ),
            (
                "entities/by-query?fields=a[0]",
                "Invalid field \"a[0]\", array type fields are not supported",
            ),
            (
                "entity-facets",
                "request/query must have required property 'facet'",
            ),
        ] {
            let answer = world.get(path).await;
            assert_eq!(answer.status, 400, "{path}");
            assert_eq!(body(&answer)["error"]["name"], "InputError", "{path}");
            assert_eq!(body(&answer)["error"]["message"], message, "{path}");
        }
        let answer = world.get("entities/by-query?cursor=xyz").await;
        assert_eq!(answer.status, 400);
        let message = body(&answer)["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.starts_with("Malformed cursor: "), "{message}");

        let answer = world
            .post("entities/by-refs", &json!({ "entityRefs": "x" }))
            .await;
        assert_eq!(answer.status, 400);
        let many: Vec<String> = (0..5_000)
            .map(|n| format!("resource:default/db-{n:04}"))
            .collect();
        let answer = world
            .post("entities/by-refs", &json!({ "entityRefs": many }))
            .await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            body(&answer)["error"]["message"],
            "request entity too large"
        );

        let long = format!("entities/by-query?filter={}", "x".repeat(HEAD_LIMIT));
        let answer = world.get(&long).await;
        assert_eq!((answer.status.as_u16(), answer.body()), (431, &b""[..]));
        let answer = world.get("entities").await;
        assert_eq!((answer.status.as_u16(), answer.body()), (404, &b""[..]));
        let answer = world
            .get("/api/auth/.well-known/oauth-client/cli.json")
            .await;
        assert_eq!(answer.status, 404, "no other plugin");
    }

    #[tokio::test]
    async fn who_has_it_already_is_told_so() {
        let world = World::start().await;
        let path = "entities/by-query?fields=metadata.name";
        let answer = world.get(path).await;
        let tag = answer.headers["etag"].to_str().unwrap().to_owned();
        assert!(tag.starts_with("W/\""));
        let token = format!("Bearer {}", world.token(SignedDuration::from_hours(1)));
        let headers = [("authorization", &*token), ("if-none-match", &*tag)];
        assert_eq!(world.get_with(path, &headers).await.status, 304);
        let whole = world.get("entities/by-query").await;
        assert!(!whole.headers.contains_key("etag"), "streamed");
    }

    #[tokio::test]
    async fn what_may_not_be_seen_is_not_there() {
        let world = World::start().await;
        world.faults.set(Faults {
            hidden_from: vec!["ada".to_owned()],
            ..Faults::default()
        });
        let answer = world.query(&[]).await;
        assert_eq!(
            answer,
            json!({ "items": [], "totalItems": 0, "pageInfo": {} })
        );
        let refs = json!({ "entityRefs": ["user:default/ada"] });
        let answer = world.post("entities/by-refs", &refs).await;
        assert_eq!(body(&answer), json!({ "items": [null] }));
        let answer = world.get("entities/by-name/user/default/ada").await;
        assert_eq!(answer.status, 404);
        let answer = world.get("entity-facets?facet=kind").await;
        assert_eq!(body(&answer), json!({ "facets": { "kind": [] } }));
    }

    #[tokio::test]
    async fn it_can_be_asked_to_fail() {
        let world = World::start().await;
        world.faults.set(Faults {
            catalog_status: Some(429),
            catalog_retry_after_seconds: Some(7),
            ..Faults::default()
        });
        let answer = world.get_with("entities/by-query", &[]).await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.retry_after(), Some(7));
        assert_eq!(
            body(&answer),
            json!({
                "error": { "name": "Error", "message": "Too many requests, please try again later" },
                "response": { "statusCode": 429 },
            })
        );
        world.faults.set(Faults {
            catalog_status: Some(503),
            ..Faults::default()
        });
        let answer = world.get("entities/by-query").await;
        assert_eq!(body(&answer)["error"]["name"], "ServiceUnavailableError");
        assert_eq!(answer.retry_after(), None);
        world.faults.set(Faults {
            catalog_status: Some(431),
            ..Faults::default()
        });
        let answer = world.get("entities/by-query").await;
        assert_eq!((answer.status.as_u16(), answer.body()), (431, &b""[..]));
        world.faults.set(Faults {
            catalog_status: Some(500),
            catalog_status_times: Some(1),
            ..Faults::default()
        });
        let statuses = [
            world.get("entities/by-query").await.status,
            world.get("entities/by-query").await.status,
        ];
        assert_eq!(statuses.map(|status| status.as_u16()), [500, 200]);
    }

    #[tokio::test]
    async fn a_proxy_may_stand_in_front() {
        let world = World::start().await;
        world.faults.set(Faults {
            catalog_sign_in: Some(SignInWall::Page),
            ..Faults::default()
        });
        let answer = world.get_with("entities/by-query", &[]).await;
        assert_eq!(answer.status, 200);
        let kind = answer.headers["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/html"), "{kind}");
        world.faults.set(Faults {
            catalog_sign_in: Some(SignInWall::Redirect),
            ..Faults::default()
        });
        let answer = world.get_with("entities/by-query", &[]).await;
        assert_eq!(answer.status, 302);
        assert!(answer.headers.contains_key("location"));
    }

    #[tokio::test]
    async fn a_page_may_break_and_a_kind_may_vanish() {
        let world = World::start().await;
        world.faults.set(Faults {
            catalog_broken_page: Some(2),
            ..Faults::default()
        });
        let query = [("filter", "kind=resource"), ("limit", "5")];
        let one = world.query(&query).await;
        let cursor = one["pageInfo"]["nextCursor"].as_str().unwrap();
        let path = |cursor: &str| format!("entities/by-query?limit=5&cursor={cursor}");
        let two = world.get(&path(&cursor.replace('=', "%3D"))).await;
        assert_eq!(two.status, 200);
        assert!(serde_json::from_slice::<Value>(two.body()).is_err());

        world.faults.set(Faults {
            catalog_lost_kinds: vec!["Resource".to_owned()],
            ..Faults::default()
        });
        assert_eq!(
            world.query(&query).await,
            json!({ "items": [], "totalItems": 0, "pageInfo": {} })
        );
        let me = world.query(&[("filter", "kind=user")]).await;
        assert_eq!(me["totalItems"], 4);
    }

    #[tokio::test]
    async fn it_may_take_its_time() {
        let world = World::start().await;
        world.faults.set(Faults {
            catalog_delay_milliseconds: 50,
            ..Faults::default()
        });
        let begin = std::time::Instant::now();
        world.get("entities/by-query?limit=0").await;
        assert!(begin.elapsed() >= Duration::from_millis(50));
    }

    #[tokio::test]
    async fn long_answers_are_compressed_for_who_asks() {
        let world = World::start().await;
        let token = format!("Bearer {}", world.token(SignedDuration::from_hours(1)));
        // As bytes: a client that knows of compression would undo it unseen.
        let raw = async |path: &str, accept: &str| {
            let address = world.url.socket_addrs(|| None).unwrap()[0];
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let head = format!(
                "GET /api/catalog/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {token}\r\naccept-encoding: {accept}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer).to_lowercase()
        };
        let long = raw("entities/by-query", "gzip").await;
        assert!(long.contains("content-encoding: gzip"), "{long}");
        assert!(long.contains("transfer-encoding: chunked"), "{long}");
        let plain = raw("entities/by-query", "identity").await;
        assert!(!plain.contains("content-encoding"), "{plain}");
        let short = raw("entities/by-query?limit=1&fields=kind", "gzip").await;
        assert!(!short.contains("content-encoding"), "{short}");
    }

    #[tokio::test]
    async fn ancestry_alone_says_what_may_not_be_seen() {
        let world = World::start().await;
        let path = "entities/by-name/Resource/default/payments-staging/ancestry";
        let answer = body(&world.get(path).await);
        assert_eq!(answer["rootEntityRef"], "resource:default/payments-staging");
        assert_eq!(
            answer["items"][0]["entity"]["metadata"]["name"],
            "payments-staging"
        );
        let nobody = world
            .get("entities/by-name/resource/default/nope/ancestry")
            .await;
        assert_eq!(
            body(&nobody)["error"]["message"],
            "No such entity resource:default/nope"
        );
        world.faults.set(Faults {
            hidden_from: vec!["ada".to_owned()],
            ..Faults::default()
        });
        let denied = world.get(path).await;
        assert_eq!(denied.status, 403);
        assert_eq!(body(&denied)["error"]["name"], "NotAllowedError");
    }

    #[tokio::test]
    async fn databases_without_end() {
        let world = World::with(3_000).await;
        let everything = [
            ("filter", "kind=resource,spec.type=database"),
            ("fields", "metadata.name"),
            ("limit", "0"),
        ];
        assert_eq!(world.query(&everything).await["totalItems"], 3_013);
        let mine = "kind=resource,relations.ownedBy=group:default/payments";
        let mine = world.query(&[("filter", mine), ("limit", "0")]).await;
        assert_eq!(
            mine["totalItems"], 35,
            "Acme's five and every hundredth pair"
        );
    }
}
