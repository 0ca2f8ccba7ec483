//! A list as text, written as it is read.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::Row;
use crate::cli::Output;
use crate::cli::yaml;
use crate::error::{ErrorKind, Result, ResultExt as _};
use crate::ui::{Columns, Paint, Shrink, Ui, csv_line};

/// Written at once: fewer system calls than a line at a time.
const BUFFER: usize = 64 * 1024;
/// Counts changes of the JSON that a program could stumble over.
const VERSION: u32 = 1;
/// What stands where an entry is wrong.
const WRONG: &str = "(the entry is wrong)";

const NAME: usize = 0;
const ENVIRONMENT: usize = 1;
const INSTANCE: usize = 5;

const fn to(rank: u8, width: usize) -> Shrink {
    Shrink::To { rank, width }
}

const COLUMNS: [(&str, Shrink); 6] = [
    ("NAME", Shrink::Never),
    ("ENV", to(4, 6)),
    ("ENGINE", to(3, 6)),
    ("OWNER", to(2, 8)),
    ("SYSTEM", to(0, 6)),
    ("INSTANCE", to(1, 16)),
];
const WIDE_COLUMNS: [(&str, Shrink); 10] = [
    ("NAME", Shrink::Never),
    ("ENV", to(8, 6)),
    ("ENGINE", to(6, 6)),
    ("OWNER", to(4, 8)),
    ("SYSTEM", to(3, 6)),
    ("INSTANCE", to(7, 16)),
    ("REGION", to(2, 8)),
    ("DATABASE", to(5, 8)),
    ("TITLE", to(1, 12)),
    ("LINKS", to(0, 6)),
];
const CSV_COLUMNS: [&str; 11] = [
    "NAME", "ENV", "ENGINE", "OWNER", "SYSTEM", "INSTANCE", "DATABASE", "TITLE", "REGION", "REF",
    "PROBLEM",
];

/// What there is to say of all of them.
#[derive(Debug)]
pub(super) struct Head {
    /// When Backstage said so.
    pub(super) as_of: Timestamp,
    pub(super) from_cache: bool,
}

/// Writes rows to stdout.
pub(super) struct Printer<'a> {
    ui: &'a mut Ui,
    output: Output,
    columns: Columns,
    buffer: String,
    rows: usize,
}

impl<'a> Printer<'a> {
    pub(super) fn new(ui: &'a mut Ui, output: Output) -> Self {
        let columns = match output {
            Output::Wide => Columns::new(WIDE_COLUMNS),
            _ => Columns::new(COLUMNS),
        };
        Self {
            ui,
            output,
            columns,
            buffer: String::new(),
            rows: 0,
        }
    }

    /// Writes what comes ahead of the rows. `each` hands over all of them, to be measured.
    pub(super) fn begin(
        &mut self,
        head: &Head,
        each: impl FnOnce(&mut dyn FnMut(&Row) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        match self.output {
            Output::Json => {
                let _ = write!(
                    self.buffer,
                    "{{\n  \"version\": {VERSION},\n  \"as_of\": \"{}\",\n  \"from_cache\": {},\n  \"databases\": [",
                    head.as_of, head.from_cache
                );
            }
            Output::Yaml => {
                let _ = write!(
                    self.buffer,
                    "version: {VERSION}\nas_of: \"{}\"\nfrom_cache: {}\ndatabases:",
                    head.as_of, head.from_cache
                );
            }
            Output::Csv => self.buffer.push_str(&csv_line(CSV_COLUMNS.map(Some))),
            Output::Name => {}
            Output::Table | Output::Wide => {
                let (columns, wide) = (&mut self.columns, self.output == Output::Wide);
                each(&mut |row| {
                    columns.measure(&cells(row, wide, false));
                    Ok(())
                })?;
                if let Some(width) = self.ui.stdout_width() {
                    self.columns.fit(width);
                }
            }
        }
        Ok(())
    }

    pub(super) fn row(&mut self, row: &Row) -> Result<()> {
        match self.output {
            Output::Json => {
                let comma = if self.rows > 0 { "," } else { "" };
                let json = serde_json::to_string(row)
                    .or_fail(ErrorKind::Internal, || "cannot write the list as JSON")?;
                let _ = write!(self.buffer, "{comma}\n    {json}");
            }
            Output::Yaml => {
                let value = serde_json::to_value(row)
                    .or_fail(ErrorKind::Internal, || "cannot write the list as YAML")?;
                self.buffer.push_str("\n  - ");
                self.buffer.push_str(&yaml::mapping(&value, 4));
            }
            Output::Csv => {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                let line = [
                    row.name.clone(),
                    text(&row.environment),
                    text(&row.engine),
                    text(&row.short_owner),
                    text(&row.system),
                    text(&row.instance),
                    text(&row.database),
                    text(&row.title),
                    text(&row.region),
                    row.reference.clone(),
                    text(&row.problem),
                ];
                let cells = line
                    .iter()
                    .map(|cell| Some(cell.as_str()).filter(|cell| !cell.is_empty()));
                self.buffer.push_str(&csv_line(cells));
            }
            Output::Name => {
                self.buffer.push_str(&row.name);
                self.buffer.push('\n');
            }
            Output::Table | Output::Wide => self.line(row),
        }
        self.rows += 1;
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn line(&mut self, row: &Row) {
        if self.rows == 0 {
            self.buffer.push_str(&self.columns.headings());
        }
        let cells = cells(
            row,
            self.output == Output::Wide,
            self.columns.is_cut(INSTANCE),
        );
        let ui = &*self.ui;
        let is_production = row.environment.as_deref() == Some("production");
        let line = self.columns.line(&cells, |nth, text| match nth {
            NAME => match &row.page {
                Some(page) => ui.link(&text, page),
                None => text,
            },
            ENVIRONMENT if is_production => ui.paint_data(Paint::Error, &text),
            INSTANCE if row.instance.is_none() && row.problem.is_some() => {
                ui.paint_data(Paint::Warning, &text)
            }
            _ => text,
        });
        self.buffer.push_str(&line);
    }

    /// Writes what comes behind the rows.
    pub(super) fn end(mut self) -> Result<()> {
        match (self.output, self.rows) {
            (Output::Json, 0) => self.buffer.push_str("]\n}\n"),
            (Output::Json, _) => self.buffer.push_str("\n  ]\n}\n"),
            (Output::Yaml, 0) => self.buffer.push_str(" []\n"),
            (Output::Yaml, _) => self.buffer.push('\n'),
            _ => {}
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        self.ui.print(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

fn cells(row: &Row, wide: bool, short_instance: bool) -> Vec<String> {
    let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let instance = match (&row.instance, &row.short_instance) {
        (None, _) if row.problem.is_some() => WRONG.to_owned(),
        (Some(_), Some(short)) if short_instance => short.clone(),
        (instance, _) => dash(instance),
    };
    let mut cells = vec![
        row.name.clone(),
        dash(&row.environment),
        dash(&row.engine),
        dash(&row.short_owner),
        dash(&row.system),
        instance,
    ];
    if wide {
        let titles: Vec<&str> = row.links.iter().map(|link| link.title.as_str()).collect();
        let links = Some(titles.join(", ")).filter(|links| !links.is_empty());
        cells.extend([
            dash(&row.region),
            dash(&row.database),
            dash(&row.title),
            dash(&links),
        ]);
    }
    cells
}
