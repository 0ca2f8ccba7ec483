//! The characters that Backstage allows where.
//!
//! As `KubernetesValidatorFunctions` and `CommonValidatorFunctions` of @backstage/catalog-model have them. A company may
//! loosen them with validators of its own, which few do.

const LONGEST_NAME: usize = 63;
const LONGEST_PREFIX: usize = 253;

/// A name, or a label's value: letters, digits, and `-`, `_`, `.` between them.
pub(super) fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let outer = |c: char| c.is_ascii_alphanumeric();
    text.len() <= LONGEST_NAME
        && text.starts_with(outer)
        && text.ends_with(outer)
        && text.chars().all(inner)
}

/// A namespace: a DNS label.
pub(super) fn is_namespace(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= LONGEST_NAME && parts_fit(text, '-', fits)
}

/// A kind.
pub(super) fn is_kind(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The key of a label or an annotation: a name, after a domain and a `/` if there is one.
pub(super) fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_name(text),
        Some((domain, name)) => {
            domain.len() <= LONGEST_PREFIX && domain.split('.').all(is_namespace) && is_name(name)
        }
    }
}

/// A tag.
pub(super) fn is_tag(text: &str) -> bool {
    let fits =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, ':' | '+' | '#');
    text.len() <= LONGEST_NAME && parts_fit(text, '-', fits)
}

/// Runs of fitting characters with single separators between them.
fn parts_fit(text: &str, separator: char, fits: impl Fn(char) -> bool) -> bool {
    text.split(separator)
        .all(|part| !part.is_empty() && part.chars().all(&fits))
}

/// Whether a template engine has yet to write here, as in the skeletons of software templates.
pub(super) fn is_placeholder(text: &str) -> bool {
    text.contains("${") || text.contains("{{") || text.contains("{%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_where() {
        for name in ["a", "Payments_v2.db", "0-0"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "a-", "a b", "a/b", "p:r:i", "ä", &"a".repeat(64)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_namespace("team-a") && is_namespace("0"));
        for namespace in ["", "Team", "a--", "a_b", "-a", "a.b"] {
            assert!(!is_namespace(namespace), "{namespace}");
        }
        assert!(is_kind("Resource") && !is_kind("1a") && !is_kind("a-b") && !is_kind(""));
        assert!(is_key("bsql.dev/staging.instance") && is_key("environment"));
        for key in ["", "/a", "a/", "a/b/c", "A.dev/b", "a..b/c", "a b"] {
            assert!(!is_key(key), "{key}");
        }
        assert!(is_tag("postgresql") && is_tag("c++-17") && is_tag("env:prod"));
        assert!(!is_tag("Prod") && !is_tag("a_b") && !is_tag("a--b") && !is_tag(""));
        assert!(is_placeholder("${{ values.name }}") && !is_placeholder("$5 {a}"));
    }
}
