//! Connections: how each is set up, how long anything may take, and what became of a commit whose
//! answer was lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dukou_engine::ports::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, Postgres};
use sqlx::{Connection as _, Row as _};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::error::{Result, store_error, was_refused};
use super::lives::Lives;
use super::schema;
use crate::failing::Failing;

/// How long a request waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a transaction may take until its commit, and the commit itself. Longer than the server
/// allows any of its steps, so that the server is heard first where it can be.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long all steps of the schema may take: some walk through a large table.
const STEPS: Duration = Duration::from_secs(60 * 60);
/// How long to ask what became of a lost commit: longer than the server keeps the transaction of
/// somebody who has gone.
const SETTLING: Duration = Duration::from_secs(6);
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// A connection that was not used for this long, or since another broke, is tried before it is used again.
const STALE: Duration = Duration::from_secs(1);

/// What holds for every connection. Durable means on disk, whatever the database's default is. Who
/// stopped in the middle of a transaction holds the others up for seconds only. Every statement
/// finds its rows by an index; without these switches the planner prefers to read small tables
/// whole, and keeps doing so while they grow.
const SETTINGS: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') IN ('off', 'local'); \
     SET default_transaction_isolation = 'read committed'; \
     SET idle_in_transaction_session_timeout = '3s'; \
     SET lock_timeout = '4s'; \
     SET statement_timeout = '8s'; \
     SET client_min_messages = warning; \
     SET jit = off; \
     SET enable_seqscan = off; \
     SET enable_hashjoin = off; \
     SET enable_mergejoin = off; \
     SET plan_cache_mode = force_custom_plan";

pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

#[derive(Clone)]
pub(super) struct Database {
    pool: PgPool,
    lives: Arc<Lives>,
    failing: Arc<Failing>,
    /// Connections belong to this runtime, whichever thread asks.
    runtime: Handle,
}

impl Database {
    /// Brings the schema up to date and learns which store this is. Gives back the connection that said so.
    pub async fn open(options: PgConnectOptions, connections: u32) -> Result<(Database, PgConnection)> {
        let connect = async { PgConnection::connect_with(&options).await.map_err(store_error) };
        let mut first = timeout(PATIENCE, connect).await.unwrap_or_else(|_| Err(no_answer()))?;
        let steps = schema::migrate(&mut first, schema::STEPS);
        timeout(STEPS, steps).await.unwrap_or_else(|_| Err(no_answer()))?;
        let met = timeout(PATIENCE, schema::meet(&mut first)).await.unwrap_or_else(|_| Err(no_answer()))?;
        let lives = Arc::new(Lives::new(met));
        let (meeting, doubting) = (Arc::clone(&lives), Arc::clone(&lives));
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .before_acquire(move |connection, of| {
                let lives = Arc::clone(&doubting);
                Box::pin(async move {
                    if of.idle_for > STALE || lives.broke_within(of.idle_for) {
                        connection.ping().await.inspect_err(|_| lives.doubt())?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let lives = Arc::clone(&meeting);
                Box::pin(async move { set_up(connection, &lives).await })
            })
            .connect_lazy_with(options);
        Ok((Database { pool, lives, failing: Arc::default(), runtime: Handle::current() }, first))
    }

    pub fn lives(&self) -> &Lives {
        &self.lives
    }

    pub fn failing(&self) -> &Arc<Failing> {
        &self.failing
    }

    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub async fn close(&self) {
        let _ = timeout(PATIENCE, self.pool.close()).await;
    }

    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>> {
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolClosed => StoreError::Unavailable("the store is closed".into()),
            sqlx::Error::PoolTimedOut => {
                StoreError::Unavailable(format!("no connection to the database within {} s", ACQUIRE.as_secs()))
            }
            other => store_error(other),
        })
    }

    /// Runs `work` on a connection, without a transaction.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send + 'static,
    {
        let database = self.clone();
        self.spawn(async move {
            let mut connection = database.acquire().await?;
            let read = timeout(PATIENCE, work(&mut connection)).await.unwrap_or_else(|_| Err(no_answer()));
            if matches!(read, Err(StoreError::Unavailable(_))) {
                database.give_up(connection);
            }
            read
        })
        .await
    }

    /// Runs `work` in a transaction and returns after its commit is on disk.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send + 'static,
    {
        let database = self.clone();
        self.spawn(async move {
            let mut connection = database.acquire().await?;
            let written = async {
                run(&mut connection, "BEGIN").await?;
                let value = work(&mut connection).await?;
                Ok((value, transaction_id(&mut connection).await?))
            };
            let (value, transaction) = match timeout(PATIENCE, written).await.unwrap_or_else(|_| Err(no_answer())) {
                Ok(written) => written,
                Err(error) => {
                    database.take_back(connection, &error).await;
                    return Err(error);
                }
            };
            database.commit(&mut Some(connection), transaction).await?;
            Ok(value)
        })
        .await
    }

    /// Commits, and finds out what became of it when the answer is lost. `transaction` is `None` for
    /// one that wrote nothing. A connection that is of no more use is taken out of `connection`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and [`StoreError::Conflict`] when nothing was written,
    /// [`StoreError::Unknown`] when nobody can say.
    pub async fn commit(
        &self,
        connection: &mut Option<PoolConnection<Postgres>>,
        transaction: Option<String>,
    ) -> Result<()> {
        let Some(used) = connection else { return Err(no_answer()) };
        let error = match timeout(PATIENCE, sqlx::raw_sql("COMMIT").execute(&mut **used)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if was_refused(&error) => return Err(store_error(error)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => no_answer().to_string(),
        };
        if let Some(broken) = connection.take() {
            self.give_up(broken);
        }
        let Some(transaction) = transaction else { return Err(StoreError::Unavailable(error)) };
        tracing::warn!(%error, transaction, "the answer to a commit was lost; asking what became of it");
        self.what_became_of(&transaction, &error).await
    }

    async fn what_became_of(&self, transaction: &str, error: &str) -> Result<()> {
        let life = self.lives.name();
        let deadline = Instant::now() + SETTLING;
        loop {
            let asked = timeout(ACQUIRE, self.status_of(transaction)).await;
            // In another life of the database the number may be somebody else's.
            if schema::numbers(&self.lives.name()) != schema::numbers(&life) {
                return Err(StoreError::Unknown(format!("{error}; the database was replaced meanwhile")));
            }
            match asked {
                Ok(Ok(status)) if status == "committed" => return Ok(()),
                Ok(Ok(status)) if status == "aborted" => return Err(StoreError::Unavailable(error.to_owned())),
                _ if Instant::now() > deadline => return Err(StoreError::Unknown(error.to_owned())),
                _ => sleep(ASK_AGAIN).await,
            }
        }
    }

    async fn status_of(&self, transaction: &str) -> Result<String> {
        let mut connection = self.acquire().await?;
        let asked = sqlx::query("SELECT coalesce(pg_xact_status($1::text::xid8), 'unknown')").bind(transaction);
        let row = asked.fetch_one(&mut *connection).await.map_err(store_error)?;
        row.try_get(0).map_err(store_error)
    }

    /// Asks the database which life it is in.
    pub async fn recognise(&self) -> Result<()> {
        let lives = Arc::clone(&self.lives);
        self.read(|connection| Box::pin(async move { recognise(connection, &lives).await })).await
    }

    /// Closes a connection that is of no more use.
    pub fn give_up(&self, mut connection: PoolConnection<Postgres>) {
        self.lives.doubt();
        connection.close_on_drop();
    }

    /// Undoes a transaction that failed, or gives the connection up.
    pub async fn take_back(&self, mut connection: PoolConnection<Postgres>, error: &StoreError) {
        let usable = match error {
            StoreError::Unavailable(why) => {
                self.failing.note(why);
                false
            }
            StoreError::Unknown(_) | StoreError::Conflict(_) | StoreError::Corrupt(_) => true,
        };
        if !usable || !matches!(timeout(STALE, run(&mut connection, "ROLLBACK")).await, Ok(Ok(()))) {
            self.give_up(connection);
        }
    }

    /// On the runtime that connections belong to, and to its end even when nobody waits any more.
    async fn spawn<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        match self.runtime.spawn(work).await {
            Ok(answer) => answer,
            Err(error) => Err(StoreError::Unavailable(format!("the store's work did not end: {error}"))),
        }
    }
}

/// Prepares a new connection.
async fn set_up(connection: &mut PgConnection, lives: &Lives) -> sqlx::Result<()> {
    sqlx::raw_sql(SETTINGS).execute(&mut *connection).await?;
    recognise(connection, lives).await.map_err(|error| sqlx::Error::Protocol(error.to_string()))
}

/// A connection that leads to another life of the database begins another incarnation of the store.
pub(super) async fn recognise(connection: &mut PgConnection, lives: &Lives) -> Result<()> {
    let doubts = lives.doubts();
    if schema::life(&mut *connection).await? != lives.name() {
        lives.meet(schema::meet(connection).await?);
    }
    lives.confirm(doubts);
    Ok(())
}

pub(super) async fn run(connection: &mut PgConnection, sql: &'static str) -> Result<()> {
    sqlx::raw_sql(sql).execute(connection).await.map(|_| ()).map_err(store_error)
}

/// The transaction's number, when it has written something.
pub(super) async fn transaction_id(connection: &mut PgConnection) -> Result<Option<String>> {
    let asked = sqlx::query("SELECT pg_current_xact_id_if_assigned()::text");
    asked.fetch_one(connection).await.and_then(|row| row.try_get(0)).map_err(store_error)
}

pub(super) fn no_answer() -> StoreError {
    StoreError::Unavailable(format!("no answer from the database within {} s", PATIENCE.as_secs()))
}
