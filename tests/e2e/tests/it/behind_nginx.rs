//! A gateway behind a real nginx with the configuration of `ops/nginx`, as one machine with one gateway has it.

use std::path::Path;
use std::process::{Command, Stdio};

use dukou_e2e::{Merchant, Process, World, eventually, ops};
use dukou_test_servers::free_port;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{SOON, becomes};

/// The file as it stands, but for the addresses and the certificate, which are this test's own.
fn configuration(folder: &Path, port: u16, gateway: &str) -> String {
    let mut text = std::fs::read_to_string(ops().join("nginx/dukou.conf")).unwrap();
    let pem = |name: &str| folder.join(name).display().to_string();
    for (theirs, ours) in [
        ("    listen [::]:443 ssl http2;\n", String::new()),
        ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
        ("server 127.0.0.1:8080;", format!("server {gateway};")),
        ("/etc/letsencrypt/live/pay.example.com/fullchain.pem", pem("cert.pem")),
        ("/etc/letsencrypt/live/pay.example.com/privkey.pem", pem("key.pem")),
    ] {
        assert!(text.contains(theirs), "dukou.conf has no {theirs:?}");
        text = text.replace(theirs, &ours);
    }
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {}/{name};\n", folder.display()))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {0}/nginx.pid;\nerror_log {0}/error.log notice;\nevents {{}}\nhttp {{\n{folders}{text}}}\n",
        folder.display()
    )
}

/// A running nginx, and a client that trusts it alone.
struct Nginx {
    url: String,
    client: reqwest::Client,
    _process: Process,
}

impl Nginx {
    async fn before(world: &World) -> Nginx {
        let folder = world.directory().join("nginx");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("nginx.conf");
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), own.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), own.signing_key.serialize_pem()).unwrap();
        let port = free_port();
        let gateway = world.gateway.url().replace("http://", "");
        std::fs::write(&path, configuration(&folder, port, &gateway)).unwrap();
        let nginx = || {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(&folder).arg("-c").arg(&path).stdin(Stdio::null());
            command
        };
        let checked = nginx().arg("-t").output();
        let checked = checked.expect("nginx is not installed; `apt-get install -y nginx` installs it");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success() && said.contains("test is successful"), "{said}");
        let process = Process::start(nginx().stdout(Stdio::null()).stderr(Stdio::null()));
        eventually("nginx listens", SOON, async || {
            assert!(process.exited().is_none(), "{}", std::fs::read_to_string(folder.join("error.log")).unwrap());
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
        })
        .await;
        let certificate = reqwest::Certificate::from_pem(own.cert.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap();
        Nginx { url: format!("https://127.0.0.1:{port}"), client, _process: process }
    }
}

#[tokio::test]
async fn a_payment_goes_through_it_and_the_gateway_answers_for_itself() {
    let world = World::builder()
        .set("server.trusted_proxies", toml::Value::Array(vec!["127.0.0.1".into()]))
        .set("limits.sessions_per_client", "1/h burst 2")
        .start()
        .await;
    let nginx = Nginx::before(&world).await;
    let merchant = Merchant::new(world.tenant("bookshop"), &nginx.url, nginx.client.clone());

    // A live stream is open; what happens comes through at once.
    let request = merchant.request(Method::GET, "/events").header("accept", "text/event-stream").timeout(SOON * 2);
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    merchant.pending("NGINX-1", 101).await;
    let mut told = String::new();
    while !told.contains("event: payment.pending") {
        let chunk = timeout(SOON, stream.chunk()).await.expect("it is told at once").unwrap();
        told.push_str(&String::from_utf8_lossy(&chunk.expect("the stream goes on")));
    }
    world.control.pay(&merchant.tenant, "NGINX-1").await;
    becomes(&merchant, "NGINX-1", "succeeded").await;

    // A body beyond our limit and within nginx's is refused in our own form.
    let mut large = merchant.order("NGINX-2", 101);
    large["description"] = Value::from("书".repeat(100 * 1024));
    merchant.create(&large).await.problem(413, "body_too_large");

    // Whoever connects is the client, whatever it says of itself.
    let mut statuses = Vec::new();
    for index in 0..3 {
        let login = json!({ "provider": "wechat", "code": "0a_of_nobody" });
        let request = merchant.request(Method::POST, "/sessions").json(&login);
        let answer = merchant.send(request.header("x-forwarded-for", format!("198.51.100.{index}"))).await.unwrap();
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [400, 400, 429]);
}
