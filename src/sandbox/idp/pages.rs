//! The pages themselves: plain HTML, one style sheet inside, nothing fetched from anywhere, no scripts.

use std::fmt::Write as _;

use axum::http::HeaderName;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{Html, IntoResponse};

use super::authorize::AuthorizationRequest;
use super::device::Asking;
use super::provider::Client;
use crate::sandbox::company::{PEOPLE, Person};

const STYLE: &str = include_str!("pages.css");

/// Asks who to be.
pub(super) fn sign_in(request: &AuthorizationRequest, id: &str) -> impl IntoResponse + use<> {
    let body = format!(
        "<h1>Sign in to Acme</h1>\
         <p class=lead><strong>{app}</strong> on this computer asks for:</p>\
         {scopes}\
         <form method=post action=/sign-in>\
         <input type=hidden name=request value=\"{id}\">\
         {people}\
         </form>",
        app = escape(request.client.name),
        scopes = scopes(&request.scope),
        id = escape(id),
        people = people(request.login_hint.as_deref()),
    );
    page("Sign in", &body)
}

/// Asks for the code that a device shows.
pub(super) fn enter_code(wrong: Option<&str>) -> impl IntoResponse + use<> {
    let alert = wrong.map_or_else(String::new, |typed| {
        format!(
            "<p class=alert role=alert>No sign-in waits for the code <code>{}</code>. It may have expired, or was answered.</p>",
            escape(typed)
        )
    });
    let body = format!(
        "<h1>Sign in on another device</h1>\
         {alert}\
         <form method=get action=/device>\
         <label for=user_code>The code that the device shows</label>\
         <input id=user_code name=user_code class=code required autofocus autocomplete=off autocapitalize=characters \
         spellcheck=false maxlength=20 placeholder=XXXX-XXXX>\
         <button class=primary>Continue</button>\
         </form>"
    );
    page("Enter the code", &body)
}

/// Shows the code and asks who to be.
pub(super) fn confirm_code(asking: &Asking, client: &Client) -> impl IntoResponse + use<> {
    let body = format!(
        "<h1>Sign in on another device</h1>\
         <p class=lead><strong>{app}</strong> on a device wants to sign you in. Go on only if it shows this code:</p>\
         <p class=code>{code}</p>\
         {scopes}\
         <form method=post action=/device>\
         <input type=hidden name=user_code value=\"{code}\">\
         {people}\
         </form>",
        app = escape(client.name),
        code = escape(&asking.user_code),
        scopes = scopes(&asking.scope),
        people = people(None),
    );
    page("Sign in on another device", &body)
}

/// Says that the device goes on.
pub(super) fn device_approved(person: &Person) -> impl IntoResponse + use<> {
    let body = format!(
        "<h1>You are signed in</h1>\
         <p class=lead>The device goes on as <strong>{}</strong>. You can close this page.</p>",
        escape(person.name)
    );
    page("Signed in", &body)
}

/// Says that the device gets nothing.
pub(super) fn device_denied() -> impl IntoResponse {
    page(
        "Denied",
        "<h1>Denied</h1><p class=lead>The device was told no. You can close this page.</p>",
    )
}

/// Says why a request goes nowhere.
pub(super) fn refused(why: &str) -> impl IntoResponse + use<> {
    let body = format!(
        "<h1>This did not work</h1><p class=alert role=alert>{}</p>",
        escape(why)
    );
    page("This did not work", &body)
}

fn page(title: &str, body: &str) -> impl IntoResponse + use<> {
    let html = format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <meta name=color-scheme content=\"light dark\">\n\
         <title>{} · Acme</title>\n<link rel=icon href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><span class=logo aria-hidden=true>A</span> Acme <span class=tag>sandbox</span></header>\n\
         <main>\n{body}\n</main>\n\
         <footer>This is bsql's sandbox on your own computer. Nobody here is real, and no password is asked.</footer>\n\
         </body>\n</html>\n",
        escape(title)
    );
    (headers(), Html(html))
}

fn headers() -> [(HeaderName, &'static str); 4] {
    // No form-action: browsers apply it to the redirect back to the application too, and it cannot name [::1].
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'";
    [
        (CONTENT_SECURITY_POLICY, policy),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}

/// The buttons. The hinted person comes first and has the focus.
fn people(hint: Option<&str>) -> String {
    let mut everybody: Vec<&Person> = PEOPLE.iter().collect();
    let hinted =
        |person: &Person| hint.is_some_and(|hint| hint == person.email || hint == person.id);
    everybody.sort_by_key(|person| !hinted(person));
    let mut html = String::from("<fieldset><legend>Who are you?</legend><ul class=people>");
    for (index, person) in everybody.iter().enumerate() {
        let focus = if index == 0 { " autofocus" } else { "" };
        let initials: String = person
            .name
            .split(' ')
            .filter_map(|part| part.chars().next())
            .collect();
        let _ = write!(
            html,
            "<li><button name=person value=\"{id}\"{focus}><span class=avatar aria-hidden=true>{initials}</span>\
             <span><b>{name}</b> <small>{role}</small></span></button></li>",
            id = escape(person.id),
            initials = escape(&initials),
            name = escape(person.name),
            role = escape(person.role),
        );
    }
    html.push_str("</ul></fieldset><button class=deny name=deny value=1>Deny</button>");
    html
}

/// What the application will get, in words.
fn scopes(scope: &str) -> String {
    let words = scope.split(' ').filter_map(|scope| match scope {
        "openid" => Some("your user name"),
        "email" => Some("your mail address"),
        "profile" => Some("your name"),
        "groups" => Some("your groups"),
        "offline_access" => Some("leave to stay signed in until tomorrow"),
        _ => None,
    });
    let mut html = String::from("<ul class=scopes aria-label=\"What it asks for\">");
    for word in words {
        let _ = write!(html, "<li>{word}</li>");
    }
    html.push_str("</ul>");
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_from_outside_stays_text() {
        assert_eq!(
            escape(r#"<a href="x" id='y'>&"#),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;"
        );
    }

    #[test]
    fn the_hinted_person_comes_first_and_everybody_is_there() {
        let html = people(Some("chloe@acme.example"));
        let place = |id: &str| html.find(&format!("value=\"{id}\"")).unwrap();
        assert!(place("chloe") < place("ada") && place("ada") < place("dmitri"));
        assert_eq!(html.matches("autofocus").count(), 1);
        assert!(html.contains("is on call for everything"));
        let html = people(Some("nobody@acme.example"));
        assert!(html.find("\"ada\"").unwrap() < html.find("\"chloe\"").unwrap());
    }
}
