//! `dukou demo --once`: the walk passes, and tells of itself.

use std::process::Command;

#[test]
fn the_walk_passes() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dukou"));
    let output = command.args(["demo", "--once"]).env_remove("RUST_LOG").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}\n{log}");
    for words in [
        "1/13",
        "13/13",
        "/pay/unifiedorder",
        "/secapi/pay/refund",
        "req_info=",
        "verify_webhook",
        "/share-id/",
        "share.published",
        "all 13 steps passed",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert_eq!(log, "");
}
