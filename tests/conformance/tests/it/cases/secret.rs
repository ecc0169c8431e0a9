use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::subject::{Fault, Operation, Subject, asking};

/// Every log line of this thread, where all of the test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// At the most detailed level, with errors forced, not even the libraries below us say a secret.
pub async fn no_secret_is_logged(subject: Subject) {
    let log = Log::default();
    let guard = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .set_default();

    let order = subject.paid().await;
    assert!(subject.platform.tell(&order).await);
    let refund = subject.refund_of(&order, 1);
    let mut errors = Vec::new();
    for fault in [Fault::LoseAnswer, Fault::BadSignature, Fault::TooLong, Fault::UnsignedRefusal] {
        subject.platform.fault(Operation::Refund, fault).await;
        errors.push(subject.provider.refund(&refund).await.unwrap_err());
    }
    subject.provider.refund(&refund).await.unwrap();
    subject.provider.query_refund(&asking(&refund)).await.unwrap();
    errors.push(subject.unreachable.pay(&order).await.unwrap_err());
    let mut secrets = subject.platform.secrets();
    if subject.provider.capabilities().login {
        let (code, _) = subject.platform.code().await;
        errors.push(subject.unreachable.login(&code).await.unwrap_err());
        subject.provider.login(&code).await.unwrap();
        errors.push(subject.provider.login(&code).await.unwrap_err());
        secrets.push(code.expose().to_owned());
    }
    drop(guard);

    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("TRACE") && log.contains("hyper"), "the log is not the most detailed one");
    let seen = format!("{log}{errors:?}");
    for secret in secrets {
        let forms = [
            hex::encode(&secret),
            BASE64_STANDARD.encode(&secret),
            BASE64_STANDARD_NO_PAD.encode(&secret),
            secret.replace('-', "%2D"),
            secret,
        ];
        for form in forms {
            let line = seen.lines().find(|line| line.contains(&form));
            assert!(line.is_none(), "{line:?}");
        }
    }
}
