//! What runs on an instance, which address to take, and what the database calls somebody.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result, printable};

/// A database engine of Cloud SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL.
    MySql,
    /// Microsoft SQL Server.
    SqlServer,
}

impl Engine {
    /// The engine of a `databaseVersion` such as `POSTGRES_17`; `None` for one this bsql does not know.
    pub fn of_version(version: &str) -> Option<Self> {
        // Whatever comes behind: new versions appear every year.
        [
            ("POSTGRES", Self::Postgres),
            ("MYSQL", Self::MySql),
            ("SQLSERVER", Self::SqlServer),
        ]
        .into_iter()
        .find(|(prefix, _)| version.starts_with(prefix))
        .map(|(_, engine)| engine)
    }

    /// The name for machines: `postgres`, `mysql` or `sqlserver`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::SqlServer => "sqlserver",
        }
    }

    /// The database to connect to when nobody names one. MySQL needs none.
    pub fn default_database(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some("postgres"),
            Self::MySql => None,
            Self::SqlServer => Some("master"),
        }
    }

    /// Whether an instance of this engine lets somebody in by their Google identity.
    pub fn has_iam_login(self) -> bool {
        match self {
            Self::Postgres | Self::MySql => true,
            Self::SqlServer => false,
        }
    }
}

/// The name for people.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL",
            Self::SqlServer => "SQL Server",
        })
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" | "pg" => Ok(Self::Postgres),
            "mysql" => Ok(Self::MySql),
            "sqlserver" | "sql-server" | "mssql" => Ok(Self::SqlServer),
            _ => Err(ErrorKind::Usage.error(format!(
                "`{}` is not a database engine: use postgres, mysql or sqlserver",
                printable(text)
            ))),
        }
    }
}

/// Which of an instance's addresses to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IpType {
    /// The public one.
    #[default]
    Public,
    /// The one in the VPC.
    Private,
    /// Its end in one's own network (Private Service Connect), which has a name and no address.
    Psc,
    /// The first that there is of public, private and Private Service Connect.
    Auto,
}

impl FromStr for IpType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "public" => Ok(Self::Public),
            "private" => Ok(Self::Private),
            "psc" => Ok(Self::Psc),
            "auto" => Ok(Self::Auto),
            _ => Err(ErrorKind::Usage.error(format!(
                "`{}` is not a type of address: use public, private, psc or auto",
                printable(text)
            ))),
        }
    }
}

impl fmt::Display for IpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Psc => "psc",
            Self::Auto => "auto",
        })
    }
}

/// The database user of somebody who signs in with IAM, from their mail address, which for a workforce identity is the
/// attribute-mapped subject.
///
/// PostgreSQL: the address in lower case, a service account's without `.gserviceaccount.com`. MySQL: what stands before
/// the `@`. See <https://cloud.google.com/sql/docs/postgres/iam-authentication>. SQL Server has no such users.
pub fn database_user(principal_email: &str, engine: Engine) -> String {
    let email = principal_email.to_lowercase();
    match engine {
        Engine::Postgres => email
            .strip_suffix(".gserviceaccount.com")
            .unwrap_or(&email)
            .to_owned(),
        Engine::MySql => email.split('@').next().unwrap_or_default().to_owned(),
        Engine::SqlServer => email,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_by_version_and_by_word() {
        for (version, engine) in [
            ("POSTGRES_17", Some(Engine::Postgres)),
            ("MYSQL_8_0_36", Some(Engine::MySql)),
            ("SQLSERVER_2022_STANDARD", Some(Engine::SqlServer)),
            ("ORACLE_23", None),
            ("", None),
        ] {
            assert_eq!(Engine::of_version(version), engine, "{version}");
        }
        for engine in [Engine::Postgres, Engine::MySql, Engine::SqlServer] {
            assert_eq!(engine.name().parse::<Engine>().unwrap(), engine);
        }
        assert_eq!("PostgreSQL".parse::<Engine>().unwrap(), Engine::Postgres);
        assert!("oracle".parse::<Engine>().is_err());
    }

    #[test]
    fn address_types() {
        for ip_type in [IpType::Public, IpType::Private, IpType::Psc, IpType::Auto] {
            assert_eq!(ip_type.to_string().parse::<IpType>().unwrap(), ip_type);
        }
        assert!("nat".parse::<IpType>().is_err());
    }

    #[test]
    fn database_users() {
        for (email, engine, user) in [
            ("Ada@Acme.example", Engine::Postgres, "ada@acme.example"),
            ("Ada@Acme.example", Engine::MySql, "ada"),
            (
                "app@acme.iam.gserviceaccount.com",
                Engine::Postgres,
                "app@acme.iam",
            ),
            ("app@acme.iam.gserviceaccount.com", Engine::MySql, "app"),
            ("subject-7", Engine::MySql, "subject-7"),
        ] {
            assert_eq!(database_user(email, engine), user, "{email} {engine}");
        }
    }
}
