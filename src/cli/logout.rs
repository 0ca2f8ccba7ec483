//! `bsql logout`: revoke, then forget.

use crate::app::App;
use crate::error::Result;
use crate::ui::Ui;

/// Sign out: revoke the tokens at the provider and forget them
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {}

pub(crate) async fn run(_: LogoutArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    let signing_out = app.shutdown().or_interrupted(session.sign_out());
    let signed_out = ui.wait("revoking the tokens", signing_out).await?;
    if !signed_out.was_signed_in {
        ui.status(&format!("nobody was signed in (profile {})", profile.name));
    } else if let Err(error) = signed_out.revoked {
        ui.warn(&format!(
            "the tokens are forgotten here, but the provider may still accept them: {error}"
        ));
    } else {
        ui.status(&format!("signed out (profile {})", profile.name));
    }
    Ok(0)
}
