//! The client against servers that answer as Backstage does, and as what stands in its place.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::super::entity::{Entity, EntityRef};
use super::super::stand_in::{
    NoBearer, Token, answer, catalog, client, client_with, problem, resource, user_token,
};
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
    for refusal in [None, Some(404), Some(405), Some(400), Some(413)] {
        let old = refusal.is_some();
        let entities = entities.clone();
        let server = Server::start(move |request| match refusal {
            Some(status) if request.method == "POST" => problem(status, "Error", ""),
            _ => answer(request, &entities),
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

/// A page of these items, and what leads to the next one.
fn page(items: &Value, next: Option<&str>) -> Response {
    Response::json(
        200,
        &json!({ "items": items, "pageInfo": { "nextCursor": next } }),
    )
}

#[tokio::test]
async fn pages_come_one_at_a_time_and_a_bad_one_says_which_it_is() {
    let server =
        Server::start(
            |request| match request.query("cursor").first().map(String::as_str) {
                None => page(&json!([resource("a")]), Some("two")),
                Some("two") => page(&json!([]), Some("three")),
                Some(_) => Response::new(200, "application/json", "{\"items\": [{\"kind\""),
            },
        )
        .await;
    let client = client(&server, NoBearer);
    let mut pages = client.databases(&Selection::default());
    assert!(
        server.requests().is_empty(),
        "nothing before it is asked for"
    );
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 1);
    assert_eq!(server.requests().len(), 1);
    assert!(
        pages.next().await.unwrap().unwrap().is_empty(),
        "and not the end"
    );
    let error = pages.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let place = "cannot read page 3 of the entities from the catalog at";
    assert!(error.to_string().starts_with(place), "{error}");
}

#[tokio::test]
async fn one_entity_that_cannot_be_read_does_not_hide_the_others() {
    let items = json!([
        resource("before"),
        { "kind": "Resource" },
        { "kind": "Resource", "metadata": { "name": 7 } },
        { "kind": "", "metadata": { "name": "x" } },
        { "metadata": { "uid": "u\u{1b}[31m" } },
        "text",
        null,
        resource("behind"),
    ]);
    let refs = ["before", "a", "b", "c", "d", "e", "f", "behind"];
    let server = Server::start(move |request| match request.method.as_str() {
        "POST" => Response::json(200, &json!({ "items": items })),
        _ => page(&items, None),
    })
    .await;
    let client = client(&server, NoBearer);
    let names = |found: &[Entity]| -> Vec<String> {
        found
            .iter()
            .map(|entity| entity.metadata.name.clone())
            .collect()
    };
    assert_eq!(
        names(&everything(&client).await.unwrap()),
        ["before", "behind"]
    );
    let refs = refs.map(|name| EntityRef::new("resource", "default", name));
    let found = client.by_refs(&refs).await.unwrap();
    let there: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(
        there,
        [true, false, false, false, false, false, false, true]
    );
}

#[tokio::test]
async fn entities_of_all_sizes_and_scripts() {
    let long = "n".repeat(300);
    let many: Vec<String> = (0..10_000)
        .map(|nth| format!("component:default/c-{nth}"))
        .collect();
    let server = catalog(vec![
        json!({
            "kind": "Resource", "spec": { "type": "database" },
            "metadata": { "name": "huge", "annotations": { "x": "y".repeat(5 * 1024 * 1024) } },
        }),
        resource(&long),
        resource("datenbank-für-größe-數據庫"),
        resource("a/b:c"),
        resource("\u{1b}[31mred\u{0}\u{202e}"),
        json!({
            "kind": "Resource", "metadata": { "name": "related" }, "spec": { "type": "database" },
            "relations": many.iter()
                .map(|target| json!({ "type": "dependencyOf", "targetRef": target }))
                .chain([json!({ "type": "ownedBy", "targetRef": "group:default/" })])
                .collect::<Vec<_>>(),
        }),
    ])
    .await;
    let client = client(&server, NoBearer);
    let found = everything(&client).await.unwrap();
    assert_eq!(found.len(), 6);
    let related = found
        .iter()
        .find(|entity| entity.metadata.name == "related");
    let related = related.unwrap();
    assert_eq!(related.owner(), None, "a relation to nothing");
    assert_eq!(related.related("dependencyOf").count(), 10_000);
    for name in [long.as_str(), "datenbank-für-größe-數據庫", "a/b:c"] {
        assert_eq!(client.named(name).await.unwrap().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn pages_of_a_question_in_a_body() {
    let server = Server::start(|request| {
        let body = request.json();
        if body.get("totalItems").is_some() {
            let message = "must NOT have additional properties 'totalItems'";
            return problem(400, "InputError", message);
        }
        match body["cursor"].as_str() {
            None => page(&json!([resource("a")]), Some("two")),
            Some(_) => page(&json!([resource("b")]), None),
        }
    })
    .await;
    let client = client(&server, NoBearer);
    let owners: Vec<EntityRef> = (0..200)
        .map(|nth| EntityRef::new("group", "default", &format!("team-{nth}")))
        .collect();
    let selection = Selection {
        owners: Some(owners),
        system: Some("system:default/checkout".parse().unwrap()),
    };
    assert_eq!(client.databases(&selection).all().await.unwrap().len(), 2);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for (nth, request) in requests.iter().enumerate() {
        let body = request.json();
        assert_eq!(
            (request.method.as_str(), request.path()),
            ("POST", "/api/catalog/entities/by-query")
        );
        assert_eq!(body["limit"], 500);
        assert_eq!(body["fields"][0], "kind");
        assert_eq!(body.get("query").is_some(), nth < 2);
    }
    let query = &requests[0].json()["query"]["$all"];
    assert_eq!(query[0]["$any"][0]["kind"], "resource");
    assert_eq!(query[1]["relations.partOf"], "system:default/checkout");
    assert_eq!(
        query[1]["relations.ownedBy"]["$in"]
            .as_array()
            .unwrap()
            .len(),
        200
    );
}

/// What a proxy that answers in pieces makes of a page.
#[tokio::test]
async fn a_compressed_answer_in_pieces() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    // gzip of {"items":[{"kind":"Resource","metadata":{"name":"zipped"}}],"pageInfo":{}}
    const ZIPPED: [u8; 90] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 13, 201, 187, 13, 128, 48, 12, 5, 192, 93, 94, 157, 9,
        178, 1, 45, 45, 162, 176, 200, 3, 69, 40, 31, 17, 211, 96, 121, 119, 114, 237, 25, 178,
        178, 12, 196, 205, 112, 231, 154, 16, 177, 114, 180, 247, 57, 136, 128, 66, 149, 36, 42,
        136, 134, 42, 133, 115, 191, 220, 59, 19, 220, 247, 128, 46, 23, 151, 122, 182, 217, 238,
        63, 194, 72, 11, 161, 74, 0, 0, 0,
    ];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut read = [0; 4096];
            let length = stream.read(&mut read).await.unwrap();
            request.extend_from_slice(&read[..length]);
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
                    transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        for piece in ZIPPED.chunks(7) {
            stream
                .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                .await
                .unwrap();
            stream.write_all(piece).await.unwrap();
            stream.write_all(b"\r\n").await.unwrap();
            stream.flush().await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        String::from_utf8(request).unwrap().to_lowercase()
    };
    let http = HttpClient::new(Vec::new()).unwrap();
    let client = CatalogClient::new(http, url, NoBearer, Conventions::default());
    let (found, request) = tokio::join!(everything(&client), serving);
    assert_eq!(found.unwrap()[0].title(), "zipped");
    assert!(request.contains("accept-encoding: gzip"), "{request}");
}

#[tokio::test]
async fn a_sign_in_page_in_front_is_named() {
    let to = |location: &str| Response::new(302, "text/html", "").header("location", location);
    let page = |status: u16, text: &str| Response::new(status, "text/html", text);
    let iap = "if that is Google's Identity-Aware Proxy: set `backstage.auth` to \"iap\"";
    let ask = "ask who runs it to let requests with a token through to `/api/catalog`, which Backstage checks itself, or for an address behind it";
    for (response, who, step) in [
        (
            to("https://accounts.google.com/o/oauth2/v2/auth?state=secret"),
            "Google",
            iap,
        ),
        (
            page(401, "<html>").header("x-goog-iap-generated-response", "true"),
            "Google's Identity-Aware Proxy",
            iap,
        ),
        (
            to("https://acme.okta.com/oauth2/v1/authorize?state=secret"),
            "Okta",
            ask,
        ),
        (
            to("https://login.microsoftonline.com/t/oauth2/v2.0/authorize?s=secret"),
            "Microsoft Entra ID",
            ask,
        ),
        (
            to("https://acme.cloudflareaccess.com/cdn-cgi/access/login/x?meta=secret"),
            "Cloudflare Access",
            ask,
        ),
        (
            to("https://acme.auth.eu-west-1.amazoncognito.com/login"),
            "Amazon Cognito",
            ask,
        ),
        (to("/oauth2/start?rd=%2Fapi"), "oauth2-proxy", ask),
        (
            to("https://backstage.example/oauth2/sign_in?rd=secret"),
            "oauth2-proxy",
            ask,
        ),
        (
            page(403, "<html>Secured with <a>OAuth2 Proxy</a>"),
            "oauth2-proxy",
            ask,
        ),
    ] {
        let server = Server::start(move |_: &Request| response.clone()).await;
        let error = everything(&client(&server, token())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{who}");
        let start = format!("not the catalog but the sign-in page of {who} answers at `");
        assert!(error.to_string().starts_with(&start), "{who}: {error}");
        assert_eq!(error.next_steps()[0], step, "{who}");
        let shown = format!("{error} {:?} {:?}", error.causes(), error.next_steps());
        assert!(!shown.contains("secret"), "{shown}");
    }
    // Hosts that only look like it, and places that are none.
    for location in [
        "https://okta.com.evil.example/",
        "https://accounts.google.com.evil/",
        "::",
        "",
    ] {
        let response = to(location);
        let server = Server::start(move |_: &Request| response.clone()).await;
        let error = everything(&client(&server, token())).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("not the catalog but a web page"),
            "{location}"
        );
    }
}

/// Ada, in two groups; the second has groups above it that are above each other.
fn organisation() -> Vec<Value> {
    let group = |name: &str, parents: &[&str]| {
        let parents: Vec<Value> = parents
            .iter()
            .map(|parent| json!({ "type": "childOf", "targetRef": format!("group:default/{parent}") }))
            .collect();
        json!({ "kind": "Group", "metadata": { "name": name }, "relations": parents })
    };
    vec![
        json!({
            "kind": "User", "metadata": { "name": "ada" },
            "spec": { "profile": { "email": "ada@acme.example", "displayName": " " } },
            "relations": [
                { "type": "memberOf", "targetRef": "group:default/chess" },
                { "type": "memberOf", "targetRef": "group:default/payments-core" },
                { "type": "memberOf", "targetRef": "group:default/chess" },
            ],
        }),
        group("payments-core", &["payments"]),
        group("payments", &["engineering", "nowhere"]),
        group("engineering", &["payments"]),
    ]
}

fn names(refs: &[EntityRef]) -> Vec<&str> {
    refs.iter()
        .map(|entity_ref| entity_ref.name.as_str())
        .collect()
}

#[tokio::test]
async fn whose_token_it_is_says_backstage() {
    let users_token = || {
        let header = json!({ "alg": "ES256", "typ": "vnd.backstage.user" });
        Token(user_token(&header, &json!({ "sub": "user:default/ada" })))
    };
    let ent = json!([
        "user:default/ada",
        "group:default/chess",
        "group:default/board",
        "not a reference"
    ]);
    let info = json!({ "claims": { "sub": "user:default/ada", "ent": ent } });
    for (userinfo, entities, groups) in [
        (
            Response::json(200, &info),
            organisation(),
            vec!["chess", "payments-core", "board"],
        ),
        (
            Response::json(200, &info),
            Vec::new(),
            vec!["chess", "board"],
        ),
        (
            problem(404, "", ""),
            organisation(),
            vec!["chess", "payments-core"],
        ),
        (
            problem(403, "", ""),
            organisation(),
            vec!["chess", "payments-core"],
        ),
        (
            Response::new(200, "text/html", "<html>"),
            organisation(),
            vec!["chess", "payments-core"],
        ),
        (problem(404, "", ""), Vec::new(), vec![]),
    ] {
        let server = Server::start(move |request| match request.path() {
            "/api/auth/v1/userinfo" => userinfo.clone(),
            _ => answer(request, &entities),
        })
        .await;
        let client = client(&server, users_token());
        // The address may be another one than the catalog's.
        let person = client.person("ada@home.example").await.unwrap().unwrap();
        assert_eq!(person.entity_ref.to_string(), "user:default/ada");
        assert_eq!(person.name, "ada");
        assert_eq!(names(&person.groups), groups);
        assert_eq!(server.requests().len(), 2);
        assert_eq!(client.signed_in_as().await, Some(person.entity_ref));
    }
    // With any other token there is nothing to ask there.
    let server = catalog(organisation()).await;
    let client = client(&server, token());
    let person = client.person(" ADA@acme.example").await.unwrap().unwrap();
    assert_eq!(names(&person.groups), ["chess", "payments-core"]);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(client.signed_in_as().await, None);
    assert_eq!(client.person("").await.unwrap(), None);
}

#[tokio::test]
async fn groups_above_ones_own_where_they_count() {
    let server = catalog(organisation()).await;
    let conventions = Conventions {
        include_parent_groups: true,
        ..Conventions::default()
    };
    let client = client_with(&server, NoBearer, conventions);
    let person = client.person("ada@acme.example").await.unwrap().unwrap();
    assert_eq!(
        names(&person.groups),
        [
            "chess",
            "payments-core",
            "payments",
            "engineering",
            "nowhere"
        ]
    );
    assert_eq!(server.requests().len(), 4, "one for each level");
    let text = serde_json::to_string(&person).unwrap();
    assert_eq!(serde_json::from_str::<Person>(&text).unwrap(), person);
}

/// Nothing can say a comma in a URL.
#[tokio::test]
async fn a_comma_is_asked_for_in_a_body_or_not_at_all() {
    let user = json!({
        "kind": "User", "metadata": { "name": "odd" }, "spec": { "profile": { "email": "a,kind=b@x" } },
    });
    let server = catalog(vec![user]).await;
    let found = client(&server, NoBearer)
        .person("a,kind=b@x")
        .await
        .unwrap();
    assert_eq!(found.unwrap().name, "odd");

    let old = Server::start(|_| problem(404, "NotFoundError", "")).await;
    assert_eq!(
        client(&old, NoBearer).person("a,kind=b@x").await.unwrap(),
        None
    );
    assert_eq!(old.requests().len(), 1);
}

#[tokio::test]
async fn no_types_are_not_all_types() {
    let conventions = Conventions {
        database_types: Vec::new(),
        ..Conventions::default()
    };
    let marked = json!({
        "kind": "Resource", "spec": { "type": "database" },
        "metadata": { "name": "marked", "annotations": { "bsql.dev/instance": "i" } },
    });
    let server = catalog(vec![resource("a"), marked]).await;
    let found = everything(&client_with(&server, NoBearer, conventions))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}
