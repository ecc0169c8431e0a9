//! Starting, stopping, and what is kept between two runs.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use dukou_sandbox::{Merchant, Options, Sandbox};

use crate::support::{MCH, client};

#[test]
fn a_directory_keeps_certificates_from_one_run_to_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let start =
        || Sandbox::start(Options { directory: Some(directory.path().to_owned()), ..Options::default() }).unwrap();
    let first = start();
    let (ca, files) = (first.ca_pem(), first.merchant(MCH).unwrap());
    let public = first.platform_public_key(MCH).unwrap();
    let platform = first.platform_certificates().unwrap();
    first.stop();
    let second = start();
    assert_eq!(second.ca_pem(), ca);
    assert_eq!(second.merchant(MCH).unwrap().client_cert_pem, files.client_cert_pem);
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("ca.pem"), ca);
    assert_eq!(read("1900000109/apiclient_cert.pem"), files.client_cert_pem);
    assert_eq!(read("1900000109/api_key"), "3f7c9d0ab1e24c6f8a5d7e9012b3c4d5");
    assert_eq!(read("1900000109/app_secret"), "bookshop-app-secret");
    assert_eq!(read("1900000200/app_secret"), "bookshop-branch-app-secret");

    // And for v3: the merchant's serial number and key, and the platform's keys.
    assert_eq!(second.merchant(MCH).unwrap().serial_no, files.serial_no);
    assert_eq!(read("1900000109/serial_no"), files.serial_no);
    assert_eq!(read("1900000109/api_v3_key"), "Dev0nlyV3Key-abcdefghijklmnop123");
    let kept = second.platform_public_key(MCH).unwrap();
    assert_eq!((&kept.id, &kept.pem), (&public.id, &public.pem));
    assert_eq!((read("1900000109/pub_key_id"), read("1900000109/pub_key.pem")), (public.id, public.pem));
    let again = second.platform_certificates().unwrap();
    assert_eq!(again[0].0, platform[0].0);
    let key = |pem: &str| crate::v3::public_key(pem);
    assert_eq!(key(&again[0].1), key(&platform[0].1));

    // The kept certificate is still good: the refund gets as far as its body.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let url = format!("{}/secapi/pay/refund", second.https_url());
        client(&second, Some(MCH)).post(url).send().await.unwrap().text().await.unwrap()
    });
    assert!(text.contains("POST_DATA_EMPTY"), "{text}");
}

#[tokio::test]
async fn it_starts_and_stops_inside_a_runtime() {
    let sandbox =
        Sandbox::start(Options { merchants: vec![Merchant::new("1900000300", "k")], ..Options::default() }).unwrap();
    let url = format!("{}/_sandbox/state", sandbox.http_url());
    assert!(reqwest::get(&url).await.unwrap().text().await.unwrap().contains("1900000300"));
    sandbox.stop();
    assert!(reqwest::get(&url).await.is_err());
}

#[test]
fn a_taken_address_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { https: taken.local_addr().unwrap(), ..Options::default() };
    let error = Sandbox::start(options).err().expect("the address is taken");
    assert!(format!("{error:#}").contains("cannot listen on 127.0.0.1"), "{error:#}");
}

#[test]
fn a_control_port_that_was_not_named_and_is_taken_is_another_one() {
    // Whoever holds it, it is taken.
    let _taken = TcpListener::bind("127.0.0.1:9080");
    // Being killed, it leaves what it has there.
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_dukou-sandbox"))
        .args(["--listen", "127.0.0.1:0"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let shown: Vec<String> = lines.take(3).collect();
    child.kill().unwrap();
    let ended = child.wait_with_output().unwrap();
    let control = shown.iter().find_map(|line| line.trim().strip_prefix("control"));
    let control = control.unwrap_or_else(|| panic!("{shown:?} {}", String::from_utf8_lossy(&ended.stderr)));
    assert!(control.contains("http://127.0.0.1:") && !control.contains(":9080/"), "{control}");
}

#[test]
fn a_named_port_that_is_taken_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in
        [["--listen", &address, "--control", "127.0.0.1:0"], ["--listen", "127.0.0.1:0", "--control", &address]]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dukou-sandbox"));
        let ended = command.args(arguments).env("RUST_BACKTRACE", "1").output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{told}");
        let expected = format!("error: cannot listen on {address}: ");
        assert!(told.starts_with(&expected) && told.lines().count() == 1, "{told}");
    }
}
