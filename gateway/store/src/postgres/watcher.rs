//! One connection that waits for nothing but its own end: whoever exchanges the database ends its connections first,
//! and others would notice at their next use.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::database::{Database, PATIENCE, no_answer, recognise};
use super::error::{Result, store_error};

/// How long the server lets it wait before it answers: several answers come within [`super::lives::FRESH`].
const WAIT: Duration = Duration::from_millis(250);
const WAIT_SQL: &str = "SELECT pg_sleep(0.25)";
/// Before another is tried.
const PAUSE: Duration = Duration::from_millis(250);

/// Keeps one for as long as the process lives. The first leads to the life that was met last.
pub(super) async fn run(database: Database, options: PgConnectOptions, first: PgConnection) {
    let mut away = false;
    let mut connection = Some(first);
    loop {
        let lives = database.lives();
        let connected = match connection.take() {
            Some(first) => Ok(first),
            None => timeout(PATIENCE, connect(&database, &options)).await.unwrap_or_else(|_| Err(no_answer())),
        };
        match connected {
            Ok(connected) => {
                away = false;
                let error = wait(&database, connected).await;
                lives.unwatch();
                tracing::debug!(error, "the connection that watches the database has ended");
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%error, "the database cannot be watched; what Redis knows is looked up in it");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connect(database: &Database, options: &PgConnectOptions) -> Result<PgConnection> {
    let mut connection = PgConnection::connect_with(options).await.map_err(store_error)?;
    recognise(&mut connection, database.lives()).await?;
    Ok(connection)
}

/// Waits until it ends, or the database is in another life than the one it leads to. Why it ended.
async fn wait(database: &Database, mut connection: PgConnection) -> String {
    let (lives, mut asked) = (database.lives(), Instant::now());
    let life = lives.name();
    while lives.name() == life {
        lives.watch(asked);
        asked = Instant::now();
        match timeout(PATIENCE, sqlx::raw_sql(WAIT_SQL).execute(&mut connection)).await {
            // It still led there when the wait was over.
            Ok(Ok(_)) => asked += WAIT,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return no_answer().to_string(),
        }
    }
    "the database is in another life".to_owned()
}
