//! Opens the person's browser.

use std::io;
use std::process::{Command, Stdio};

use url::Url;

/// Opens `url` with `command`, else with `$BROWSER` or the system's browser.
///
/// `command` is split at spaces; `%s` stands for the URL, which otherwise comes last. No shell is involved: a URL has
/// characters that mean something to one. Returns at once, without knowing whether a page came up; fails when there is
/// nothing to start. Only `http` and `https` are opened.
pub fn open(url: &Url, command: Option<&str>) -> io::Result<()> {
    let Some(command) = command else {
        return webbrowser::open(url.as_str());
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a web address",
        ));
    }
    let mut words = words(command, url.as_str()).into_iter();
    let program = words
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    // Its output would mix with bsql's. The child is not waited for: it may be the browser itself.
    Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

fn words(command: &str, url: &str) -> Vec<String> {
    let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return words;
    }
    let places: Vec<_> = words
        .iter_mut()
        .filter(|word| word.contains("%s"))
        .collect();
    if places.is_empty() {
        words.push(url.to_owned());
    } else {
        for word in places {
            *word = word.replace("%s", url);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_one_word() {
        let url = "https://op/?a=1&b=$(reboot)%s";
        assert_eq!(words("firefox", url), ["firefox", url]);
        assert_eq!(
            words(" firefox  --new-tab=%s -P", url),
            ["firefox", &format!("--new-tab={url}"), "-P"]
        );
        assert!(words("  ", url).is_empty());
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        let url = "https://op/".parse().unwrap();
        assert!(open(&url, Some("/nonexistent/browser")).is_err());
        assert!(open(&url, Some("")).is_err());
        let file = "file:///etc/passwd".parse().unwrap();
        assert!(open(&file, Some("true")).is_err());
        assert!(open(&file, None).is_err());
    }
}
