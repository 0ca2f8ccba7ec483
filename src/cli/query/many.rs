//! One query on several databases at once: the rows of all, each with the database it is from.

use std::sync::{Mutex, PoisonError};

use futures_util::{StreamExt as _, stream};

use super::{Bound, Format};
use crate::app::App;
use crate::audit::Outcome;
use crate::cli::access::Reached;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Column, ColumnKind, Notice, RowSink};
use crate::ui::{Paint, RowPrinter, Ui, UiOptions};

/// The column in front.
const DATABASE: &str = "database";

/// Runs each one's SQL, which is the same but for the dialect, `parallel` at a time, prints the rows as they come and says of each how it went.
///
/// Fails with [`ErrorKind::Statement`] when one of them fails, whatever its reason: the others' rows were printed.
pub(super) async fn run(
    all: Vec<(&str, Bound, Reached)>,
    format: Format,
    parallel: usize,
    app: &App,
    ui: &mut Ui,
) -> Result<u8> {
    // As typed: instances of several projects may have the same name.
    let (names, all): (Vec<&str>, Vec<(Bound, Reached)>) = all
        .into_iter()
        .map(|(name, bound, reached)| (name, (bound, reached)))
        .unzip();
    let shared = Mutex::new(Shared {
        printer: RowPrinter::new(ui, format.rows()),
        columns: None,
    });
    let mut outcomes: Vec<(usize, Result<u64>)> = stream::iter(all.into_iter().enumerate())
        .map(async |(nth, (bound, reached))| {
            let one = One {
                name: names[nth],
                shared: &shared,
                rows: 0,
            };
            (nth, one.run(reached, &bound, app).await)
        })
        .buffer_unordered(parallel)
        .collect()
        .await;
    outcomes.sort_by_key(|(nth, _)| *nth);
    let Shared {
        mut printer,
        columns,
    } = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let finished = if printer.reader_has_gone() {
        Ok(())
    } else {
        printer.finish_with(columns.is_some())
    };
    drop(printer);
    finished?;
    if ui.stdout_closed() {
        return Ok(0);
    }
    summary(&names, outcomes, app, ui)
}

fn summary(names: &[&str], outcomes: Vec<(usize, Result<u64>)>, app: &App, ui: &Ui) -> Result<u8> {
    let mut failed = Vec::new();
    for (nth, outcome) in outcomes {
        let name = names[nth];
        match outcome {
            Ok(1) => ui.status(&format!("{name}: 1 row")),
            Ok(rows) => ui.status(&format!("{name}: {rows} rows")),
            Err(error) if is_signal(&error) => return Err(app.shutdown().error()),
            Err(error) => {
                let why: Vec<String> = std::iter::once(error.to_string())
                    .chain(error.causes())
                    .collect();
                let why = format!("{name}: {}", why.join(": "));
                ui.status(&format!("{} {why}", ui.paint(Paint::Error, "failed:")));
                failed.push(why);
            }
        }
    }
    if failed.is_empty() {
        return Ok(0);
    }
    Err(ErrorKind::Statement
        .error(format!(
            "{} of {} databases failed",
            failed.len(),
            names.len()
        ))
        .because(anyhow::anyhow!("{}", failed.join("\n"))))
}

fn is_signal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated)
}

/// Where all rows go.
struct Shared<'u> {
    printer: RowPrinter<'u>,
    /// The names of the first database's columns: the others' must be the same.
    columns: Option<Vec<String>>,
}

/// One of the databases.
struct One<'s, 'u> {
    name: &'s str,
    shared: &'s Mutex<Shared<'u>>,
    rows: u64,
}

impl One<'_, '_> {
    async fn run(mut self, mut reached: Reached, bound: &Bound, app: &App) -> Result<u64> {
        // The printer has the person's; several spinners at once would be none.
        let mut silent = Ui::new(UiOptions {
            quiet: true,
            no_input: true,
            ..UiOptions::default()
        });
        let mut connection = reached.open(app, &mut silent).await?;
        let entry = app.audit().begin(reached.access)?;
        let running = connection.run_interruptibly(
            bound.statement(),
            &mut self,
            app.shutdown(),
            reached.dialer.as_ref(),
        );
        let result = running.await;
        connection.close().await;
        entry.end(Outcome {
            exit: result
                .as_ref()
                .map_or_else(|error| error.kind().code(), |()| 0),
            connections: 1,
            ..Outcome::default()
        })?;
        result.map(|()| self.rows)
    }

    /// Only one of them prints at a time, and none waits for anything else meanwhile.
    fn shared<T>(&self, print: impl FnOnce(&mut Shared<'_>) -> Result<T>) -> Result<T> {
        print(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RowSink for One<'_, '_> {
    fn wants_kinds(&self) -> bool {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.printer.wants_kinds()
    }

    fn columns(&mut self, columns: &[Column]) -> Result<()> {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        self.shared(|shared| match &shared.columns {
            Some(first) if *first == names => Ok(()),
            Some(first) => Err(ErrorKind::Statement
                .error("cannot print the rows together")
                .because(anyhow::anyhow!(
                    "the columns are {}, and another database's are {}",
                    names.join(", "),
                    first.join(", ")
                ))),
            None => {
                let database = Column {
                    name: DATABASE.to_owned(),
                    kind: ColumnKind::Text,
                };
                let all: Vec<Column> = std::iter::once(database)
                    .chain(columns.iter().cloned())
                    .collect();
                shared.columns = Some(names);
                shared.printer.columns(&all)
            }
        })
    }

    fn row(&mut self, values: &[Option<&str>]) -> Result<()> {
        self.rows += 1;
        let all: Vec<Option<&str>> = std::iter::once(Some(self.name))
            .chain(values.iter().copied())
            .collect();
        self.shared(|shared| shared.printer.row(&all))
    }

    fn done(&mut self, rows: u64) -> Result<()> {
        // Rows that were changed rather than returned.
        self.rows = self.rows.max(rows);
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) {
        let named = Notice {
            message: format!("{}: {}", self.name, notice.message),
            ..notice.clone()
        };
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.printer.notice(&named);
    }
}
