//! Sinks of the tests' own.

use super::{Column, Notice, RowSink};
use crate::error::{ErrorKind, Result};

/// Writes down everything, one line each.
#[derive(Default)]
pub(super) struct Script {
    pub(super) lines: Vec<String>,
    pub(super) kinds: bool,
}

impl RowSink for Script {
    fn wants_kinds(&self) -> bool {
        self.kinds
    }

    fn columns(&mut self, columns: &[Column]) -> Result<()> {
        let columns = columns
            .iter()
            .map(|column| format!("{} {:?}", column.name, column.kind));
        self.lines.push(columns.collect::<Vec<_>>().join(", "));
        Ok(())
    }

    fn row(&mut self, values: &[Option<&str>]) -> Result<()> {
        let values = values.iter().map(|value| value.unwrap_or("NULL"));
        self.lines.push(values.collect::<Vec<_>>().join("|"));
        Ok(())
    }

    fn done(&mut self, rows: u64) -> Result<()> {
        self.lines.push(format!("done {rows}"));
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) {
        self.lines
            .push(format!("{}: {}", notice.severity, notice.message));
    }
}

/// Stops at the tenth row.
#[derive(Default)]
pub(super) struct Impatient(pub(super) u64);

impl RowSink for Impatient {
    fn columns(&mut self, _: &[Column]) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &[Option<&str>]) -> Result<()> {
        self.0 += 1;
        if self.0 < 10 {
            Ok(())
        } else {
            Err(ErrorKind::CannotCreate.error("the pipe is closed"))
        }
    }

    fn done(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}
