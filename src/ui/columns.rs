//! A table that is written as it is read: first every row is measured, then every row is written. It keeps no rows, so
//! there may be any number of them.

use console::{measure_text_width, truncate_str};

/// The blanks between columns.
const GAP: usize = 2;

/// What happens to a column where the terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shrink {
    /// Nothing: it must be copied whole. The line is longer than the terminal if need be.
    Never,
    /// Its texts are cut to this width if need be, once the other columns of a higher rank are. The rank decides: the
    /// columns with the lowest number are cut first.
    To {
        /// The lowest are cut first.
        rank: u8,
        /// Not narrower than this, unless the terminal leaves no choice.
        width: usize,
    },
}

/// One column.
#[derive(Debug, Clone)]
struct Column {
    heading: &'static str,
    shrink: Shrink,
    /// The widest text so far, then the width it gets.
    width: usize,
}

/// The columns of a table and their widths.
#[derive(Debug, Clone)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// With these headings.
    pub fn new(columns: impl IntoIterator<Item = (&'static str, Shrink)>) -> Self {
        let column = |(heading, shrink)| Column {
            heading,
            shrink,
            width: measure_text_width(heading),
        };
        Self(columns.into_iter().map(column).collect())
    }

    /// Makes room for a row.
    pub fn measure<S: AsRef<str>>(&mut self, cells: &[S]) {
        for (column, cell) in self.0.iter_mut().zip(cells) {
            column.width = column.width.max(measure_text_width(cell.as_ref()));
        }
    }

    /// Makes the columns as narrow as the terminal asks for, as far as that is possible: those of the lowest rank first.
    /// Columns of the same rank are cut from the widest.
    pub fn fit(&mut self, terminal: usize) {
        let rank = |column: &Column| match column.shrink {
            Shrink::Never => None,
            Shrink::To { rank, .. } => Some(rank),
        };
        let mut ranks: Vec<u8> = self.0.iter().filter_map(rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        for cut in ranks {
            while self.total() > terminal {
                let widest = self
                    .0
                    .iter_mut()
                    .filter(|column| matches!(column.shrink, Shrink::To { rank, width } if rank == cut && column.width > width))
                    .max_by_key(|column| column.width);
                let Some(widest) = widest else { break };
                widest.width -= 1;
            }
        }
    }

    fn total(&self) -> usize {
        let widths: usize = self.0.iter().map(|column| column.width).sum();
        widths + GAP * self.0.len().saturating_sub(1)
    }

    /// The headings as a line.
    pub fn headings(&self) -> String {
        let headings: Vec<&str> = self.0.iter().map(|column| column.heading).collect();
        self.line(&headings, |_, text| text)
    }

    /// A row as a line. `dress` may add what takes no room, such as colours, to the text of the nth column.
    pub fn line<S: AsRef<str>>(
        &self,
        cells: &[S],
        mut dress: impl FnMut(usize, String) -> String,
    ) -> String {
        let mut line = String::new();
        let mut blanks = 0;
        for (nth, (column, cell)) in self.0.iter().zip(cells).enumerate() {
            let text = match column.shrink {
                Shrink::Never => cell.as_ref().to_owned(),
                Shrink::To { .. } => truncate_str(cell.as_ref(), column.width, "…").into_owned(),
            };
            let wide = measure_text_width(&text);
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', blanks));
                line.push_str(&dress(nth, text));
                blanks = 0;
            }
            blanks += column.width.saturating_sub(wide) + GAP;
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rows: &[[&str; 3]], terminal: Option<usize>) -> String {
        let mut columns = Columns::new([
            ("NAME", Shrink::Never),
            ("SYSTEM", Shrink::To { rank: 0, width: 6 }),
            ("INSTANCE", Shrink::To { rank: 1, width: 8 }),
        ]);
        rows.iter().for_each(|row| columns.measure(row));
        if let Some(terminal) = terminal {
            columns.fit(terminal);
        }
        let lines: Vec<String> = rows
            .iter()
            .map(|row| columns.line(row, |_, text| text))
            .collect();
        columns.headings() + &lines.concat()
    }

    const ROWS: [[&str; 3]; 2] = [
        ["payments-staging", "checkout", "acme:europe-west1:payments"],
        ["x", "-", "-"],
    ];

    #[test]
    fn as_wide_as_it_needs_without_trailing_blanks() {
        assert_eq!(
            written(&ROWS, None),
            "NAME              SYSTEM    INSTANCE\n\
             payments-staging  checkout  acme:europe-west1:payments\n\
             x                 -         -\n"
        );
        assert_eq!(written(&ROWS, Some(54)), written(&ROWS, None));
    }

    #[test]
    fn what_matters_least_is_cut_first_and_names_never() {
        assert_eq!(
            written(&ROWS, Some(53)).lines().nth(1).unwrap(),
            "payments-staging  checko…  acme:europe-west1:payments"
        );
        assert_eq!(
            written(&ROWS, Some(40)).lines().nth(1).unwrap(),
            "payments-staging  check…  acme:europe-w…"
        );
        assert_eq!(
            written(&ROWS, Some(10)).lines().nth(1).unwrap(),
            "payments-staging  check…  acme:eu…"
        );
    }

    #[test]
    fn wide_characters_line_up() {
        let rows = [["日本-🦀", "e\u{301}a", "1"], ["abc", "b", "2"]];
        let text = written(&rows, None);
        let columns: Vec<usize> = text
            .lines()
            .skip(1)
            .map(|line| measure_text_width(&line[..line.len() - 1]))
            .collect();
        assert_eq!(columns, [17, 17], "{text}");
    }

    #[test]
    fn dress_takes_no_room() {
        let mut columns = Columns::new([("A", Shrink::Never), ("B", Shrink::Never)]);
        columns.measure(&["xx", "y"]);
        let line = columns.line(&["x", "y"], |nth, text| {
            if nth == 0 {
                format!("\x1b[31m{text}\x1b[0m")
            } else {
                text
            }
        });
        assert_eq!(line, "\x1b[31mx\x1b[0m   y\n");
    }
}
