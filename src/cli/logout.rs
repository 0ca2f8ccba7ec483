//! `bsql logout`: revoke, then forget.

use crate::app::App;
use crate::auth::{LoginPrompt as _, Session};
use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::ui::Ui;

/// Sign out: revoke the tokens at the provider and forget them
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// Of every profile
    #[arg(long)]
    all: bool,
    /// Also end the provider's own session, in the browser
    #[arg(long, conflicts_with = "all")]
    browser: bool,
}

pub(crate) async fn run(args: LogoutArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    if args.all {
        return sign_out_of_all(app, ui).await;
    }
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    if !sign_out(&profile, &session, app, ui).await? {
        ui.status(&format!("nobody was signed in (profile {})", profile.name));
    }
    if args.browser {
        end_in_browser(&session, app, ui).await?;
    }
    Ok(0)
}

/// Whether somebody was signed in.
async fn sign_out(profile: &Profile, session: &Session, app: &App, ui: &mut Ui) -> Result<bool> {
    sign_out_of_backstage(profile, app, ui).await?;
    let signing_out = app.shutdown().or_interrupted(session.sign_out());
    let signed_out = ui.wait("revoking the tokens", signing_out).await?;
    match (signed_out.was_signed_in, signed_out.revoked) {
        (_, Err(error)) => ui.warn(&format!(
            "the tokens of the profile {} are forgotten here, but the provider may still accept them: {error}",
            profile.name
        )),
        (true, Ok(())) => ui.status(&format!("signed out (profile {})", profile.name)),
        (false, Ok(())) => return Ok(false),
    }
    Ok(true)
}

/// Of the session at Backstage's own OAuth server, if there is one. The provider's tokens are to be revoked whatever
/// becomes of these.
async fn sign_out_of_backstage(profile: &Profile, app: &App, ui: &Ui) -> Result<()> {
    let backstage = app.backstage_session(profile)?;
    let leaving = app.shutdown().or_interrupted(backstage.sign_out());
    match ui.wait("revoking the tokens", leaving).await {
        Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated) => return Err(error),
        Ok(left) if !left.was_signed_in => {}
        Ok(left) => match left.revoked {
            Ok(()) => ui.status(&format!("signed out of Backstage (profile {})", profile.name)),
            Err(error) => ui.warn(&format!(
                "Backstage's tokens are forgotten here, but Backstage may still accept them: {error}"
            )),
        },
        Err(error) => ui.warn(&format!("cannot sign out of Backstage: {error}")),
    }
    Ok(())
}

/// One profile's trouble does not keep the others signed in.
async fn sign_out_of_all(app: &App, ui: &mut Ui) -> Result<u8> {
    let names = app.files()?.profile_names();
    let mut anybody = false;
    let mut failed: Option<Error> = None;
    for name in &names {
        let signed_out = async {
            let profile = app.profile_named(name)?;
            let session = app.session(&profile)?;
            sign_out(&profile, &session, app, ui).await
        };
        match signed_out.await {
            Ok(was_signed_in) => anybody |= was_signed_in,
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated) =>
            {
                return Err(error);
            }
            Err(error) => {
                ui.warn(&format!("still signed in (profile {name}): {error}"));
                failed = Some(error);
            }
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    if !anybody {
        ui.status("nobody was signed in");
    }
    Ok(0)
}

async fn end_in_browser(session: &Session, app: &App, ui: &mut Ui) -> Result<()> {
    let provider = app.shutdown().or_interrupted(session.provider()).await?;
    let Some(url) = provider.end_session_url() else {
        ui.warn("the identity provider has no page to sign out at; its own session goes on in the browser");
        return Ok(());
    };
    ui.open_browsers_with(app.browser(false));
    if ui.open_browser(&url) {
        ui.status(&format!(
            "ending the provider's session in the browser:\n  {url}"
        ));
    } else {
        ui.must_say(&format!("end the provider's session at:\n  {url}"));
    }
    Ok(())
}
