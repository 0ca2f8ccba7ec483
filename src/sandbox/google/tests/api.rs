//! What the APIs hand out and refuse.

use super::*;

#[tokio::test]
async fn a_service_account_is_reached_by_impersonation() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let caller = world.token(ADA, tokens::CLOUD_PLATFORM).await;
    let impersonate = async |account: &str, body: Value| {
        let path = format!("v1/projects/-/serviceAccounts/{account}:generateAccessToken");
        let url = world.google.url().join(&path).unwrap();
        answer(
            &world.http,
            world.http.post(url).bearer_auth(&caller).json(&body),
        )
        .await
    };
    let account = "bsql@acme-tools.iam.gserviceaccount.com";
    let (status, body) = impersonate(
        account,
        json!({ "scope": [SQL_LOGIN], "lifetime": "900s", "delegates": [] }),
    )
    .await;
    assert_eq!(status, 200, "{body}");
    let ends: jiff::Timestamp = body["expireTime"].as_str().unwrap().parse().unwrap();
    let left = ends.duration_since(Clock::system().now());
    assert!((895..=900).contains(&left.as_secs()), "{left}");

    // Its token as a password, through any certificate.
    let ticket = world.ticket(&INSTANCES[0], ADA, false).await;
    let mut config = Config::new();
    config
        .user("bsql@acme-tools.iam")
        .password(body["accessToken"].as_str().unwrap())
        .dbname("payments");
    let rows = ask(&ticket, &config, "SELECT count(*) FROM merchants").await;
    assert_eq!(rows.unwrap(), ["8"]);

    for (account, body, expected) in [
        (account, json!({ "scope": [] }), 400),
        (
            account,
            json!({ "scope": [SQL_LOGIN], "lifetime": "7200s" }),
            400,
        ),
        (
            "break-glass@acme-tools.iam.gserviceaccount.com",
            json!({ "scope": [SQL_LOGIN] }),
            403,
        ),
    ] {
        assert_eq!(impersonate(account, body).await.0, expected);
    }
    world.google.stop().await;
}

#[tokio::test]
async fn a_refresh_token_gets_narrower_access_tokens() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let refresh = async |token: &str, scope: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "c"),
            ("client_secret", "s"),
            ("refresh_token", token),
            ("scope", scope),
        ];
        let url = world.google.url().join("token").unwrap();
        answer(&world.http, world.http.post(url).form(&form)).await
    };
    let (status, wide) = refresh("sbx-secret-google-refresh-ada", "").await;
    assert_eq!(status, 200, "{wide}");
    let wide = wide["access_token"].as_str().unwrap();
    assert_eq!(
        world.get(&INSTANCES[0], "/connectSettings", wide).await.0,
        200
    );
    let (_, narrow) = refresh("sbx-secret-google-refresh-ada", SQL_LOGIN).await;
    assert_eq!(narrow["scope"], SQL_LOGIN);
    let narrow = narrow["access_token"].as_str().unwrap();
    assert_eq!(
        world.get(&INSTANCES[0], "/connectSettings", narrow).await.0,
        403
    );
    let (status, refused) = refresh("sbx-secret-google-refresh-eve", "").await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn the_api_refuses_as_google_does() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let [payments, production, ..] = &INSTANCES;
    let unknown = Instance {
        name: "nonsense",
        ..*payments
    };
    let ada = world.token(ADA, SQL_ADMIN).await;
    let login_only = world.token(ADA, SQL_LOGIN).await;
    let dmitri = world.token("dmitri@acme.example", SQL_ADMIN).await;
    let bruno = world.token("bruno@acme.example", SQL_ADMIN).await;
    for (instance, token, status, reason) in [
        (payments, "sbx-secret-nonsense", 401, "authError"),
        (payments, &login_only, 403, "insufficientPermissions"),
        (payments, &dmitri, 403, "notAuthorized"),
        (production, &bruno, 403, "notAuthorized"),
        (&unknown, &ada, 403, "notAuthorized"),
    ] {
        for path in ["/connectSettings", "/users", ""] {
            let (got, body) = world.get(instance, path, token).await;
            assert_eq!(got, status, "{body}");
            assert_eq!(body["error"]["code"], status);
            assert_eq!(body["error"]["errors"][0]["reason"], reason);
        }
    }
    let url = world.instance_url(payments, "/connectSettings");
    let anonymous = world
        .http
        .send("Google", world.http.get(url))
        .await
        .unwrap();
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.headers.contains_key("www-authenticate"));

    for (status, reason) in [(429, "rateLimitExceeded"), (503, "backendError")] {
        world.faults.set(Faults {
            admin_status: Some(status),
            ..Faults::default()
        });
        let (got, body) = world.get(payments, "/connectSettings", &ada).await;
        assert_eq!(got, status);
        assert_eq!(body["error"]["errors"][0]["reason"], reason);
    }
    world.faults.set(Faults {
        sts_status: Some(503),
        ..Faults::default()
    });
    let id_token = world.id_token(ADA, company::CLIENT_ID);
    assert_eq!(world.sts(&id_token, SQL_ADMIN).await.0, 503);
    world.faults.set(Faults::default());
    let (status, body) = world.sts(&world.id_token(ADA, "other"), SQL_ADMIN).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn a_certificate_request_must_make_sense() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let payments = &INSTANCES[0];
    let ada = world.token(ADA, SQL_ADMIN).await;
    let chloes_login = world.token(CHLOE, SQL_LOGIN).await;
    let public_key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    for (body, expected) in [
        (json!({ "public_key": public_key }), 200),
        (
            json!({ "public_key": public_key, "validDuration": "3600s" }),
            200,
        ),
        (
            json!({ "public_key": public_key, "validDuration": "86400s" }),
            400,
        ),
        (json!({ "public_key": "nonsense" }), 400),
        (json!({}), 400),
        (
            json!({ "public_key": public_key, "access_token": "nonsense" }),
            400,
        ),
        (
            json!({ "public_key": public_key, "access_token": ada }),
            403,
        ),
        (
            json!({ "public_key": public_key, "access_token": chloes_login }),
            403,
        ),
    ] {
        let (status, answer) = world.sign(payments, &ada, &body).await;
        assert_eq!(status, expected, "{answer}");
    }
}

#[tokio::test]
async fn users_are_listed_with_their_types() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let ada = world.token(ADA, SQL_ADMIN).await;
    let (_, body) = world.get(&INSTANCES[2], "/users", &ada).await;
    let users: Vec<String> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| format!("{} {}", user["type"].as_str().unwrap(), user["name"]))
        .collect();
    assert_eq!(
        users,
        [
            r#"BUILT_IN "postgres""#,
            r#"BUILT_IN "app""#,
            r#"CLOUD_IAM_WORKFORCE_IDENTITY "bruno@acme.example""#,
            r#"CLOUD_IAM_WORKFORCE_IDENTITY "chloe@acme.example""#,
            r#"CLOUD_IAM_SERVICE_ACCOUNT "bsql@acme-tools.iam""#,
            r#"CLOUD_IAM_SERVICE_ACCOUNT "break-glass@acme-tools.iam""#,
        ]
    );
}

#[tokio::test]
async fn a_dns_name_stands_for_an_instance_of_its_region() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let token = world.token(ADA, SQL_ADMIN).await;
    let payments = &INSTANCES[0];
    let served = world.google.instances();
    let name_of = |instance: &Instance| {
        let found = served.iter().find(|served| {
            (served.instance.project, served.instance.name) == (instance.project, instance.name)
        });
        found.unwrap().dns_name.clone().unwrap()
    };
    let resolve = async |region: &str, name: &str, token: &str| {
        let path = format!("sql/v1beta4/locations/{region}/dns/{name}:resolveConnectSettings");
        let url = world.google.url().join(&path).unwrap();
        answer(&world.http, world.http.get(url).bearer_auth(token)).await
    };
    let name = name_of(payments);
    let (status, body) = resolve(payments.region, &name, &token).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["connectionName"], "acme-staging:europe-west1:payments");
    assert_eq!(body["dnsNames"][0]["name"], name.as_str());
    // Production's orders are not Ada's.
    let refused = name_of(&INSTANCES[3]);
    for (region, name, token, expected) in [
        (payments.region, name.as_str(), "nobody's", 401),
        (payments.region, name.trim_end_matches('.'), &token, 400),
        ("europe-west4", name.as_str(), &token, 403),
        (payments.region, refused.as_str(), &token, 403),
        (payments.region, "a.b.europe-west1.sql.goog.", &token, 403),
    ] {
        let (status, body) = resolve(region, name, token).await;
        assert_eq!(status, expected, "{region} {name} {body}");
    }
    world.google.stop().await;
}
