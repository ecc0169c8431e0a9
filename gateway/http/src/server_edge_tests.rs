//! Line feeds alone, and a worker that is late.

use std::io::{Read as _, Write as _};

use super::*;

const NOTHING: &str = "GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n";

fn post(body: &str) -> String {
    format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn chunked(body: &str) -> String {
    let length = body.len();
    format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
}

/// Watches: the look at every head. The library takes each of these for a request like any other.
#[actix_web::test]
async fn a_head_with_a_line_feed_alone_is_refused_wherever_it_stands() {
    let server = start();
    let body = "<xml>\n\n\r\nGET / HTTP/1.1\n</xml>\n";
    for (before, answered) in [
        (String::new(), 0),
        (NOTHING.to_owned(), 1),
        ("\r\n".to_owned(), 0),
        (post(body), 1),
        (chunked(body), 1),
        (format!("{}{NOTHING}", post(body).repeat(3)), 4),
    ] {
        for bare in [
            "GET /nothing HTTP/1.1\nHost: t\r\n\r\n",
            "GET /nothing HTTP/1.1\r\nHost: t\n\r\n",
            "GET /nothing HTTP/1.1\r\nHost: t\r\n\n",
            "GET /nothing HTTP/1.1\r\nHost: t\n\n",
            "\nGET /nothing HTTP/1.1\r\nHost: t\r\n\r\n",
            "GET /nothing HTTP/1.1\r\nX: a\nY: b\r\nHost: t\r\n\r\n",
        ] {
            let sent = format!("{before}{bare}{NOTHING}");
            for cuts in [1, 2, sent.len()] {
                let mut stream = server.connect().await;
                for part in sent.as_bytes().chunks(sent.len().div_ceil(cuts)) {
                    // It may be over before all is sent.
                    let _ = stream.write_all(part).await;
                }
                let answer = read_to_end(&mut stream).await;
                assert_eq!(answer.matches("HTTP/1.1 404").count(), answered, "{sent:?}: {answer}");
                assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{sent:?}: {answer}");
            }
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_body_may_hold_any_line_feeds() {
    let server = start();
    let body = "\n\n\r\n<xml>\nGET / HTTP/1.1\nHost: t\n\n</xml>\n".repeat(100);
    let mut stream = server.connect().await;
    let all = format!("{}{}{}{NOTHING}", post(&body), chunked(&body), post("\n"));
    stream.write_all(all.as_bytes()).await.unwrap();
    stream.write_all(NOTHING.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 5, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 5, "{answer}");
    server.stop().await;
}

/// Watches: what has arrived is looked at before the clock is.
#[actix_web::test]
async fn who_was_in_time_is_not_blamed_for_a_worker_that_was_late() {
    /// Room for a busy machine between the beginnings and the stop.
    const PATIENCE: Duration = Duration::from_secs(3);
    let server = start_with(PATIENCE);
    server.ask("GET /nothing", "", "").await;
    let large = post(&"x".repeat(60_000));
    // Each begins, the worker has seen it, and the rest comes while the worker stands still.
    let cases = [
        ("the first head", "", "GET /nothing HTTP/1.1\r\nHo", "st: t\r\n\r\n"),
        ("the first head, all of it", "", "", NOTHING),
        ("a later head", NOTHING, "GET /nothing HTTP/1.1\r\nHo", "st: t\r\n\r\n"),
        ("a request after a rest", NOTHING, "", NOTHING),
        ("a body", "", &large[..200], &large[200..]),
        ("a later body", NOTHING, &large[..200], &large[200..]),
    ];
    let mut streams: Vec<_> = cases.iter().map(|_| plain_client(&server)).collect();
    let mut stops = plain_client(&server);
    for (stream, (case, before, begun, _)) in streams.iter_mut().zip(cases) {
        stream.write_all(before.as_bytes()).unwrap();
        if !before.is_empty() {
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0, "{case}");
        }
        stream.write_all(begun.as_bytes()).unwrap();
    }
    // Whatever came before these two requests has been seen when they are answered.
    for _ in 0..2 {
        stops.write_all(NOTHING.as_bytes()).unwrap();
        assert!(stops.read(&mut [0; 4096]).unwrap() > 0);
    }
    {
        // The only worker stops where it counts this request, until long after every limit.
        let _counted = server.counted.0.lock().unwrap();
        stops.write_all(NOTHING.as_bytes()).unwrap();
        for (stream, (.., rest)) in streams.iter_mut().zip(cases) {
            stream.write_all(rest.as_bytes()).unwrap();
        }
        std::thread::sleep(PATIENCE * 2 + SHORT);
    }
    for (stream, (case, ..)) in streams.iter_mut().zip(cases) {
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap_or(0);
        let answer = Answered::new(&String::from_utf8_lossy(&answer[..read]));
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{case}");
    }
    drop((streams, stops));
    server.stop().await;
}

/// Watches: the end of the second time. Somebody who sends without end is never late, and never complete.
#[actix_web::test]
async fn who_sends_on_without_end_is_cut_all_the_same() {
    let server = start();
    let mut stream = server.connect().await;
    let head = format!("{NOTIFY} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    stream.write_all(head.as_bytes()).await.unwrap();
    let started = Instant::now();
    // An extension of a chunk has no end and adds nothing to the body.
    let flood = [b'x'; 64 * 1024];
    let ended = timeout(DEADLINE, async { while stream.write_all(&flood).await.is_ok() {} });
    ended.await.expect("the server ends the connection");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    server.stop().await;
}
