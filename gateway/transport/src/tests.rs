//! Each fate of a call, against servers on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dukou_domain::{Secret, Timestamp};
use dukou_spi::Clock;
use dukou_spi::transport::{
    HttpMethod, HttpRequest, InvalidTransport, Transport, TransportError, TransportFactory, TransportOptions,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{PlatformClocks, ReqwestTransports};

const LIMIT: usize = 1024;

fn options() -> TransportOptions {
    TransportOptions {
        identity_pem: None,
        extra_roots_pem: None,
        timeout: Duration::from_secs(10),
        answer_limit: LIMIT,
    }
}

/// For servers that keep silent: the only tests that wait for a time-out.
fn impatient() -> TransportOptions {
    TransportOptions { timeout: Duration::from_secs(1), ..options() }
}

fn transport(options: TransportOptions) -> Arc<dyn Transport> {
    ReqwestTransports::new().build(options).unwrap()
}

fn post(url: String) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::Post,
        url,
        headers: vec![("content-type", "text/xml".to_owned())],
        body: Bytes::from_static(b"<xml/>"),
    }
}

async fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut buffer = [0; 512];
    while !seen.windows(6).any(|window| window == b"<xml/>") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => seen.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
}

/// A server that reads a request, sends `answer` and closes the connection.
async fn answering(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("http://{address}/pay?secret=hush")
}

#[tokio::test]
async fn an_answer_comes_back_whole_and_undecoded() {
    let url = answering("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Encoding: gzip\r\nX-Word: a\r\nContent-Length: 3\r\n\r\nabc").await;
    let answer = transport(options()).send(post(url)).await.unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.header("x-word")), (302, &b"abc"[..], Some("a")));
}

#[tokio::test]
async fn the_date_of_an_answer_is_compared_with_this_machines_clock() {
    struct Fast;
    impl Clock for Fast {
        fn now(&self) -> Timestamp {
            // 2026-11-26 00:10:00 UTC.
            Timestamp::from_millis(1_795_651_800_000)
        }
    }
    let clocks = Arc::new(PlatformClocks::new(Arc::new(Fast)));
    let transport = ReqwestTransports::comparing(Arc::clone(&clocks)).build(options()).unwrap();
    let undated = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    transport.send(post(undated)).await.unwrap();
    assert!(clocks.skews().is_empty());
    let dated = answering("HTTP/1.1 500 No\r\nDate: Thu, 26 Nov 2026 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n").await;
    transport.send(post(dated.clone())).await.unwrap();
    let skew = &clocks.skews()[0];
    assert!(dated.contains(&format!("//{}/", skew.host)), "{skew:?}");
    // The answer was dated within a second and no later than now.
    assert!((590_000..=600_000).contains(&skew.millis) && skew.wrong, "{skew:?}");
}

#[tokio::test]
async fn chunks_are_put_together() {
    let url =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n")
            .await;
    assert_eq!(&transport(options()).send(post(url)).await.unwrap().body[..], b"abcdef");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_cut_off() {
    let declared = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 100_000_000);
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(LIMIT + 1));
    for answer in [declared, endless] {
        let error = transport(options()).send(post(answering(answer).await)).await.unwrap_err();
        assert!(matches!(error, TransportError::TooLong { limit: LIMIT, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_host_are_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/?secret=hush", listener.local_addr().unwrap());
    drop(listener);
    for url in [closed, "http://no-such-host.invalid/?secret=hush".to_owned(), "not an address".to_owned()] {
        let error = transport(options()).send(post(url)).await.unwrap_err();
        assert!(matches!(error, TransportError::NotSent { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("hush"));
    }
}

#[tokio::test]
async fn a_tls_handshake_that_never_ends_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let error = transport(impatient()).send(post(url)).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn silence_is_a_timeout_wherever_it_begins() {
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/?secret=hush", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let _ = stream.read(&mut [0]).await;
        });
        let error = transport(impatient()).send(post(url)).await.unwrap_err();
        assert!(matches!(error, TransportError::Timeout { .. }), "{error:?}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_ends_early_is_broken() {
    for answer in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "rubbish\r\n\r\n"] {
        let error = transport(options()).send(post(answering(answer).await)).await.unwrap_err();
        assert!(matches!(error, TransportError::Broken { .. }), "{answer:?}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("hush"));
    }
}

/// A call on a kept connection that the server closes after reading it may have been executed.
#[tokio::test]
async fn a_call_lost_on_a_kept_connection_is_broken_and_not_repeated() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            counted.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            read_request(&mut stream).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let transport = transport(options());
    transport.send(post(url.clone())).await.unwrap();
    let error = transport.send(post(url)).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }), "{error:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap(), key)
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// An HTTPS server for `localhost`; `clients` is who signs the client certificates it insists on.
async fn tls_server(authority: &Authority, clients: Option<&Authority>) -> String {
    let (certificate, key) = authority.issue("localhost");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = match clients {
        None => builder.unwrap().with_no_client_auth(),
        Some(clients) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from(clients.0.der().to_vec())).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.unwrap().with_client_cert_verifier(verifier.unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    });
    format!("https://localhost:{port}/")
}

fn with_root(authority: &Authority) -> TransportOptions {
    TransportOptions { extra_roots_pem: Some(authority.pem()), ..options() }
}

fn with_identity(authority: &Authority, issuer: &Authority) -> TransportOptions {
    let (certificate, key) = issuer.issue("1900000109");
    let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
    TransportOptions { identity_pem: Some(Secret::new(pem)), ..with_root(authority) }
}

#[tokio::test]
async fn only_a_certificate_of_a_trusted_root_is_accepted() {
    let authority = Authority::new();
    let url = tls_server(&authority, None).await;
    assert_eq!(transport(with_root(&authority)).send(post(url.clone())).await.unwrap().status, 200);
    let by_address = url.replace("localhost", "127.0.0.1");
    let cases = [(options(), url.clone()), (with_root(&Authority::new()), url), (with_root(&authority), by_address)];
    for (options, url) in cases {
        let error = transport(options).send(post(url)).await.unwrap_err();
        assert!(matches!(error, TransportError::NotSent { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn mutual_tls_presents_the_identity_and_its_refusal_is_not_sent() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let url = tls_server(&authority, Some(&clients)).await;
    let answer = transport(with_identity(&authority, &clients)).send(post(url.clone())).await.unwrap();
    assert_eq!(answer.status, 200);
    for options in [with_root(&authority), with_identity(&authority, &Authority::new())] {
        let error = transport(options).send(post(url.clone())).await.unwrap_err();
        assert!(matches!(error, TransportError::NotSent { .. } | TransportError::Broken { .. }), "{error:?}");
    }
}

#[test]
fn unusable_tls_material_is_named() {
    let identity = |pem: &str| TransportOptions { identity_pem: Some(Secret::new(pem)), ..options() };
    let roots = |pem: &str| TransportOptions { extra_roots_pem: Some(pem.to_owned()), ..options() };
    let bad_root = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases = [
        (identity("hush"), "the client identity"),
        (roots("nothing"), "the extra root certificates"),
        (roots(bad_root), "the extra root certificates"),
    ];
    for (options, expected) in cases {
        let Err(InvalidTransport(message)) = ReqwestTransports::new().build(options) else {
            panic!("{expected} was taken")
        };
        assert!(message.starts_with(expected), "{message}");
        assert!(!message.contains("hush"));
    }
}

/// `dukou check` makes every provider and runs nothing.
#[test]
fn a_transport_can_be_made_outside_a_runtime() {
    assert!(ReqwestTransports::new().build(options()).is_ok());
}
