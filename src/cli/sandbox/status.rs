//! `bsql sandbox status`.

use super::super::OutputOne;
use super::running::Running;
use crate::app::App;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::ui::{Table, Ui};

/// Say what runs: the engines, the addresses, the people
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// How to write it
    #[arg(short, long, default_value = "text")]
    pub(super) output: OutputOne,
}

const NO_MYSQL: &str =
    "none: install MariaDB (for example: apt install mariadb-server) and restart the sandbox";

pub(super) async fn run(args: StatusArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let Some((_, status)) = Running::find(&app.paths().state).await? else {
        return Err(ErrorKind::NotFound
            .error("no sandbox is running")
            .hint("bsql sandbox up --detach"));
    };
    if args.output.is_json() {
        let text =
            serde_json::to_string(&status).or_fail(ErrorKind::Internal, || "cannot write JSON")?;
        ui.print(&(text + "\n"))?;
        return Ok(0);
    }
    let mysql = status.mysql.as_deref();
    for (what, value) in [
        ("engine", status.engine.as_str()),
        ("mysql", mysql.unwrap_or(NO_MYSQL)),
        ("issuer", &status.issuer),
        ("backstage", status.backstage.as_str()),
        ("google", status.google.as_str()),
    ] {
        ui.print(&format!("{what:<10} {value}\n"))?;
    }
    let mut table = Table::new(["INSTANCE", "ADDRESS", "DATABASE"]);
    for instance in status.instances {
        table.row([
            instance.connection_name,
            instance.address,
            instance.database,
        ]);
    }
    ui.print("\n")?;
    ui.print_table(&table)?;
    let mut table = Table::new(["PERSON", "EMAIL", "ROLE"]);
    for person in status.people {
        table.row([person.id, person.email, person.role]);
    }
    ui.print("\n")?;
    ui.print_table(&table)?;
    Ok(0)
}
