//! `bsql env`: variables for a shell.

use clap::ValueEnum;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::dsn::coordinates;
use super::tunnel::{TunnelOptions, ensure};
use crate::app::App;
use crate::error::Result;
use crate::ui::Ui;

/// Print the variables that lead clients to an open tunnel, else to one that is opened in the background
#[derive(Debug, clap::Args)]
#[command(after_help = "Use it as: eval \"$(bsql env payments-staging)\"")]
pub(crate) struct EnvArgs {
    /// A name from the catalog, or project:region:instance
    #[arg(add = ArgValueCompleter::new(complete::databases))]
    name: String,
    /// In which shell's words; by default that of SHELL
    #[arg(long)]
    shell: Option<Shell>,
    #[command(flatten)]
    options: TunnelOptions,
}

/// Shells, by how they quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// Also for sh and dash
    Bash,
    /// The same as bash
    Zsh,
    /// set -gx
    Fish,
    /// PowerShell
    Pwsh,
}

impl Shell {
    /// By the name of the program.
    fn of(path: Option<&str>) -> Self {
        match path.and_then(|path| path.rsplit('/').next()) {
            Some("fish") => Self::Fish,
            Some("zsh") => Self::Zsh,
            Some("pwsh") => Self::Pwsh,
            _ => Self::Bash,
        }
    }

    fn line(self, name: &str, value: &str) -> String {
        match self {
            Self::Bash | Self::Zsh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
            Self::Fish => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                format!("set -gx {name} '{value}'\n")
            }
            // PowerShell takes typographic quotes for quotes as well.
            Self::Pwsh => {
                let quotes = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];
                let doubled = value.chars().flat_map(|c| {
                    let times = if quotes.contains(&c) { 2 } else { 1 };
                    std::iter::repeat_n(c, times)
                });
                format!("$Env:{name} = '{}'\n", doubled.collect::<String>())
            }
        }
    }
}

pub(crate) async fn run(args: EnvArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let shell = args
        .shell
        .unwrap_or_else(|| Shell::of(app.environment().text("SHELL")));
    let report = ensure(&args.name, &args.options, app, ui).await?;
    for (name, value) in coordinates(&report).variables() {
        ui.print(&shell.line(name, &value.to_string_lossy()))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stay_quotes() {
        let odd = r"it's a\b $(id)";
        assert_eq!(
            Shell::Bash.line("PGUSER", odd),
            "export PGUSER='it'\\''s a\\b $(id)'\n"
        );
        assert_eq!(
            Shell::Fish.line("PGUSER", odd),
            "set -gx PGUSER 'it\\'s a\\\\b $(id)'\n"
        );
        assert_eq!(
            Shell::Pwsh.line("PGUSER", "it's \u{2019}"),
            "$Env:PGUSER = 'it''s \u{2019}\u{2019}'\n"
        );
    }

    #[test]
    fn the_shell_is_known_by_its_name() {
        assert_eq!(Shell::of(Some("/usr/bin/fish")), Shell::Fish);
        assert_eq!(Shell::of(Some("zsh")), Shell::Zsh);
        for other in [None, Some("/bin/sh"), Some("/bin/bash")] {
            assert_eq!(Shell::of(other), Shell::Bash);
        }
    }
}
