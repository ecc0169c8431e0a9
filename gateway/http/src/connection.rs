//! A connection that is cut when its next request does not arrive in time.
//!
//! The HTTP library times the first request head of a connection and the silence between requests,
//! but not a second head that trickles in, nor a reader that never takes its answer. Here
//! the time from the end of one answer to the arrival of the next whole head has one limit.

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

/// Whether the connection has a request in hand; shared with the handlers' middleware.
#[derive(Clone)]
pub struct Activity(Rc<Cell<Option<Instant>>>);

impl Activity {
    /// A request arrived. The connection counts as waiting again when the result is dropped.
    pub fn begin(&self) -> Busy {
        self.0.set(None);
        Busy(self.clone())
    }
}

/// A request in hand.
pub struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.set(Some(Instant::now()));
    }
}

/// A TCP connection with a limit on how long it may wait for a request.
pub struct Connection {
    io: TcpStream,
    /// Since when it waits; `None` while a request is in hand.
    waiting: Activity,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub fn new(io: TcpStream, limit: Duration) -> Self {
        let waiting = Activity(Rc::new(Cell::new(Some(Instant::now()))));
        Connection { io, waiting, limit, timer: None }
    }

    pub fn activity(&self) -> Activity {
        self.waiting.clone()
    }

    /// Fails when the connection has waited too long, and sees to it that it is looked at then.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(since) = self.waiting.0.get() else { return Ok(()) };
        let deadline = since + self.limit;
        // The timer of an earlier request goes off too early and is set again then: a busy
        // connection sets one in a while, not one a request.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no whole request in time"));
            }
            timer.as_mut().reset(deadline);
        }
        Ok(())
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
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
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
