//! What the tests of both protocols share.

use std::fs;

use tokio::net::UnixStream;

use super::{Column, Connection, Notice, RowSink};
use crate::error::{Error, ErrorKind, Result};

/// What a statement returns, as a [`Script`] writes it down.
pub(super) async fn run(connection: &mut Connection<UnixStream>, sql: &str) -> Vec<String> {
    let mut script = Script::default();
    connection.run(sql, &mut script).await.unwrap();
    script.lines
}

/// Why a statement is not run.
pub(super) async fn fails(connection: &mut Connection<UnixStream>, sql: &str) -> Error {
    let mut script = Script::default();
    connection.run(sql, &mut script).await.unwrap_err()
}

/// The ids of a system account and its group, for servers that do not run as root.
pub(super) fn account(name: &str) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = passwd
        .lines()
        .map(|line| line.split(':'))
        .find(|fields| fields.clone().next() == Some(name))?
        .skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

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
