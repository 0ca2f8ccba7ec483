//! What differs between PostgreSQL, MySQL and SQL Server on the way to a database.

use crate::cloudsql::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::Dialect;
use crate::tunnel::Protocol;

/// What a tunnel to it speaks.
pub(super) fn protocol(engine: Engine) -> Protocol {
    match engine {
        Engine::Postgres => Protocol::Postgres,
        Engine::MySql => Protocol::MySql,
        Engine::SqlServer => Protocol::SqlServer,
    }
}

/// What bsql itself speaks to it, if it does.
pub(super) fn dialect(engine: Engine) -> Option<Dialect> {
    match engine {
        Engine::Postgres => Some(Dialect::Postgres),
        Engine::MySql => Some(Dialect::MySql),
        Engine::SqlServer => None,
    }
}

/// Whether the client certificate is to be the database login as well: `own` is the person's own user there. PostgreSQL
/// lets other users in with such a certificate too; MySQL refuses all but the one in it.
pub(super) fn is_iam_login(engine: Engine, user: Option<&str>, own: &str) -> bool {
    match engine {
        Engine::Postgres => true,
        Engine::MySql => user.is_none_or(|user| user == own),
        Engine::SqlServer => false,
    }
}

/// What an engine cannot do is refused before anything is dialled.
pub(super) fn require_able(
    engine: Engine,
    command: &str,
    name: &str,
    user: Option<&str>,
    read_only: bool,
) -> Result<()> {
    if engine.has_iam_login() {
        return Ok(());
    }
    let with_user = format!("bsql connect {name} -u USER, whose client asks for the password");
    match command {
        "query" => Err(speaks_not(name, engine).hint(format!(
            "use a client program: {with_user}; or bsql exec {name} -u USER -- sqlcmd -Q 'SQL'"
        ))),
        "token" => Err(ErrorKind::Usage
            .error(format!("{engine} on Cloud SQL has no IAM login, so no token opens `{name}`"))
            .hint(with_user)),
        _ if read_only => Err(ErrorKind::Usage
            .error(format!("`{name}` is a {engine} database, whose sessions cannot be made read-only from outside"))
            .hint("leave out --read-only, and name a user that is a member of db_datareader alone: -u USER")),
        _ if user.is_none() => Err(ErrorKind::Usage
            .error(format!("cannot sign in to `{name}` as yourself"))
            .because(anyhow::anyhow!("{engine} on Cloud SQL has no IAM login"))
            .hint(format!("name a user of the database: bsql {command} {name} -u USER"))
            .hint("its password is asked for by the client; ask the database's owner for one")),
        _ => Ok(()),
    }
}

/// SQL Server's clients agree on encryption within a protocol of its own, which tunnels do not read.
pub(super) fn require_local_tls(wanted: bool, protocol: Protocol) -> Result<()> {
    if !wanted || protocol != Protocol::SqlServer {
        return Ok(());
    }
    Err(ErrorKind::Usage
        .error(format!(
            "`--local-tls` is for PostgreSQL and MySQL, and this is a {protocol} database"
        ))
        .hint("leave it out: what a client sends to the tunnel stays on this machine"))
}

/// For what bsql would have to say itself.
pub(super) fn speaks_not(name: &str, engine: Engine) -> Error {
    ErrorKind::Usage.error(format!(
        "`{name}` is a {engine} database, which bsql itself does not speak to"
    ))
}

/// The catalog says one thing and Google another.
pub(super) fn require_same(
    name: &str,
    catalog: Option<Engine>,
    google: Option<Engine>,
) -> Result<()> {
    match (catalog, google) {
        (Some(catalog), Some(google)) if catalog != google => Err(ErrorKind::Catalog
            .error(format!(
                "the catalog says that `{name}` is {catalog}, and its instance is {google}"
            ))
            .hint("tell the entity's owner: its `bsql.dev/engine`, or the instance that it names, is wrong")),
        _ => Ok(()),
    }
}

/// For an instance whose engine nobody says but Google.
pub(super) fn known(name: &str, engine: Option<Engine>, version: &str) -> Result<Engine> {
    engine.ok_or_else(|| {
        ErrorKind::Config.error(format!(
            "`{name}` is of the version `{version}`, which this bsql does not know"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_takes_no_login_but_ones_own() {
        for (engine, user, expected) in [
            (Engine::Postgres, None, true),
            (Engine::Postgres, Some("app"), true),
            (Engine::MySql, None, true),
            (Engine::MySql, Some("ada"), true),
            (Engine::MySql, Some("app"), false),
            (Engine::SqlServer, Some("ada"), false),
        ] {
            assert_eq!(
                is_iam_login(engine, user, "ada"),
                expected,
                "{engine} {user:?}"
            );
        }
    }

    #[test]
    fn sql_server_says_what_it_cannot_and_what_can_be_done() {
        let asked = |command, user, read_only| {
            let able = require_able(Engine::SqlServer, command, "warehouse", user, read_only);
            able.map_err(|error| (error.to_string(), error.next_steps()[0].to_owned()))
        };
        assert_eq!(asked("connect", Some("app"), false), Ok(()));
        for (command, user, read_only, hint) in [
            ("connect", None, false, "bsql connect warehouse -u USER"),
            ("tunnel", None, false, "bsql tunnel warehouse -u USER"),
            ("query", Some("app"), true, "bsql connect warehouse -u USER"),
            ("token", None, false, "bsql connect warehouse -u USER"),
            ("connect", Some("app"), true, "db_datareader"),
        ] {
            let (message, next) = asked(command, user, read_only).unwrap_err();
            assert!(message.contains("warehouse"), "{message}");
            assert!(next.contains(hint), "{next}");
        }
        assert!(require_able(Engine::MySql, "query", "storefront", None, true).is_ok());
    }

    #[test]
    fn catalog_and_instance_agree() {
        let mysql = Some(Engine::MySql);
        assert!(require_same("payments", mysql, mysql).is_ok());
        assert!(require_same("payments", None, mysql).is_ok());
        assert!(require_same("payments", mysql, None).is_ok());
        let error = require_same("payments", Some(Engine::Postgres), mysql).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Catalog);
        assert_eq!(
            error.to_string(),
            "the catalog says that `payments` is PostgreSQL, and its instance is MySQL"
        );
        let unknown = known("payments", None, "ORACLE_23").unwrap_err();
        assert!(unknown.to_string().contains("ORACLE_23"));
    }
}
