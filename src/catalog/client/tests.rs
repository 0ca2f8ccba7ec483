//! The client against servers that answer as Backstage does, and as what stands in its place.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::super::entity::{Entity, EntityRef};
use super::super::stand_in::{NoBearer, Token, answer, catalog, client, problem, resource};
use super::*;
use crate::loopback::{Request, Response, Server};

fn token() -> Token {
    Token(Secret::from("t0ken".to_owned()))
}

async fn everything<B: BearerSource>(client: &CatalogClient<B>) -> Result<Vec<Entity>> {
    client.databases(&Selection::default()).all().await
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
    let found = everything(&client(&server, token())).await.unwrap();
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

fn owned_by(owners: &[EntityRef]) -> Selection {
    Selection {
        owners: Some(owners.to_vec()),
        system: None,
    }
}

#[tokio::test]
async fn owners_are_asked_for_in_requests_that_servers_take() {
    let entities = vec![
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
    ];
    let team = |nth: usize| EntityRef::new("group", "default", &format!("team-{nth}"));
    let owners: Vec<EntityRef> = (0..120).map(team).collect();
    for old in [false, true] {
        let entities = entities.clone();
        let server = Server::start(move |request| {
            if old && request.method == "POST" {
                problem(404, "NotFoundError", "")
            } else {
                answer(request, &entities)
            }
        })
        .await;
        let client = client(&server, NoBearer);
        for _ in 0..2 {
            let found = client.databases(&owned_by(&owners)).all().await.unwrap();
            let names: Vec<&str> = found.iter().map(Entity::title).collect();
            assert_eq!(names, ["marked", "shared"], "each once");
        }
        let requests = server.requests();
        let posts = requests.iter().filter(|request| request.method == "POST");
        assert_eq!(posts.count(), if old { 1 } else { 2 }, "it is told once");
        assert_eq!(requests.len() > 2, old, "{}", requests.len());
        let longest = requests.iter().map(|request| request.target.len()).max();
        assert!(longest < Some(8_000), "{longest:?}");

        // A few owners need no body.
        client
            .databases(&owned_by(&owners[..5]))
            .all()
            .await
            .unwrap();
        assert_eq!(server.requests().last().unwrap().method, "GET");
        let asked = server.requests().len();
        assert!(
            client
                .databases(&owned_by(&[]))
                .all()
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(server.requests().len(), asked, "no owners, no question");
    }
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
    assert_eq!(server.requests().len(), 2);
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
        let error = everything(&client(&server, token())).await.unwrap_err();
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
        everything(&client(&server, NoBearer)).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn malformed_answers_name_their_place() {
    for (body, place) in [
        (
            json!({ "items": "none" }),
            "cannot read page 1 of the entities from",
        ),
        (
            json!({ "items": [], "pageInfo": { "nextCursor": "again" } }),
            "cannot read page 2 of the entities from",
        ),
    ] {
        let server = Server::start(move |_| Response::json(200, &body)).await;
        let error = everything(&client(&server, NoBearer)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().starts_with(place), "{error}");
        assert_eq!(error.causes().len(), 1);
    }
}
