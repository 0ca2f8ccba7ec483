//! Which way to sign in fits this machine and this provider.

use std::fmt;
use std::str::FromStr;

use super::metadata::Metadata;
use crate::error::{Error, ErrorKind};

/// A way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// Whatever fits, see [`choose`].
    #[default]
    Auto,
    /// A browser on this machine (RFC 8252).
    Browser,
    /// A code that is entered on any device (RFC 8628).
    Device,
    /// A browser anywhere; the person pastes the address it ends at.
    Paste,
}

impl Flow {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Browser => "browser",
            Self::Device => "device",
            Self::Paste => "paste",
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Flow {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        [Self::Auto, Self::Browser, Self::Device, Self::Paste]
            .into_iter()
            .find(|flow| flow.name() == name)
            .ok_or_else(|| {
                ErrorKind::Usage
                    .error(format!("there is no flow `{name}`"))
                    .hint("auto, browser, device or paste")
            })
    }
}

/// What there is around the process. The caller looks; this only judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "five independent observations, each true or false"
)]
pub struct Surroundings {
    /// Somebody can read what is printed and type an answer.
    pub has_terminal: bool,
    /// The operating system has a desktop of its own: macOS and Windows.
    pub desktop_system: bool,
    /// A display: `DISPLAY` or `WAYLAND_DISPLAY`.
    pub display: bool,
    /// Windows Subsystem for Linux, where the browser of Windows opens.
    pub wsl: bool,
    /// Logged in from elsewhere: `SSH_CONNECTION`, `SSH_CLIENT` or `SSH_TTY`.
    pub ssh: bool,
    /// In a container, or a workspace in somebody's cloud.
    pub container: bool,
}

/// The flow to use, and one line for the person that says why and how to choose another.
///
/// Never [`Flow::Auto`].
pub fn choose(asked: Flow, around: &Surroundings, provider: &Metadata) -> (Flow, String) {
    if asked != Flow::Auto {
        return (asked, format!("signing in with --flow {asked}, as asked"));
    }
    let no_browser = if around.container {
        Some("this is a container")
    } else if around.ssh && !around.display {
        Some("this is an SSH session")
    } else if !(around.desktop_system || around.display || around.wsl) {
        Some("there is no display")
    } else {
        None
    };
    match no_browser {
        None => {
            let elsewhere = if provider.offers_device_flow() {
                "device"
            } else {
                "paste"
            };
            let line = format!(
                "signing in with the browser of this machine; if it is the wrong one: --flow {elsewhere}"
            );
            (Flow::Browser, line)
        }
        Some(why) if provider.offers_device_flow() => {
            let line = format!(
                "{why}: signing in with a code, on any device; for a browser here: --flow browser"
            );
            (Flow::Device, line)
        }
        Some(why) if around.has_terminal => {
            let line = format!(
                "{why}, and the provider has no device flow: signing in with a browser elsewhere; for one here: --flow browser"
            );
            (Flow::Paste, line)
        }
        // Nobody could paste. Somebody may still have forwarded the port.
        Some(why) => (
            Flow::Browser,
            format!(
                "{why}, the provider has no device flow, and there is no terminal to paste into"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(device: bool) -> Metadata {
        let mut document = json!({
            "issuer": "https://op",
            "authorization_endpoint": "https://op/a",
            "token_endpoint": "https://op/t",
            "jwks_uri": "https://op/k",
        });
        if device {
            document["device_authorization_endpoint"] = json!("https://op/d");
        }
        Metadata::read(document.to_string().as_bytes(), "https://op").unwrap()
    }

    /// `t` terminal, `m` macOS or Windows, `d` display, `w` WSL, `s` SSH, `c` container.
    fn around(letters: &str) -> Surroundings {
        let has = |letter| letters.contains(letter);
        Surroundings {
            has_terminal: has('t'),
            desktop_system: has('m'),
            display: has('d'),
            wsl: has('w'),
            ssh: has('s'),
            container: has('c'),
        }
    }

    #[test]
    fn what_fits_where() {
        for (letters, with_device, without, why) in [
            (
                "tm",
                Flow::Browser,
                Flow::Browser,
                "browser of this machine",
            ),
            (
                "td",
                Flow::Browser,
                Flow::Browser,
                "browser of this machine",
            ),
            (
                "tw",
                Flow::Browser,
                Flow::Browser,
                "browser of this machine",
            ),
            (
                "tds",
                Flow::Browser,
                Flow::Browser,
                "browser of this machine",
            ),
            ("d", Flow::Browser, Flow::Browser, "browser of this machine"),
            ("t", Flow::Device, Flow::Paste, "no display"),
            ("ts", Flow::Device, Flow::Paste, "SSH"),
            ("tms", Flow::Device, Flow::Paste, "SSH"),
            ("tdc", Flow::Device, Flow::Paste, "container"),
            ("tdsc", Flow::Device, Flow::Paste, "container"),
            ("", Flow::Device, Flow::Browser, "no display"),
            ("s", Flow::Device, Flow::Browser, "SSH"),
        ] {
            for (device, expected) in [(true, with_device), (false, without)] {
                let (flow, line) = choose(Flow::Auto, &around(letters), &provider(device));
                assert_eq!(flow, expected, "{letters} {device}");
                assert!(line.contains(why), "{letters} {device}: {line}");
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_done() {
        for flow in [Flow::Browser, Flow::Device, Flow::Paste] {
            let (chosen, line) = choose(flow, &around(""), &provider(false));
            assert_eq!(chosen, flow);
            assert!(line.contains(flow.name()));
            assert_eq!(flow.name().parse::<Flow>().unwrap(), flow);
        }
        assert!("implicit".parse::<Flow>().is_err());
    }
}
