//! Authorization codes, and the families of tokens that grow from one sign-in. Pure: the caller brings the time.
//!
//! A code works once, within a minute, for the client, redirect URI and PKCE verifier it was made for. Refresh tokens
//! rotate: each works once. When a code or a refresh token turns up a second time, somebody else has a copy, and every
//! token of its family dies (RFC 9700 section 4.14.2).

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

use super::params::OAuthError;
use crate::sandbox::company::Person;
use crate::sandbox::http::opaque_secret;

/// RFC 6749 section 4.1.2 allows ten minutes; a browser on this machine takes milliseconds.
const CODE_LIFE: SignedDuration = SignedDuration::from_secs(60);
/// A working day and a half: whoever comes back the next morning signs in again.
const FAMILY_LIFE: SignedDuration = SignedDuration::from_hours(36);

/// What a person agreed to.
#[derive(Debug, Clone)]
pub(super) struct Approval {
    /// Who.
    pub(super) person: &'static Person,
    /// The client that asked.
    pub(super) client_id: String,
    /// What it may have, space-separated.
    pub(super) scope: String,
    /// Ties the ID token to the request.
    pub(super) nonce: Option<String>,
    /// When the person signed in.
    pub(super) auth_time: Timestamp,
}

/// An authorization code's other half.
#[derive(Debug)]
struct Code {
    approval: Approval,
    redirect_uri: String,
    /// PKCE's S256 challenge.
    challenge: String,
    expires_at: Timestamp,
    /// The family that grew from it, once it was used.
    family: Option<u64>,
}

#[derive(Debug)]
struct Family {
    approval: Approval,
    expires_at: Timestamp,
}

#[derive(Debug)]
struct RefreshToken {
    family: u64,
    used: bool,
}

#[derive(Debug)]
struct AccessToken {
    family: u64,
    expires_at: Timestamp,
}

/// Everything that was granted and is not over.
#[derive(Debug, Default)]
pub(super) struct Grants {
    codes: HashMap<String, Code>,
    families: HashMap<u64, Family>,
    refresh_tokens: HashMap<String, RefreshToken>,
    access_tokens: HashMap<String, AccessToken>,
    last_family: u64,
}

/// Tokens just made. The ID token is made by whoever holds the key.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) approval: Approval,
    pub(super) access_token: String,
    /// Only with the scope `offline_access` (OpenID Connect Core section 11).
    pub(super) refresh_token: Option<String>,
}

impl Grants {
    /// Makes a code for what was approved.
    pub(super) fn code(
        &mut self,
        approval: Approval,
        redirect_uri: String,
        challenge: String,
        now: Timestamp,
    ) -> String {
        let code = opaque_secret();
        let other_half = Code {
            approval,
            redirect_uri,
            challenge,
            expires_at: now + CODE_LIFE,
            family: None,
        };
        self.codes.insert(code.clone(), other_half);
        code
    }

    /// Exchanges a code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.6).
    ///
    /// A code that was shown with anything wrong is used up: who guesses does not get to guess again.
    pub(super) fn redeem(
        &mut self,
        code: &str,
        client_id: &str,
        redirect_uri: &str,
        verifier: &str,
        now: Timestamp,
        life: SignedDuration,
    ) -> Result<Issued, OAuthError> {
        let unknown = || OAuthError::invalid_grant("the code is unknown or was used up");
        let found = self.codes.get(code).ok_or_else(unknown)?;
        if let Some(family) = found.family {
            self.kill(family);
            return Err(OAuthError::invalid_grant("the code was used before"));
        }
        let wrong = if now >= found.expires_at {
            Some("the code has expired")
        } else if found.approval.client_id != client_id {
            Some("the code was made for another client")
        } else if found.redirect_uri != redirect_uri {
            Some("the code was made for another redirect URI")
        } else if !is_verifier(verifier) || challenge_of(verifier) != found.challenge {
            Some("the PKCE verifier does not fit the challenge")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            self.codes.remove(code);
            return Err(OAuthError::invalid_grant(wrong));
        }
        let approval = found.approval.clone();
        let (family, issued) = self.begin(approval, now, life);
        if let Some(code) = self.codes.get_mut(code) {
            code.family = Some(family);
        }
        Ok(issued)
    }

    /// Begins a family of tokens.
    pub(super) fn begin(
        &mut self,
        approval: Approval,
        now: Timestamp,
        life: SignedDuration,
    ) -> (u64, Issued) {
        self.last_family += 1;
        let family = self.last_family;
        let entry = Family {
            approval,
            expires_at: now + FAMILY_LIFE,
        };
        self.families.insert(family, entry);
        (family, self.grow(family, now, life))
    }

    fn grow(&mut self, family: u64, now: Timestamp, life: SignedDuration) -> Issued {
        let approval = self.families[&family].approval.clone();
        let access_token = opaque_secret();
        let expires_at = now + life;
        self.access_tokens
            .insert(access_token.clone(), AccessToken { family, expires_at });
        let offline = approval
            .scope
            .split(' ')
            .any(|scope| scope == "offline_access");
        let refresh_token = offline.then(opaque_secret);
        if let Some(token) = refresh_token.clone() {
            let used = false;
            self.refresh_tokens
                .insert(token, RefreshToken { family, used });
        }
        Issued {
            approval,
            access_token,
            refresh_token,
        }
    }

    /// Exchanges a refresh token for new tokens, one of them its successor (RFC 6749 section 6).
    pub(super) fn refresh(
        &mut self,
        token: &str,
        client_id: &str,
        scope: Option<&str>,
        now: Timestamp,
        life: SignedDuration,
    ) -> Result<Issued, OAuthError> {
        let unknown = || OAuthError::invalid_grant("the refresh token is unknown or was revoked");
        let found = self.refresh_tokens.get_mut(token).ok_or_else(unknown)?;
        let family = found.family;
        let entry = self.families.get(&family).ok_or_else(unknown)?;
        if entry.approval.client_id != client_id {
            return Err(OAuthError::invalid_grant(
                "the refresh token belongs to another client",
            ));
        }
        if found.used {
            self.kill(family);
            return Err(OAuthError::invalid_grant(
                "the refresh token was used before; the whole session is over",
            ));
        }
        if now >= entry.expires_at {
            self.kill(family);
            return Err(OAuthError::invalid_grant("the session is over"));
        }
        let granted: HashSet<&str> = entry.approval.scope.split(' ').collect();
        if scope.is_some_and(|scope| !scope.split(' ').all(|one| granted.contains(one))) {
            return Err(OAuthError::new(
                "invalid_scope",
                "more was asked for than was granted",
            ));
        }
        found.used = true;
        Ok(self.grow(family, now, life))
    }

    /// Ends the family of a refresh or access token, if the client owns it (RFC 7009 section 2.1).
    pub(super) fn revoke(&mut self, token: &str, client_id: &str) {
        let family = self
            .refresh_tokens
            .get(token)
            .map(|token| token.family)
            .or_else(|| self.access_tokens.get(token).map(|token| token.family));
        let owned = family.filter(|family| {
            self.families
                .get(family)
                .is_some_and(|family| family.approval.client_id == client_id)
        });
        if let Some(family) = owned {
            self.kill(family);
        }
    }

    /// Who an access token speaks for.
    pub(super) fn holder(&self, access_token: &str, now: Timestamp) -> Option<&'static Person> {
        let token = self.access_tokens.get(access_token)?;
        let family = self.families.get(&token.family)?;
        (now < token.expires_at).then_some(family.approval.person)
    }

    fn kill(&mut self, family: u64) {
        self.families.remove(&family);
        self.refresh_tokens
            .retain(|_, token| token.family != family);
        self.access_tokens.retain(|_, token| token.family != family);
    }
}

/// Whether this can be an S256 challenge: the base64url of 32 bytes.
pub(super) fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD
        .decode(text)
        .is_ok_and(|bytes| bytes.len() == 32)
}

/// RFC 7636 section 4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// RFC 7636 section 4.2, S256.
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(
        &ring::digest::SHA256,
        verifier.as_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::company::PEOPLE;

    // The example of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const REDIRECT: &str = "http://127.0.0.1:4000/callback";
    const LIFE: SignedDuration = SignedDuration::from_secs(3600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn approval(scope: &str) -> Approval {
        Approval {
            person: &PEOPLE[0],
            client_id: "bsql".to_owned(),
            scope: scope.to_owned(),
            nonce: None,
            auth_time: at(0),
        }
    }

    fn with_code() -> (Grants, String) {
        let mut grants = Grants::default();
        let code = grants.code(
            approval("openid offline_access"),
            REDIRECT.to_owned(),
            CHALLENGE.to_owned(),
            at(0),
        );
        (grants, code)
    }

    fn redeem(grants: &mut Grants, code: &str, second: i64) -> Result<Issued, OAuthError> {
        grants.redeem(code, "bsql", REDIRECT, VERIFIER, at(second), LIFE)
    }

    #[test]
    fn the_rfcs_example_challenge() {
        assert_eq!(challenge_of(VERIFIER), CHALLENGE);
        assert!(is_challenge(CHALLENGE) && is_verifier(VERIFIER));
        assert!(!is_challenge("abc") && !is_challenge(&format!("{CHALLENGE}=")));
        assert!(!is_verifier(&VERIFIER[1..]) && !is_verifier(&"é".repeat(30)));
    }

    #[test]
    fn a_code_works_once_and_its_second_use_ends_everything() {
        let (mut grants, code) = with_code();
        let issued = redeem(&mut grants, &code, 59).unwrap();
        assert_eq!(
            grants.holder(&issued.access_token, at(60)).unwrap().id,
            "ada"
        );
        assert_eq!(
            redeem(&mut grants, &code, 59).unwrap_err().code,
            "invalid_grant"
        );
        assert!(grants.holder(&issued.access_token, at(60)).is_none());
        let refresh = issued.refresh_token.unwrap();
        assert!(
            grants
                .refresh(&refresh, "bsql", None, at(60), LIFE)
                .is_err()
        );
    }

    #[test]
    fn a_code_is_bound_and_a_wrong_guess_uses_it_up() {
        let other = "x".repeat(43);
        for (client, redirect, verifier, second) in [
            ("other", REDIRECT, VERIFIER, 0),
            ("bsql", "http://127.0.0.1:4001/callback", VERIFIER, 0),
            ("bsql", REDIRECT, other.as_str(), 0),
            ("bsql", REDIRECT, CHALLENGE, 0),
            ("bsql", REDIRECT, VERIFIER, 60),
        ] {
            let (mut grants, code) = with_code();
            let error = grants
                .redeem(&code, client, redirect, verifier, at(second), LIFE)
                .unwrap_err();
            assert_eq!(error.code, "invalid_grant");
            assert!(redeem(&mut grants, &code, 0).is_err(), "used up");
        }
    }

    #[test]
    fn refresh_tokens_rotate_and_reuse_ends_the_family() {
        let (mut grants, code) = with_code();
        let first = redeem(&mut grants, &code, 0).unwrap();
        let first_token = first.refresh_token.unwrap();
        let second = grants
            .refresh(&first_token, "bsql", None, at(10), LIFE)
            .unwrap();
        let second_token = second.refresh_token.unwrap();
        assert_ne!(first_token, second_token);
        let third = grants
            .refresh(&second_token, "bsql", None, at(20), LIFE)
            .unwrap();

        assert!(
            grants
                .refresh(&first_token, "bsql", None, at(30), LIFE)
                .is_err()
        );
        let newest = third.refresh_token.unwrap();
        assert!(
            grants.refresh(&newest, "bsql", None, at(30), LIFE).is_err(),
            "the newest died with the family"
        );
        assert!(grants.holder(&third.access_token, at(30)).is_none());
    }

    #[test]
    fn refusals_that_do_not_cost_the_refresh_token() {
        let (mut grants, code) = with_code();
        let token = redeem(&mut grants, &code, 0)
            .unwrap()
            .refresh_token
            .unwrap();
        let error = grants.refresh(&token, "bsql", Some("openid admin"), at(1), LIFE);
        assert_eq!(error.unwrap_err().code, "invalid_scope");
        let error = grants.refresh(&token, "other", None, at(1), LIFE);
        assert_eq!(error.unwrap_err().code, "invalid_grant");
        assert!(
            grants
                .refresh(&token, "bsql", Some("openid"), at(1), LIFE)
                .is_ok()
        );
    }

    #[test]
    fn sessions_end() {
        let (mut grants, code) = with_code();
        let token = redeem(&mut grants, &code, 0)
            .unwrap()
            .refresh_token
            .unwrap();
        let end = FAMILY_LIFE.as_secs();
        assert!(grants.refresh(&token, "bsql", None, at(end), LIFE).is_err());
    }

    #[test]
    fn no_refresh_token_unless_asked_for() {
        let mut grants = Grants::default();
        let (_, issued) = grants.begin(approval("openid email"), at(0), LIFE);
        assert!(issued.refresh_token.is_none());
    }

    #[test]
    fn revoking_any_token_of_ones_own_ends_the_family() {
        for by_access_token in [false, true] {
            let (mut grants, code) = with_code();
            let issued = redeem(&mut grants, &code, 0).unwrap();
            let refresh = issued.refresh_token.unwrap();
            let shown = if by_access_token {
                &issued.access_token
            } else {
                &refresh
            };
            grants.revoke(shown, "other");
            grants.revoke("nonsense", "bsql");
            assert!(grants.holder(&issued.access_token, at(1)).is_some());
            grants.revoke(shown, "bsql");
            assert!(grants.holder(&issued.access_token, at(1)).is_none());
            assert!(grants.refresh(&refresh, "bsql", None, at(1), LIFE).is_err());
        }
    }

    #[test]
    fn access_tokens_end() {
        let (mut grants, code) = with_code();
        let token = redeem(&mut grants, &code, 0).unwrap().access_token;
        assert!(grants.holder(&token, at(3599)).is_some());
        assert!(grants.holder(&token, at(3600)).is_none());
    }
}
