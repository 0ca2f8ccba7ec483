//! What Tab completes: SQL's usual words, bsql's commands, and the names of tables, fetched once.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use crate::sql::Dialect;

/// More names than this nobody looks through, and a query for them is no longer cheap.
pub(super) const MOST_NAMES: usize = 5_000;

/// What a person types at the start of a statement and within it.
const WORDS: [&str; 64] = [
    "alter",
    "analyze",
    "and",
    "asc",
    "begin",
    "between",
    "by",
    "case",
    "column",
    "commit",
    "constraint",
    "count",
    "create",
    "default",
    "delete",
    "desc",
    "distinct",
    "drop",
    "else",
    "end",
    "exists",
    "explain",
    "false",
    "foreign",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "index",
    "inner",
    "insert",
    "into",
    "is",
    "join",
    "key",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "primary",
    "references",
    "returning",
    "revoke",
    "right",
    "rollback",
    "select",
    "set",
    "table",
    "truncate",
    "true",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "view",
    "where",
];
const COMMANDS: [&str; 20] = [
    "\\?",
    "\\c",
    "\\conninfo",
    "\\d",
    "\\df",
    "\\di",
    "\\dm",
    "\\dn",
    "\\ds",
    "\\dt",
    "\\du",
    "\\dv",
    "\\e",
    "\\echo",
    "\\g",
    "\\gx",
    "\\i",
    "\\l",
    "\\q",
    "\\timing",
];

/// The names that there are.
#[derive(Debug, Default)]
pub(super) struct Completion {
    names: Vec<String>,
}

/// The query for the names, most of them as a person would type them.
pub(super) fn names_query(dialect: Dialect) -> String {
    if dialect == Dialect::MySql {
        return mysql_names_query();
    }
    format!(
        "select case when pg_table_is_visible(c.oid) then quote_ident(c.relname) \
        else quote_ident(n.nspname) || '.' || quote_ident(c.relname) end from pg_class c \
        join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f') \
        and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1 limit {MOST_NAMES}"
    )
}

/// Tables first, as there are more columns than anybody has tables.
fn mysql_names_query() -> String {
    let quoted = |name: &str| {
        format!(
            "case when {name} regexp '^[a-zA-Z_][a-zA-Z0-9_$]*$' then {name} \
            else concat('`', replace({name}, '`', '``'), '`') end"
        )
    };
    let table = quoted("table_name");
    let column = quoted("column_name");
    format!(
        "(select {table} as name from information_schema.tables where table_schema = database() \
        order by 1 limit {MOST_NAMES}) union (select {column} from information_schema.columns \
        where table_schema = database() limit {MOST_NAMES}) limit {MOST_NAMES}"
    )
}

impl Completion {
    pub(super) fn set_names(&mut self, names: Vec<String>) {
        self.names = names;
    }

    /// Where the word at `pos` begins, and what it may become.
    fn candidates(&self, line: &str, pos: usize) -> (usize, Vec<String>) {
        let before = &line[..pos];
        let start = before
            .rfind(|c: char| c.is_whitespace() || "(),;=<>'".contains(c))
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        let word = &before[start..];
        if word.is_empty() {
            return (start, Vec::new());
        }
        if word.starts_with('\\') {
            let commands = COMMANDS.iter().filter(|command| command.starts_with(word));
            return (start, commands.map(|&command| command.to_owned()).collect());
        }
        let lower = word.to_lowercase();
        let upper = word.chars().all(|c| !c.is_lowercase());
        let words = WORDS
            .iter()
            .filter(|known| known.starts_with(&lower))
            .map(|known| {
                if upper {
                    known.to_uppercase()
                } else {
                    (*known).to_owned()
                }
            });
        let names = self
            .names
            .iter()
            .filter(|name| name.to_lowercase().starts_with(&lower))
            .cloned();
        (start, names.chain(words).collect())
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, pos))
    }
}

impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_commands_and_names() {
        let completion = Completion {
            names: vec!["payments".to_owned(), "\"Odd\"".to_owned()],
        };
        for (line, expected) in [
            ("sel", (0, vec!["select"])),
            ("SEL", (0, vec!["SELECT"])),
            ("select * from pay", (14, vec!["payments"])),
            ("select (pay", (8, vec!["payments"])),
            ("\\ti", (0, vec!["\\timing"])),
            ("\\d pay", (3, vec!["payments"])),
            ("select ", (7, vec![])),
            ("größe = sel", (10, vec!["select"])),
        ] {
            let (start, found) = completion.candidates(line, line.len());
            assert_eq!(
                (start, found.iter().map(String::as_str).collect()),
                expected,
                "{line}"
            );
        }
    }
}
