//! What every server gets before its first client: roles, the database, its data and who may read it.

use std::fmt::Write as _;

use tokio_postgres::{Config, NoTls};

use super::engine::Stream;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::sandbox::company::{BUILT_IN_USER, Instance};
use crate::sandbox::google::principals;

/// Creates everything, once. `connect` opens a stream to the server; `maintenance` is a database that exists.
pub(super) async fn furnish<F>(
    instance: &Instance,
    maintenance: &str,
    connect: impl Fn() -> F,
) -> Result<()>
where
    F: Future<Output = Result<Box<dyn Stream>>>,
{
    // Alone, because it cannot be part of a transaction, and several statements at once are one.
    let create = format!("CREATE DATABASE {}", quoted(instance.database));
    run(connect().await?, maintenance, &create).await?;
    // At once, because every connection to the embedded engine costs 0.15 s.
    let everything = [&roles(instance), instance.data, &grants(instance)].concat();
    run(connect().await?, instance.database, &everything).await
}

/// Runs `sql` as the superuser.
pub(super) async fn run(stream: Box<dyn Stream>, database: &str, sql: &str) -> Result<()> {
    let work = async {
        let (client, connection) = Config::new()
            .user("postgres")
            .dbname(database)
            .application_name("bsql sandbox")
            .connect_raw(stream, NoTls)
            .await?;
        let execute = async {
            let executed = client.batch_execute(sql).await;
            // The connection ends when nobody is left to use it.
            drop(client);
            executed
        };
        let (executed, ended) = tokio::join!(execute, connection);
        executed.and(ended)
    };
    work.await.or_fail(ErrorKind::Internal, || {
        format!("cannot set up the database `{database}`")
    })
}

/// As in Cloud SQL: IAM users are members of `cloudsqliamuser` and can do nothing until somebody grants them something.
fn roles(instance: &Instance) -> String {
    let mut sql = format!(
        "CREATE ROLE cloudsqliamuser; CREATE ROLE {} LOGIN;\n",
        quoted(BUILT_IN_USER)
    );
    for user in principals::database_users(instance) {
        let _ = write!(
            sql,
            "CREATE ROLE {} LOGIN IN ROLE cloudsqliamuser;",
            quoted(&user.name)
        );
    }
    sql
}

fn grants(instance: &Instance) -> String {
    let mut sql = String::new();
    let users = principals::database_users(instance);
    let writers = users.iter().filter(|user| !user.read_only);
    let mut writers: Vec<String> = writers.map(|user| quoted(&user.name)).collect();
    writers.push(quoted(BUILT_IN_USER));
    let readers = users.iter().filter(|user| user.read_only);
    for reader in readers.map(|user| quoted(&user.name)) {
        let _ = write!(
            sql,
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};"
        );
    }
    let writers = writers.join(", ");
    let _ = write!(
        sql,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {writers};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {writers};"
    );
    sql
}

/// An identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("ada@acme.example"), "\"ada@acme.example\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
