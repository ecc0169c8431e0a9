//! Short links for desktops (protocol 1.7): the platform signs, and the link opens the app.

use serde_json::{Map, Value};

use super::token::{E3, authorized};
use super::{Failure, Outcome, Request, fields};
use crate::clock::Millis;
use crate::douyin::SHORT_LINK_PATH;
use crate::douyin::content::Content;
use crate::douyin::schema::Parameters;
use crate::douyin::tokens::{ShortLink, Standing};
use crate::lock;
use crate::world::World;

/// Fields that a body gives as JSON where a schema has a text.
const STRUCTURED: [&str; 3] = ["image_list_path", "hashtag_list", "title_hashtag_list"];
/// The furthest end of a link that is taken: the documents say "out of range" and name none.
const MAX_LIFE: Millis = 365 * 24 * 3600 * 1000;

fn wrong(detail: impl std::fmt::Display) -> Failure {
    Failure::new(28_001_007, format!("参数错误: {detail}"))
}

/// `POST /api/douyin/v1/schema/get_share/`.
pub fn get_share(world: &World, request: &Request) -> Outcome {
    let app = authorized(world, request, &E3, &["jump.basic", "h5.share"])?;
    let mut given = request.json();
    let now = world.clock.now();
    let ticket = match given.remove("client_ticket") {
        Some(Value::String(ticket)) if !ticket.is_empty() => ticket,
        _ => return Err(wrong("client_ticket")),
    };
    let seconds = given.remove("expire_at").and_then(|value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    });
    let expires_at = seconds.and_then(|seconds: i64| seconds.checked_mul(1000));
    let expires_at = expires_at.filter(|&at| now < at && at <= now + MAX_LIFE).ok_or_else(|| wrong("expire_at"))?;
    let parameters = as_parameters(given)?;
    Content::read(&parameters).map_err(|refused| wrong(refused.detail))?;
    let mut tokens = lock(&world.douyin.tokens);
    if tokens.ticket_standing(&app.client_key, &ticket, now) != Standing::Valid {
        return Err(wrong("client_ticket"));
    }
    let link = ShortLink { client_key: app.client_key.clone(), ticket, expires_at, parameters };
    let token = tokens.add_link(link);
    let schema = format!("https://open.douyin.com{SHORT_LINK_PATH}?token={token}&client_key={}", app.client_key);
    Ok(fields([("schema", schema.into())]))
}

/// The body's fields as a schema would carry them.
fn as_parameters(given: Map<String, Value>) -> Result<Parameters, Failure> {
    let mut parameters = Parameters::new();
    for (name, value) in given {
        let text = match value {
            Value::Null => continue,
            Value::String(_) if STRUCTURED.contains(&name.as_str()) => {
                return Err(wrong(format!("{name}: must be an array")));
            }
            Value::String(text) => text,
            Value::Array(_) if !STRUCTURED.contains(&name.as_str()) => return Err(wrong(name)),
            other => other.to_string(),
        };
        parameters.insert(name, text);
    }
    Ok(parameters)
}
