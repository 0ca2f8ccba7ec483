//! Secrets in text: passwords, keys and tokens that somebody wrote where everybody can read them.
//!
//! The same search finds them and hides them, so that what is reported is never shown.

use std::ops::Range;

/// Words after which `=` or `:` a secret comes.
const WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
];

/// How well-known tokens begin: of AWS, GitHub, GitLab, Google, Slack, Stripe, and JWTs.
const BEGINNINGS: [&str; 12] = [
    "AKIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "AIza",
    "ya29.",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "eyJhbGci",
];

/// As short a token is none.
const SHORTEST_TOKEN: usize = 16;

const KEY_BEGINS: &str = "-----BEGIN ";
const KEY_ENDS: &str = "-----END ";

/// Whether a key says that its value is a secret, as `acme.example/db-password` does.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "passwd", "passphrase"]
        .iter()
        .any(|word| key.ends_with(word))
}

/// Where the secrets in one line are.
pub(super) fn find(line: &str) -> Vec<Range<usize>> {
    let mut found = after_words(line);
    found.extend(in_urls(line));
    found.extend(tokens(line));
    if line.contains(KEY_BEGINS) && line.contains("PRIVATE KEY") {
        found.extend(line.find(KEY_BEGINS).map(|at| at..line.len()));
    }
    found.sort_by_key(|range| range.start);
    // Without overlaps, so that hiding takes one walk along the line.
    found.dedup_by(|next, before| {
        let overlaps = next.start <= before.end;
        if overlaps {
            before.end = before.end.max(next.end);
        }
        overlaps
    });
    found
}

/// Whether a text of any number of lines has a secret in it.
pub(super) fn has_any(text: &str) -> bool {
    text.lines().any(|line| !find(line).is_empty())
}

/// The text with a `*` for every character of a secret, so that all columns stay what they are.
pub(super) fn hide(text: &str) -> String {
    let mut in_key = false;
    let mut hidden = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        in_key |= line.contains(KEY_BEGINS) && line.contains("PRIVATE KEY");
        let ranges = if in_key {
            let indent = line.len() - line.trim_start().len();
            std::iter::once(indent..line.trim_end().len().max(indent)).collect()
        } else {
            find(line)
        };
        let mut shown = 0;
        for range in ranges {
            hidden.push_str(&line[shown..range.start]);
            hidden.extend(line[range.clone()].chars().map(|_| '*'));
            shown = range.end;
        }
        hidden.push_str(&line[shown..]);
        in_key &= !line.contains(KEY_ENDS);
    }
    hidden
}

/// `password=…`, `token: …`. A reference to where the secret is kept, or a placeholder, is none.
///
/// Every value is looked at once, however many such words are in it: lines can be long.
fn after_words(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for word in WORDS {
        let mut looked_at = 0;
        for (at, _) in lower.match_indices(word) {
            if at < looked_at {
                continue;
            }
            let rest = &line[at + word.len()..];
            // Behind the word its quote may end: `"password": "…"`.
            let rest = rest.trim_start_matches(['"', '\'']).trim_start();
            let Some(value) = rest.strip_prefix(['=', ':']) else {
                continue;
            };
            let is_pair = value.starts_with([' ', '"', '\'']) || rest.starts_with('=');
            let value = value.trim_start();
            let begin = line.len() - value.len();
            let (begin, end) = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inner = &value[1..];
                    (
                        begin + 1,
                        inner.find(quote).unwrap_or(inner.trim_end().len()),
                    )
                }
                _ => (
                    begin,
                    value
                        .find(|c: char| {
                            c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\'')
                        })
                        .unwrap_or(value.len()),
                ),
            };
            let secret = &line[begin..begin + end];
            looked_at = begin + end;
            if is_pair && end > 0 && !is_reference(secret) {
                found.push(begin..begin + end);
            }
        }
    }
    found
}

/// `scheme://user:password@host`.
fn in_urls(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("://") {
        let begin = at + 3;
        let rest = &line[begin..];
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .unwrap_or(rest.len());
        let authority = &rest[..end];
        let Some((user_info, _)) = authority.rsplit_once('@') else {
            continue;
        };
        let Some((user, password)) = user_info.split_once(':') else {
            continue;
        };
        if !password.is_empty() && !is_reference(password) {
            let begin = begin + user.len() + 1;
            found.push(begin..begin + password.len());
        }
    }
    found
}

fn tokens(line: &str) -> Vec<Range<usize>> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut found = Vec::new();
    for beginning in BEGINNINGS {
        for (at, _) in line.match_indices(beginning) {
            if line[..at].ends_with(is_token) {
                continue;
            }
            let rest = &line[at..];
            let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
            if end >= SHORTEST_TOKEN {
                found.push(at..at + end);
            }
        }
    }
    found
}

/// Says where a secret is kept, or that one goes here.
fn is_reference(text: &str) -> bool {
    // What is random has capitals, and mostly ends in `=` where it is base64.
    let is_path = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '/' | '-' | '_' | '.' | ':')
    };
    let names_a_place = text.contains('/') && text.chars().all(is_path);
    let is_placeholder =
        text.contains("${") || text.contains("{{") || text.starts_with(['$', '<', '*', '%']);
    names_a_place || is_placeholder || matches!(text, "null" | "true" | "false" | "~" | "|" | ">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_hidden() {
        for (text, hidden) in [
            ("postgres://ada:hunter2@db/x", "postgres://ada:*******@db/x"),
            (
                "host=db password=hunter2 user=x",
                "host=db password=******* user=x",
            ),
            ("x/db-password: hunter2", "x/db-password: *******"),
            ("x/db-password: \"hunter 2\"", "x/db-password: \"********\""),
            ("\"password\": \"hunter2\",", "\"password\": \"*******\","),
            ("PGPASSWORD=hunter2;x", "PGPASSWORD=*******;x"),
            ("ünï token=abc", "ünï token=***"),
            ("password=Zm9v/YmFy==", "password=***********"),
            ("password=a password=b", "password=* password=*"),
            (
                "token=ghp_0123456789abcdefXY",
                "token=**********************",
            ),
            ("a: ghp_0123456789abcdefXY b", "a: ********************** b"),
            (
                "a: |\n  -----BEGIN RSA PRIVATE KEY-----\n  MIIE\n  -----END RSA PRIVATE KEY-----\nb: c\n",
                "a: |\n  *******************************\n  ****\n  *****************************\nb: c\n",
            ),
        ] {
            assert_eq!(hide(text), hidden);
            assert!(has_any(text), "{text}");
        }
    }

    #[test]
    fn long_lines_take_no_time() {
        for part in [
            "password=",
            "token: \"",
            "AKIA",
            "a://b:c@",
            "password=/",
            "secret  ",
        ] {
            let line = part.repeat(200_000);
            assert_eq!(hide(&line).chars().count(), line.len(), "{part}");
        }
    }

    #[test]
    fn what_only_speaks_of_secrets_is_none() {
        for text in [
            "https://git.acme.example/payments",
            "https://ada@git.acme.example/payments",
            "password: projects/acme/secrets/payments",
            "token: https://vault.acme.example/payments",
            "password=${DB_PASSWORD}",
            "token: {{ token }}",
            "password rotation: monthly",
            "secret-name: payments",
            "the password is in the vault",
            "tokenizer: fast",
            "acme-staging:europe-west1:payments",
            "AKIA",
            "resource:default/secret:x",
        ] {
            assert!(!has_any(text), "{text}");
        }
        assert!(is_secret_key("acme.example/DB-Password"));
        assert!(!is_secret_key("acme.example/password-policy"));
    }
}
