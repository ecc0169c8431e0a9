use dukou_spi::{Checkup, Clock as _, Finding, Grade, Provider};

use crate::subject::{Subject, SystemClock};

async fn findings(provider: &dyn Provider, openid: Option<String>) -> Vec<Finding> {
    let notify_url = "https://pay.example.com/notify/shop/subject/payment".to_owned();
    provider.diagnose(&Checkup { notify_url, live: true, openid, certificates: Vec::new() }).await
}

/// What keys there are once the first call was made, and that none of them has ended.
pub async fn the_keys_in_use_are_known(subject: Subject) {
    subject.provider.renew_trust().await.unwrap();
    subject.made().await;
    let keys = subject.provider.trust();
    assert!(!keys.is_empty(), "a provider depends on some key or certificate");
    for key in keys {
        assert!(!key.serial.is_empty() && key.expires_at.is_none_or(|end| end > SystemClock.now()), "{key:?}");
    }
}

pub async fn a_right_set_up_is_found_right_and_nothing_is_left_behind(subject: Subject) {
    let (ours, foreign) = subject.platform.payers().await;
    let found = findings(&*subject.provider, Some(ours)).await;
    assert!(found.iter().all(|finding| finding.grade < Grade::Error), "{found:#?}");
    assert!(found.iter().any(|finding| finding.grade == Grade::Good), "{found:#?}");

    // A user of another app is named, and so is the key that says which app it is.
    let found = findings(&*subject.provider, Some(foreign)).await;
    let errors: Vec<_> = found.iter().filter(|finding| finding.grade == Grade::Error).collect();
    let keys = ["app_id", "sub_app_id"];
    assert!(matches!(errors[..], [error] if keys.contains(&error.key) && !error.fix.is_empty()), "{found:#?}");
}

pub async fn a_host_that_cannot_be_reached_is_named(subject: Subject) {
    let found = findings(&*subject.unreachable, None).await;
    let errors: Vec<_> = found.iter().filter(|finding| finding.grade == Grade::Error).collect();
    assert!(matches!(errors[..], [error] if error.key == "base_url" && !error.fix.is_empty()), "{found:#?}");
}
