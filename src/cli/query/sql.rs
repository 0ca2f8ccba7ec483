//! The SQL of a query: where it comes from, and what its parameters are.

use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::sql::text::{Numbered, numbered};
use crate::sql::{Dialect, Statement};

/// A value for the SQL: `name=value`, or `name` alone for NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    name: String,
    value: Option<String>,
}

/// Reads a parameter off the command line.
pub(crate) fn parameter(text: &str) -> Result<Parameter, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !is_name {
        return Err("expected NAME=VALUE, where the name is letters, digits and `_`".to_owned());
    }
    Ok(Parameter {
        name: name.to_owned(),
        value,
    })
}

/// The SQL as the server takes it, and its values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) sql: String,
    pub(super) values: Vec<Option<String>>,
}

impl Bound {
    pub(super) fn statement(&self) -> Statement<'_> {
        Statement {
            sql: &self.sql,
            values: &self.values,
            is_one: false,
        }
    }
}

/// Puts what the dialect has for it where each parameter belongs.
pub(super) fn bind(dialect: Dialect, sql: &str, parameters: &[Parameter]) -> Result<Bound> {
    let names: Vec<&str> = parameters.iter().map(|given| given.name.as_str()).collect();
    let twice = names
        .iter()
        .enumerate()
        .find(|(nth, name)| names[..*nth].contains(name));
    if let Some((_, name)) = twice {
        return Err(ErrorKind::Usage.error(format!("the parameter `{name}` is given twice")));
    }
    let Numbered {
        sql: text,
        used,
        order,
    } = numbered(dialect, sql, &names);
    if let Some(nth) = used.iter().position(|used| !used) {
        return Err(ErrorKind::Usage
            .error(format!(
                "the SQL does not use the parameter `{}`",
                names[nth]
            ))
            .hint(format!(
                "write `:{}` or `${}` where it belongs",
                names[nth],
                nth + 1
            )));
    }
    if parameters.iter().any(|given| {
        given
            .value
            .as_ref()
            .is_some_and(|value| value.contains('\0'))
    }) {
        return Err(has_nul("a parameter"));
    }
    Ok(Bound {
        sql: text,
        values: order
            .into_iter()
            .map(|nth| parameters[nth].value.clone())
            .collect(),
    })
}

/// The SQL itself, or what is in the file, or on standard input for `-`. Without the mark that Windows' editors put first.
pub(super) fn read(sql: Option<String>, file: Option<&Path>) -> Result<String> {
    let (bytes, place) = match (sql, file) {
        (Some(sql), _) if sql != "-" => (sql.into_bytes(), "the SQL".to_owned()),
        (None, Some(file)) if file != Path::new("-") => {
            let name = format!("`{}`", file.display());
            let bytes = std::fs::read(file).or_fail(ErrorKind::Usage, || {
                format!("cannot read the SQL from {name}")
            })?;
            (bytes, name)
        }
        _ => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).or_fail(
                ErrorKind::Usage,
                || "cannot read the SQL from standard input",
            )?;
            (bytes, "standard input".to_owned())
        }
    };
    if bytes.contains(&0) {
        return Err(has_nul(&place).hint("if it is UTF-16, convert it: iconv -f UTF-16 -t UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        ErrorKind::Usage
            .error("cannot run the SQL")
            .because(anyhow::anyhow!("{place} is not UTF-8"))
            .hint("convert it, for example: iconv -f LATIN1 -t UTF-8")
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn has_nul(place: &str) -> Error {
    ErrorKind::Usage
        .error("cannot run the SQL")
        .because(anyhow::anyhow!(
            "{place} has a NUL byte, which SQL cannot hold"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_by_name_and_by_number() {
        let given = ["id=7", "note=it's = 1", "gone"].map(|text| parameter(text).unwrap());
        let bound = bind(
            Dialect::Postgres,
            "select :id, $2, :gone::text, ':id'",
            &given,
        )
        .unwrap();
        assert_eq!(bound.sql, "select $1, $2, $3::text, ':id'");
        assert_eq!(
            bound.values,
            [Some("7".to_owned()), Some("it's = 1".to_owned()), None]
        );
        for bad in ["", "=1", "1=1", "a-b=1"] {
            assert!(parameter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_parameter_for_nothing_is_a_mistake() {
        let given = |texts: &[&str]| -> Vec<Parameter> {
            texts.iter().map(|text| parameter(text).unwrap()).collect()
        };
        let error = bind(Dialect::Postgres, "select ':id'", &given(&["id=1"])).unwrap_err();
        assert_eq!(error.to_string(), "the SQL does not use the parameter `id`");
        assert_eq!(error.next_steps(), ["write `:id` or `$1` where it belongs"]);
        let error = bind(Dialect::Postgres, "select :id", &given(&["id=1", "id=2"])).unwrap_err();
        assert_eq!(error.to_string(), "the parameter `id` is given twice");
        assert!(bind(Dialect::Postgres, "select :id", &given(&["id=a\0b"])).is_err());
    }

    #[test]
    fn what_is_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("q.sql");
        let said = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            read(None, Some(&file)).map_err(|error| error.causes().join("; "))
        };
        assert_eq!(
            said("\u{feff}select 1;\r\n".as_bytes()).unwrap(),
            "select 1;\r\n"
        );
        assert!(said(b"s\0e\0l\0").unwrap_err().contains("NUL byte"));
        assert!(said(b"select '\xfc'").unwrap_err().contains("not UTF-8"));
    }
}
