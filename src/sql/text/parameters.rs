//! Where a value belongs in a statement.

use super::{Progress, Token};
use crate::sql::Dialect;

/// SQL as the server takes it, with a place for each value.
#[derive(Debug, PartialEq, Eq)]
pub struct Numbered {
    /// With `$n` in PostgreSQL, and `?` in MySQL.
    pub sql: String,
    /// Which of the names have a place.
    pub used: Vec<bool>,
    /// Which value the first `$1` or `?` stands for, which the second, and so on.
    pub order: Vec<usize>,
}

/// `sql` with a place for each `:name` that is one of `names`, and for each `$n`, the `n`th of them. In MySQL a `?` is
/// the place of the value that comes next. Every other `:word` is left as it is.
pub fn numbered(dialect: Dialect, sql: &str, names: &[&str]) -> Numbered {
    let mut used = vec![false; names.len()];
    let mut numbered = String::with_capacity(sql.len());
    let mut order = Vec::new();
    let mut marks = 0;
    let mut progress = Progress::new(dialect);
    let mut at = 0;
    while at < sql.len() {
        let (token, mut length) = progress.token(sql, at);
        let text = &sql[at..at + length];
        let nth = match token {
            Token::Parameter => names.iter().position(|name| *name == &text[1..]),
            Token::Other if text == "$" => {
                let number = digits(&sql[at + 1..]);
                let nth = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                let nth = nth.filter(|nth| *nth < names.len());
                length += nth.map_or(0, |_| number.len());
                nth
            }
            Token::Other if text == "?" && dialect == Dialect::MySql => {
                marks += 1;
                Some(marks - 1).filter(|nth| *nth < names.len())
            }
            _ => None,
        };
        match nth {
            Some(nth) => {
                used[nth] = true;
                order.push(nth);
                match dialect {
                    Dialect::Postgres => {
                        numbered.push('$');
                        numbered.push_str(&(nth + 1).to_string());
                    }
                    Dialect::MySql => numbered.push('?'),
                }
            }
            None => numbered.push_str(text),
        }
        at += length;
    }
    if dialect == Dialect::Postgres {
        order = (0..names.len()).collect();
    }
    Numbered {
        sql: numbered,
        used,
        order,
    }
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgresqls_are_numbered() {
        let sql =
            "select :a, ':a', \":a\", :b::text, x::a, $3, :unknown, t[1:2] -- :a\n where z := :a";
        let Numbered { sql, used, order } = numbered(Dialect::Postgres, sql, &["a", "b", "c", "d"]);
        assert_eq!(
            sql,
            "select $1, ':a', \":a\", $2::text, x::a, $3, :unknown, t[1:2] -- :a\n where z := $1"
        );
        assert_eq!(used, [true, true, true, false]);
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn mysqls_are_marked() {
        let sql = "select :b, ':a', `:a`, \":a\", @x := :a, $1, $9, a$1, :unknown # :a\n, :b -- :a";
        let Numbered { sql, used, order } = numbered(Dialect::MySql, sql, &["a", "b", "c"]);
        assert_eq!(
            sql,
            "select ?, ':a', `:a`, \":a\", @x := ?, ?, $9, a$1, :unknown # :a\n, ? -- :a"
        );
        assert_eq!(used, [true, true, false]);
        assert_eq!(order, [1, 0, 0, 1]);
        let marks = numbered(Dialect::MySql, "select ?, '?', ?", &["a", "b"]);
        assert_eq!(
            (marks.sql.as_str(), marks.order),
            ("select ?, '?', ?", vec![0, 1])
        );
    }
}
