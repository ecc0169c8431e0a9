//! Copies of the ledger, and the way back.

use std::path::Path;

use dukou_domain::PaymentState;
use dukou_engine::ports::{Store, StoreError};
use dukou_store::sqlite::{back_up, restore};
use dukou_store::{SqliteOptions, SqliteStore};
use rusqlite::Connection;

use crate::records::*;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions::at(path)).unwrap()
}

async fn state(path: &Path, out_trade_no: &str) -> Option<PaymentState> {
    let store = open(path);
    let payment = store.payment(&tenant(), &number(out_trade_no)).await.unwrap();
    store.close().await;
    payment.map(|payment| payment.state)
}

#[tokio::test]
async fn a_copy_is_one_moment_of_an_open_ledger_and_comes_back_over_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("ledger.db"), folder.path().join("copy.db"));
    let store = open(&path);
    create(&store, &payment("B1", 1_000)).await.unwrap();
    notify(&store, "B1", "a").await.unwrap();
    let copied = back_up(&path, &copy).unwrap();
    assert_eq!((copied.payments, copied.position), (1, store.position().await.unwrap()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o077, 0);
    }
    create(&store, &payment("B2", 1_000)).await.unwrap();
    assert!(matches!(restore(&copy, &path, true, "old"), Err(StoreError::Unavailable(why)) if why.contains("in use")));
    let identity = store.identity();
    // Gone without an orderly end: its newest entries stand in the log alone.
    let (log, saved) = (folder.path().join("ledger.db-wal"), folder.path().join("saved-wal"));
    std::fs::copy(&log, &saved).unwrap();
    store.close().await;
    std::fs::copy(&saved, &log).unwrap();

    assert!(
        matches!(restore(&copy, &path, false, "old"), Err(StoreError::Unavailable(why)) if why.contains("--replace"))
    );
    let restored = restore(&copy, &path, true, "old").unwrap();
    assert_eq!(restored.copied, copied);
    let store = open(&path);
    assert_eq!(store.identity().store, identity.store);
    assert_ne!(store.identity().incarnation, identity.incarnation, "no marker of before stands for this one");
    store.close().await;
    assert_eq!(state(&path, "B1").await, Some(PaymentState::Succeeded));
    assert_eq!(state(&path, "B2").await, None);
    assert_eq!(state(&restored.before.unwrap(), "B2").await, Some(PaymentState::Pending));
}

/// A copy that was put away read-only, one that everybody reads, and what a broken try left under
/// the name in between: none of their rights becomes the ledger's.
#[cfg(unix)]
#[tokio::test]
async fn the_ledger_is_its_owners_alone_whatever_the_copys_rights_are() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("ledger.db"), folder.path().join("copy.db"));
    let rights = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let leave = |name: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, "what a try that was broken off has left").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let store = open(&path);
    create(&store, &payment("B1", 1_000)).await.unwrap();
    leave("copy.db.partial", 0o444);
    back_up(&path, &copy).unwrap();
    store.close().await;
    assert_eq!(rights(&copy), 0o600);
    for (mode, stamp) in [(0o400, "1"), (0o644, "2"), (0o444, "3")] {
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(mode)).unwrap();
        leave("ledger.db.partial", mode);
        restore(&copy, &path, true, stamp).unwrap();
        assert_eq!(rights(&path), 0o600, "restored from {mode:o}");
        assert_eq!(state(&path, "B1").await, Some(PaymentState::Pending));
    }
}

#[tokio::test]
async fn a_restoring_that_broke_off_is_noticed_and_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("ledger.db"), folder.path().join("copy.db"));
    let store = open(&path);
    create(&store, &payment("B1", 1_000)).await.unwrap();
    back_up(&path, &copy).unwrap();
    store.close().await;
    std::fs::copy(&copy, folder.path().join("ledger.db.restoring")).unwrap();
    let refused = SqliteStore::open(SqliteOptions::at(&path)).err().map(|error| error.to_string());
    assert!(refused.as_ref().is_some_and(|why| why.contains("restore it again")), "{refused:?}");
    restore(&copy, &path, true, "old").unwrap();
    assert_eq!(state(&path, "B1").await, Some(PaymentState::Pending));
}

/// Of two within one second, both ledgers that were there are kept.
#[tokio::test]
async fn what_is_replaced_is_kept_whatever_was_kept_before() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("ledger.db"), folder.path().join("copy.db"));
    let store = open(&path);
    back_up(&path, &copy).unwrap();
    create(&store, &payment("B1", 1_000)).await.unwrap();
    store.close().await;
    let first = restore(&copy, &path, true, "now").unwrap().before.unwrap();
    let store = open(&path);
    create(&store, &payment("B2", 1_000)).await.unwrap();
    store.close().await;
    // A log without its ledger takes the name as well: it would be read with whatever came to stand there.
    std::fs::write(folder.path().join("ledger.db.now-2-wal"), "").unwrap();
    let second = restore(&copy, &path, true, "now").unwrap().before.unwrap();
    assert_eq!((first, second.clone()), (folder.path().join("ledger.db.now"), folder.path().join("ledger.db.now-3")));
    assert_eq!(state(&path, "B2").await, None);
    assert_eq!(state(&folder.path().join("ledger.db.now"), "B1").await, Some(PaymentState::Pending));
    assert_eq!(state(&second, "B2").await, Some(PaymentState::Pending));
}

#[tokio::test]
async fn only_a_whole_ledger_that_is_known_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("ledger.db"), folder.path().join("copy.db"));
    let store = open(&path);
    for index in 0..200 {
        create(&store, &payment(&format!("B{index}"), 1_000)).await.unwrap();
    }
    store.close().await;
    back_up(&path, &copy).unwrap();
    let refused = |path: &Path| restore(path, &folder.path().join("new.db"), true, "old").unwrap_err().to_string();

    assert!(refused(&folder.path().join("nothing.db")).contains("no such file"));
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x INTEGER)").unwrap();
    assert!(refused(&other).contains("is no ledger"));
    let junk = folder.path().join("junk.db");
    std::fs::write(&junk, "not a ledger at all, but long enough to be looked at as one".repeat(100)).unwrap();
    let why = refused(&junk);
    assert!(why.contains("junk.db is no whole copy of a ledger: file is not a database"), "{why}");
    let newer = folder.path().join("newer.db");
    std::fs::copy(&copy, &newer).unwrap();
    let step = "INSERT INTO schema_steps (version, name, checksum, applied_at) VALUES (9999, 'later', '00', 0)";
    Connection::open(&newer).unwrap().execute_batch(step).unwrap();
    assert!(refused(&newer).contains("newer than this program"));
    let cut = folder.path().join("cut.db");
    let whole = std::fs::read(&copy).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let why = refused(&cut);
    assert!(why.contains("cut.db is no whole copy"), "{why}");
    assert!(why.contains("malformed") || why.contains("database disk image"), "{why}");
    assert!(!folder.path().join("new.db").exists(), "nothing was put there");
}

#[tokio::test]
async fn a_ledger_that_was_moved_is_neither_copied_nor_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("ledger.db"), folder.path().join("copy.db"));
    let store = open(&path);
    create(&store, &payment("B1", 1_000)).await.unwrap();
    store.close().await;
    back_up(&path, &copy).unwrap();
    let mark = "CREATE TABLE moved (place TEXT NOT NULL, at TEXT NOT NULL) STRICT; \
                INSERT INTO moved VALUES ('the PostgreSQL database d3', '2026-11-23 10:00:00')";
    Connection::open(&path).unwrap().execute_batch(mark).unwrap();

    let late = folder.path().join("late.db");
    let why = back_up(&path, &late).unwrap_err().to_string();
    assert!(why.contains("was moved to the PostgreSQL database d3"), "{why}");
    assert!(!late.exists());
    let why = restore(&path, &folder.path().join("new.db"), true, "old").unwrap_err().to_string();
    assert!(why.contains("was moved to the PostgreSQL database d3"), "{why}");
    assert!(!folder.path().join("new.db").exists());

    // The way back: a copy from before the move, over the file that was moved.
    restore(&copy, &path, true, "old").unwrap();
    assert_eq!(state(&path, "B1").await, Some(PaymentState::Pending));
}
