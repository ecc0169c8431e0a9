//! Rule R6: the Douyin mini-program that stands for the WeChat one.

use std::collections::BTreeMap;

use super::{Converted, Refusal, Share, is_hexadecimal_after};

/// Page and query together, in bytes.
const LONGEST_URL: usize = 1024;

/// A Douyin mini-program, and how the WeChat one's pages are called there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// `tt…`
    pub app_id: String,
    /// What the entry under the video says.
    pub title: String,
    pub description: String,
    /// From WeChat's page to Douyin's; `default` for every other. Empty: the pages have the same names.
    pub pages: BTreeMap<String, String>,
}

/// Enters the link to the mini-program; says whether there is one.
pub fn enter(share: &Share, apps: &BTreeMap<String, App>, converted: &mut Converted) -> Result<bool, Refusal> {
    let Some(app) = apps.get(&share.app_id) else { return Ok(false) };
    if !is_douyin_app(&app.app_id) {
        return Err(Refusal::DouyinAppId);
    }
    let path = share.path.as_deref().unwrap_or_default();
    let (page, own_query) = path.split_once('?').unwrap_or((path, ""));
    let page = page.trim_start_matches('/');
    let page = page.strip_suffix(".html").unwrap_or(page);
    if !page.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/')) {
        return Err(Refusal::Path);
    }
    let page = match app.pages.get(page).or_else(|| app.pages.get("default")) {
        _ if app.pages.is_empty() => page,
        Some(mapped) => mapped,
        None => {
            converted.warnings.push("path_unmapped");
            return Ok(false);
        }
    };
    let queries = [own_query, share.query.as_deref().unwrap_or_default()];
    let query = queries.into_iter().filter(|query| !query.is_empty()).collect::<Vec<_>>().join("&");
    let url = if page.is_empty() || query.is_empty() { page.to_owned() } else { format!("{page}?{query}") };
    if url.len() > LONGEST_URL {
        return Err(Refusal::PathTooLong);
    }
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let info = format!(
        "{{\"appId\":{},\"appTitle\":{},\"description\":{},\"appUrl\":{}}}",
        text(&app.app_id),
        text(&app.title),
        text(&app.description),
        text(&url)
    );
    converted.put("micro_app_info", info);
    Ok(true)
}

/// `tt` and 16 to 20 hexadecimal digits.
pub fn is_douyin_app(text: &str) -> bool {
    is_hexadecimal_after(text, "tt", 16..=20)
}
