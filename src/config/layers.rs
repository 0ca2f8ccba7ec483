//! Layers of settings, kept apart, so that every value can say where it came from.

use std::fmt;
use std::path::Path;

use toml::{Table, Value};

use super::paths::{Environment, Paths};
use super::schema::{self, PROFILE_KEYS, Shape, TOP_KEYS};
use crate::error::{Error, ErrorKind, Result, ResultExt as _};

/// Where a value came from. The order is the precedence: later ones win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The machine's file.
    System,
    /// The user's file.
    User,
    /// An environment variable.
    Environment,
}

/// One source of settings.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Where it came from.
    pub origin: Origin,
    /// The file, or "environment".
    pub name: String,
    table: Table,
}

/// All layers, lowest precedence first.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    layers: Vec<Layer>,
    /// What the person should know, though it stops nothing.
    pub warnings: Vec<String>,
}

/// A value with the place it came from, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The value.
    pub value: &'a Value,
    /// Its layer.
    pub layer: &'a Layer,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Settings {
    /// Reads the files that exist.
    pub fn read(paths: &Paths) -> Result<Self> {
        let mut settings = Self::default();
        settings.read_file(Origin::System, &paths.system_config_file)?;
        settings.read_file(Origin::User, &paths.config_file)?;
        Ok(settings)
    }

    fn read_file(&mut self, origin: Origin, path: &Path) -> Result<()> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).or_fail(ErrorKind::Config, || {
                    format!("cannot read `{}`", path.display())
                });
            }
        };
        self.add(origin, path.display().to_string(), &text)
    }

    /// Adds a layer from TOML. A later layer wins over an earlier one.
    pub fn add(&mut self, origin: Origin, name: String, text: &str) -> Result<()> {
        // The parser's own message shows the line, which may hold a secret in the wrong place: say only where it is.
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| malformed(&name, text, &error))?;
        check_keys(&table, &mut Vec::new(), &name, &mut self.warnings)?;
        self.layers.push(Layer {
            origin,
            name,
            table,
        });
        Ok(())
    }

    /// Adds the variables that stand for the keys of `profile`.
    pub fn add_environment(&mut self, environment: &Environment, profile: &str) -> Result<()> {
        let mut values = Table::new();
        for key in PROFILE_KEYS {
            let variable = schema::variable(key.path);
            let Some(text) = environment.text(&variable) else {
                continue;
            };
            let value = parse_variable(&variable, text, key.shape)?;
            insert(&mut values, key.path, value);
        }
        let profiles = Table::from_iter([(profile.to_owned(), Value::Table(values))]);
        let table = Table::from_iter([("profiles".to_owned(), Value::Table(profiles))]);
        self.layers.push(Layer {
            origin: Origin::Environment,
            name: "environment".to_owned(),
            table,
        });
        Ok(())
    }

    /// The value at a dotted path below `prefix`, from the highest layer that has it.
    pub fn find(&self, prefix: &[&str], path: &str) -> Option<Found<'_>> {
        self.layers.iter().rev().find_map(|layer| {
            let mut keys = prefix.iter().copied().chain(path.split('.'));
            let first = layer.table.get(keys.next()?)?;
            let value = keys.try_fold(first, |value, key| value.as_table()?.get(key))?;
            Some(Found { value, layer })
        })
    }

    /// The values at a path, lowest precedence first: for tables whose keys are the person's own.
    pub fn all<'a>(&'a self, path: &'a [&str]) -> impl Iterator<Item = Found<'a>> {
        self.layers.iter().filter_map(|layer| {
            let (first, rest) = path.split_first()?;
            let first = layer.table.get(*first)?;
            let value = rest
                .iter()
                .try_fold(first, |value, key| value.as_table()?.get(*key))?;
            Some(Found { value, layer })
        })
    }

    /// The programs to try for a database, in order: the key `clients.postgres`, `clients.mysql` or `clients.sqlserver`.
    ///
    /// Fails with [`ErrorKind::Config`] when they are no list of texts.
    pub fn clients(&self, key: &str) -> Result<Vec<String>> {
        let usual: &[&str] = match key {
            "mysql" => &["mysql", "mariadb"],
            "sqlserver" => &["sqlcmd"],
            _ => &["psql"],
        };
        let Some(found) = self.find(&["clients"], key) else {
            return Ok(usual.iter().map(|&program| program.to_owned()).collect());
        };
        let programs = found.value.as_array().and_then(|items| {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>()
        });
        programs
            .filter(|programs| !programs.is_empty())
            .ok_or_else(|| {
                let example = usual[0];
                ErrorKind::Config
                    .error(format!(
                        "the key `clients.{key}` in `{}` is not a list of programs",
                        found.layer
                    ))
                    .hint(format!("write it as: {key} = [\"{example}\"]"))
            })
    }

    /// The ports that tunnels are given, as `FIRST-LAST`, if they are set.
    ///
    /// Fails with [`ErrorKind::Config`] when they are no text.
    pub fn tunnel_ports(&self) -> Result<Option<&str>> {
        let Some(found) = self.find(&[], "tunnel.ports") else {
            return Ok(None);
        };
        found.value.as_str().map(Some).ok_or_else(|| {
            ErrorKind::Config
                .error(format!(
                    "the key `tunnel.ports` in `{}` is not a text",
                    found.layer
                ))
                .hint("write it as: ports = \"15432-16431\"")
        })
    }

    /// The names of all profiles.
    pub fn profile_names(&self) -> Vec<String> {
        let tables = self
            .layers
            .iter()
            .filter(|layer| layer.origin != Origin::Environment);
        let profiles = tables.filter_map(|layer| layer.table.get("profiles")?.as_table());
        let mut names: Vec<String> = profiles
            .flat_map(|profiles| profiles.keys().cloned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

fn malformed(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let line = error
        .span()
        .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line
        .map(|line| format!(" at line {line}"))
        .unwrap_or_default();
    ErrorKind::Config
        .error(format!("cannot read `{name}`: it is not TOML{place}"))
        .because(anyhow::anyhow!(error.message().to_owned()))
        .hint(format!("edit `{name}`"))
}

fn check_keys(
    table: &Table,
    path: &mut Vec<String>,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<()> {
    for (key, value) in table {
        path.push(key.clone());
        // What is in there is named by the person, and may well be called `token-service`.
        let in_aliases = path.len() == 4 && path[0] == "profiles" && path[2] == "aliases";
        if schema::names_a_secret(key) && !in_aliases {
            return Err(ErrorKind::Config
                .error(format!("`{name}` has the key `{}`, which looks like a secret", path.join(".")))
                .hint("remove it: bsql needs no passwords, and keeps what it gets from `bsql login` in its token store")
                .hint("if the secret was real, consider it leaked and replace it"));
        }
        match value {
            Value::Table(inner) => check_keys(inner, path, name, warnings)?,
            _ if in_aliases => {}
            _ => warn_if_unknown(&path.join("."), name, warnings),
        }
        path.pop();
    }
    Ok(())
}

fn warn_if_unknown(path: &str, name: &str, warnings: &mut Vec<String>) {
    let in_profile = path
        .strip_prefix("profiles.")
        .and_then(|rest| rest.split_once('.'));
    let (key, known): (&str, Vec<&str>) = match in_profile {
        Some((_, key)) => (key, PROFILE_KEYS.iter().map(|key| key.path).collect()),
        None => (path, TOP_KEYS.iter().map(|key| key.path).collect()),
    };
    if !known.contains(&key) {
        let near = schema::nearest(key, known);
        let meant = near
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        warnings.push(format!(
            "`{name}` has the key `{path}`, which this version does not know{meant}"
        ));
    }
}

fn parse_variable(variable: &str, text: &str, shape: Shape) -> Result<Value> {
    let port = |text: &str| {
        let port: u16 = text.trim().parse().or_fail(ErrorKind::Config, || {
            format!("the variable `{variable}` is not a port number: `{text}`")
        })?;
        Ok(Value::Integer(port.into()))
    };
    let items = || text.split(',').filter(|item| !item.trim().is_empty());
    Ok(match shape {
        Shape::Text => Value::String(text.to_owned()),
        Shape::Port => port(text)?,
        Shape::Texts => Value::Array(
            items()
                .map(|item| Value::String(item.trim().to_owned()))
                .collect(),
        ),
        Shape::Ports => Value::Array(items().map(port).collect::<Result<_>>()?),
        Shape::Flag => Value::Boolean(text.trim().parse().or_fail(ErrorKind::Config, || {
            format!("the variable `{variable}` is neither true nor false: `{text}`")
        })?),
        Shape::Seconds => Value::Integer(text.trim().parse().or_fail(ErrorKind::Config, || {
            format!("the variable `{variable}` is not a number of seconds: `{text}`")
        })?),
    })
}

fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((key, rest)) => {
            let inner = table
                .entry(key)
                .or_insert_with(|| Value::Table(Table::new()));
            insert(
                inner
                    .as_table_mut()
                    .expect("no key is the beginning of another"),
                rest,
                value,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(user: &str) -> Result<Settings> {
        let mut settings = Settings::default();
        settings.add(
            Origin::System,
            "system.toml".into(),
            "[profiles.a.identity]\nissuer = 'https://system'\nclient_id = 'x'",
        )?;
        settings.add(Origin::User, "user.toml".into(), user)?;
        Ok(settings)
    }

    #[test]
    fn later_layers_win_key_by_key_and_values_know_their_layer() {
        let mut settings = settings("[profiles.a.identity]\nissuer = 'https://user'").unwrap();
        let environment = Environment::from([
            ("BSQL_GOOGLE_USER_PROJECT", "p"),
            ("BSQL_IDENTITY_SCOPES", "openid, email"),
        ]);
        settings.add_environment(&environment, "a").unwrap();
        let found = |path| {
            let found = settings.find(&["profiles", "a"], path).unwrap();
            (found.value.to_string(), found.layer.origin)
        };
        assert_eq!(
            found("identity.issuer"),
            ("\"https://user\"".into(), Origin::User)
        );
        assert_eq!(
            found("identity.client_id"),
            ("\"x\"".into(), Origin::System)
        );
        assert_eq!(
            found("google.user_project"),
            ("\"p\"".into(), Origin::Environment)
        );
        assert_eq!(
            found("identity.scopes"),
            ("[\"openid\", \"email\"]".into(), Origin::Environment)
        );
        assert!(
            settings
                .find(&["profiles", "b"], "identity.issuer")
                .is_none()
        );
        assert_eq!(settings.profile_names(), ["a"]);
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let error = settings("[profiles.a.identity]\npassword = 'hunter2'").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.to_string().contains("profiles.a.identity.password"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line_and_not_quoted() {
        let error = settings("a = 1\npassword = hunter2").unwrap_err();
        assert!(
            error.to_string().contains("`user.toml`") && error.to_string().contains("line 2"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn unknown_keys_warn_with_the_nearest_known_one() {
        let settings = settings("[profiles.a.identity]\nisuer = 'https://user'").unwrap();
        assert_eq!(
            settings.warnings,
            [
                "`user.toml` has the key `profiles.a.identity.isuer`, which this version does not know; did you mean `identity.issuer`?"
            ]
        );
    }

    #[test]
    fn a_variable_that_is_no_port_is_named() {
        let environment = Environment::from([("BSQL_GOOGLE_ENDPOINTS_INSTANCE_PORT", "x")]);
        let error = Settings::default()
            .add_environment(&environment, "a")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("BSQL_GOOGLE_ENDPOINTS_INSTANCE_PORT"),
            "{error}"
        );
    }
}
