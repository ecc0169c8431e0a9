//! Changes of payments: many requests, one transaction.
//!
//! What is queued is taken together, decided together and written with a few statements for all of
//! it. A batch in which something fails is taken back and each of its changes is made alone, so that
//! none fails for another's sake. Each worker has a connection of its own: while one waits for the
//! disk, another reads and decides.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dukou_engine::ports::{Decide, StoreError, Target};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, Postgres};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::batch::{self, Attempted};
use super::change::{Key, Request};
use super::database::{Database, PATIENCE, no_answer, run};
use super::error::Result;

/// A change that lost a race is decided again so often.
const TRIES: u32 = 3;
/// Whoever waits for a payment that another worker has in hand is woken, and looks by itself this often.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    /// Targets that a worker has in hand: another change of the same payment would only wait for its
    /// row.
    in_hand: HashSet<Key>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    limit: usize,
    max_batch: usize,
    more: Notify,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Writer {
    pub fn start(database: &Database, workers: usize, limit: usize, max_batch: usize) -> Writer {
        let shared =
            Arc::new(Shared { queue: Mutex::default(), limit, max_batch: max_batch.max(1), more: Notify::new() });
        let workers = (0..workers.max(1))
            .map(|_| database.runtime().spawn(work(Arc::clone(&shared), database.clone())))
            .collect();
        Writer { shared, workers: Mutex::new(workers) }
    }

    pub async fn apply(&self, target: Target, decide: Decide) -> Result<()> {
        let (request, answered) = Request::new(target, decide);
        {
            let mut queue = self.shared.queue();
            if queue.closed {
                return Err(StoreError::Unavailable("the store is closed".into()));
            }
            if queue.waiting.len() >= self.shared.limit {
                return Err(StoreError::Unavailable("the store is overloaded".into()));
            }
            queue.waiting.push_back(request);
        }
        self.shared.more.notify_one();
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store is closed".into())))
    }

    /// Finishes what is queued.
    pub async fn stop(&self) {
        self.shared.close();
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            let _ = worker.await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The workers finish what is queued and end, one waking the next.
    fn close(&self) {
        self.queue().closed = true;
        self.more.notify_waiters();
        self.more.notify_one();
    }

    /// The next requests, each of another payment; `None` when the store is closed and all is done.
    async fn next(&self) -> Option<Vec<Request>> {
        loop {
            let blocked = {
                let mut queue = self.queue();
                let taken = queue.take(self.max_batch);
                if !taken.is_empty() {
                    if !queue.waiting.is_empty() {
                        self.more.notify_one();
                    }
                    return Some(taken);
                }
                if queue.closed && queue.waiting.is_empty() {
                    // The other workers end as well.
                    self.more.notify_one();
                    return None;
                }
                !queue.waiting.is_empty()
            };
            if blocked {
                // Whoever has these payments in hand wakes us; the wait has an end all the same.
                let _ = timeout(LOOK_AGAIN, self.more.notified()).await;
            } else {
                self.more.notified().await;
            }
        }
    }

    fn let_go(&self, keys: &[Key]) {
        let waiting = {
            let mut queue = self.queue();
            keys.iter().for_each(|key| {
                queue.in_hand.remove(key);
            });
            !queue.waiting.is_empty()
        };
        if waiting {
            self.more.notify_one();
        }
    }
}

impl Queue {
    fn take(&mut self, limit: usize) -> Vec<Request> {
        let mut taken: Vec<Request> = Vec::new();
        let mut left = VecDeque::new();
        while taken.len() < limit {
            let Some(request) = self.waiting.pop_front() else { break };
            if self.in_hand.insert(request.key()) {
                taken.push(request);
            } else {
                left.push_back(request);
            }
        }
        while let Some(request) = left.pop_back() {
            self.waiting.push_front(request);
        }
        taken
    }
}

async fn work(shared: Arc<Shared>, database: Database) {
    let mut connection = None;
    while let Some(requests) = shared.next().await {
        let keys: Vec<Key> = requests.iter().map(Request::key).collect();
        make_all(&database, &mut connection, requests).await;
        shared.let_go(&keys);
    }
}

type Held = Option<PoolConnection<Postgres>>;

/// Makes the changes together or, where that fails, one after another.
async fn make_all(database: &Database, connection: &mut Held, mut requests: Vec<Request>) {
    if requests.len() > 1 {
        match make(database, connection, &mut requests).await {
            Ok(again) => return Box::pin(make_each(database, connection, again)).await,
            // The fault of one of them.
            Err(StoreError::Conflict(_) | StoreError::Corrupt(_)) => {}
            Err(error) => {
                requests.into_iter().for_each(|request| request.reply(Err(error.clone())));
                return;
            }
        }
    }
    make_each(database, connection, requests).await;
}

async fn make_each(database: &Database, connection: &mut Held, requests: Vec<Request>) {
    for request in requests {
        let mut alone = vec![request];
        let mut tries = 0;
        let error = loop {
            tries += 1;
            match make(database, connection, &mut alone).await {
                Ok(_) => break None,
                Err(StoreError::Conflict(_)) if tries < TRIES => {}
                Err(error) => break Some(error),
            }
        };
        if let (Some(error), Some(request)) = (error, alone.pop()) {
            request.reply(Err(error));
        }
    }
}

/// Makes the changes in one transaction and answers them. Returns those that have to be made after
/// it, since another change of the same payment was among them. On an error all are still in
/// `requests`, unanswered.
async fn make(database: &Database, connection: &mut Held, requests: &mut Vec<Request>) -> Result<Vec<Request>> {
    let incarnation = database.lives().identity().incarnation;
    let mut fresh = begin(database, connection).await?;
    let attempted = match timeout(PATIENCE, batch::attempt(&mut fresh, requests)).await {
        Ok(Ok(attempted)) => attempted,
        Ok(Err(error)) => {
            database.take_back(fresh, &error).await;
            return Err(error);
        }
        Err(_) => {
            database.take_back(fresh, &no_answer()).await;
            return Err(no_answer());
        }
    };
    let Attempted { outcomes, position, transaction } = attempted;
    let wrote = transaction.is_some();
    if wrote {
        crash_point_before_commit();
    }
    *connection = Some(fresh);
    database.commit(connection, transaction).await?;
    if wrote {
        crash_point_after_commit();
    }
    if let Some(position) = position {
        database.lives().note(incarnation, position);
    }
    let mut again = Vec::new();
    for (request, outcome) in requests.drain(..).zip(outcomes) {
        match outcome {
            Some(outcome) => request.reply(outcome),
            None => again.push(request),
        }
    }
    Ok(again)
}

/// Begins a transaction. A connection that broke while nobody used it is replaced.
async fn begin(database: &Database, connection: &mut Held) -> Result<PoolConnection<Postgres>> {
    if let Some(mut kept) = connection.take() {
        if matches!(timeout(PATIENCE, begin_on(&mut kept)).await, Ok(Ok(()))) {
            return Ok(kept);
        }
        database.give_up(kept);
    }
    let mut fresh = database.acquire().await?;
    match timeout(PATIENCE, begin_on(&mut fresh)).await.unwrap_or_else(|_| Err(no_answer())) {
        Ok(()) => Ok(fresh),
        Err(error) => {
            database.give_up(fresh);
            Err(error)
        }
    }
}

async fn begin_on(connection: &mut PgConnection) -> Result<()> {
    run(connection, "BEGIN").await
}

fn crash_point_before_commit() {
    fail::fail_point!("store.before_commit", |_| std::process::abort());
}

fn crash_point_after_commit() {
    fail::fail_point!("store.after_commit", |_| std::process::abort());
}
