//! `dukou serve`: starting, refusing to start, probes, metrics and ending.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::{Gateway, LOCAL, command, configure, get};

const SHOP: &str = "id = \"bookshop\"\napi_keys = [{ id = \"backend\", secret = \"env:KEY\" }]\n\
                    [providers.wechat]\nkind = \"wechat-v2\"\napp_id = \"wx8888888888888888\"\n\
                    mch_id = \"1900000109\"\napi_key = \"env:KEY\"\n";
const KEY: (&str, &str) = ("KEY", "0123456789abcdef0123456789abcdef");

#[test]
fn it_serves_probes_and_metrics_and_ends_when_told() {
    let folder = TempDir::new().expect("a folder");
    configure(folder.path(), &[("gateway.toml", LOCAL), ("tenants/bookshop.toml", SHOP)]);
    let mut gateway = Gateway::start(folder.path(), &[KEY]);
    assert!(get(gateway.admin, "/healthz").1.ends_with("ok"));
    let (status, ready) = get(gateway.admin, "/readyz");
    assert!(status == 200 && ready.contains("\"status\":\"ready\""), "{ready}");
    assert_eq!(get(gateway.public, "/v1/bookshop/payments").0, 401);

    let (_, metrics) = get(gateway.admin, "/metrics");
    for series in [
        "dukou_build_info{commit=",
        "dukou_http_requests_total{method=\"GET\",route=\"/v1/{tenant}/payments\",status=\"401\"} 1",
        "dukou_notify_total{kind=\"payment\",outcome=\"mismatch\",provider=\"wechat\",tenant=\"bookshop\"} 0",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(series), "{series} is not in {metrics}");
    }
    // By the probe above, and by the look that nobody asks for.
    let probed = metrics.lines().find_map(|line| line.strip_prefix("dukou_store_seconds_count{operation=\"probe\"} "));
    assert!(probed.is_some_and(|count| count != "0"), "{metrics}");

    gateway.terminate();
    assert_eq!(gateway.ended().code(), Some(0));
    let log = format!("{:?}", gateway.log());
    assert!(log.contains("draining") && log.contains("stopped"), "{log}");
    assert!(!log.contains(KEY.1), "a secret was logged");
    // Closed in order: nothing is left to fold in.
    let left = std::fs::metadata(folder.path().join("data/dukou.db-wal")).map_or(0, |file| file.len());
    assert_eq!(left, 0, "the write-ahead log was not folded into the database");
}

#[test]
fn what_is_in_flight_is_finished_before_the_end() {
    let folder = TempDir::new().expect("a folder");
    configure(folder.path(), &[("gateway.toml", LOCAL), ("tenants/bookshop.toml", SHOP)]);
    let mut gateway = Gateway::start(folder.path(), &[KEY]);
    let body = "<xml><return_code>SUCCESS</return_code></xml>";
    let mut stream = TcpStream::connect(gateway.public).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    write!(
        stream,
        "POST /notify/bookshop/wechat/payment HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
         Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n<xml>",
        body.len()
    )
    .expect("a request");
    // Until its worker has the request, the stop would find nothing in flight. Workers take connections in turn, so
    // that each of them has answered a later one after as many as there are.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..=workers {
        assert_eq!(get(gateway.public, "/none").0, 404);
    }
    gateway.terminate();
    gateway.logged(|line| line["message"] == "draining");
    stream.write_all(&body.as_bytes()[5..]).expect("the rest");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("FAIL"), "{answer}");
    assert_eq!(gateway.ended().code(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let folder = TempDir::new().expect("a folder");
    configure(folder.path(), &[("gateway.toml", LOCAL)]);
    // At this level a request is some 5 kB of lines, which is more in all than a pipe and the gateway keep.
    let mut gateway = Gateway::start(folder.path(), &[("RUST_LOG", "trace")]);
    let ask = |gateway: &Gateway| (0..500).for_each(|_| assert_eq!(get(gateway.public, "/none").0, 404));
    gateway.leave_log_unread(true);
    ask(&gateway);
    gateway.leave_log_unread(false);
    let told = gateway.logged(|line| line["message"] == "log lines were left out: nobody took them in time");
    assert!(told["level"] == "WARN" && told["lines"].as_u64() > Some(100), "{told}");
    assert!(gateway.log().iter().all(Value::is_object), "a part of a line was written");

    gateway.leave_log_unread(true);
    ask(&gateway);
    gateway.terminate();
    assert_eq!(gateway.ended_unread().code(), Some(0));
}

#[test]
fn what_cannot_start_says_why_and_ends_with_1() {
    let folder = TempDir::new().expect("a folder");
    configure(folder.path(), &[("gateway.toml", LOCAL)]);
    let running = Gateway::start(folder.path(), &[]);
    let listen = running.public.to_string();
    for (variables, words) in [
        (vec![], "dukou.db is in use by another process"),
        (vec![("DUKOU__STORAGE__URL", "sqlite://other.db"), ("DUKOU__SERVER__LISTEN", &listen)], "cannot listen on"),
        (vec![("DUKOU__STORAGE__URL", "sqlite://config/gateway.toml")], "config/gateway.toml"),
        (vec![("DUKOU__SERVER__LISTEN", "nonsense")], "gateway.toml cannot be used"),
    ] {
        let output = command(folder.path(), &variables).output().expect("the program starts");
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{variables:?}: {log}");
        assert!(log.contains(words), "{variables:?}: {log}");
    }
}

#[test]
fn a_broken_tenant_is_reported_and_the_others_are_served() {
    let folder = TempDir::new().expect("a folder");
    let files = [("gateway.toml", LOCAL), ("tenants/bookshop.toml", SHOP), ("tenants/teahouse.toml", "id = \"tea")];
    configure(folder.path(), &files);
    let gateway = Gateway::start(folder.path(), &[KEY]);
    let listening = gateway.logged(|line| line["message"] == "listening");
    assert_eq!(listening["tenants"], 1);
    gateway.logged(|line| line["file"] == "config/tenants/teahouse.toml");
    assert_eq!(get(gateway.admin, "/readyz").0, 200);
}

#[test]
fn without_its_redis_it_starts_degraded() {
    let folder = TempDir::new().expect("a folder");
    configure(folder.path(), &[("gateway.toml", LOCAL)]);
    // Taken and given back: nobody listens there.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a port").port();
    let url = format!("redis://:hunter2hunter2@127.0.0.1:{port}/0");
    let mut gateway = Gateway::start(folder.path(), &[("DUKOU__REDIS__URL", &url)]);
    let (status, ready) = get(gateway.admin, "/readyz");
    assert!(status == 200 && ready.contains("degraded"), "{ready}");
    assert!(get(gateway.admin, "/metrics").1.contains("dukou_redis_degraded 1"));
    gateway.terminate();
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(!format!("{:?}", gateway.log()).contains("hunter2"), "a secret was logged");
}
