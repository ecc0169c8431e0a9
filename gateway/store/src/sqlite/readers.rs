//! A few threads that read what is committed, beside the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use dukou_engine::ports::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::Result;
use super::waiting::{Line, Waiting};
use crate::panic_text;

type Read = Box<dyn FnOnce(&Connection) + Send>;

pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    state: Mutex<State>,
    /// Something came, or they are to stop.
    news: Condvar,
}

struct State {
    waiting: Waiting<Read>,
    /// Threads that have nothing to do.
    idle: usize,
    stopped: bool,
}

impl Readers {
    /// # Errors
    /// When the system refuses another thread.
    pub fn start(connections: Vec<Connection>, queue: usize) -> std::result::Result<Self, std::io::Error> {
        let state = State { waiting: Waiting::new(queue.max(1)), idle: 0, stopped: false };
        let queue = Arc::new(Queue { state: Mutex::new(state), news: Condvar::new() });
        let readers = Readers { queue, threads: Mutex::default() };
        for connection in connections {
            let queue = Arc::clone(&readers.queue);
            let thread = thread::Builder::new().name("store-reader".into());
            // Where one is refused those before it end, as they do at a stop.
            let thread = thread.spawn(move || queue.run(&connection)).inspect_err(|_| readers.stop())?;
            readers.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(readers)
    }

    /// # Errors
    /// [`StoreError::Unavailable`] when too many wait in this line or the store is closed, or what `read`
    /// says.
    pub async fn read<T, F>(&self, line: Line, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.queue.push(
            line,
            Box::new(move |connection| {
                // A caller that has gone does not need the answer.
                if reply.is_closed() {
                    return;
                }
                let result = catch_unwind(AssertUnwindSafe(|| read(connection))).unwrap_or_else(|panic| {
                    Err(StoreError::Unavailable(format!("the read panicked: {}", panic_text(&*panic))))
                });
                let _ = reply.send(result);
            }),
        )?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Answers what is queued, then ends the threads and their connections. Blocks.
    pub fn stop(&self) {
        self.queue.state().stopped = true;
        self.queue.news.notify_all();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader of the store ended with a panic");
            }
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Line, read: Read) -> Result<()> {
        let mut state = self.state();
        if state.stopped {
            return Err(closed());
        }
        if state.waiting.push(line, read).is_err() {
            return Err(StoreError::Unavailable("overloaded: too many reads are waiting".into()));
        }
        let anybody = state.idle > 0;
        drop(state);
        if anybody {
            self.news.notify_one();
        }
        Ok(())
    }

    fn run(&self, connection: &Connection) {
        while let Some(read) = self.next() {
            read(connection);
        }
    }

    /// `None` once they have been stopped and all is answered.
    fn next(&self) -> Option<Read> {
        let mut state = self.state();
        loop {
            match state.waiting.pop() {
                Some(read) => return Some(read),
                None if state.stopped => return None,
                None => {}
            }
            state.idle += 1;
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use dukou_domain::TenantId;
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    fn readers(queue: usize) -> Readers {
        Readers::start(vec![Connection::open_in_memory().unwrap()], queue).unwrap()
    }

    fn page(of: &str) -> Line {
        Line::Page(TenantId::new(of).unwrap())
    }

    /// Keeps the only thread until the result is dropped.
    fn hold(readers: &Readers) -> Sender<()> {
        let (begin, began) = channel();
        let (end, ends) = channel::<()>();
        let held = move |_: &Connection| {
            begin.send(()).unwrap();
            let _ = ends.recv();
        };
        readers.queue.push(Line::Gateway, Box::new(held)).unwrap();
        began.recv().unwrap();
        end
    }

    /// Watches: the turns. In one line for all, the last to come waits for everything before it.
    #[tokio::test]
    async fn who_lists_without_end_keeps_nobody_waiting() {
        let readers = readers(4096);
        let held = hold(&readers);
        let (taken, order) = channel();
        let read = |line: Line, name: &'static str| {
            let taken = taken.clone();
            readers.read(line, move |_| {
                taken.send(name).unwrap();
                Ok(())
            })
        };
        let mut reads: Vec<_> = (0..1000).map(|_| read(page("loud"), "loud")).collect();
        reads.push(read(page("quiet"), "quiet"));
        reads.push(read(Line::Record(TenantId::new("loud").unwrap()), "notify"));
        reads.push(read(Line::Gateway, "job"));
        // Each has joined its line once it was polled; then the thread goes on.
        let release = async move { drop(held) };
        let (answers, ()) = tokio::join!(join_all(reads), release);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let order: Vec<&str> = order.try_iter().collect();
        let place = |name| order.iter().position(|taken| *taken == name).unwrap();
        assert!(["quiet", "notify", "job"].into_iter().all(|name| place(name) < 6), "{:?}", &order[..10]);
        assert_eq!(order.len(), 1003);
        readers.stop();
    }

    #[tokio::test]
    async fn who_has_gone_is_not_read_for_and_a_stop_answers_who_waits() {
        let readers = readers(4096);
        let held = hold(&readers);
        let (taken, order) = channel();
        let read = |name: &'static str| {
            let taken = taken.clone();
            Box::pin(readers.read(page("a"), move |_| {
                taken.send(name).unwrap();
                Ok(())
            }))
        };
        let mut gone = read("gone");
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        let mut stays = read("stays");
        assert!((&mut stays).now_or_never().is_none());
        drop(held);
        readers.stop();
        assert!(stays.await.is_ok());
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["stays"]);
        let late = readers.read(Line::Gateway, |_| Ok(())).await;
        assert!(late.is_err_and(|error| error.to_string().contains("closed")));
    }

    #[tokio::test]
    async fn a_tenant_that_fills_its_line_is_refused_and_others_are_not() {
        let readers = readers(10);
        let held = hold(&readers);
        let read = |line| Box::pin(readers.read(line, |_| Ok(())));
        let mut loud: Vec<_> = (0..20).map(|_| read(page("loud"))).collect();
        let mut refused = 0;
        for one in &mut loud {
            refused += usize::from(one.now_or_never().is_some());
        }
        assert_eq!(refused, 15);
        let mut quiet = read(page("quiet"));
        assert!((&mut quiet).now_or_never().is_none());
        drop(held);
        assert!(quiet.await.is_ok());
        readers.stop();
    }
}
