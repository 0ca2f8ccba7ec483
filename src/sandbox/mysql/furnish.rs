//! What every server gets before its first client, as SQL that the server reads when it starts.

use std::fmt::Write as _;

use crate::sandbox::company::{BUILT_IN_PASSWORD, BUILT_IN_USER, Instance};
use crate::sandbox::google::principals;

/// A file for `--init-file`: a statement ends where a line ends with a semicolon.
pub(super) fn init_file(instance: &Instance) -> String {
    let database = instance.database;
    let mut sql = format!(
        "CREATE DATABASE `{database}`;\nUSE `{database}`;\n{}\n\
         CREATE USER {app} IDENTIFIED BY '{BUILT_IN_PASSWORD}';\n\
         GRANT ALL ON `{database}`.* TO {app};\n",
        instance.data,
        app = account(BUILT_IN_USER),
    );
    for user in principals::database_users(instance) {
        let account = account(&user.name);
        let may = if user.read_only {
            "SELECT"
        } else {
            "SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES"
        };
        let _ = write!(
            sql,
            "CREATE USER {account};\nGRANT {may} ON `{database}`.* TO {account};\n"
        );
    }
    sql
}

/// As Cloud SQL makes them: from everywhere.
fn account(name: &str) -> String {
    format!("'{}'@'%'", name.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::company::{Engine, INSTANCES};

    #[test]
    fn every_statement_ends_a_line() {
        let instances = INSTANCES.iter();
        for instance in instances.filter(|instance| instance.engine() == Engine::MySql) {
            let sql = init_file(instance);
            assert!(sql.ends_with(";\n"));
            assert!(sql.contains("CREATE USER 'ada'@'%';\n"), "{sql}");
            assert!(
                sql.lines()
                    .all(|line| !line.trim_end_matches(';').contains(';'))
            );
        }
        assert_eq!(account("o'hara"), "'o''hara'@'%'");
    }
}
