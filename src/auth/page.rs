//! The few pages that the browser gets to see: whole in themselves, no script, nothing loaded from anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2126;--dim:#5d6772;--paper:#f6f7f8;--card:#fff;--line:#dfe3e7;--mark:#17734a}\
@media(prefers-color-scheme:dark){:root{--ink:#e8ebee;--dim:#9aa4ae;--paper:#14171a;--card:#1d2125;--line:#31373d;--mark:#5fc795}}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}\
main{margin:1.5rem;padding:2rem 2.25rem;max-width:30rem;background:var(--card);border:1px solid var(--line);\
border-radius:10px}\
h1{margin:0 0 .5rem;font-size:1.3rem;line-height:1.3;overflow-wrap:anywhere}\
h1.good::before{content:'\u{2713}\u{00a0}';color:var(--mark)}\
p{margin:0;color:var(--dim);overflow-wrap:anywhere}p+p{margin-top:.75rem}";

/// How the sign-in ended, for the page that the browser ends at.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Who is signed in.
    SignedIn(String),
    /// Why nobody is.
    Failed(String),
}

/// The last page.
pub(super) fn done(outcome: &Outcome) -> String {
    match outcome {
        Outcome::SignedIn(person) => page(
            "good",
            &format!("Signed in as {person}"),
            &["You can close this page and return to the terminal."],
        ),
        Outcome::Failed(why) => page(
            "",
            "Not signed in",
            &[why, "The terminal says what to do next."],
        ),
    }
}

/// A page about a request that was not accepted.
pub(super) fn refusal(heading: &str, why: &str) -> String {
    page("", heading, &[why])
}

/// What the browser may do on these pages: show their one style sheet (Content Security Policy Level 3).
pub(super) fn content_security_policy() -> String {
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn page(class: &str, heading: &str, paragraphs: &[&str]) -> String {
    let heading = escaped(heading);
    let paragraphs: Vec<String> = paragraphs.iter().map(|text| escaped(text)).collect();
    let paragraphs = paragraphs.join("</p><p>");
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{heading} \u{2013} bsql</title>\
<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
<body><main><h1 class=\"{class}\">{heading}</h1><p>{paragraphs}</p></main></body></html>\n"
    )
}

/// Text as HTML text.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let page = done(&Outcome::Failed("<script>alert('&')</script>".to_owned()));
        assert!(page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn nothing_is_loaded_and_the_style_is_the_one_allowed() {
        let page = done(&Outcome::SignedIn("Ada Berg (ada@acme.example)".to_owned()));
        assert!(page.contains("Signed in as Ada Berg (ada@acme.example)"));
        for outside in ["http:", "https:", "src=", "href=", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        let start = page.find("<style>").unwrap() + "<style>".len();
        let end = page.find("</style>").unwrap();
        let hash = STANDARD.encode(digest(&SHA256, &page.as_bytes()[start..end]));
        assert!(content_security_policy().contains(&hash));
    }
}
