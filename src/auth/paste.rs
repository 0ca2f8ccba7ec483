//! What the person pastes when the browser is on another machine and could not come back by itself.

use url::Url;

/// The query of the pasted address, if it is one that the browser ended at for `redirect_uri`; else what is wrong.
///
/// What is in the query is judged as if the browser had brought it. A code alone is not enough: nothing would tie it to
/// this sign-in.
pub(super) fn query(line: &str, redirect_uri: &Url) -> Result<String, &'static str> {
    let line = line.trim().trim_matches(['"', '\'', '<', '>']);
    if line.is_empty() {
        return Err("nothing was pasted");
    }
    if let Some(query) = line.strip_prefix('?') {
        return Ok(query.to_owned());
    }
    let Ok(url) = Url::parse(line) else {
        return Err("that is not an address: paste all that is in the address bar");
    };
    let place = |url: &Url| {
        (
            url.scheme().to_owned(),
            url.host_str().map(str::to_owned),
            url.port(),
            url.path().to_owned(),
        )
    };
    if place(&url) != place(redirect_uri) {
        return Err(
            "the browser has not come back yet: sign in there first, until it fails to open a page",
        );
    }
    url.query()
        .map(str::to_owned)
        .ok_or("the address is cut off: paste all that is in the address bar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_address_or_its_query() {
        let uri = "http://127.0.0.1:4321/callback".parse().unwrap();
        for line in [
            "http://127.0.0.1:4321/callback?code=c&state=s",
            "  'http://127.0.0.1:4321/callback?code=c&state=s#x' \r\n",
            "?code=c&state=s",
        ] {
            assert_eq!(query(line, &uri).unwrap(), "code=c&state=s", "{line}");
        }
        for (line, why) in [
            ("", "nothing"),
            ("c0de", "not an address"),
            ("https://op/authorize?state=s", "not come back yet"),
            (
                "http://127.0.0.1:4322/callback?code=c&state=s",
                "not come back yet",
            ),
            (
                "http://evil.example/callback?code=c&state=s",
                "not come back yet",
            ),
            ("http://127.0.0.1:4321/callback", "cut off"),
        ] {
            assert!(query(line, &uri).unwrap_err().contains(why), "{line}");
        }
    }
}
