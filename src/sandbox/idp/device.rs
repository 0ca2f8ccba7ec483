//! Device codes (RFC 8628). Pure: the caller brings the time.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::grants::Approval;
use super::params::OAuthError;
use crate::sandbox::company::Person;
use crate::sandbox::http::{opaque_secret, random};

/// How long a device code may wait for its person.
pub(super) const LIFE: SignedDuration = SignedDuration::from_mins(10);
/// The least time between two polls, until one comes too early. Most providers say 5 s; the sandbox is for people in a
/// hurry.
pub(super) const INTERVAL: SignedDuration = SignedDuration::from_secs(1);
/// What one poll that came too early adds (section 3.5).
const SLOWER: SignedDuration = SignedDuration::from_secs(5);
/// No vowels, so no words, and nothing that looks like a digit (section 6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

#[derive(Debug)]
struct Device {
    user_code: String,
    client_id: String,
    scope: String,
    answer: Option<Answer>,
    expires_at: Timestamp,
    interval: SignedDuration,
    polled_at: Option<Timestamp>,
}

/// What the person said.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// Yes, and who they are.
    Approved(&'static Person, Timestamp),
    /// No.
    Denied,
}

/// A device that asks, as its person sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asking {
    /// The code in its canonical form.
    pub(super) user_code: String,
    /// The client on the device.
    pub(super) client_id: String,
    /// What it wants, space-separated.
    pub(super) scope: String,
}

/// Every device code that is not over, by device code.
#[derive(Debug, Default)]
pub(super) struct Devices(HashMap<String, Device>);

impl Devices {
    /// A new device code and its user code.
    pub(super) fn begin(
        &mut self,
        client_id: &str,
        scope: &str,
        now: Timestamp,
    ) -> (String, String) {
        let device_code = opaque_secret();
        let user_code = self.unused_user_code();
        let device = Device {
            user_code: user_code.clone(),
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            answer: None,
            expires_at: now + LIFE,
            interval: INTERVAL,
            polled_at: None,
        };
        self.0.insert(device_code.clone(), device);
        (device_code, user_code)
    }

    fn unused_user_code(&self) -> String {
        loop {
            let code = user_code();
            if self.0.values().all(|device| device.user_code != code) {
                return code;
            }
        }
    }

    /// The device that waits for an answer under this user code, however it was typed.
    pub(super) fn asking(&self, typed: &str, now: Timestamp) -> Option<Asking> {
        let typed = canonical(typed);
        self.0
            .values()
            .find(|device| device.user_code == typed)
            .filter(|device| device.answer.is_none() && now < device.expires_at)
            .map(|device| Asking {
                user_code: device.user_code.clone(),
                client_id: device.client_id.clone(),
                scope: device.scope.clone(),
            })
    }

    /// Gives the person's answer. False if no device waits under this user code.
    pub(super) fn answer(&mut self, typed: &str, answer: Answer, now: Timestamp) -> bool {
        let Some(asking) = self.asking(typed, now) else {
            return false;
        };
        for device in self.0.values_mut() {
            if device.user_code == asking.user_code {
                device.answer = Some(answer);
            }
        }
        true
    }

    /// What the device gets when it asks again.
    pub(super) fn poll(
        &mut self,
        device_code: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Approval, OAuthError> {
        let unknown = || OAuthError::invalid_grant("the device code is unknown or was used");
        let device = self
            .0
            .get_mut(device_code)
            .filter(|device| device.client_id == client_id)
            .ok_or_else(unknown)?;
        if now >= device.expires_at {
            return Err(OAuthError::new(
                "expired_token",
                "the device code has expired",
            ));
        }
        let too_early = device
            .polled_at
            .is_some_and(|last| now.duration_since(last) < device.interval);
        device.polled_at = Some(now);
        if too_early {
            device.interval += SLOWER;
            return Err(OAuthError::new(
                "slow_down",
                "asked again before the interval was over",
            ));
        }
        match device.answer {
            None => Err(OAuthError::new(
                "authorization_pending",
                "the person has not answered yet",
            )),
            Some(Answer::Denied) => Err(OAuthError::new("access_denied", "the person said no")),
            Some(Answer::Approved(person, auth_time)) => {
                let device = self.0.remove(device_code).ok_or_else(unknown)?;
                Ok(Approval {
                    person,
                    client_id: device.client_id,
                    scope: device.scope,
                    nonce: None,
                    auth_time,
                })
            }
        }
    }
}

/// Eight letters in two groups: 34 bits, plenty against guessing within ten minutes.
fn user_code() -> String {
    let letters: Vec<char> = random::<8>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect();
    let (left, right) = letters.split_at(4);
    format!(
        "{}-{}",
        left.iter().collect::<String>(),
        right.iter().collect::<String>()
    )
}

/// As [`user_code`] writes it: people type lower case and leave the dash out.
fn canonical(typed: &str) -> String {
    let letters: String = typed
        .chars()
        .filter(char::is_ascii_alphabetic)
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    match letters.split_at_checked(4) {
        Some((left, right)) => format!("{left}-{right}"),
        None => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::company::PEOPLE;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn poll(devices: &mut Devices, code: &str, millisecond: i64) -> Result<Approval, &'static str> {
        devices
            .poll(code, "bsql", at(millisecond))
            .map_err(|error| error.code)
    }

    #[test]
    fn pending_then_approved_then_gone() {
        let mut devices = Devices::default();
        let (code, user_code) = devices.begin("bsql", "openid", at(0));
        assert_eq!(
            poll(&mut devices, &code, 0).unwrap_err(),
            "authorization_pending"
        );
        let yes = Answer::Approved(&PEOPLE[0], at(500));
        assert!(devices.answer(&user_code, yes, at(500)));
        assert!(
            !devices.answer(&user_code, Answer::Denied, at(600)),
            "answered already"
        );
        let approval = poll(&mut devices, &code, 1_000).unwrap();
        assert_eq!(approval.person.id, "ada");
        assert_eq!(approval.auth_time, at(500));
        assert_eq!(
            poll(&mut devices, &code, 2_000).unwrap_err(),
            "invalid_grant"
        );
    }

    #[test]
    fn polling_too_fast_makes_the_interval_longer() {
        let mut devices = Devices::default();
        let (code, _) = devices.begin("bsql", "openid", at(0));
        assert_eq!(
            poll(&mut devices, &code, 0).unwrap_err(),
            "authorization_pending"
        );
        assert_eq!(poll(&mut devices, &code, 999).unwrap_err(), "slow_down");
        assert_eq!(poll(&mut devices, &code, 6_998).unwrap_err(), "slow_down");
        assert_eq!(
            poll(&mut devices, &code, 6_998 + 11_000).unwrap_err(),
            "authorization_pending"
        );
    }

    #[test]
    fn denied_expired_and_strangers() {
        let mut devices = Devices::default();
        let (code, user_code) = devices.begin("bsql", "openid", at(0));
        assert_eq!(
            devices.poll(&code, "other", at(0)).unwrap_err().code,
            "invalid_grant"
        );
        assert!(devices.answer(&user_code, Answer::Denied, at(0)));
        assert_eq!(poll(&mut devices, &code, 0).unwrap_err(), "access_denied");

        let (code, user_code) = devices.begin("bsql", "openid", at(0));
        assert_eq!(
            poll(&mut devices, &code, 600_000).unwrap_err(),
            "expired_token"
        );
        assert!(!devices.answer(&user_code, Answer::Denied, at(600_000)));
    }

    #[test]
    fn user_codes_are_forgiving() {
        let mut devices = Devices::default();
        let (_, user_code) = devices.begin("bsql", "openid", at(0));
        let typed = user_code.to_lowercase().replace('-', " ");
        assert_eq!(devices.asking(&typed, at(0)).unwrap().user_code, user_code);
        assert_eq!(devices.asking("BCD", at(0)), None);
        assert_eq!(devices.asking("", at(0)), None);
        assert_eq!(devices.asking("ÉÉÉÉ-ÉÉÉÉ", at(0)), None);
    }
}
