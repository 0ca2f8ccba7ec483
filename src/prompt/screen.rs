//! Rows as the prompt shows them: a table that fits the terminal, or a record a row, through a pager when they are long.

use std::fmt::Write as _;

use super::Options;
use super::pager::Pager;
use crate::error::{ErrorKind, Result};
use crate::sql::{Column, Notice, RowSink};
use crate::ui::{Table, Ui, shown};

/// Tables are laid out for this many rows at a time.
const ROWS_AT_ONCE: usize = 1_000;
/// Written at once where there is no pager.
const BUFFER: usize = 64 * 1024;

/// What an answer looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks {
    /// A record a row.
    pub(super) expanded: bool,
    /// For a person: fit to the terminal, with a pager.
    pub(super) for_person: bool,
}

/// Where rows go.
pub(super) struct Screen<'a> {
    ui: &'a mut Ui,
    options: &'a Options,
    looks: Looks,
    heading: Option<&'static str>,
    columns: Vec<String>,
    table: Option<Table>,
    widths: Vec<usize>,
    /// Rows of the statement so far.
    rows: u64,
    tag: String,
    /// Not yet written.
    pending: String,
    pager: Option<Pager>,
    /// The pager could not be started, or has gone.
    no_pager: bool,
    /// The person left the pager: the rest is not shown.
    left: bool,
}

impl<'a> Screen<'a> {
    pub(super) fn new(ui: &'a mut Ui, options: &'a Options, looks: Looks) -> Self {
        Self {
            ui,
            options,
            looks,
            heading: None,
            columns: Vec::new(),
            table: None,
            widths: Vec::new(),
            rows: 0,
            tag: String::new(),
            pending: String::new(),
            pager: None,
            no_pager: false,
            left: false,
        }
    }

    /// Shows the rows of the next statement below a heading, and nothing at all when there are none.
    pub(super) fn below(&mut self, heading: Option<&'static str>) {
        self.heading = heading;
    }

    /// Writes what is left, and waits for the pager to be left.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.write(true)?;
        if let Some(pager) = self.pager.take() {
            pager.finish();
        }
        Ok(())
    }

    fn write(&mut self, last: bool) -> Result<()> {
        if self.left {
            self.pending.clear();
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.pager.is_none() && self.wants_pager() {
            // Below the height of the screen nothing is written before the end: it may all fit.
            if self.pending.lines().count() < screen_height() {
                return if last { self.print() } else { Ok(()) };
            }
            self.start_pager();
        }
        if let Some(pager) = &mut self.pager {
            self.left = !pager.write(&self.pending);
            self.pending.clear();
            return Ok(());
        }
        if last || self.looks.for_person || self.pending.len() >= BUFFER {
            return self.print();
        }
        Ok(())
    }

    fn print(&mut self) -> Result<()> {
        self.ui.print(&self.pending)?;
        self.pending.clear();
        if self.ui.stdout_closed() {
            return Err(ErrorKind::Interrupted.error("nobody reads standard output any more"));
        }
        Ok(())
    }

    fn wants_pager(&self) -> bool {
        self.looks.for_person && self.options.pager.is_some() && !self.no_pager
    }

    fn start_pager(&mut self) {
        let Some(command) = &self.options.pager else {
            return;
        };
        match Pager::start(command, &self.options.environment) {
            Ok(pager) => self.pager = Some(pager),
            Err(error) => {
                self.no_pager = true;
                self.ui
                    .warn(&format!("cannot start the pager `{command}` ({error})"));
            }
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a text does not fail.
        let _ = writeln!(self.pending, "{text}");
    }

    fn lay_out(&mut self) {
        let Some(table) = &mut self.table else { return };
        if self.widths.is_empty() {
            self.pending.push_str(&table.to_text(self.looks.for_person));
            self.widths = table.widths();
        } else if !table.is_empty() {
            self.pending.push_str(&table.rows_to_text(&self.widths));
        }
        table.clear();
    }

    fn record(&mut self, values: &[Option<&str>]) {
        let width = self
            .columns
            .iter()
            .map(|name| console::measure_text_width(name))
            .max()
            .unwrap_or(0);
        let nth = self.rows;
        self.line(format_args!("-[ RECORD {nth} ]-"));
        for (name, value) in self.columns.iter().zip(values) {
            let blanks = width.saturating_sub(console::measure_text_width(name));
            let value = value.map(shown).unwrap_or_default();
            let mut lines = value.split('\n');
            let first = lines.next().unwrap_or_default();
            let line = format!("{name}{} | {first}", " ".repeat(blanks));
            self.pending.push_str(line.trim_end());
            self.pending.push('\n');
            for more in lines {
                let line = format!("{} | {more}", " ".repeat(width));
                self.pending.push_str(line.trim_end());
                self.pending.push('\n');
            }
        }
    }
}

impl RowSink for Screen<'_> {
    fn columns(&mut self, columns: &[Column]) -> Result<()> {
        self.columns = columns
            .iter()
            .map(|column| shown(&column.name).replace('\n', " "))
            .collect();
        self.widths.clear();
        self.table = Some(Table::new(self.columns.clone()));
        Ok(())
    }

    fn row(&mut self, values: &[Option<&str>]) -> Result<()> {
        if self.left {
            return Ok(());
        }
        self.rows += 1;
        if let (1, Some(heading)) = (self.rows, self.heading) {
            self.line(format_args!("\n{heading}:"));
        }
        if self.looks.expanded && self.heading.is_none() {
            self.record(values);
        } else if let Some(table) = &mut self.table {
            table.row(
                values
                    .iter()
                    .map(|value| value.map(shown).unwrap_or_default()),
            );
            if table.len() >= ROWS_AT_ONCE {
                self.lay_out();
            }
        }
        self.write(false)
    }

    fn tag(&mut self, tag: &str) {
        tag.clone_into(&mut self.tag);
    }

    fn done(&mut self, rows: u64) -> Result<()> {
        let shown = std::mem::take(&mut self.rows);
        let had_columns = self.table.is_some();
        match (had_columns, self.heading) {
            // One of several, of which only those with rows are shown.
            (_, Some(_)) if shown == 0 => self.table = None,
            (true, heading) => {
                if !self.looks.expanded || heading.is_some() {
                    self.lay_out();
                }
                self.table = None;
                if heading.is_none() {
                    let noun = if rows == 1 { "row" } else { "rows" };
                    self.line(format_args!("({rows} {noun})"));
                }
            }
            (false, _) if self.looks.for_person && !self.tag.is_empty() => {
                let tag = std::mem::take(&mut self.tag);
                self.line(format_args!("{tag}"));
            }
            (false, _) => {}
        }
        self.write(false)
    }

    fn notice(&mut self, notice: &Notice) {
        self.ui
            .status(&format!("{}:  {}", notice.severity, notice.message));
        for (what, text) in [("DETAIL", &notice.detail), ("HINT", &notice.hint)] {
            if let Some(text) = text {
                self.ui.status(&format!("{what}:  {text}"));
            }
        }
    }
}

/// As of now: a window may be resized at any time. The prompt needs a line too.
fn screen_height() -> usize {
    let (rows, _) = console::Term::stdout().size();
    usize::from(rows).saturating_sub(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::ColumnKind;
    use crate::ui::UiOptions;

    fn columns(names: &[&str]) -> Vec<Column> {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            kind: ColumnKind::Text,
        };
        names.iter().map(column).collect()
    }

    fn text(expanded: bool, feed: impl FnOnce(&mut Screen<'_>)) -> String {
        let mut ui = Ui::new(UiOptions::default());
        let options = Options::default();
        let looks = Looks {
            expanded,
            for_person: false,
        };
        let mut screen = Screen::new(&mut ui, &options, looks);
        feed(&mut screen);
        std::mem::take(&mut screen.pending)
    }

    #[test]
    fn tables_and_records() {
        let feed = |screen: &mut Screen<'_>| {
            screen.columns(&columns(&["id", "größe"])).unwrap();
            screen.row(&[Some("1"), Some("a\nb\u{1b}")]).unwrap();
            screen.row(&[Some("2"), None]).unwrap();
            screen.tag("SELECT 2");
            screen.done(2).unwrap();
        };
        assert_eq!(
            text(false, feed),
            "id  größe\n1   a\n    b\u{fffd}\n2\n(2 rows)\n"
        );
        assert_eq!(
            text(true, feed),
            "-[ RECORD 1 ]-\nid    | 1\ngröße | a\n      | b\u{fffd}\n-[ RECORD 2 ]-\nid    | 2\ngröße |\n(2 rows)\n"
        );
    }

    #[test]
    fn what_is_below_a_heading_is_left_out_when_empty() {
        let feed = |screen: &mut Screen<'_>| {
            screen.heading = Some("Indexes");
            screen.columns(&columns(&["Name"])).unwrap();
            screen.done(0).unwrap();
            screen.columns(&columns(&["Name"])).unwrap();
            screen.row(&[Some("pk")]).unwrap();
            screen.done(1).unwrap();
        };
        assert_eq!(text(true, feed), "\nIndexes:\nName\npk\n");
    }
}
