//! An operator copies the store while money comes in, and brings it back.

use std::path::Path;

use dukou_e2e::{World, dukou, eventually};
use serde_json::json;

use crate::{SOON, becomes, paid};

/// A folder of the world as an argument.
fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_copy_made_under_load_is_restored_and_what_came_after_it_is_told_as_unknown() {
    let world = World::builder().embedded().start().await;
    let config = path(world.gateway.config());
    let copy = path(&world.directory().join("copy.db"));
    let (tenant, merchant) = world.bookshop();
    paid(&world, "BEFORE1", 100).await;
    merchant.refund("BEFORE1", "R-1", 40).await.expect(201);
    becomes(&merchant, "BEFORE1", "partially_refunded").await;

    // Payments come in all the while.
    let busy = tokio::spawn({
        let merchant = merchant.clone();
        async move {
            for number in 0.. {
                merchant.pending(&format!("BUSY-{number:04}"), 100).await;
                if number >= 20 && merchant.payment("AFTER1").await.status == 200 {
                    return;
                }
            }
        }
    });
    eventually("payments come in", SOON, async || (merchant.payment("BUSY-0005").await.status == 200).then_some(()))
        .await;
    let backup = dukou(&["backup", "--config", &config, "--to", &copy], &[]).await;
    assert_eq!(backup.code, Some(0), "{backup:?}");
    assert!(backup.stdout.contains(" payments, events up to position "), "{}", backup.stdout);
    let again = dukou(&["backup", "--config", &config, "--to", &copy], &[]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.starts_with(&format!("error: {copy}: is there already")), "{}", again.stderr);
    paid(&world, "AFTER1", 100).await;
    busy.await.unwrap();

    let restore = ["restore", "--config", &config, "--from", &copy];
    let running = dukou(&[restore.as_slice(), &["--replace"]].concat(), &[]).await;
    assert_eq!(running.code, Some(1), "{running:?}");
    assert!(running.stderr.contains("in use"), "{}", running.stderr);
    world.gateway.kill();
    let unasked = dukou(&restore, &[]).await;
    assert_eq!(unasked.code, Some(1), "{unasked:?}");
    assert!(unasked.stderr.contains("--replace"), "{}", unasked.stderr);
    let restored = dukou(&[restore.as_slice(), &["--replace"]].concat(), &[]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let kept = restored.stdout.lines().last().unwrap().rsplit(' ').next().unwrap();
    assert!(Path::new(kept).is_file(), "{}", restored.stdout);

    world.gateway.restart().await;
    let payment = merchant.payment("BEFORE1").await.expect(200);
    assert_eq!((&payment["status"], &payment["refunded_amount"]), (&json!("partially_refunded"), &json!(40)));
    assert_eq!(merchant.payment("BUSY-0005").await.expect(200)["status"], "pending");
    merchant.payment("AFTER1").await.problem(404, "not_found");

    // The money of what was lost is not passed over in silence.
    world.control.notify(&tenant, "AFTER1", &json!({})).await;
    eventually("told of an order that is not known", SOON, async || {
        let events = merchant.all_events().await;
        events.iter().any(|event| event["type"] == "payment.unknown_order").then_some(())
    })
    .await;
    // And the store goes on from where the copy was.
    paid(&world, "AFTER2", 100).await;
}

#[tokio::test]
async fn what_is_no_store_is_not_restored() {
    let world = World::builder().embedded().start().await;
    paid(&world, "KEEP-1", 100).await;
    world.gateway.kill();
    let config = path(world.gateway.config());
    let text = world.directory().join("notes.txt");
    std::fs::write(&text, "not a store at all, but long enough to be looked at as one".repeat(100)).unwrap();
    let other = world.directory().join("other.db");
    std::fs::write(&other, "").unwrap();
    for (file, words) in [(&text, "not a database"), (&other, "is no ledger"), (&"/nowhere".into(), "no such file")] {
        let finished = dukou(&["restore", "--replace", "--config", &config, "--from", &path(file)], &[]).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains(words), "{words}: {}", finished.stderr);
        // The store that is served is well, and is not spoken of.
        assert!(finished.stderr.starts_with(&format!("error: {}", path(file))), "{}", finished.stderr);
    }
    world.gateway.restart().await;
    assert_eq!(world.merchant("bookshop").status("KEEP-1").await, "succeeded");
    world.verify().await;
}
