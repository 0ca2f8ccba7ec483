//! The protocol's side of a connection: it moves only while somebody waits for an answer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::AsyncMessage;
use tokio_postgres::error::DbError;
use tokio_postgres::tls::NoTlsStream;

use super::super::Notice;
use super::shared::Shared;
use crate::error::printable;

/// The protocol's side of a connection, driven by whoever waits for it.
pub(super) struct Wire<S> {
    /// `None` once it has ended: the client's answers then end too.
    pub(super) connection: Option<tokio_postgres::Connection<Shared<S>, NoTlsStream>>,
    /// Why it ended.
    failure: Option<tokio_postgres::Error>,
    pub(super) notices: VecDeque<Notice>,
}

/// What [`Wire::drive`] came back for.
pub(super) enum Event<T> {
    /// There are notices; the answer is still to come.
    Remarked,
    /// The answer.
    Done(T),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(connection: tokio_postgres::Connection<Shared<S>, NoTlsStream>) -> Self {
        Self {
            connection: Some(connection),
            failure: None,
            notices: VecDeque::new(),
        }
    }

    /// Drives the connection until `answer` is there. Cancel safe if `answer` is.
    pub(super) async fn drive<T>(&mut self, answer: impl Future<Output = T>) -> Event<T> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            self.poll(cx);
            // The answer first, or it would starve behind a stream of notices.
            match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Event::Done(answer)),
                Poll::Pending if self.notices.is_empty() => Poll::Pending,
                Poll::Pending => Poll::Ready(Event::Remarked),
            }
        })
        .await
    }

    /// Drives the connection to its end.
    pub(super) async fn ended(&mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            match self.connection {
                None => Poll::Ready(()),
                Some(_) => Poll::Pending,
            }
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some(connection) = &mut self.connection {
            match connection.poll_message(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    self.notices.push_back(notice_of(&notice));
                }
                // Nobody listens to notifications.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => {
                    self.failure = Some(error);
                    self.connection = None;
                }
                Poll::Ready(None) => self.connection = None,
            }
        }
    }

    /// Why the connection ended, if all that is known of it is that it did.
    pub(super) fn reason(&mut self, error: tokio_postgres::Error) -> tokio_postgres::Error {
        match self.failure.take() {
            Some(failure) if error.is_closed() => failure,
            _ => error,
        }
    }
}

fn notice_of(notice: &DbError) -> Notice {
    Notice {
        severity: printable(notice.severity()),
        message: printable(notice.message()),
        detail: notice.detail().map(printable),
        hint: notice.hint().map(printable),
    }
}
