//! A server that sends informational answers (1xx), and no other: it ends, and holds nobody else up meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use dukou_spi::transport::{HttpMethod, HttpRequest, Transport, TransportError, TransportFactory, TransportOptions};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::ReqwestTransports;

const PROCESSING: &str = "HTTP/1.1 102 Processing\r\n\r\n";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";

/// Answers every connection with `first` and then with `ever` until nobody reads any more, from a runtime of its own
/// so that it never waits for the caller's. Bytes that were taken are counted.
struct Server {
    port: u16,
    pem: Option<String>,
    taken: Arc<AtomicUsize>,
}

fn serve(tls: bool, first: String, ever: String) -> Server {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let (first, ever, counted) = (first.clone(), ever.clone(), Arc::clone(&counted));
                let acceptor = tls.then(|| acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => answer(acceptor.accept(stream).await.ok()?, &first, &ever, &counted).await,
                        None => answer(stream, &first, &ever, &counted).await,
                    }
                });
            }
        });
    });
    Server { port, pem: tls.then(|| cert.pem()), taken }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    first: &str,
    ever: &str,
    taken: &AtomicUsize,
) -> Option<()> {
    stream.read_u8().await.ok()?;
    stream.write_all(first.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    while !ever.is_empty() {
        stream.write_all(ever.as_bytes()).await.ok()?;
        taken.fetch_add(ever.len(), Ordering::Relaxed);
    }
    // The answer stands until the caller closes.
    while stream.read_u8().await.is_ok() {}
    Some(())
}

impl Server {
    fn transport(&self) -> (Arc<dyn Transport>, HttpRequest) {
        let options = TransportOptions {
            identity_pem: None,
            extra_roots_pem: self.pem.clone(),
            timeout: std::time::Duration::from_secs(20),
            answer_limit: 1024,
        };
        let scheme = if self.pem.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/pay", self.port);
        let request =
            HttpRequest { method: HttpMethod::Post, url, headers: Vec::new(), body: Bytes::from_static(b"x") };
        (ReqwestTransports::new().build(options).unwrap(), request)
    }
}

#[tokio::test]
async fn a_few_informational_answers_are_passed_over() {
    for tls in [false, true] {
        let first = format!("{}{HINTS}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", PROCESSING.repeat(7));
        let (transport, request) = serve(tls, first, String::new()).transport();
        assert_eq!(&transport.send(request).await.unwrap().body[..], b"ok", "tls: {tls}");
    }
}

#[tokio::test]
async fn informational_answers_without_end_break_the_call_at_once() {
    for (tls, head) in [(false, PROCESSING), (true, PROCESSING), (false, HINTS)] {
        let server = serve(tls, String::new(), head.repeat(2000));
        let (transport, request) = server.transport();
        let answer = transport.send(request).await;
        let broken = matches!(&answer, Err(TransportError::Broken { reason, .. }) if reason.contains("informational"));
        assert!(broken, "tls: {tls}: {answer:?}");
        // What the buffers on the way hold, and not what can be read as long as the call may last.
        let taken = server.taken.load(Ordering::Relaxed);
        assert!(taken < 32 << 20, "tls: {tls}: {taken} bytes were taken");
    }
}
