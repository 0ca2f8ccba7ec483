//! How a statement ended, in a few words, as PostgreSQL says it: MySQL only has numbers.

use super::super::Dialect;
use super::super::text;

/// Statements that change rows.
const CHANGES: [&str; 5] = ["INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD"];
/// Statements that say what they make or unmake.
const MAKES: [&str; 4] = ["CREATE", "DROP", "ALTER", "RENAME"];
/// What they make or unmake.
const THINGS: [&str; 12] = [
    "TABLE",
    "VIEW",
    "INDEX",
    "DATABASE",
    "SCHEMA",
    "PROCEDURE",
    "FUNCTION",
    "TRIGGER",
    "EVENT",
    "USER",
    "ROLE",
    "SEQUENCE",
];

/// `UPDATE 3`, `CREATE TABLE`, `SET`; empty where there is no statement.
pub(super) fn tag(sql: &str, rows: u64, returned: bool) -> String {
    let words = text::first_words(Dialect::MySql, sql);
    let words: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
    let Some(first) = words.first() else {
        return String::new();
    };
    if returned || CHANGES.contains(&first.as_str()) {
        return format!("{first} {rows}");
    }
    let is_thing = |word: &&String| THINGS.contains(&word.as_str());
    match words[1..].iter().find(is_thing) {
        Some(thing) if MAKES.contains(&first.as_str()) => format!("{first} {thing}"),
        _ => first.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (sql, rows, returned, expected) in [
            ("update t set x = 1", 3, false, "UPDATE 3"),
            ("select 1", 1, true, "SELECT 1"),
            (
                "-- a\ncreate temporary table t (x int)",
                0,
                false,
                "CREATE TABLE",
            ),
            (
                "create or replace view v as select 1",
                0,
                false,
                "CREATE VIEW",
            ),
            ("set @a = 1", 0, false, "SET"),
            ("begin", 0, false, "BEGIN"),
            ("", 0, false, ""),
        ] {
            assert_eq!(tag(sql, rows, returned), expected);
        }
    }
}
