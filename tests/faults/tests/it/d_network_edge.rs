//! Connections that drip, flood, or cannot be framed.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use dukou_e2e::{World, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{SOON, becomes, notify_once, paid_silently};

/// Connections of each kind.
const DRIPPING: usize = 2000;
/// Files that everything else needs.
const OTHER_FILES: u64 = 500;
/// By when a connection that drips is cut.
const CUT: Duration = Duration::from_secs(10);
/// How long a genuine notify may take meanwhile; a build for debugging is slower.
const NOTIFY: Duration = Duration::from_secs(if cfg!(debug_assertions) { 2 } else { 1 });
/// Connections are opened this far apart, so that what is measured is holding them and not the rush.
const APART: Duration = Duration::from_millis(1);

/// How many connections of each kind the limit of open files allows; raises it as far as it may.
fn allowed() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = 2 * DRIPPING as u64 + OTHER_FILES;
    let most = limit.maximum.unwrap_or(wanted);
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted.min(most)), maximum: limit.maximum }).unwrap();
    }
    let each = usize::try_from((wanted.min(most) - OTHER_FILES) / 2).unwrap();
    assert!(each >= 1000, "at most {most} files may be open: too few for this test; raise `ulimit -Hn`");
    each
}

/// Sends the beginning at once and then a byte a second, until the other side ends it; how long it lived. Begins after a while.
async fn drip(address: String, beginning: String, after: Duration) -> Duration {
    tokio::time::sleep(after).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let opened = Instant::now();
    let (mut reads, mut writes) = stream.split();
    let ended = async {
        let mut answer = [0; 1024];
        while let Ok(1..) = reads.read(&mut answer).await {}
    };
    let dripping = async {
        if writes.write_all(beginning.as_bytes()).await.is_err() {
            return;
        }
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            if writes.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = ended => {}
        () = dripping => {}
    }
    opened.elapsed()
}

/// Watches: the time limits on a request's head and on its body, each of them; without the one on bodies the second
/// kind stays for as long as it likes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f27_thousands_of_connections_that_drip() {
    let each = allowed();
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    const GENUINE: usize = 10;
    for number in 0..GENUINE {
        paid_silently(&world, &merchant, &format!("F27-{number:03}"), 101).await;
    }
    let address = world.gateway.url().replace("http://", "");
    let head = format!("POST /notify/bookshop/wechat/payment HTTP/1.1\r\nHost: {address}\r\n");
    let complete = format!("{head}Content-Type: text/xml\r\nContent-Length: 1000\r\n\r\n<xml>");
    let mut dripping = JoinSet::new();
    for number in 0..each {
        for beginning in [&head, &complete] {
            let after = APART * u32::try_from(number).unwrap();
            let lives = drip(address.clone(), beginning.clone(), after);
            let kind = if beginning == &head { "head" } else { "body" };
            dripping.spawn(async move { (lives.await, kind) });
        }
    }
    let mut longest_notify = Duration::ZERO;
    let mut sent = 0;
    let mut longest_life = (Duration::ZERO, "");
    let mut cut = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    while cut < 2 * each {
        tokio::select! {
            lived = dripping.join_next() => {
                longest_life = longest_life.max(lived.unwrap().unwrap());
                cut += 1;
            }
            _ = tick.tick() => {
                let started = Instant::now();
                assert!(notify_once(&world, &tenant, &format!("F27-{:03}", sent % GENUINE)).await);
                longest_notify = longest_notify.max(started.elapsed());
                sent += 1;
            }
        }
    }
    assert!(longest_life.0 < CUT, "a dripping {} lived for {:?}", longest_life.1, longest_life.0);
    assert!(sent >= GENUINE && longest_notify < NOTIFY, "of {sent} notifies one took {longest_notify:?}");
    world.verify().await;
}

/// What became of one request that is sent for as long as it is taken.
struct Flooded {
    answer: String,
    /// Bytes of the body that were taken from us before the answer, or the end, was there.
    unanswered: usize,
}

async fn flood(address: &str, head: &str, chunk: &[u8], most: usize) -> Flooded {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reads, mut writes) = stream.split();
    let sent = AtomicUsize::new(0);
    let sending = async {
        if writes.write_all(head.as_bytes()).await.is_ok() {
            while sent.load(Relaxed) < most && writes.write_all(chunk).await.is_ok() {
                sent.fetch_add(chunk.len(), Relaxed);
            }
        }
    };
    let reading = async {
        let (mut answer, mut buffer, mut unanswered) = (Vec::new(), [0; 4096], None);
        loop {
            let count = reads.read(&mut buffer).await.unwrap_or(0);
            unanswered.get_or_insert_with(|| sent.load(Relaxed));
            if count == 0 {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                return Flooded { answer, unanswered: unanswered.unwrap_or_default() };
            }
            answer.extend_from_slice(&buffer[..count]);
        }
    };
    let both = async { tokio::join!(sending, reading) };
    tokio::time::timeout(SOON, both).await.expect("the connection is closed").1
}

/// Watches: the limit over what really arrives, whatever was announced; no decompression; the limit on platforms' answers.
#[tokio::test]
async fn f28_bodies_without_end() {
    const HUNDRED_MB: usize = 100 << 20;
    const TOGETHER: usize = 10;
    const MEMORY_EACH: u64 = 2 << 20;
    /// The limit, one buffer, and what the kernel's own buffers take before anybody reads.
    const TAKEN: usize = 16 << 20;
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let address = world.gateway.url().replace("http://", "");
    let notify = "/notify/bookshop/wechat/payment";
    let create = format!("/v1/{}/payments", tenant.id);
    let head = |path: &str, more: &str| {
        let key = &tenant.api_key;
        format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n{more}\r\n\r\n"
        )
    };
    let data = vec![b'x'; 64 * 1024];
    let chunk = [b"10000\r\n", &data[..], b"\r\n"].concat();
    let before = world.gateway.rss_bytes();
    let mut heaviest = 0;
    for path in [notify, create.as_str()] {
        for (framing, bytes) in
            [(format!("Content-Length: {HUNDRED_MB}"), &data), ("Transfer-Encoding: chunked".to_owned(), &chunk)]
        {
            let mut floods = JoinSet::new();
            for _ in 0..TOGETHER {
                let (address, head, bytes) = (address.clone(), head(path, &framing), bytes.clone());
                floods.spawn(async move { flood(&address, &head, &bytes, HUNDRED_MB).await });
            }
            while let Some(flooded) = floods.join_next().await {
                let Flooded { answer, unanswered } = flooded.unwrap();
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{path} {framing}: {answer}");
                // Whoever is called answers in the form that the caller reads.
                let form = if path == notify { "<return_code><![CDATA[FAIL]]>" } else { "\"body_too_large\"" };
                assert!(answer.is_empty() || answer.contains(form), "{path} {framing}: {answer}");
                assert!(unanswered < TAKEN, "{path} {framing}: {unanswered} bytes were taken without an answer");
                heaviest = heaviest.max(world.gateway.rss_bytes());
            }
        }
        let Flooded { answer, .. } =
            flood(&address, &head(path, "Content-Encoding: gzip\r\nContent-Length: 1048576"), &data, 1 << 20).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 41"), "{path}: {answer}");
    }
    let grown = heaviest.saturating_sub(before);
    assert!(grown < MEMORY_EACH * TOGETHER as u64, "memory grew by {grown} bytes over {TOGETHER} connections");

    // A platform's answer is limited as well.
    let before = world.gateway.rss_bytes();
    let huge = json!({ "type": "huge_answer", "bytes": HUNDRED_MB });
    world.control.fault(&json!({ "operation": "unifiedorder", "times": 1, "fault": huge })).await;
    merchant.create(&merchant.order("F28-01", 101)).await.problem(504, "provider_timeout");
    let grown = world.gateway.rss_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "memory grew by {grown} bytes over one answer");
    becomes(&merchant, "F28-01", "pending").await;
    merchant.create(&merchant.order("F28-01", 101)).await.expect(200);
    world.control.pay(&tenant, "F28-01").await;
    becomes(&merchant, "F28-01", "succeeded").await;
    world.verify().await;
}

/// Watches: one framing or none. A second request must not be read out of the first one's body, nor a line of a head end
/// where somebody in front of the gateway reads on.
#[tokio::test]
async fn f29_requests_that_cannot_be_framed() {
    let world = World::start().await;
    let address = world.gateway.url().replace("http://", "");
    // The framing is the HTTP library's; what can be framed is answered twice here, so the count is one that can fail.
    let framed = "Content-Length: 6";
    let smuggled = "GET /v1/nobody/payments HTTP/1.1\r\nHost: x\r\n\r\n";
    for headers in [
        framed,
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Content-Length: 6\r\nContent-Length: 7",
        "Content-Length: +6",
        "Content-Length: -6",
        "Content-Length: 6, 7",
        "Content-Length: 0x6",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Content-Length : 6",
        "Content-Length: 6\r\n folded: x",
        "X-A: b\0c\r\nContent-Length: 6",
        "X-A: b\nContent-Length: 6",
        "Content-Length: 6\n",
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!(
            "POST /notify/bookshop/wechat/payment HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n\r\n0\r\n\r\nx{smuggled}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Closing with unread bytes may reset the connection after the answer.
        let closed = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(closed.is_ok(), "{headers:?}: the connection stays open after {answer}");
        let answers = answer.matches("HTTP/1.1 ").count();
        if headers == framed {
            assert_eq!(answers, 2, "{answer}");
            continue;
        }
        assert_eq!(answers, 1, "{headers:?}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
    }
    eventually("the gateway is well", SOON, async || {
        world.gateway.readiness().await.is_ok_and(|(status, _)| status == 200).then_some(())
    })
    .await;
    world.verify().await;
}
