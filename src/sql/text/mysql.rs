//! MySQL's lexical rules.
//!
//! <https://dev.mysql.com/doc/refman/8.4/en/language-structure.html>; `DELIMITER` is the mysql client's:
//! <https://dev.mysql.com/doc/refman/8.4/en/stored-programs-defining.html>

use super::{Progress, Token, Within, begins_word, first_length, word_length};

/// What has a body with semicolons.
const WITH_BODY: [&str; 4] = ["procedure", "function", "trigger", "event"];
/// What has none, whatever its columns are called.
const WITHOUT_BODY: [&str; 8] = [
    "table", "view", "index", "database", "schema", "user", "role", "sequence",
];
/// More words than these come before what is created only with a very long comment.
const FIRST_WORDS: usize = 10;

impl Progress {
    /// Reads `DELIMITER //`, with the rest of its line, where a statement could begin. It is no statement.
    pub(super) fn directive(&mut self, rest: &str) -> Option<usize> {
        let may_begin = self.dialect == super::Dialect::MySql
            && self.within == Within::Nothing
            && self.words.is_empty();
        let word = rest.get(.."delimiter".len())?;
        if !may_begin || !word.eq_ignore_ascii_case("delimiter") {
            return None;
        }
        let line = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let delimiter = &rest[word.len()..line];
        if !delimiter.starts_with([' ', '\t']) {
            return None;
        }
        let delimiter = delimiter.split_whitespace().next()?;
        self.delimiter = (delimiter != ";").then(|| delimiter.to_owned());
        self.restart();
        Some(line)
    }

    /// As the rules of blocks go: an `IF`, a `LOOP` and their like are within one, and end with two words.
    pub(super) fn mysql_word(&mut self, word: String) {
        let kinds = self.words.iter().skip(1);
        let kind = kinds
            .map(String::as_str)
            .find(|word| WITH_BODY.contains(word) || WITHOUT_BODY.contains(word));
        let has_body = self.words.first().is_some_and(|first| first == "create")
            && kind.is_some_and(|kind| WITH_BODY.contains(&kind));
        if std::mem::take(&mut self.ends) {
            match word.as_str() {
                "if" | "loop" | "while" | "repeat" => return,
                _ => self.blocks = self.blocks.saturating_sub(1),
            }
            if word == "case" {
                return;
            }
        }
        if has_body {
            match word.as_str() {
                "begin" | "case" => self.blocks += 1,
                "end" => self.ends = true,
                _ => {}
            }
        }
        if self.words.len() < FIRST_WORDS {
            self.words.push(word);
        }
    }

    pub(super) fn mysql_token(&mut self, rest: &str) -> (Token, usize) {
        match self.within {
            Within::Quoted(quote) => return (Token::Quoted, self.mysql_quoted(rest, quote)),
            Within::Comment(_) | Within::Conditional => {
                let token = match self.within {
                    Within::Conditional => Token::Quoted,
                    _ => Token::Space,
                };
                return match rest.find("*/") {
                    Some(end) => {
                        self.within = Within::Nothing;
                        (token, end + 2)
                    }
                    None => (token, rest.len()),
                };
            }
            _ => {}
        }
        if let Some(delimiter) = &self.delimiter
            && rest.starts_with(delimiter.as_str())
        {
            return (Token::Semicolon, delimiter.len());
        }
        let line = || rest.find('\n').unwrap_or(rest.len());
        let first = rest.chars().next().unwrap_or_default();
        match first {
            '\'' | '"' | '`' => {
                self.within = Within::Quoted(first);
                (Token::Quoted, 1)
            }
            '#' => (Token::Space, line()),
            '-' if is_dashes(rest) => (Token::Space, line()),
            '/' if rest.starts_with("/*!") || rest.starts_with("/*M!") => {
                self.within = Within::Conditional;
                (Token::Quoted, 3)
            }
            '/' if rest.starts_with("/*") => {
                self.within = Within::Comment(1);
                (Token::Space, 2)
            }
            ';' if self.delimiter.is_none() => (Token::Semicolon, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ':' if rest.starts_with(":=") => (Token::Other, 2),
            ':' if rest[1..].starts_with(begins_word) => {
                (Token::Parameter, 1 + word_length(&rest[1..]))
            }
            // A number of bsql's, rather than a name.
            '$' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (Token::Other, 1),
            c if begins_word(c) || c == '$' => (Token::Word, word_length(rest)),
            c if c.is_whitespace() => (Token::Space, c.len_utf8()),
            c if c.is_ascii_digit() => (Token::Other, word_length(rest)),
            _ => (Token::Other, first_length(rest)),
        }
    }

    /// The length of a quoted thing, from somewhere in it, up to its closing quote if it is there. A doubled quote closes
    /// it and opens it again at once, which comes to the same.
    fn mysql_quoted(&mut self, rest: &str, quote: char) -> usize {
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.within = Within::Nothing;
                return at + 1;
            }
            if c == '\\' && quote != '`' {
                chars.next();
            }
        }
        rest.len()
    }
}

/// `--` is a comment only before a blank: `1--1` is 2.
fn is_dashes(rest: &str) -> bool {
    let after = rest.strip_prefix("--").map(|after| after.chars().next());
    after.is_some_and(|next| next.is_none_or(|c| c.is_whitespace() || c.is_control()))
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, Progress, is_blank, statements};

    #[test]
    fn statements_end_at_their_semicolons() {
        for (sql, expected) in [
            ("select 1; select 2;\n", &["select 1;", " select 2;"][..]),
            (
                "select 'it\\'s;', 'it''s;'; x",
                &["select 'it\\'s;', 'it''s;';", " x"],
            ),
            (
                "select \";\\\";\", `;``;\\`; x",
                &["select \";\\\";\", `;``;\\`;", " x"],
            ),
            ("select 1 # ;\n; x", &["select 1 # ;\n;", " x"]),
            ("select 1 -- ;\n--; x", &["select 1 -- ;\n--;", " x"]),
            ("select 1--1; x", &["select 1--1;", " x"]),
            (
                "/* ; /* ; */ select 1; */",
                &["/* ; /* ; */ select 1;", " */"],
            ),
            (
                "/*!40101 set @a = ';' */; x",
                &["/*!40101 set @a = ';' */;", " x"],
            ),
            ("select $$;$$; x", &["select $$;", "$$;", " x"]),
            ("select (1; x", &["select (1;", " x"]),
            (";; -- nothing\n;", &[]),
            ("begin; commit;", &["begin;", " commit;"]),
            (
                "create procedure p() begin if true then select case when true then 1 end; end if; \
                while false do set @a = 1; end while; case 1 when 1 then select 1; end case; end; x",
                &[
                    "create procedure p() begin if true then select case when true then 1 end; end if; \
                    while false do set @a = 1; end while; case 1 when 1 then select 1; end case; end;",
                    " x",
                ],
            ),
            (
                "create definer = `a`@`b` trigger t before insert on u for each row begin set new.a = 1; end; x",
                &[
                    "create definer = `a`@`b` trigger t before insert on u for each row begin set new.a = 1; end;",
                    " x",
                ],
            ),
            (
                "create table event (begin int); x",
                &["create table event (begin int);", " x"],
            ),
            (
                "delimiter //\ncreate procedure p() if true then select 1; end if //\nDELIMITER ;\nselect 2; x",
                &[
                    "create procedure p() if true then select 1; end if ",
                    "select 2;",
                    " x",
                ],
            ),
            ("delimiter", &["delimiter"]),
        ] {
            assert_eq!(statements(Dialect::MySql, sql), expected, "{sql}");
        }
        assert!(is_blank(
            Dialect::MySql,
            "# a\n-- b\n/* c */\ndelimiter $$\n"
        ));
        assert!(!is_blank(Dialect::MySql, "/*!40101 set @a = 1 */"));
    }

    #[test]
    fn a_statement_comes_line_by_line() {
        let mut progress = Progress::new(Dialect::MySql);
        for (line, mark) in [
            ("select 'a\n", '\''),
            ("b', `x\n", '`'),
            ("`, \"\n", '"'),
            ("\" /* ;\n", '*'),
            ("*/ (\n", '('),
            (")\n", '-'),
        ] {
            assert_eq!(progress.end(line), None);
            assert_eq!(progress.mark(), mark, "{line}");
        }
        assert_eq!(progress.end("; x"), Some(1));
        assert_eq!(progress.end("delimiter $$\n"), Some(13));
        assert_eq!(progress.end("select 1;\n"), None);
        assert_eq!(progress.end("$$\n"), Some(2));
        assert_eq!(progress.without_delimiter("select 1;$$"), "select 1;");
    }
}
