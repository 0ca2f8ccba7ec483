//! The way to an instance when something is wrong with it: each fault has its exit status, its words and its next step,
//! and when it is mended the next command works.

use bsql::sandbox::faults::{DropPoint, Faults};

use crate::support::{Run, TestEnv, World, files_below};

const QUERY: [&str; 4] = ["-vv", "query", "payments-staging", "select 1 as one"];

/// How many requests the SQL Admin API has had from this run.
fn admin_calls(run: &Run) -> usize {
    run.stderr.matches("path=\"/sql/v1beta4/").count()
}

#[track_caller]
fn works(env: &TestEnv) -> Run {
    let run = env.bsql(&QUERY).succeeds();
    assert_eq!(run.stdout, "one\n1\n", "{run}");
    run
}

fn signed_in() -> TestEnv {
    TestEnv::in_world(World::own()).sign_in("ada")
}

/// What is kept beside the session.
fn kept(env: &TestEnv) -> usize {
    let files = files_below(&env.file("state/tokens"));
    let kept = |path: &std::path::PathBuf| path.extension().is_some_and(|ext| ext == "kept");
    files.iter().filter(|path| kept(path)).count()
}

#[test]
fn the_second_connect_asks_google_nothing() {
    let env = TestEnv::signed_in("ada");
    assert_eq!(kept(&env), 1, "the key, made while the person signed in");
    let first = works(&env);
    assert_eq!(admin_calls(&first), 2, "{first}");
    assert_eq!(kept(&env), 3, "and a certificate, and when it ends");
    let second = works(&env);
    assert_eq!(admin_calls(&second), 0, "{second}");
    assert!(!second.stderr.contains("[GOOGLE]"), "{second}");
    assert!(
        !second.stderr.contains("/v1/token"),
        "nor its tokens: {second}"
    );

    // Where the catalog does not say the region, it is found in what is kept as well.
    let ledger = |env: &TestEnv| {
        env.bsql(&[
            "-vv",
            "query",
            "ledger-cloudsql",
            "-d",
            "ledger",
            "select 1",
        ])
        .succeeds()
    };
    assert!(admin_calls(&ledger(&env)) > 0);
    let again = ledger(&env);
    assert_eq!(admin_calls(&again), 0, "{again}");
}

#[test]
fn what_is_kept_goes_with_the_session() {
    let env = TestEnv::signed_in("ada");
    works(&env);
    env.bsql(&["logout"]).succeeds();
    assert_eq!(kept(&env), 0);
    let left = files_below(&env.file("state/tokens"));
    assert!(
        left.iter()
            .all(|path| path.extension().is_some_and(|ext| ext == "lock")),
        "{left:?}"
    );

    // Somebody else signs in in the same place: nothing of the one before is used.
    let env = env.sign_in("ada");
    works(&env);
    let login = env.spawn(&["login", "--force", "--flow", "device"]);
    let (login, url) = login.until_url();
    crate::support::Browser::new().answer_device(&url, "chloe");
    login.finish().succeeds();
    assert_eq!(kept(&env), 1, "a new key");
    let run = env
        .bsql(&[
            "-vv",
            "query",
            "payments-staging",
            "select current_user as me",
        ])
        .succeeds();
    assert_eq!(run.stdout, "me\nchloe@acme.example\n");
    assert_eq!(admin_calls(&run), 2);
}

#[cfg(unix)]
#[test]
fn what_is_kept_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let env = TestEnv::signed_in("ada");
    works(&env);
    for file in files_below(&env.file("state/tokens")) {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    // What others could have written is not believed, and everything works without it.
    for file in files_below(&env.file("state/tokens")) {
        if file.extension().is_some_and(|ext| ext == "kept") {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    assert_eq!(admin_calls(&works(&env)), 2);
}

#[test]
fn a_kept_certificate_that_is_about_to_end_is_replaced() {
    let env = signed_in();
    env.world().break_with(Faults {
        certificate_life_seconds: Some(30),
        ..Faults::default()
    });
    works(&env);
    env.world().break_with(Faults::default());
    assert_eq!(admin_calls(&works(&env)), 2, "half a minute is not enough");
    assert_eq!(admin_calls(&works(&env)), 0);
}

#[test]
fn a_stale_certificate_survives_an_outage_of_the_api() {
    let env = signed_in();
    env.world().break_with(Faults {
        certificate_life_seconds: Some(200),
        ..Faults::default()
    });
    works(&env);
    env.world().break_with(Faults {
        admin_status: Some(403),
        ..Faults::default()
    });
    let run = works(&env).says(&["kept the old value, which is still valid"]);
    assert!(admin_calls(&run) > 0, "it is asked: {run}");
}

#[test]
fn a_certificate_that_is_refused_is_replaced_at_once() {
    let env = signed_in();
    works(&env);
    // In TLS 1.3 that shows at the first read.
    env.world().break_with(Faults {
        client_ca_generation: 1,
        ..Faults::default()
    });
    assert_eq!(admin_calls(&works(&env)), 2);
    assert_eq!(admin_calls(&works(&env)), 0);
    env.world().break_with(Faults {
        client_ca_generation: 1,
        server_ca_generation: 1,
        ..Faults::default()
    });
    assert_eq!(admin_calls(&works(&env)), 2, "the server's CA was replaced");
    assert_eq!(admin_calls(&works(&env)), 0);
}

#[test]
fn another_server_is_never_taken_for_the_instance() {
    let env = signed_in();
    for faults in [
        // Instances have CAs of their own, so that is what is found out first.
        Faults {
            certificate_of: Some("acme-production:europe-west1:payments".to_owned()),
            ..Faults::default()
        },
        Faults {
            door_other_ca: true,
            ..Faults::default()
        },
    ] {
        env.world().break_with(faults);
        for _ in 0..2 {
            env.bsql(&QUERY).fails(76).says(&[
                "is not `acme-staging:europe-west1:payments`",
                "its certificate is not signed by the instance's CA",
                "do not go on: ask your network's administrators what is at this address",
            ]);
        }
        env.world().break_with(Faults::default());
        works(&env);
    }
}

#[test]
fn what_the_api_says_has_its_exit_status_and_next_step() {
    let env = signed_in();
    let fault = |status: u16| Faults {
        admin_status: Some(status),
        ..Faults::default()
    };
    for (faults, code, says) in [
        (
            fault(403),
            77,
            ["you may not connect to", "roles/cloudsql.client"],
        ),
        (
            fault(404),
            68,
            [
                "there is no Cloud SQL instance",
                "gcloud sql instances list",
            ],
        ),
        (fault(400), 69, ["is stopped", "--activation-policy=ALWAYS"]),
        (
            fault(401),
            77,
            ["does not accept your access token", "bsql login --force"],
        ),
        (
            Faults {
                admin_retry_after_seconds: Some(77),
                ..fault(429)
            },
            75,
            ["too many requests", "wait 77 s and run it again"],
        ),
        (
            Faults {
                admin_region: Some("us-east1".to_owned()),
                ..Faults::default()
            },
            65,
            ["is not in region `europe-west1`", "tell the entity's owner"],
        ),
        (
            Faults {
                certificate_life_seconds: Some(-5),
                ..Faults::default()
            },
            69,
            ["is over", "set this machine's clock"],
        ),
        (
            Faults {
                admin_addresses: Some(vec!["PRIVATE".to_owned()]),
                ..Faults::default()
            },
            78,
            ["has no public address", "google.ip_type"],
        ),
    ] {
        env.world().break_with(faults);
        env.bsql(&QUERY).fails(code).says(&says);
        assert_eq!(kept(&env), 1, "of a failure nothing is kept but the key");
    }
    env.world().break_with(Faults::default());
    works(&env);
}

/// The same person, with nothing kept.
fn forgetful(env: TestEnv) -> TestEnv {
    env.world().break_with(Faults::default());
    env.bsql(&["logout"]).succeeds();
    env.sign_in("ada")
}

#[test]
fn what_passes_by_itself_is_not_bothered_the_person_with() {
    let env = signed_in();
    env.world().break_with(Faults {
        admin_status: Some(503),
        admin_status_times: Some(2),
        ..Faults::default()
    });
    assert_eq!(admin_calls(&works(&env)), 4, "two of them failed");

    let env = forgetful(env);
    env.world().break_with(Faults {
        admin_status: Some(429),
        admin_status_times: Some(2),
        admin_retry_after_seconds: Some(1),
        ..Faults::default()
    });
    works(&env).says(&["will be asked again"]);

    let env = forgetful(env);
    env.world().break_with(Faults {
        admin_delay_milliseconds: 300,
        door_delay_milliseconds: 300,
        ..Faults::default()
    });
    works(&env);
}

#[test]
fn a_connection_that_is_cut_is_unreachable_and_the_next_one_works() {
    let env = signed_in();
    works(&env);
    for (point, cause) in [
        (DropPoint::Accept, "was broken off"),
        (DropPoint::Hello, "was broken off"),
        (DropPoint::Handshake, ""),
    ] {
        env.world().break_with(Faults {
            door_drops: Some(point),
            ..Faults::default()
        });
        let run = env.bsql(&QUERY).fails(69);
        run.says(&["error: ", cause]);
        env.world().break_with(Faults::default());
        works(&env);
    }
}

#[test]
fn an_instance_that_moved_is_found_at_its_new_address() {
    let env = signed_in();
    // At first it is where nobody listens.
    env.world().break_with(Faults {
        admin_ip: Some("127.0.0.254".to_owned()),
        ..Faults::default()
    });
    env.bsql(&QUERY).fails(69).says(&[
        "cannot reach `acme-staging:europe-west1:payments`",
        "was refused",
    ]);
    env.world().break_with(Faults::default());
    assert_eq!(
        admin_calls(&works(&env)),
        2,
        "what was kept did not lead anywhere, so that it was asked for again"
    );
    assert_eq!(admin_calls(&works(&env)), 0);
}

#[test]
fn faults_from_the_command_line() {
    let env = TestEnv::in_world(World::own());
    env.bsql(&["sandbox", "fault", "list"])
        .fails(68)
        .says(&["no sandbox is running"]);
    env.bsql(&["sandbox", "up", "--detach", "--auto-approve"])
        .succeeds();
    let list = env.bsql(&["sandbox", "fault", "list"]).succeeds();
    for fault in ["admin_status", "door_drops", "certificate_life_seconds"] {
        assert!(list.stdout.contains(fault), "{list}");
    }
    env.bsql(&[
        "sandbox",
        "fault",
        "set",
        "admin_status=503",
        "--count",
        "2",
    ])
    .succeeds()
    .says(&["admin_status=503", "admin_status_times=2"]);
    env.bsql(&[
        "sandbox",
        "fault",
        "set",
        "door_drops=hello",
        "admin_region=us-east1",
    ])
    .succeeds()
    .says(&["admin_status=503", "door_drops=\"hello\""]);
    env.bsql(&["sandbox", "fault", "clear", "admin_status"])
        .succeeds()
        .says(&["door_drops=\"hello\""]);
    env.bsql(&["sandbox", "fault", "set", "admin_statos=503"])
        .fails(64)
        .says(&["did you mean `admin_status`?"]);
    env.bsql(&["sandbox", "fault", "set", "admin_status=soon"])
        .fails(64)
        .says(&["a fault cannot have this value"]);
    env.bsql(&[
        "sandbox",
        "fault",
        "set",
        "door_other_ca=true",
        "--count",
        "1",
    ])
    .fails(64)
    .says(&["cannot be counted"]);
    env.bsql(&["sandbox", "fault", "clear"])
        .succeeds()
        .says(&["nothing is wrong in the sandbox"]);
    env.bsql(&["sandbox", "down"]).succeeds();
}

/// Somebody in between: takes one connection after the other, speaks `hello` with each, and passes bytes both ways.
pub(crate) fn in_between(
    hello: impl Fn(&mut std::net::TcpStream) -> String + Send + 'static,
) -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::Write as _;
    use std::net::{Shutdown, TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let (asked, for_what) = std::sync::mpsc::channel();
    // It ends with the process.
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let target = hello(&mut client);
            // Not every test wants to know.
            let _ = asked.send(target.clone());
            let Ok(mut server) = TcpStream::connect(&target) else {
                continue;
            };
            let (mut from_server, mut to_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_server, &mut to_client);
                let _ = to_client.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut client, &mut server);
                let _ = server.flush();
                let _ = server.shutdown(Shutdown::Write);
            });
        }
    });
    (place, for_what)
}

fn read<const N: usize>(client: &mut std::net::TcpStream) -> [u8; N] {
    use std::io::Read as _;

    let mut bytes = [0; N];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

fn socks5(client: &mut std::net::TcpStream) -> String {
    use std::io::Write as _;

    assert_eq!(read(client), [5, 1, 0]);
    client.write_all(&[5, 0]).unwrap();
    let [_, _, _, 1, a, b, c, d, high, low] = read(client) else {
        panic!("an IPv4 address is asked for");
    };
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    format!("{a}.{b}.{c}.{d}:{}", u16::from_be_bytes([high, low]))
}

fn http_proxy(client: &mut std::net::TcpStream) -> String {
    use std::io::Write as _;

    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        header.extend(read::<1>(client));
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let header = String::from_utf8(header).unwrap();
    header.split(' ').nth(1).unwrap().to_owned()
}

/// Where the shared world's payments-staging is.
pub(crate) fn address(env: &TestEnv) -> String {
    let instances = &env.world().sandbox().status().instances;
    instances[0].address.clone()
}

#[test]
fn through_proxies_and_forwarded_ports() {
    let env = TestEnv::signed_in("ada");
    let there = address(&env);
    let forward = there.clone();
    let (forwarded, f) = in_between(move |_| forward.clone());
    let (socks, s) = in_between(socks5);
    let (http, h) = in_between(http_proxy);
    for (via, asked) in [
        (forwarded.clone(), f),
        (format!("socks5://{socks}"), s),
        (format!("http://{http}"), h),
    ] {
        let run = env
            .bsql(&[&QUERY[..], &["--via", &via]].concat())
            .succeeds();
        assert_eq!(run.stdout, "one\n1\n");
        assert_eq!(asked.recv().unwrap(), there, "{via}");
    }
    for via in ["direct", "public"] {
        env.bsql(&[&QUERY[..], &["--via", via]].concat()).succeeds();
    }
    // Proxies of the environment are for web pages. Nobody listens at this one.
    let mut command = env.command(&QUERY);
    command.env("ALL_PROXY", "socks5://127.0.0.1:1");
    command.env("NO_PROXY", "127.0.0.1,localhost");
    env.run(command).succeeds();
    // As a setting.
    env.edit_config(|config| {
        config.replace(
            "user_project =",
            &format!("via = \"{forwarded}\"\nuser_project ="),
        )
    });
    works(&env);
    env.edit_config(|config| config.replace(&forwarded, "socks4://a:1"));
    env.bsql(&QUERY)
        .fails(78)
        .says(&["is no way to an instance", "google.via"]);
}

#[test]
fn a_forwarded_port_that_leads_to_another_instance_is_found_out() {
    let env = TestEnv::signed_in("ada");
    let instances = &env.world().sandbox().status().instances;
    let other = instances[1].address.clone();
    if other == instances[0].address {
        eprintln!("skipped: this machine has one loopback address only");
        return;
    }
    let (forwarded, _asked) = in_between(move |_| other.clone());
    env.bsql(&[&QUERY[..], &["--via", &forwarded]].concat())
        .fails(76)
        .says(&["is not `acme-staging:europe-west1:payments`"]);
}

#[test]
fn ways_that_lead_nowhere_say_where_they_end() {
    let env = signed_in();
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let says = |via: &str, code, texts: &[&str]| {
        env.bsql(&[&QUERY[..], &["--via", via]].concat())
            .fails(code)
            .says(texts);
    };
    says(&nobody, 69, &["was refused", "check what forwards"]);
    says(
        &format!("socks5://{nobody}"),
        69,
        &["was refused", "the SOCKS proxy at"],
    );
    says(
        &format!("http://{nobody}"),
        69,
        &["was refused", "the HTTP proxy at"],
    );
    says("private", 78, &["has no private address", "--via public"]);
    says("psc", 78, &["has no name for Private Service Connect"]);
    says("socks5://ada:hunter2@proxy:1080", 64, &["cannot be given"]);
    // What is at the other end is no proxy: the instance itself.
    let there = address(&env);
    says(&format!("http://{there}"), 69, &["the HTTP proxy at"]);

    env.world().break_with(Faults {
        admin_addresses: Some(vec!["PRIVATE".to_owned()]),
        ..Faults::default()
    });
    env.bsql(&[&QUERY[..], &["--via", "private"]].concat())
        .succeeds();
    env.world().break_with(Faults {
        admin_addresses: Some(vec!["PRIVATE".to_owned()]),
        admin_ip: Some("127.0.0.254".to_owned()),
        ..Faults::default()
    });
    let env = {
        env.bsql(&["logout"]).succeeds();
        env.sign_in("ada")
    };
    env.bsql(&[&QUERY[..], &["--via", "auto"]].concat())
        .fails(69)
        .says(&["127.0.0.254 is a private address", "--via socks5://"]);
    env.world().break_with(Faults {
        admin_addresses: Some(vec!["PRIVATE_SERVICE_CONNECT".to_owned()]),
        ..Faults::default()
    });
    env.bsql(&[&QUERY[..], &["--via", "psc"]].concat())
        .succeeds();
}

/// A DNS server that has one text for every name, and no address for any.
fn dns(text: &str) -> String {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let text = text.to_owned();
    // It ends with the process.
    std::thread::spawn(move || {
        let mut question = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut question).unwrap();
            let mut answer = question[..length].to_vec();
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            answer[6..8].copy_from_slice(&[0, 1]);
            // A TXT record of the name that was asked for.
            answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
            let length = u8::try_from(text.len()).unwrap();
            answer.extend([0, length + 1, length]);
            answer.extend(text.bytes());
            socket.send_to(&answer, from).unwrap();
        }
    });
    address
}

#[test]
fn by_a_domain_name_of_the_companys_own() {
    let env = TestEnv::signed_in("ada");
    let query = |env: &TestEnv| {
        env.bsql(&[
            "-vv",
            "query",
            "payments.invalid",
            "-d",
            "payments",
            "select 1 as one",
        ])
    };
    let asking = |text: &str| {
        let server = dns(text);
        env.edit_config(|config| {
            let rest = config.lines().filter(|line| !line.starts_with("dns = "));
            rest.collect::<Vec<_>>().join("\n").replace(
                "instance_port",
                &format!("dns = \"{server}\"\ninstance_port"),
            )
        });
    };
    asking("acme-staging:europe-west1:payments");
    let run = query(&env).succeeds();
    assert_eq!(run.stdout, "one\n1\n");
    assert_eq!(admin_calls(&run), 2);
    assert_eq!(admin_calls(&query(&env).succeeds()), 0);
    // Whatever is there that leads nowhere may be in the catalog, and is not.
    asking("v=spf1 -all");
    query(&env).fails(68).says(&["payments.invalid"]);
    env.edit_config(|config| config.replace("dns = \"127.0.0.1:", "dns = \"nowhere:"));
    query(&env)
        .fails(78)
        .says(&["google.endpoints.dns", "expected an IP address and a port"]);
}

#[test]
fn a_session_that_outlives_its_certificate_reconnects_with_a_new_one() {
    if crate::support::world::psql().is_none() {
        eprintln!("skipped: this machine has no psql");
        return;
    }
    let env = signed_in();
    env.world().break_with(Faults {
        certificate_life_seconds: Some(8),
        ..Faults::default()
    });
    let script = env.file("script.sql");
    // As after a laptop's sleep: by the wall clock the certificate is over when psql connects once more.
    std::fs::write(
        &script,
        "select 'before';\n\\! sleep 9\n\\c\nselect 'after';\n",
    )
    .unwrap();
    let mut command = env.command(&["-vv", "connect", "payments-staging", "--", "-X", "-A", "-t"]);
    command.stdin(std::fs::File::open(script).unwrap());
    let run = env.run(command).succeeds();
    assert!(
        run.stdout.contains("before") && run.stdout.contains("after"),
        "{run}"
    );
    let certificates = run.stderr.matches(":generateEphemeralCert").count();
    assert!(certificates >= 2, "{run}");
}
