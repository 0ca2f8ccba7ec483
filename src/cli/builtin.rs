//! bsql's own prompt, as a client among others: `--client builtin`, and where there is no other.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::access::Reached;
use crate::app::App;
use crate::audit::Outcome;
use crate::cloudsql::Connection as Stream;
use crate::error::{Error, ErrorKind, Result};
use crate::launch;
use crate::prompt::{Ended, Options, Prompt};
use crate::sql::Connection;
use crate::ui::Ui;

/// The arguments after `--`.
#[derive(Debug, Parser)]
#[command(name = "builtin", no_binary_name = true, disable_help_flag = true)]
pub(super) struct BuiltinArgs {
    /// Run a file instead of prompting
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// In a script, go on after an error
    #[arg(long)]
    keep_going: bool,
    /// Show rows as records
    #[arg(short = 'x', long)]
    expanded: bool,
}

/// Reads what the prompt is told after `--`.
pub(super) fn arguments(args: &[OsString]) -> Result<BuiltinArgs> {
    BuiltinArgs::try_parse_from(args).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().next().unwrap_or_default();
        ErrorKind::Usage
            .error("cannot start the built-in prompt")
            .because(anyhow::anyhow!(
                "{}",
                why.trim_start_matches("error: ").to_owned()
            ))
            .hint("it takes: -f FILE, --keep-going, -x")
    })
}

/// Why it is not a program, when nobody asked for the built-in prompt: programs' arguments are not for it.
pub(super) fn instead_of(missing: Error, args: &[OsString], ui: &Ui) -> Result<()> {
    if !args.is_empty() {
        return Err(missing);
    }
    ui.status(&format!("{missing}: this is bsql's own prompt instead"));
    if let Some(install) = missing.next_steps().first() {
        ui.hint(install);
    }
    Ok(())
}

/// Prompts on an open connection, and records it.
pub(super) async fn run(
    args: BuiltinArgs,
    connection: Connection<Stream>,
    reached: Reached,
    app: &App,
    ui: &mut Ui,
) -> Result<u8> {
    let place = launch::Login {
        name: reached.target.name.clone(),
        database: reached.login.database.clone(),
        user: reached.login.user.clone(),
        application_name: reached.login.application_name.clone(),
        read_only: reached.login.read_only,
        asks_password: false,
        environment: reached.target.environment.clone(),
    };
    let environment = app.environment();
    let first = |names: &[&str]| names.iter().find_map(|name| environment.text(name));
    // As psql: set and empty is no pager.
    let pager = match first(&["PSQL_PAGER", "PAGER"]) {
        Some(pager) => Some(pager).filter(|pager| !pager.trim().is_empty()),
        None if environment.is_set("PAGER") || environment.is_set("PSQL_PAGER") => None,
        None if cfg!(windows) => Some("more"),
        None => Some("less"),
    };
    let editor = first(&["PSQL_EDITOR", "EDITOR", "VISUAL"]);
    let usual_editor = if cfg!(windows) { "notepad" } else { "vi" };
    let options = Options {
        label: place.label(),
        production: place.is_production(),
        history_name: format!("{}.{}", reached.access.instance, reached.login.database),
        history_dir: app.paths().state.join("history"),
        pager: pager.map(str::to_owned),
        editor: editor.unwrap_or(usual_editor).to_owned(),
        environment: environment.variables().collect(),
        expanded: args.expanded,
        keep_going: args.keep_going,
        file: args.file,
    };
    let Reached {
        login,
        dialer,
        access,
        ..
    } = reached;
    let entry = app.audit().begin(access)?;
    let prompt = Prompt::new(
        connection,
        dialer.as_ref(),
        login,
        options,
        app.shutdown(),
        ui,
    );
    let Ended {
        result,
        connections,
    } = prompt.run().await;
    entry.end(Outcome {
        exit: result
            .as_ref()
            .map_or_else(|error| error.kind().code(), |code| *code),
        connections,
        ..Outcome::default()
    })?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_arguments() {
        let args = ["-f", "x.sql", "--keep-going", "-x"].map(OsString::from);
        let args = arguments(&args).unwrap();
        assert_eq!(args.file, Some("x.sql".into()));
        assert!(args.keep_going && args.expanded);
        let error = arguments(&["-A".into()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.causes()[0].contains("-A"), "{:?}", error.causes());
    }
}
