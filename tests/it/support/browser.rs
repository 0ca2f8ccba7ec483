//! A person with a browser: follows redirects, and presses buttons on the sandbox's pages.

use bsql::http::{Answer, HttpClient};
use url::Url;

/// A browser.
pub(crate) struct Browser {
    http: HttpClient,
    runtime: tokio::runtime::Runtime,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            http: HttpClient::new(Vec::new()).unwrap(),
            runtime,
        }
    }

    /// Goes to an address and on to wherever it redirects.
    pub(crate) fn visit(&self, url: &Url) -> Answer {
        self.runtime.block_on(async {
            let mut url = url.clone();
            loop {
                let answer = self
                    .http
                    .send("the page", self.http.get(url.clone()))
                    .await
                    .unwrap();
                match answer.headers.get("location") {
                    Some(location) => url = url.join(location.to_str().unwrap()).unwrap(),
                    None => return answer,
                }
            }
        })
    }

    /// Sends a form and goes on to wherever it redirects.
    pub(crate) fn submit(&self, url: &Url, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(url.clone()).form(form);
        let answer = self
            .runtime
            .block_on(self.http.send("the page", request))
            .unwrap();
        match answer.headers.get("location") {
            Some(location) => self.visit(&url.join(location.to_str().unwrap()).unwrap()),
            None => answer,
        }
    }

    /// Presses a person's button on the sign-in page at `url`; "deny" is the button that says no.
    pub(crate) fn sign_in(&self, url: &Url, choice: &str) -> Answer {
        let page = self.visit(url);
        let page = String::from_utf8(page.body().to_vec()).unwrap();
        let request = page
            .split("name=request value=\"")
            .nth(1)
            .unwrap_or_else(|| panic!("no sign-in page: {page}"));
        let request = request.split('"').next().unwrap();
        // The page came from the provider, wherever the address that led there was.
        let action = url.join("/sign-in").unwrap();
        self.submit(&action, &[("request", request), choice_field(choice)])
    }

    /// Presses a person's button on the page for a device's code.
    pub(crate) fn answer_device(&self, url: &Url, choice: &str) -> Answer {
        let code = url
            .query_pairs()
            .find(|(name, _)| name == "user_code")
            .expect("the complete address")
            .1;
        let answer = self.submit(
            &url.join("/device").unwrap(),
            &[("user_code", &code), choice_field(choice)],
        );
        assert!(answer.status.is_success(), "{}", answer.excerpt());
        answer
    }
}

fn choice_field(choice: &str) -> (&str, &str) {
    if choice == "deny" {
        ("deny", "1")
    } else {
        ("person", choice)
    }
}
