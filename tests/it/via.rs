//! `--via` for tunnels and tokens: the way is the one that was asked for, and a tunnel that goes another does not pass for it.

#![cfg(unix)]

use std::os::unix::net::UnixStream;

use bsql::sandbox::faults::{DropPoint, Faults};
use rustix::process::Signal;

use crate::dataplane::{address, in_between};
use crate::support::{TestEnv, World, world::psql};
use crate::tunnel::{Background, ask, open};

/// Where a tunnel of payments-staging with `--socket` is, for psql.
fn socket(env: &TestEnv) -> String {
    let dir = env.file("run/payments-staging");
    format!("host={} dbname=payments", dir.display())
}

#[test]
fn a_tunnel_goes_through_a_forwarded_port() {
    let Some(psql) = psql() else {
        eprintln!("skipped: this machine has no psql");
        return;
    };
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    let there = address(&env);
    let to = there.clone();
    let (forwarded, asked) = in_between(move |_| to.clone());
    let tunnel = ["tunnel", "-d", "payments-staging", "--socket", "--via"];
    env.bsql(&[&tunnel[..], &[&forwarded]].concat()).succeeds();
    assert_eq!(asked.recv().unwrap(), there, "it was proven by that way");
    assert_eq!(
        ask(&psql, &socket(&env), "select current_user"),
        "ada@acme.example"
    );
    assert_eq!(asked.recv().unwrap(), there);
    assert_eq!(open(&env)[0]["via"], forwarded);
}

/// The instance's own door is closed, so that there is no other way.
#[test]
fn a_tunnel_goes_through_the_data_api() {
    let Some(psql) = psql() else {
        eprintln!("skipped: this machine has no psql");
        return;
    };
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    let _background = Background(&env);
    env.world().break_with(Faults {
        door_drops: Some(DropPoint::Accept),
        ..Faults::default()
    });
    let direct = ["tunnel", "-d", "payments-staging", "--socket"];
    env.bsql(&direct).fails(69);
    let by_the_api = ["--via", "data-api"];
    env.bsql(&[&direct[..], &by_the_api].concat()).succeeds();
    assert_eq!(
        ask(&psql, &socket(&env), "select current_user"),
        "ada@acme.example"
    );
    assert_eq!(open(&env)[0]["via"], "data-api");
    env.bsql(&["stop", "--all"]).succeeds();

    let foreground = ["tunnel", "payments-staging", "--socket"];
    let tunnel = env
        .spawn(&[&foreground[..], &by_the_api].concat())
        .until("ready");
    assert_eq!(ask(&psql, &socket(&env), "select 1"), "1");
    tunnel.signal(Signal::INT);
    assert_eq!(tunnel.finish().code, 130);
}

#[test]
fn ways_are_compared_by_where_they_lead() {
    let env = TestEnv::signed_in("ada");
    let _background = Background(&env);
    let tunnel = |args: &[&str]| {
        let tunnel = ["tunnel", "-d", "payments-staging", "--socket"];
        env.bsql(&[&tunnel[..], args].concat())
    };
    let dsn = |args: &[&str]| env.bsql(&[&["dsn", "payments-staging"], args].concat());
    let settings = |via: &str| {
        env.edit_config(|config| {
            let kept = config.lines().filter(|line| !line.starts_with("via = "));
            let kept: Vec<&str> = kept.collect();
            let google = "[profiles.sandbox.google]";
            kept.join("\n")
                .replace(google, &format!("{google}\nvia = \"{via}\""))
        });
    };
    // Public is what the settings say otherwise, and so it is what direct stands for.
    for (opened_with, settings_say) in [
        (&[][..], "direct"),
        (&[], "public"),
        (&["--via", "public"], "psc"),
        (&["--via", "direct"], "data-api"),
    ] {
        settings(settings_say);
        tunnel(opened_with).succeeds().says(&["ready"]);
        assert_eq!(open(&env)[0]["via"], "public");
        for same in [&["--via", "public"], &["--via", "direct"]] {
            tunnel(same).succeeds().says(&["open already"]);
            dsn(same).succeeds();
        }
        // Who names no way takes the one that there is for a string, and asks for the settings' with a tunnel.
        dsn(&[]).succeeds();
        let usual = tunnel(&[]);
        if ["direct", "public"].contains(&settings_say) {
            usual.succeeds().says(&["open already"]);
        } else {
            usual.fails(73).says(&["goes by way of public"]);
        }
        for other in ["private", "data-api", "127.0.0.1:1"] {
            let other = ["--via", other];
            tunnel(&other).fails(73).says(&["goes by way of public"]);
            dsn(&other).fails(73).says(&["goes by way of public"]);
        }
        env.bsql(&["stop", "--all"]).succeeds();
    }
    UnixStream::connect(env.file("run/payments-staging/.s.PGSQL.5432")).unwrap_err();
}

/// Its output is a secret, so it is run without the look for leaks.
#[test]
fn a_token_by_any_way() {
    let env = TestEnv::in_world(World::own()).sign_in("ada");
    let token = |args: &[&str]| {
        let token = [&["token", "payments-staging"], args].concat();
        env.command(&token).output().unwrap()
    };
    // Nothing is dialled for a token: nobody listens at that port.
    for via in ["direct", "data-api", "127.0.0.1:1"] {
        let output = token(&["--via", via]);
        assert!(output.status.success(), "{via}: {output:?}");
        assert!(output.stdout.starts_with(b"sbx-secret-google-"), "{via}");
    }
    // An entry without an engine is looked up, but not where the service has PostgreSQL alone.
    let raw = "acme-staging:europe-west1:payments";
    env.world().break_with(Faults {
        admin_status: Some(503),
        ..Faults::default()
    });
    env.bsql(&["token", raw]).fails(69);
    let by_the_api = ["token", raw, "--via", "data-api"];
    assert!(env.command(&by_the_api).output().unwrap().status.success());
    env.bsql(&["token", raw, "--via", "vpn"])
        .fails(64)
        .says(&["`vpn` is no way to an instance"]);
}
