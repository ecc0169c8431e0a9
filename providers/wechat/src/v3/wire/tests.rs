use dukou_domain::Timestamp;

use super::*;
use crate::v3::config::Settings;
use crate::v3::testing::{self, World, partner_mode, section};

fn settings(changes: serde_json::Value) -> Settings {
    World::default().settings(&section(changes))
}

fn caller(settings: &Settings) -> Caller<'_> {
    Caller { account: &settings.account, partner: settings.partner.as_ref() }
}

/// Golden files: where each request goes, and its body, a member a line.
#[test]
fn requests_are_as_they_were() {
    let shown = |(target, body): (String, Bytes)| {
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        format!("{target}\n{body:#}")
    };
    let direct = settings(serde_json::json!({}));
    let partner = settings(partner_mode());
    let partners_app = settings(serde_json::json!({ "sub_mch_id": "1900000100" }));
    for method in Method::ALL {
        let order = testing::order(method);
        insta::assert_snapshot!(format!("order_{method}"), shown(super::order(caller(&direct), &order)));
    }
    let order = testing::order(Method::Jsapi);
    insta::assert_snapshot!("order_partner", shown(super::order(caller(&partner), &order)));
    insta::assert_snapshot!("order_partners_app", shown(super::order(caller(&partners_app), &order)));
    for (name, settings) in [("direct", &direct), ("partner", &partner)] {
        let caller = caller(settings);
        let known = PayOrder { transaction_id: TransactionId::new("4200002345").ok(), ..order.clone() };
        let lines = [
            query(caller, &order),
            query(caller, &known),
            refund_query(caller, &testing::refund_query()),
            trade_bill(caller, time::macros::date!(2026 - 07 - 04)).unwrap(),
            fund_bill(time::macros::date!(2026 - 07 - 04)).unwrap(),
        ];
        insta::assert_snapshot!(format!("asking_{name}"), lines.join("\n"));
        insta::assert_snapshot!(format!("close_{name}"), shown(close(caller, &order)));
        insta::assert_snapshot!(format!("refund_{name}"), shown(refund(caller, &testing::refund())));
    }
}

/// WeChat takes a repeated number for the same order only when nothing differs.
#[test]
fn a_repeated_order_is_the_same_bytes() {
    let settings = settings(serde_json::json!({}));
    for method in Method::ALL {
        let order = testing::order(method);
        assert_eq!(super::order(caller(&settings), &order), super::order(caller(&settings), &order));
        // What was learned meanwhile plays no part in it.
        let known = PayOrder { transaction_id: TransactionId::new("4200002345").ok(), ..order.clone() };
        assert_eq!(super::order(caller(&settings), &order), super::order(caller(&settings), &known));
    }
}

#[test]
fn a_path_is_encoded_as_it_is_signed() {
    let settings = settings(serde_json::json!({ "sub_mch_id": "1900000100" }));
    let query = RefundQuery {
        out_refund_no: dukou_domain::OutRefundNo::new("RF-2026|B*9@x").unwrap(),
        ..testing::refund_query()
    };
    assert_eq!(
        refund_query(caller(&settings), &query),
        "/v3/refund/domestic/refunds/RF-2026%7CB%2A9%40x?sub_mchid=1900000100"
    );
}

#[test]
fn what_cannot_be_said_is_left_out() {
    let settings = settings(serde_json::json!({}));
    let mut order = testing::order(Method::App);
    order.expires_at = Timestamp::from_millis(i64::MAX);
    order.attach = Some(String::new());
    let (_, body) = super::order(caller(&settings), &order);
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["time_expire"], &body["attach"]), (&serde_json::Value::Null, &serde_json::Value::Null));
}

/// WeChat counts characters here: what the check lets through is shown to the payer whole.
#[test]
fn a_description_is_sent_as_it_was_checked() {
    let settings = settings(serde_json::json!({}));
    for method in Method::ALL {
        let order = PayOrder { description: "书".repeat(127), ..testing::order(method) };
        assert!(crate::check::order(&order).is_empty());
        let (_, body) = super::order(caller(&settings), &order);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["description"], order.description, "{method}");
    }
}
