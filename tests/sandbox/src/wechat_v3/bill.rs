//! Bills (申请交易账单, 下载账单): first where the file is and what its hash must be, then the file.

use std::collections::HashMap;
use std::sync::Mutex;

use rand::Rng;
use serde_json::json;
use sha1_smol::Sha1;

use super::answer::Outcome;
use super::error::{Answered, ApiError};
use super::judge::Request;
use crate::clock::{self, Millis};
use crate::ledger::token;
use crate::lock;
use crate::platform::bill::{Kind, Ready, compress, ready, write};
use crate::world::World;

/// A `download_url` can be used for five minutes.
const LIFETIME: Millis = 5 * 60 * 1000;
/// Files kept; the oldest goes first.
const MAX_FILES: usize = 1000;

struct File {
    mch_id: String,
    bytes: Vec<u8>,
    gzip: bool,
    expires_at: Millis,
}

/// Files that can be downloaded, by token.
#[derive(Default)]
pub struct Downloads(Mutex<HashMap<String, File>>);

impl Downloads {
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    fn put(&self, file: File) -> String {
        let name = format!("{}{}", token(24), rand::rng().random_range(1_000_000_000_u64..10_000_000_000));
        let mut all = lock(&self.0);
        if all.len() >= MAX_FILES
            && let Some(oldest) = all.iter().min_by_key(|(_, file)| file.expires_at).map(|(name, _)| name.clone())
        {
            all.remove(&oldest);
        }
        all.insert(name.clone(), file);
        name
    }
}

pub fn trade(world: &World, request: &Request) -> Answered<Outcome> {
    let kind = match request.query("bill_type") {
        None | Some("ALL") => Kind::All,
        Some("SUCCESS") => Kind::Success,
        Some("REFUND") => Kind::Refund,
        // Nothing here refunds a merchant's top-up.
        Some("RECHARGE_REFUND") => return Err(none()),
        Some("ALL_SPECIAL" | "SUC_SPECIAL" | "REF_SPECIAL") => {
            return Err(ApiError::new("NO_AUTH", "商户无权下载带有单品信息的账单"));
        }
        Some(_) => return Err(ApiError::located("bill_type", None, "取值有误", "query")),
    };
    let sub_mch_id = request.query("sub_mchid");
    if sub_mch_id.is_some_and(|sub| request.merchant.sub_merchant(sub).is_none()) {
        return Err(ApiError::new("MCH_NOT_EXISTS", "sub_mchid不存在或不是此服务商的特约商户"));
    }
    let day = day(world, request)?;
    let text = match lock(&world.ledger).books.get(request.mch_id()) {
        Some(book) => write(book, &day, kind, sub_mch_id),
        None => None,
    };
    offer(world, request, text.ok_or_else(none)?)
}

pub fn none() -> ApiError {
    ApiError::new("NO_STATEMENT_EXIST", "请求的账单文件不存在")
}

/// `bill_date` as `yyyyMMdd`, of a bill that is there.
pub fn day(world: &World, request: &Request) -> Answered<String> {
    let wrong = |issue: &str| ApiError::located("bill_date", None, issue, "query");
    let date = request.query("bill_date").ok_or_else(|| wrong("必填"))?;
    let day = date.replace('-', "");
    if date.len() != 10 || !clock::is_day(&day) {
        return Err(wrong("应为yyyy-MM-dd格式的日期"));
    }
    match ready(world, &day) {
        Ready::Yes => Ok(day),
        Ready::Never => Err(none()),
        Ready::Later => Err(ApiError::new("STATEMENT_CREATING", "请求的账单正在生成中，请稍后再试")),
    }
}

/// Keeps a file for download and says where it is.
pub fn offer(world: &World, request: &Request, text: String) -> Answered<Outcome> {
    let hash = Sha1::from(&text).digest().to_string();
    let gzip = match request.query("tar_type") {
        None => false,
        Some("GZIP") => true,
        Some(_) => return Err(ApiError::located("tar_type", None, "应为GZIP", "query")),
    };
    let bytes = match gzip {
        true => compress(&text).map_err(|error| ApiError::new("SYSTEM_ERROR", error.to_string()))?,
        false => text.into_bytes(),
    };
    let expires_at = world.clock.now() + LIFETIME;
    let name = world.v3.downloads.put(File { mch_id: request.mch_id().to_owned(), bytes, gzip, expires_at });
    let base = world.policy().v3_download_base;
    let base = if base.is_empty() { request.incoming.origin.clone() } else { base };
    let gzip = if gzip { "&tartype=gzip" } else { "" };
    Ok(Outcome::Body(json!({
        "hash_type": "SHA1",
        "hash_value": hash,
        "download_url": format!("{base}/v3/billdownload/file?token={name}{gzip}"),
    })))
}

/// The file itself, to the merchant that asked for it.
pub fn download(world: &World, request: &Request) -> Answered<Outcome> {
    let name = request.query("token").ok_or_else(|| ApiError::located("token", None, "必填", "query"))?;
    let now = world.clock.now();
    let files = lock(&world.v3.downloads.0);
    let file = files.get(name).filter(|file| file.mch_id == request.mch_id() && now < file.expires_at);
    let file = file.ok_or_else(|| ApiError::new("INVALID_REQUEST", "token无效或已过期"))?;
    Ok(Outcome::File { bytes: file.bytes.clone(), gzip: file.gzip })
}
