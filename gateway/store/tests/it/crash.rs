//! A process that ends in the middle of a commit: what was told is there, nothing is there by half.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use dukou_engine::ports::Store;
use dukou_store::{FAIL_POINTS, SqliteOptions, SqliteStore};

use crate::records::*;

/// The abort signal's number.
const ABORTED: i32 = 6;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions::at(path)).unwrap()
}

#[tokio::test]
async fn a_crash_leaves_all_of_a_change_or_nothing() {
    for point in FAIL_POINTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        {
            let store = open(&path);
            create(&store, &payment("B1", 1_000)).await.unwrap();
        }
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::settles_and_is_killed", "--include-ignored"])
            .env("LEDGER_TO_OPEN", &path)
            .env("FAILPOINTS", format!("{point}=return"))
            .output()
            .unwrap()
            .status;
        assert_eq!(status.signal(), Some(ABORTED), "{point}: {status}");

        let store = open(&path);
        let committed = *point == "store.after_commit";
        let settled = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
        assert_eq!(settled.version, if committed { 2 } else { 1 }, "{point}");
        let events = store.events(&tenant(), 0, 10).await.unwrap();
        assert_eq!(events.len(), if committed { 2 } else { 1 }, "{point}");
        // The platform asks again, and the effect is one.
        assert_eq!(notify(&store, "B1", "a").await.unwrap(), !committed, "{point}");
        assert_eq!(store.events(&tenant(), 0, 10).await.unwrap().len(), 2);
    }
}

#[tokio::test]
#[ignore = "run in a process of its own by a_crash_leaves_all_of_a_change_or_nothing"]
async fn settles_and_is_killed() {
    let _scenario = fail::FailScenario::setup();
    let path = std::env::var("LEDGER_TO_OPEN").expect("named by the test that starts this process");
    let store = open(Path::new(&path));
    notify(&store, "B1", "a").await.unwrap();
}
