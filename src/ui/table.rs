//! Rows for people: a table without lines, as wide as the terminal, and CSV for spreadsheets.

use comfy_table::{ColumnConstraint, ContentArrangement, Width, presets};

/// The blanks between columns.
const GAP: usize = 2;

/// A table of text.
#[derive(Debug)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Forgets the rows and keeps the headings.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    /// The table as text, one line a row; cut to the terminal's width when it is shown on one.
    pub fn to_text(&self, fit_terminal: bool) -> String {
        let mut table = self.lay_out();
        table.set_header(&self.columns);
        if fit_terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        lines(&table)
    }

    /// The rows alone, in columns that are at least as wide as these.
    pub fn rows_to_text(&self, widths: &[usize]) -> String {
        let mut table = self.lay_out();
        for (column, width) in table.column_iter_mut().zip(widths) {
            // The padding counts.
            let width = u16::try_from(width + GAP).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
        lines(&table)
    }

    /// The widths of the columns' contents, headings among them.
    pub fn widths(&self) -> Vec<usize> {
        let mut table = self.lay_out();
        table.set_header(&self.columns);
        table
            .column_max_content_widths()
            .into_iter()
            .map(usize::from)
            .collect()
    }

    fn lay_out(&self) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        for row in &self.rows {
            table.add_row(row);
        }
        // A table without rows has no columns to pad before it has headings.
        if self.rows.is_empty() {
            table.set_header(&self.columns);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, u16::try_from(GAP).unwrap_or_default()));
        }
        table
    }

    /// The table as CSV (RFC 4180, but with plain line feeds).
    pub fn to_csv(&self) -> String {
        let mut text = csv_line(self.columns.iter().map(|cell| Some(cell.as_str())));
        for row in &self.rows {
            text.push_str(&csv_line(row.iter().map(|cell| Some(cell.as_str()))));
        }
        text
    }
}

fn lines(table: &comfy_table::Table) -> String {
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n") + "\n"
}

/// One line of CSV. `None` is an empty field and an empty text is `""`, as in PostgreSQL's COPY.
pub fn csv_line<'a>(cells: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let quoted = cells.into_iter().map(|cell| match cell {
        None => String::new(),
        Some(cell) if cell.is_empty() || cell.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", cell.replace('"', "\"\""))
        }
        Some(cell) => cell.to_owned(),
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_trailing_spaces() {
        let mut table = Table::new(["NAME", "ENV"]);
        table.row(["payments-staging", "staging"]);
        table.row(["x", "-"]);
        assert_eq!(
            table.to_text(false),
            "NAME              ENV\npayments-staging  staging\nx                 -\n"
        );
    }

    #[test]
    fn csv_quotes_what_it_must_and_tells_null_from_empty() {
        let line = csv_line([Some("a"), Some("b,\"c\""), None, Some(""), Some("d\ne")]);
        assert_eq!(line, "a,\"b,\"\"c\"\"\",,\"\",\"d\ne\"\n");
    }
}
