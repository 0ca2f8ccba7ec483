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
    /// Its texts are cut, and then it is left out.
    To {
        /// The lowest first.
        rank: u8,
        /// Not narrower than this.
        width: usize,
    },
}

/// One column.
#[derive(Debug, Clone)]
struct Column {
    heading: &'static str,
    shrink: Shrink,
    /// The widest text so far.
    widest: usize,
    /// What it gets; 0 leaves it out.
    width: usize,
}

impl Column {
    fn rank(&self) -> Option<u8> {
        match self.shrink {
            Shrink::Never => None,
            Shrink::To { rank, .. } => Some(rank),
        }
    }
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
            widest: measure_text_width(heading),
            width: measure_text_width(heading),
        };
        Self(columns.into_iter().map(column).collect())
    }

    /// Makes room for a row.
    pub fn measure<S: AsRef<str>>(&mut self, cells: &[S]) {
        for (column, cell) in self.0.iter_mut().zip(cells) {
            column.widest = column.widest.max(measure_text_width(cell.as_ref()));
            column.width = column.widest;
        }
    }

    /// Makes the table fit the terminal, as far as that is possible. Columns of the lowest rank and of the next one are
    /// cut; if that is not enough, those of the lowest rank are left out, and so on. The highest rank is never left out.
    pub fn fit(&mut self, terminal: usize) {
        let mut ranks: Vec<u8> = self.0.iter().filter_map(Column::rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let mut ranks = ranks.as_slice();
        loop {
            for column in &mut self.0 {
                column.width = column.widest;
                if column.rank().is_some_and(|rank| !ranks.contains(&rank)) {
                    column.width = 0;
                }
            }
            ranks
                .iter()
                .take(2)
                .for_each(|rank| self.cut(*rank, terminal));
            match ranks {
                [_, rest @ ..] if self.total() > terminal && !rest.is_empty() => ranks = rest,
                _ => return,
            }
        }
    }

    /// Cuts the columns of a rank, the widest first.
    fn cut(&mut self, rank: u8, terminal: usize) {
        while self.total() > terminal {
            let of_rank = |column: &&mut Column| match column.shrink {
                Shrink::To { rank: found, width } => found == rank && column.width > width,
                Shrink::Never => false,
            };
            let widest = self
                .0
                .iter_mut()
                .filter(of_rank)
                .max_by_key(|column| column.width);
            let Some(widest) = widest else { return };
            widest.width -= 1;
        }
    }

    /// Whether the nth column is narrower than its texts.
    pub fn is_cut(&self, nth: usize) -> bool {
        self.0
            .get(nth)
            .is_some_and(|column| column.width < column.widest)
    }

    fn total(&self) -> usize {
        let shown = self.0.iter().filter(|column| column.width > 0);
        let widths: usize = shown.map(|column| column.width + GAP).sum();
        widths.saturating_sub(GAP)
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
            if column.width == 0 {
                continue;
            }
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
        for row in rows {
            columns.measure(row);
        }
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
        // Narrower than both can get: the first is left out, and the other gets its room.
        assert_eq!(
            written(&ROWS, Some(33)).lines().nth(1).unwrap(),
            "payments-staging  acme:europe-we…"
        );
        assert_eq!(
            written(&ROWS, Some(33)).lines().next().unwrap(),
            "NAME              INSTANCE"
        );
        assert_eq!(
            written(&ROWS, Some(10)).lines().nth(1).unwrap(),
            "payments-staging  acme:eu…"
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
