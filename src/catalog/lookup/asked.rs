//! What somebody typed, taken apart.

use super::super::conventions::Environments;
use super::super::entity::EntityRef;
use super::FindOptions;
use crate::error::{ErrorKind, Result, printable};

/// A name as somebody typed it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The whole reference, if the kind was typed: then it means this entity and no other.
    pub(super) exactly: Option<EntityRef>,
    /// The namespace, if it was typed.
    pub(super) namespace: Option<String>,
    /// The name, in lower case.
    pub(super) name: String,
    /// The environment it is to be in.
    pub(super) environment: Option<String>,
}

impl Asked {
    /// Reads `[kind:][namespace/]name[@environment]`.
    ///
    /// Fails with [`ErrorKind::Usage`] when it is none, or two environments are asked for at once.
    pub(super) fn read(
        typed: &str,
        options: &FindOptions,
        environments: &Environments,
    ) -> Result<Self> {
        let (text, typed_environment) = match typed.rsplit_once('@') {
            Some((text, environment)) => (text, Some(environments.named(environment))),
            None => (typed, None),
        };
        if typed_environment.as_deref() == Some("") {
            return Err(ErrorKind::Usage
                .error(format!("`{}` names no environment", printable(typed)))
                .hint("write `NAME@ENVIRONMENT`, for example `payments@staging`, or leave the `@` out"));
        }
        let wanted = options.environment.as_deref();
        let wanted = wanted.map(|environment| environments.named(environment));
        let environment = match (typed_environment, wanted) {
            (Some(one), Some(other)) if one != other => {
                return Err(ErrorKind::Usage.error(format!(
                    "`{}` and `{}` are two environments",
                    printable(&one),
                    printable(&other)
                )));
            }
            (one, other) => one.or(other),
        };
        // Checks what may be in a name, too.
        let EntityRef {
            namespace, name, ..
        } = EntityRef::parse(text, "resource")?;
        Ok(Self {
            // With no kind to fall back on, only a reference that has one is one.
            exactly: text.parse().ok(),
            namespace: text.contains('/').then_some(namespace),
            name,
            environment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        let read = |typed: &str, environment: Option<&str>| {
            let options = FindOptions {
                environment: environment.map(str::to_owned),
                ..FindOptions::default()
            };
            Asked::read(typed, &options, &Environments::default())
        };
        for (typed, environment, exactly, namespace, name, expected) in [
            ("Payments", None, None, None, "payments", None),
            (
                "payments@prod",
                None,
                None,
                None,
                "payments",
                Some("production"),
            ),
            (
                "payments",
                Some("stg"),
                None,
                None,
                "payments",
                Some("staging"),
            ),
            (
                "payments@prod",
                Some("live"),
                None,
                None,
                "payments",
                Some("production"),
            ),
            ("payments@blue", None, None, None, "payments", Some("blue")),
            (
                "team-a/payments",
                None,
                None,
                Some("team-a"),
                "payments",
                None,
            ),
            (
                "component:payments@staging",
                None,
                Some("component:default/payments"),
                None,
                "payments",
                Some("staging"),
            ),
            (
                "resource:team-a/x",
                None,
                Some("resource:team-a/x"),
                Some("team-a"),
                "x",
                None,
            ),
            // The `:` behind the slash is part of the name.
            (
                "team-a/odd:name",
                None,
                None,
                Some("team-a"),
                "odd:name",
                None,
            ),
        ] {
            let expected = Asked {
                exactly: exactly.map(|text| text.parse().unwrap()),
                namespace: namespace.map(str::to_owned),
                name: name.to_owned(),
                environment: expected.map(str::to_owned),
            };
            assert_eq!(read(typed, environment).unwrap(), expected, "{typed}");
        }
        for (typed, environment) in [
            ("", None),
            ("@staging", None),
            ("payments@", None),
            ("payments@ ", None),
            ("payments@staging", Some("production")),
            ("a b", None),
            ("a,b", None),
            ("../x", None),
        ] {
            let error = read(typed, environment).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{typed}");
        }
    }
}
