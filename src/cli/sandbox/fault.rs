//! `bsql sandbox fault`: make the sandbox misbehave, to see what happens then.

use serde_json::{Map, Value};

use super::running::Running;
use crate::app::App;
use crate::config::nearest;
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::sandbox::faults::Faults;
use crate::ui::{Table, Ui};

/// Make the sandbox misbehave: list, set and clear its faults
#[derive(Debug, clap::Args)]
pub(crate) struct FaultArgs {
    #[command(subcommand)]
    command: FaultCommand,
}

#[derive(Debug, clap::Subcommand)]
enum FaultCommand {
    /// Say what there is, and what is wrong at the moment
    List,
    /// Make something go wrong, beside what is wrong already
    Set {
        /// What, as `list` names it, and the value, for example `admin_status=503`
        #[arg(required = true, value_name = "FAULT=VALUE")]
        faults: Vec<String>,
        /// Only so often; for faults that have a count
        #[arg(long, value_name = "TIMES")]
        count: Option<u32>,
    },
    /// Mend everything, or only these
    Clear {
        #[arg(value_name = "FAULT")]
        faults: Vec<String>,
    },
}

pub(super) async fn run(args: FaultArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let Some((running, _)) = Running::find(&app.paths().state).await? else {
        return Err(ErrorKind::NotFound
            .error("no sandbox is running")
            .hint("bsql sandbox up --detach"));
    };
    let mut faults = running.faults().await?;
    match args.command {
        FaultCommand::List => {
            let mut table = Table::new(["FAULT", "VALUE"]);
            for (name, value) in table_of(&Faults::default()) {
                let value = faults.get(&name).cloned().unwrap_or(value);
                table.row([name, value.to_string()]);
            }
            ui.print_table(&table)?;
            return Ok(0);
        }
        FaultCommand::Set { faults: set, count } => {
            for text in set {
                let (name, value) = text.split_once('=').ok_or_else(|| {
                    ErrorKind::Usage
                        .error(format!("`{text}` is not FAULT=VALUE"))
                        .hint("bsql sandbox fault set admin_status=503")
                })?;
                if let Some(count) = count {
                    let counted = format!("{name}_times");
                    if !table_of(&Faults::default()).contains_key(&counted) {
                        return Err(ErrorKind::Usage
                            .error(format!("`{name}` cannot be counted"))
                            .hint("leave out --count; `bsql sandbox fault clear` ends it"));
                    }
                    faults.insert(counted, count.into());
                }
                // Whatever is no JSON is text: a status is a number, a region needs no quotes.
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                faults.insert(known(name)?, value);
            }
        }
        FaultCommand::Clear { faults: clear } if clear.is_empty() => faults.clear(),
        FaultCommand::Clear { faults: clear } => {
            for name in clear {
                faults.remove(&known(&name)?);
                faults.remove(&format!("{name}_times"));
            }
        }
    }
    let checked: Faults =
        serde_json::from_value(Value::Object(faults.clone())).map_err(|error| {
            ErrorKind::Usage
                .error("a fault cannot have this value")
                .because(anyhow::anyhow!("{error}"))
                .hint("see docs/sandbox.md")
        })?;
    running.set_faults(&faults).await?;
    let wrong: Vec<String> = table_of(&checked)
        .into_iter()
        .filter(|(name, value)| table_of(&Faults::default()).get(name) != Some(value))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if wrong.is_empty() {
        ui.status("nothing is wrong in the sandbox");
    } else {
        ui.status(&format!("wrong in the sandbox: {}", wrong.join(" ")));
    }
    Ok(0)
}

fn table_of(faults: &Faults) -> Map<String, Value> {
    match serde_json::to_value(faults) {
        Ok(Value::Object(table)) => table,
        _ => Map::new(),
    }
}

fn known(name: &str) -> Result<String> {
    let names = table_of(&Faults::default());
    if names.contains_key(name) {
        return Ok(name.to_owned());
    }
    let error: Error = ErrorKind::Usage.error(format!("there is no fault `{name}`"));
    Err(match nearest(name, names.keys().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("bsql sandbox fault list"),
    })
}

impl Running {
    async fn faults(&self) -> Result<Map<String, Value>> {
        let answer = self.ask_faults(None).await?;
        answer
            .json()
            .or_fail(ErrorKind::Internal, || "cannot read the sandbox's answer")
    }

    async fn set_faults(&self, faults: &Map<String, Value>) -> Result<()> {
        self.ask_faults(Some(faults)).await.map(drop)
    }
}
