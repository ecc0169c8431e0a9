//! `dukou demo --once`: the walk passes, and tells of itself.

use std::process::Command;

fn passes(provider: &str, words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dukou"));
    let arguments = ["demo", "--once", "--provider", provider];
    let output = command.args(arguments).env_remove("RUST_LOG").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}\n{log}");
    for words in words.iter().chain(&["1/13", "13/13", "all 13 steps passed"]) {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert_eq!(log, "");
}

#[test]
fn the_walk_passes() {
    passes("wechat-v2", &["/pay/unifiedorder", "/secapi/pay/refund", "req_info="]);
}

#[test]
fn the_walk_passes_over_apiv3() {
    passes("wechat-v3", &["/v3/pay/transactions/jsapi", "/v3/refund/domestic/refunds", "signType=RSA"]);
}
