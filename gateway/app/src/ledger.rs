//! Where payments live: opened as the configuration says, and waited for where others keep it.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context as _, anyhow};
use dukou_domain::Secret;
use dukou_engine::ports::{Store, StoreError};
use dukou_http::{HttpConfig, WaitingFor};
use dukou_store::{LeftAt, PostgresOptions, PostgresStore, Served, SqliteOptions, SqliteStore, SteadyTime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::config::{StoragePlace, StorageSettings};
use crate::listeners::run;
use crate::outside::SystemClock;
use crate::shutdown::pause;

/// Between two tries to reach a database that is away.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How often it is looked whether the clock was set.
const LOOK_AT_TIME: Duration = Duration::from_secs(1);
/// In milliseconds: a plan need not be nearer after a restart that nobody prepared.
const KEPT_WITHIN: u64 = 3_000;
/// How often it is kept how far the time of plans has come, for a start under a clock that is behind it.
const KEPT_AGAIN: Duration = Duration::from_secs(30);

/// Under which the store keeps the key of the console's sessions.
const CONSOLE_SECRET: &str = "console";

/// Where the time of plans stands, as the ledger has it.
struct TimeKept {
    at: LeftAt,
    /// The last write failed, and that was told.
    failing: bool,
}

impl TimeKept {
    fn is_to_be_written(&self, left: LeftAt) -> bool {
        left.ahead.abs_diff(self.at.ahead) > KEPT_WITHIN || left.moment.since(self.at.moment) >= KEPT_AGAIN
    }

    /// A write that failed is tried again at the next look, and told of once.
    fn ended(&mut self, left: LeftAt, written: Result<(), StoreError>) {
        match written {
            Ok(()) => *self = TimeKept { at: left, failing: false },
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "where the time of plans stands cannot be kept");
                }
            }
        }
    }
}

/// The store that was opened.
#[derive(Clone)]
pub enum Ledger {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

impl Ledger {
    /// Opens the store, and gives the key of the console's sessions with it. While a database is away the listeners say so, and it is tried again.
    ///
    /// # Errors
    /// When the store is there and cannot be used: a file that another process has, a schema of a
    /// newer program.
    pub async fn open(settings: &StorageSettings, waiting: Waiting<'_>) -> anyhow::Result<(Ledger, Secret)> {
        match &settings.place {
            StoragePlace::Sqlite(path) => {
                let options = SqliteOptions { max_batch: settings.max_batch, ..SqliteOptions::at(path) };
                let opened = tokio::task::spawn_blocking(move || SqliteStore::open(options)).await?;
                let store = opened.map_err(|error| cannot_open(path, error))?;
                let secret = store.secret(CONSOLE_SECRET).await.context("the console's key")?;
                Ok((Ledger::Sqlite(Arc::new(store)), secret))
            }
            StoragePlace::Postgres(address) => {
                let options = PostgresOptions {
                    max_batch: settings.max_batch,
                    connections: settings.connections,
                    ..PostgresOptions::at(address.clone())
                };
                let (store, secret) = waiting.until_open(&options).await?;
                Ok((Ledger::Postgres(Arc::new(store)), secret))
            }
        }
    }

    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Ledger::Sqlite(store) => Arc::<SqliteStore>::clone(store),
            Ledger::Postgres(store) => Arc::<PostgresStore>::clone(store),
        }
    }

    /// The time that plans are kept in: where instances share them, the database's, else it goes on from where the
    /// process before left it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn time(&self) -> Result<SteadyTime, StoreError> {
        match self {
            Ledger::Sqlite(store) => {
                let left = store.plans_left_at().await?;
                Ok(SteadyTime::new(Arc::new(SystemClock)).going_on(left))
            }
            Ledger::Postgres(store) => Ok(SteadyTime::following(Arc::new(SystemClock), store.clock())),
        }
    }

    /// Keeps where the time of plans stands for the process that comes after this one: as its distance from the clock
    /// changes and from time to time, and once more when it is told to stop.
    pub async fn keep_time(self, time: Arc<SteadyTime>, mut stopping: watch::Receiver<bool>) {
        let Ledger::Sqlite(store) = self else { return };
        let mut kept = TimeKept { at: time.left_at(), failing: false };
        loop {
            let stop = *stopping.borrow();
            let left = time.left_at();
            if stop || kept.is_to_be_written(left) {
                kept.ended(left, store.keep_plans_left_at(left).await);
            }
            if stop {
                break;
            }
            pause(LOOK_AT_TIME, &mut stopping).await;
        }
    }

    /// The store as a coordinator sees it.
    pub fn served(&self) -> Served {
        let (store, log, held, ledger) = (self.store(), self.store().watch(), self.store(), self.clone());
        Served {
            identity: Box::new(move || store.identity()),
            certain: Box::new(move || ledger.is_certain()),
            position: Box::new(move || *log.borrow()),
            still_there: Box::new(move |incarnation, position| held.still_there(incarnation, position)),
            shared: matches!(self, Ledger::Postgres(_)),
        }
    }

    /// Whether the life of the store that is known is surely the one it is in.
    fn is_certain(&self) -> bool {
        match self {
            // Nobody exchanges a file that is open and locked.
            Ledger::Sqlite(_) => true,
            Ledger::Postgres(store) => store.is_certain(),
        }
    }

    /// Somebody else who serves from the same store says that the log of this incarnation has grown so far.
    pub fn note(&self, incarnation: Uuid, position: i64) {
        match self {
            // Nobody else has the file.
            Ledger::Sqlite(_) => {}
            Ledger::Postgres(store) => store.note(incarnation, position),
        }
    }

    /// Finishes what is queued.
    pub async fn close(&self) {
        match self {
            Ledger::Sqlite(store) => store.close().await,
            Ledger::Postgres(store) => store.close().await,
        }
    }
}

/// Why the file cannot be opened. One of a newer program is in good order: that it "cannot be read" would be taken for
/// damage.
fn cannot_open(path: &Path, error: StoreError) -> anyhow::Error {
    let what = format!("cannot open the store sqlite://{}", path.display());
    match error {
        StoreError::Corrupt(why) => {
            let named = format!("{}: ", path.display());
            anyhow!("{what}: {}", why.strip_prefix(&named).unwrap_or(&why))
        }
        other => anyhow::Error::new(other).context(what),
    }
}

/// Opens the store and reads what a start needs of it: from then on the gateway is up without it.
async fn open(options: PostgresOptions) -> Result<(PostgresStore, Secret), StoreError> {
    let store = PostgresStore::open(options).await?;
    let secret = store.secret(CONSOLE_SECRET).await?;
    Ok((store, secret))
}

/// The listeners of a gateway that has no store yet.
pub struct Waiting<'l> {
    public: &'l TcpListener,
    admin: &'l TcpListener,
}

impl<'l> Waiting<'l> {
    pub fn new(public: &'l TcpListener, admin: &'l TcpListener) -> Self {
        Waiting { public, admin }
    }

    async fn until_open(&self, options: &PostgresOptions) -> anyhow::Result<(PostgresStore, Secret)> {
        let (mut servers, reason) = (Vec::new(), WaitingFor::default());
        let mut opening = Box::pin(open(options.clone()));
        let opened = loop {
            let (why, ended) = match timeout(TRY_AGAIN, &mut opening).await {
                Ok(Ok(opened)) => break Ok(opened),
                Ok(Err(StoreError::Corrupt(why))) => break Err(anyhow!("cannot open the store: {why}")),
                Ok(Err(StoreError::Unavailable(why) | StoreError::Unknown(why) | StoreError::Conflict(why))) => {
                    (why, true)
                }
                // It hangs, or its tables are being brought up to date.
                Err(_) => ("the database has not answered yet".to_owned(), false),
            };
            reason.set(why.clone());
            if servers.is_empty() {
                tracing::error!(why, "the database cannot be used yet; waiting for it");
                servers = self.serve(&reason)?;
            }
            if ended {
                sleep(TRY_AGAIN).await;
                opening = Box::pin(open(options.clone()));
            }
        };
        if !servers.is_empty() {
            tracing::warn!("the database is there");
        }
        // Connections that come from now on wait in the listeners until the gateway takes them.
        for server in servers {
            server.stop(true).await;
        }
        opened
    }

    fn serve(&self, reason: &WaitingFor) -> anyhow::Result<Vec<ServerHandle>> {
        let limits = HttpConfig { shutdown_timeout: TRY_AGAIN, ..HttpConfig::default() };
        let public = dukou_http::serve_public_waiting(self.public.try_clone()?, limits.clone())?;
        let admin = dukou_http::serve_admin_waiting(self.admin.try_clone()?, limits, reason.clone())?;
        Ok(vec![run(public), run(admin)])
    }
}

#[cfg(test)]
mod tests {
    use dukou_domain::Timestamp;
    use dukou_spi::Clock as _;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_opened_is_named_with_the_reason() {
        let newer = "the schema is newer than this program: step 99 (notes) is unknown here, which knows 15 steps";
        for (error, expected) in [
            (StoreError::Corrupt(format!("data/l.db: {newer}")), newer),
            (StoreError::Corrupt("file is not a database".to_owned()), "file is not a database"),
            (
                StoreError::Unavailable("data/l.db is in use".to_owned()),
                "the store is unavailable: data/l.db is in use",
            ),
        ] {
            let said = format!("{:#}", cannot_open(Path::new("data/l.db"), error));
            assert_eq!(said, format!("cannot open the store sqlite://data/l.db: {expected}"));
        }
    }

    /// Watches: the distance that one process leaves to the next.
    #[tokio::test]
    async fn the_next_process_goes_on_with_the_time_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let open =
            || Ledger::Sqlite(Arc::new(SqliteStore::open(SqliteOptions::at(folder.path().join("l.db"))).unwrap()));
        let near = |ahead: i64, expected: i64| ahead.abs_diff(expected) < 60_000;
        let first = open();
        assert!(near(first.time().await.unwrap().ahead(), 0));
        // As when the clock was set back by an hour while it ran.
        let left = LeftAt { ahead: 3_600_000, moment: SystemClock.now() };
        let time = Arc::new(SteadyTime::new(Arc::new(SystemClock)).going_on(left));
        let (stop, stopping) = watch::channel(false);
        let keeping = tokio::spawn(first.clone().keep_time(time, stopping));
        stop.send_replace(true);
        keeping.await.unwrap();
        first.close().await;
        drop(first);
        let ahead = open().time().await.unwrap().ahead();
        assert!(near(ahead, 3_600_000), "{ahead}");
    }

    #[test]
    fn a_write_of_the_time_that_failed_is_made_again_at_the_next_look() {
        let at = |seconds: i64, ahead| LeftAt { ahead, moment: Timestamp::from_millis(seconds * 1_000) };
        let failed = || Err(StoreError::Unavailable("the disk is full".to_owned()));
        let mut kept = TimeKept { at: at(0, 0), failing: false };
        assert!(!kept.is_to_be_written(at(29, 3_000)));
        assert!(kept.is_to_be_written(at(30, 0)) && kept.is_to_be_written(at(1, 3_001)));
        kept.ended(at(30, 0), failed());
        assert!(kept.is_to_be_written(at(31, 0)));
        kept.ended(at(31, 0), failed());
        assert!(kept.is_to_be_written(at(32, 0)));
        kept.ended(at(32, 0), Ok(()));
        assert!(!kept.is_to_be_written(at(61, 0)) && kept.is_to_be_written(at(62, 0)));
    }
}
