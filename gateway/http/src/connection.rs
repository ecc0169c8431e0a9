//! A connection that is cut when its next request does not arrive in time, and that reads no more at once than is fair.
//!
//! A head has a limit from where it begins, the first from where the connection does; the silence behind an answer has
//! another, and an answer that goes on for long has one on every moment in which the reader takes nothing. All of them
//! are for the client alone: what it sent, or took, while the thread had other things to do is looked at first, and a limit
//! holds where there was nothing of it. The HTTP library, which has such limits too, looks at the clock first.
//!
//! The library also reads a connection until it is empty and answers all that came before anybody else of its thread
//! has a turn, and it puts each request that waits into memory, at some 7 KB, also while nobody takes the answers.
//! So a turn has a measure here, and what is sent behind a request in hand, or while an answer is not taken, stays
//! with its sender.
//!
//! No line of a head may end with a line feed alone (`framing.rs`).

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::framing::Framing;

/// Bytes that are read in one turn: most requests are smaller, and a body of 64 KiB takes few enough of them.
const TURN_BYTES: usize = 4096;
/// Heads that are read in one turn.
const TURN_HEADS: usize = 8;
/// Told to whom the first head took too long.
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Whether the connection has a request in hand; shared with the handlers and their middleware.
#[derive(Clone)]
pub struct Activity(Rc<State>);

struct State {
    /// Requests in hand, and answers in the making.
    busy: Cell<usize>,
    /// Requests whose body has not been read to its end.
    bodies: Cell<usize>,
    /// Since when the connection waits, while there are none.
    waiting: Cell<Instant>,
    /// No request has come yet, and nothing was written.
    is_new: Cell<bool>,
    /// What the client sent has not all been read.
    is_behind: Cell<bool>,
    /// Who is to read on when no request is in hand any more.
    reader: Cell<Option<Waker>>,
}

impl Activity {
    /// A request arrived. The connection counts as waiting again when the result is dropped.
    pub fn begin(&self) -> Busy {
        self.0.busy.set(self.0.busy.get() + 1);
        self.0.is_new.set(false);
        Busy(self.clone())
    }

    /// Whether there may be more from the client than has been read so far: then it is not the one who is late.
    pub fn is_behind(&self) -> bool {
        self.0.is_behind.get()
    }

    /// A request has a body, which is read until the result is dropped.
    pub fn expect_body(&self) -> BodyToCome {
        self.0.bodies.set(self.0.bodies.get() + 1);
        BodyToCome(self.clone())
    }

    /// Whether what comes now belongs behind the request in hand.
    fn is_served_first(&self) -> bool {
        self.0.busy.get() > 0 && self.0.bodies.get() == 0
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
        if state.busy.get() == 0
            && let Some(reader) = state.reader.take()
        {
            reader.wake();
        }
    }
}

/// A body that has not been read to its end.
pub struct BodyToCome(Activity);

impl Drop for BodyToCome {
    fn drop(&mut self) {
        let bodies = &self.0.0.bodies;
        bodies.set(bodies.get().saturating_sub(1));
    }
}

/// What may still be read in this turn.
struct Turn {
    bytes: usize,
    heads: usize,
}

impl Turn {
    const WHOLE: Turn = Turn { bytes: TURN_BYTES, heads: TURN_HEADS };

    fn is_over(&self) -> bool {
        self.bytes == 0 || self.heads == 0
    }
}

/// How long a connection waits for its client.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a whole head that has begun, and for the first.
    pub head: Duration,
    /// For the next head to begin.
    pub idle: Duration,
    /// For the reader of an answer in the making who takes nothing.
    pub stall: Duration,
}

/// A TCP connection with a limit on how long it may wait for a request.
pub struct Connection {
    io: TcpStream,
    activity: Activity,
    patience: Patience,
    /// Since when the reader takes nothing of what is to be written.
    stalled: Option<Instant>,
    /// Reading waits until the reader takes something.
    held: bool,
    turn: Turn,
    framing: Framing,
    /// Since when the head that is being read has been.
    head_begun: Option<Instant>,
    /// Read, and for a later turn.
    rest: Vec<u8>,
    /// Something was read behind the request in hand: no more until it is answered.
    ahead: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub fn new(io: TcpStream, patience: Patience) -> Self {
        let state = State {
            busy: Cell::new(0),
            bodies: Cell::new(0),
            waiting: Cell::new(Instant::now()),
            is_new: Cell::new(true),
            is_behind: Cell::new(false),
            reader: Cell::new(None),
        };
        Connection {
            io,
            activity: Activity(Rc::new(state)),
            patience,
            stalled: None,
            held: false,
            turn: Turn::WHOLE,
            framing: Framing::default(),
            head_begun: None,
            rest: Vec::new(),
            ahead: false,
            timer: None,
        }
    }

    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// When the client has been waited for long enough.
    fn deadline(&self) -> Option<Instant> {
        let Patience { head, idle, stall } = self.patience;
        match (self.activity.waiting_since(), self.stalled) {
            (Some(since), _) if self.activity.0.is_new.get() => Some(since + head),
            // The answer before is still on its way.
            (Some(since), Some(_)) => Some(since + idle + head),
            (Some(since), None) => Some(self.head_begun.map_or(since + idle, |begun| begun.max(since) + head)),
            (None, stalled) => stalled.map(|since| since + stall),
        }
    }

    /// Whether the client has been waited for too long; if not yet, it is looked at again then.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline() else { return false };
        // The timer of an earlier request goes off too early and is set again then: a busy
        // connection sets one in a while, not one a request.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }

    /// Fails when the client is late. To be called when nothing came of it, or was taken, just now.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.is_late(context) {
            return Ok(());
        }
        if self.activity.0.is_new.get() {
            // Who does not take it is not waited for.
            let _ = Pin::new(&mut self.io).poll_write(context, LATE);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "no whole request, or nothing read, in time"))
    }
}

impl Connection {
    /// Remembers whether the reader took anything.
    fn written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            self.activity.0.is_new.set(false);
            if std::mem::take(&mut self.held) {
                context.waker().wake_by_ref();
            }
        } else {
            self.stalled.get_or_insert_with(Instant::now);
            self.check(context)?;
        }
        written
    }

    /// Whether reading has to wait for something that wakes it.
    fn waits(&mut self, context: &Context<'_>) -> bool {
        if self.stalled.is_some() {
            self.held = true;
            return true;
        }
        if !self.activity.is_served_first() {
            self.ahead = false;
        } else if self.ahead {
            self.activity.0.reader.set(Some(context.waker().clone()));
        }
        self.ahead
    }

    /// Passes over what is handed on; how many of these bytes belong to this turn.
    fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let heads = self.turn.heads;
        let passed = self.framing.pass(bytes, &mut self.turn.heads);
        if self.turn.heads < heads || !self.framing.is_within_head() {
            self.head_begun = None;
        }
        if self.framing.is_within_head() {
            self.head_begun.get_or_insert_with(Instant::now);
        }
        self.turn.bytes = self.turn.bytes.saturating_sub(passed);
        passed
    }

    /// Hands on what this turn has room for.
    fn read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buffer.remaining().min(self.turn.bytes);
        if self.rest.is_empty() {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
            let read = Pin::new(&mut self.io).poll_read(context, &mut part);
            self.activity.0.is_behind.set(read.is_ready());
            if !matches!(read, Poll::Ready(Ok(()))) {
                self.turn = Turn::WHOLE;
                return read;
            }
            let taken = self.pass(part.filled_mut());
            self.rest = part.filled()[taken..].to_vec();
            buffer.advance(taken);
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            let room = room.min(rest.len());
            let taken = self.pass(&mut rest[..room]);
            buffer.put_slice(&rest[..taken]);
            self.rest = rest.split_off(taken);
        }
        Poll::Ready(Ok(()))
    }
}

/// Comes back when everybody else who is ready, or has become so, had a turn. A plain wake would not do: the thread takes
/// up what was woken before it looks for what has arrived.
fn later(context: &mut Context<'_>) -> Poll<io::Result<()>> {
    if pin!(tokio::task::yield_now()).poll(context).is_ready() {
        context.waker().wake_by_ref();
    }
    Poll::Pending
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waits(context) {
            // Not for the gateway.
            self.activity.0.is_behind.set(false);
            self.check(context)?;
            return Poll::Pending;
        }
        if self.turn.is_over() {
            self.turn = Turn::WHOLE;
            return later(context);
        }
        let before = buffer.filled().len();
        let head_came = self.turn.heads < TURN_HEADS;
        let read = self.read(context, buffer);
        // A head that came just now is with the library, which has not said so yet.
        if read.is_pending() && !head_came {
            self.check(context)?;
        }
        self.ahead |= buffer.filled().len() > before && self.activity.is_served_first();
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An answer has ended, perhaps, and the next request is waited for: what has come is looked at first.
        if self.is_late(context) {
            context.waker().wake_by_ref();
        }
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(3600);
    const PATIENCE: Duration = Duration::from_secs(30);

    async fn connection(idle: Duration, stall: Duration) -> (Connection, TcpStream) {
        with(Patience { head: idle, idle, stall }).await
    }

    async fn with(patience: Patience) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Connection::new(listener.accept().await.unwrap().0, patience), peer)
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

    /// Waits for something that has to be woken.
    async fn woken<T>(future: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = tokio::time::timeout(PATIENCE, future).await.expect("it is woken");
        // The end of the patience wakes as well.
        assert!(started.elapsed() < PATIENCE, "nothing else woke it");
        done
    }

    #[tokio::test]
    async fn a_head_that_has_begun_has_a_limit_of_its_own_behind_an_answer() {
        let (mut connection, mut peer) = with(Patience { head: SHORT, idle: LONG, stall: LONG }).await;
        drop(connection.activity().begin());
        peer.write_all(b"GET / HT").await.unwrap();
        let mut read = Vec::new();
        let error = woken(connection.read_to_end(&mut read)).await.unwrap_err();
        assert_eq!((error.kind(), read.as_slice()), (io::ErrorKind::TimedOut, b"GET / HT".as_slice()));
    }

    /// Reads until nothing more is to be had at once, as the HTTP library does in one turn.
    fn one_turn(connection: &mut Connection, context: &mut Context<'_>) -> Vec<u8> {
        let mut read = Vec::new();
        loop {
            let mut bytes = [0; 8192];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *connection).poll_read(context, &mut buffer) {
                Poll::Pending => return read,
                Poll::Ready(done) => done.unwrap(),
            }
            assert!(!buffer.filled().is_empty(), "the peer is there");
            read.extend_from_slice(buffer.filled());
        }
    }

    async fn next_turn(connection: &mut Connection) -> Vec<u8> {
        poll_fn(|context| Poll::Ready(one_turn(connection, context))).await
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

    #[tokio::test]
    async fn one_turn_reads_a_few_requests_or_a_piece_of_a_body_and_the_next_goes_on() {
        let body = "\n\n\nx".repeat(8 * 1024);
        let with_body = format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        for sent in [REQUEST.repeat(1000), with_body, "x".repeat(64 * 1024)] {
            let (mut connection, mut peer) = connection(LONG, LONG).await;
            let bytes = sent.clone().into_bytes();
            let writer = tokio::spawn(async move {
                peer.write_all(&bytes).await.unwrap();
                peer
            });
            connection.io.readable().await.unwrap();
            let mut read = String::new();
            let all = poll_fn(|context| {
                let turn = String::from_utf8(one_turn(&mut connection, context)).unwrap();
                assert!(turn.len() <= TURN_BYTES, "{}", turn.len());
                assert!(turn.matches("\r\n\r\n").count() <= TURN_HEADS, "{turn}");
                read.push_str(&turn);
                if read.len() < sent.len() { Poll::Pending } else { Poll::Ready(()) }
            });
            woken(all).await;
            assert!(read == sent, "in order");
            drop(writer.await.unwrap());
        }
    }

    #[tokio::test]
    async fn nothing_is_read_while_nobody_takes_the_answers_and_then_it_goes_on() {
        let (mut connection, mut peer) = connection(LONG, LONG).await;
        let write = |connection: &mut Connection, context: &mut Context<'_>| {
            Pin::new(connection).poll_write(context, &[b'x'; 64 * 1024])
        };
        let fill = poll_fn(|context| {
            while write(&mut connection, context).is_ready() {}
            Poll::Ready(())
        });
        tokio::task::unconstrained(fill).await;
        peer.write_all(REQUEST.as_bytes()).await.unwrap();
        connection.io.readable().await.unwrap();
        assert_eq!(next_turn(&mut connection).await, b"");

        let taking = tokio::spawn(async move { while let Ok(1..) = peer.read(&mut [0; 64 * 1024]).await {} });
        let mut unsent = true;
        let goes_on = poll_fn(|context| {
            let read = one_turn(&mut connection, context);
            // As the library: what is to be written is tried in every turn until it is out.
            unsent = unsent && write(&mut connection, context).is_pending();
            if read.is_empty() { Poll::Pending } else { Poll::Ready(read) }
        });
        let read = woken(goes_on).await;
        assert_eq!(read, REQUEST.as_bytes());
        drop(connection);
        taking.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_sent_behind_a_request_in_hand_waits_outside_but_its_body_does_not() {
        let (mut connection, mut peer) = connection(LONG, LONG).await;
        peer.write_all(REQUEST.repeat(100).as_bytes()).await.unwrap();
        connection.io.readable().await.unwrap();
        let busy = connection.activity().begin();
        let first = next_turn(&mut connection).await;
        assert!((1..=REQUEST.len() * TURN_HEADS).contains(&first.len()), "{}", first.len());
        for _ in 0..3 {
            assert_eq!(next_turn(&mut connection).await, b"");
        }
        let body = connection.activity().expect_body();
        let read = poll_fn(|context| {
            let read = one_turn(&mut connection, context);
            if read.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        });
        woken(read).await;
        drop(body);
        while !next_turn(&mut connection).await.is_empty() {}

        let mut busy = Some(busy);
        let goes_on = poll_fn(|context| {
            let read = one_turn(&mut connection, context);
            // As the library: the answer is made in the same turn, behind the reading.
            drop(busy.take());
            if read.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        });
        woken(goes_on).await;
    }
}
