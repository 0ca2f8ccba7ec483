//! MySQL's `information_schema`, and MariaDB's.
//!
//! <https://dev.mysql.com/doc/refman/8.4/en/information-schema.html>

use super::super::command::Subject;
use super::Question;
use crate::sql::Dialect;
use crate::sql::text::literal;

/// Schemas of the server's own.
const OWN: &str = "'information_schema', 'mysql', 'performance_schema', 'sys'";
/// What an index is made of.
const INDEX: &str = "concat(case when min(non_unique) = 0 then 'unique ' else '' end, lower(min(index_type)), ' (', \
    group_concat(coalesce(column_name, '(expression)') order by seq_in_index separator ', '), ')') as `Definition`";

/// The queries that describe something, in order.
pub(super) fn questions(subject: &Subject) -> Vec<Question> {
    let sql = match subject {
        Subject::Relation(name) => return relation(name),
        Subject::Relations {
            kinds: ['i', ..],
            pattern,
        } => indexes(pattern.as_deref()),
        Subject::Relations { kinds, pattern } => relations(kinds, pattern.as_deref()),
        // A schema is a database.
        Subject::Schemas(pattern) | Subject::Databases(pattern) => format!(
            "select schema_name as `Name`, default_character_set_name as `Encoding`, \
            default_collation_name as `Collate` from information_schema.schemata where {} order by 1",
            matching("schema_name", pattern.as_deref())
        ),
        // Only oneself, without the right to read all users.
        Subject::Roles(pattern) => format!(
            "select grantee as `User`, group_concat(privilege_type order by 1 separator ', ') as `Privileges` \
            from information_schema.user_privileges where {} group by grantee order by 1",
            matching(
                "replace(substring_index(grantee, '@', 1), char(39 using utf8mb4), '')",
                pattern.as_deref()
            )
        ),
        Subject::Functions(pattern) => format!(
            "select routine_schema as `Schema`, routine_name as `Name`, lower(routine_type) as `Type`, \
            dtd_identifier as `Result` from information_schema.routines where {} order by 1, 2",
            qualified("routine_schema", "routine_name", pattern.as_deref())
        ),
    };
    vec![Question { heading: None, sql }]
}

fn relations(kinds: &[char], pattern: Option<&str>) -> String {
    let types: Vec<&str> = kinds
        .iter()
        .filter_map(|kind| match kind {
            'r' => Some("'BASE TABLE', 'SYSTEM VERSIONED'"),
            'v' => Some("'VIEW', 'SYSTEM VIEW'"),
            // MariaDB's only.
            'S' => Some("'SEQUENCE'"),
            _ => None,
        })
        .collect();
    // Of materialized views there are none.
    let types = if types.is_empty() {
        "''".to_owned()
    } else {
        types.join(", ")
    };
    format!(
        "select table_schema as `Schema`, table_name as `Name`, case table_type when 'BASE TABLE' then 'table' \
        else lower(table_type) end as `Type`, engine as `Engine`, table_rows as `Rows (about)` \
        from information_schema.tables where table_type in ({types}) and {} order by 1, 2",
        qualified("table_schema", "table_name", pattern)
    )
}

fn indexes(pattern: Option<&str>) -> String {
    format!(
        "select table_schema as `Schema`, index_name as `Name`, table_name as `Table`, {INDEX} \
        from information_schema.statistics where {} group by 1, 2, 3 order by 1, 3, 2",
        qualified("table_schema", "index_name", pattern)
    )
}

fn relation(name: &str) -> Vec<Question> {
    let (schema, table) = parts(name);
    let in_schema = match &schema {
        Some(schema) => literal(Dialect::MySql, schema),
        None => "database()".to_owned(),
    };
    let is_table = literal(Dialect::MySql, &table);
    let here = format!("table_schema = {in_schema} and table_name = {is_table}");
    let path: Vec<String> = schema
        .iter()
        .chain([&table])
        .map(|part| identifier(part))
        .collect();
    let question = |heading, sql| Question {
        heading: Some(heading),
        sql,
    };
    let columns = "group_concat(column_name order by ordinal_position separator ', ')";
    let referenced =
        "group_concat(referenced_column_name order by ordinal_position separator ', ')";
    vec![
        Question {
            heading: None,
            // It also says when there is no such table.
            sql: format!("show columns from {}", path.join(".")),
        },
        question(
            "Indexes",
            format!(
                "select index_name as `Name`, {INDEX} from information_schema.statistics where {here} \
                group by index_name order by index_name = 'PRIMARY' desc, 1"
            ),
        ),
        question(
            "Foreign keys",
            format!(
                "select constraint_name as `Name`, concat('(', {columns}, ') references ', \
                min(referenced_table_schema), '.', min(referenced_table_name), ' (', {referenced}, ')') as `Definition` \
                from information_schema.key_column_usage where {here} and referenced_table_name is not null \
                group by constraint_name order by 1"
            ),
        ),
        question(
            "Referenced by",
            format!(
                "select concat(table_schema, '.', table_name) as `Table`, constraint_name as `Name`, \
                concat('(', {columns}, ') references (', {referenced}, ')') as `Definition` \
                from information_schema.key_column_usage where referenced_table_schema = {in_schema} \
                and referenced_table_name = {is_table} group by table_schema, table_name, constraint_name order by 1, 2"
            ),
        ),
        question(
            "Triggers",
            format!(
                "select trigger_name as `Name`, concat(lower(action_timing), ' ', lower(event_manipulation)) as `When`, \
                action_statement as `Statement` from information_schema.triggers \
                where event_object_schema = {in_schema} and event_object_table = {is_table} order by 1"
            ),
        ),
        question(
            "View definition",
            format!("select view_definition as `SQL` from information_schema.views where {here}"),
        ),
    ]
}

/// `` `my.db`.t `` is the table `t` in `my.db`.
fn parts(name: &str) -> (Option<String>, String) {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in name.chars() {
        match c {
            '`' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    let table = parts.pop().unwrap_or_default();
    (parts.pop(), table)
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Of the current database, unless the pattern says which.
fn qualified(schema: &str, name: &str, pattern: Option<&str>) -> String {
    match super::qualified(Dialect::MySql, schema, name, pattern) {
        Some(matching) if pattern.is_some_and(|pattern| pattern.contains('.')) => matching,
        Some(matching) => format!("{schema} = coalesce(database(), {schema}) and {matching}"),
        None => format!("{schema} = coalesce(database(), {schema}) and {schema} not in ({OWN})"),
    }
}

fn matching(column: &str, pattern: Option<&str>) -> String {
    super::matching(Dialect::MySql, column, pattern).unwrap_or_else(|| "true".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_data() {
        let in_quotes = parts("`my.db`.t");
        assert_eq!(in_quotes, (Some("my.db".to_owned()), "t".to_owned()));
        assert_eq!(parts("t"), (None, "t".to_owned()));
        assert_eq!(identifier("a`b"), "`a``b`");
        let name = "x'; drop table y; --";
        let mut questions = questions(&Subject::Relation(name.to_owned()));
        assert_eq!(
            questions.remove(0).sql,
            format!("show columns from `{name}`")
        );
        for question in questions {
            assert!(!question.sql.contains("drop"), "{}", question.sql);
        }
    }

    /// Keeps the rows, a line each.
    #[cfg(unix)]
    #[derive(Default)]
    struct Lines(Vec<String>);

    #[cfg(unix)]
    impl crate::sql::RowSink for Lines {
        fn columns(&mut self, _: &[crate::sql::Column]) -> crate::error::Result<()> {
            Ok(())
        }

        fn row(&mut self, values: &[Option<&str>]) -> crate::error::Result<()> {
            let values: Vec<&str> = values.iter().map(|value| value.unwrap_or("-")).collect();
            self.0.push(values.join("|"));
            Ok(())
        }

        fn done(&mut self, _: u64) -> crate::error::Result<()> {
            Ok(())
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_server_answers_them() {
        use super::super::super::completion::names_query;
        use crate::sql::{Login, TestMySql};

        let Some(server) = TestMySql::shared() else {
            return;
        };
        let login = Login {
            dialect: Dialect::MySql,
            database: "shop".to_owned(),
            user: "ada".to_owned(),
            password: None,
            application_name: "bsql:ada".to_owned(),
            read_only: false,
            statement_timeout: None,
        };
        let mut ada = server.open(&login).await.unwrap();
        let schema = "create table d_parent (id int primary key, `odd name` varchar(9) not null default 'x', \
            key by_name (`odd name`, id)); \
            create table d_child (id int, parent int, constraint of_parent foreign key (parent) references d_parent (id)); \
            create view d_view as select id from d_parent; \
            create function d_one() returns int return 1; \
            create trigger d_trigger before insert on d_child for each row set new.id = 1";
        ada.run(schema, &mut Lines::default()).await.unwrap();
        let mut asked = async |subject: Subject| {
            let mut lines = Lines::default();
            for question in questions(&subject) {
                ada.run(question.sql.as_str(), &mut lines).await.unwrap();
            }
            lines.0.join("\n")
        };
        let relations = |kinds, pattern: &str| Subject::Relations {
            kinds,
            pattern: Some(pattern.to_owned()),
        };
        let some = |pattern: &str| Some(pattern.to_owned());
        let tables = asked(relations(&['r', 'p'], "d_*")).await;
        assert!(tables.contains("shop|d_child|table|InnoDB"), "{tables}");
        assert!(!tables.contains("d_view"), "{tables}");
        let views = asked(relations(&['v'], "shop.D_*")).await;
        assert!(views.starts_with("shop|d_view|view"), "{views}");
        let indexes = asked(relations(&['i', 'I'], "by_*")).await;
        assert_eq!(indexes, "shop|by_name|d_parent|btree (odd name, id)");
        assert_eq!(asked(relations(&['m'], "*")).await, "");
        let parent = asked(Subject::Relation("shop.`d_parent`".to_owned())).await;
        for expected in [
            "odd name|varchar(9)|NO|MUL|x|",
            "PRIMARY|unique btree (id)",
            "shop.d_child|of_parent|(parent) references (id)",
        ] {
            assert!(parent.contains(expected), "no {expected}: {parent}");
        }
        let child = asked(Subject::Relation("d_child".to_owned())).await;
        for expected in [
            "of_parent|(parent) references shop.d_parent (id)",
            "d_trigger|before insert|set new.id = 1",
        ] {
            assert!(child.contains(expected), "no {expected}: {child}");
        }
        let view = asked(Subject::Relation("d_view".to_owned())).await;
        assert!(view.contains("select"), "{view}");
        assert_eq!(
            asked(Subject::Functions(some("d_*"))).await,
            "shop|d_one|function|int(11)"
        );
        assert!(
            asked(Subject::Databases(None))
                .await
                .contains("shop|utf8mb4|")
        );
        assert!(
            asked(Subject::Schemas(some("inf*")))
                .await
                .starts_with("information_schema")
        );
        assert!(
            asked(Subject::Roles(some("ad?")))
                .await
                .contains("'ada'@'localhost'")
        );
        let mut names = Lines::default();
        let sql = names_query(Dialect::MySql);
        ada.run(sql.as_str(), &mut names).await.unwrap();
        assert!(names.0.contains(&"d_parent".to_owned()), "{:?}", names.0);
        assert!(names.0.contains(&"`odd name`".to_owned()), "{:?}", names.0);
    }
}
