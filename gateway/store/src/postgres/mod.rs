//! The ledger in PostgreSQL, for any number of instances.
//!
//! `database` opens connections and settles lost commits, `writer` and `batch` make changes of payments,
//! many in one transaction; the other files hold the statements. Every key begins with the tenant.

mod address;
mod batch;
mod calls;
mod change;
mod clock;
mod columns;
mod database;
mod deliveries;
mod endpoints;
mod error;
mod events;
mod history;
mod kept;
mod leases;
mod lives;
mod open_work;
mod payments;
mod plugins;
mod questions;
mod refunds;
mod requests;
mod retention;
mod room;
mod schema;
mod watcher;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::{
    EventId, OutRefundNo, OutTradeNo, PaymentId, ProviderName, RefundRequestId, Secret, TenantId, Timestamp, TradeNo,
    TransactionId,
};
use dukou_engine::open::OldestOpen;
use dukou_engine::ports::{Decide, Deliveries, History, Old, PluginRecords, Questions, Store, StoreError, Target};
use dukou_engine::records::{
    Begun, Event, IdempotentCall, Page, Payment, PaymentFilter, Refund, RefundRequest, RefundRequestFilter,
    StoreIdentity, StoredAnswer,
};
use dukou_spi::{Clock, Kept};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use uuid::Uuid;

pub use self::address::InvalidAddress;
use self::clock::DatabaseClock;
use self::columns::Columns;
use self::database::{Database, Work};
pub(crate) use self::error::said;
use self::error::{Result, store_error};
pub(crate) use self::schema::{is_half_moved, life};
use self::writer::Writer;
use crate::rows::ReadColumns as _;

/// How long a readiness probe waits.
const READY_PATIENCE: Duration = Duration::from_secs(2);
/// How often an instance looks how far the log has grown through others. They wake it sooner where
/// there is a Redis.
const LOOK: Duration = Duration::from_secs(1);
/// Every so many looks an instance says that it is alive.
const LOOKS_A_SIGN: u32 = 5;

/// A database that takes no writes is not one to serve from.
const CAN_WRITE: &str = "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'";

/// Where the ledger is and how much may wait for it.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://…`; it may hold a password.
    pub address: Secret,
    /// How many changes may share one commit; 1 commits each by itself.
    pub max_batch: usize,
    /// How many changes may wait; more are refused as overloaded.
    pub queue: usize,
    /// Batches under way at a time.
    pub writers: usize,
    /// Connections of this instance, those of the writers among them; one more only watches.
    pub connections: u32,
}

impl PostgresOptions {
    /// The ledger at an address with the usual limits.
    pub fn at(address: Secret) -> Self {
        PostgresOptions { address, max_batch: 256, queue: 4096, writers: 2, connections: 10 }
    }

    /// Whether the address can be used at all; it does not connect.
    ///
    /// # Errors
    /// [`InvalidAddress`].
    pub fn check(&self) -> std::result::Result<(), InvalidAddress> {
        address::parse(&self.address).map(|_| ())
    }
}

/// The durable store in a PostgreSQL database that instances share.
pub struct PostgresStore {
    database: Database,
    writer: Writer,
    /// This process, among those that serve from the database.
    instance: Uuid,
    clock: Arc<DatabaseClock>,
    keeper: JoinHandle<()>,
    watcher: JoinHandle<()>,
}

impl PostgresStore {
    /// Connects, brings the schema up to date and begins to serve. Needs a Tokio runtime, on which
    /// the store's work runs until it is closed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database is away, [`StoreError::Corrupt`] when the address
    /// cannot be used, and when the schema is one of a newer program or another than expected.
    pub async fn open(options: PostgresOptions) -> std::result::Result<PostgresStore, StoreError> {
        let connect = address::parse(&options.address)
            .map_err(|error| StoreError::Corrupt(format!("storage.url {error}")))?
            .application_name("dukou")
            .statement_cache_capacity(STATEMENTS);
        let writers = options.writers.max(1);
        let connections = options.connections.max(u32::try_from(writers).unwrap_or(u32::MAX).saturating_add(2));
        let (database, first) = Database::open(connect.clone(), connections).await?;
        let instance = Uuid::now_v7();
        let (reading, _) = database
            .write(move |connection| {
                Box::pin(async move {
                    calls::alive(connection, instance).await?;
                    clock::read(connection).await
                })
            })
            .await?;
        let writer = Writer::start(&database, writers, options.queue, options.max_batch);
        let clock = Arc::new(DatabaseClock::new(reading));
        let keeper = tokio::spawn(keep(database.clone(), Arc::clone(&clock), instance));
        database.lives().watch(Instant::now());
        let watcher = tokio::spawn(watcher::run(database.clone(), connect, first));
        Ok(PostgresStore { database, writer, instance, clock, keeper, watcher })
    }

    /// Finishes what is queued and closes the connections.
    pub async fn close(&self) {
        self.writer.stop().await;
        self.keeper.abort();
        self.watcher.abort();
        let instance = self.instance;
        let gone = self.write(move |connection| Box::pin(calls::gone(connection, instance)));
        // Otherwise the others wait until it counts as dead.
        let _ = timeout(READY_PATIENCE, gone).await;
        self.database.close().await;
    }

    /// The database's clock, for plans that instances share, whatever each one's own clock shows.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::<DatabaseClock>::clone(&self.clock)
    }

    /// Whether the database said, since a connection to it broke last, that it is in the life that
    /// [`Store::identity`] names, and was certainly there a moment ago.
    pub fn is_certain(&self) -> bool {
        self.database.lives().is_certain()
    }

    /// Somebody says that the log of an incarnation has grown so far.
    pub fn note(&self, incarnation: Uuid, position: impl Into<Option<i64>>) {
        if let Some(position) = position.into() {
            self.database.lives().note(incarnation, position);
        }
    }

    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send + 'static,
    {
        self.database.read(work).await
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send + 'static,
    {
        self.database.write(work).await
    }
}

/// A connection to a database with its schema up to date, for moving a store into it, and where that is
/// in words.
pub(crate) async fn connect_to_move(options: &PostgresOptions) -> Result<(PgConnection, String)> {
    let connect = address::parse(&options.address)
        .map_err(|error| StoreError::Corrupt(format!("storage.url {error}")))?
        .application_name("dukou migrate");
    let mut connection = PgConnection::connect_with(&connect).await.map_err(store_error)?;
    schema::migrate(&mut connection, schema::STEPS).await?;
    Ok((connection, address::in_words(&connect)))
}

/// Statements that a connection keeps prepared: all of this crate's.
const STATEMENTS: usize = 100;

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.keeper.abort();
        self.watcher.abort();
    }
}

/// Follows what other instances do, and tells them that this one is there.
async fn keep(database: Database, clock: Arc<DatabaseClock>, instance: Uuid) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut away, mut looks) = (false, 0);
    loop {
        ticks.tick().await;
        looks = (looks + 1) % LOOKS_A_SIGN;
        let looked = async {
            // A copy that took the place of the database may say so some seconds later.
            if looks == 0 || !database.lives().is_certain() {
                database.recognise().await?;
            }
            // While it is away, what shows that it is there again is a write: one that only reads can still be read.
            if looks == 0 || away {
                database.write(move |connection| Box::pin(calls::alive(connection, instance))).await?;
            }
            let incarnation = database.lives().identity().incarnation;
            let looked = database.read(|connection| {
                Box::pin(async move { Ok((events::position(connection).await?, clock::read(connection).await?)) })
            });
            Ok::<_, StoreError>((incarnation, looked.await?))
        };
        match looked.await {
            Ok((incarnation, (position, (reading, prompt)))) => {
                if prompt {
                    clock.set(reading);
                }
                database.lives().note(incarnation, position);
                if std::mem::take(&mut away) {
                    tracing::warn!("the database is there again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::error!(%error, "the database is away");
                }
            }
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn identity(&self) -> StoreIdentity {
        self.database.lives().identity()
    }

    async fn apply(&self, target: Target, decide: Decide) -> Result<()> {
        self.writer.apply(target, decide).await
    }

    async fn payment(&self, tenant: &TenantId, out_trade_no: &OutTradeNo) -> Result<Option<Payment>> {
        let (tenant, number) = (tenant.clone(), out_trade_no.clone());
        self.read(move |connection| Box::pin(async move { payments::by_number(connection, &tenant, &number).await }))
            .await
    }

    async fn payment_by_trade_no(
        &self,
        tenant: &TenantId,
        provider: &ProviderName,
        trade_no: &TradeNo,
    ) -> Result<Option<Payment>> {
        let (tenant, provider, number) = (tenant.clone(), provider.clone(), trade_no.clone());
        self.read(move |connection| {
            Box::pin(async move { payments::by_trade_no(connection, &tenant, &provider, &number).await })
        })
        .await
    }

    async fn payment_by_transaction(&self, tenant: &TenantId, transaction: &TransactionId) -> Result<Option<Payment>> {
        let (tenant, number) = (tenant.clone(), transaction.clone());
        self.read(move |connection| {
            Box::pin(async move { payments::by_transaction(connection, &tenant, &number).await })
        })
        .await
    }

    async fn payments(&self, filter: PaymentFilter) -> Result<Page<Payment>> {
        self.read(move |connection| Box::pin(async move { payments::list(connection, &filter).await })).await
    }

    async fn refund(&self, tenant: &TenantId, out_refund_no: &OutRefundNo) -> Result<Option<Refund>> {
        let (tenant, number) = (tenant.clone(), out_refund_no.clone());
        self.read(move |connection| Box::pin(async move { refunds::by_number(connection, &tenant, &number).await }))
            .await
    }

    async fn refunds(&self, tenant: &TenantId, payment: PaymentId) -> Result<Vec<Refund>> {
        let tenant = tenant.clone();
        self.read(move |connection| Box::pin(async move { refunds::of_payment(connection, &tenant, payment).await }))
            .await
    }

    async fn refund_requests(&self, filter: RefundRequestFilter) -> Result<Page<RefundRequest>> {
        self.read(move |connection| Box::pin(async move { requests::list(connection, &filter).await })).await
    }

    async fn refund_request(&self, tenant: &TenantId, id: RefundRequestId) -> Result<Option<RefundRequest>> {
        let tenant = tenant.clone();
        self.read(move |connection| Box::pin(async move { requests::by_id(connection, &tenant, id).await })).await
    }

    async fn pending_request(&self, tenant: &TenantId, payment: PaymentId) -> Result<Option<RefundRequest>> {
        let tenant = tenant.clone();
        self.read(move |connection| Box::pin(async move { requests::pending(connection, &tenant, payment).await }))
            .await
    }

    async fn events(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Event>> {
        let tenant = tenant.clone();
        self.read(move |connection| Box::pin(async move { events::after(connection, &tenant, after, limit).await }))
            .await
    }

    async fn events_from(&self, after: i64, limit: u32) -> Result<Vec<Event>> {
        self.read(move |connection| Box::pin(events::from(connection, after, limit))).await
    }

    async fn event_position(&self, tenant: &TenantId, id: EventId) -> Result<Option<i64>> {
        let tenant = tenant.clone();
        self.read(move |connection| Box::pin(async move { events::position_of(connection, &tenant, id).await })).await
    }

    async fn begin_call(&self, call: IdempotentCall) -> Result<Begun> {
        let instance = self.instance;
        self.write(move |connection| Box::pin(async move { calls::begin(connection, &call, instance).await })).await
    }

    async fn end_call(&self, tenant: &TenantId, key: &str, owner: Uuid, answer: Option<StoredAnswer>) -> Result<()> {
        let (tenant, key) = (tenant.clone(), key.to_owned());
        self.write(move |connection| {
            Box::pin(async move { calls::end(connection, &tenant, &key, owner, answer.as_ref()).await })
        })
        .await
    }

    async fn forget(&self, what: Old, before: Timestamp, limit: u32) -> Result<u64> {
        self.write(move |connection| Box::pin(retention::forget(connection, what, before, limit))).await
    }

    async fn secret(&self, name: &str) -> Result<Secret> {
        let name = name.to_owned();
        self.write(move |connection| Box::pin(async move { kept::secret(connection, &name).await })).await
    }

    async fn trust_material(&self, account: &str) -> Result<Option<Kept>> {
        let account = account.to_owned();
        self.read(move |connection| Box::pin(async move { kept::find_trust(connection, &account).await })).await
    }

    async fn keep_trust_material(&self, account: &str, kept: Kept) -> Result<()> {
        let account = account.to_owned();
        self.write(move |connection| Box::pin(async move { kept::keep_trust(connection, &account, &kept).await })).await
    }

    /// What this instance knows; another's newest events are known within a second.
    async fn position(&self) -> Result<i64> {
        Ok(*self.database.lives().committed().borrow())
    }

    async fn oldest_open(&self) -> Result<Vec<OldestOpen>> {
        self.read(|connection| Box::pin(open_work::oldest(connection))).await
    }

    fn watch(&self) -> watch::Receiver<i64> {
        self.database.lives().committed().subscribe()
    }

    fn still_there(&self, incarnation: Uuid, position: i64) -> i64 {
        self.database.lives().still_there(incarnation, position)
    }

    fn questions(&self) -> &dyn Questions {
        self
    }

    fn deliveries(&self) -> &dyn Deliveries {
        self
    }

    fn history(&self) -> &dyn History {
        self
    }

    fn plugins(&self) -> &dyn PluginRecords {
        self
    }

    /// Asks whether the database takes writes. After a write that failed it also writes, to see whether that is so.
    async fn ready(&self) -> Result<()> {
        let failing = Arc::clone(self.database.failing());
        let probe = self.read(move |connection| {
            Box::pin(async move {
                let row = sqlx::query(CAN_WRITE).fetch_one(&mut *connection).await.map_err(store_error)?;
                if !Columns::new(&row).flag()? {
                    return Err(StoreError::Unavailable("the database takes no writes: it follows another one".into()));
                }
                if failing.is_set() {
                    room::prove(connection).await?;
                    failing.probed();
                }
                Ok(())
            })
        });
        match timeout(READY_PATIENCE, probe).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Unavailable(format!(
                "no answer from the database within {} s",
                READY_PATIENCE.as_secs()
            ))),
        }
    }
}
