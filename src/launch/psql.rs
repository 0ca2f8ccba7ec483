//! What `psql` alone is told: a prompt that says where one is.

use super::Login;

/// The arguments that set `psql`'s prompts. They are set before `~/.psqlrc` is read, so the person's own prompt wins.
///
/// `psql`'s default prompt names the database, which is the same in staging and production.
pub(super) fn prompt_args(login: &Login, colour: bool) -> [String; 2] {
    let prompt = prompt(login, colour);
    [
        format!("--set=PROMPT1={prompt}"),
        format!("--set=PROMPT2={prompt}"),
    ]
}

/// <https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PROMPTING>
fn prompt(login: &Login, colour: bool) -> String {
    let mut label = login.label();
    if login.is_production() && colour {
        label = format!("%[%033[1;31m%]{label}%[%033[0m%]");
    }
    let read_only = if login.read_only { " (read-only)" } else { "" };
    format!("{label}{read_only}%R%x%# ")
}

/// `pgcli` has no file that is read after its options, so the person's own prompt is left alone but in production.
///
/// <https://www.pgcli.com/prompt>
pub(super) fn pgcli_args(login: &Login, colour: bool) -> Option<String> {
    let label = login.label();
    let label = if colour {
        format!("\\x1b[1;31m{label}\\x1b[0m")
    } else {
        label
    };
    let read_only = if login.read_only { " (read-only)" } else { "" };
    login
        .is_production()
        .then(|| format!("--prompt={label}{read_only}:\\d> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(name: &str, environment: Option<&str>, read_only: bool) -> Login {
        Login {
            name: name.to_owned(),
            database: "payments".to_owned(),
            user: "ada".to_owned(),
            application_name: "bsql:ada".to_owned(),
            read_only,
            asks_password: false,
            environment: environment.map(str::to_owned),
        }
    }

    #[test]
    fn production_is_red_and_says_so() {
        let red = |name: &str| format!("%[%033[1;31m%]{name}%[%033[0m%]%R%x%# ");
        for (name, environment, expected) in [
            (
                "payments-staging",
                Some("staging"),
                "payments-staging%R%x%# ".to_owned(),
            ),
            ("payments", None, "payments%R%x%# ".to_owned()),
            (
                "payments-production",
                Some("production"),
                red("payments-production"),
            ),
            ("payments", Some("production"), red("payments@production")),
            ("payments", Some("Prod"), red("payments@Prod")),
        ] {
            assert_eq!(prompt(&login(name, environment, false), true), expected);
        }
        assert_eq!(
            prompt(&login("payments", Some("production"), true), false),
            "payments@production (read-only)%R%x%# "
        );
    }

    #[test]
    fn pgcli_says_production_too() {
        let production = login("payments", Some("production"), true);
        assert_eq!(
            pgcli_args(&production, true).unwrap(),
            "--prompt=\\x1b[1;31mpayments@production\\x1b[0m (read-only):\\d> "
        );
        assert_eq!(
            pgcli_args(&production, false).unwrap(),
            "--prompt=payments@production (read-only):\\d> "
        );
        assert_eq!(pgcli_args(&login("payments", None, false), true), None);
    }

    #[test]
    fn a_name_cannot_run_commands() {
        let prompt = prompt(&login("a%`id`b\u{1b}[0m", None, false), true);
        assert_eq!(prompt, "a??id?b??0m%R%x%# ");
    }
}
