//! The ledger in one SQLite file, for one process.
//!
//! `open` prepares the file, `writer` commits, `checkpoint` folds its log in, `readers` read, `backup` copies it and
//! brings it back; `payments`, `refunds`, `events` and `calls` hold the statements.

mod ahead;
mod apply;
mod backup;
mod calls;
mod checkpoint;
mod columns;
mod deliveries;
mod endpoints;
mod error;
mod events;
mod history;
mod leases;
mod open;
mod open_work;
mod payments;
mod plugins;
mod questions;
mod readers;
mod refunds;
mod requests;
mod retention;
mod secrets;
mod task;
mod trust;
mod waiting;
mod writer;
mod writing;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::{
    EventId, OutRefundNo, OutTradeNo, PaymentId, ProviderName, RefundRequestId, Secret, TenantId, Timestamp, TradeNo,
    TransactionId,
};
use dukou_engine::open::OldestOpen;
use dukou_engine::ports::{
    Decide, Deliveries, History, Old, PaymentKey, PluginRecords, Questions, Store, StoreError, Target,
};
use dukou_engine::records::{
    Begun, Event, IdempotentCall, Page, Payment, PaymentFilter, Refund, RefundRequest, RefundRequestFilter,
    StoreIdentity, StoredAnswer,
};
use dukou_spi::Kept;
use rusqlite::Connection;
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use self::ahead::plans_left_at;
pub use self::backup::{Copied, Restored, back_up, restore};
use self::checkpoint::Checkpoints;
use self::error::Result;
pub(crate) use self::open::{mark_as_moved, moved_to, open_to_move};
use self::readers::Readers;
use self::waiting::Line;
use self::writer::Writer;
use self::writing::Writing;

/// How long a readiness probe waits for the writer.
const READY_PATIENCE: Duration = Duration::from_secs(2);

/// More than a change takes, so that a disk on which only the probe has room does not count.
const PROBE: &str = "UPDATE meta SET probe = zeroblob(65536)";

/// Where the ledger is and how much may wait for it.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file; it and its folder are made at the first start.
    pub path: PathBuf,
    /// How many changes may share one commit; 1 commits each by itself.
    pub max_batch: usize,
    /// How many changes may wait, and how many reads; more are refused as overloaded.
    pub queue: usize,
    /// Threads that read.
    pub readers: usize,
}

impl SqliteOptions {
    /// The ledger at `path` with the usual limits.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        SqliteOptions { path: path.into(), max_batch: 512, queue: 4096, readers: 2 }
    }
}

/// The durable store over one SQLite file. Dropping it finishes what is queued, as
/// [`SqliteStore::close`] does, and blocks meanwhile.
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    identity: StoreIdentity,
    writer: Writer,
    readers: Readers,
    /// The right to the file, until the connections are gone.
    lock: Mutex<Option<File>>,
}

impl SqliteStore {
    /// Opens the file, brings its schema up to date and begins a new incarnation. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file is in use by another process or cannot be
    /// written, [`StoreError::Corrupt`] when it is no ledger or one of a newer program. The
    /// text names the path, and says where its disk is full.
    pub fn open(options: SqliteOptions) -> std::result::Result<SqliteStore, StoreError> {
        let path = options.path.clone();
        Self::open_file(options).map_err(|error| open::with_room_left(error, checkpoint::room_left(&path)))
    }

    fn open_file(options: SqliteOptions) -> Result<SqliteStore> {
        let path = options.path.as_path();
        let lock = open::lock(path)?;
        backup::refuse_half_restored(path)?;
        let mut connection = open::writer(path)?;
        open::refuse_moved(path, &connection)?;
        open::migrate(&mut connection, open::STEPS).map_err(|error| match error {
            StoreError::Corrupt(why) => StoreError::Corrupt(format!("{}: {why}", path.display())),
            StoreError::Unavailable(why) => StoreError::Unavailable(format!("{}: {why}", path.display())),
            other => other,
        })?;
        let identity = open::begin_incarnation(&connection)?;
        leases::release(&connection)?;
        refunds::release(&connection)?;
        let position = open::position(&connection)?;
        let connections =
            (0..options.readers.max(1)).map(|_| open::reader(path)).collect::<std::result::Result<_, _>>()?;
        let thread = |error: std::io::Error| StoreError::Unavailable(format!("cannot start a thread: {error}"));
        let readers = Readers::start(connections, options.queue).map_err(thread)?;
        let checkpoints = Checkpoints::start(path, open::writer(path)?).map_err(thread)?;
        let writer =
            Writer::start(connection, checkpoints, position, options.queue, options.max_batch).map_err(thread)?;
        Ok(SqliteStore { inner: Arc::new(Inner { identity, writer, readers, lock: Mutex::new(Some(lock)) }) })
    }

    /// Finishes what is queued, folds the log into the database and closes the file. Whoever asks
    /// afterwards is told that the store is closed.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        if tokio::task::spawn_blocking(move || inner.stop()).await.is_err() {
            tracing::error!("closing the store panicked");
        }
    }

    /// Runs `read` on a reader's connection, for work of the gateway's own.
    async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.inner.readers.read(Line::Gateway, read).await
    }

    /// As [`SqliteStore::read`], for one record of a tenant's, or the few that belong to one.
    async fn read_record<T, F>(&self, tenant: &TenantId, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &TenantId) -> Result<T> + Send + 'static,
    {
        let of = tenant.clone();
        self.inner.readers.read(Line::Record(tenant.clone()), move |connection| read(connection, &of)).await
    }

    /// As [`SqliteStore::read`], for a page of a tenant's.
    async fn read_page<T, F>(&self, tenant: &TenantId, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &TenantId) -> Result<T> + Send + 'static,
    {
        let of = tenant.clone();
        self.inner.readers.read(Line::Page(tenant.clone()), move |connection| read(connection, &of)).await
    }

    /// Runs `change` in the writer's transaction and returns after the commit.
    async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Writing<'_>) -> Result<T> + Send + 'static,
    {
        let (task, answer) = task::task(change);
        self.inner.writer.submit(task)?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store is closed".into())))
    }
}

impl Inner {
    fn stop(&self) {
        self.readers.stop();
        self.writer.stop();
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn identity(&self) -> StoreIdentity {
        self.inner.identity
    }

    async fn apply(&self, target: Target, mut decide: Decide) -> Result<()> {
        self.write(move |w| apply::apply(w, &target, &mut decide)).await
    }

    async fn payment(&self, tenant: &TenantId, out_trade_no: &OutTradeNo) -> Result<Option<Payment>> {
        let number = out_trade_no.clone();
        self.read_record(tenant, move |connection, tenant| payments::by_number(connection, tenant, &number)).await
    }

    async fn payment_by_trade_no(
        &self,
        tenant: &TenantId,
        provider: &ProviderName,
        trade_no: &TradeNo,
    ) -> Result<Option<Payment>> {
        let (provider, trade_no) = (provider.clone(), trade_no.clone());
        let key = PaymentKey::TradeNo { provider, trade_no };
        self.read_record(tenant, move |connection, tenant| {
            Ok(payments::find(connection, tenant, &key)?.map(|found| found.payment))
        })
        .await
    }

    async fn payment_by_transaction(&self, tenant: &TenantId, transaction: &TransactionId) -> Result<Option<Payment>> {
        let transaction = transaction.clone();
        self.read_record(tenant, move |connection, tenant| payments::by_transaction(connection, tenant, &transaction))
            .await
    }

    async fn payments(&self, filter: PaymentFilter) -> Result<Page<Payment>> {
        let tenant = filter.tenant.clone();
        self.read_page(&tenant, move |connection, _| payments::list(connection, &filter)).await
    }

    async fn refund(&self, tenant: &TenantId, out_refund_no: &OutRefundNo) -> Result<Option<Refund>> {
        let number = out_refund_no.clone();
        self.read_record(tenant, move |connection, tenant| refunds::by_number(connection, tenant, &number)).await
    }

    async fn refunds(&self, tenant: &TenantId, payment: PaymentId) -> Result<Vec<Refund>> {
        self.read_record(tenant, move |connection, tenant| refunds::of_payment(connection, tenant, payment)).await
    }

    async fn refund_requests(&self, filter: RefundRequestFilter) -> Result<Page<RefundRequest>> {
        let tenant = filter.tenant.clone();
        self.read_page(&tenant, move |connection, _| requests::list(connection, &filter)).await
    }

    async fn refund_request(&self, tenant: &TenantId, id: RefundRequestId) -> Result<Option<RefundRequest>> {
        self.read_record(tenant, move |connection, tenant| requests::by_id(connection, tenant, id)).await
    }

    async fn pending_request(&self, tenant: &TenantId, payment: PaymentId) -> Result<Option<RefundRequest>> {
        self.read_record(tenant, move |connection, tenant| requests::pending(connection, tenant, payment)).await
    }

    async fn events(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Event>> {
        self.read_page(tenant, move |connection, tenant| events::after(connection, tenant, after, limit)).await
    }

    async fn events_from(&self, after: i64, limit: u32) -> Result<Vec<Event>> {
        self.read(move |connection| events::from(connection, after, limit)).await
    }

    async fn event_position(&self, tenant: &TenantId, id: EventId) -> Result<Option<i64>> {
        self.read_record(tenant, move |connection, tenant| events::position_of(connection, tenant, id)).await
    }

    async fn begin_call(&self, call: IdempotentCall) -> Result<Begun> {
        self.write(move |w| calls::begin(w, &call)).await
    }

    async fn end_call(&self, tenant: &TenantId, key: &str, owner: Uuid, answer: Option<StoredAnswer>) -> Result<()> {
        let (tenant, key) = (tenant.clone(), key.to_owned());
        self.write(move |w| calls::end(w, &tenant, &key, owner, answer.as_ref())).await
    }

    async fn forget(&self, what: Old, before: Timestamp, limit: u32) -> Result<u64> {
        // Found by a reader, so that the writer, whom payments wait for, only deletes.
        let found = self.read(move |connection| retention::old(connection, what, before, limit)).await?;
        if found.is_empty() {
            return Ok(0);
        }
        self.write(move |w| retention::delete(w, what, before, &found)).await
    }

    async fn secret(&self, name: &str) -> Result<Secret> {
        let name = name.to_owned();
        self.write(move |w| secrets::get_or_make(w, &name)).await
    }

    async fn trust_material(&self, account: &str) -> Result<Option<Kept>> {
        let account = account.to_owned();
        self.read(move |connection| trust::find(connection, &account)).await
    }

    async fn keep_trust_material(&self, account: &str, kept: Kept) -> Result<()> {
        let account = account.to_owned();
        self.write(move |w| trust::keep(w, &account, &kept)).await
    }

    async fn position(&self) -> Result<i64> {
        Ok(self.inner.writer.shared().position.load(Ordering::Acquire))
    }

    async fn oldest_open(&self) -> Result<Vec<OldestOpen>> {
        self.read(open_work::oldest).await
    }

    fn watch(&self) -> watch::Receiver<i64> {
        self.inner.writer.shared().committed.subscribe()
    }

    fn questions(&self) -> &dyn Questions {
        self
    }

    /// A file has one life as long as it is open.
    fn still_there(&self, _: Uuid, position: i64) -> i64 {
        position
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

    /// Goes through the writer and its lock. After a write that failed it writes, to see whether the
    /// disk takes it again; otherwise it writes nothing.
    async fn ready(&self) -> Result<()> {
        let shared = self.inner.writer.shared();
        let failing = shared.failing.is_set();
        let probe = self.write(move |w| {
            if failing {
                w.execute(PROBE, [])?;
            }
            Ok(())
        });
        match tokio::time::timeout(READY_PATIENCE, probe).await {
            Ok(answer) => {
                if failing && answer.is_ok() {
                    shared.failing.probed();
                }
                answer
            }
            Err(_) => Err(StoreError::Unavailable(format!("no commit within {} s", READY_PATIENCE.as_secs()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_could_not_write_is_ready_again_once_there_is_room_for_more_than_a_small_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(SqliteOptions::at(folder.path().join("dukou.db"))).unwrap();
        let failing = || store.inner.writer.shared().failing.is_set();
        store.inner.writer.shared().failing.note("the disk is full");
        store.write(|w| w.execute("UPDATE meta SET probe = NULL", [])).await.unwrap();
        assert!(failing());
        store.ready().await.unwrap();
        assert!(!failing());
    }
}
