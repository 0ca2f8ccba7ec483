//! Entity references: `[<kind>:][<namespace>/]<name>` (backstage.io/docs/features/software-catalog/references).

/// The canonical form, `kind:namespace/name` in lower case. `None` if a part is empty or there is no kind.
pub(super) fn canonical(
    text: &str,
    default_kind: Option<&str>,
    default_namespace: &str,
) -> Option<String> {
    let text = text.trim();
    // A colon behind the slash belongs to the name.
    let colon = text
        .find(':')
        .filter(|colon| text.find('/').is_none_or(|slash| *colon < slash));
    let (kind, rest) = match colon {
        Some(colon) => (Some(&text[..colon]), &text[colon + 1..]),
        None => (default_kind, text),
    };
    let (namespace, name) = rest.split_once('/').unwrap_or((default_namespace, rest));
    let kind = kind?;
    if kind.is_empty() || namespace.is_empty() || name.is_empty() {
        return None;
    }
    Some(format!("{kind}:{namespace}/{name}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_filled_in_and_folded() {
        for (text, kind, expected) in [
            ("payments", Some("Group"), Some("group:shop/payments")),
            (
                "default/payments",
                Some("Group"),
                Some("group:default/payments"),
            ),
            ("User:Default/Ada", Some("Group"), Some("user:default/ada")),
            ("resource:x", None, Some("resource:shop/x")),
            ("x", None, None),
            (":x", Some("Group"), None),
            ("a:/x", None, None),
            ("a:b/", None, None),
            ("b/c:d", Some("Group"), Some("group:b/c:d")),
        ] {
            assert_eq!(canonical(text, kind, "shop").as_deref(), expected, "{text}");
        }
    }
}
