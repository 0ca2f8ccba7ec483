//! Who exists in Acme's Google Cloud, what IAM lets them do, and which database users they are.

use crate::sandbox::company::{BUILT_IN_USER, Engine, Instance, PEOPLE};

/// The permission to read about an instance and to connect to it (roles/cloudsql.client), and to log in with IAM
/// (roles/cloudsql.instanceUser).
pub(in crate::sandbox) fn may_connect(principal: &str, instance: &Instance) -> bool {
    instance.clients.contains(&principal)
        || service_account(principal).is_some_and(|account| (account.reaches)(instance))
}

/// A service account.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct ServiceAccount {
    /// Its mail address.
    pub(in crate::sandbox) email: &'static str,
    /// Who holds roles/iam.serviceAccountTokenCreator on it.
    pub(in crate::sandbox) impersonators: &'static [&'static str],
    /// Where it is a client and a database user.
    reaches: fn(&Instance) -> bool,
    /// Whether its database users may only read.
    read_only: bool,
}

const ADA: &str = PEOPLE[0].email;
const CHLOE: &str = PEOPLE[2].email;

/// Every service account. The second one can only be reached through the first: a chain.
pub(in crate::sandbox) const SERVICE_ACCOUNTS: [ServiceAccount; 2] = [
    ServiceAccount {
        email: "bsql@acme-tools.iam.gserviceaccount.com",
        impersonators: &[ADA, CHLOE],
        reaches: |instance| instance.project == "acme-staging",
        read_only: true,
    },
    ServiceAccount {
        email: "break-glass@acme-tools.iam.gserviceaccount.com",
        impersonators: &["bsql@acme-tools.iam.gserviceaccount.com"],
        reaches: |_| true,
        read_only: false,
    },
];

/// The service account with this mail address.
pub(in crate::sandbox) fn service_account(email: &str) -> Option<&'static ServiceAccount> {
    SERVICE_ACCOUNTS
        .iter()
        .find(|account| account.email == email)
}

/// A kind of database user, as `users.list` of the SQL Admin API calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum UserType {
    /// With a password.
    BuiltIn,
    /// A person of the workforce pool.
    Workforce,
    /// A service account.
    ServiceAccount,
}

impl UserType {
    /// The API's word.
    pub(in crate::sandbox) fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "BUILT_IN",
            Self::Workforce => "CLOUD_IAM_WORKFORCE_IDENTITY",
            Self::ServiceAccount => "CLOUD_IAM_SERVICE_ACCOUNT",
        }
    }
}

/// An IAM database user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct DatabaseUser {
    /// The PostgreSQL role, or the MySQL user.
    pub(in crate::sandbox) name: String,
    /// The mail address of the principal.
    pub(in crate::sandbox) email: &'static str,
    /// Its kind.
    pub(in crate::sandbox) user_type: UserType,
    /// Whether it may only read.
    pub(in crate::sandbox) read_only: bool,
}

/// The IAM database users of an instance. SQL Server has none.
pub(in crate::sandbox) fn database_users(instance: &Instance) -> Vec<DatabaseUser> {
    let engine = instance.engine();
    let people = instance.iam_users.iter().map(move |email| DatabaseUser {
        name: database_user_name(engine, email),
        email,
        user_type: UserType::Workforce,
        read_only: false,
    });
    let accounts = SERVICE_ACCOUNTS.iter();
    let accounts =
        accounts.filter(|account| engine != Engine::SqlServer && (account.reaches)(instance));
    let accounts = accounts.map(move |account| DatabaseUser {
        name: database_user_name(engine, account.email),
        email: account.email,
        user_type: UserType::ServiceAccount,
        read_only: account.read_only,
    });
    people.chain(accounts).collect()
}

/// The PostgreSQL role of a principal: the mail address in lower case, for service accounts without the domain that they
/// all share, since a role's name has 63 bytes at most. In MySQL, where a user's name has 32 characters at most, it is what
/// comes before the `@`.
fn database_user_name(engine: Engine, email: &str) -> String {
    let email = email.to_lowercase();
    if engine == Engine::MySql {
        return email.split('@').next().unwrap_or_default().to_owned();
    }
    match email.strip_suffix(".gserviceaccount.com") {
        Some(short) => short.to_owned(),
        None => email,
    }
}

/// The users with a password of an instance.
pub(in crate::sandbox) fn built_in_users(instance: &Instance) -> [&'static str; 2] {
    let administrator = match instance.engine() {
        Engine::Postgres => "postgres",
        Engine::MySql => "root",
        Engine::SqlServer => "sqlserver",
    };
    [administrator, BUILT_IN_USER]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::company::INSTANCES;

    #[test]
    fn roles_are_named_as_cloud_sql_names_them() {
        let name = |email| database_user_name(Engine::Postgres, email);
        assert_eq!(name("Ada@Acme.example"), "ada@acme.example");
        assert_eq!(name(SERVICE_ACCOUNTS[0].email), "bsql@acme-tools.iam");
        let name = |email| database_user_name(Engine::MySql, email);
        assert_eq!(name("Ada@Acme.example"), "ada");
        assert_eq!(name(SERVICE_ACCOUNTS[0].email), "bsql");
    }

    #[test]
    fn a_client_need_not_be_a_database_user() {
        let orders = &INSTANCES[2];
        assert!(may_connect(ADA, orders));
        let users = database_users(orders);
        assert!(users.iter().all(|user| user.email != ADA));
        assert!(users.iter().any(|user| user.name == "bsql@acme-tools.iam"));
        let production = &INSTANCES[1];
        assert!(!may_connect(SERVICE_ACCOUNTS[0].email, production));
        assert!(may_connect(SERVICE_ACCOUNTS[1].email, production));
    }
}
