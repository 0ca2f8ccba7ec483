//! SQL as text: where one statement ends, and where a `:name` stands for a parameter. The dialects' lexical rules, as far
//! as they decide that; whether it is valid the server knows.
//!
//! PostgreSQL's are here: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>

mod mysql;
mod parameters;

pub use parameters::{Numbered, numbered};

use super::Dialect;
use crate::hex;

/// How far the text has been read, and within what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    dialect: Dialect,
    /// What ends a statement instead of a semicolon, in MySQL after `DELIMITER`.
    delimiter: Option<String>,
    within: Within,
    /// Round brackets that are open.
    brackets: u32,
    /// `BEGIN ATOMIC … END` and `CASE … END` in the body of a function that is written in SQL; in MySQL `BEGIN … END`.
    blocks: u32,
    /// The last word was an `END`, which in MySQL may be that of an `END IF`.
    ends: bool,
    /// The first words of the statement, in lower case: they say whether it is a function.
    words: Vec<String>,
}

/// What the text read so far ends in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Within {
    #[default]
    Nothing,
    /// `'…'`; with backslashes that mean something in `E'…'`.
    Text { escapes: bool },
    /// `"…"`
    Name,
    /// `$tag$…$tag$`, with the dollars.
    Dollars(String),
    /// `/* … */`, which nest in PostgreSQL.
    Comment(u32),
    /// MySQL's `/*! … */`, which is run.
    Conditional,
    /// MySQL's `'…'`, `"…"` and `` `…` ``.
    Quoted(char),
}

impl Progress {
    /// At the beginning.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            delimiter: None,
            within: Within::Nothing,
            brackets: 0,
            blocks: 0,
            ends: false,
            words: Vec::new(),
        }
    }

    /// Forgets the statement, but not what statements end with.
    pub fn restart(&mut self) {
        *self = Self {
            delimiter: self.delimiter.take(),
            ..Self::new(self.dialect)
        };
    }

    /// `statement` without what ended it, where that is no semicolon: the server would not know it. Nothing of what is
    /// none, as `DELIMITER` itself.
    pub fn without_delimiter<'a>(&self, statement: &'a str) -> &'a str {
        match &self.delimiter {
            _ if self.dialect == Dialect::MySql && is_blank(self.dialect, statement) => "",
            Some(delimiter) => statement
                .strip_suffix(delimiter.as_str())
                .unwrap_or(statement),
            None => statement,
        }
    }

    /// Whether a statement could end here, if a semicolon came.
    pub fn is_at_rest(&self) -> bool {
        self.within == Within::Nothing && self.brackets == 0
    }

    /// What a second prompt shows: `-` between words, and the mark of what is open: `'`, `"`, `$`, `*` or `(`.
    pub fn mark(&self) -> char {
        match self.within {
            Within::Text { .. } => '\'',
            Within::Name => '"',
            Within::Dollars(_) => '$',
            Within::Comment(_) | Within::Conditional => '*',
            Within::Quoted(quote) => quote,
            Within::Nothing if self.brackets > 0 => '(',
            Within::Nothing => '-',
        }
    }

    /// Reads on in `text`, and returns how much of it belongs to the statement, its semicolon included. `None` when the
    /// statement goes on after the text.
    pub fn end(&mut self, text: &str) -> Option<usize> {
        let mut at = 0;
        while at < text.len() {
            if let Some(length) = self.directive(&text[at..]) {
                return Some(at + length);
            }
            let (token, length) = self.token(text, at);
            if self.ends && !matches!(token, Token::Space | Token::Word) {
                self.ends = false;
                self.blocks = self.blocks.saturating_sub(1);
            }
            match token {
                Token::Semicolon if self.may_end() => {
                    self.restart();
                    return Some(at + length);
                }
                Token::Open => self.brackets += 1,
                Token::Close => self.brackets = self.brackets.saturating_sub(1),
                Token::Word => self.word(&text[at..at + length]),
                _ => {}
            }
            at += length;
        }
        None
    }

    fn may_end(&self) -> bool {
        match self.dialect {
            Dialect::Postgres => self.brackets == 0 && self.blocks == 0,
            // Nothing in brackets has a semicolon, so that a bracket that is not closed is found out at once.
            Dialect::MySql => self.blocks == 0 || self.delimiter.is_some(),
        }
    }

    /// Words matter only for the body of a function in SQL, as in psql.
    fn word(&mut self, word: &str) {
        let word = word.to_ascii_lowercase();
        if self.dialect == Dialect::MySql {
            return self.mysql_word(word);
        }
        let creates = self.words.first().is_some_and(|first| first == "create")
            && self
                .words
                .iter()
                .take(4)
                .any(|word| word == "function" || word == "procedure");
        if creates {
            match word.as_str() {
                "begin" => self.blocks += 1,
                "case" if self.blocks > 0 => self.blocks += 1,
                "end" => self.blocks = self.blocks.saturating_sub(1),
                _ => {}
            }
        }
        if self.words.len() < 4 {
            self.words.push(word);
        }
    }

    /// The token at a byte, and its length, at least 1.
    fn token(&mut self, text: &str, at: usize) -> (Token, usize) {
        let rest = &text[at..];
        if self.dialect == Dialect::MySql {
            return self.mysql_token(rest);
        }
        match &mut self.within {
            // The last two are MySQL's.
            Within::Nothing | Within::Conditional | Within::Quoted(_) => {}
            Within::Text { escapes } => {
                let escapes = *escapes;
                return (Token::Quoted, self.quoted(rest, '\'', escapes));
            }
            Within::Name => return (Token::Quoted, self.quoted(rest, '"', false)),
            Within::Dollars(tag) => {
                let Some(found) = rest.find(tag.as_str()) else {
                    // The tag may be cut by the end of the text only where lines are cut, and it holds no line feed.
                    return (Token::Quoted, rest.len());
                };
                let length = found + tag.len();
                self.within = Within::Nothing;
                return (Token::Quoted, length);
            }
            Within::Comment(depth) => {
                let length = if rest.starts_with("/*") {
                    *depth += 1;
                    2
                } else if rest.starts_with("*/") {
                    *depth -= 1;
                    2
                } else {
                    first_length(rest)
                };
                if *depth == 0 {
                    self.within = Within::Nothing;
                }
                return (Token::Space, length);
            }
        }
        let first = rest.chars().next().unwrap_or_default();
        match first {
            '\'' => {
                self.within = Within::Text { escapes: false };
                (Token::Quoted, 1)
            }
            '"' => {
                self.within = Within::Name;
                (Token::Quoted, 1)
            }
            'e' | 'E' if rest[1..].starts_with('\'') => {
                self.within = Within::Text { escapes: true };
                (Token::Quoted, 2)
            }
            '$' => match dollar_tag(rest) {
                Some(tag) => {
                    let length = tag.len();
                    self.within = Within::Dollars(tag.to_owned());
                    (Token::Quoted, length)
                }
                None => (Token::Other, 1),
            },
            '-' if rest.starts_with("--") => (Token::Space, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                self.within = Within::Comment(1);
                (Token::Space, 2)
            }
            ';' => (Token::Semicolon, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            // `a::b` casts and `:=` assigns: neither is a parameter.
            ':' if rest.starts_with("::") || rest.starts_with(":=") => (Token::Other, 2),
            ':' if rest[1..].starts_with(begins_word) => {
                (Token::Parameter, 1 + word_length(&rest[1..]))
            }
            c if begins_word(c) => (Token::Word, word_length(rest)),
            c if c.is_whitespace() => (Token::Space, c.len_utf8()),
            // A number's letters are no words.
            c if c.is_ascii_digit() => (Token::Other, word_length(rest)),
            c => (Token::Other, c.len_utf8()),
        }
    }

    /// The length of a quoted thing, from somewhere in it, up to its closing quote if it is there.
    fn quoted(&mut self, rest: &str, quote: char, escapes: bool) -> usize {
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            // A doubled quote closes it and opens it again at once, which comes to the same.
            if c == quote {
                self.within = Within::Nothing;
                let end = at + 1;
                if escapes && rest[end..].starts_with('\'') {
                    self.within = Within::Text { escapes };
                    return end + 1;
                }
                return end;
            }
            if c == '\\' && escapes {
                chars.next();
            }
        }
        rest.len()
    }
}

/// As much as matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Space,
    Quoted,
    Word,
    Semicolon,
    Open,
    Close,
    /// `:name`
    Parameter,
    Other,
}

fn begins_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .unwrap_or(text.len())
}

fn first_length(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

/// `$$` or `$tag$` at the start; not `$1`.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let name = &text[1..end];
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| &text[..=end])
}

/// The statements of `sql`, each with its semicolon and what is before it; what is only blank or comment after the last
/// one is left out. Another delimiter of MySQL's is left out, too, and so are its empty statements.
pub fn statements(dialect: Dialect, sql: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut rest = sql;
    let mut progress = Progress::new(dialect);
    while let Some(end) = progress.end(rest) {
        let (statement, after) = rest.split_at(end);
        let statement = progress.without_delimiter(statement);
        if dialect == Dialect::Postgres || !is_blank(dialect, statement.trim_end_matches(';')) {
            statements.push(statement);
        }
        rest = after;
    }
    if !is_blank(dialect, rest) {
        statements.push(rest);
    }
    statements
}

/// Whether there is nothing to run: blanks and comments only.
pub fn is_blank(dialect: Dialect, sql: &str) -> bool {
    let mut progress = Progress::new(dialect);
    let mut at = 0;
    while at < sql.len() {
        if let Some(length) = progress.directive(&sql[at..]) {
            at += length;
            continue;
        }
        let (token, length) = progress.token(sql, at);
        if token != Token::Space {
            return false;
        }
        at += length;
    }
    true
}

/// The first words of `sql` that are no names in quotes, as many as it takes to know what kind of statement it is.
pub fn first_words(dialect: Dialect, sql: &str) -> Vec<&str> {
    const ENOUGH: usize = 8;
    let mut progress = Progress::new(dialect);
    let mut words = Vec::new();
    let mut at = 0;
    while at < sql.len() && words.len() < ENOUGH {
        let (token, length) = progress.token(sql, at);
        if token == Token::Word {
            words.push(&sql[at..at + length]);
        }
        at += length;
    }
    words
}

/// `value` as a literal that means the same whatever the session's settings, for the server to give a type.
pub fn literal(dialect: Dialect, value: &str) -> String {
    match dialect {
        Dialect::Postgres => format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''")),
        Dialect::MySql => format!("_utf8mb4 X'{}'", hex::encode(value.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_their_semicolons() {
        for (sql, expected) in [
            ("select 1", &["select 1"][..]),
            ("select 1; select 2;\n", &["select 1;", " select 2;"]),
            ("select ';' ; x", &["select ';' ;", " x"]),
            ("select 'it''s;' ;", &["select 'it''s;' ;"]),
            ("select '\\'; x", &["select '\\';", " x"]),
            ("select e'\\';' ;", &["select e'\\';' ;"]),
            ("select e'a'';' ;", &["select e'a'';' ;"]),
            ("select \"a;b\";", &["select \"a;b\";"]),
            ("select $$;$$;", &["select $$;$$;"]),
            ("select $a$;$b$;$$;$a$;", &["select $a$;$b$;$$;$a$;"]),
            ("select $1; x", &["select $1;", " x"]),
            ("select a$b$c; x", &["select a$b$c;", " x"]),
            ("-- a;\nselect 1; -- end", &["-- a;\nselect 1;"]),
            (
                "/* ; /* ; */ ; */ select 1;",
                &["/* ; /* ; */ ; */ select 1;"],
            ),
            (
                "create rule r as on insert to t do (a; b);",
                &["create rule r as on insert to t do (a; b);"],
            ),
            (
                "create or replace function f() returns int begin atomic select case when true then 1 end; end; x",
                &[
                    "create or replace function f() returns int begin atomic select case when true then 1 end; end;",
                    " x",
                ],
            ),
            ("begin; commit;", &["begin;", " commit;"]),
            (
                "select 1::int; select a[1:2];",
                &["select 1::int;", " select a[1:2];"],
            ),
            ("größe; ü", &["größe;", " ü"]),
            (";;", &[";", ";"]),
            ("", &[]),
            (" -- nothing\n /* at all */ ", &[]),
        ] {
            assert_eq!(statements(Dialect::Postgres, sql), expected, "{sql}");
        }
    }

    #[test]
    fn a_statement_comes_line_by_line() {
        let mut progress = Progress::new(Dialect::Postgres);
        for (line, mark) in [
            ("select 'a\n", '\''),
            ("b', (\n", '('),
            (" \"x\n", '"'),
            ("\", $q$\n", '$'),
            ("; $q$)\n", '-'),
            ("/* ; \n", '*'),
            ("*/\n", '-'),
        ] {
            assert_eq!(progress.end(line), None);
            assert_eq!(progress.mark(), mark, "{line}");
        }
        assert!(progress.is_at_rest());
        assert_eq!(progress.end("from t; x"), Some(7));
        assert_eq!(progress, Progress::new(Dialect::Postgres));
    }

    #[test]
    fn quoting() {
        let text = "it's \\ x";
        assert_eq!(literal(Dialect::Postgres, text), "E'it''s \\\\ x'");
        assert_eq!(literal(Dialect::MySql, "a'"), "_utf8mb4 X'6127'");
    }
}
