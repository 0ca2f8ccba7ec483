//! Whom the doors let in, and how it ends.

use super::*;

#[tokio::test]
async fn from_an_id_token_to_rows() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let sql = "SELECT current_user || ' ' || count(*) FROM payments";
    let rows = world.ask(&INSTANCES[0], ADA, sql).await.unwrap();
    assert_eq!(rows, ["ada@acme.example 20"]);
    world.google.stop().await;
}

#[tokio::test]
async fn every_instance_shows_a_chain_that_the_api_vouches_for() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    for instance in &INSTANCES {
        let ticket = world.ticket(instance, CHLOE, true).await;
        let stream = ticket.dial().await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        let (_, leaf) = X509Certificate::from_der(&shown[0]).unwrap();
        let name = format!("{}:{}", instance.project, instance.name);
        let common_name = leaf.subject().iter_common_name().next();
        let common_name = common_name.map(|name| name.as_str().unwrap());
        let managed = name == "acme-production:orders";
        assert_eq!(common_name, (!managed).then_some(name.as_str()));
        assert_eq!(ticket.roots.len(), if managed { 2 } else { 1 });
        if world.google.instance_port() == 3307 {
            assert_ne!(
                ticket.address.0, "127.0.0.1",
                "each has an address of its own"
            );
        }
    }
}

#[tokio::test]
async fn where_there_is_one_address_only_the_name_tells_instances_apart() {
    let doors = instance::bind_shared().await.unwrap();
    let Some(world) = World::start_at(doors, EngineChoice::System).await else {
        return;
    };
    for instance in [&INSTANCES[0], &INSTANCES[4]] {
        let mut ticket = world.ticket(instance, ADA, true).await;
        assert_eq!(ticket.address.0, "127.0.0.1");
        // Each wants its own certificates, so a wrong one would not get this far.
        let mut stream = ticket.dial().await.unwrap();
        stream
            .write_all(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f])
            .await
            .unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
        ticket.server_name = "nonsense.sql.goog".try_into().unwrap();
        assert!(ticket.dial().await.is_err());
    }
}

#[tokio::test]
async fn iam_users_are_let_in_as_themselves_only() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let [payments, _, orders, ..] = &INSTANCES;
    let refused = world.ask(orders, ADA, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "28000");
    assert_eq!(
        refused.as_db_error().unwrap().message(),
        "Cloud SQL IAM user authentication failed for user \"ada@acme.example\""
    );
    let ticket = world.ticket(payments, ADA, true).await;
    let mut config = Config::new();
    config.user(CHLOE).dbname("payments");
    let refused = ask(&ticket, &config, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "28000");

    config.user(ADA).dbname("nonsense");
    let refused = ask(&ticket, &config, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "3D000");
    world.google.stop().await;
}

#[tokio::test]
async fn without_a_login_in_the_certificate_passwords_count() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let payments = &INSTANCES[0];
    let ticket = world.ticket(payments, ADA, false).await;
    let login = world.token(ADA, SQL_LOGIN).await;
    let admin = world.token(ADA, SQL_ADMIN).await;
    for (user, password, expected) in [
        (ADA, login.as_str(), Ok(ADA)),
        (ADA, &admin, Err("28P01")),
        (CHLOE, &login, Err("28P01")),
        ("app", BUILT_IN_PASSWORD, Ok("app")),
        ("app", "guess", Err("28P01")),
        ("postgres", BUILT_IN_PASSWORD, Err("28P01")),
    ] {
        let mut config = Config::new();
        config.user(user).password(password).dbname("payments");
        let rows = ask(&ticket, &config, "SELECT current_user").await;
        let rows = rows.as_ref().map(|rows| rows[0].as_str()).map_err(code);
        assert_eq!(rows, expected, "{user}");
    }
    world.google.stop().await;
}

#[tokio::test]
async fn a_bad_certificate_is_an_alert_on_the_first_read() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    world.faults.set(Faults {
        certificate_life_seconds: Some(-60),
        ..Faults::default()
    });
    let expired = world.ticket(&INSTANCES[0], ADA, true).await;
    world.faults.set(Faults::default());
    let mut of_another = world.ticket(&INSTANCES[0], ADA, true).await;
    let staging = world.ticket(&INSTANCES[4], ADA, true).await;
    of_another.chain = staging.chain;
    of_another.key = staging.key;
    for (ticket, alert) in [(expired, "CertificateExpired"), (of_another, "UnknownCA")] {
        // The handshake is over for the client before the server has looked.
        let mut stream = ticket.dial().await.unwrap();
        // What was sent early must not turn the alert into a reset.
        let _ = stream.write_all(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]).await;
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert!(error.to_string().contains(alert), "{error}");
    }
}

#[tokio::test]
async fn a_door_can_show_the_certificate_of_another_instance() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let ticket = world.ticket(&INSTANCES[0], ADA, true).await;
    world.faults.set(Faults {
        certificate_of: Some("acme-staging:europe-west1:orders".to_owned()),
        ..Faults::default()
    });
    let error = ticket.dial().await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn the_protocol_up_to_the_end() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let ticket = world.ticket(&INSTANCES[0], ADA, true).await;
    let mut stream = ticket.dial().await.unwrap();
    // SSLRequest, then GSSENCRequest: both are answered with no, and the session goes on.
    for code in [80_877_103_u32, 80_877_104] {
        let request = [8_u32.to_be_bytes(), code.to_be_bytes()].concat();
        stream.write_all(&request).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
    }
    let parameters = b"user\0ada@acme.example\0database\0payments\0\0";
    let length = u32::try_from(parameters.len() + 8).unwrap();
    let startup = [&length.to_be_bytes()[..], &[0, 3, 0, 0], parameters].concat();
    stream.write_all(&startup).await.unwrap();
    // AuthenticationOk without having been asked for anything.
    assert_eq!(stream.read_u8().await.unwrap(), b'R');
    assert_eq!(stream.read_u64().await.unwrap(), 8 << 32);
    // Terminate: everything that follows is read to an orderly end (without close_notify this would be an error).
    stream.write_all(b"X\0\0\0\x04").await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    world.google.stop().await;
}

#[tokio::test]
async fn a_statement_can_be_cancelled() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let ticket = world.ticket(&INSTANCES[0], ADA, true).await;
    let stream = ticket.dial().await.unwrap();
    let mut config = Config::new();
    config.user(ADA).dbname("payments");
    let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
    let statement = async {
        let cancel = client.cancel_token();
        let sleep = client.simple_query("SELECT pg_sleep(60)");
        let stop = async {
            // Again until it hits: the first one may come before the statement does.
            loop {
                let stream = ticket.dial().await.unwrap();
                cancel.cancel_query_raw(stream, NoTls).await.unwrap();
            }
        };
        tokio::select! {
            result = sleep => result,
            () = stop => unreachable!("it never ends"),
        }
    };
    let error = tokio::select! {
        result = statement => result.unwrap_err(),
        _ = connection => panic!("the session has ended"),
    };
    assert_eq!(code(&error), "57014");
    world.google.stop().await;
}

/// The server behind a session with this process id, and where its data is.
#[cfg(target_os = "linux")]
fn server_of(backend: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let status = std::fs::read_to_string(format!("/proc/{backend}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let server = std::path::PathBuf::from(format!("/proc/{}", parent.unwrap().trim()));
    let data = std::fs::read_link(server.join("cwd")).unwrap();
    (server, data)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_left_when_it_stops_or_is_dropped() {
    for stop in [true, false] {
        let Some(world) = World::start(EngineChoice::System).await else {
            return;
        };
        // A session that is open must not hold it up.
        let ticket = world.ticket(&INSTANCES[0], ADA, true).await;
        let mut config = Config::new();
        config.user(ADA).dbname("payments");
        let stream = ticket.dial().await.unwrap();
        let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
        let driving = tokio::spawn(connection);
        let row = client.query_one("SELECT pg_backend_pid()::text", &[]).await;
        let (server, data) = server_of(row.unwrap().get(0));
        assert!(server.exists() && data.exists());
        let url = world.google.url().clone();
        if stop {
            world.google.stop().await;
            assert!(!server.exists() && !data.exists());
        } else {
            drop(world);
            while server.exists() || data.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        // The session has ended, whether the server still could say so or not.
        let _ = driving.await.unwrap();
        let api = (url.host_str().unwrap(), url.port().unwrap());
        assert!(TcpStream::connect(api).await.is_err());
        let door = (ticket.address.0.as_str(), ticket.address.1);
        assert!(TcpStream::connect(door).await.is_err());
    }
}

#[cfg(feature = "embedded-postgres")]
#[tokio::test]
async fn the_embedded_engine_takes_one_client_after_another() {
    use std::pin::pin;

    use futures_util::{SinkExt as _, TryStreamExt as _};

    let world = World::start(EngineChoice::Embedded).await.unwrap();
    let payments = &INSTANCES[0];
    let ticket = world.ticket(payments, ADA, true).await;
    let mut config = Config::new();
    config.user(ADA).dbname("payments");
    let stream = ticket.dial().await.unwrap();
    let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
    let driving = tokio::spawn(connection);
    // In both directions, because COPY has a protocol of its own.
    let into = "COPY merchants (name, country) FROM STDIN";
    let mut sink = pin!(client.copy_in(into).await.unwrap());
    let lines: &[u8] = b"One\tDE\nTwo\tFR\n";
    sink.send(lines).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2);
    let out = client.copy_out("COPY (SELECT name FROM merchants WHERE id > 8) TO STDOUT");
    let chunks: Vec<_> = out.await.unwrap().try_collect().await.unwrap();
    assert_eq!(chunks.concat(), b"One\nTwo\n");

    let refused = ask(&ticket, &config, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "53300");
    let hint = refused.as_db_error().unwrap().hint().unwrap();
    assert!(hint.contains("apt install postgresql"), "{hint}");
    config.dbname("nonsense");
    let refused = ask(&ticket, &config, "SELECT 1").await.unwrap_err();
    assert_eq!(code(&refused), "3D000");
    config.dbname("payments");
    drop(client);
    driving.await.unwrap().unwrap();

    // The end of the stream means that the engine is free, at once and every time.
    for _ in 0..5 {
        let mut stream = start_session(&ticket).await;
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let rows = ask(&ticket, &config, "SELECT count(*) FROM payments").await;
        assert_eq!(rows.unwrap(), ["20"]);
    }

    // Nor does a client that vanishes in the middle of a result take the engine with it.
    let mut stream = start_session(&ticket).await;
    let query = b"Q\0\0\0\x2eSELECT repeat('x', 1000000) FROM payments\0";
    stream.write_all(query).await.unwrap();
    stream.read_exact(&mut vec![0; 100_000]).await.unwrap();
    drop(stream);
    let rows = loop {
        match ask(&ticket, &config, "SELECT count(*) FROM merchants").await {
            Err(error) if code(&error) == "53300" => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(rows.unwrap(), ["10"]);

    // A session that is open does not hold the end up.
    let open = start_session(&ticket).await;
    world.google.stop().await;
    drop(open);
}

/// Starts a session of Ada's as soon as the engine is free, and reads the first byte of the answer: she is in.
#[cfg(feature = "embedded-postgres")]
async fn start_session(ticket: &Ticket) -> TlsStream<TcpStream> {
    let parameters = b"user\0ada@acme.example\0database\0payments\0\0";
    let length = u32::try_from(parameters.len() + 8).unwrap();
    let startup = [&length.to_be_bytes()[..], &[0, 3, 0, 0], parameters].concat();
    loop {
        let mut stream = ticket.dial().await.unwrap();
        stream.write_all(&startup).await.unwrap();
        if stream.read_u8().await.unwrap() == b'R' {
            return stream;
        }
    }
}
