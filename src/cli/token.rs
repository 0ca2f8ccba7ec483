//! `bsql token`: the database login token, for clients that want it themselves.

use std::io::IsTerminal as _;

use clap_complete::engine::ArgValueCompleter;

use super::access::{Wanted, reach};
use super::complete;
use super::via::ViaArgs;
use crate::app::App;
use crate::audit::Outcome;
use crate::cloudsql::{CredentialSource as _, Scope};
use crate::error::{ErrorKind, Result};
use crate::ui::Ui;

/// Print a database login token, for clients with a "password command"
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It is good for database logins and nothing else, for at most an hour. A tunnel needs none: see bsql tunnel."
)]
pub(crate) struct TokenArgs {
    /// A name from the catalog, or project:region:instance
    #[arg(add = ArgValueCompleter::new(complete::databases))]
    name: String,
    /// Print it also on a terminal, where others may see it
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    via: ViaArgs,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: Option<String>,
}

pub(crate) async fn run(args: TokenArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    if std::io::stdout().is_terminal() && !args.show {
        return Err(ErrorKind::Usage
            .error("a login token is a password, and this is a terminal")
            .hint(format!("bsql token {} --show", args.name))
            .hint("clients read it from a pipe: use the command as their \"password command\""));
    }
    let wanted = Wanted {
        name: &args.name,
        database: None,
        user: None,
        read_only: false,
        reason: args.reason.as_deref(),
        command: "token",
        via: &args.via,
    };
    let reached = reach(&wanted, app, ui).await?;
    let asking = reached.credentials.access_token(Scope::Login);
    let token = match app.shutdown().or_interrupted(asking).await {
        Ok(token) => token,
        Err(error) => {
            app.audit().refused(reached.access, &error)?;
            return Err(error);
        }
    };
    // Recorded before it leaves: what is done with it is not seen here.
    let entry = app.audit().begin(reached.access)?;
    let printed = ui.print(&format!("{}\n", token.secret.expose()));
    entry.end(Outcome {
        exit: printed
            .as_ref()
            .map_or_else(|error| error.kind().code(), |()| 0),
        ..Outcome::default()
    })?;
    printed.map(|()| 0)
}
