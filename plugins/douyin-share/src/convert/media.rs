//! Rules R2 and R3: which media, and where they may be.

use std::collections::HashMap;

use dukou_spi::public_address::is_public;
use url::{Host, Url};

use super::refusal::Medium;
use super::{Converted, Refusal, Share};

const MOST_IMAGES: usize = 12;
const LARGEST_VIDEO: u64 = 134_217_728;
const LARGEST_IMAGE: u64 = 20_971_520;
const VIDEO_TYPES: &[&str] = &["video/mp4", "video/quicktime", "video/3gpp"];
const IMAGE_TYPES: &[&str] = &["image/png", "image/jpeg", "image/gif"];
/// An album takes no moving images.
const ALBUM_TYPES: &[&str] = &["image/png", "image/jpeg"];

/// What a medium's server says about it; what it does not say is accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probed {
    pub content_type: Option<String>,
    pub length: Option<u64>,
}

/// By address, as it was given or as it is sent on.
pub type Probes = HashMap<String, Probed>;

/// The addresses worth asking about: those that are in order by themselves.
pub fn to_probe(share: &Share) -> Vec<String> {
    let Ok(chosen) = choose(share) else { return Vec::new() };
    let good = chosen.into_iter().filter_map(|(medium, text)| address(text, medium).ok());
    good.map(|url| url.to_string()).collect()
}

pub fn enter(share: &Share, probes: &Probes, converted: &mut Converted) -> Result<(), Refusal> {
    let chosen = choose(share)?;
    let mut urls = Vec::with_capacity(chosen.len());
    for (medium, text) in &chosen {
        let url = address(text, *medium)?.to_string();
        if let Some(probed) = probes.get(&url).or_else(|| probes.get(*text)) {
            check(probed, *medium)?;
        }
        urls.push(url);
    }
    let is_video = matches!(chosen.first(), Some((Medium::Video, _)));
    let name = match urls.len() {
        _ if is_video => "video_path",
        1 => "image_path",
        _ => {
            converted.put("image_list_path", compact(&urls));
            return Ok(());
        }
    };
    converted.put(name, urls.swap_remove(0));
    if is_video && (!share.image_urls.is_empty() || given(&share.image_url).is_some()) {
        converted.warnings.push("images_dropped");
    }
    Ok(())
}

/// A JSON array of texts, without spaces.
pub fn compact(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// The media that are shared.
fn choose(share: &Share) -> Result<Vec<(Medium, &str)>, Refusal> {
    if let Some(video) = given(&share.video_url) {
        return Ok(vec![(Medium::Video, video)]);
    }
    match &share.image_urls[..] {
        [] => Ok(vec![(Medium::Image, given(&share.image_url).ok_or(Refusal::NoMedia)?)]),
        [only] => Ok(vec![(Medium::OnlyImage, only)]),
        several if several.len() > MOST_IMAGES => Err(Refusal::TooManyImages),
        several => Ok(several.iter().enumerate().map(|(at, url)| (Medium::ImageOf(at), url.as_str())).collect()),
    }
}

/// The address in its standard form, without a fragment.
fn address(text: &str, medium: Medium) -> Result<Url, Refusal> {
    let mut url = Url::parse(text).map_err(|_| Refusal::MediaNotPublic(medium))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Refusal::MediaNotPublic(medium));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::MediaUrl(medium));
    }
    let public = match url.host() {
        Some(Host::Ipv4(address)) => is_public(address.into()),
        Some(Host::Ipv6(address)) => is_public(address.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.contains('.') && name != "localhost" && !name.ends_with(".localhost")
        }
        None => false,
    };
    if !public {
        return Err(Refusal::MediaNotPublic(medium));
    }
    if url.scheme() != "https" {
        return Err(Refusal::MediaNotHttps(medium));
    }
    url.set_fragment(None);
    Ok(url)
}

fn check(probed: &Probed, medium: Medium) -> Result<(), Refusal> {
    let (types, largest) = match medium {
        Medium::Video => (VIDEO_TYPES, LARGEST_VIDEO),
        Medium::Image | Medium::OnlyImage => (IMAGE_TYPES, LARGEST_IMAGE),
        Medium::ImageOf(_) => (ALBUM_TYPES, LARGEST_IMAGE),
    };
    if let Some(content_type) = &probed.content_type {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !types.contains(&kind.as_str()) {
            return Err(Refusal::MediaType(medium));
        }
    }
    if probed.length.is_some_and(|length| length > largest) {
        return Err(Refusal::MediaTooLarge(medium));
    }
    Ok(())
}
