//! Names as people type them, against a catalog that answers as Backstage does.

use serde_json::{Value, json};

use super::*;
use crate::catalog::stand_in::{NoBearer, catalog, client};

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
