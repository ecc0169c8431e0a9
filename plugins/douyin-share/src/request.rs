//! The body of a new share, field by field: everything that is wrong with it at once.

use std::borrow::Cow;

use dukou_spi::plugin::WrongField;
use serde_json::{Map, Value};

use crate::convert::{Share, Target};

/// What a request may hold. More than any share needs; the conversion cuts what is too long for
/// Douyin and says so.
const LONGEST_TITLE: usize = 8_000;
const LONGEST_URL: usize = 2_048;
const LONGEST_WORD: usize = 200;
const MOST_HASHTAGS: usize = 100;
const MOST_IMAGES: usize = 100;

/// Reads the fields that were asked for, and tells of the others.
pub struct Fields<'a> {
    body: &'a Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<WrongField>,
}

impl<'a> Fields<'a> {
    pub fn new(body: &'a Map<String, Value>) -> Self {
        Fields { body, known: Vec::new(), problems: Vec::new() }
    }

    pub fn wrong(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        self.problems.push(WrongField::new(field, message));
    }

    /// `null` counts as left out.
    fn take(&mut self, field: &'static str) -> Option<&'a Value> {
        self.known.push(field);
        self.body.get(field).filter(|value| !value.is_null())
    }

    pub fn text(&mut self, field: &'static str, longest: usize) -> Option<String> {
        match self.take(field)? {
            Value::String(text) if text.chars().count() <= longest => Some(text.clone()),
            Value::String(_) => {
                self.wrong(field, format!("expected at most {longest} characters"));
                None
            }
            _ => {
                self.wrong(field, "expected a text");
                None
            }
        }
    }

    pub fn texts(&mut self, field: &'static str, most: usize, longest: usize) -> Vec<String> {
        let Some(value) = self.take(field) else { return Vec::new() };
        let texts = value.as_array().map(|values| values.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        match texts {
            Some(Some(texts)) if texts.len() <= most && texts.iter().all(|text| text.chars().count() <= longest) => {
                texts.into_iter().map(str::to_owned).collect()
            }
            Some(Some(_)) => {
                self.wrong(field, format!("expected at most {most} texts of at most {longest} characters"));
                Vec::new()
            }
            _ => {
                self.wrong(field, "expected a list of texts");
                Vec::new()
            }
        }
    }

    /// # Errors
    /// Everything that was wrong; what was not asked for is wrong as well.
    pub fn finish(mut self) -> Result<(), Vec<WrongField>> {
        let unknown: Vec<String> =
            self.body.keys().filter(|key| !self.known.contains(&key.as_str())).take(10).cloned().collect();
        for name in unknown {
            let message = format!("unknown field, expected one of {}", self.known.join(", "));
            self.wrong(crate::text::printable(&name), message);
        }
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }
}

/// # Errors
/// Every field that cannot be taken.
pub fn read_share(body: &Map<String, Value>) -> Result<Share, Vec<WrongField>> {
    let mut fields = Fields::new(body);
    let app_id = fields.text("app_id", LONGEST_WORD);
    if app_id.is_none() && fields.problems.is_empty() {
        fields.wrong("app_id", "missing; expected the WeChat mini-program's id: wx and 16 of 0-9 a-f");
    }
    let share = Share {
        app_id: app_id.unwrap_or_default(),
        title: fields.text("title", LONGEST_TITLE),
        path: fields.text("path", LONGEST_URL),
        query: fields.text("query", LONGEST_URL),
        image_url: fields.text("image_url", LONGEST_URL),
        image_urls: fields.texts("image_urls", MOST_IMAGES, LONGEST_URL),
        video_url: fields.text("video_url", LONGEST_URL),
        hashtags: fields.texts("hashtags", MOST_HASHTAGS, LONGEST_WORD),
        poi_id: fields.text("poi_id", LONGEST_WORD),
        scene: scene(&mut fields),
        target: target(&mut fields),
    };
    fields.finish().map(|()| share)
}

/// WeChat's own is a number; a merchant may have one in words.
fn scene(fields: &mut Fields<'_>) -> Option<String> {
    match fields.take("scene")? {
        Value::String(text) if text.chars().count() <= LONGEST_WORD => Some(text.clone()),
        Value::String(_) => {
            fields.wrong("scene", format!("expected at most {LONGEST_WORD} characters"));
            None
        }
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => {
            fields.wrong("scene", "expected WeChat's scene, a number such as 1007, or a text");
            None
        }
    }
}

fn target(fields: &mut Fields<'_>) -> Option<Target> {
    match fields.take("target")?.as_str() {
        Some("publish") => Some(Target::Publish),
        Some("edit") => Some(Target::Edit),
        Some("daily") => Some(Target::Daily),
        _ => {
            fields.wrong("target", "expected publish, edit or daily");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_wrong_field_is_named() {
        let body = json!({
            "title": 7, "image_urls": ["https://a.example/1.png", 2], "hashtags": "读书", "target": "moon",
            "scene": { "a": 1 }, "secret": "x", "video_url": "v".repeat(3_000), "query": null,
        });
        let problems = read_share(body.as_object().unwrap()).unwrap_err();
        let named: Vec<&str> = problems.iter().map(|problem| &*problem.field).collect();
        assert_eq!(named, ["app_id", "title", "image_urls", "video_url", "hashtags", "scene", "target", "secret"]);
        assert!(problems.last().unwrap().message.starts_with("unknown field, expected one of app_id, "));
    }

    #[test]
    fn a_scene_may_be_a_text_up_to_its_length() {
        let read = |scene: serde_json::Value| {
            let body = json!({ "app_id": "wx8888888888888888", "scene": scene });
            read_share(body.as_object().unwrap())
        };
        assert_eq!(read(json!("s".repeat(200))).unwrap().scene.map(|scene| scene.len()), Some(200));
        let problems = read(json!("s".repeat(201))).unwrap_err();
        assert_eq!(problems, [WrongField::new("scene", "expected at most 200 characters")]);
    }

    #[test]
    fn what_the_contract_shows_is_read() {
        let body = json!({
            "title": "边城", "path": "pages/book/detail?id=42", "image_url": "https://a.example/1.png",
            "hashtags": ["读书"], "app_id": "wx8888888888888888", "scene": 1007,
        });
        let share = read_share(body.as_object().unwrap()).unwrap();
        assert_eq!((share.scene.as_deref(), share.hashtags.len()), (Some("1007"), 1));
    }
}
