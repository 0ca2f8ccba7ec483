//! Acme, the company of the sandbox: who works there, which instances it runs, and who may do what on them.
//!
//! Only what more than one counter must agree on is here. Backstage's entities are in `catalog/acme.json`.

/// Somebody who can sign in.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// The user name; also the name of the Backstage User.
    pub id: &'static str,
    /// The mail address; also the workforce subject and the database user.
    pub email: &'static str,
    /// The name to show.
    pub name: &'static str,
    /// One line for the sign-in page.
    pub role: &'static str,
    /// Backstage groups, by name.
    pub groups: &'static [&'static str],
}

/// Everybody. The first one is who `--auto-approve` signs in when nobody is named.
pub const PEOPLE: [Person; 4] = [
    Person {
        id: "ada",
        email: "ada@acme.example",
        name: "Ada Berg",
        role: "develops payments and the ledger",
        groups: &["payments"],
    },
    Person {
        id: "bruno",
        email: "bruno@acme.example",
        name: "Bruno Silva",
        role: "develops orders",
        groups: &["orders"],
    },
    Person {
        id: "chloe",
        email: "chloe@acme.example",
        name: "Chloe Martin",
        role: "is on call for everything",
        groups: &["platform", "on-call"],
    },
    Person {
        id: "dmitri",
        email: "dmitri@acme.example",
        name: "Dmitri Novak",
        role: "joined today, in no team yet",
        groups: &[],
    },
];

/// A Cloud SQL instance and who gets in.
#[derive(Debug, Clone, Copy)]
pub struct Instance {
    /// The Google Cloud project.
    pub project: &'static str,
    /// The region.
    pub region: &'static str,
    /// The instance id within the project.
    pub name: &'static str,
    /// As SQL Admin says it.
    pub database_version: &'static str,
    /// The one database on it.
    pub database: &'static str,
    /// Who holds roles/cloudsql.client and roles/cloudsql.instanceUser on it, by mail address.
    pub clients: &'static [&'static str],
    /// The IAM database users that exist on it, by mail address.
    pub iam_users: &'static [&'static str],
    /// SQL that creates its tables and rows, run once as the superuser.
    pub data: &'static str,
}

/// What runs on an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL.
    MySql,
    /// Microsoft SQL Server.
    SqlServer,
}

impl Instance {
    /// By its version.
    pub fn engine(&self) -> Engine {
        match self.database_version {
            version if version.starts_with("MYSQL") => Engine::MySql,
            version if version.starts_with("SQLSERVER") => Engine::SqlServer,
            _ => Engine::Postgres,
        }
    }

    /// Its place in [`INSTANCES`], by which whoever has something for each of them keeps it.
    pub fn place(&self) -> usize {
        INSTANCES
            .iter()
            .position(|other| other.project == self.project && other.name == self.name)
            .expect("instances come from there")
    }

    /// `project:region:instance`.
    pub fn connection_name(&self) -> String {
        format!("{}:{}:{}", self.project, self.region, self.name)
    }
}

const ADA: &str = PEOPLE[0].email;
const BRUNO: &str = PEOPLE[1].email;
const CHLOE: &str = PEOPLE[2].email;

/// Every instance. Ada may reach orders in staging but has no database user there: the most common refusal of all.
pub const INSTANCES: [Instance; 8] = [
    Instance {
        project: "acme-staging",
        region: "europe-west1",
        name: "payments",
        database_version: "POSTGRES_17",
        database: "payments",
        clients: &[ADA, BRUNO, CHLOE],
        iam_users: &[ADA, CHLOE],
        data: include_str!("data/payments.sql"),
    },
    Instance {
        project: "acme-production",
        region: "europe-west1",
        name: "payments",
        database_version: "POSTGRES_17",
        database: "payments",
        clients: &[ADA, CHLOE],
        iam_users: &[ADA, CHLOE],
        data: include_str!("data/payments.sql"),
    },
    Instance {
        project: "acme-staging",
        region: "europe-west1",
        name: "orders",
        database_version: "POSTGRES_17",
        database: "orders",
        clients: &[ADA, BRUNO, CHLOE],
        iam_users: &[BRUNO, CHLOE],
        data: include_str!("data/orders.sql"),
    },
    Instance {
        project: "acme-production",
        region: "europe-west1",
        name: "orders",
        database_version: "POSTGRES_17",
        database: "orders",
        clients: &[BRUNO, CHLOE],
        iam_users: &[BRUNO, CHLOE],
        data: include_str!("data/orders.sql"),
    },
    Instance {
        project: "acme-staging",
        region: "europe-west4",
        name: "ledger",
        database_version: "POSTGRES_17",
        database: "ledger",
        clients: &[ADA, CHLOE],
        iam_users: &[ADA, CHLOE],
        data: include_str!("data/ledger.sql"),
    },
    Instance {
        project: "acme-production",
        region: "europe-west4",
        name: "ledger",
        database_version: "POSTGRES_17",
        database: "ledger",
        clients: &[ADA, CHLOE],
        iam_users: &[ADA, CHLOE],
        data: include_str!("data/ledger.sql"),
    },
    Instance {
        project: "acme-staging",
        region: "europe-west1",
        name: "storefront",
        database_version: "MYSQL_8_0",
        database: "storefront",
        clients: &[ADA, CHLOE],
        iam_users: &[ADA, CHLOE],
        data: include_str!("data/storefront.sql"),
    },
    Instance {
        project: "acme-staging",
        region: "europe-west1",
        name: "warehouse",
        database_version: "SQLSERVER_2022_STANDARD",
        database: "warehouse",
        clients: &[ADA, CHLOE],
        iam_users: &[],
        data: "",
    },
];

/// The workforce provider that trusts the identity provider.
pub const WORKFORCE_PROVIDER: &str = "locations/global/workforcePools/acme/providers/sandbox";
/// The project that API calls are counted against.
pub const USER_PROJECT: &str = "acme-tools";
/// The OIDC client of bsql, and so the audience of its ID tokens.
pub const CLIENT_ID: &str = "bsql";
/// A database user with a password, on every instance, as services have them.
pub const BUILT_IN_USER: &str = "app";
/// Its password.
pub const BUILT_IN_PASSWORD: &str = "sbx-secret-app-password";

/// The person with this user name or mail address.
pub fn person(id_or_email: &str) -> Option<&'static Person> {
    PEOPLE
        .iter()
        .find(|person| person.id == id_or_email || person.email == id_or_email)
}
