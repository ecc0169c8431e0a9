//! The pages: the landing page of a share, and the words at the end of an authorization. Written on the
//! server, every word of a user escaped, no asset but what is in the page.

use std::time::Duration;

use askama::Template;
use bytes::Bytes;
use dukou_spi::Random;
use dukou_spi::plugin::{Host, PluginError, PluginReply, PluginRequest};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use crate::plugin::{DouyinShare, LANDING};
use crate::share::{self, Record, Status};
use crate::text::random;
use crate::visitor::Visitor;

const NONCE_LENGTH: usize = 26;
/// A link that is older is not shown; its ticket may end before (protocol section 1.5).
const LONGEST_LIFE: Duration = Duration::from_secs(50 * 60);
/// Side of the code, in CSS pixels, at least.
const CODE_SIDE: u32 = 208;

#[derive(Template)]
#[template(path = "landing.html")]
struct Landing<'a> {
    nonce: &'a str,
    visitor: &'static str,
    shop: &'a str,
    title: &'a str,
    hashtags: Vec<String>,
    medium: String,
    is_published: bool,
    /// Empty where no app may be opened from here.
    schema: &'a str,
    /// Milliseconds for which the schema opens anything.
    life: u128,
    url: &'a str,
    code: &'a str,
}

impl Landing<'_> {
    fn is_walled(&self) -> bool {
        self.visitor == Visitor::Walled.as_str()
    }

    fn is_desktop(&self) -> bool {
        self.visitor == Visitor::Desktop.as_str()
    }
}

#[derive(Template)]
#[template(path = "note.html")]
struct NotePage<'a> {
    nonce: &'a str,
    note: &'a Note,
}

/// A few words for a person.
pub struct Note {
    pub mark: &'static str,
    pub title: &'static str,
    pub text: &'static str,
    pub english: &'static str,
}

impl Note {
    pub const GRANTED: Note = Note {
        mark: "✓",
        title: "授权成功",
        text: "可以关闭本页，返回商家页面继续。",
        english: "Authorized. You may close this page.",
    };
    pub const NOT_GRANTED: Note = Note {
        mark: "–",
        title: "没有授权",
        text: "你没有同意授权，商家不会得到任何信息。",
        english: "Nothing was authorized.",
    };
    pub const STALE: Note = Note {
        mark: "!",
        title: "链接已失效",
        text: "这次授权已经用过，或者等待太久。请回到商家页面重新开始。",
        english: "This link was used before or has expired. Please start again.",
    };
    pub const NOT_TAKEN: Note = Note {
        mark: "!",
        title: "授权没有完成",
        text: "抖音没有接受这次授权。请回到商家页面重新开始。",
        english: "Douyin did not accept the authorization. Please start again.",
    };
    const NO_SHARE: Note = Note {
        mark: "?",
        title: "没有找到这个分享",
        text: "链接可能不完整。请回到小程序重新分享。",
        english: "There is no such share. Please share again.",
    };
    const EXPIRED: Note = Note {
        mark: "!",
        title: "分享已过期",
        text: "分享链接 24 小时内有效。请回到小程序重新分享。",
        english: "This share has expired. Please share again.",
    };
    const AWAY: Note = Note {
        mark: "!",
        title: "暂时打不开抖音",
        text: "请过一会儿刷新本页再试。",
        english: "Douyin cannot be reached right now. Please reload in a moment.",
    };
}

/// The landing page of a share. What opens Douyin is signed now.
pub async fn landing(
    plugin: &DouyinShare,
    host: &dyn Host,
    request: &PluginRequest,
) -> Result<PluginReply, PluginError> {
    let random_source = plugin.context.outside.random.as_ref();
    let Some((_, record)) = share::find(host.documents(), &request.rest).await? else {
        return note_with(random_source, 404, &Note::NO_SHARE);
    };
    if record.status == Status::Expired || (record.status == Status::Created && record.is_over(plugin.now())) {
        return note_with(random_source, 410, &Note::EXPIRED);
    }
    let visitor = Visitor::of(request.header("user-agent").unwrap_or_default());
    let (schema, life) = match visitor {
        Visitor::Phone | Visitor::Douyin => match plugin.sign(host, &record).await {
            Ok(signed) => signed,
            Err(PluginError::Provider(error)) => {
                tracing::warn!(tenant = %host.tenant(), %error, "a landing page could not be signed");
                return note_with(random_source, 503, &Note::AWAY);
            }
            Err(error) => return Err(error),
        },
        Visitor::Walled | Visitor::Desktop => Default::default(),
    };
    let url = host.page_url(&LANDING, &record.id);
    let nonce = random(random_source, NONCE_LENGTH);
    let page = Landing {
        nonce: &nonce,
        visitor: visitor.as_str(),
        shop: host.tenant_name(),
        title: record.params.get("title").map_or("", String::as_str),
        hashtags: hashtags(&record),
        medium: medium(&record),
        is_published: record.status == Status::Published,
        schema: &schema,
        life: life.as_millis(),
        url: &url,
        code: &code(&url)?,
    };
    respond(200, page.render(), &nonce)
}

/// A page of a few words.
pub fn note(status: u16, note: &Note) -> Result<PluginReply, PluginError> {
    // No script, no word of a user: the nonce lets the page's own style through and guards nothing.
    render_note("style", status, note)
}

fn note_with(source: &dyn Random, status: u16, note: &Note) -> Result<PluginReply, PluginError> {
    render_note(&random(source, NONCE_LENGTH), status, note)
}

fn render_note(nonce: &str, status: u16, note: &Note) -> Result<PluginReply, PluginError> {
    respond(status, NotePage { nonce, note }.render(), nonce)
}

fn respond(status: u16, rendered: Result<String, askama::Error>, nonce: &str) -> Result<PluginReply, PluginError> {
    let body = rendered.map_err(|error| PluginError::Internal(format!("a page cannot be written: {error}")))?;
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    let headers = vec![
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("content-security-policy", policy),
        ("cache-control", "no-store".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("x-robots-tag", "noindex".to_owned()),
    ];
    Ok(PluginReply { status, headers, body: Bytes::from(body) })
}

/// The page's own address as a code to be scanned.
fn code(url: &str) -> Result<String, PluginError> {
    let code = QrCode::with_error_correction_level(url, EcLevel::M)
        .map_err(|error| PluginError::Internal(format!("an address makes no code: {error}")))?;
    let image = code
        .render::<svg::Color<'_>>()
        .min_dimensions(CODE_SIDE, CODE_SIDE)
        .dark_color(svg::Color("#10191c"))
        .light_color(svg::Color("#ffffff"))
        .build();
    // Within a page an image has no declaration of its own.
    Ok(image.find("<svg").map_or_else(String::new, |start| image[start..].to_owned()))
}

fn hashtags(record: &Record) -> Vec<String> {
    record.params.get("hashtag_list").and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default()
}

/// What is shared, in a word.
fn medium(record: &Record) -> String {
    let images = record.params.get("image_list_path").and_then(|list| serde_json::from_str::<Vec<String>>(list).ok());
    match images {
        Some(images) => format!("图文 · {} 张", images.len()),
        None if record.params.contains_key("video_path") => "视频".to_owned(),
        None => "图片".to_owned(),
    }
}

impl DouyinShare {
    /// The schema of a share, signed now, and for how long it opens anything.
    ///
    /// # Errors
    /// When no ticket can be had.
    pub async fn sign(&self, host: &dyn Host, record: &Record) -> Result<(String, Duration), PluginError> {
        let ticket = self.holder.ticket(&self.settings, host, self.context.outside.clock.as_ref()).await?;
        let left = ticket.expires_at.since(self.now());
        Ok((self.schema(&ticket.value, record), left.min(LONGEST_LIFE)))
    }
}
