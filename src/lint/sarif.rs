//! Findings as SARIF, for GitHub's code scanning and everything else that reads it.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>; what GitHub reads of it is said at
//! <https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning>.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::finding::{Finding, RULES};
use crate::hex;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
const ABOUT: &str = "https://backstage.io/docs/features/software-catalog/descriptor-format";
/// A fingerprint is for telling findings apart, not for security.
const FINGERPRINT_BYTES: usize = 16;

/// The findings as a SARIF log of one run.
pub fn sarif(findings: &[Finding]) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.about },
                "fullDescription": { "text": rule.about },
                "help": { "text": format!("{} See docs/catalog.md of bsql, and {ABOUT}.", rule.about) },
                "defaultConfiguration": { "level": rule.severity.name() },
                "properties": { "tags": ["catalog"], "problem.severity": problem(rule.severity.name()) },
            })
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "bsql lint",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            // As editors and compilers count; SARIF would otherwise have UTF-16.
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

/// GitHub's word for a note.
fn problem(level: &str) -> &str {
    match level {
        "note" => "recommendation",
        level => level,
    }
}

fn result(finding: &Finding) -> Value {
    let span = finding.span;
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": RULES.iter().position(|rule| rule == finding.rule),
        "level": finding.rule.severity.name(),
        "message": { "text": format!("{}\nfix: {}", finding.message, finding.fix) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": artifact(&finding.file),
            "region": {
                "startLine": span.start.line, "startColumn": span.start.column,
                "endLine": span.end.line, "endColumn": span.end.column,
            },
        }}],
        "partialFingerprints": { "bsqlFinding/v1": fingerprint(finding) },
    })
}

/// The same when only lines have moved.
fn fingerprint(finding: &Finding) -> String {
    let about = finding.entity.as_deref().unwrap_or_default();
    let text = [finding.rule.id, &finding.file, about, &finding.message].join("\n");
    let digest = digest(&SHA256, text.as_bytes());
    hex::encode(&digest.as_ref()[..FINGERPRINT_BYTES])
}

/// Relative to the repository's root, where the command is run in CI.
fn artifact(file: &str) -> Value {
    let path = file.replace('\\', "/");
    let relative = path.strip_prefix("./").unwrap_or(&path);
    let mut uri = String::new();
    for byte in relative.bytes() {
        // The characters of a path by RFC 3986 section 3.3, but for the colon, which would make a scheme.
        let fits = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@/".contains(&byte);
        if fits {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    if uri.starts_with('/') {
        return json!({ "uri": format!("file://{uri}") });
    }
    json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uris() {
        for (file, uri) in [
            ("./a/catalog-info.yaml", "a/catalog-info.yaml"),
            ("a b/ü:%.yaml", "a%20b/%C3%BC%3A%25.yaml"),
            ("a\\b.yaml", "a/b.yaml"),
        ] {
            assert_eq!(
                artifact(file),
                json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
            );
        }
        assert_eq!(artifact("/tmp/x"), json!({ "uri": "file:///tmp/x" }));
    }
}
