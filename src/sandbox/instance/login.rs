//! Who becomes which database user.
//!
//! <https://cloud.google.com/sql/docs/postgres/iam-authentication>: a certificate that was signed together with a login
//! token lets its principal in as the database user of the same name, without a password. With any other certificate the
//! login token is the password. Users that Cloud SQL has made itself have passwords of their own.

use jiff::Timestamp;

use super::startup::Refusal;
use crate::sandbox::company::{BUILT_IN_PASSWORD, BUILT_IN_USER, Instance};
use crate::sandbox::google::principals::{DatabaseUser, database_users, may_connect};
use crate::sandbox::google::tokens::{Grant, SQL_LOGIN, Tokens};

/// What to do with somebody who wants to log in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Let them in.
    Welcome,
    /// See what password they have.
    AskPassword,
    /// Send them away.
    Refuse(Refusal),
}

/// Judges by the certificate's `login`, if it has one.
pub(super) fn judge(
    instance: &Instance,
    login: Option<&Grant>,
    user: &str,
    now: Timestamp,
) -> Verdict {
    match (iam_user(instance, user), login) {
        (Some(iam), Some(login)) => {
            if belongs(instance, &iam, login) && login.expires_at > now {
                Verdict::Welcome
            } else {
                Verdict::Refuse(iam_failed("28000", user))
            }
        }
        // A name like an IAM user's, but of none on this instance.
        (None, _) if user.contains('@') => Verdict::Refuse(iam_failed("28000", user)),
        _ => Verdict::AskPassword,
    }
}

/// Judges by the password.
pub(super) fn judge_password(
    instance: &Instance,
    tokens: &Tokens,
    user: &str,
    password: &str,
) -> Result<(), Refusal> {
    let failed = |correct: bool, refusal: Refusal| if correct { Ok(()) } else { Err(refusal) };
    match iam_user(instance, user) {
        Some(iam) => failed(
            is_login_token(instance, &iam, tokens, password),
            iam_failed("28P01", user),
        ),
        None => failed(
            user == BUILT_IN_USER && password == BUILT_IN_PASSWORD,
            Refusal::new(
                "28P01",
                format!("password authentication failed for user \"{user}\""),
            ),
        ),
    }
}

/// The IAM database user of this name.
pub(super) fn iam_user(instance: &Instance, name: &str) -> Option<DatabaseUser> {
    database_users(instance)
        .into_iter()
        .find(|user| user.name == name)
}

/// Whether the grant is that user's, who may connect.
pub(super) fn belongs(instance: &Instance, user: &DatabaseUser, grant: &Grant) -> bool {
    user.email == grant.principal && may_connect(&grant.principal, instance)
}

/// Whether a password is that user's login token.
pub(super) fn is_login_token(
    instance: &Instance,
    user: &DatabaseUser,
    tokens: &Tokens,
    password: &str,
) -> bool {
    let grant = tokens.grant(password);
    grant.is_some_and(|grant| grant.covers(&[SQL_LOGIN]) && belongs(instance, user, &grant))
}

fn iam_failed(code: &'static str, user: &str) -> Refusal {
    let what = if user.rsplit('.').next() == Some("iam") {
        "IAM service account"
    } else {
        "IAM user"
    };
    Refusal::new(
        code,
        format!("Cloud SQL {what} authentication failed for user \"{user}\""),
    )
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::clock::Clock;
    use crate::sandbox::company::INSTANCES;
    use crate::sandbox::google::tokens::SQL_ADMIN;

    const ADA: &str = "ada@acme.example";
    const CHLOE: &str = "chloe@acme.example";
    const ACCOUNT: &str = "bsql@acme-tools.iam.gserviceaccount.com";

    fn grant(principal: &str) -> Grant {
        Grant {
            principal: principal.to_owned(),
            scopes: vec![SQL_LOGIN.to_owned()],
            expires_at: Clock::system().now() + SignedDuration::from_mins(5),
        }
    }

    #[test]
    fn a_certificate_logs_in_its_own_principal_only() {
        let [payments, production, orders, ..] = &INSTANCES;
        let now = Clock::system().now();
        let later = now + SignedDuration::from_mins(6);
        let refused = |user| Verdict::Refuse(iam_failed("28000", user));
        let (ada, account) = (grant(ADA), grant(ACCOUNT));
        for (instance, login, user, at, expected) in [
            (payments, Some(&ada), ADA, now, Verdict::Welcome),
            (payments, Some(&ada), CHLOE, now, refused(CHLOE)),
            (payments, Some(&ada), ADA, later, refused(ADA)),
            (payments, Some(&ada), "app", now, Verdict::AskPassword),
            (payments, Some(&ada), "nobody", now, Verdict::AskPassword),
            // May connect, but is no database user.
            (orders, Some(&ada), ADA, now, refused(ADA)),
            (orders, None, ADA, now, refused(ADA)),
            (payments, None, ADA, now, Verdict::AskPassword),
            (
                payments,
                Some(&account),
                "bsql@acme-tools.iam",
                now,
                Verdict::Welcome,
            ),
            (
                production,
                Some(&account),
                "bsql@acme-tools.iam",
                now,
                refused("bsql@acme-tools.iam"),
            ),
        ] {
            let verdict = judge(instance, login, user, at);
            assert_eq!(verdict, expected, "{user} on {}", instance.name);
        }
    }

    #[test]
    fn a_login_token_is_a_password() {
        let payments = &INSTANCES[0];
        let tokens = Tokens::default();
        let token = |principal, scope: &str| {
            let life = SignedDuration::from_mins(5);
            tokens.issue(principal, vec![scope.to_owned()], life).0
        };
        let wrong = Err(iam_failed("28P01", ADA));
        for (password, expected) in [
            (token(ADA, SQL_LOGIN), Ok(())),
            (token(ADA, SQL_ADMIN), wrong),
            (token(CHLOE, SQL_LOGIN), Err(iam_failed("28P01", ADA))),
            (BUILT_IN_PASSWORD.to_owned(), Err(iam_failed("28P01", ADA))),
        ] {
            assert_eq!(judge_password(payments, &tokens, ADA, &password), expected);
        }
    }

    #[test]
    fn built_in_users_have_passwords() {
        let payments = &INSTANCES[0];
        let tokens = Tokens::default();
        let check = |user, password| judge_password(payments, &tokens, user, password);
        assert_eq!(check(BUILT_IN_USER, BUILT_IN_PASSWORD), Ok(()));
        let refusal = check(BUILT_IN_USER, "guess").unwrap_err();
        assert_eq!(refusal.code, "28P01");
        assert_eq!(
            refusal.message,
            "password authentication failed for user \"app\""
        );
        assert!(check("postgres", BUILT_IN_PASSWORD).is_err());
    }
}
