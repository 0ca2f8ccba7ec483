//! What can be found, and one thing found.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It works, but not as somebody meant it.
    Warning,
    /// bsql or Backstage cannot use it, or it must not be there.
    Error,
}

impl Severity {
    /// `error`, `warning` or `note`, as compilers and SARIF have them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place in a file, counted from one. Columns are Unicode characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A part of a file; the end is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first character.
    pub start: Position,
    /// What comes behind its last.
    pub end: Position,
}

impl Span {
    /// The one character at `at`.
    pub(super) fn at(at: Position) -> Self {
        let end = Position {
            column: at.column + 1,
            ..at
        };
        Self { start: at, end }
    }
}

/// One kind of finding. The id is published: it never changes its meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// For example `bsql/instance-malformed`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it finds, in a sentence.
    pub about: &'static str,
}

macro_rules! rules {
    ($($name:ident $severity:ident $id:literal $about:literal)*) => {
        $(pub(super) const $name: Rule = Rule {
            id: concat!("bsql/", $id), severity: Severity::$severity, about: $about,
        };)*
        /// Every rule there is.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    YAML_SYNTAX Error "yaml-syntax" "The file is not YAML."
    YAML_LIMIT Error "yaml-limit" "The file is too large, too deep, or its aliases stand for too much."
    DUPLICATE_KEY Error "duplicate-key" "A key comes twice in the same place; Backstage refuses the file."
    CONTROL_CHARACTER Error "control-character" "A control character, or one that changes the direction of text."
    NOT_AN_ENTITY Error "not-an-entity" "A document is not a catalog entity, or lacks what every entity has."
    NOT_TEXT Error "not-text" "A value that must be text is a number, a boolean, nothing, or a list."
    NAME Error "name" "A name, namespace or kind has characters that Backstage does not allow."
    LABEL Error "label" "A label's or annotation's key, or a label's value, is not as Backstage allows it."
    TAG Error "tag" "A tag has characters that Backstage does not allow."
    REFERENCE Error "reference" "A reference in `dependsOn` or `dependencyOf` has no kind, and there is no default."
    DUPLICATE_ENTITY Error "duplicate-entity" "An entity is there twice."
    SECRET Error "secret" "A password, key or token is in the catalog, where everybody can read it."
    OWNER_MISSING Error "owner-missing" "A database has no owner."
    INSTANCE_MISSING Error "instance-missing" "Nothing says which Cloud SQL instance the database is on."
    INSTANCE_MALFORMED Error "instance-malformed" "What says which instance it is cannot be the name of one."
    INSTANCE_IN_LABEL Error "instance-in-label" "A connection name is in a label, which cannot hold colons."
    INSTANCE_CONTRADICTION Error "instance-contradiction" "Two annotations name different instances."
    ENGINE_UNKNOWN Error "engine-unknown" "The engine is none that Cloud SQL has."
    ENGINE_CONTRADICTION Warning "engine-contradiction" "The annotation, the type or the tags name different engines."
    IP_TYPE_UNKNOWN Error "ip-type-unknown" "The type of address is none there is."
    ENVIRONMENT_MISSING Warning "environment-missing" "Nothing says which environment the database is."
    ENVIRONMENT_UNKNOWN Warning "environment-unknown" "The environment is not one of the company's."
    ENVIRONMENT_CONTRADICTION Error "environment-contradiction" "Two places say different environments."
    ENVIRONMENT_DOUBTFUL Warning "environment-doubtful" "The instance is in a project of another environment."
    UNKNOWN_ANNOTATION Warning "unknown-annotation" "An annotation below `bsql.dev/` that bsql does not know."
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind of finding.
    pub rule: &'static Rule,
    /// The file, as it was named.
    pub file: String,
    /// Where in the file.
    pub span: Span,
    /// The entity it is about, if it is one.
    pub entity: Option<String>,
    /// What is wrong. Secrets are not in it.
    pub message: String,
    /// What to do.
    pub fix: String,
    /// The line, fit to be shown: no secrets, no control characters.
    pub line: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_names_of_their_own() {
        let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), RULES.len());
        assert!(RULES.iter().all(|rule| rule.about.ends_with('.')));
    }
}
