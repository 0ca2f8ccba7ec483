//! Rows of a database, written as they come: memory does not grow with the answer.

use super::{Paint, Table, Ui, csv_line};
use crate::error::{ErrorKind, Result};
use crate::sql::{Column, ColumnKind, Notice, RowSink};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// For people.
    Table,
    /// RFC 4180 with plain line feeds; NULL is an empty field, an empty text is `""`.
    Csv,
    /// One array of objects.
    Json,
    /// An object a line.
    JsonLines,
}

/// Written at once: fewer system calls than a line at a time.
const BUFFER: usize = 64 * 1024;
/// The widths of a table's columns are those of this many rows; later, wider values stick out.
const ROWS_TO_MEASURE: usize = 1_000;

/// Writes rows to stdout.
#[derive(Debug)]
pub struct RowPrinter<'a> {
    ui: &'a mut Ui,
    format: RowFormat,
    columns: Vec<Column>,
    table: Option<Table>,
    /// The widths of the table's columns, once rows were measured.
    widths: Vec<usize>,
    buffer: String,
    /// Objects in the array so far.
    objects: u64,
    /// There was a row.
    has_rows: bool,
}

impl<'a> RowPrinter<'a> {
    /// Nothing is written yet.
    pub fn new(ui: &'a mut Ui, format: RowFormat) -> Self {
        Self {
            ui,
            format,
            columns: Vec::new(),
            table: None,
            widths: Vec::new(),
            buffer: String::new(),
            objects: 0,
            has_rows: false,
        }
    }

    /// Writes what is left.
    pub fn finish(&mut self) -> Result<()> {
        if self.format == RowFormat::Json {
            self.buffer
                .push_str(if self.objects == 0 { "[]\n" } else { "\n]\n" });
        }
        self.flush()
    }

    /// Writes what is left of several databases' rows, which nobody said the end of.
    pub fn finish_with(&mut self, has_columns: bool) -> Result<()> {
        if has_columns {
            self.flush_table(true);
        }
        self.finish()
    }

    /// After a failure: writes the rows that came before it, in whole lines. An array of JSON stays open, so that nobody
    /// takes it for all there is.
    pub fn leave_off(&mut self) -> Result<()> {
        if !self.has_rows || self.ui.stdout_closed() {
            return Ok(());
        }
        self.flush_table(true);
        if self.format == RowFormat::Json {
            self.buffer.push('\n');
        }
        self.flush()
    }

    /// Whether the reader of stdout has gone, which ended the statement and is no failure.
    pub fn reader_has_gone(&self) -> bool {
        self.ui.stdout_closed()
    }

    fn flush(&mut self) -> Result<()> {
        self.ui.print(&self.buffer)?;
        self.buffer.clear();
        if self.ui.stdout_closed() {
            return Err(ErrorKind::Interrupted.error("nobody reads standard output any more"));
        }
        Ok(())
    }

    fn flush_table(&mut self, last: bool) {
        let Some(table) = &mut self.table else { return };
        if table.is_empty() && !self.widths.is_empty() {
            return;
        }
        if self.widths.is_empty() {
            self.buffer
                .push_str(&table.to_text(self.ui.stdout_is_terminal));
            self.widths = table.widths();
        } else {
            self.buffer.push_str(&table.rows_to_text(&self.widths));
        }
        if last {
            self.table = None;
        } else {
            table.clear();
        }
    }

    fn push_object(&mut self, values: &[Option<&str>]) {
        for (nth, (column, value)) in self.columns.iter().zip(values).enumerate() {
            self.buffer.push(if nth == 0 { '{' } else { ',' });
            self.buffer.push_str(&quoted(&column.name));
            self.buffer.push(':');
            self.buffer.push_str(&to_json(column.kind, *value));
        }
        if self.columns.is_empty() {
            self.buffer.push('{');
        }
        self.buffer.push('}');
    }
}

impl RowSink for RowPrinter<'_> {
    fn wants_kinds(&self) -> bool {
        matches!(self.format, RowFormat::Json | RowFormat::JsonLines)
    }

    fn columns(&mut self, columns: &[Column]) -> Result<()> {
        self.columns = columns.to_vec();
        match self.format {
            RowFormat::Table => {
                self.table = Some(Table::new(columns.iter().map(|column| shown(&column.name))));
                self.widths.clear();
            }
            RowFormat::Csv => self.buffer.push_str(&csv_line(
                columns.iter().map(|column| Some(column.name.as_str())),
            )),
            RowFormat::Json | RowFormat::JsonLines => {}
        }
        Ok(())
    }

    fn row(&mut self, values: &[Option<&str>]) -> Result<()> {
        self.has_rows = true;
        match self.format {
            RowFormat::Table => {
                let table = self
                    .table
                    .get_or_insert_with(|| Table::new(Vec::<String>::new()));
                table.row(
                    values
                        .iter()
                        .map(|value| value.map(shown).unwrap_or_default()),
                );
                if table.len() == ROWS_TO_MEASURE {
                    self.flush_table(false);
                }
            }
            RowFormat::Csv => self.buffer.push_str(&csv_line(values.iter().copied())),
            RowFormat::Json => {
                self.buffer
                    .push_str(if self.objects == 0 { "[\n" } else { ",\n" });
                self.objects += 1;
                self.push_object(values);
            }
            RowFormat::JsonLines => {
                self.push_object(values);
                self.buffer.push('\n');
            }
        }
        if self.buffer.len() >= BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn done(&mut self, rows: u64) -> Result<()> {
        if self.format == RowFormat::Table {
            self.flush_table(true);
            self.flush()?;
            self.ui.status(&format!(
                "({rows} {})",
                if rows == 1 { "row" } else { "rows" }
            ));
        }
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) {
        self.ui.status(&format!(
            "{} {}",
            self.ui
                .paint(Paint::Faint, &format!("{}:", notice.severity)),
            notice.message
        ));
    }
}

/// A value in PostgreSQL's text format as JSON.
fn to_json(kind: ColumnKind, value: Option<&str>) -> String {
    let Some(value) = value else {
        return "null".to_owned();
    };
    match kind {
        ColumnKind::Bool => (value == "t").to_string(),
        // NaN and the infinities are no JSON numbers.
        ColumnKind::Number if value.ends_with(|c: char| c.is_ascii_digit()) => value.to_owned(),
        ColumnKind::Json => one_line(value),
        ColumnKind::Number | ColumnKind::Text => quoted(value),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON on one line; `json` keeps the line feeds it was given, and between tokens they mean nothing.
fn one_line(value: &str) -> String {
    if value.contains(['\n', '\r']) || value.contains(": ") || value.contains(", ") {
        serde_json::from_str::<Box<serde_json::value::RawValue>>(value)
            .ok()
            .and_then(|_| compact(value))
            .unwrap_or_else(|| quoted(value))
    } else {
        value.to_owned()
    }
}

/// Leaves out the white space between tokens, and keeps numbers as they are written, however long.
fn compact(value: &str) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in value.chars() {
        if in_string || !c.is_ascii_whitespace() {
            text.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    (!in_string).then_some(text)
}

/// A value fit for a terminal: several lines stay several lines, everything else that steers is replaced.
pub fn shown(value: &str) -> String {
    value
        .chars()
        .map(|c| match c {
            '\n' => c,
            '\t' => ' ',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_kind() {
        for (kind, value, expected) in [
            (
                ColumnKind::Number,
                "12345678901234567890.50",
                "12345678901234567890.50",
            ),
            (ColumnKind::Number, "NaN", "\"NaN\""),
            (ColumnKind::Number, "-Infinity", "\"-Infinity\""),
            (ColumnKind::Bool, "t", "true"),
            (ColumnKind::Bool, "f", "false"),
            (ColumnKind::Text, "a\"\n", "\"a\\\"\\n\""),
            (
                ColumnKind::Json,
                "{\"a b\": [1, 2.50]}",
                "{\"a b\":[1,2.50]}",
            ),
            (
                ColumnKind::Json,
                "{\n\"a\\\" ,\": \"x  y\"}",
                "{\"a\\\" ,\":\"x  y\"}",
            ),
        ] {
            assert_eq!(to_json(kind, Some(value)), expected);
        }
        assert_eq!(to_json(ColumnKind::Number, None), "null");
    }

    #[test]
    fn a_value_cannot_steer_the_terminal() {
        assert_eq!(shown("a\u{1b}]0;x\u{7}\nb"), "a\u{fffd}]0;x\u{fffd}\nb");
    }
}
