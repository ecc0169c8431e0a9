//! What `dukou doctor` is told of the section.

use dukou_spi::{Finding, Grade};

use crate::support::{Scripted, World};

const TOKEN: &str = "/oauth/client_token/";
const TICKET: &str = "/open/getticket/";

fn grades(found: &[Finding]) -> Vec<(&'static str, Grade)> {
    found.iter().map(|finding| (finding.key, finding.grade)).collect()
}

#[tokio::test]
async fn what_douyin_says_to_the_application_is_found_live_alone() {
    let world = World::new();
    assert!(world.diagnose(false).await.is_empty());
    assert_eq!(world.douyin.count(TOKEN), 0, "nobody is asked offline");
    let found = world.diagnose(true).await;
    assert_eq!(grades(&found), [("client_secret", Grade::Good), ("client_key", Grade::Good)], "{found:#?}");
    assert_eq!((world.douyin.count(TOKEN), world.douyin.count(TICKET)), (1, 1));
}

#[tokio::test]
async fn each_mistake_is_found_with_its_key_and_what_to_do() {
    for (path, scripted, key, grade, words) in [
        (TOKEN, Scripted::Error(10_003), "client_key", Grade::Error, "no application that Douyin knows"),
        (TOKEN, Scripted::Error(10_013), "client_secret", Grade::Error, "does not belong to application awtest"),
        (TOKEN, Scripted::Error(10_004), "client_key", Grade::Error, "given no token"),
        (TOKEN, Scripted::Error(10_020), "client_secret", Grade::Warning, "could not be checked"),
        (TOKEN, Scripted::Silence, "base_url", Grade::Error, "cannot be reached"),
        (TICKET, Scripted::Error(2_190_004), "client_key", Grade::Error, "may sign no share"),
        (TICKET, Scripted::Error(10_020), "client_key", Grade::Warning, "could not be checked"),
        (TICKET, Scripted::Silence, "base_url", Grade::Error, "cannot be reached"),
    ] {
        let world = World::new();
        world.douyin.next(path, scripted);
        let found = world.diagnose(true).await;
        let bad: Vec<&Finding> = found.iter().filter(|finding| finding.grade != Grade::Good).collect();
        assert!(
            matches!(bad[..], [one] if one.key == key && one.grade == grade && one.message.contains(words)),
            "{key} {words}: {found:#?}"
        );
        assert!(!bad[0].fix.is_empty());
        assert!(!format!("{found:?}").contains(crate::support::SECRET), "{found:?}");
    }
}
