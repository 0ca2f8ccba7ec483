//! Opens one tunnel: everything up to the moment at which it is proven and listens.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::mpsc;

use super::TunnelOptions;
use super::spec::{Asked, Spec, on_path, on_port, own_socket};
use crate::app::{App, InstanceDialer};
use crate::audit::{Access, AuditEntry};
use crate::cli::access::{Reached, Wanted, reach};
use crate::cli::engine::require_local_tls;
use crate::cloudsql::Via;
use crate::control::{Claim, Control, Open, PortRange, Remembered, Report, key, open_tunnels};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::private_dir;
use crate::tunnel::{Endpoint, LocalTls, Place, Reading, Stranger, Tunnel};
use crate::ui::Ui;

/// A tunnel that is ready: the database has let somebody in, and the local end listens.
pub(super) struct Opened {
    pub(super) tunnel: Tunnel<InstanceDialer>,
    pub(super) control: Control,
    pub(super) entry: AuditEntry,
    pub(super) access: Access,
    /// As it is now.
    pub(super) report: Report,
    /// What the person should know.
    pub(super) notice: Option<String>,
    /// Who was turned away.
    pub(super) strangers: mpsc::Receiver<Stranger>,
}

/// What became of a name.
pub(super) enum Attempt {
    Opened(Box<Opened>),
    /// Another process has a tunnel that will do.
    AlreadyOpen(Box<Report>),
}

/// Between attempts with `--wait`: twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// For another process to open the tunnel that it has claimed. It may be asking somebody to sign in.
const STARTING: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
/// Of a port that was free a moment ago.
const RETRIES: u32 = 3;
/// Strangers wait to be recorded; when more come, they are only counted.
const STRANGERS: usize = 8;

/// Opens the tunnel of `spec`. With `--wait`, tries until it can.
pub(super) async fn open(
    spec: &Spec,
    options: &TunnelOptions,
    log: Option<&std::path::Path>,
    app: &App,
    ui: &mut Ui,
) -> Result<Attempt> {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match try_to_open(spec, options, log, app, ui).await {
            Err(error) => error,
            attempt => return attempt,
        };
        let may_pass = matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::TryLater | ErrorKind::Refused
        );
        if !options.wait || !may_pass {
            return Err(error);
        }
        ui.status(&format!(
            "{}: {error}; trying again in {} s",
            spec.name,
            wait.as_secs()
        ));
        let sleep = async {
            tokio::time::sleep(wait).await;
            Ok(())
        };
        app.shutdown().or_interrupted(sleep).await?;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn try_to_open(
    spec: &Spec,
    options: &TunnelOptions,
    log: Option<&std::path::Path>,
    app: &App,
    ui: &mut Ui,
) -> Result<Attempt> {
    let wanted = Wanted {
        name: &spec.name,
        database: options.database.as_deref(),
        user: options.user.as_deref(),
        read_only: options.read_only,
        reason: options.reason.as_deref(),
        command: "tunnel",
        via: &options.via,
    };
    let mut reached = reach(&wanted, app, ui).await?;
    require_local_tls(options.local_tls, reached.protocol())?;
    let access = reached.access.clone();
    let what = access.entity.as_ref().unwrap_or(&access.instance);
    let key = key(&[&access.profile, what, &access.database]);
    let runtime = &app.paths().runtime;
    let claim = if let Some(claim) = Claim::make(runtime, &key)? {
        claim
    } else {
        let waiting = app.shutdown().or_interrupted(turn(&key, &access, app));
        match ui
            .wait("another bsql is opening this tunnel", waiting)
            .await?
        {
            Turn::Ours(claim) => claim,
            Turn::Theirs(open) => {
                let report = open.report;
                require_alike(&report, options, Some((spec, &reached.via)))?;
                return Ok(Attempt::AlreadyOpen(Box::new(report)));
            }
        }
    };
    // Proven before anybody is told that it is ready.
    reached.prove(app, ui).await?;
    // It may be open for hours: then no connection waits for a new certificate.
    reached.dialer.refresh_ahead();
    let Listening {
        tunnel,
        authority,
        notice,
    } = listen(spec, options, &reached, &key, app)?;
    if let Some(log) = log {
        Remembered::new(&app.paths().state).remember_log(&key, &reached.target.name, log)?;
    }
    let (to, strangers) = mpsc::channel(STRANGERS);
    let tunnel = tunnel
        .at_most(options.max_connections.into())
        .telling_of_strangers(to);
    let entry = app.audit().begin(access.clone())?;
    let control = claim.open()?;
    let since = app.clock().now();
    let report = Report {
        name: reached.target.name.clone(),
        asked: spec.name.clone(),
        entity: access.entity.clone(),
        profile: access.profile.clone(),
        instance: access.instance.clone(),
        engine: reached.protocol(),
        database: access.database.clone(),
        user: access.database_user.clone(),
        application_name: reached.login.application_name.clone(),
        environment: access.environment.clone(),
        read_only: options.read_only,
        endpoint: tunnel.endpoint(),
        pid: std::process::id(),
        since,
        ends: options
            .ttl
            .and_then(|ttl| SignedDuration::try_from(ttl).ok())
            .and_then(|ttl| since.checked_add(ttl).ok()),
        log: log.map(std::path::Path::to_owned),
        traffic: Reading::default(),
        authority,
        via: reached.via.to_string(),
        straight: reached.straight.to_string(),
    };
    Ok(Attempt::Opened(Box::new(Opened {
        tunnel,
        control,
        entry,
        access,
        report,
        notice,
        strangers,
    })))
}

/// For a tunnel at `place`: clients have no TLS for Unix sockets.
fn local_tls(place: &Place, app: &App) -> Result<LocalTls> {
    if !matches!(place, Place::Tcp(_)) {
        return Err(ErrorKind::Usage
            .error("`--local-tls` is for ports, and a Unix socket was asked for")
            .hint("leave out one of them"));
    }
    app.local_tls()
}

/// Whose tunnel it is that somebody else had claimed.
enum Turn {
    /// They have opened it.
    Theirs(Box<Open>),
    /// They have given it up, or were about to end.
    Ours(Claim),
}

/// Waits until whoever has claimed the tunnel has opened it, or has let go of it.
async fn turn(key: &str, access: &Access, app: &App) -> Result<Turn> {
    let is_it = |open: &Open| {
        let report = &open.report;
        (
            &report.profile,
            &report.entity,
            &report.instance,
            &report.database,
        ) == (
            &access.profile,
            &access.entity,
            &access.instance,
            &access.database,
        )
    };
    let deadline = tokio::time::Instant::now() + STARTING;
    let runtime = &app.paths().runtime;
    loop {
        let open = open_tunnels(runtime).await?;
        if let Some(open) = open.into_iter().find(is_it) {
            return Ok(Turn::Theirs(Box::new(open)));
        }
        if let Some(claim) = Claim::make(runtime, key)? {
            return Ok(Turn::Ours(claim));
        }
        if tokio::time::Instant::now() > deadline {
            return Err(ErrorKind::TryLater
                .error("another bsql has claimed this tunnel, and does not get it open")
                .hint("bsql ps"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A tunnel that is open already does for somebody who wants the same. Anything else must not pass for what was asked.
///
/// Whoever wants a tunnel says where and by which way; whoever wants to use one takes it as it is, but for the options.
pub(super) fn require_alike(
    report: &Report,
    options: &TunnelOptions,
    wanted: Option<(&Spec, &Via)>,
) -> Result<()> {
    let spec = wanted.map(|(spec, _)| spec);
    let via = match wanted {
        Some((_, via)) => Some(via.to_string()),
        None if options.via.is_direct() => Some(report.straight.clone()),
        None => options.via.asked(),
    };
    let place_differs = match (spec.map(|spec| &spec.place), &report.endpoint) {
        (None | Some(Asked::Own), endpoint) => options.socket && endpoint.socket_file().is_none(),
        (Some(Asked::Port(port)), Endpoint::Tcp(address)) => address.port() != *port,
        (Some(Asked::Port(_)), _) => true,
        (Some(Asked::Path(path)), endpoint) => {
            let asked = on_path(path, report.engine).map(|place| place.socket_file());
            asked? != endpoint.socket_file()
        }
    };
    let difference = if place_differs {
        format!("listens at `{}`", super::shown(&report.endpoint))
    } else if via.is_some_and(|via| via != report.via) {
        format!("goes by way of {}", report.via)
    } else if options.local_tls && report.authority.is_none() {
        "speaks no TLS".to_owned()
    } else if options.read_only && !report.read_only {
        "is not read-only".to_owned()
    } else if spec.is_some() && report.read_only && !options.read_only {
        "is read-only".to_owned()
    } else if options
        .user
        .as_ref()
        .is_some_and(|user| *user != report.user)
    {
        format!("signs in as `{}`", report.user)
    } else if options
        .database
        .as_ref()
        .is_some_and(|database| *database != report.database)
    {
        format!("leads to the database `{}`", report.database)
    } else {
        return Ok(());
    };
    Err(ErrorKind::CannotCreate
        .error(format!("`{}` has a tunnel already", report.name))
        .because(anyhow::anyhow!(
            "the one of process {} {difference}",
            report.pid
        ))
        .hint(format!("bsql stop {}", report.name)))
}

/// A tunnel that can be dialled.
struct Listening {
    tunnel: Tunnel<InstanceDialer>,
    /// The file with the authority that vouches for it, if it speaks TLS.
    authority: Option<PathBuf>,
    /// What the person should know of where it is.
    notice: Option<String>,
}

/// Whoever asked for no port in particular gets another one where a program, maybe somebody else's bsql, was faster.
fn listen(
    spec: &Spec,
    options: &TunnelOptions,
    reached: &Reached,
    key: &str,
    app: &App,
) -> Result<Listening> {
    let mut tries = 0;
    loop {
        let (place, notice) = place(spec, options, reached, key, app)?;
        let tls = options
            .local_tls
            .then(|| local_tls(&place, app))
            .transpose()?;
        let authority = tls.as_ref().map(|tls| tls.authority().to_owned());
        let own_port = spec.place == Asked::Own && matches!(place, Place::Tcp(_));
        match reached.tunnel(&place, tls) {
            Err(error) if own_port && tries < RETRIES => {
                tracing::info!(%error, "somebody was faster");
                tries += 1;
            }
            listening => {
                return Ok(Listening {
                    tunnel: listening?,
                    authority,
                    notice,
                });
            }
        }
    }
}

/// Where to listen, and what the person should know of it.
fn place(
    spec: &Spec,
    options: &TunnelOptions,
    reached: &Reached,
    key: &str,
    app: &App,
) -> Result<(Place, Option<String>)> {
    let name = &reached.target.name;
    let place = match &spec.place {
        Asked::Port(port) => on_port(*port),
        Asked::Path(path) => on_path(path, reached.protocol())?,
        Asked::Own if options.socket => {
            let sockets = private_dir::for_sockets(&app.paths().runtime)?;
            own_socket(&sockets, name, key, reached.protocol())?
        }
        Asked::Own => {
            let range = match app.files()?.tunnel_ports()? {
                Some(text) => text
                    .parse()
                    .or_fail(ErrorKind::Config, || "the key `tunnel.ports` is wrong")?,
                None => PortRange::default(),
            };
            let remembered = Remembered::new(&app.paths().state);
            let chosen = remembered.choose_port(key, name, range, |port| {
                TcpListener::bind(("127.0.0.1", port)).is_ok()
            })?;
            let port = chosen.port;
            let notice = chosen.instead_of.map(|own| {
                format!("another program has port {own} of `{name}`: using {port} this time")
            });
            return Ok((on_port(port), notice));
        }
    };
    Ok((place, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::via::ViaArgs;
    use crate::tunnel::Protocol;

    fn report() -> Report {
        Report {
            name: "payments-staging".to_owned(),
            asked: "payments-staging".to_owned(),
            entity: None,
            profile: "acme".to_owned(),
            instance: "acme:r:payments".to_owned(),
            engine: Protocol::Postgres,
            database: "payments".to_owned(),
            user: "ada".to_owned(),
            application_name: "bsql:ada".to_owned(),
            environment: None,
            read_only: false,
            endpoint: Endpoint::Tcp(([127, 0, 0, 1], 15_432).into()),
            pid: 7,
            since: jiff::Timestamp::UNIX_EPOCH,
            ends: None,
            log: None,
            traffic: Reading::default(),
            authority: None,
            via: "private".to_owned(),
            straight: "private".to_owned(),
        }
    }

    #[test]
    fn what_is_open_does_for_the_same_and_for_nothing_else() {
        let alike = |options: &TunnelOptions, spec: &str| {
            let spec: Spec = spec.parse().unwrap();
            let via = "private".parse().unwrap();
            require_alike(&report(), options, Some((&spec, &via)))
                .map_err(|error| error.causes()[0].clone())
        };
        let plain = TunnelOptions::default();
        assert_eq!(alike(&plain, "payments"), Ok(()));
        assert_eq!(alike(&plain, "payments=15432"), Ok(()));
        let listens = Err("the one of process 7 listens at `127.0.0.1:15432`".to_owned());
        assert_eq!(alike(&plain, "payments=15433"), listens);
        assert_eq!(alike(&plain, "payments=/tmp/x"), listens);
        let socket = TunnelOptions {
            socket: true,
            ..plain.clone()
        };
        assert_eq!(alike(&socket, "payments"), listens);
        let read_only = TunnelOptions {
            read_only: true,
            ..plain.clone()
        };
        let tls = TunnelOptions {
            local_tls: true,
            ..plain.clone()
        };
        let expected = "the one of process 7 speaks no TLS";
        assert_eq!(alike(&tls, "payments"), Err(expected.to_owned()));
        let expected = "the one of process 7 is not read-only";
        assert_eq!(alike(&read_only, "payments"), Err(expected.to_owned()));
        let other = TunnelOptions {
            user: Some("app".to_owned()),
            ..plain.clone()
        };
        let expected = "the one of process 7 signs in as `ada`";
        assert_eq!(alike(&other, "payments"), Err(expected.to_owned()));
    }

    #[test]
    fn ways_are_the_same_by_where_they_lead() {
        let alike = |via: &str, straight: &str, asked: Option<&str>| {
            let report = Report {
                via: via.to_owned(),
                straight: straight.to_owned(),
                ..report()
            };
            let asked = asked.map(|via| ViaArgs::by(via.parse().unwrap()));
            let options = TunnelOptions {
                via: asked.unwrap_or_default(),
                ..TunnelOptions::default()
            };
            require_alike(&report, &options, None).map_err(|error| error.causes()[0].clone())
        };
        for asked in [None, Some("private"), Some("direct")] {
            assert_eq!(alike("private", "private", asked), Ok(()), "{asked:?}");
        }
        let expected = Err("the one of process 7 goes by way of private".to_owned());
        for asked in ["public", "data-api", "localhost:3307"] {
            assert_eq!(alike("private", "private", Some(asked)), expected);
        }
        assert_eq!(alike("private", "public", Some("direct")), expected);
        assert_eq!(alike("direct", "direct", Some("direct")), Ok(()));
    }
}
