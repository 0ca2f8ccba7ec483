//! `bsql completions`: a script for the shell.

use clap::{CommandFactory as _, ValueEnum};
use clap_complete::env::Shells;

use super::{Cli, complete};
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::ui::Ui;

/// Print a completion script for a shell
///
/// The script asks bsql at every press of the key, so that it knows the databases' names. See docs/completion.md.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

pub(crate) fn run(args: CompletionsArgs, ui: &mut Ui) -> Result<u8> {
    let script = match args.shell {
        Shell::Bash => BASH.to_owned(),
        other => registration(other)?,
    };
    ui.print(&script)?;
    Ok(0)
}

/// As `clap_complete` writes it, for whichever `bsql` is on the PATH.
fn registration(shell: Shell) -> Result<String> {
    let shell = shell.to_possible_value().unwrap_or_default();
    let shells = Shells::builtins();
    let completer = shells
        .completer(shell.get_name())
        .ok_or_else(|| ErrorKind::Internal.error("there is no script for this shell"))?;
    let mut script = Vec::new();
    let name = Cli::command().get_name().to_owned();
    completer
        .write_registration(complete::VARIABLE, &name, &name, &name, &mut script)
        .or_fail(ErrorKind::Internal, || "cannot write the script")?;
    let script = String::from_utf8_lossy(&script);
    Ok(format!("{}\n", script.trim()))
}

/// Our own: Bash takes `:`, `@` and `=` for ends of words, and the names of databases have them.
///
/// Puts together again what Bash took apart, asks, and takes from each answer what is on the line already.
const BASH: &str = r#"_bsql() {
    local line="${COMP_LINE:0:COMP_POINT}" word="" words=() index=0 at=0 part rest answer
    # The words as they were typed: parts that touch each other belong together.
    rest="$line"
    for part in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        [[ -n "$part" ]] || continue
        if [[ "$rest" == [[:space:]]* ]]; then
            [[ -n "$word" ]] && words+=("$word")
            word=""
            rest="${rest#"${rest%%[![:space:]]*}"}"
        fi
        # The cursor may be within the last one.
        part="${part:0:${#rest}}"
        word+="$part"
        rest="${rest#"$part"}"
    done
    if [[ "$rest" == [[:space:]]* ]]; then
        [[ -n "$word" ]] && words+=("$word")
        word=""
    fi
    words+=("$word")
    index=$(( ${#words[@]} - 1 ))
    COMPREPLY=()
    # What Bash will replace is only what is behind the last of its ends of words.
    local keep="" breaks="${COMP_WORDBREAKS//[^:@=]/}"
    if [[ -n "$breaks" && "$word" == *["$breaks"]* ]]; then
        keep="${word%"${word##*["$breaks"]}"}"
    fi
    while IFS= read -r answer || [[ -n "$answer" ]]; do
        [[ "$answer" == "$keep"* ]] && COMPREPLY+=("${answer#"$keep"}")
    done < <(COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX="$index" bsql -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -ne 1 || "${COMPREPLY[0]}" != *[=:/] ]]; then
        compopt +o nospace 2>/dev/null
    fi
}
complete -o nospace -o bashdefault -F _bsql bsql
"#;
