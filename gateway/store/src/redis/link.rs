//! The connection to Redis: there or not, never waited for.
//!
//! A call on a connection that fails or does not answer in time ends the connection. Until a
//! background task has made another one and had a write answered on it, every call is told at
//! once that Redis is away, so that a Redis that hangs costs a few requests their patience and
//! the others nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dukou_engine::ports::Health;
use redis::{ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::Served;
use super::address::{Address, Connection};
use super::news;
use super::scripts::Scripts;

/// How long making a connection and the first answer on it may take, in the background.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer may take before the connection counts as dead.
const ANSWER_PATIENCE: Duration = Duration::from_millis(200);
/// A call that was given less time than this says nothing about the connection.
const FAIR_PATIENCE: Duration = Duration::from_millis(100);
/// Between two looks at a connection that nobody complains about.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// What others wrote to the store is known here by then.
const KNOWN_AFTER: Duration = Duration::from_secs(3);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_AT_MOST: Duration = Duration::from_secs(1);

/// There was no answer; go on without Redis.
#[derive(Debug)]
pub(super) struct Away;

pub(super) struct Link {
    address: Result<Address, String>,
    position_key: String,
    /// What instances of this store tell each other.
    pub channel: String,
    pub scripts: Scripts,
    state: Mutex<State>,
    broken: Notify,
    served: Arc<Served>,
    /// The position the store was opened at.
    opened_at: i64,
    /// The highest position this process has seen committed.
    position: watch::Sender<Known>,
    /// The highest position another instance told of, which needs no telling.
    heard: Mutex<Known>,
}

/// How far the log has grown in an incarnation of the store.
#[derive(Clone, Copy)]
struct Known {
    of: Uuid,
    position: i64,
}

struct State {
    connection: Option<Connection>,
    /// Counts connections, so that a late complaint about an old one does not end a new one.
    generation: u64,
    /// Why there is no connection.
    why: String,
    /// Whether the log was told of that.
    told: bool,
    greeted: bool,
    behind: Option<(i64, i64)>,
    /// As `behind`, of a store that others write to: found at this moment, and to be looked at again when
    /// their newest entries are known here.
    suspected: Option<(i64, i64, Instant)>,
}

impl State {
    fn is_behind(&mut self, store: i64, seen: i64) {
        if self.behind == Some((store, seen)) {
            return;
        }
        tracing::error!(
            store,
            seen,
            "the store is behind what was seen of it: was it restored from an older backup, or did a copy take its place?"
        );
        self.behind = Some((store, seen));
    }
}

impl Link {
    pub fn new(address: Result<Address, String>, store: &str, served: Arc<Served>) -> Self {
        let position = (served.position)();
        let known = Known { of: served.incarnation(), position };
        let state = State {
            connection: None,
            generation: 0,
            why: "not connected yet".into(),
            told: false,
            greeted: false,
            behind: None,
            suspected: None,
        };
        Link {
            address,
            position_key: format!("{store}:position"),
            channel: format!("{store}:news"),
            scripts: Scripts::new(),
            state: Mutex::new(state),
            broken: Notify::new(),
            served,
            opened_at: position,
            position: watch::Sender::new(known),
            heard: Mutex::new(known),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn health(&self) -> Health {
        let state = self.state();
        if state.connection.is_some() { Health::Working } else { Health::Degraded(format!("redis: {}", state.why)) }
    }

    /// The store's position and the higher one that was seen before, when that was so.
    pub fn behind(&self) -> Option<(i64, i64)> {
        self.state().behind
    }

    /// The log of this incarnation of the store has grown so far. Of another one than before it counts from
    /// there on, also where it is lower; what that one lost is said aloud.
    pub fn note_position(&self, incarnation: Uuid, position: i64) {
        let mut former = None;
        self.position.send_if_modified(|known| {
            if known.of != incarnation {
                // Somebody is late with what he has to say of the one before.
                if self.served.incarnation() != incarnation {
                    return false;
                }
                former = Some(std::mem::replace(known, Known { of: incarnation, position }));
                return true;
            }
            let more = position > known.position;
            known.position = position.max(known.position);
            more
        });
        if let Some(Known { of, position: seen }) = former {
            let store = (self.served.still_there)(of, seen);
            if store < seen {
                self.state().is_behind(store, seen);
            }
        }
    }

    /// Another instance said that the log of this incarnation has grown so far.
    pub fn heard(&self, incarnation: Uuid, position: i64) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if heard.of == incarnation { heard.position } else { i64::MIN };
        *heard = Known { of: incarnation, position: position.max(before) };
    }

    fn was_heard(&self, known: Known) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.of == known.of && known.position <= heard.position
    }

    /// What redis, told of a store that others may write to, had seen before.
    fn compare(&self, store: i64, seen: i64) {
        let mut state = self.state();
        if seen > store && self.served.shared {
            state.suspected = Some((store, seen, Instant::now()));
        } else if seen > store {
            state.is_behind(store, seen);
        }
    }

    pub fn address(&self) -> RedisResult<&Address> {
        self.address.as_ref().map_err(|why| RedisError::from((ErrorKind::InvalidClientConfig, "address", why.clone())))
    }

    /// Tells Redis, and through it the other instances, how far the log has grown: one message at a time, the
    /// newest stands for those before it.
    pub async fn tell_position(self: Arc<Self>) {
        let mut positions = self.position.subscribe();
        let mut greeted = positions.borrow().of;
        // What was noted before this began is told as well.
        positions.mark_changed();
        // The sender lives as long as `self`.
        while positions.changed().await.is_ok() {
            let known = *positions.borrow_and_update();
            if known.of != greeted {
                // Redis has the position of an incarnation before this one, which may be higher.
                let mut call = self.scripts.greet.key(&self.position_key);
                call.arg(known.position);
                if let Ok(seen) = self.call(&call, Instant::now() + ANSWER_PATIENCE).await {
                    greeted = known.of;
                    self.compare(known.position, seen);
                    self.tell(&format!("{}{}", news::position_word(known.of), known.position)).await;
                }
                continue;
            }
            if self.was_heard(known) {
                continue;
            }
            let mut call = self.scripts.raise.key(&self.position_key);
            call.arg(known.position).arg(&self.channel).arg(news::position_word(known.of));
            // Without Redis the others look by themselves.
            let _: Result<i64, Away> = self.call(&call, Instant::now() + ANSWER_PATIENCE).await;
            sleep(news::APART).await;
        }
    }

    /// Tells the other instances something.
    pub async fn tell(&self, message: &str) {
        let mut call = self.scripts.tell.key(&self.position_key);
        call.arg(&self.channel).arg(message);
        let told: Result<i64, Away> = self.call(&call, Instant::now() + ANSWER_PATIENCE).await;
        if told.is_err() {
            tracing::warn!("redis is away: the other instances could not be told");
        }
    }

    /// Runs a script, if there is a connection and an answer before `deadline`.
    pub async fn call<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>, deadline: Instant) -> Result<T, Away> {
        let (mut connection, generation) = {
            let state = self.state();
            (state.connection.clone().ok_or(Away)?, state.generation)
        };
        let begun = Instant::now();
        match timeout_at(deadline, script.invoke_async(&mut connection)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                self.complain(generation, error.to_string());
                Err(Away)
            }
            Err(_) => {
                if deadline.duration_since(begun) >= FAIR_PATIENCE {
                    self.complain(generation, format!("no answer within {} ms", begun.elapsed().as_millis()));
                }
                Err(Away)
            }
        }
    }

    /// Ends the connection of this generation.
    fn complain(&self, generation: u64, why: String) {
        let mut state = self.state();
        if state.generation == generation && state.connection.take().is_some() {
            tracing::warn!(why, "redis is away; going on without it");
            state.why = why;
            state.told = true;
            self.broken.notify_one();
        }
    }

    /// Makes one attempt to connect.
    pub async fn connect_once(&self) {
        let outcome = match &self.address {
            Ok(address) => timeout(CONNECT_PATIENCE, self.greet(address))
                .await
                .map_err(|_| format!("no answer within {} ms", CONNECT_PATIENCE.as_millis()))
                .and_then(|outcome| outcome.map_err(|error| error.to_string())),
            Err(why) => Err(why.clone()),
        };
        let mut state = self.state();
        match outcome {
            Ok((connection, store, seen)) => {
                state.generation += 1;
                state.connection = Some(connection);
                state.greeted = true;
                state.told = false;
                tracing::info!("redis is in use");
                drop(state);
                self.compare(store, seen);
            }
            Err(why) => {
                if !state.told {
                    tracing::warn!(why, "redis cannot be reached; going on without it");
                    state.told = true;
                }
                state.why = why;
            }
        }
    }

    /// Tells Redis where the store is. The connection, the store's position to compare with, and
    /// the highest position seen before.
    async fn greet(&self, address: &Address) -> RedisResult<(Connection, i64, i64)> {
        // At first, what an earlier life left is compared with where this life began.
        let greeted = self.state().greeted;
        let mut connection = address.connect().await?;
        connection.probe(&self.channel).await?;
        let known = *self.position.borrow();
        let known = if known.of == self.served.incarnation() { known.position } else { 0 };
        let position = known.max((self.served.position)());
        let seen: i64 = self.scripts.greet.key(&self.position_key).arg(position).invoke_async(&mut connection).await?;
        Ok((connection, if greeted { position } else { self.opened_at }, seen))
    }

    /// Whether a store that others write to was behind, or only not known well enough.
    fn look_again(&self) {
        let mut state = self.state();
        let Some((store, seen, _)) = state.suspected.take_if(|(.., since)| since.elapsed() > KNOWN_AFTER) else {
            return;
        };
        if (self.served.position)() < seen {
            state.is_behind(store, seen);
        }
    }

    /// Keeps a connection for as long as the task is let live.
    pub async fn keep(self: Arc<Self>) {
        let mut pause = RETRY_FIRST;
        loop {
            let connected = self.state().connection.is_some();
            if connected {
                pause = RETRY_FIRST;
                if timeout(CHECK_EVERY, self.broken.notified()).await.is_err() {
                    self.check().await;
                }
                self.look_again();
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_AT_MOST);
                self.connect_once().await;
            }
        }
    }

    async fn check(&self) {
        let (connection, generation) = {
            let state = self.state();
            (state.connection.clone(), state.generation)
        };
        let Some(mut connection) = connection else { return };
        match timeout(ANSWER_PATIENCE, connection.probe(&self.channel)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.complain(generation, error.to_string()),
            Err(_) => self.complain(generation, format!("no answer within {} ms", ANSWER_PATIENCE.as_millis())),
        }
    }
}
