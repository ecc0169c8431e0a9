//! What would be published: the content of a schema (protocol 1.6), judged as the Douyin app does.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::schema::{Parameters, Refused, given};

/// Images of one work (protocol 1.6, from the client SDK's pages).
const MAX_IMAGES: usize = 12;
/// What the app knows besides the content.
const FRAME: [&str; 6] = ["share_type", "client_key", "nonce_str", "timestamp", "signature", "state"];
const CONTENT: [&str; 14] = [
    "image_path",
    "image_list_path",
    "video_path",
    "share_to_publish",
    "share_to_type",
    "title",
    "short_title",
    "hashtag_list",
    "title_hashtag_list",
    "micro_app_info",
    "poi_id",
    "download_type",
    "private_status",
    "feature",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    Video,
    Image,
    Images,
}

#[derive(Clone, Debug, Serialize)]
pub struct Media {
    pub kind: MediaKind,
    pub urls: Vec<String>,
}

/// A topic inside the title.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TitleHashtag {
    pub name: String,
    pub start: usize,
}

/// The Douyin mini-program at the lower left of the work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MiniProgram {
    pub app_id: String,
    #[serde(default)]
    pub app_title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub app_url: String,
}

/// The page the app comes up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    Edit,
    Publish,
    Daily,
}

/// What would be published.
#[derive(Clone, Debug, Serialize)]
pub struct Content {
    pub target: Target,
    pub media: Media,
    pub title: String,
    pub short_title: String,
    pub hashtags: Vec<String>,
    pub title_hashtags: Vec<TitleHashtag>,
    pub mini_program: Option<MiniProgram>,
    pub poi_id: Option<String>,
    /// `public`, `private` or `friends`.
    pub visibility: &'static str,
    pub downloadable: bool,
    pub note: bool,
    /// What of the schema the app does not use, in words.
    pub ignored: Vec<String>,
}

fn json<T: DeserializeOwned>(parameters: &Parameters, name: &str, form: &str) -> Result<Option<T>, Refused> {
    let Some(text) = given(parameters, name) else { return Ok(None) };
    let parsed = serde_json::from_str(text);
    parsed.map(Some).map_err(|error| Refused::parameter(format!("{name}: must be {form}: {error}")))
}

fn choice<T: Copy>(parameters: &Parameters, name: &str, choices: &[(&str, T)], otherwise: T) -> Result<T, Refused> {
    let Some(text) = given(parameters, name) else { return Ok(otherwise) };
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        Refused::parameter(format!("{name}: is {text}; it must be {}", words.join(" or ")))
    })
}

impl Content {
    /// Reads the content out of a schema's parameters.
    pub fn read(parameters: &Parameters) -> Result<Self, Refused> {
        let mut ignored = Vec::new();
        for name in
            parameters.keys().filter(|name| !FRAME.contains(&name.as_str()) && !CONTENT.contains(&name.as_str()))
        {
            ignored.push(format!("{name}: unknown"));
        }
        let media = media(parameters, &mut ignored)?;
        let mini_program: Option<MiniProgram> =
            json(parameters, "micro_app_info", "a JSON object with appId, appTitle, description and appUrl")?;
        if let Some(mini_program) = &mini_program {
            check_app_id(&mini_program.app_id)?;
        }
        let mut poi_id = given(parameters, "poi_id").map(str::to_owned);
        if mini_program.is_some() && poi_id.take().is_some() {
            ignored.push("poi_id: micro_app_info wins".to_owned());
        }
        let straight = choice(parameters, "share_to_publish", &[("0", false), ("1", true)], false)?;
        let daily = choice(parameters, "share_to_type", &[("0", false), ("1", true)], false)?;
        if straight && media.kind != MediaKind::Video {
            ignored.push("share_to_publish: only a single video goes straight to the publish page".to_owned());
        }
        let target = match (daily, straight && media.kind == MediaKind::Video) {
            (true, _) => Target::Daily,
            (false, true) => Target::Publish,
            (false, false) => Target::Edit,
        };
        let title = given(parameters, "title").unwrap_or_default().to_owned();
        let title_hashtags: Vec<TitleHashtag> =
            json(parameters, "title_hashtag_list", "a JSON array of {name, start}")?.unwrap_or_default();
        let length = title.chars().count();
        if let Some(beyond) = title_hashtags.iter().find(|topic| topic.start > length) {
            let TitleHashtag { name, start } = beyond;
            return Err(Refused::parameter(format!(
                "title_hashtag_list: {name} starts at {start}; the title has {length} characters"
            )));
        }
        let note = given(parameters, "feature") == Some("note");
        if note && media.kind != MediaKind::Images {
            ignored.push("feature: only several images become a note".to_owned());
        }
        let visibilities = [("0", "public"), ("1", "private"), ("2", "friends")];
        Ok(Self {
            target,
            title,
            short_title: given(parameters, "short_title").unwrap_or_default().to_owned(),
            hashtags: json(parameters, "hashtag_list", "a JSON array of texts")?.unwrap_or_default(),
            title_hashtags,
            mini_program,
            poi_id,
            visibility: choice(parameters, "private_status", &visibilities, "public")?,
            downloadable: choice(parameters, "download_type", &[("1", true), ("2", false)], true)?,
            note: note && media.kind == MediaKind::Images,
            media,
            ignored,
        })
    }
}

fn check_app_id(app_id: &str) -> Result<(), Refused> {
    let digits = app_id.strip_prefix("tt").unwrap_or_default();
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if (16..=20).contains(&digits.len()) && is_hex {
        return Ok(());
    }
    Err(Refused::parameter(format!("micro_app_info: appId is {app_id}; it must be tt and 16 to 20 hex digits")))
}

fn media(parameters: &Parameters, ignored: &mut Vec<String>) -> Result<Media, Refused> {
    let images: Option<Vec<String>> = json(parameters, "image_list_path", "a JSON array of URLs")?;
    let (image, video) = (given(parameters, "image_path"), given(parameters, "video_path"));
    let (name, media) = match (video, images, image) {
        (Some(video), images, image) => {
            if images.is_some() || image.is_some() {
                ignored.push("images: video_path is present".to_owned());
            }
            ("video_path", Media { kind: MediaKind::Video, urls: vec![video.to_owned()] })
        }
        (None, Some(urls), image) => {
            if image.is_some() {
                ignored.push("image_path: image_list_path is present".to_owned());
            }
            ("image_list_path", Media { kind: MediaKind::Images, urls })
        }
        (None, None, Some(image)) => ("image_path", Media { kind: MediaKind::Image, urls: vec![image.to_owned()] }),
        (None, None, None) => {
            return Err(Refused::media("one of video_path, image_list_path and image_path must be there"));
        }
    };
    if !(1..=MAX_IMAGES).contains(&media.urls.len()) {
        return Err(Refused::media(format!("{name}: has {} URLs; it must have 1 to {MAX_IMAGES}", media.urls.len())));
    }
    for text in &media.urls {
        let url = url::Url::parse(text).map_err(|error| Refused::media(format!("{name}: {text}: {error}")))?;
        if url.scheme() != "https" || url.host().is_none() {
            return Err(Refused::media(format!("{name}: {text}: must be an https URL")));
        }
        if !text.is_ascii() {
            return Err(Refused::media(format!("{name}: {text}: must be percent-encoded")));
        }
    }
    Ok(media)
}
