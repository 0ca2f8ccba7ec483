//! `bsql login`: sign in once.

use std::net::SocketAddr;
use std::time::Duration;

use super::query::duration;
use crate::app::App;
use crate::auth::{Claims, Flow, Session, SignIn, StoreChoice};
use crate::cloudsql::ClientKey;
use crate::config::Profile;
use crate::error::{ErrorKind, Result};
use crate::ui::Ui;

/// Sign in
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LoginArgs {
    /// How: auto, browser, device (a code on any device), or paste (the address back)
    #[arg(long)]
    flow: Option<Flow>,
    /// Do not open a browser; print the address
    #[arg(long)]
    no_browser: bool,
    /// Where to listen for the browser's answer; the first free one of several
    #[arg(long, value_name = "127.0.0.1:PORT", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// How long to wait, for example 3m
    #[arg(long, value_parser = duration)]
    timeout: Option<Duration>,
    /// Sign in even when signed in
    #[arg(long)]
    force: bool,
    /// Passed to the provider: `login`, `consent`, `select_account` or `none`
    #[arg(long)]
    prompt: Option<String>,
    /// Ask for this authentication context class
    #[arg(long)]
    acr: Option<String>,
    /// Ask for a sign-in that is at most this many seconds old
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
    /// Tell the provider who you are
    #[arg(long)]
    login_hint: Option<String>,
}

impl LoginArgs {
    /// Whether being signed in is not enough.
    fn asks_for_a_new_sign_in(&self) -> bool {
        self.force
            || self.acr.is_some()
            || self.max_age.is_some()
            || self.prompt.is_some()
            || self.login_hint.is_some()
    }
}

pub(crate) async fn run(args: LoginArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let profile = app.profile(ui)?;
    if app.store_choice(&profile)? == StoreChoice::Memory {
        return Err(ErrorKind::Usage
            .error("a session that is kept in memory would end with this command")
            .hint(
                "`connect` and `query` sign in by themselves: bsql --store memory connect NAME",
            ));
    }
    let session = app.session(&profile)?;
    if !args.asks_for_a_new_sign_in()
        && let Ok(claims) = signed_in(&session).await
    {
        ui.status(&format!(
            "already signed in as {} (profile {})",
            claims.login(),
            profile.name
        ));
    } else {
        sign_in(&args, &session, app, &profile, ui).await?;
    }
    let step = app.shutdown().or_interrupted(app.backstage_step(&profile));
    if let Some(backstage) = step.await? {
        sign_in_to_backstage(&args, &backstage, app, ui).await?;
    }
    Ok(0)
}

/// The second step, where Backstage wants to know the person itself.
async fn sign_in_to_backstage(
    args: &LoginArgs,
    backstage: &Session,
    app: &App,
    ui: &mut Ui,
) -> Result<()> {
    if !args.force
        && let Ok(claims) = signed_in(backstage).await
    {
        ui.status(&format!(
            "already signed in to Backstage as {}",
            claims.login()
        ));
        return Ok(());
    }
    ui.status("now Backstage, which asks whether bsql may act for you");
    let sign_in = SignIn {
        // Backstage knows no codes for other devices.
        flow: match args.flow {
            Some(Flow::Device) | None => Flow::Auto,
            Some(flow) => flow,
        },
        surroundings: app.surroundings(ui.can_ask() && !args.no_browser),
        timeout: args.timeout,
        force: args.force,
        listen: args.listen.clone(),
        ..SignIn::default()
    };
    ui.open_browsers_with(app.browser(args.no_browser));
    let claims = app
        .shutdown()
        .or_interrupted(backstage.sign_in(&sign_in, ui))
        .await?;
    ui.status(&format!("signed in to Backstage as {}", claims.login()));
    Ok(())
}

/// Signs in and says who.
pub(super) async fn sign_in(
    args: &LoginArgs,
    session: &Session,
    app: &App,
    profile: &Profile,
    ui: &mut Ui,
) -> Result<Claims> {
    let flow = match args.flow {
        Some(flow) => flow,
        None => profile.identity.flow.parse()?,
    };
    let sign_in = SignIn {
        flow,
        surroundings: app.surroundings(ui.can_ask() && !args.no_browser),
        timeout: args.timeout,
        force: args.force,
        listen: args.listen.clone(),
        prompt: args.prompt.clone(),
        login_hint: args.login_hint.clone(),
        acr: args.acr.clone(),
        max_age: args.max_age,
    };
    ui.open_browsers_with(app.browser(args.no_browser));
    // While the person signs in there is time to make the key that the first `connect` needs.
    let key = ClientKey::generate_in_background();
    let claims = app
        .shutdown()
        .or_interrupted(session.sign_in(&sign_in, ui))
        .await?;
    if let Ok(key) = key.ready().await {
        App::kept(session).adopt(key, app.clock().now()).await;
    }
    ui.status(&format!(
        "signed in as {} (profile {})",
        claims.login(),
        profile.name
    ));
    Ok(claims)
}

/// The claims of whoever is signed in, as they are now.
///
/// Fails with [`SignedOut`](crate::error::ErrorKind::SignedOut) when nobody is.
pub(super) async fn signed_in(session: &Session) -> Result<Claims> {
    let tokens = session.tokens().await?;
    Claims::of_checked_token(&tokens.id_token).ok_or_else(|| {
        ErrorKind::SignedOut
            .error("cannot read who is signed in")
            .hint("bsql login --force")
    })
}
