//! `dukou doctor`: a set-up that is right, and what it says of those that are not.

use dukou_e2e::{Finished, Tenant, V3Trust, World, dukou};

async fn doctor(world: &World, more: &[&str]) -> Finished {
    let config = world.directory().join("config");
    let arguments = [&["doctor", "--tenant", "bookshop", "--config", config.to_str().unwrap()], more].concat();
    dukou(&arguments, &[]).await
}

/// The error about a key: its line and the fix under it.
fn error_about<'t>(finished: &'t Finished, key: &str) -> &'t str {
    let key = format!(": {key}: ");
    let at = finished.stdout.find("error: ").unwrap_or_else(|| panic!("{}", finished.stdout));
    let errors = &finished.stdout[at..];
    let line = errors.find(&key).unwrap_or_else(|| panic!("no error about {key}: {}", finished.stdout));
    errors[line..].split("\nerror: ").next().unwrap_or_default()
}

#[tokio::test]
async fn a_right_set_up_is_found_right_over_either_interface() {
    for tenant in [
        Tenant::bookshop(),
        Tenant::bookshop().over_v3(V3Trust::PublicKey),
        Tenant::bookshop().over_v3(V3Trust::Certificates),
    ] {
        // There nothing is encrypted that could be asked for, which is said.
        let public_key = tenant.v3 == Some(V3Trust::PublicKey);
        let secrets = tenant.secrets();
        let world = World::builder().tenant(tenant).start().await;
        let openid = world.tenant("bookshop").openid(1);
        let offline = doctor(&world, &[]).await;
        let live = doctor(&world, &["--live", "--openid", &openid]).await;
        for finished in [&offline, &live] {
            assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
            assert!(secrets.iter().all(|secret| !finished.stdout.contains(secret)));
        }
        assert!(live.stdout.contains("ok: this machine: clock: agrees with"), "{}", live.stdout);
        assert!(live.stdout.contains(&format!("{openid} is a user of")), "{}", live.stdout);
        assert_eq!(live.stdout.contains("api_v3_key: could not be checked"), public_key, "{}", live.stdout);
        // The trial order was closed, and no money moved.
        let orders = world.control.orders().await;
        assert!(orders.iter().all(|order| order["trade_state"] == "CLOSED"), "{orders:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_key_and_what_to_do() {
    let v3 = |trust| Tenant::bookshop().over_v3(trust);
    let key = "providers.wechat.serial_no";
    let other_serial = v3(V3Trust::PublicKey).set(key, "3775B6A45ACD588826D15E583A95F5DD00000000");
    let cases = [
        // Offline, with the certificate; what a file cannot show is asked.
        (vec![], other_serial.clone(), key, "expected the serial number of the certificate"),
        (
            vec!["--live"],
            v3(V3Trust::Certificates).set("providers.wechat.api_v3_key", "0123456789abcdef0123456789abcdef"),
            "providers.wechat.api_v3_key",
            "set the APIv3 key that the merchant platform shows",
        ),
        (
            vec![],
            v3(V3Trust::PublicKey).set("providers.wechat.api_v3_key", "short"),
            "providers.wechat.api_v3_key",
            "32",
        ),
        (
            vec!["--live"],
            v3(V3Trust::PublicKey).set("providers.wechat.app_secret", "not-the-apps-own"),
            "providers.wechat.app_secret",
            "copy the AppSecret",
        ),
        (
            vec!["--live"],
            Tenant::bookshop().set("providers.wechat.api_key", "0123456789abcdef0123456789abcdef"),
            "providers.wechat.api_key",
            "set the APIv2 key",
        ),
        (
            vec!["--live"],
            Tenant::bookshop().set("providers.wechat.base_url", "https://127.0.0.1:1"),
            "providers.wechat.base_url",
            "let this machine connect",
        ),
    ];
    for (arguments, tenant, key, fix) in cases {
        let world = World::builder().tenant(tenant).start().await;
        let finished = doctor(&world, &arguments).await;
        assert_eq!(finished.code, Some(1), "{key}: {}", finished.stdout);
        let found = error_about(&finished, key);
        assert!(found.contains(fix), "{key}: {found}");
    }
    // A user who logged in to another shop's app.
    let world = World::builder().tenant(v3(V3Trust::PublicKey)).tenant(Tenant::teahouse()).start().await;
    let (_, stranger) = world.control.code(world.tenant("teahouse")).await;
    let finished = doctor(&world, &["--live", "--openid", &stranger]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    let found = error_about(&finished, "providers.wechat.app_id");
    assert!(found.contains("belongs to another app") && found.contains("fix: "), "{found}");
}

#[tokio::test]
async fn the_key_of_apiv2_in_the_place_of_that_of_apiv3_is_an_error() {
    // In the file of a merchant who has both, without asking anybody.
    let tenant = Tenant::bookshop();
    let section = [
        ("kind", "wechat-v3"),
        ("app_id", &tenant.app_id),
        ("mch_id", &tenant.mch_id),
        ("api_v3_key", "file:../secrets/bookshop/mch_key"),
        ("serial_no", "3775B6A45ACD588826D15E583A95F5DD00000000"),
        ("private_key", "file:../certs/bookshop/apiclient_key.pem"),
    ];
    let both = section.iter().fold(tenant.clone(), |tenant, (key, value)| {
        tenant.set(&format!("providers.wechat3.{key}"), (*value).to_owned())
    });
    let world = World::builder().tenant(both).start().await;
    let finished = doctor(&world, &[]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    let found = error_about(&finished, "providers.wechat3.api_v3_key");
    assert!(found.contains("the same secret as providers.wechat.api_key") && found.contains("fix: "), "{found}");

    // In public-key mode, where the platform has certificates for the merchant too.
    let wrong = "0123456789abcdef0123456789abcdef";
    let other = Tenant::bookshop().over_v3(V3Trust::PublicKey).set("providers.wechat.api_v3_key", wrong);
    let world = World::builder().tenant(other).start().await;
    let moving = serde_json::json!({ "mch_id": world.tenant("bookshop").mch_id, "mode": "switching" });
    world.control.must("/v3/trust", &moving).await;
    let finished = doctor(&world, &["--live"]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    let found = error_about(&finished, "providers.wechat.api_v3_key");
    assert!(found.contains("set the APIv3 key that the merchant platform shows"), "{found}");
}

#[tokio::test]
async fn a_v3_section_alone_tells_whose_keys_it_has() {
    let v3 = || Tenant::bookshop().over_v3(V3Trust::PublicKey);
    let (api_key, serial) = ("providers.wechat.api_v3_key", "providers.wechat.serial_no");
    // The APIv2 key, of a merchant for whom nothing is encrypted that could be asked for.
    let v2_key = format!("{:k<32}", format!("apiv2key{}", v3().mch_id));
    let world = World::builder().tenant(v3().set(api_key, v2_key.clone())).start().await;
    let finished = doctor(&world, &["--live"]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    let found = error_about(&finished, api_key);
    assert!(found.contains("is the APIv2 key") && found.contains("fix: set the APIv3 key"), "{found}");
    assert!(!finished.stdout.contains(&v2_key));

    // Offline and without `certificate`, by the certificate that lies beside the key.
    for (serial_no, code) in [(None, 0), (Some("3775B6A45ACD588826D15E583A95F5DD00000000"), 1)] {
        let tenant = serial_no.into_iter().fold(v3(), |tenant, number| tenant.set(serial, number));
        let world = World::builder().tenant(tenant).start().await;
        let file = world.directory().join("config/tenants/bookshop.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("certificate = ")).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
        let finished = doctor(&world, &[]).await;
        assert_eq!(finished.code, Some(code), "{}", finished.stdout);
        if code == 0 {
            assert!(finished.stdout.contains("belongs to serial_no"), "{}", finished.stdout);
        } else {
            assert!(error_about(&finished, serial).contains("apiclient_cert.pem"), "{}", finished.stdout);
        }
    }
}

#[tokio::test]
async fn a_plugin_is_asked_too() {
    let secret = "plugins.douyin-share.client_secret";
    let world = World::builder().tenant(Tenant::bookshop().with_douyin()).start().await;
    let finished = doctor(&world, &["--live"]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    assert!(finished.stdout.contains(&format!("{secret}: belongs to application")), "{}", finished.stdout);
    let world = World::builder().tenant(Tenant::bookshop().with_douyin().set(secret, "not-its-own")).start().await;
    let finished = doctor(&world, &["--live"]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert!(error_about(&finished, secret).contains("copy the client_secret"), "{}", finished.stdout);
    assert!(!finished.stdout.contains("not-its-own"));
    assert_eq!(doctor(&world, &[]).await.code, Some(0), "offline nobody is asked");
}
