//! `bsql sandbox demo`: the whole idea as a transcript.

use std::process::Command;

use super::EngineArg;
use super::run::{GRACE, World};
use crate::app::App;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::launch;
use crate::ui::{Paint, Ui};

/// Show the whole idea: sign in, list, look, connect, and what was recorded
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// The PostgreSQL behind the instances
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: EngineArg,
}

/// What Ada does, and why.
const STEPS: [(&str, &[&str]); 6] = [
    (
        "sign in; the sandbox's provider says yes for you",
        &["login", "--flow", "device"],
    ),
    ("the databases of your teams, from Backstage", &["ls"]),
    ("everything known of one", &["show", "payments-staging"]),
    (
        "a query over mutual TLS, as yourself, without a password",
        &["connect", "payments-staging", "-c", QUERY],
    ),
    ("who you are, everywhere", &["whoami"]),
    ("what was recorded", &["audit", "list"]),
];

const QUERY: &str = "select * from daily_revenue order by day desc limit 5";

pub(super) async fn run(args: DemoArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let world = World::start("ada", args.engine, false, 0, app, ui).await?;
    ui.print(&format!(
        "{}\n",
        ui.paint(
            Paint::Faint,
            &format!("# a company on this machine, on {}", world.engine())
        )
    ))?;
    let played = play(&world, app, ui).await;
    world.stop().await;
    let code = played?;
    if code == 0 {
        ui.print(&format!(
            "\n{}\n",
            ui.paint(
                Paint::Faint,
                "# everything is cleaned up; to play yourself:"
            )
        ))?;
        ui.print("$ bsql sandbox up --detach\n")?;
    }
    Ok(code)
}

/// Stops at the first step that fails, with its exit status.
async fn play(world: &World, app: &App, ui: &mut Ui) -> Result<u8> {
    let program =
        std::env::current_exe().or_fail(ErrorKind::Internal, || "cannot find bsql itself")?;
    // While the first steps are shown, the database starts that a later one connects to.
    let mut warm_up = Some(world.warm_up("acme-staging:europe-west1:payments"));
    for (why, args) in STEPS {
        let shown: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
        ui.print(&format!(
            "\n{}\n",
            ui.paint(Paint::Faint, &format!("# {why}"))
        ))?;
        ui.print(&format!(
            "{}\n",
            ui.paint(Paint::Strong, &format!("$ bsql {}", shown.join(" ")))
        ))?;
        if args.contains(&"connect")
            && let Some(warm_up) = warm_up.take()
        {
            warm_up.await.expect("the task does not panic");
        }
        let mut command = Command::new(&program);
        command.args(args);
        world.settle(&mut command);
        let code = launch::run(command, app.shutdown(), GRACE).await?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// As a person would type it into a shell.
fn quoted(arg: &str) -> String {
    if arg.contains(|c: char| c.is_whitespace() || "*'\"$`".contains(c)) {
        format!("\"{arg}\"")
    } else {
        arg.to_owned()
    }
}
