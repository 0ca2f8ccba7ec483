//! `bsql tunnel`, `ps`, `stop` and `logs`.

#![cfg(unix)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::cache::{in_bash, offered};
use crate::connect::wait_until;
use crate::support::{Run, TestEnv, World, world::psql};

/// Ends what a test has left in the background, whatever became of the test.
pub(crate) struct Background<'a>(pub(crate) &'a TestEnv);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        let _ = self.0.command(&["stop", "--all"]).output();
    }
}

/// `bsql ps -o json`: the tunnels.
pub(crate) fn open(env: &TestEnv) -> Vec<serde_json::Value> {
    let ps = env.bsql(&["ps", "-o", "json"]).succeeds().json();
    assert_eq!(ps["version"], 1);
    ps["tunnels"].as_array().unwrap().clone()
}

/// The port of a tunnel on 127.0.0.1.
pub(crate) fn port(tunnel: &serde_json::Value) -> u16 {
    assert_eq!(tunnel["host"], "127.0.0.1");
    u16::try_from(tunnel["port"].as_u64().unwrap()).unwrap()
}

/// What psql prints for `sql`.
pub(crate) fn ask(psql: &std::path::Path, dsn: &str, sql: &str) -> String {
    let output = Command::new(psql)
        .args(["-X", "-At", dsn, "-c", sql])
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn dsn(tunnel: &serde_json::Value) -> String {
    let (host, port) = (tunnel["host"].as_str().unwrap(), &tunnel["port"]);
    format!("host={host} port={port} user=whoever dbname=payments sslmode=disable")
}

/// On systems that do not tell whose programs dial in, there are sockets only.
const HAS_PORTS: bool = cfg!(any(target_os = "linux", target_os = "macos"));

#[test]
fn in_the_background_until_it_is_stopped() {
    let Some(psql) = psql().filter(|_| HAS_PORTS) else {
        eprintln!("skipped: needs psql, and a system on which tunnels have ports");
        return;
    };
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    let started = env.bsql(&["tunnel", "-d", "payments-staging"]).succeeds();
    let tunnels = open(&env);
    assert_eq!(tunnels.len(), 1);
    let tunnel = &tunnels[0];
    assert_eq!(
        started.stdout,
        format!("payments-staging 127.0.0.1:{}\n", port(tunnel))
    );
    let started = started.says(&["ready: payments-staging (staging) as ada@acme.example"]);
    drop(started);
    assert_eq!(
        ask(&psql, &dsn(tunnel), "select current_user"),
        "ada@acme.example"
    );

    // Again is the same one, at once and by another of its names.
    let again = env.bsql(&["tunnel", "-d", "payments@staging"]).succeeds();
    let again = again.says(&["open already, in process"]);
    assert_eq!(
        again.stdout,
        format!("payments-staging 127.0.0.1:{}\n", port(tunnel))
    );
    let foreground = env.bsql(&["tunnel", "payments-staging"]).succeeds();
    assert_eq!(foreground.stdout, again.stdout);
    // Something else must not pass for it.
    let other = ["tunnel", "-d", "payments-staging", "--read-only"];
    env.bsql(&other).fails(73).says(&[
        "`payments-staging` has a tunnel already",
        "is not read-only",
        "bsql stop payments-staging",
    ]);

    let logs = env.bsql(&["logs", "resource:default/payments-staging"]);
    assert!(logs.succeeds().stdout.contains("ready name="));
    let pid = tunnel["pid"].as_u64().unwrap();
    env.bsql(&["stop", "payments-staging"])
        .succeeds()
        .says(&["closed: payments-staging"]);
    assert!(TcpStream::connect(("127.0.0.1", port(tunnel))).is_err());
    wait_until(|| !std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
    assert_eq!(open(&env).len(), 0);
    env.bsql(&["stop", "payments-staging"])
        .fails(68)
        .says(&["no tunnel of `payments-staging` is open"]);
    let logs = env.bsql(&["logs", "payments-staging"]).succeeds();
    assert!(logs.stdout.contains("signed in backend_pid="), "{logs}");
    let last = env
        .bsql(&["logs", "payments-staging", "-n", "1"])
        .succeeds();
    assert!(
        last.stdout
            .contains("closed: payments-staging, it was stopped: 1 connection"),
        "{last}"
    );

    // The same port the next time, and what the audit log has of the first.
    env.bsql(&["tunnel", "-d", "payments-staging"]).succeeds();
    assert_eq!(open(&env)[0]["port"], tunnel["port"]);
    let records = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    let end = &records["records"][1];
    assert_eq!(
        (&end["event"], &end["exit"], &end["connections"]),
        (&"end".into(), &0.into(), &1.into())
    );
    assert!(end["backend_pids"][0].as_u64().unwrap() > 0);
}

#[test]
fn show_and_the_shell_know_what_is_open() {
    let env = TestEnv::signed_in("ada");
    // Where nothing is typed yet, the flags are offered as well.
    let offered = |env: &TestEnv, words: &[&str]| -> Vec<String> {
        let mut offered = offered(env, words);
        offered.retain(|word| !word.starts_with('-'));
        offered
    };
    let _background = Background(&env);
    let shown = |args: &[&str]| env.bsql(&[&["show", "payments-staging"], args].concat());
    assert_eq!(
        shown(&["-o", "json"]).succeeds().json()["tunnels"],
        serde_json::json!([])
    );
    assert!(offered(&env, &["stop", ""]).is_empty());
    assert!(offered(&env, &["logs", ""]).is_empty());
    let names = ["payments-staging", "ledger-staging"];
    env.bsql(&[&["tunnel", "-d", "--socket"], &names[..]].concat())
        .succeeds();

    let tunnels = open(&env);
    let tunnel = &tunnels[1];
    assert_eq!(tunnel["name"], "payments-staging");
    // Only the database's own, in the words of `ps`.
    let json = shown(&["--offline", "-o", "json"]).succeeds().json();
    assert_eq!(json["tunnels"], serde_json::json!([tunnel]));
    let text = shown(&[]).succeeds().stdout;
    let line = text.lines().find(|line| line.starts_with("tunnel "));
    let line = line.unwrap_or_else(|| panic!("no tunnel in {text}"));
    let socket = format!("{}/.s.PGSQL.5432", tunnel["host"].as_str().unwrap());
    let process = format!("process {}", tunnel["pid"]);
    for part in [&socket, "as ada@acme.example", "0 connected", &process] {
        assert!(line.contains(part), "{part}: {line}");
    }

    let both = ["ledger-staging", "payments-staging"];
    // A glance does not wait for long, and the machine may be busy.
    wait_until(|| offered(&env, &["stop", ""]) == both);
    wait_until(|| offered(&env, &["stop", "pay"]) == ["payments-staging"]);
    let of_another = offered(&env, &["--profile", "other", "stop", ""]);
    assert!(of_another.is_empty(), "{of_another:?}");
    wait_until(|| in_bash(&env, "bsql stop le").is_none_or(|reply| reply == "ledger-staging\n"));
    env.bsql(&["stop", "ledger-staging"]).succeeds();
    wait_until(|| offered(&env, &["stop", ""]) == ["payments-staging"]);
    // A log stays.
    wait_until(|| offered(&env, &["logs", ""]) == both);
}

/// As when several terminals start at once, each with `eval "$(bsql env …)"`.
#[test]
fn at_the_same_moment_there_is_one() {
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    let start = || env.spawn(&["tunnel", "-d", "payments-staging", "--socket"]);
    let started: Vec<_> = (0..4).map(|_| start()).collect();
    let said: Vec<Run> = started
        .into_iter()
        .map(|started| started.finish().succeeds())
        .collect();
    let opened = said.iter().filter(|run| run.stderr.contains("ready: "));
    assert_eq!(opened.count(), 1);
    assert!(said.iter().all(|run| run.stdout == said[0].stdout));
    assert_eq!(open(&env).len(), 1);
}

#[test]
fn several_are_independent() {
    if !HAS_PORTS {
        eprintln!("skipped: on this system tunnels have sockets only");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    let run = env.bsql(&[
        "tunnel",
        "-d",
        "nosuch",
        "payments-staging",
        "orders-staging",
        "ledger-staging",
    ]);
    // The first that failed decides the exit status; the others are open.
    assert_eq!(run.code, 68, "{run}");
    assert_eq!(run.stdout.lines().count(), 2, "{run}");
    let run = run.says(&[
        "there is no database `nosuch`",
        "cannot sign in to database `orders`",
    ]);
    assert!(
        run.stdout.starts_with("payments-staging 127.0.0.1:"),
        "{run}"
    );
    let tunnels = open(&env);
    assert_eq!(tunnels.len(), 2);
    assert_ne!(port(&tunnels[0]), port(&tunnels[1]));
    assert_eq!(tunnels[0]["pid"], tunnels[1]["pid"], "one process");
    env.bsql(&["stop", "ledger-staging"]).succeeds();
    let left = open(&env);
    assert_eq!(
        (left.len(), &left[0]["name"]),
        (1, &"payments-staging".into())
    );
    let all = env.bsql(&["tunnel", "-d", "nosuch"]).fails(68);
    drop(all);
    env.bsql(&["stop", "--all"]).succeeds();
    env.bsql(&["stop", "--all"])
        .succeeds()
        .says(&["no tunnel is open"]);
}

#[test]
fn in_the_foreground_until_ctrl_c() {
    let env = TestEnv::signed_in("ada");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let tunnel = env
            .spawn(&["tunnel", "payments-staging", "--socket"])
            .until("ready: payments-staging");
        let socket = env.file("run/payments-staging/.s.PGSQL.5432");
        UnixStream::connect(&socket).unwrap();
        // One that is still in the queue when the end comes is not served.
        wait_until(|| open(&env)[0]["connections"]["served"] == 1);
        tunnel.signal(signal);
        let run = tunnel.finish();
        assert_eq!(run.code, code, "{run}");
        assert!(!socket.exists());
        assert!(
            run.stderr
                .contains("closed: payments-staging: 1 connection"),
            "{run}"
        );
    }
    let records = env.bsql(&["audit", "list", "-o", "json"]).succeeds().json();
    assert_eq!(records["records"][3]["exit"], 143);
    assert_eq!(left_sockets(&env), Vec::<std::path::PathBuf>::new());
}

fn left_sockets(env: &TestEnv) -> Vec<std::path::PathBuf> {
    let mut sockets = env.sockets();
    sockets.retain(|path| path.extension().is_none_or(|extension| extension != "lock"));
    sockets
}

#[test]
fn a_port_that_is_taken() {
    if !HAS_PORTS {
        eprintln!("skipped: on this system tunnels have sockets only");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    env.bsql(&["tunnel", "-d", "payments-staging"]).succeeds();
    let own = port(&open(&env)[0]);
    env.bsql(&["stop", "--all"]).succeeds();
    let thief = TcpListener::bind(("127.0.0.1", own)).unwrap();
    env.bsql(&["tunnel", "-d", &format!("payments-staging={own}")])
        .fails(73)
        .says(&[
            &format!("cannot listen on `127.0.0.1:{own}`"),
            &format!("(process {}) listens there", std::process::id()),
        ]);
    let notice = format!("another program has port {own} of `payments-staging`: using ");
    let other = env.bsql(&["tunnel", "-d", "payments-staging"]).succeeds();
    drop(other.says(&[&notice]));
    assert_ne!(port(&open(&env)[0]), own);
    env.bsql(&["stop", "--all"]).succeeds();
    drop(thief);
    env.bsql(&["tunnel", "-d", "payments-staging"]).succeeds();
    assert_eq!(port(&open(&env)[0]), own, "its own again");
    env.bsql(&["stop", "--all"]).succeeds();

    env.edit_config(|text| format!("tunnel.ports = \"{own}-{own}\"\n{text}"));
    env.bsql(&["tunnel", "-d", "payments-staging"]).succeeds();
    env.bsql(&["tunnel", "-d", "ledger-staging"])
        .fails(73)
        .says(&[
            &format!("none of the ports {own}-{own} is free"),
            "--socket",
        ]);
    env.edit_config(|text| text.replace(&format!("{own}-{own}"), "many"));
    env.bsql(&["tunnel", "ledger-staging"])
        .fails(78)
        .says(&["`many` is not a range of ports"]);
}

#[test]
fn where_and_how_can_be_said() {
    if !HAS_PORTS {
        eprintln!("skipped: on this system tunnels have sockets only");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let dir = env.file("mine");
    let place = format!("payments-staging={}/.s.PGSQL.5433", dir.display());
    let tunnel = env.spawn(&["tunnel", &place]).until("ready");
    UnixStream::connect(dir.join(".s.PGSQL.5433")).unwrap();
    tunnel.signal(Signal::INT);
    tunnel.finish();
    assert!(!dir.exists());
    for (wrong, why) in [
        ("payments-staging=x", "expected a port or an absolute path"),
        ("=5433", "expected a name"),
    ] {
        env.bsql(&["tunnel", wrong]).fails(64).says(&[why]);
    }
    env.bsql(&["tunnel", "payments-staging=5433", "--socket"])
        .fails(64);
    env.bsql(&["tunnel", "payments-staging", "--http", "0.0.0.0:9"])
        .fails(64)
        .says(&["other machines could reach", "--http-public"]);
    let memory = ["--store", "memory", "tunnel", "-d", "payments-staging"];
    env.bsql(&memory)
        .fails(64)
        .says(&["ends with this process"]);
}

#[test]
fn a_service_manager_is_told_when_it_is_ready() {
    let env = TestEnv::signed_in("ada");
    let socket = env.file("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    // A program that fails says nothing, and the test must not wait for ever.
    let patience = std::time::Duration::from_secs(20);
    manager.set_read_timeout(Some(patience)).unwrap();
    let mut command = env.command(&["tunnel", "payments-staging", "--socket"]);
    command.env("NOTIFY_SOCKET", &socket);
    let tunnel = env.start(command);
    let mut heard = [0; 64];
    let length = manager.recv(&mut heard).unwrap();
    assert_eq!(&heard[..length], b"READY=1\n");
    assert_eq!(open(&env).len(), 1);
    tunnel.signal(Signal::TERM);
    assert_eq!(tunnel.finish().code, 143);
}

#[test]
fn it_ends_by_itself() {
    let env = TestEnv::signed_in("ada");
    for (limit, why) in [
        ("--ttl=300ms", "its time is over"),
        ("--idle-timeout=300ms", "nobody was connected"),
    ] {
        let run = env
            .bsql(&["tunnel", "payments-staging", "--socket", limit])
            .succeeds();
        assert!(
            run.stderr
                .contains(&format!("closed: payments-staging, {why}")),
            "{run}"
        );
    }
}

#[test]
fn at_most_so_many_connections() {
    let Some(psql) = psql() else {
        eprintln!("skipped: this machine has no psql");
        return;
    };
    let env = TestEnv::signed_in("ada");
    let limit = [
        "tunnel",
        "payments-staging",
        "--socket",
        "--max-connections",
        "1",
    ];
    let tunnel = env.spawn(&limit).until("ready");
    let dir = env.file("run/payments-staging");
    let dsn = format!("host={} dbname=payments", dir.display());
    let mut first = Command::new(&psql)
        .args(["-X", "-At", &dsn])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = first.stdin.take().unwrap();
    stdin.write_all(b"select 'here';\n").unwrap();
    let mut here = [0; 4];
    first
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut here)
        .unwrap();
    assert_eq!(&here, b"here");
    let second = Command::new(&psql)
        .args(["-X", &dsn, "-c", "select 1"])
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("at most 1 connections at a time"), "{said}");
    drop(stdin);
    first.wait().unwrap();
    wait_until(|| open(&env)[0]["connections"]["open"] == 0);
    assert_eq!(ask(&psql, &dsn, "select 2"), "2");
    tunnel.signal(Signal::INT);
    tunnel.finish();
}

/// `command`, in a process that may have so many descriptors, and may ask for more.
#[cfg(target_os = "linux")]
fn with_descriptors(most: u32, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -Sn {most} && exec \"$@\""), "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell
}

#[cfg(target_os = "linux")]
#[test]
fn a_tunnel_has_as_many_descriptors_as_it_may_and_what_exec_starts_has_what_it_had() {
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    let tunnel = env.command(&["tunnel", "-d", "payments-staging", "--socket"]);
    env.run(with_descriptors(200, &tunnel)).succeeds();
    let pid = open(&env)[0]["pid"].as_u64().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits.lines().find(|line| line.contains("open files"));
    let [soft, hard] = files.unwrap().split_whitespace().collect::<Vec<_>>()[3..5] else {
        panic!("{limits}");
    };
    assert!(soft == hard || soft == "132070", "{limits}");

    // Programs with `select` go wrong at 1,024.
    let exec = env.command(&["exec", "payments-staging", "--", "sh", "-c", "ulimit -Sn"]);
    let run = env.run(with_descriptors(200, &exec)).succeeds();
    assert_eq!(run.stdout, "200\n");
}

/// As `nc -N` does it: who has no more questions still gets all answers, over TLS to the instance and back.
#[test]
fn who_says_that_was_all_still_gets_the_answer() {
    if psql().is_none() {
        eprintln!("skipped: this machine has no PostgreSQL");
        return;
    }
    let env = TestEnv::signed_in("ada");
    let tunnel = env
        .spawn(&["tunnel", "payments-staging", "--socket"])
        .until("ready");
    let mut client = UnixStream::connect(env.file("run/payments-staging/.s.PGSQL.5432")).unwrap();
    let message = |tag: &[u8], body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [tag, &length, body].concat()
    };
    let start = b"\0\x03\0\0user\0ada\0database\0payments\0\0";
    let ask = b"select repeat('x', 100) from generate_series(1, 20000)\0";
    let said = [message(b"", start), message(b"Q", ask)].concat();
    client.write_all(&said).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();

    let mut rest = &answer[..];
    let mut tags = std::collections::BTreeMap::<char, usize>::new();
    while let [tag, a, b, c, d, ..] = rest {
        *tags.entry(char::from(*tag)).or_default() += 1;
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        rest = &rest[1 + length..];
    }
    assert_eq!(rest, b"");
    assert_eq!(
        (tags[&'R'], tags[&'D'], tags[&'C']),
        (1, 20_000, 1),
        "{tags:?}"
    );
    tunnel.signal(Signal::INT);
    tunnel.finish();
}

#[test]
fn it_outlives_a_dial_that_failed() {
    let Some(psql) = psql() else {
        eprintln!("skipped: this machine has no psql");
        return;
    };
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    let _background = Background(&env);
    env.bsql(&["tunnel", "-d", "payments-staging", "--socket"])
        .succeeds();
    let dsn = format!(
        "host={} dbname=payments",
        env.file("run/payments-staging").display()
    );
    let come = || {
        Command::new(&psql)
            .args(["-X", &dsn, "-c", "select 1"])
            .env_clear()
            .output()
            .unwrap()
    };
    let refused = || {
        let mut output = come();
        if output.status.success() {
            // On the connection that was dialled before.
            output = come();
        }
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    env.world().break_with(bsql::sandbox::faults::Faults {
        certificate_of: Some("acme-staging:europe-west1:orders".to_owned()),
        ..Default::default()
    });
    let said = refused();
    assert!(said.contains("FATAL:  bsql: what answers at"), "{said}");
    assert!(said.contains("HINT:  do not go on"), "{said}");
    env.world()
        .break_with(bsql::sandbox::faults::Faults::default());
    assert_eq!(ask(&psql, &dsn, "select 1"), "1");
    assert_eq!(open(&env)[0]["connections"]["failed"], 1);
}

#[test]
fn it_waits_for_what_cannot_be_reached_yet() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    env.world().break_with(bsql::sandbox::faults::Faults {
        admin_status: Some(503),
        ..Default::default()
    });
    let tunnel = env
        .spawn(&["tunnel", "payments-staging", "--socket", "--wait"])
        .until("trying again in 1 s");
    env.world()
        .break_with(bsql::sandbox::faults::Faults::default());
    let tunnel = tunnel.until("ready: payments-staging");
    tunnel.signal(Signal::INT);
    tunnel.finish();
}

/// Tokens and certificates live for seconds here, so all of them are replaced while the tunnel is open.
#[test]
fn it_outlives_its_tokens_and_a_sign_out() {
    let Some(psql) = psql() else {
        eprintln!("skipped: this machine has no psql");
        return;
    };
    let life = jiff::SignedDuration::from_secs(6);
    let world = World::with(|options| bsql::sandbox::Options {
        token_life: life,
        ..options
    });
    let env = TestEnv::in_world(world).sign_in("ada");
    let _background = Background(&env);
    env.bsql(&["tunnel", "-d", "payments-staging", "--socket"])
        .succeeds();
    let dsn = format!(
        "host={} dbname=payments",
        env.file("run/payments-staging").display()
    );
    assert_eq!(ask(&psql, &dsn, "select 1"), "1");
    std::thread::sleep(life.unsigned_abs());
    assert_eq!(ask(&psql, &dsn, "select 2"), "2");

    env.bsql(&["logout"]).succeeds();
    std::thread::sleep(life.unsigned_abs());
    let output = Command::new(&psql)
        .args(["-X", &dsn, "-c", "select 3"])
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("FATAL:  bsql: nobody is signed in"), "{said}");
    assert!(said.contains("HINT:  bsql login"), "{said}");
    let env = &env;
    let (login, url) = env.spawn(&["login", "--flow", "device"]).until_url();
    crate::support::Browser::new().answer_device(&url, "ada");
    login.finish().succeeds();
    assert_eq!(ask(&psql, &dsn, "select 4"), "4");
}

/// As when a lid is closed: the wall clock goes on, the process does not.
#[test]
fn whoever_comes_while_it_sleeps_longer_than_its_certificate_is_served_when_it_wakes() {
    let Some(psql) = psql() else {
        eprintln!("skipped: this machine has no psql");
        return;
    };
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    env.world().break_with(bsql::sandbox::faults::Faults {
        certificate_life_seconds: Some(8),
        ..Default::default()
    });
    let tunnel = env
        .spawn(&["-vv", "tunnel", "payments-staging", "--socket"])
        .until("ready");
    let dsn = format!(
        "host={} dbname=payments",
        env.file("run/payments-staging").display()
    );
    assert_eq!(ask(&psql, &dsn, "select 1"), "1");
    tunnel.signal(Signal::STOP);
    let asking = std::thread::spawn(move || ask(&psql, &dsn, "select 2"));
    std::thread::sleep(std::time::Duration::from_secs(9));
    assert!(!asking.is_finished());
    tunnel.signal(Signal::CONT);
    assert_eq!(asking.join().unwrap(), "2");
    tunnel.signal(Signal::INT);
    let run = tunnel.finish();
    let asleep = run.stderr.matches(":generateEphemeralCert").count();
    assert!(asleep >= 2, "{run}");
    assert!(
        !run.stderr.contains("trying once more"),
        "the old one is not even tried: {run}"
    );
}

fn kill(pid: u64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn a_process_that_was_killed_is_in_nobodys_way() {
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    env.bsql(&["tunnel", "-d", "payments-staging", "--socket"])
        .succeeds();
    let socket = env.file("run/payments-staging/.s.PGSQL.5432");
    kill(open(&env)[0]["pid"].as_u64().unwrap());
    wait_until(|| UnixStream::connect(&socket).is_err());
    assert!(socket.exists(), "it had no time to tidy up");
    assert_eq!(open(&env).len(), 0);
    env.bsql(&["tunnel", "-d", "payments-staging", "--socket"])
        .succeeds();
    UnixStream::connect(&socket).unwrap();
}

/// Whoever starts it in the background and dies before it is ready leaves nobody who would end it.
#[test]
fn a_parent_that_was_killed_leaves_no_orphan() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    let _background = Background(&env);
    env.world().break_with(bsql::sandbox::faults::Faults {
        admin_status: Some(503),
        ..Default::default()
    });
    let mut parent = env
        .command(&["tunnel", "-d", "payments-staging", "--socket", "--wait"])
        .spawn()
        .unwrap();
    let log = env.file("state/tunnels/payments-staging.log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_until(|| said().contains("trying again"));
    kill(parent.id().into());
    parent.wait().unwrap();
    wait_until(|| said().contains("the process that started this one has gone"));
    env.world()
        .break_with(bsql::sandbox::faults::Faults::default());
    assert_eq!(open(&env).len(), 0);
    wait_until(|| {
        env.bsql(&["tunnel", "payments-staging", "--socket", "--ttl", "1ms"])
            .code
            == 0
    });
}

/// It must hold neither the terminal nor the pipes of whoever started it.
#[test]
fn nothing_of_its_parents_is_held() {
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    // `output` reads to the end of both pipes: it would hang.
    let Run { code, .. } = env.bsql(&["tunnel", "-d", "payments-staging", "--socket"]);
    assert_eq!(code, 0);
    #[cfg(target_os = "linux")]
    {
        let pid = open(&env)[0]["pid"].as_u64().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let (session, terminal) = (fields[3], fields[4]);
        assert_eq!(session, pid.to_string(), "a session of its own");
        assert_eq!(terminal, "0");
    }
}

#[test]
fn health_and_metrics() {
    let env = TestEnv::signed_in("ada");
    let tunnel = env
        .spawn(&["tunnel", "payments-staging", "--socket", "--http", "0"])
        .until("/metrics");
    let (tunnel, address) = {
        let said = tunnel.said().to_owned();
        let line = said.lines().find(|line| line.contains("/health")).unwrap();
        let address = line
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap();
        (tunnel.until("ready"), address.to_owned())
    };
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/health").contains("{\"open\":[\"payments-staging\"],\"version\":1}"));
    assert!(get("/metrics").contains("bsql_tunnel_connections_open{database=\"payments-staging\""));
    tunnel.signal(Signal::INT);
    tunnel.finish();
}

#[test]
fn programs_that_insist_on_tls_get_it() {
    let Some(psql) = psql().filter(|_| HAS_PORTS) else {
        eprintln!("skipped: needs psql, and a system on which tunnels have ports");
        return;
    };
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    env.bsql(&["tunnel", "-d", "payments-staging", "--local-tls"])
        .succeeds()
        .says(&["local-tls/authority.pem"]);
    let given = env.bsql(&["dsn", "payments-staging", "--format", "kv"]);
    let authority = "state/local-tls/authority.pem";
    let given = given.succeeds().stdout.trim().replace(
        &format!("[HOME]/{authority}"),
        &env.file(authority).display().to_string(),
    );
    assert!(
        given.contains("sslmode=verify-full sslrootcert="),
        "{given}"
    );
    assert_eq!(
        ask(&psql, &given, "select current_user"),
        "ada@acme.example"
    );
    assert!(ask(&psql, &given, r"\conninfo").contains("SSL connection"));
    // Whoever does not ask is served as ever, and whoever trusts somebody else is not fooled.
    let plain = dsn(&open(&env)[0]);
    assert!(!ask(&psql, &plain, r"\conninfo").contains("SSL connection"));
    let stranger = plain.replace(
        "sslmode=disable",
        "sslmode=verify-full sslrootcert=/dev/null",
    );
    let refused = Command::new(&psql).arg(stranger).env_clear().output();
    assert!(!refused.unwrap().status.success());

    // With `exec`, by the variables alone.
    let psql = psql.display().to_string();
    let args = [
        "exec",
        "--tcp",
        "--local-tls",
        "payments-staging",
        "--",
        &psql,
    ];
    let said = env.bsql(&[&args[..], &["-X", "-c", r"\conninfo"]].concat());
    assert!(said.succeeds().stdout.contains("SSL connection"));

    // A tunnel without it does not pass for one that has it.
    env.bsql(&["tunnel", "-d", "ledger-staging"]).succeeds();
    env.bsql(&["dsn", "ledger-staging", "--local-tls"])
        .fails(73)
        .says(&["speaks no TLS"]);
    env.bsql(&["tunnel", "ledger-staging", "--socket", "--local-tls"])
        .fails(64);
}
