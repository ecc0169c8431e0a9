//! A store moves from its file to PostgreSQL, and breaks off on the way.

use dukou_e2e::{Finished, World, dukou};

use crate::support::{becomes, events_of, need_fail_points, notify_once, paid_silently, refund_becomes, succeeded};

/// Enough for several pages of events.
const PAYMENTS: usize = 300;

async fn migrate(world: &World, fail_point: Option<&str>) -> Finished {
    let config = world.gateway.config().to_str().unwrap().to_owned();
    let file = format!("sqlite://{}", world.directory().join("data/dukou.db").display());
    let environment: Vec<(&str, &str)> = fail_point.iter().map(|point| ("FAILPOINTS", *point)).collect();
    dukou(&["migrate", "--config", &config, "--from", &file], &environment).await
}

/// Watches: pages that are written whole and go on where they ended, the comparison in the end, and the mark on the
/// file. Doubled or lost rows are a difference; a file that is served again is a second truth.
#[tokio::test]
async fn a_move_that_breaks_off_anywhere_goes_on_and_loses_nothing() {
    need_fail_points().await;
    let mut world = World::builder().embedded().redis().start().await;
    let (tenant, merchant) = world.bookshop();
    succeeded(&world, &merchant, "MOVE-paid", 500).await;
    merchant.refund("MOVE-paid", "R-MOVE", 200).await.expect(201);
    refund_becomes(&merchant, "R-MOVE", "succeeded").await;
    paid_silently(&world, &merchant, "MOVE-silent", 101).await;
    for number in 0..PAYMENTS {
        merchant.pending(&format!("MOVE-{number:04}"), 100).await;
    }
    let payments = merchant.all_payments().await;
    let events = merchant.all_events().await;
    world.gateway.terminate();
    world.gateway.wait_exit(std::time::Duration::from_secs(30)).await;
    world.lead_to_postgres();

    let mut crashes = 0;
    for point in ["moving.page=1*off->return", "moving.page=3*off->return", "moving.page=return"] {
        let finished = migrate(&world, Some(point)).await;
        assert_ne!(finished.code, Some(0), "{point}: {finished:?}");
        crashes += 1;
    }
    let log = world.start_another(&[]).await.err().expect("half a store is not served from");
    assert!(log.contains("run `dukou migrate` again"), "{log}");
    for point in ["moving.before_the_end=return", "moving.after_the_mark=return"] {
        let finished = migrate(&world, Some(point)).await;
        assert_ne!(finished.code, Some(0), "{point}: {finished:?}");
        crashes += 1;
    }
    assert_eq!(crashes, 5);
    // Killed between the two last steps: served from neither.
    let file = world.directory().join("data/dukou.db");
    let back = format!("sqlite://{}", file.display());
    for (place, words) in [(back.as_str(), "was moved to the PostgreSQL database"), ("", "run `dukou migrate` again")] {
        let environment = [("DUKOU__STORAGE__URL", place)];
        let log = world.start_another(if place.is_empty() { &[] } else { &environment }).await.err();
        assert!(log.as_ref().is_some_and(|log| log.contains(words)), "{words}: {log:?}");
    }
    let finished = migrate(&world, None).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let moved = finished.stdout.lines().find(|line| line.starts_with("payments")).unwrap_or_default();
    assert!(moved.contains(&format!("{} rows", PAYMENTS + 2)), "{}", finished.stdout);

    // Nobody serves from the file any more.
    let database = world.database();
    let refused = world.start_another(&[("DUKOU__STORAGE__URL", &back)]).await.err().expect("the file was moved");
    assert!(refused.contains("was moved to the PostgreSQL database"), "{refused}");

    world.gateway.restart().await;
    assert_eq!(merchant.all_payments().await, payments);
    assert_eq!(merchant.all_events().await, events);
    assert!(notify_once(&world, &tenant, "MOVE-paid").await);
    assert!(notify_once(&world, &tenant, "MOVE-silent").await);
    becomes(&merchant, "MOVE-silent", "succeeded").await;
    for number in ["MOVE-paid", "MOVE-silent"] {
        assert_eq!(events_of(&merchant, number, "payment.succeeded").await, 1, "{number}");
    }
    merchant.refund("MOVE-paid", "R-MOVE2", 301).await.problem(422, "refund_exceeds_payment");
    merchant.refund("MOVE-paid", "R-MOVE2", 300).await.expect(201);
    becomes(&merchant, "MOVE-paid", "refunded").await;
    succeeded(&world, &merchant, "MOVE-after", 101).await;
    world.verify().await;
    let again = migrate(&world, None).await;
    assert!(again.code == Some(1) && again.stderr.contains("has gone on since"), "{again:?}");
    assert!(!again.stderr.contains(&database), "an address holds a password, often");
}

/// Watches: the comparison. Without it a row that was changed or lost on the way is found by nobody.
#[tokio::test]
async fn a_row_that_is_not_as_it_was_is_found() {
    need_fail_points().await;
    let mut world = World::builder().embedded().start().await;
    let (_, merchant) = world.bookshop();
    for number in ["MOVE-1", "MOVE-2", "MOVE-3"] {
        succeeded(&world, &merchant, number, 500).await;
    }
    world.gateway.terminate();
    world.gateway.wait_exit(std::time::Duration::from_secs(30)).await;
    for (statement, difference) in [
        ("UPDATE payments SET amount = 501 WHERE out_trade_no = 'MOVE-2'", "payments: the file has 3 rows"),
        (
            "DELETE FROM notifications WHERE digest = (SELECT min(digest) FROM notifications)",
            "notifications: the file has 3 rows",
        ),
    ] {
        world.lead_to_postgres();
        migrate(&world, Some("moving.before_the_end=return")).await;
        world.sql(statement);
        let finished = migrate(&world, None).await;
        assert!(finished.code == Some(1) && finished.stderr.contains(difference), "{statement}: {finished:?}");
    }
    // With an empty database it begins anew.
    world.lead_to_postgres();
    assert_eq!(migrate(&world, None).await.code, Some(0));
    world.gateway.restart().await;
    assert_eq!(merchant.status("MOVE-2").await, "succeeded");
    world.verify().await;
}

/// Watches: the look at `schema_steps`. Without it an older program writes into tables that it does not know.
#[tokio::test]
async fn a_schema_of_a_newer_program_is_not_served_from() {
    let world = World::builder().postgres().start().await;
    world.sql("INSERT INTO schema_steps (version, name, checksum) VALUES (99, 'notes', 'x')");
    let log = world.start_another(&[]).await.err().expect("the schema is newer");
    assert!(log.contains("the schema is newer than this program: step 99 (notes) is unknown here"), "{log}");
    assert!(log.contains("start a newer version"), "{log}");
}
