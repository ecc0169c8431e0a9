//! A connection that is cut when its next request does not arrive in time.
//!
//! The HTTP library times the first request head of a connection and the silence between requests,
//! but not a second head that trickles in, nor a reader that never takes its answer. Here
//! the time from the end of one answer to the arrival of the next whole head has one limit, and an
//! answer that goes on for long has another on every moment in which the reader takes nothing.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Whether the connection has a request in hand; shared with the handlers and their middleware.
#[derive(Clone)]
pub struct Activity(Rc<State>);

struct State {
    /// Requests in hand, and answers in the making.
    busy: Cell<usize>,
    /// Since when the connection waits, while there are none.
    waiting: Cell<Instant>,
}

impl Activity {
    /// A request arrived. The connection counts as waiting again when the result is dropped.
    pub fn begin(&self) -> Busy {
        self.0.busy.set(self.0.busy.get() + 1);
        Busy(self.clone())
    }

    fn waiting_since(&self) -> Option<Instant> {
        (self.0.busy.get() == 0).then(|| self.0.waiting.get())
    }
}

/// A request in hand, or an answer in the making.
pub struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.waiting.set(Instant::now());
        state.busy.set(state.busy.get().saturating_sub(1));
    }
}

/// A TCP connection with a limit on how long it may wait for a request.
pub struct Connection {
    io: TcpStream,
    activity: Activity,
    limit: Duration,
    stall_limit: Duration,
    /// Since when the reader takes nothing of what is to be written.
    stalled: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// `limit` is for waiting, `stall_limit` for the reader of an answer in the making who takes nothing.
    pub fn new(io: TcpStream, limit: Duration, stall_limit: Duration) -> Self {
        let state = State { busy: Cell::new(0), waiting: Cell::new(Instant::now()) };
        Connection { io, activity: Activity(Rc::new(state)), limit, stall_limit, stalled: None, timer: None }
    }

    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Fails when the connection has waited too long, and sees to it that it is looked at then.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let waiting = self.activity.waiting_since().map(|since| since + self.limit);
        let Some(deadline) = waiting.or(self.stalled.map(|since| since + self.stall_limit)) else { return Ok(()) };
        // The timer of an earlier request goes off too early and is set again then: a busy
        // connection sets one in a while, not one a request.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no whole request, or nothing read, in time"));
            }
            timer.as_mut().reset(deadline);
        }
        Ok(())
    }
}

impl Connection {
    /// Remembers whether the reader took anything.
    fn written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
        } else if self.stalled.is_none() {
            self.stalled = Some(Instant::now());
            self.check(context)?;
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(3600);

    async fn connection(limit: Duration, stall_limit: Duration) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Connection::new(listener.accept().await.unwrap().0, limit, stall_limit), peer)
    }

    /// Writes until it fails.
    async fn write_on(connection: &mut Connection) -> io::ErrorKind {
        loop {
            if let Err(error) = connection.write_all(&[b'x'; 64 * 1024]).await {
                return error.kind();
            }
        }
    }

    #[tokio::test]
    async fn a_reader_who_takes_nothing_is_cut() {
        let (mut connection, _peer) = connection(LONG, SHORT).await;
        let _busy = connection.activity().begin();
        assert_eq!(write_on(&mut connection).await, io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_reader_is_not_and_a_silent_answer_neither() {
        let (mut connection, mut peer) = connection(SHORT, LONG).await;
        let busy = connection.activity().begin();
        let second = connection.activity().begin();
        // Ends only when the peer goes.
        let reader = tokio::spawn(async move {
            tokio::time::sleep(SHORT * 3).await;
            let mut bytes = vec![0; 16 * 1024 * 1024];
            peer.read_exact(&mut bytes).await.unwrap();
        });
        assert_ne!(write_on(&mut connection).await, io::ErrorKind::TimedOut);
        reader.await.unwrap();

        // One of two ends: the other still counts. Then it waits for the next request, with a limit.
        drop(second);
        assert!(connection.activity.waiting_since().is_none());
        drop(busy);
        assert!(connection.activity.waiting_since().is_some());
    }

    #[tokio::test]
    async fn who_sends_no_request_is_cut() {
        let (mut connection, _peer) = connection(SHORT, LONG).await;
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
