//! The people on Douyin (抖音用户). Any name is somebody: what the platform says of them follows from it.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Who acts when nobody is named.
pub const SOMEBODY: &str = "duxiaochuan";
const NICKNAMES: [(&str, &str); 3] = [(SOMEBODY, "渡小船"), ("afei", "阿飞读书"), ("lushi", "绿石茶客")];

fn derived(parts: &[&str]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(parts.join("\n")))
}

/// The person's id for one app.
pub fn open_id(client_key: &str, user: &str) -> String {
    format!("_000{}", &derived(&["open_id", client_key, user])[..32])
}

/// The person's id for all apps of one developer; the sandbox has one.
pub fn union_id(user: &str) -> String {
    derived(&["union_id", user])
}

pub fn nickname(user: &str) -> String {
    let known = NICKNAMES.iter().find(|(name, _)| *name == user);
    known.map_or_else(|| format!("抖音用户{user}"), |(_, nickname)| (*nickname).to_owned())
}

/// Those a page offers.
pub fn known() -> Vec<Value> {
    NICKNAMES.iter().map(|(user, nickname)| json!({ "user": user, "nickname": nickname })).collect()
}
