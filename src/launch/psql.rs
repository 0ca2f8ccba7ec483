//! What `psql` alone is told: a prompt that says where one is.

use super::Login;

/// Environments whose prompt is red.
const PRODUCTION: [&str; 2] = ["production", "prod"];

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
    let mut label = harmless(&login.name);
    let environment = login.environment.as_deref().unwrap_or_default();
    let is_production = PRODUCTION
        .iter()
        .any(|name| environment.eq_ignore_ascii_case(name));
    if is_production && !label.contains(environment) {
        // Colour alone must not say it.
        label = format!("{label}@{}", harmless(environment));
    }
    if is_production && colour {
        label = format!("%[%033[1;31m%]{label}%[%033[0m%]");
    }
    let read_only = if login.read_only { " (read-only)" } else { "" };
    format!("{label}{read_only}%R%x%# ")
}

/// The name comes from the catalog, and `%` starts commands in a prompt.
fn harmless(name: &str) -> String {
    let is_harmless = |c: char| c.is_alphanumeric() || "-_.:/@".contains(c);
    name.chars()
        .map(|c| if is_harmless(c) { c } else { '?' })
        .collect()
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
    fn a_name_cannot_run_commands() {
        let prompt = prompt(&login("a%`id`b\u{1b}[0m", None, false), true);
        assert_eq!(prompt, "a??id?b??0m%R%x%# ");
    }
}
