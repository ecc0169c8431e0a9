//! The listener as a raw client sees it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use actix_web::dev::ServerHandle;
use actix_web::rt;
use dukou_domain::Timestamp;
use dukou_engine::records::PageCursor;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::cursor::List;
use crate::testing_engine::{Away, Counted, gateway};

#[path = "server_edge_tests.rs"]
mod edge;

/// Far beyond every limit set here.
const DEADLINE: Duration = Duration::from_secs(20);
/// The HTTP library's clock ticks every half second: a shorter limit may be over at once.
const SHORT: Duration = Duration::from_secs(1);

struct Running {
    address: SocketAddr,
    handle: ServerHandle,
    store: Arc<Away>,
    counted: Arc<Counted>,
    gateway: Data<Gateway>,
}

fn start() -> Running {
    start_with(SHORT)
}

fn start_with(patience: Duration) -> Running {
    let config = HttpConfig {
        body_limit: 64 * 1024,
        header_read_timeout: patience,
        body_read_timeout: patience / 2,
        keep_alive: patience,
        max_connections: 100,
        workers: 1,
        shutdown_timeout: Duration::from_secs(5),
        ..HttpConfig::default()
    };
    let (gateway, store, counted) = gateway(config);
    let gateway = Data::new(gateway);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve_public(listener, gateway.clone()).unwrap();
    let handle = server.handle();
    rt::spawn(server);
    Running { address, handle, store, counted, gateway }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server ends the connection.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may answer and close before everything is sent.
        let _ = stream.write_all(bytes).await;
        read_to_end(&mut stream).await
    }

    /// One request on a connection of its own.
    async fn ask(&self, line: &str, headers: &str, body: &str) -> Answered {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{line} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{headers}{length}\r\n{body}");
        Answered::new(&self.raw(request.as_bytes()).await)
    }

    async fn stop(self) {
        timeout(DEADLINE, self.handle.stop(true)).await.unwrap();
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    timeout(DEADLINE, async {
        // A reset after the answer ends the connection as well.
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..read]);
        }
    })
    .await
    .expect("the server ends the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

struct Answered {
    status: u16,
    head: String,
    body: Value,
}

impl Answered {
    fn new(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answered { status, head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
    }

    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

const KEY: &str = "Authorization: Bearer sk-one\r\n";
const JSON: &str = "Authorization: Bearer sk-one\r\nContent-Type: application/json\r\n";
const FORM: &str = "Authorization: Bearer sk-one\r\nContent-Type: application/x-www-form-urlencoded\r\n";
/// A browser sends a body without a type to another site without asking it first.
const OF_A_PAGE: &str = "Authorization: Bearer sk-one\r\nOrigin: https://example.com\r\n";
const NOTIFY: &str = "POST /notify/bookshop/wechat/payment";

#[actix_web::test]
async fn every_error_is_a_problem_with_its_code_and_the_request_id() {
    let server = start();
    let cases = [
        ("GET /nothing", KEY, "", 404, "not_found"),
        ("GET /v1/bookshop/payments/", KEY, "", 404, "not_found"),
        ("DELETE /v1/bookshop/payments", KEY, "", 405, "method_not_allowed"),
        ("GET /v1/bookshop/payments", "", "", 401, "unauthorized"),
        ("GET /v1/nobody/payments", KEY, "", 401, "unauthorized"),
        ("GET /v1/Bookshop/payments", KEY, "", 401, "unauthorized"),
        ("GET /v1/bookshop%2f/payments", KEY, "", 401, "unauthorized"),
        ("GET /v1/..%2fbookshop/payments", KEY, "", 401, "unauthorized"),
        ("GET /v1/bookshop/payments/a%2fb", KEY, "", 404, "not_found"),
        ("GET /v1/bookshop/payments/%E8%AE%A2", KEY, "", 404, "not_found"),
        ("GET /v1/bookshop/payments?page=2", KEY, "", 400, "invalid_request"),
        ("GET /v1/bookshop/payments?cursor=x", KEY, "", 400, "invalid_request"),
        ("GET /v1/bookshop/payments", KEY, "", 500, "internal_error"),
        ("GET /v1/bookshop/events", KEY, "", 503, "unavailable"),
        (
            "GET /v1/bookshop/events?limit=0",
            "Authorization: Bearer sk-one\r\nAccept: text/event-stream\r\n",
            "",
            400,
            "invalid_request",
        ),
        (
            "GET /v1/bookshop/events",
            "Authorization: Bearer sk-one\r\nAccept: text/event-stream\r\nLast-Event-ID: 7\r\n",
            "",
            400,
            "invalid_request",
        ),
        // Read, and refused for what is not in it.
        ("POST /v1/bookshop/payments", KEY, "{}", 400, "invalid_request"),
        ("POST /v1/bookshop/sessions", "", "{}", 400, "invalid_request"),
        ("POST /v1/bookshop/payments/B-1/close", KEY, "[]", 400, "invalid_request"),
        ("POST /v1/bookshop/payments", FORM, "{}", 415, "unsupported_media_type"),
        ("POST /v1/bookshop/payments", OF_A_PAGE, "{}", 415, "unsupported_media_type"),
        ("POST /v1/bookshop/payments/B-1/close", OF_A_PAGE, "{}", 415, "unsupported_media_type"),
        ("POST /v1/bookshop/payments", KEY, "", 400, "invalid_request"),
        ("POST /v1/bookshop/payments/B-1/refunds", KEY, "", 400, "invalid_request"),
        ("POST /v1/bookshop/sessions", "", "", 400, "invalid_request"),
        ("POST /v1/bookshop/sessions", "Content-Type: text/plain\r\n", "", 400, "invalid_request"),
        ("HEAD /v1/bookshop/payments/B-1/close", KEY, "", 405, ""),
        ("HEAD /callback/bookshop/douyin-share", "", "", 405, ""),
        ("POST /v1/bookshop/payments", JSON, "{\"amount\":1.0}", 400, "invalid_request"),
        ("POST /v1/bookshop/payments", "Authorization: Bearer wrong\r\n", "{}", 401, "unauthorized"),
        (NOTIFY, "Content-Encoding: gzip\r\n", "x", 415, "unsupported_media_type"),
        (NOTIFY, "", "<xml/>", 404, "not_found"),
        ("POST /notify/bookshop/wechat/payment?a=1", "", "<xml/>", 400, "invalid_request"),
        ("POST /notify/bookshop/wechat/transfer", "", "<xml/>", 404, "not_found"),
    ];
    for (line, headers, body, status, code) in cases {
        let headers = format!("{headers}X-Request-Id: test-7\r\n");
        let answer = server.ask(line, &headers, body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{line} {headers}");
        assert_eq!(answer.body["request_id"].as_str(), (!code.is_empty()).then_some("test-7"), "{line}");
        assert!(answer.head.contains("x-request-id: test-7"), "{line}: {}", answer.head);
        assert!(answer.head.contains("content-type: application/problem+json"), "{line}: {}", answer.head);
        assert_eq!(answer.head.contains("www-authenticate: bearer"), status == 401, "{line}");
        assert_eq!(answer.head.contains("allow: "), status == 405, "{line}: {}", answer.head);
        assert_eq!(answer.head.contains("retry-after"), status == 503, "{line}");
    }
    let counted = std::mem::take(&mut *server.counted.0.lock().unwrap());
    assert!(counted.contains(&("unmatched".to_owned(), "GET", 404)));
    assert!(counted.contains(&("/v1/{tenant}/payments".to_owned(), "GET", 500)), "{counted:?}");
    assert!(counted.contains(&("/notify/{tenant}/{provider}/payment".to_owned(), "POST", 415)));
    server.stop().await;
}

#[actix_web::test]
async fn head_is_get_without_the_body() {
    let server = start();
    const STREAM: &str = "Authorization: Bearer sk-one\r\nAccept: text/event-stream\r\n";
    for (path, headers, status) in [
        ("/openapi.json", "", 200),
        ("/v1/bookshop/payments/B-1", "", 401),
        ("/v1/bookshop/payments?page=2", KEY, 400),
        // A stream has no end, but its headers have.
        ("/v1/bookshop/events", STREAM, 200),
        ("/nothing", KEY, 404),
    ] {
        let ask = |method: &str| format!("{method} {path} HTTP/1.1\r\nHost: t\r\nX-Request-Id: h\r\n{headers}\r\n");
        let mut stream = server.connect().await;
        // Twice on one connection, so that a byte of a body would be noticed.
        let twice = format!("{}{}", ask("HEAD"), ask("HEAD").replacen("\r\n", "\r\nConnection: close\r\n", 1));
        stream.write_all(twice.as_bytes()).await.unwrap();
        let answered = read_to_end(&mut stream).await;
        let heads: Vec<&str> = answered.split_terminator("\r\n\r\n").collect();
        assert_eq!(heads.len(), 2, "{path}: {answered}");
        assert!(heads.iter().all(|head| head.starts_with(&format!("HTTP/1.1 {status} "))), "{path}: {answered}");

        let mut stream = server.connect().await;
        stream.write_all(ask("GET").as_bytes()).await.unwrap();
        let mut buffer = vec![0; 4096];
        let read = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
        let got = String::from_utf8_lossy(&buffer[..read]).into_owned();
        let sorted = |head: &str| {
            let mut lines: Vec<String> = head.lines().map(str::to_ascii_lowercase).collect();
            lines.retain(|line| !line.starts_with("date: "));
            lines.sort();
            lines
        };
        assert_eq!(sorted(heads[0]), sorted(got.split("\r\n\r\n").next().unwrap()), "{path}");
    }
    let allowed = server.ask("PUT /v1/bookshop/payments", KEY, "").await;
    assert!(allowed.head.contains("allow: post, get, head\r\n"), "{}", allowed.head);
    let counted = std::mem::take(&mut *server.counted.0.lock().unwrap());
    assert!(counted.contains(&("/openapi.json".to_owned(), "HEAD", 200)), "{counted:?}");
    server.stop().await;
}

#[actix_web::test]
async fn a_stream_takes_the_parameters_of_a_page() {
    let server = start();
    let ask = "GET /v1/bookshop/events?limit=1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer sk-one\r\n\
               Accept: Text/Event-Stream, application/json;q=0.5\r\n\r\n";
    let mut stream = server.connect().await;
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
    let answer = Answered::new(&String::from_utf8_lossy(&buffer[..read]));
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    drop(stream);
    server.stop().await;
}

#[actix_web::test]
async fn a_cursor_leads_on_in_its_own_list_alone() {
    let server = start();
    let place = PageCursor { created_at: Timestamp::from_millis(1), id: uuid::Uuid::nil() };
    for (list, path) in
        [(List::Payments, "payments"), (List::RefundRequests, "refund-requests"), (List::Deliveries, "deliveries")]
    {
        for from in [List::Payments, List::RefundRequests, List::Deliveries] {
            let line = format!("GET /v1/bookshop/{path}?cursor={}", from.encode(place));
            let answer = server.ask(&line, KEY, "").await;
            assert_eq!(answer.status == 400, from != list, "{from:?} {line}: {}", answer.body);
            if answer.status == 400 {
                assert_eq!(answer.body["errors"][0]["field"], "cursor", "{}", answer.body);
            }
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn an_id_that_does_not_belong_into_a_log_is_replaced() {
    let server = start();
    let answer = server.ask("GET /nothing", "X-Request-Id: a\"b c\r\n", "").await;
    let id = answer.body["request_id"].as_str().unwrap();
    assert!(uuid::Uuid::try_parse(id).is_ok(), "{id}");
    server.stop().await;
}

#[actix_web::test]
async fn the_openapi_document_is_served() {
    let server = start();
    let answer = server.ask("GET /openapi.json", "", "").await;
    assert_eq!((answer.status, &answer.body["openapi"]), (200, &Value::from("3.1.0")));
    server.stop().await;
}

#[actix_web::test]
async fn a_body_beyond_the_limit_is_refused_early_and_the_connection_ends() {
    let server = start();
    let declared = format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nContent-Length: 104857600\r\n\r\n");
    let answer = Answered::new(&server.raw(declared.as_bytes()).await);
    assert_eq!((answer.status, answer.code()), (413, "body_too_large"));
    assert!(answer.head.contains("connection: close"), "{}", answer.head);

    let mut stream = server.connect().await;
    let head = format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        for _ in 0..6400 {
            if writer.write_all(&chunk).await.is_err() {
                return true;
            }
        }
        false
    };
    let mut answer = vec![0; 4096];
    let reading = async {
        let read = reader.read(&mut answer).await.unwrap_or(0);
        // The rest, so that the sender is not held up by us.
        while let Ok(1..) = reader.read(&mut [0; 4096]).await {}
        read
    };
    // 100 MB may still fit into the time it lingers; a trickle is tested below.
    let (_, read) = timeout(DEADLINE, futures_util::future::join(sending, reading)).await.unwrap();
    assert_eq!(Answered::new(&String::from_utf8_lossy(&answer[..read])).code(), "body_too_large");
    server.stop().await;
}

#[actix_web::test]
async fn a_trickling_body_is_cut_whether_or_not_anybody_reads_it() {
    let server = start();
    for (head, code) in [
        (format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nx"), "request_timeout"),
        (format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"), "request_timeout"),
        ("POST /nothing HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n".to_owned(), "not_found"),
        ("POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nx".to_owned(), "not_found"),
    ] {
        let started = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = Answered::new(&trickle(&mut stream, b"1\r\nx\r\n").await);
        assert_eq!(answer.code(), code, "{head}");
        assert!(answer.head.contains("connection: close"), "{head}: {}", answer.head);
        assert!(started.elapsed() < Duration::from_secs(8), "{head}: {:?}", started.elapsed());
    }
    server.stop().await;
}

/// Keeps sending now and then until the server ends the connection; what it answered.
async fn trickle(stream: &mut TcpStream, bytes: &[u8]) -> String {
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let ended = timeout(DEADLINE, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                read = reader.read(&mut buffer) => match read {
                    Ok(read @ 1..) => answer.extend_from_slice(&buffer[..read]),
                    _ => return,
                },
                _ = ticks.tick() => if writer.write_all(bytes).await.is_err() {
                    return;
                },
            }
        }
    });
    ended.await.expect("the server ends the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[actix_web::test]
async fn a_trickling_head_is_cut_the_first_and_any_later_one() {
    let server = start();
    let whole = "GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n";
    let half = "GET /nothing HTTP/1.1\r\nHost: t\r\nX-Slow: ";
    for (begin, answers) in [(half.to_owned(), 0), (format!("{whole}{half}"), 1), (format!("{whole}{whole}{half}"), 2)]
    {
        for drip in [b"a".as_slice(), b""] {
            let started = Instant::now();
            let mut stream = server.connect().await;
            stream.write_all(begin.as_bytes()).await.unwrap();
            let answer = trickle(&mut stream, drip).await;
            assert_eq!(answer.matches("\"code\":\"not_found\"").count(), answers, "{begin:?}: {answer}");
            assert!(started.elapsed() < Duration::from_secs(8), "{begin:?} {drip:?}: {:?}", started.elapsed());
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_connection_serves_one_request_after_another() {
    let server = start();
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let request = format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\n<xml/>");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        let read = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
        let answer = Answered::new(&String::from_utf8_lossy(&buffer[..read]));
        assert_eq!(answer.code(), "not_found");
        assert!(!answer.head.contains("connection: close"), "{}", answer.head);
    }
    server.stop().await;
}

#[actix_web::test]
async fn ambiguous_framing_is_refused_with_one_answer() {
    let server = start();
    let second = "GET /openapi.json HTTP/1.1\r\nHost: t\r\n\r\n";
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +6\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X-Folded: a\r\n b\r\nContent-Length: 5\r\n",
        "Content-Length: 5\n",
        "X-Bare: a\nContent-Length: 5\r\n",
    ] {
        let request = format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\n{headers}\r\n0\r\n\r\n{second}");
        let answer = server.raw(request.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn an_idempotency_key_speaks_for_the_call_it_began() {
    let server = start();
    let cases = [
        ("answered", 201, "", "idempotent-replayed: true"),
        ("running", 409, "idempotency_in_progress", "retry-after: 1"),
        ("taken", 409, "idempotency_key_conflict", ""),
        ("away", 503, "unavailable", "retry-after: 5"),
        ("two words", 400, "invalid_request", ""),
        // Run, and found wanting.
        ("new", 400, "invalid_request", ""),
    ];
    for line in
        ["POST /v1/bookshop/payments", "POST /v1/bookshop/payments/B-1/refunds", "POST /v1/bookshop/payments/B-1/close"]
    {
        for (key, status, code, header) in cases {
            let closes = line.ends_with("close");
            if closes && key == "new" {
                continue;
            }
            let body = if closes { "" } else { "{}" };
            let answer = server.ask(line, &format!("{JSON}Idempotency-Key: {key}\r\n"), body).await;
            assert_eq!((answer.status, answer.code()), (status, code), "{line} {key}");
            assert!(answer.head.contains(header), "{line} {key}: {}", answer.head);
            assert_eq!(answer.body["kept"].as_bool().unwrap_or(false), key == "answered", "{line} {key}");
        }
    }
    assert_eq!((*server.store.begun.borrow(), *server.store.forgotten.borrow()), (2, 0), "what was run was kept");
    server.stop().await;
}

/// Watches: the task that writes what the store did not take. Other instances see the key in progress until it is asked
/// for where the call was made.
#[actix_web::test]
async fn a_call_that_ended_while_the_store_took_nothing_is_not_in_progress_for_ever() {
    let server = start();
    let takes = |takes| server.store.takes_ends.store(takes, Ordering::SeqCst);
    let (tenant, key) = (dukou_domain::TenantId::new("bookshop").unwrap(), "running".to_owned());
    let answer = dukou_engine::records::StoredAnswer {
        status: 201,
        content_type: "application/json".to_owned(),
        body: bytes::Bytes::from_static(b"{}"),
    };
    let headers = format!("{JSON}Idempotency-Key: running\r\n");
    let ask = async || server.ask("POST /v1/bookshop/payments", &headers, "{}").await;
    takes(false);
    server.gateway.unkept.remember(tenant.clone(), key.clone(), Some(answer.clone()));
    let answered = ask().await;
    assert_eq!(answered.status, 201);
    assert!(answered.head.contains("idempotent-replayed: true"), "{}", answered.head);
    assert!(server.gateway.unkept.holds(&tenant, &key), "the store has it not yet");
    // Nobody asks any more.
    takes(true);
    let written = async |mut ends: tokio::sync::watch::Receiver<usize>, count| {
        timeout(DEADLINE, ends.wait_for(|ended| *ended == count)).await.expect("in time").unwrap();
    };
    written(server.store.answered.subscribe(), 1).await;
    server.gateway.idle().await;
    assert!(!server.gateway.unkept.holds(&tenant, &key), "the store has it now");
    assert_eq!(ask().await.code(), "idempotency_in_progress");
    // One that may be made again is forgotten.
    server.gateway.unkept.remember(tenant.clone(), key.clone(), None);
    written(server.store.forgotten.subscribe(), 1).await;

    // A stop writes what is left.
    takes(false);
    server.gateway.unkept.remember(tenant.clone(), key.clone(), Some(answer));
    server.gateway.end_streams();
    takes(true);
    timeout(DEADLINE, server.gateway.idle()).await.unwrap();
    assert_eq!((*server.store.answered.borrow(), server.gateway.unkept.holds(&tenant, &key)), (2, false));
    server.stop().await;
}

#[actix_web::test]
async fn a_call_goes_on_when_its_caller_hangs_up() {
    let server = start();
    // An end too near makes the route look for the payment, where the test holds it.
    let body =
        r#"{"provider":"wechat","method":"native","amount":1,"description":"b","expires_at":"2020-01-01T00:00:00Z"}"#;
    let request = format!(
        "POST /v1/bookshop/payments HTTP/1.1\r\nHost: t\r\n{JSON}Idempotency-Key: k\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = server.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut begun = server.store.begun.subscribe();
    timeout(DEADLINE, begun.wait_for(|begun| *begun == 1)).await.unwrap().unwrap();
    drop(stream);
    assert!(server.gateway.idle().now_or_never().is_none(), "the call is under way");

    server.store.gate.add_permits(1);
    let mut forgotten = server.store.forgotten.subscribe();
    timeout(DEADLINE, forgotten.wait_for(|forgotten| *forgotten == 1)).await.unwrap().unwrap();
    timeout(DEADLINE, server.gateway.idle()).await.unwrap();
    server.stop().await;
}

/// A client that blocks, for what is to be on its way while a worker stands still.
fn plain_client(server: &Running) -> std::net::TcpStream {
    let stream = std::net::TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(SHORT)).unwrap();
    stream
}

/// Watches: the measure of a turn. Without it all that one connection has sent is answered before anybody else.
#[actix_web::test]
async fn who_pipelines_does_not_keep_others_waiting() {
    use std::io::{Read as _, Write as _};
    let server = start();
    // From now on it runs by itself.
    server.ask("GET /nothing", "", "").await;
    let (nothing, document) =
        ("GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n", "HEAD /openapi.json HTTP/1.1\r\nHost: t\r\n\r\n");
    let (mut stops, mut many, mut one) = (plain_client(&server), plain_client(&server), plain_client(&server));
    for stream in [&mut stops, &mut many, &mut one] {
        stream.write_all(document.as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    }
    {
        // The only worker stops where it counts the first of these requests; the others arrive meanwhile.
        let mut counted = server.counted.0.lock().unwrap();
        counted.clear();
        stops.write_all(nothing.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        // What the system does not take is not needed.
        let _ = many.write_all(nothing.repeat(2000).as_bytes());
        one.write_all(document.as_bytes()).unwrap();
    }
    assert!(one.read(&mut [0; 4096]).unwrap() > 0);
    let counted = server.counted.0.lock().unwrap().clone();
    let before = counted.iter().position(|(route, ..)| route == "/openapi.json").unwrap();
    assert!(before < 100, "{before} requests of another connection were answered first");
    drop((stops, many, one));
    server.stop().await;
}

#[actix_web::test]
async fn who_sends_all_at_once_and_reads_late_gets_every_answer() {
    const REQUESTS: usize = 300;
    let server = start();
    let mut stream = server.connect().await;
    let ask = "GET /openapi.json HTTP/1.1\r\nHost: t\r\n\r\n";
    let body = "x".repeat(60 * 1024);
    let post = format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (mut reader, mut writer) = stream.split();
    let reading = async {
        // The answers fill every buffer between us first.
        tokio::time::sleep(SHORT / 2).await;
        let mut answered = Vec::new();
        // The server sees the end of the requests behind the last of them, and ends the connection too.
        let _ = reader.read_to_end(&mut answered).await;
        String::from_utf8_lossy(&answered).into_owned()
    };
    let sending = async {
        writer.write_all(ask.repeat(REQUESTS).as_bytes()).await.unwrap();
        writer.write_all(post.as_bytes()).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let (answered, ()) =
        timeout(DEADLINE, futures_util::future::join(reading, sending)).await.expect("all is answered");
    assert_eq!(answered.matches("HTTP/1.1 200 OK").count(), REQUESTS);
    assert_eq!(answered.matches("\"code\":\"not_found\"").count(), 1, "{}", answered.len());
    server.stop().await;
}
