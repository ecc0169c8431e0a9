use async_trait::async_trait;
use dukou_spi::transport::HttpMethod;

use super::*;
use crate::v3::testing::{World, section};

const BUDGET: Duration = Duration::from_secs(10);

type Answer = Result<HttpAnswer, TransportError>;

/// Answers a host after a while, as it is told to: the first host, then the backup host.
struct Hosts([(Duration, fn() -> Answer); 2]);

#[async_trait]
impl Transport for Hosts {
    async fn send(&self, request: HttpRequest) -> Answer {
        let (after, answer) = self.0[usize::from(request.url.starts_with("https://api2."))];
        tokio::time::sleep(after).await;
        answer()
    }
}

fn answer() -> Answer {
    Ok(HttpAnswer { status: 200, headers: Vec::new(), body: Default::default() })
}

fn unavailable() -> Answer {
    Ok(HttpAnswer { status: 503, headers: Vec::new(), body: Default::default() })
}

fn unreachable() -> Answer {
    Err(TransportError::NotSent { host: "h".into(), reason: "no connection".into() })
}

fn silent() -> Answer {
    Err(TransportError::Timeout { host: "h".into() })
}

/// A platform that does not answer is given up after the time-out, however many hosts it has.
#[tokio::test(start_paused = true)]
async fn both_hosts_together_have_the_time_out() {
    use ErrorKind::{NotSent, Unknown};
    use Repeat::{Always, IfNotSent};
    let s = Duration::from_secs;
    let account = World::default().settings(&section(serde_json::json!({ "timeout": "10s" }))).account;
    // The connection's own limit is half of the time-out, the answer's is all of it.
    let cases = [
        (Always, [(s(10), silent as fn() -> _), (s(10), silent)], Err(Unknown), 10),
        (Always, [(s(10), silent), (s(3), answer)], Ok(()), 9),
        (Always, [(s(5), unreachable), (s(4), answer)], Ok(()), 9),
        (Always, [(s(5), unavailable), (s(10), silent)], Err(Unknown), 10),
        (Always, [(s(5), unreachable), (s(5), unreachable)], Err(NotSent), 10),
        // What moves something waits for the first host all the time there is, unless it was not sent.
        (IfNotSent, [(s(9), answer), (s(0), unavailable)], Ok(()), 9),
        (IfNotSent, [(s(10), silent), (s(0), answer)], Err(Unknown), 10),
        (IfNotSent, [(s(0), unreachable), (s(9), answer)], Ok(()), 9),
        (IfNotSent, [(s(5), unreachable), (s(10), silent)], Err(Unknown), 10),
        (IfNotSent, [(s(5), unreachable), (s(5), unreachable)], Err(NotSent), 10),
    ];
    for (at, (repeat, hosts, expected, took)) in cases.into_iter().enumerate() {
        let request = |base: &str| {
            let url = format!("{base}/x");
            Ok(HttpRequest { method: HttpMethod::Get, url, headers: Vec::new(), body: Default::default() })
        };
        let started = Instant::now();
        let sent = super::send(&account, &Hosts(hosts), repeat, request).await;
        let elapsed = started.elapsed();
        assert_eq!(sent.map(|_| ()).map_err(|error| error.kind), expected, "case {at}");
        assert_eq!(elapsed.as_secs(), took, "case {at}");
        assert!(elapsed <= BUDGET + GRACE, "case {at}: {elapsed:?}");
    }
}
