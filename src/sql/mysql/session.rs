//! A session with MySQL.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{
    ComStmtClose, ComStmtExecuteRequestBuilder, ComStmtSendLongData, StmtPacket,
};
use mysql_common::proto::MySerialize;
use mysql_common::value::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::connection::Statement;
use super::super::failure::left_unfinished;
use super::super::rows::Silent;
use super::super::text;
use super::super::{Column, Dialect, Login, Notice, RowSink, Transaction};
use super::answer::{Answer, Done, answer, end};
use super::auth::sign_in;
use super::cancel::Canceller;
use super::failure::{Stopped, at_login, ends_the_session, in_statement, said};
use super::greeting::Greeting;
use super::packets::{Packets, malformed};
use super::rows::{self, Format, NOT_UTF_8, Shape};
use super::settings;
use super::tag::tag;
use crate::error::{ErrorKind, Result, printable};

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;

/// `ER_LOCK_DEADLOCK`: the server has rolled the transaction back.
const DEADLOCK: u16 = 1213;
/// More remarks than these on one statement nobody reads.
const MOST_WARNINGS: u16 = 20;

/// A session with MySQL.
pub(in super::super) struct Session<S> {
    packets: Packets<S>,
    login: Login,
    greeting: Greeting,
    agreed: CapabilityFlags,
    transaction: Transaction,
    /// A statement was left before its end, so the server is not listening.
    is_busy: bool,
    /// The server has said that it hangs up.
    is_over: bool,
    told_to_stop: Arc<AtomicBool>,
}

impl<S> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.login.user)
            .field("is_busy", &self.is_busy)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Signs in over `stream`.
    pub(in super::super) async fn open(stream: S, login: &Login) -> Result<Self> {
        let opened = async {
            let mut packets = Packets::new(stream);
            let greeting = match packets.read().await? {
                packet @ [0xff, ..] => return Err(Stopped::Said(said(packet))),
                packet => Greeting::parse(packet)?,
            };
            let agreed = sign_in(&mut packets, &greeting, login).await?;
            let settings = settings::statement(login, &greeting);
            let mut session = Self {
                packets,
                login: login.clone(),
                greeting,
                agreed,
                transaction: Transaction::None,
                is_busy: false,
                is_over: false,
                told_to_stop: Arc::default(),
            };
            if let Some(settings) = settings {
                session.query(&settings, &mut Silent).await?;
            }
            Ok(session)
        };
        opened.await.map_err(|stopped| at_login(stopped, login))
    }

    pub(in super::super) fn parameter(&self, name: &str) -> Option<&str> {
        (name == "server_version").then_some(self.greeting.version.as_str())
    }

    pub(in super::super) fn transaction(&self) -> Transaction {
        self.transaction
    }

    pub(in super::super) fn is_usable(&self) -> bool {
        !self.is_busy && !self.is_over
    }

    /// What asks the server to end the statement that is running.
    pub(in super::super) fn canceller(&self) -> Canceller {
        Canceller {
            login: self.login.clone(),
            session: self.greeting.session,
            told_to_stop: Arc::clone(&self.told_to_stop),
        }
    }

    /// Runs `statement`; several statements one after the other, up to the first that fails.
    pub(in super::super) async fn run(
        &mut self,
        statement: Statement<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        if self.is_busy {
            return Err(left_unfinished());
        }
        self.is_busy = true;
        self.told_to_stop.store(false, Ordering::Relaxed);
        let outcome = if statement.values.is_empty() {
            self.run_all(statement, sink).await
        } else {
            self.run_with_values(statement, sink).await
        };
        match &outcome {
            Ok(()) | Err(Stopped::Told(_)) => self.is_busy = false,
            Err(Stopped::Said(server)) => {
                self.is_busy = false;
                self.is_over = server.code.is_some_and(ends_the_session);
                if server.code == Some(DEADLOCK) {
                    self.transaction = Transaction::None;
                }
            }
            Err(Stopped::Stream(_)) => self.is_over = true,
            Err(Stopped::Sink(_)) => {}
        }
        outcome.map_err(|stopped| in_statement(stopped, &self.login.user))
    }

    /// Says goodbye and waits until the server has closed.
    pub(in super::super) async fn close(mut self) {
        if self.is_usable() && self.packets.command(COM_QUIT, &[]).await.is_ok() {
            self.packets.closed().await;
        }
    }

    async fn run_all(
        &mut self,
        statement: Statement<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<(), Stopped> {
        let Statement { sql, is_one, .. } = statement;
        let statements = if is_one {
            vec![sql]
        } else {
            text::statements(Dialect::MySql, sql)
        };
        let mut left = statements.len();
        if left == 0 {
            sink.tag("");
            return sink.done(0).map_err(Stopped::Sink);
        }
        for sql in statements {
            if self.told_to_stop.load(Ordering::Relaxed) {
                return Err(Stopped::Told(ErrorKind::Interrupted.error("cancelled")));
            }
            let warnings = self.query(sql, sink).await?;
            left -= 1;
            // Asking would change what ROW_COUNT() and its like say to what comes next.
            self.remark(warnings, left == 0 && !is_one, sink).await?;
        }
        Ok(())
    }

    /// Runs one statement, and returns how many warnings there were.
    async fn query(&mut self, sql: &str, sink: &mut dyn RowSink) -> Result<u16, Stopped> {
        self.packets.command(COM_QUERY, sql.as_bytes()).await?;
        self.results(sql, Format::Text, sink).await
    }

    async fn run_with_values(
        &mut self,
        statement: Statement<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<(), Stopped> {
        let Statement {
            sql,
            values,
            is_one,
        } = statement;
        let statements = text::statements(Dialect::MySql, sql);
        let sql = match statements.as_slice() {
            _ if is_one => sql,
            [sql] => sql,
            _ => {
                return Err(Stopped::Told(
                    ErrorKind::Statement
                        .error("cannot run the statement")
                        .because(anyhow::anyhow!(
                            "several statements, or none, take no values"
                        )),
                ));
            }
        };
        self.packets
            .command(COM_STMT_PREPARE, sql.as_bytes())
            .await?;
        let prepared = match self.packets.read().await? {
            packet @ [0xff, ..] => return Err(Stopped::Said(said(packet))),
            packet => ParseBuf(packet).parse::<StmtPacket>(()),
        };
        let prepared =
            prepared.map_err(|_| malformed("the server's prepared statement is none"))?;
        let takes = usize::from(prepared.num_params());
        self.columns(u64::from(prepared.num_params())).await?;
        self.columns(u64::from(prepared.num_columns())).await?;
        let id = prepared.statement_id();
        let ran = if takes == values.len() {
            self.execute(id, sql, values, sink).await
        } else {
            Err(Stopped::Told(ErrorKind::Usage.error(format!(
                "the statement takes {takes} values, and there are {}",
                values.len()
            ))))
        };
        if matches!(ran, Ok(_) | Err(Stopped::Said(_) | Stopped::Told(_))) {
            // Nothing is answered to that.
            self.send(&ComStmtClose::new(id)).await?;
        }
        let warnings = ran?;
        self.remark(warnings, !is_one, sink).await
    }

    async fn execute(
        &mut self,
        id: u32,
        sql: &str,
        values: &[Option<String>],
        sink: &mut dyn RowSink,
    ) -> Result<u16, Stopped> {
        let values: Vec<Value> = values
            .iter()
            .map(|value| match value {
                Some(text) => Value::Bytes(text.clone().into_bytes()),
                None => Value::NULL,
            })
            .collect();
        let (request, too_long_for_one) = ComStmtExecuteRequestBuilder::new(id).build(&values);
        if too_long_for_one {
            for (nth, value) in (0_u16..).zip(&values) {
                if let Value::Bytes(bytes) = value {
                    self.send(&ComStmtSendLongData::new(id, nth, bytes.as_slice()))
                        .await?;
                }
            }
        }
        self.send(&request).await?;
        self.results(sql, Format::Binary, sink).await
    }

    /// Sends a command that the wire format's crate has made.
    async fn send(&mut self, request: &impl MySerialize) -> Result<(), Stopped> {
        let mut packet = Vec::new();
        request.serialize(&mut packet);
        let (command, body) = packet.split_first().unwrap_or((&COM_QUIT, &[]));
        Ok(self.packets.command(*command, body).await?)
    }

    /// Everything that a statement returns; a procedure may return several times.
    async fn results(
        &mut self,
        sql: &str,
        format: Format,
        sink: &mut dyn RowSink,
    ) -> Result<u16, Stopped> {
        loop {
            let done = match answer(self.packets.read().await?)? {
                Answer::Done(done) => {
                    sink.tag(&tag(sql, done.changed, false));
                    sink.done(done.changed).map_err(Stopped::Sink)?;
                    done
                }
                Answer::Columns(columns) => self.rows(sql, columns, format, sink).await?,
                Answer::File => return Err(self.refuse_file().await),
            };
            self.transaction = if done.status.contains(StatusFlags::SERVER_STATUS_IN_TRANS) {
                Transaction::Open
            } else {
                Transaction::None
            };
            if !done
                .status
                .contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
            {
                return Ok(done.warnings);
            }
        }
    }

    async fn rows(
        &mut self,
        sql: &str,
        columns: u64,
        format: Format,
        sink: &mut dyn RowSink,
    ) -> Result<Done, Stopped> {
        let (columns, shapes): (Vec<Column>, Vec<Shape>) =
            self.columns(columns).await?.into_iter().unzip();
        sink.columns(&columns).map_err(Stopped::Sink)?;
        let mut count = 0;
        loop {
            let packet = self.packets.read().await?;
            if let Some(done) = end(packet, self.agreed)? {
                sink.tag(&tag(sql, count, true));
                sink.done(count).map_err(Stopped::Sink)?;
                return Ok(done);
            }
            let values =
                rows::row(packet, format, &shapes).map_err(|error| match error.to_string() {
                    text if text == NOT_UTF_8 => Stopped::Sink(ErrorKind::Statement.error(text)),
                    _ => Stopped::Stream(error),
                })?;
            let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            sink.row(&values).map_err(Stopped::Sink)?;
            count += 1;
        }
    }

    /// The descriptions of so many columns, or parameters.
    async fn columns(&mut self, count: u64) -> Result<Vec<(Column, Shape)>, Stopped> {
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(rows::column(self.packets.read().await?)?);
        }
        if count > 0 && !self.agreed.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) {
            self.packets.read().await?;
        }
        Ok(columns)
    }

    /// The server may ask for any file at all; it gets none.
    async fn refuse_file(&mut self) -> Stopped {
        let refused = async {
            self.packets.write(&[]).await?;
            self.packets.read().await.map(|_| ())
        };
        match refused.await {
            Ok(()) => Stopped::Told(
                ErrorKind::Statement
                    .error("cannot run the statement")
                    .because(anyhow::anyhow!(
                        "the server asks for a file of this machine, and gets none"
                    ))
                    .hint("load it with the mysql client: bsql connect NAME"),
            ),
            Err(error) => Stopped::Stream(error),
        }
    }

    /// Says that there were warnings; `ask` the server which.
    async fn remark(
        &mut self,
        warnings: u16,
        ask: bool,
        sink: &mut dyn RowSink,
    ) -> Result<(), Stopped> {
        if warnings == 0 {
            return Ok(());
        }
        let noun = if warnings == 1 { "warning" } else { "warnings" };
        let mut remarks = Remarks::default();
        if ask {
            let sql = format!("SHOW WARNINGS LIMIT {MOST_WARNINGS}");
            self.query(&sql, &mut remarks).await?;
        } else {
            remarks.0.push(warning(format!(
                "{warnings} {noun}: SHOW WARNINGS lists them"
            )));
        }
        if warnings > MOST_WARNINGS {
            remarks.0.push(warning(format!("{warnings} {noun} in all")));
        }
        for remark in &remarks.0 {
            sink.notice(remark);
        }
        Ok(())
    }
}

fn warning(message: String) -> Notice {
    Notice {
        severity: "WARNING".to_owned(),
        message,
        detail: None,
        hint: None,
    }
}

/// What `SHOW WARNINGS` returns: how bad, a number, and words.
#[derive(Default)]
struct Remarks(Vec<Notice>);

impl RowSink for Remarks {
    fn columns(&mut self, _: &[Column]) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, values: &[Option<&str>]) -> Result<()> {
        if let [Some(severity), code, Some(message)] = values {
            self.0.push(Notice {
                severity: printable(&severity.to_uppercase()),
                ..warning(printable(&format!(
                    "{message} (error {})",
                    code.unwrap_or("?")
                )))
            });
        }
        Ok(())
    }

    fn done(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}
