//! What a login asks of its session, as one statement.

use super::super::Login;
use super::greeting::Greeting;

/// The statement for it; `None` when nothing is asked.
pub(super) fn statement(login: &Login, greeting: &Greeting) -> Option<String> {
    let is_mariadb = greeting.is_mariadb();
    let mut settings = Vec::new();
    if login.read_only {
        // MariaDB has only had the new name since 11.1, and kept the old one.
        let old = is_mariadb || greeting.number() < (5, 7, 20);
        let name = if old {
            "tx_read_only"
        } else {
            "transaction_read_only"
        };
        settings.push(format!("SESSION {name} = 1"));
    }
    if let Some(limit) = login.statement_timeout {
        // 0 would mean no limit at all.
        let milliseconds = limit.as_millis().max(1);
        settings.push(if is_mariadb {
            let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
            format!("SESSION max_statement_time = {seconds}.{rest:03}")
        } else {
            format!("SESSION max_execution_time = {milliseconds}")
        });
    }
    (!settings.is_empty()).then(|| format!("SET {}", settings.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mysql_common::constants::CapabilityFlags;

    use super::super::super::Dialect;
    use super::super::greeting::tests::greeting;
    use super::*;

    #[test]
    fn by_flavour_and_version() {
        let asked = |version: &str, read_only, timeout: Option<u64>| {
            let login = Login {
                dialect: Dialect::MySql,
                database: String::new(),
                user: "ada".to_owned(),
                password: None,
                application_name: String::new(),
                read_only,
                statement_timeout: timeout.map(Duration::from_millis),
            };
            let greeting = Greeting::parse(&greeting(version, "", CapabilityFlags::all()));
            statement(&login, &greeting.unwrap())
        };
        assert_eq!(asked("8.0.36", false, None), None);
        assert_eq!(
            asked("8.4.0-google", true, Some(1_500)).unwrap(),
            "SET SESSION transaction_read_only = 1, SESSION max_execution_time = 1500"
        );
        assert_eq!(
            asked("5.7.10", true, None).unwrap(),
            "SET SESSION tx_read_only = 1"
        );
        assert_eq!(
            asked("10.11.6-MariaDB-1", true, Some(1_500)).unwrap(),
            "SET SESSION tx_read_only = 1, SESSION max_statement_time = 1.500"
        );
        assert_eq!(
            asked("8.0.36", false, Some(0)).unwrap(),
            "SET SESSION max_execution_time = 1"
        );
    }
}
