//! What `\d` and its kin ask of the database's catalog.

mod mysql;
mod postgres;

use super::command::Subject;
use crate::sql::Dialect;
use crate::sql::text::literal;

/// A query, and what its rows are, for those that are one of several.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) heading: Option<&'static str>,
    pub(super) sql: String,
}

/// The queries that describe something, in order. Only the first always has rows.
pub(super) fn questions(dialect: Dialect, subject: &Subject) -> Vec<Question> {
    match dialect {
        Dialect::Postgres => postgres::questions(subject),
        Dialect::MySql => mysql::questions(subject),
    }
}

/// `schema.name` patterns.
fn qualified(dialect: Dialect, schema: &str, name: &str, pattern: Option<&str>) -> Option<String> {
    match pattern?.split_once('.') {
        Some((of_schema, of_name)) => Some(format!(
            "{} and {}",
            matching(dialect, schema, Some(of_schema))?,
            matching(dialect, name, Some(of_name))?
        )),
        None => matching(dialect, name, pattern),
    }
}

/// As in psql: `*` is anything, `?` is one character, and letters are small unless in double quotes.
fn matching(dialect: Dialect, column: &str, pattern: Option<&str>) -> Option<String> {
    let mut regex = String::from("^(");
    let mut quoted = false;
    for c in pattern?.chars() {
        match c {
            '"' => quoted = !quoted,
            '*' if !quoted => regex.push_str(".*"),
            '?' if !quoted => regex.push('.'),
            c if c.is_alphanumeric() || c == '_' || !c.is_ascii() => {
                if quoted {
                    regex.push(c);
                } else {
                    regex.extend(c.to_lowercase());
                }
            }
            c => {
                regex.push('\\');
                regex.push(c);
            }
        }
    }
    regex.push_str(")$");
    let matches = match dialect {
        Dialect::Postgres => "~",
        Dialect::MySql => "regexp",
    };
    Some(format!("{column} {matches} {}", literal(dialect, &regex)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_in_psql() {
        for (pattern, expected) in [
            ("Pay*", "n ~ E'^(pay.*)$'"),
            ("\"Pay*\"?", "n ~ E'^(Pay\\\\*.)$'"),
            ("a'b$", "n ~ E'^(a\\\\''b\\\\$)$'"),
        ] {
            assert_eq!(
                matching(Dialect::Postgres, "n", Some(pattern)).unwrap(),
                expected
            );
        }
        assert_eq!(matching(Dialect::Postgres, "n", None), None);
        assert_eq!(
            qualified(Dialect::Postgres, "s", "n", Some("a.b*")).unwrap(),
            "s ~ E'^(a)$' and n ~ E'^(b.*)$'"
        );
        assert_eq!(
            matching(Dialect::MySql, "n", Some("a*")).unwrap(),
            format!("n regexp {}", literal(Dialect::MySql, "^(a.*)$"))
        );
    }
}
