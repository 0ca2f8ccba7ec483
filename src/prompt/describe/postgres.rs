//! PostgreSQL's catalog.
//!
//! <https://www.postgresql.org/docs/current/catalogs.html>

use super::super::command::Subject;
use super::Question;
use crate::sql::Dialect;
use crate::sql::text::literal;

/// The queries that describe something, in order.
pub(super) fn questions(subject: &Subject) -> Vec<Question> {
    let sql = match subject {
        Subject::Relation(name) => return relation(name),
        Subject::Relations { kinds, pattern } => relations(kinds, pattern.as_deref()),
        Subject::Schemas(pattern) => format!(
            "select n.nspname as \"Name\", pg_get_userbyid(n.nspowner) as \"Owner\" from pg_namespace n \
            where {} order by 1",
            matching("n.nspname", pattern.as_deref()).unwrap_or_else(|| {
                "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'".to_owned()
            })
        ),
        Subject::Roles(pattern) => format!(
            "select r.rolname as \"Role\", concat_ws(', ', case when r.rolsuper then 'superuser' end, \
            case when r.rolcreaterole then 'create role' end, case when r.rolcreatedb then 'create database' end, \
            case when not r.rolcanlogin then 'cannot log in' end, case when r.rolreplication then 'replication' end, \
            case when r.rolbypassrls then 'bypasses RLS' end) as \"Attributes\", \
            array(select b.rolname from pg_auth_members m join pg_roles b on m.roleid = b.oid where m.member = r.oid order by 1) \
            as \"Member of\" from pg_roles r where {} order by 1",
            matching("r.rolname", pattern.as_deref()).unwrap_or_else(|| "r.rolname !~ '^pg_'".to_owned())
        ),
        Subject::Databases(pattern) => format!(
            "select d.datname as \"Name\", pg_get_userbyid(d.datdba) as \"Owner\", pg_encoding_to_char(d.encoding) as \"Encoding\", \
            d.datcollate as \"Collate\" from pg_database d where {} order by 1",
            matching("d.datname", pattern.as_deref()).unwrap_or_else(|| "true".to_owned())
        ),
        Subject::Functions(pattern) => format!(
            "select n.nspname as \"Schema\", p.proname as \"Name\", pg_get_function_result(p.oid) as \"Result\", \
            pg_get_function_arguments(p.oid) as \"Arguments\" from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
            where {} order by 1, 2, 4",
            qualified("n.nspname", "p.proname", pattern.as_deref()).unwrap_or_else(|| {
                "n.nspname <> 'pg_catalog' and n.nspname <> 'information_schema' and pg_function_is_visible(p.oid)".to_owned()
            })
        ),
    };
    vec![Question { heading: None, sql }]
}

fn relations(kinds: &[char], pattern: Option<&str>) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
    let which = qualified("n.nspname", "c.relname", pattern).unwrap_or_else(|| {
        "n.nspname <> 'pg_catalog' and n.nspname !~ '^pg_toast' and n.nspname <> 'information_schema' \
        and pg_table_is_visible(c.oid)"
            .to_owned()
    });
    format!(
        "select n.nspname as \"Schema\", c.relname as \"Name\", case c.relkind when 'r' then 'table' when 'p' then \
        'partitioned table' when 'v' then 'view' when 'm' then 'materialized view' when 'i' then 'index' when 'I' then \
        'partitioned index' when 'S' then 'sequence' when 'f' then 'foreign table' end as \"Type\", \
        pg_get_userbyid(c.relowner) as \"Owner\" from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where c.relkind in ({}) and {which} order by 1, 2",
        kinds.join(", ")
    )
}

fn relation(name: &str) -> Vec<Question> {
    // As SQL itself reads a name: unquoted ones in lower case, along the search path.
    let oid = format!("{}::regclass", literal(Dialect::Postgres, name));
    let question = |heading, sql| Question {
        heading: Some(heading),
        sql,
    };
    vec![
        Question {
            heading: None,
            sql: format!(
                "select a.attname as \"Column\", format_type(a.atttypid, a.atttypmod) as \"Type\", \
                case when a.attnotnull then 'not null' end as \"Nullable\", pg_get_expr(d.adbin, d.adrelid) as \"Default\" \
                from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
                where a.attrelid = {oid} and a.attnum > 0 and not a.attisdropped order by a.attnum"
            ),
        },
        question(
            "Indexes",
            format!(
                "select c.relname as \"Name\", pg_get_indexdef(i.indexrelid) as \"Definition\" from pg_index i \
                join pg_class c on c.oid = i.indexrelid where i.indrelid = {oid} order by i.indisprimary desc, 1"
            ),
        ),
        question(
            "Constraints",
            format!(
                "select conname as \"Name\", pg_get_constraintdef(oid) as \"Definition\" from pg_constraint \
                where conrelid = {oid} and contype in ('p', 'u', 'f', 'c', 'x') order by 1"
            ),
        ),
        question(
            "Referenced by",
            format!(
                "select conrelid::regclass as \"Table\", conname as \"Name\", pg_get_constraintdef(oid) as \"Definition\" \
                from pg_constraint where confrelid = {oid} and contype = 'f' order by 1, 2"
            ),
        ),
        question(
            "Triggers",
            format!(
                "select tgname as \"Name\", pg_get_triggerdef(oid) as \"Definition\" from pg_trigger \
                where tgrelid = {oid} and not tgisinternal order by 1"
            ),
        ),
        question(
            "View definition",
            format!(
                "select pg_get_viewdef(oid, true) as \"SQL\" from pg_class where oid = {oid} and relkind in ('v', 'm')"
            ),
        ),
    ]
}

fn qualified(schema: &str, name: &str, pattern: Option<&str>) -> Option<String> {
    super::qualified(Dialect::Postgres, schema, name, pattern)
}

fn matching(column: &str, pattern: Option<&str>) -> Option<String> {
    super::matching(Dialect::Postgres, column, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_data() {
        let questions = questions(&Subject::Relation("x'; drop table y; --".to_owned()));
        for question in questions {
            assert!(
                question.sql.contains("E'x''; drop table y; --'::regclass"),
                "{}",
                question.sql
            );
        }
    }
}
