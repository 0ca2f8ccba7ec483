//! Names as people type them, against a catalog that answers as Backstage does.

use serde_json::{Value, json};

use super::*;
use crate::catalog::stand_in::{NoBearer, Token, catalog, client, problem, user_token};
use crate::loopback::Server;

fn entity(kind: &str, name: &str, relations: &[(&str, &str)]) -> Value {
    let relations: Vec<Value> = relations
        .iter()
        .map(|(relation, target)| json!({ "type": relation, "targetRef": target }))
        .collect();
    let spec_type = if kind == "Resource" {
        "database"
    } else {
        "service"
    };
    json!({
        "kind": kind, "metadata": { "name": name }, "spec": { "type": spec_type }, "relations": relations,
    })
}

fn acme() -> Vec<Value> {
    let payments = ("dependencyOf", "component:default/payments");
    let ours = ("ownedBy", "group:default/payments");
    let mut elsewhere = entity("Resource", "reports", &[]);
    elsewhere["metadata"]["namespace"] = json!("team-b");
    let mut labelled = entity(
        "Resource",
        "orders-main",
        &[("dependencyOf", "component:default/orders")],
    );
    labelled["metadata"]["labels"] = json!({ "env": "prod" });
    let mut itself = entity("Component", "legacy", &[]);
    itself["metadata"]["annotations"] = json!({ "bsql.dev/instance-connection-name": "p:r:i" });
    let mut bucket = entity("Resource", "archive", &[]);
    bucket["spec"]["type"] = json!("bucket");
    vec![
        entity("Resource", "payments-staging", &[payments, ours]),
        entity("Resource", "payments-production", &[payments, ours]),
        entity("Component", "payments", &[ours]),
        entity("Component", "orders", &[]),
        labelled,
        entity("Component", "website", &[("ownedBy", "group:default/web")]),
        entity("Resource", "ledger", &[]),
        entity("Component", "ledger", &[]),
        entity("Resource", "reports", &[]),
        elsewhere,
        itself,
        bucket,
    ]
}

async fn find(asked: &str) -> Result<String> {
    let server = catalog(acme()).await;
    let client = client(&server, NoBearer);
    let found = find_database(&client, asked).await?;
    Ok(found.entity_ref().to_string())
}

#[tokio::test]
async fn what_people_type() {
    for (asked, expected) in [
        ("payments-staging", "resource:default/payments-staging"),
        ("Payments-Staging", "resource:default/payments-staging"),
        (
            "resource:default/payments-staging",
            "resource:default/payments-staging",
        ),
        ("payments@staging", "resource:default/payments-staging"),
        ("payments@prod", "resource:default/payments-production"),
        (
            "component:payments@staging",
            "resource:default/payments-staging",
        ),
        (
            "default/payments@staging",
            "resource:default/payments-staging",
        ),
        ("orders", "resource:default/orders-main"),
        ("orders@production", "resource:default/orders-main"),
        ("orders-production", "resource:default/orders-main"),
        ("ledger", "resource:default/ledger"),
        ("team-b/reports", "resource:team-b/reports"),
        ("legacy", "component:default/legacy"),
        ("archive", "resource:default/archive"),
    ] {
        assert_eq!(find(asked).await.unwrap(), expected, "{asked}");
    }
}

#[tokio::test]
async fn several_are_listed_and_none_is_guessed() {
    let error = find("payments").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "`payments` could be any of 2 databases");
    assert_eq!(
        error.next_steps(),
        [
            "type `resource:default/payments-production` (production, group:default/payments)",
            "type `resource:default/payments-staging` (staging, group:default/payments)",
        ]
    );
    let error = find("reports").await.unwrap_err();
    assert_eq!(
        error.next_steps(),
        [
            "type `resource:default/reports`",
            "type `resource:team-b/reports`"
        ]
    );
}

#[tokio::test]
async fn what_is_not_there() {
    let error = find("paymnets-staging").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "there is no database `paymnets-staging` in the catalog, or you may not see it"
    );
    assert_eq!(
        error.next_steps()[0],
        "did you mean `resource:default/payments-staging`?"
    );
    assert_eq!(error.next_steps().last(), Some(&"bsql ls --all"));

    for asked in [
        "orders@staging",
        "orders-staging",
        "ledger@staging",
        "resource:x",
        "zzz",
    ] {
        let error = find(asked).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{asked}");
        assert!(
            error.to_string().starts_with("there is no database"),
            "{asked}: {error}"
        );
    }

    let error = find("website").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`component:default/website` depends on no database in the catalog that you can see"
    );
    assert!(error.next_steps()[0].contains("`group:default/web`"));

    assert_eq!(find("a b").await.unwrap_err().kind(), ErrorKind::Usage);
}

async fn refs(entities: Vec<Value>, asked: &str, options: &FindOptions) -> Result<Vec<String>> {
    let server = catalog(entities).await;
    let client = client(&server, NoBearer);
    let found = find_databases(&client, asked, options).await?;
    Ok(found
        .iter()
        .map(|entity| entity.entity_ref().to_string())
        .collect())
}

#[tokio::test]
async fn what_a_name_costs() {
    for (asked, requests) in [
        ("payments-staging", 1),
        ("resource:default/payments-staging", 1),
        ("team-b/reports", 1),
        ("archive", 1),
        ("payments@staging", 2),
        ("payments", 2),
        ("component:payments@staging", 2),
        ("orders", 2),
        ("orders-production", 2),
        ("ledger", 2),
        ("legacy", 2),
    ] {
        let server = catalog(acme()).await;
        let client = client(&server, NoBearer);
        let found = find_databases(&client, asked, &FindOptions::default()).await;
        found.unwrap();
        assert_eq!(server.requests().len(), requests, "{asked}");
    }
    // One for the name, and one for what is like it.
    let server = catalog(acme()).await;
    find_database(&client(&server, NoBearer), "paymnets-staging")
        .await
        .unwrap_err();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(server.requests()[1].query("fullTextFilterTerm"), ["pay"]);
    assert_eq!(
        server.requests()[1].query("fullTextFilterFields"),
        ["metadata.name,metadata.title"]
    );
    assert!(server.requests()[0].query("fullTextFilterTerm").is_empty());
}

#[tokio::test]
async fn a_resource_and_a_component_of_one_name() {
    let uses = [("dependencyOf", "component:default/payments")];
    let component = entity("Component", "payments", &[]);
    let of_it = entity("Resource", "payments", &uses);
    let stranger = entity("Resource", "payments", &[]);
    let other = entity("Resource", "payments-archive", &uses);
    let options = FindOptions::default();
    for (entities, expected) in [
        (vec![component.clone(), of_it.clone()], vec!["payments"]),
        (vec![component.clone(), stranger.clone()], vec!["payments"]),
        (
            vec![component.clone(), of_it, other.clone()],
            vec!["payments", "payments-archive"],
        ),
        (
            vec![component, stranger, other],
            vec!["payments", "payments-archive"],
        ),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|name| format!("resource:default/{name}"))
            .collect();
        assert_eq!(
            refs(entities, "payments", &options).await.unwrap(),
            expected
        );
    }
}

#[tokio::test]
async fn environments_from_everywhere() {
    let in_environment = |environment: &str| FindOptions {
        environment: Some(environment.to_owned()),
        ..FindOptions::default()
    };
    for (asked, environment, expected) in [
        ("payments", "prod", "resource:default/payments-production"),
        (
            "payments@stg",
            "staging",
            "resource:default/payments-staging",
        ),
        ("orders", "production", "resource:default/orders-main"),
        ("orders-main", "live", "resource:default/orders-main"),
    ] {
        let found = refs(acme(), asked, &in_environment(environment))
            .await
            .unwrap();
        assert_eq!(found, [expected], "{asked} in {environment}");
    }
    // The name's ending is another word for it.
    let mut short = entity("Resource", "billing-prd", &[]);
    let found = refs(
        vec![short.clone()],
        "billing@production",
        &FindOptions::default(),
    )
    .await;
    assert_eq!(found.unwrap(), ["resource:default/billing-prd"]);
    // What is stated outranks the name.
    short["metadata"]["labels"] = json!({ "environment": "staging" });
    let error = refs(vec![short], "billing@production", &FindOptions::default()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);

    let error = refs(acme(), "orders", &in_environment("staging"))
        .await
        .unwrap_err();
    assert_eq!(
        error.next_steps(),
        [
            "there is `resource:default/orders-main` (production)",
            "bsql ls --all"
        ]
    );
    let error = refs(acme(), "orders@staging", &in_environment("prod"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn a_component_that_says_where_it_is_in_each_environment() {
    let mut component = entity("Component", "payments", &[]);
    component["metadata"]["annotations"] = json!({
        "bsql.dev/staging.instance-connection-name": "p:r:stg",
        "bsql.dev/production.instance-connection-name": "p:r:prd",
        "bsql.dev/production.database": "payments",
    });
    let server = catalog(vec![component]).await;
    let client = client(&server, NoBearer);
    for asked in [
        "payments@staging",
        "payments-staging",
        "component:default/payments@stg",
    ] {
        let found = find_database(&client, asked).await.unwrap();
        let instance = found.annotation("bsql.dev/instance-connection-name");
        assert_eq!(instance, Some("p:r:stg"), "{asked}");
        let environment = client.conventions().environments.of(&found);
        assert_eq!(environment.as_deref(), Some("staging"));
    }
    let error = find_database(&client, "payments").await.unwrap_err();
    assert_eq!(
        error.next_steps(),
        [
            "type `component:default/payments@production` (production)",
            "type `component:default/payments@staging` (staging)",
        ]
    );
    let error = find_database(&client, "payments@development")
        .await
        .unwrap_err();
    assert_eq!(
        error.next_steps()[1],
        "there is `component:default/payments@staging` (staging)"
    );
}

#[tokio::test]
async fn subcomponents_and_the_system_count_when_they_are_asked_for() {
    let in_system = ("partOf", "system:default/checkout");
    let database = |name: &str, user: &str| {
        let used_by = format!("component:default/{user}");
        entity("Resource", name, &[("dependencyOf", &used_by), in_system])
    };
    let has = |part: &'static str| ("hasPart", part);
    let mut inner = entity("Component", "inner", &[has("component:default/shop")]);
    inner["metadata"]["annotations"] = json!({ "bsql.dev/instance-connection-name": "p:r:inner" });
    let entities = vec![
        entity(
            "Component",
            "shop",
            &[
                has("component:default/cart"),
                has("api:default/x"),
                in_system,
            ],
        ),
        entity(
            "Component",
            "cart",
            &[
                has("component:default/inner"),
                has("component:default/gone"),
            ],
        ),
        inner,
        database("shop-db", "shop"),
        database("cart-db", "cart"),
        database("inner-db", "inner"),
        database("far-db", "other"),
        json!({ "kind": "System", "metadata": { "name": "checkout" } }),
    ];
    let with = |subcomponents: bool, system: bool| FindOptions {
        environment: None,
        subcomponents,
        system,
    };
    let all = ["cart-db", "far-db", "inner-db", "shop-db"];
    for (asked, options, resources, components) in [
        ("shop", with(false, false), vec!["shop-db"], 0),
        (
            "shop",
            with(true, false),
            vec!["cart-db", "inner-db", "shop-db"],
            1,
        ),
        ("shop", with(false, true), all.to_vec(), 0),
        ("shop", with(true, true), all.to_vec(), 1),
        ("shop-db", with(true, true), vec!["shop-db"], 0),
        ("system:checkout", with(false, false), all.to_vec(), 0),
    ] {
        let found = refs(entities.clone(), asked, &options).await.unwrap();
        let expected: Vec<String> =
            std::iter::repeat_n("component:default/inner".to_owned(), components)
                .chain(
                    resources
                        .iter()
                        .map(|name| format!("resource:default/{name}")),
                )
                .collect();
        assert_eq!(found, expected, "{asked} {options:?}");
    }
}

#[tokio::test]
async fn what_is_not_visible_may_be_there() {
    let server = catalog(Vec::new()).await;
    let header = json!({ "typ": "vnd.backstage.user" });
    let token = user_token(&header, &json!({ "sub": "user:default/ada" }));
    let client = client(&server, Token(token));
    for asked in [
        "payments",
        "resource:default/payments",
        "component:payments",
        "group:x",
    ] {
        let error = find_database(&client, asked).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            format!(
                "there is no database `{asked}` in the catalog, or you may not see it (signed in as user:default/ada)"
            )
        );
        assert_eq!(error.next_steps(), ["bsql ls --all"]);
    }
}

#[tokio::test]
async fn a_failing_catalog_is_not_an_empty_one() {
    let server = Server::start(|_| problem(403, "NotAllowedError", "")).await;
    let client = client(&server, NoBearer);
    for asked in ["payments", "resource:payments"] {
        let error = find_database(&client, asked).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{asked}");
    }
}
