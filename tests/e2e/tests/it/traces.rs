//! Somebody collects traces: a payment from its create to the merchant's webhook.

use std::collections::{BTreeSet, HashMap};

use dukou_e2e::{Behaviour, Sink, Tenant, World, dukou, eventually};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::{SOON, becomes, refund_becomes};

/// A caller's own trace.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn spans(collector: &Sink) -> Vec<Span> {
    let requests = collector.got().into_iter().map(|one| ExportTraceServiceRequest::decode(&one.body[..]).unwrap());
    let resources = requests.flat_map(|request| request.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn attributes(span: &Span) -> HashMap<&str, &str> {
    let known = span.attributes.iter().filter_map(|one| match one.value.as_ref()?.value.as_ref()? {
        AnyValue::StringValue(value) => Some((one.key.as_str(), value.as_str())),
        _ => None,
    });
    known.collect()
}

#[tokio::test]
async fn a_payment_is_followed_from_its_create_to_the_webhook() {
    let (collector, shop) = (Sink::start(Behaviour::Status(200)).await, Sink::start(Behaviour::Status(204)).await);
    let tenant = Tenant::bookshop()
        .set("webhook.url", shop.url())
        .set("webhook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let world = World::builder().tenant(tenant).set("webhooks.allow_private_networks", true);
    let world = world.set("telemetry.otlp_endpoint", format!("http://{}", collector.address)).start().await;
    let (tenant, merchant) = world.bookshop();
    let order = merchant.order("SPAN-1", 100);
    let create = world.client().post(format!("{}/v1/bookshop/payments", world.gateway.url()));
    let create = create
        .bearer_auth(&merchant.tenant.api_key)
        .json(&order)
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    assert_eq!(create.send().await.unwrap().status(), 201);
    world.control.pay(&tenant, "SPAN-1").await;
    becomes(&merchant, "SPAN-1", "succeeded").await;
    merchant.refund("SPAN-1", "R-1", 40).await.expect(201);
    refund_becomes(&merchant, "R-1", "succeeded").await;
    let wanted =
        ["request", "payment.create", "platform.call", "transaction", "payment.notify", "payment.refund", "webhook"];
    let found = eventually("the collector has every span", SOON, async || {
        let found = spans(&collector);
        wanted.iter().all(|name| found.iter().any(|span| span.name == *name)).then_some(found)
    })
    .await;

    // The merchant's own trace goes on through the gateway to the platform.
    for name in ["request", "payment.create", "platform.call", "transaction"] {
        let one = found.iter().find(|span| span.name == name && hex::encode(&span.trace_id) == TRACE);
        assert!(one.is_some(), "{name} is in its caller's trace");
    }
    // What was done for the payment at other times leads to one place.
    let about = |name: &str| {
        let of_name = found.iter().filter(move |span| span.name == name);
        of_name
            .filter(|span| attributes(span).get("out_trade_no").is_some_and(|number| *number == "SPAN-1"))
            .collect::<Vec<_>>()
    };
    let places: BTreeSet<Vec<u8>> = ["payment.create", "payment.notify", "payment.refund"]
        .into_iter()
        .flat_map(|name| {
            let spans = about(name);
            assert!(!spans.is_empty(), "{name} names its payment");
            spans.into_iter().flat_map(|span| span.links.iter().map(|link| link.trace_id.clone())).collect::<Vec<_>>()
        })
        .chain(
            found
                .iter()
                .filter(|span| matches!(span.name.as_str(), "webhook" | "payment.notify"))
                .flat_map(|span| span.links.iter().map(|link| link.trace_id.clone())),
        )
        .collect();
    assert_eq!(places.len(), 1, "one payment is one place");
    eventually("the merchant goes on with the trace", SOON, async || {
        shop.got()
            .iter()
            .any(|message| message.headers.get("traceparent").is_some_and(|value| value.len() == 55))
            .then_some(())
    })
    .await;
    let all = format!("{found:?}");
    for secret in tenant.secrets() {
        assert!(!all.contains(&secret), "a secret is in a span");
    }
    let openid = order["payer"]["openid"].as_str().unwrap();
    assert!(!all.contains(openid), "who pays is in a span");
    world.verify().await;
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_payment_anything() {
    let world = World::builder().set("telemetry.otlp_endpoint", "http://127.0.0.1:9").start().await;
    crate::paid(&world, "SPAN-2", 100).await;
    world.gateway.terminate();
    assert_eq!(world.gateway.wait_exit(SOON * 2).await.code(), Some(0));
}

#[tokio::test]
async fn the_request_has_one_line_with_its_payment() {
    let world = World::start().await;
    crate::paid(&world, "LINE-1", 100).await;
    let line = |route: &'static str| {
        let log = world.gateway.logs();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["message"] == "request" && line["route"] == route).collect::<Vec<_>>()
    };
    for route in
        ["/v1/{tenant}/payments", "/v1/{tenant}/payments/{out_trade_no}", "/notify/{tenant}/{provider}/payment"]
    {
        let lines = eventually(route, SOON, async || Some(line(route)).filter(|lines| !lines.is_empty())).await;
        assert_eq!(lines[0]["out_trade_no"], "LINE-1", "{:?}", lines[0]);
        assert_eq!(lines[0]["tenant"], "bookshop", "{:?}", lines[0]);
        assert!(lines[0]["request_id"].as_str().is_some_and(|id| !id.is_empty()));
    }
    let config = world.gateway.config().to_str().unwrap().to_owned();
    let wrong = dukou(&["check", "--config", &config], &[("DUKOU__TELEMETRY__OTLP_ENDPOINT", "collector:4318")]).await;
    assert!(wrong.code == Some(1) && wrong.stdout.contains("otlp_endpoint"), "{wrong:?}");
}
