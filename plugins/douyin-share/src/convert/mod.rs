//! From what a WeChat mini-program shares to the parameters of Douyin's schema (protocol section 6.2,
//! rules R1 to R9). Pure: what the media's servers say about them is handed in.

mod media;
mod mini_program;
mod refusal;
mod words;

use std::collections::BTreeMap;

pub use media::{Probed, Probes, to_probe};
pub use mini_program::{App, is_douyin_app};
pub use refusal::Refusal;

/// What a WeChat mini-program's share carries; nothing in it is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    pub app_id: String,
    pub title: Option<String>,
    pub path: Option<String>,
    pub query: Option<String>,
    pub image_url: Option<String>,
    pub image_urls: Vec<String>,
    pub video_url: Option<String>,
    pub hashtags: Vec<String>,
    pub poi_id: Option<String>,
    /// Kept with the share, never sent.
    pub scene: Option<String>,
    pub target: Option<Target>,
}

/// Where in Douyin the share begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The publishing page; for a video alone.
    Publish,
    /// The page where it is cut.
    Edit,
    /// The user's daily.
    Daily,
}

/// The parameters that say what is shared, and what had to be shortened or left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Converted {
    pub params: BTreeMap<String, String>,
    pub warnings: Vec<&'static str>,
}

impl Converted {
    fn put(&mut self, name: &str, value: String) {
        self.params.insert(name.to_owned(), value);
    }
}

/// # Errors
/// [`Refusal`]: the first rule that was broken.
pub fn convert(share: &Share, apps: &BTreeMap<String, App>, probes: &Probes) -> Result<Converted, Refusal> {
    if !is_wechat_app(&share.app_id) {
        return Err(Refusal::AppId);
    }
    let mut converted = Converted::default();
    media::enter(share, probes, &mut converted)?;
    words::enter_title(share, &mut converted);
    words::enter_hashtags(share, &mut converted);
    let linked = mini_program::enter(share, apps, &mut converted)?;
    match share.poi_id.as_deref().filter(|poi| !poi.is_empty()) {
        Some(_) if linked => converted.warnings.push("poi_dropped"),
        Some(poi) => converted.put("poi_id", poi.to_owned()),
        None => {}
    }
    let is_video = converted.params.contains_key("video_path");
    match share.target.unwrap_or(if is_video { Target::Publish } else { Target::Edit }) {
        Target::Publish if is_video => converted.put("share_to_publish", "1".to_owned()),
        Target::Publish => converted.warnings.push("publish_needs_video"),
        Target::Daily => converted.put("share_to_type", "1".to_owned()),
        Target::Edit => {}
    }
    Ok(converted)
}

/// `wx` and 16 hexadecimal digits.
pub fn is_wechat_app(text: &str) -> bool {
    is_hexadecimal_after(text, "wx", 16..=16)
}

fn is_hexadecimal_after(text: &str, prefix: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix(prefix).is_some_and(|rest| length.contains(&rest.len()) && rest.bytes().all(digit))
}

#[cfg(test)]
mod tests;
