use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dukou_domain::Secret;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::*;
use crate::testing::no_roots;
use crate::testing::sink::{Behaviour, Sink};
use crate::testing::world::SECRET;
use dukou_transport::system_lookup;

/// Longer than an answer takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// For an endpoint that never answers.
const SHORT: Duration = Duration::from_millis(500);
const AT: Timestamp = Timestamp::from_millis(1_790_000_000_999);

fn webhook(url: impl Into<String>) -> Webhook {
    Webhook { url: url.into(), secrets: vec![Secret::new(SECRET)] }
}

fn id() -> EventId {
    EventId::from_uuid(Uuid::from_u128(7))
}

fn sender(allow_private: bool) -> Sender {
    Sender::new(no_roots(), LIMIT, allow_private, system_lookup()).unwrap()
}

async fn send(sender: &Sender, url: &str) -> Answer {
    sender.send(&webhook(url), id(), AT, Bytes::from_static(b"{}"), None).await
}

fn said(status: u16, error: Option<TryError>) -> Answer {
    Answer { status: Some(status), error }
}

#[tokio::test]
async fn a_message_is_signed_and_says_when() {
    let sink = Sink::start(Behaviour::Status(204)).await;
    assert_eq!(send(&sender(true), &sink.url()).await, said(204, None));
    let message = sink.got().remove(0);
    let evt = id().to_string();
    assert_eq!((message.id(), message.body.as_slice()), (evt.as_str(), b"{}".as_slice()));
    assert_eq!(message.headers["webhook-timestamp"], "1790000000");
    assert_eq!(message.headers["content-type"], "application/json");
    let expected = sign(&[Secret::new(SECRET)], &evt, 1_790_000_000, b"{}").unwrap();
    assert_eq!(message.headers["webhook-signature"], expected);
}

#[tokio::test]
async fn only_2xx_is_a_success_and_redirects_are_not_followed() {
    let elsewhere = Sink::start(Behaviour::Status(200)).await;
    let sink = Sink::start(Behaviour::Status(200)).await;
    let sender = sender(true);
    for (behaviour, answer) in [
        (Behaviour::Status(200), said(200, None)),
        (Behaviour::Status(299), said(299, None)),
        (Behaviour::Status(301), said(301, Some(TryError::Status))),
        (Behaviour::Redirect(elsewhere.url()), said(307, Some(TryError::Status))),
        (Behaviour::Status(410), said(410, Some(TryError::Status))),
        (Behaviour::Status(500), said(500, Some(TryError::Status))),
        (Behaviour::Endless, said(200, None)),
        (Behaviour::Stall, said(200, None)),
        (Behaviour::Hangup, Answer::failed(TryError::Broken)),
    ] {
        sink.behave(behaviour.clone());
        assert_eq!(send(&sender, &sink.url()).await, answer, "{behaviour:?}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_given_up() {
    let impatient = Sender::new(no_roots(), SHORT, true, system_lookup()).unwrap();
    for behaviour in [Behaviour::Hang, Behaviour::Interim] {
        let sink = Sink::start(behaviour.clone()).await;
        assert_eq!(send(&impatient, &sink.url()).await, Answer::failed(TryError::Timeout), "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let sink = Sink::start(Behaviour::Status(200)).await;
    let sender = sender(true);
    for _ in 0..5 {
        send(&sender, &sink.url()).await;
    }
    assert_eq!((sink.count(), sink.connections()), (5, 1));
}

#[tokio::test]
async fn nothing_private_is_dialled_by_number_or_name() {
    let sink = Sink::start(Behaviour::Status(200)).await;
    let port = sink.address.port();
    let guarded = sender(false);
    for host in ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "a.localhost"] {
        let url = format!("http://{host}:{port}/dukou");
        assert_eq!(send(&guarded, &url).await, Answer::failed(TryError::Address), "{host}");
    }
    // A name that was public a moment ago: what counts is the address that is dialled.
    let asked = Arc::new(AtomicUsize::new(0));
    let lookup: Lookup = {
        let asked = Arc::clone(&asked);
        Arc::new(move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(vec!["127.0.0.1:0".parse().unwrap()]) })
        })
    };
    let rebound = Sender::new(no_roots(), LIMIT, false, Arc::clone(&lookup)).unwrap();
    let url = format!("http://shop.example.com:{port}/dukou");
    assert_eq!(send(&rebound, &url).await, Answer::failed(TryError::Address));
    assert_eq!((asked.load(Ordering::SeqCst), sink.connections()), (1, 0));
    // The same in a sandbox.
    let open = Sender::new(no_roots(), LIMIT, true, lookup).unwrap();
    assert_eq!(send(&open, &url).await, said(200, None));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_or_not_trusted_gets_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    assert_eq!(send(&sender(true), &format!("http://{address}/")).await, Answer::failed(TryError::Connect));

    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.is_err()
    });
    let url = format!("https://localhost:{port}/dukou");
    assert_eq!(send(&sender(true), &url).await, Answer::failed(TryError::Connect));
    assert!(server.await.unwrap(), "the handshake was broken off");
}

#[tokio::test]
async fn a_secret_that_cannot_sign_sends_nothing() {
    let sink = Sink::start(Behaviour::Status(200)).await;
    let webhook = Webhook { url: sink.url(), secrets: vec![Secret::new("hush")] };
    let answer = sender(true).send(&webhook, id(), AT, Bytes::new(), None).await;
    assert!(answer.error.is_some());
    assert_eq!(sink.connections(), 0);
}
