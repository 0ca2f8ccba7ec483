//! What every server gets before its first client, as SQL that the server reads when it starts.

use std::fmt::Write as _;

use super::native_password;
use crate::sandbox::company::{BUILT_IN_USER, Instance};
use crate::sandbox::google::principals;
use crate::secret::Secret;

/// A file for `--init-file`: a statement ends where a line ends with a semicolon. Afterwards there are only accounts with
/// the `password`, which itself is not in the file.
///
/// The new server comes with accounts that need none, `root` among them. `mariadb.sys` owns the views of the schema `sys`,
/// and nobody can log in as that.
pub(super) fn init_file(instance: &Instance, password: &Secret) -> String {
    let database = instance.database;
    let identified = format!(
        "IDENTIFIED VIA mysql_native_password USING '{}'",
        native_password::kept(password.expose())
    );
    let mut sql = format!(
        "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';\nFLUSH PRIVILEGES;\n\
         CREATE DATABASE `{database}`;\nUSE `{database}`;\n{}\n\
         CREATE USER {app} {identified};\nGRANT ALL ON `{database}`.* TO {app};\n",
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
            "CREATE USER {account} {identified};\nGRANT {may} ON `{database}`.* TO {account};\n"
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
    fn every_statement_ends_a_line_and_every_account_has_a_password() {
        let password = Secret::from("hunter2".to_owned());
        let instances = INSTANCES.iter();
        for instance in instances.filter(|instance| instance.engine() == Engine::MySql) {
            let sql = init_file(instance, &password);
            assert!(sql.ends_with(";\n"));
            let accounts = sql.lines().filter(|line| line.starts_with("CREATE USER"));
            let accounts: Vec<&str> = accounts.collect();
            assert!(accounts.len() > 3, "{sql}");
            assert!(accounts[1].starts_with("CREATE USER 'ada'@'%' IDENTIFIED"));
            assert!(
                accounts.iter().all(
                    |line| line.ends_with("USING '*58815970BE77B3720276F63DB198B1FA42E5CC02';")
                ),
                "{sql}"
            );
            assert!(!sql.contains("hunter2"));
            assert!(
                sql.lines()
                    .all(|line| !line.trim_end_matches(';').contains(';'))
            );
        }
        assert_eq!(account("o'hara"), "'o''hara'@'%'");
    }
}
