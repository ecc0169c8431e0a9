use dukou_domain::Secret;
use dukou_spi::{ErrorKind, Reason};

use crate::subject::Subject;

pub async fn a_code_names_its_user_once(subject: Subject) {
    if !subject.provider.capabilities().login {
        return;
    }
    let (code, openid) = subject.platform.code().await;
    assert_eq!(subject.provider.login(&code).await.unwrap().openid, openid);
    let error = subject.provider.login(&code).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Refused, Reason::InvalidCode), "{error}");
}

pub async fn a_refused_code_says_why(subject: Subject) {
    if !subject.provider.capabilities().login {
        return;
    }
    let (expired, busy_once) = subject.platform.odd_codes().await;
    for code in [expired, Secret::new("nobody-issued-this")] {
        let error = subject.provider.login(&code).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::Refused, Reason::InvalidCode), "{error}");
        assert!(error.code.is_some());
    }
    subject.provider.login(&busy_once).await.unwrap();
}
