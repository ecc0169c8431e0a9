//! Rules R4 and R5: the title and the hashtags.

use std::sync::LazyLock;

use regex::Regex;

use super::media::compact;
use super::{Converted, Share};

/// In characters (Unicode scalar values).
const LONGEST_TITLE: usize = 1000;
const MOST_HASHTAGS: usize = 5;

/// Links that lead away, which Douyin's review refuses.
static LINKS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [r"(?i)(https?://|weixin://|snssdk1128://)\S+", r"#小程序://\S+"]
        .map(|pattern| Regex::new(pattern).expect("the pattern is a legal one"))
});

pub fn enter_title(share: &Share, converted: &mut Converted) {
    let Some(title) = &share.title else { return };
    let mut title = collapse(title);
    let stripped = LINKS.iter().fold(title.clone(), |text, links| links.replace_all(&text, "").into_owned());
    if stripped != title {
        converted.warnings.push("links_stripped");
        title = collapse(&stripped);
    }
    if title.chars().count() > LONGEST_TITLE {
        converted.warnings.push("title_truncated");
        title = title.chars().take(LONGEST_TITLE - 1).chain(['…']).collect();
    }
    if !title.is_empty() {
        converted.put("title", title);
    }
}

pub fn enter_hashtags(share: &Share, converted: &mut Converted) {
    let mut hashtags: Vec<String> = Vec::new();
    for hashtag in &share.hashtags {
        let plain: String = hashtag.chars().filter(|c| !c.is_whitespace()).collect();
        let plain = plain.trim_matches(['#', '＃']);
        if !plain.is_empty() && !hashtags.iter().any(|known| known == plain) {
            hashtags.push(plain.to_owned());
        }
    }
    if hashtags.len() > MOST_HASHTAGS {
        converted.warnings.push("hashtags_truncated");
        hashtags.truncate(MOST_HASHTAGS);
    }
    if !hashtags.is_empty() {
        converted.put("hashtag_list", compact(&hashtags));
    }
}

/// Runs of white space and control characters become one space; none at the ends.
fn collapse(text: &str) -> String {
    let gap = |c: char| c.is_whitespace() || c.is_control();
    text.split(gap).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
