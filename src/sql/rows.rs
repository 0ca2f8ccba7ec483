//! What comes back from a statement.

use tokio_postgres::types::{Kind, Type};

use crate::error::Result;

/// Takes what statements return, as it comes. An error stops the statement.
pub trait RowSink: Send {
    /// Whether [`Column::kind`] is of use. Finding it out costs a round trip; without it everything is text.
    fn wants_kinds(&self) -> bool {
        false
    }

    /// A statement returns rows of these columns.
    fn columns(&mut self, columns: &[Column]) -> Result<()>;

    /// One row, in PostgreSQL's text format. `None` is NULL.
    fn row(&mut self, values: &[Option<&str>]) -> Result<()>;

    /// A statement has ended, having returned or changed `rows` rows. It has returned some or none if
    /// [`columns`](Self::columns) was called for it, and changed some or none otherwise.
    fn done(&mut self, rows: u64) -> Result<()>;

    /// How the statement ended, in the server's words, as `INSERT 0 1`; empty for an empty one. Comes before
    /// [`done`](Self::done).
    fn tag(&mut self, _tag: &str) {}

    /// The server remarks something. Remarks may overtake rows.
    fn notice(&mut self, notice: &Notice) {
        tracing::info!(
            severity = notice.severity,
            message = notice.message,
            "remarked"
        );
    }
}

/// For what the person did not write.
pub(super) struct Silent;

impl RowSink for Silent {
    fn columns(&mut self, _: &[Column]) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &[Option<&str>]) -> Result<()> {
        Ok(())
    }

    fn done(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}

/// One column of a statement's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the server gives it: not safe for a terminal.
    pub name: String,
    /// What its values are in JSON.
    pub kind: ColumnKind,
}

/// What a value in PostgreSQL's text format is in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Everything else, and everything where the kinds were not asked for or there were several statements.
    Text,
    /// A JSON number as it stands, but for `NaN`, `Infinity` and `-Infinity`.
    Number,
    /// `t` or `f`.
    Bool,
    /// JSON as it stands.
    Json,
}

impl ColumnKind {
    pub(super) fn of(ty: &Type) -> Self {
        match *ty {
            Type::INT2
            | Type::INT4
            | Type::INT8
            | Type::OID
            | Type::FLOAT4
            | Type::FLOAT8
            | Type::NUMERIC => Self::Number,
            Type::BOOL => Self::Bool,
            Type::JSON | Type::JSONB => Self::Json,
            _ => match ty.kind() {
                Kind::Domain(base) => Self::of(base),
                _ => Self::Text,
            },
        }
    }
}

/// A NOTICE, WARNING and the like, safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// As the server calls it, in its language.
    pub severity: String,
    /// What it says.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}
