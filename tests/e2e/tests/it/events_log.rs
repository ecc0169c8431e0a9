//! A merchant's backend follows what happened.

use dukou_e2e::{Tenant, World};
use serde_json::{Value, json};

use crate::{becomes, paid, wrong_fields};

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_step_of_a_payment_is_there_in_order() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let payment = paid(&world, "STEPS-1", 100).await;
    merchant.refund("STEPS-1", "R-1", 100).await.expect(201);
    becomes(&merchant, "STEPS-1", "refunded").await;
    let events = merchant.all_events().await;
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let at = |kind: &str| kinds.iter().position(|other| *other == kind).unwrap_or_else(|| panic!("{kind}: {kinds:?}"));
    let (created, succeeded, refunded) = (at("payment.created"), at("payment.succeeded"), at("refund.succeeded"));
    assert!(created < succeeded && succeeded < refunded, "{kinds:?}");
    for event in &events {
        assert!(event["id"].as_str().unwrap().starts_with("evt_"), "{event}");
        assert_eq!(event["tenant"], "bookshop");
        assert!(event["timestamp"].as_str().unwrap().ends_with('Z'), "{event}");
    }
    // The object as the API shows it, without what is only for the front end.
    let mut shown = payment;
    shown.as_object_mut().unwrap().remove("invoke");
    assert_eq!(events[succeeded]["data"], shown);
    assert_eq!(events[refunded]["data"]["out_refund_no"], "R-1");
    world.verify().await;
}

#[tokio::test]
async fn the_log_is_read_from_where_one_left_off() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    for number in 1..=4 {
        merchant.pending(&format!("LEFT-{number:02}"), 100).await;
    }
    let all = ids(&merchant.events("limit=500").await.expect(200));
    assert!(all.len() >= 4, "{all:?}");
    let mut read = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let page = merchant.events(&query).await.expect(200);
        assert!(ids(&page).len() <= 3);
        read.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("limit=3&after={cursor}");
    }
    assert_eq!(read, all);
    // What happens later comes after the last one known.
    let last = all.last().unwrap();
    let nothing = merchant.events(&format!("after={last}")).await.expect(200);
    assert_eq!((ids(&nothing).len(), &nothing["next_cursor"]), (0, &Value::Null));
    merchant.pending("LEFT-05", 100).await;
    let news = merchant.events(&format!("after={last}")).await.expect(200);
    let about: Vec<&Value> = news["data"].as_array().unwrap().iter().map(|e| &e["data"]["out_trade_no"]).collect();
    assert!(!about.is_empty() && about.iter().all(|number| **number == json!("LEFT-05")), "{about:?}");
}

#[tokio::test]
async fn a_place_that_is_not_ones_own_is_refused() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let (bookshop, teahouse) = (world.merchant("bookshop"), world.merchant("teahouse"));
    teahouse.pending("THEIRS1", 100).await;
    let theirs = ids(&teahouse.events("limit=1").await.expect(200)).remove(0);
    assert!(bookshop.all_events().await.is_empty());
    for (query, field) in [
        (format!("after={theirs}"), "after"),
        ("after=evt_1".to_owned(), "after"),
        ("limit=0".to_owned(), "limit"),
        ("limit=501".to_owned(), "limit"),
        ("from=1".to_owned(), "from"),
    ] {
        let problem = bookshop.events(&query).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), [field], "{query}");
    }
}
