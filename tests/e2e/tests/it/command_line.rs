//! An operator starts, checks and stops the gateway.

use std::time::Duration;

use dukou_e2e::{Tenant, World, dukou, eventually};
use serde_json::json;

use crate::{SOON, paid};

#[tokio::test]
async fn check_names_what_is_wrong_and_its_exit_code_says_so() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let config = world.gateway.config().to_str().unwrap().to_owned();
    let right = dukou(&["check", "--config", &config], &[]).await;
    assert_eq!(right.code, Some(0), "{right:?}");
    assert!(right.stdout.contains("configuration is valid: 2 tenants"), "{}", right.stdout);

    let broken = world.gateway.config().join("tenants/broken.toml");
    std::fs::write(&broken, "id = \"broken\"\ncolour = \"red\"\n[providers.wechat]\nkind = \"wechat-v9\"\n").unwrap();
    let wrong = dukou(&["check", "--config", &config], &[]).await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    for words in ["broken.toml", "colour", "api_keys", "kind"] {
        assert!(wrong.stdout.lines().any(|line| line.contains(words)), "{words}: {}", wrong.stdout);
    }
    for tenant in &world.tenants {
        for secret in tenant.secrets() {
            assert!(!wrong.stdout.contains(&secret) && !wrong.stderr.contains(&secret), "a secret was printed");
        }
    }
}

#[tokio::test]
async fn exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.toml"), "[server\n").unwrap();
    let config = folder.path().to_str().unwrap();
    for (args, code) in [
        (vec!["serve", "--config", config], 1),
        (vec!["check", "--config", config], 1),
        (vec!["serve", "--config", "/nowhere/at/all"], 1),
        (vec!["dance"], 2),
        (vec!["serve", "--faster"], 2),
        (vec![], 2),
        (vec!["--help"], 0),
        (vec!["--version"], 0),
    ] {
        let finished = dukou(&args, &[]).await;
        assert_eq!(finished.code, Some(code), "{args:?}: {finished:?}");
    }
}

#[tokio::test]
async fn a_second_process_on_one_store_refuses_to_start() {
    let world = World::builder().embedded().start().await;
    let log = world.start_another(&[]).await.err().expect("the file has its process");
    assert!(log.contains("in use"), "{log}");
    assert!(world.gateway.exited().is_none());
    paid(&world, "STILL-1", 100).await;
    world.verify().await;
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_and_ends_with_0() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    world.control.fault(&json!({ "operation": "unifiedorder", "fault": { "type": "delay", "ms": 1000 } })).await;
    let creating = tokio::spawn({
        let merchant = merchant.clone();
        async move { merchant.create(&merchant.order("FLIGHT1", 100)).await }
    });
    eventually("the payment recorded", SOON, async || (merchant.payment("FLIGHT1").await.status == 200).then_some(()))
        .await;
    world.gateway.terminate();
    assert_eq!(creating.await.unwrap().expect(201)["status"], "pending");
    let status = world.gateway.wait_exit(Duration::from_secs(30)).await;
    assert_eq!(status.code(), Some(0), "{}", world.gateway.logs());
    world.control.clear_faults().await;
    world.gateway.restart().await;
    assert_eq!(merchant.status("FLIGHT1").await, "pending");
    world.verify().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_service_manager_is_told_of_the_start_and_of_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let world = World::builder().env("NOTIFY_SOCKET", path.to_str().unwrap()).start().await;
    let hear = async || {
        let mut words = [0; 64];
        let length = tokio::time::timeout(SOON, socket.recv(&mut words)).await.expect("told").unwrap();
        String::from_utf8_lossy(&words[..length]).trim().to_owned()
    };
    assert_eq!(hear().await, "READY=1");
    world.gateway.terminate();
    assert_eq!(hear().await, "STOPPING=1");
    assert_eq!(world.gateway.wait_exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn the_version_names_the_commit() {
    let version = dukou(&["--version"], &[]).await.stdout;
    let commit = version.split(['(', ')']).nth(1).expect("a commit in parentheses");
    assert!(commit == "unknown" || (commit.len() == 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())));
}

#[tokio::test]
async fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = dukou(&["completions", shell], &[]).await;
        assert_eq!(script.code, Some(0), "{script:?}");
        for command in ["serve", "check", "doctor", "trace", "backup", "restore", "completions"] {
            assert!(script.stdout.contains(command), "{shell} does not know {command}");
        }
    }
    assert_eq!(dukou(&["completions", "smalltalk"], &[]).await.code, Some(2));
}

#[tokio::test]
async fn the_demo_walks_by_itself() {
    let finished = dukou(&["demo", "--once"], &[]).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for words in ["/pay/unifiedorder", "/secapi/pay/refund"] {
        assert!(finished.stdout.contains(words), "{words}: {}", finished.stdout);
    }
}
