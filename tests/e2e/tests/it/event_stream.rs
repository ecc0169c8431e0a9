//! A merchant's backend has what happens told to it as it happens.

use std::time::Duration;

use dukou_e2e::{Merchant, Tenant, World, eventually};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{SOON, paid, wrong_fields};

/// An open stream.
struct Stream {
    response: Response,
    /// What came and was not looked at yet.
    rest: Vec<u8>,
}

/// What a stream says at once.
#[derive(Debug)]
enum Told {
    Event { id: String, kind: String, data: Value },
    Comment,
}

fn ask(merchant: &Merchant, query: &str) -> RequestBuilder {
    let request = merchant.request(Method::GET, &format!("/events{query}"));
    request.timeout(Duration::from_secs(300)).header("accept", "text/event-stream")
}

impl Stream {
    async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, rest: Vec::new() }
    }

    /// `None` at the end of the stream.
    async fn next(&mut self, patience: Duration) -> Option<Told> {
        let end = loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                break end;
            }
            let chunk = timeout(patience, self.response.chunk()).await.expect("something is told in time");
            match chunk {
                Ok(Some(chunk)) => self.rest.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        };
        let block = String::from_utf8(self.rest.drain(..end + 2).collect()).unwrap();
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        if block.starts_with(':') {
            return Some(Told::Comment);
        }
        let data = serde_json::from_str(&field("data: ")).unwrap();
        Some(Told::Event { id: field("id: "), kind: field("event: "), data })
    }

    /// The next events, comments left out.
    async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            match self.next(SOON).await.expect("the stream goes on") {
                Told::Event { id, kind, data } => {
                    assert_eq!((&data["id"], &data["type"]), (&Value::from(id), &Value::from(kind)));
                    events.push(data);
                }
                Told::Comment => {}
            }
        }
        events
    }
}

#[tokio::test]
async fn it_begins_in_the_log_and_goes_on_live() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let merchant = world.merchant("bookshop");
    world.merchant("teahouse").pending("TEA-001", 5).await;
    paid(&world, "LIVE-01", 100).await;
    let before = merchant.all_events().await;
    let mut stream = Stream::open(ask(&merchant, "")).await;
    assert_eq!(stream.events(before.len()).await, before);

    world.merchant("teahouse").pending("TEA-002", 5).await;
    paid(&world, "LIVE-02", 100).await;
    merchant.refund("LIVE-02", "R-1", 100).await.expect(201);
    crate::becomes(&merchant, "LIVE-02", "refunded").await;
    let after = merchant.all_events().await;
    assert_eq!(stream.events(after.len() - before.len()).await, after[before.len()..]);
    world.verify().await;
}

#[tokio::test]
async fn it_goes_on_where_it_was_left() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let merchant = world.merchant("bookshop");
    paid(&world, "LEFT-01", 100).await;
    let mut stream = Stream::open(ask(&merchant, "")).await;
    let last = stream.events(2).await[1]["id"].as_str().unwrap().to_owned();
    drop(stream);
    paid(&world, "LEFT-02", 100).await;
    world.gateway.restart().await;
    let all = merchant.all_events().await;

    let mut stream = Stream::open(ask(&merchant, "").header("Last-Event-ID", &last)).await;
    assert_eq!(stream.events(all.len() - 2).await, all[2..]);
    // The header is the later word of the two.
    let first = all[0]["id"].as_str().unwrap();
    let mut stream = Stream::open(ask(&merchant, &format!("?after={first}")).header("Last-Event-ID", &last)).await;
    assert_eq!(stream.events(1).await, all[2..3]);
    let mut stream = Stream::open(ask(&merchant, &format!("?after={last}")).header("Last-Event-ID", "")).await;
    assert_eq!(stream.events(1).await, all[2..3]);

    let unknown = format!("evt_{}", "0".repeat(first.len() - 4));
    for wrong in [first.replace("evt_", "pay_"), unknown, "7".to_owned()] {
        let answer = merchant.send(ask(&merchant, "").header("Last-Event-ID", &wrong)).await.unwrap();
        assert_eq!(wrong_fields(&answer.problem(400, "invalid_request")), ["Last-Event-ID"], "{wrong}");
    }
    let other = world.merchant("teahouse");
    let theirs = other.send(ask(&other, "").header("Last-Event-ID", first)).await.unwrap();
    theirs.problem(400, "invalid_request");
}

#[tokio::test]
async fn nothing_is_missing_and_nothing_comes_twice() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let orders = {
        let merchant = merchant.clone();
        tokio::spawn(async move {
            for group in 0..20 {
                let made = (0..5).map(|number| {
                    let merchant = merchant.clone();
                    tokio::spawn(async move { merchant.pending(&format!("MANY-{group}-{number}"), 100).await })
                });
                for order in made.collect::<Vec<_>>() {
                    order.await.unwrap();
                }
            }
        })
    };
    // They begin while it happens: at the log's end, in the middle, and where it may be either.
    let mut streams = Vec::new();
    while !orders.is_finished() {
        streams.push(Stream::open(ask(&merchant, "")).await);
        if streams.len() >= 30 {
            break;
        }
    }
    orders.await.unwrap();
    let all = merchant.all_events().await;
    assert!(all.len() >= 200 && streams.len() > 5, "{} events, {} streams", all.len(), streams.len());
    for mut stream in streams {
        assert_eq!(stream.events(all.len()).await, all);
    }
}

#[tokio::test]
async fn silence_is_kept_alive() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let mut stream = Stream::open(ask(&merchant, "")).await;
    // Longer than a connection may wait for a request.
    let told = stream.next(Duration::from_secs(25)).await;
    assert!(matches!(told, Some(Told::Comment)), "{told:?}");
    merchant.pending("QUIET-1", 100).await;
    assert_eq!(stream.events(1).await[0]["type"], "payment.created");
}

#[tokio::test]
async fn a_stop_ends_it_at_once() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    merchant.pending("STOP-01", 100).await;
    let mut stream = Stream::open(ask(&merchant, "")).await;
    stream.events(1).await;
    world.gateway.terminate();
    let ended = async { while stream.next(SOON).await.is_some() {} };
    timeout(SOON, ended).await.expect("the stream ends");
    assert!(world.gateway.wait_exit(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn two_thousand_follow_at_once() {
    const STREAMS: usize = 2_000;
    /// What one more stream may cost, with all buffers.
    const EACH: u64 = 48 * 1024;
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    merchant.pending("CROWD-0", 100).await;
    let address = world.gateway.url().trim_start_matches("http://").to_owned();
    let request = format!(
        "GET /v1/bookshop/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Accept: text/event-stream\r\n\r\n",
        merchant.tenant.api_key
    );
    let before = world.gateway.rss_bytes();
    let mut sockets = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        sockets.push((socket, Vec::new()));
    }
    for (socket, text) in &mut sockets {
        read_until(socket, text, "CROWD-0").await;
    }
    let grown = world.gateway.rss_bytes().saturating_sub(before);
    println!("{STREAMS} streams: {} KiB each", grown / 1024 / STREAMS as u64);
    assert!(grown < EACH * STREAMS as u64, "{} MiB", grown >> 20);

    merchant.pending("CROWD-1", 100).await;
    for (socket, text) in &mut sockets {
        read_until(socket, text, "CROWD-1").await;
    }
    // They are gone again, and others find a place.
    drop(sockets);
    merchant.pending("CROWD-2", 100).await;
    eventually("room for others", SOON, async || (merchant.payment("CROWD-2").await.status == 200).then_some(())).await;
}

async fn read_until(socket: &mut TcpStream, text: &mut Vec<u8>, what: &str) {
    let mut buffer = [0; 4096];
    while !text.windows(what.len()).any(|window| window == what.as_bytes()) {
        let length = timeout(SOON, socket.read(&mut buffer)).await.expect("in time").unwrap();
        assert!(length > 0, "the stream ended: {}", String::from_utf8_lossy(text));
        text.extend_from_slice(&buffer[..length]);
    }
}
