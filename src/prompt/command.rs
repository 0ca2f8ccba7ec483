//! The commands that are bsql's own business: a backslash and a word, as in psql.

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `\q`
    Quit,
    /// `\?`
    Help,
    /// `\x [on|off]`
    Expanded(Switch),
    /// `\timing [on|off]`
    Timing(Switch),
    /// `\i FILE`
    Include(String),
    /// `\e [FILE]`
    Edit(Option<String>),
    /// `\conninfo`
    ConnectionInfo,
    /// `\c DATABASE`
    Connect(String),
    /// `\g`, `\gx`: run what was typed so far.
    Go { expanded: bool },
    /// `\r`: forget what was typed so far.
    Reset,
    /// `\p`: show what was typed so far.
    Show,
    /// What `\d` and its kin ask of the catalog.
    Describe(Subject),
    /// `\echo TEXT`
    Echo(String),
}

/// On, off, or the other of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    On,
    Off,
    Toggle,
}

impl Switch {
    pub(super) fn apply(self, before: bool) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::Toggle => !before,
        }
    }
}

/// What is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// `\d`, `\dt`, `\dv`, `\di`, `\ds`, `\dm`: relations of these kinds, of the names that match.
    Relations {
        kinds: &'static [char],
        pattern: Option<String>,
    },
    /// `\d NAME`
    Relation(String),
    /// `\dn`
    Schemas(Option<String>),
    /// `\du`
    Roles(Option<String>),
    /// `\l`
    Databases(Option<String>),
    /// `\df`
    Functions(Option<String>),
}

/// What `\?` shows.
pub(super) const HELP: &str = "\
a statement runs at its semicolon, or at \\g
  \\d [NAME]          tables, views and sequences, or what one is made of
  \\dt \\dv \\di \\ds   tables, views, indexes, sequences; each with a [PATTERN]
  \\df [PATTERN]      functions
  \\dn \\du \\l         schemas, roles, databases
  \\x [on|off]        rows as records
  \\timing [on|off]   how long statements take
  \\g \\gx             run what was typed, \\gx as records
  \\r \\p              forget, or show, what was typed
  \\e [FILE]          edit what was typed, or a file, in $EDITOR
  \\i FILE            run a file
  \\c DATABASE        another database of the instance
  \\conninfo          where you are
  \\echo TEXT         write it
  \\q                 leave, as Ctrl-D does; Ctrl-C cancels
";

/// Reads a line that begins with a backslash.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    // Habit ends commands with semicolons.
    let argument = unquoted(rest.trim().trim_end_matches(';').trim_end());
    let word = word.trim_end_matches(';');
    let optional = (!argument.is_empty()).then(|| argument.clone());
    let needed = |what: &str| match &optional {
        Some(argument) => Ok(argument.clone()),
        None => Err(format!("`{word}` needs {what}")),
    };
    let switch = || match argument.to_ascii_lowercase().as_str() {
        "" => Ok(Switch::Toggle),
        "on" | "true" | "1" => Ok(Switch::On),
        "off" | "false" | "0" => Ok(Switch::Off),
        _ => Err(format!("`{word}` is on or off")),
    };
    // `+` asks psql for more; there is no more.
    let command = match word.trim_end_matches('+') {
        "\\q" => Command::Quit,
        "\\?" | "\\h" | "\\help" => Command::Help,
        "\\x" => Command::Expanded(switch()?),
        "\\timing" => Command::Timing(switch()?),
        "\\i" | "\\include" => Command::Include(needed("a file")?),
        "\\e" | "\\edit" => Command::Edit(optional),
        "\\conninfo" => Command::ConnectionInfo,
        "\\c" | "\\connect" => Command::Connect(needed("a database")?),
        "\\g" => Command::Go { expanded: false },
        "\\gx" => Command::Go { expanded: true },
        "\\r" | "\\reset" => Command::Reset,
        "\\p" | "\\print" => Command::Show,
        "\\echo" => Command::Echo(argument),
        "\\d" => Command::Describe(match optional {
            Some(name) if !name.contains(['*', '?']) => Subject::Relation(name),
            pattern => relations(&['r', 'p', 'v', 'm', 'S', 'f'], pattern),
        }),
        "\\dt" => Command::Describe(relations(&['r', 'p'], optional)),
        "\\dv" => Command::Describe(relations(&['v'], optional)),
        "\\dm" => Command::Describe(relations(&['m'], optional)),
        "\\di" => Command::Describe(relations(&['i', 'I'], optional)),
        "\\ds" => Command::Describe(relations(&['S'], optional)),
        "\\dn" => Command::Describe(Subject::Schemas(optional)),
        "\\du" | "\\dg" => Command::Describe(Subject::Roles(optional)),
        "\\df" => Command::Describe(Subject::Functions(optional)),
        "\\l" | "\\list" => Command::Describe(Subject::Databases(optional)),
        _ => return Err(format!("there is no command `{word}`; \\? lists them")),
    };
    Ok(command)
}

fn relations(kinds: &'static [char], pattern: Option<String>) -> Subject {
    Subject::Relations { kinds, pattern }
}

/// Without the quotes that a file's name may be in.
fn unquoted(argument: &str) -> String {
    argument
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .map_or_else(|| argument.to_owned(), |inner| inner.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_as_in_psql() {
        for (line, expected) in [
            ("\\q", Command::Quit),
            (" \\q; ", Command::Quit),
            ("\\x", Command::Expanded(Switch::Toggle)),
            ("\\x on", Command::Expanded(Switch::On)),
            ("\\timing OFF", Command::Timing(Switch::Off)),
            (
                "\\i 'my file.sql'",
                Command::Include("my file.sql".to_owned()),
            ),
            ("\\e", Command::Edit(None)),
            ("\\c ledger;", Command::Connect("ledger".to_owned())),
            (
                "\\d payments",
                Command::Describe(Subject::Relation("payments".to_owned())),
            ),
            (
                "\\dt+ pay*",
                Command::Describe(relations(&['r', 'p'], Some("pay*".to_owned()))),
            ),
            ("\\dn", Command::Describe(Subject::Schemas(None))),
            ("\\gx", Command::Go { expanded: true }),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
        assert_eq!(
            parse("\\foo bar").unwrap_err(),
            "there is no command `\\foo`; \\? lists them"
        );
        assert_eq!(parse("\\i").unwrap_err(), "`\\i` needs a file");
        assert_eq!(parse("\\x perhaps").unwrap_err(), "`\\x` is on or off");
    }
}
