//! The folder a gateway is started with.

use std::path::{Path, PathBuf};

use dukou_sandbox::Sandbox;
use toml::{Table, Value};

use crate::tenant::{Tenant, V3Trust};

/// What `gateway.toml` says.
pub struct GatewayFile<'a> {
    pub listen: String,
    pub admin_listen: String,
    pub public_url: String,
    pub store: &'a Place,
    pub redis_url: Option<String>,
    /// Further keys, with dots: they win.
    pub settings: &'a [(String, Value)],
}

/// Where payments live.
pub enum Place {
    File(PathBuf),
    /// The address of a database.
    Postgres(String),
}

/// Writes `gateway.toml`.
pub fn write_gateway(config: &Path, file: &GatewayFile<'_>) {
    let mut table = Table::new();
    set(&mut table, "server.listen", file.listen.clone());
    set(&mut table, "server.public_url", file.public_url.clone());
    set(&mut table, "server.insecure", true);
    set(&mut table, "admin.listen", file.admin_listen.clone());
    let storage = match file.store {
        Place::File(path) => format!("sqlite://{}", path.display()),
        Place::Postgres(address) => address.clone(),
    };
    set(&mut table, "storage.url", storage);
    if let Some(url) = &file.redis_url {
        set(&mut table, "redis.url", url.clone());
    }
    // Quick enough to wait for.
    let seconds = |list: &[&str]| Value::Array(list.iter().map(|text| Value::from(*text)).collect());
    set(&mut table, "queries.unknown", seconds(&["1s", "2s"]));
    for (key, value) in file.settings {
        set(&mut table, key, value.clone());
    }
    write(&config.join("gateway.toml"), table.to_string());
}

/// Changes where `gateway.toml` says that payments live.
pub fn set_storage(config: &Path, url: &str) {
    let path = config.join("gateway.toml");
    let mut table: Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    set(&mut table, "storage.url", url.to_owned());
    write(&path, table.to_string());
}

/// Writes a tenant's file with its certificates and secrets beside it.
pub fn write_tenant(config: &Path, tenant: &Tenant, platform_url: &str, sandbox: &Sandbox) {
    let (ca_pem, files) = (sandbox.ca_pem(), sandbox.merchant(&tenant.mch_id).unwrap());
    let id = &tenant.id;
    let secret = |name: &str, text: &str| {
        // A file's last line feed is no part of the secret.
        write(&config.join(format!("secrets/{id}/{name}")), format!("{text}\n"));
        format!("file:../secrets/{id}/{name}")
    };
    let certificate = |name: &str, bytes: &[u8]| {
        write(&config.join(format!("certs/{id}/{name}")), bytes);
        format!("file:../certs/{id}/{name}")
    };
    let mut key = Table::new();
    key.insert("id".to_owned(), "backend".into());
    key.insert("secret".to_owned(), secret("backend", &tenant.api_key).into());
    let mut table = Table::new();
    set(&mut table, "id", id.clone());
    set(&mut table, "name", format!("The {id}"));
    set(&mut table, "api_keys", Value::Array(vec![Value::Table(key)]));
    if !tenant.trade_no_prefix.is_empty() {
        set(&mut table, "trade_no_prefix", tenant.trade_no_prefix.clone());
    }
    let mut put = |name: &str, value: String| set(&mut table, &format!("providers.wechat.{name}"), value);
    put("app_id", tenant.app_id.clone());
    put("app_secret", secret("app_secret", &tenant.app_secret));
    put("mch_id", tenant.mch_id.clone());
    let certificate_pem = certificate("apiclient_cert.pem", files.client_cert_pem.as_bytes());
    let key_pem = certificate("apiclient_key.pem", files.client_key_pem.as_bytes());
    match tenant.v3 {
        None => {
            put("kind", "wechat-v2".to_owned());
            put("api_key", secret("mch_key", &tenant.mch_key));
            put("sign_type", tenant.sign_type.clone());
            if tenant.p12 {
                put("client_p12", certificate("apiclient_cert.p12", &files.client_p12));
            } else {
                put("client_cert", certificate_pem);
                put("client_key", key_pem);
            }
        }
        Some(trust) => {
            put("kind", "wechat-v3".to_owned());
            put("api_v3_key", secret("mch_key", &tenant.mch_key));
            put("serial_no", files.serial_no.clone());
            put("private_key", key_pem);
            put("certificate", certificate_pem);
            if trust == V3Trust::PublicKey {
                let public = sandbox.platform_public_key(&tenant.mch_id).unwrap();
                put("platform_public_key", certificate("pub_key.pem", public.pem.as_bytes()));
                put("platform_public_key_id", public.id);
            } else {
                // Made before a call waits for it.
                sandbox.platform_certificates().unwrap();
            }
        }
    }
    put("base_url", platform_url.to_owned());
    put("platform_url", platform_url.to_owned());
    put("ca_cert", certificate("ca.pem", ca_pem.as_bytes()));
    if let Some(douyin) = &tenant.douyin {
        let mut put = |name: &str, value: Value| set(&mut table, &format!("plugins.douyin-share.{name}"), value);
        put("client_key", douyin.client_key.clone().into());
        put("client_secret", secret("douyin_secret", &douyin.client_secret).into());
        put("base_url", platform_url.into());
        put("ca_cert", certificate("ca.pem", ca_pem.as_bytes()).into());
        // Nothing here asks anybody outside.
        put("probe_media", false.into());
        let apps = Table::from_iter([(tenant.app_id.clone(), Value::from(douyin.mini_program.clone()))]);
        put("apps", Value::Table(apps));
    }
    for (key, value) in &tenant.settings {
        set(&mut table, key, value.clone());
    }
    write(&config.join(format!("tenants/{id}.toml")), table.to_string());
}

/// Puts a value at a path with dots.
fn set(table: &mut Table, path: &str, value: impl Into<Value>) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value.into());
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            set(inner.as_table_mut().expect("a section is a table"), rest, value);
        }
    }
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    let folder = path.parent().expect("a file is in a folder");
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, content)).unwrap();
}
