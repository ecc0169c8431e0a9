//! The Douyin app on a phone: opens a schema, judges it as the app does, and publishes.

use serde::Deserialize;
use serde_json::json;

use super::apps::DouyinApp;
use super::content::{Content, MiniProgram, Target};
use super::people::{self, SOMEBODY};
use super::schema::{self, Parameters, Refused, given};
use super::sign;
use super::tokens::Standing;
use super::webhook::{Event, Wanted};
use super::works::{Opening, Work, new_item_id, new_video_id};
use crate::clock::Millis;
use crate::control::Refusal;
use crate::ledger::token;
use crate::lock;
use crate::world::World;

/// What the app shows whatever is wrong with ticket, signature or permission.
const BAD_SIGNATURE: &str = "签名校验失败（verify signature fail）";
/// How far a timestamp may lie ahead of the platform's clock.
const MAX_AHEAD: Millis = 300 * 1000;

fn unsigned(reason: &'static str, detail: impl Into<String>) -> Refused {
    Refused::new(reason, BAD_SIGNATURE, detail)
}

/// Opens a schema or a short link; what would be published, or why the app stays shut.
pub fn open(world: &World, text: &str) -> Result<Opening, Refused> {
    let text = text.trim();
    let judged = match short_link(text) {
        Some(link) => follow(world, &link)?,
        None => judge(world, schema::read(text)?)?,
    };
    let Judged { app, parameters, nonce } = judged;
    let mut content = Content::read(&parameters)?;
    check_permissions(&app, &content)?;
    let share_id = given(&parameters, "state").map(str::to_owned);
    let share = share_id.as_deref().and_then(|share_id| lock(&world.douyin.tokens).share(share_id).cloned());
    let share = share.filter(|share| share.client_key == app.client_key);
    let default_hashtag = share.as_ref().and_then(|share| share.default_hashtag.clone());
    content.hashtags.extend(default_hashtag.clone().filter(|topic| !content.hashtags.contains(topic)));
    let opening = Opening {
        opening_id: token(20),
        client_key: app.client_key.clone(),
        app_name: app.shown_name().to_owned(),
        share_id,
        need_callback: share.as_ref().is_some_and(|share| share.need_callback),
        default_hashtag,
        opened_at: world.clock.now(),
        nonce,
        item_id: None,
        content,
    };
    lock(&world.douyin.works).add_opening(opening.clone());
    Ok(opening)
}

struct Judged {
    app: std::sync::Arc<DouyinApp>,
    parameters: Parameters,
    nonce: Option<String>,
}

fn find_app(world: &World, client_key: &str) -> Result<std::sync::Arc<DouyinApp>, Refused> {
    let found = world.douyin.apps.get(client_key);
    found.ok_or_else(|| Refused::new("client_key", "应用不存在或未上线", format!("client_key: no app is {client_key}")))
}

/// Everything but the content: type, app, time, nonce, signature.
fn judge(world: &World, parameters: Parameters) -> Result<Judged, Refused> {
    let wanted = |name: &str| {
        let value = given(&parameters, name).map(str::to_owned);
        value.ok_or_else(|| Refused::parameter(format!("{name}: is missing")))
    };
    if wanted("share_type")? != "h5" {
        return Err(Refused::parameter("share_type: must be h5"));
    }
    if parameters.contains_key("ticket") {
        return Err(Refused::parameter("ticket: must not leave the server"));
    }
    let app = find_app(world, &wanted("client_key")?)?;
    let (nonce, timestamp, signature) = (wanted("nonce_str")?, wanted("timestamp")?, wanted("signature")?);
    let (now, policy) = (world.clock.now(), world.douyin.policy());
    let seconds: Millis = (timestamp.len() == 10)
        .then(|| timestamp.parse().ok())
        .flatten()
        .ok_or_else(|| unsigned("timestamp", format!("timestamp: is {timestamp}; it must be Unix seconds")))?;
    let (at, window) = (seconds * 1000, Millis::from(policy.timestamp_window_seconds) * 1000);
    if window > 0 && at > now + MAX_AHEAD {
        return Err(unsigned("timestamp", format!("timestamp: lies {} s ahead", (at - now) / 1000)));
    }
    if window > 0 && at + window < now {
        return Err(unsigned("timestamp", format!("timestamp: is {} s old", (now - at) / 1000)));
    }
    let signed_with = {
        let tokens = lock(&world.douyin.tokens);
        let mut tickets = tokens.tickets(&app.client_key, now);
        tickets
            .find(|(ticket, _)| sign::equal(&sign::share(ticket, &nonce, &timestamp), &signature))
            .map(|found| found.1)
    };
    match signed_with {
        Some(Standing::Valid) => {}
        Some(Standing::Expired) => return Err(unsigned("ticket_expired", "signature: its ticket has expired")),
        Some(Standing::Unknown) | None => {
            return Err(unsigned(
                "signature",
                "signature: no ticket of the app gives it with this nonce_str and timestamp",
            ));
        }
    }
    if policy.nonce_once && lock(&world.douyin.works).knows_nonce(&app.client_key, &nonce) {
        return Err(unsigned("nonce", "nonce_str: was used before"));
    }
    Ok(Judged { app, parameters, nonce: Some(nonce) })
}

/// The token in a short link (protocol 1.7).
fn short_link(text: &str) -> Option<String> {
    let url =
        url::Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.path() == super::SHORT_LINK_PATH)?;
    let token = url.query_pairs().find(|(name, _)| name == "token").map(|(_, value)| value.into_owned());
    Some(token.unwrap_or_default())
}

/// A short link works while it and its ticket are good.
fn follow(world: &World, token: &str) -> Result<Judged, Refused> {
    let now = world.clock.now();
    let tokens = lock(&world.douyin.tokens);
    let gone = |detail: &str| Refused::new("link", "链接已失效", detail);
    let link = tokens.link(token).ok_or_else(|| gone("token: no link has it"))?.clone();
    if link.expires_at <= now {
        return Err(gone("expire_at has passed"));
    }
    if tokens.ticket_standing(&link.client_key, &link.ticket, now) != Standing::Valid {
        return Err(gone("the link's ticket has expired"));
    }
    drop(tokens);
    Ok(Judged { app: find_app(world, &link.client_key)?, parameters: link.parameters, nonce: None })
}

/// Since client 30.5.0 the app says the signature is wrong when the app's owner lacks the permission.
fn check_permissions(app: &DouyinApp, content: &Content) -> Result<(), Refused> {
    let needed = if content.target == Target::Daily { "aweme.forward" } else { "aweme.share" };
    for scope in ["h5.share", needed] {
        if !app.may(scope) {
            return Err(unsigned("permission", format!("the app lacks the permission {scope}")));
        }
    }
    if let (Some(MiniProgram { app_id, .. }), Some(allowed)) = (&content.mini_program, &app.mini_programs)
        && !allowed.contains(app_id)
    {
        return Err(Refused::new(
            "permission",
            "小程序无挂载权限",
            format!("micro_app_info: {app_id} is not the app's"),
        ));
    }
    Ok(())
}

/// How the person publishes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    pub opening_id: Option<String>,
    /// Opens it first; instead of `opening_id`.
    pub schema: Option<String>,
    pub user: Option<String>,
    /// What the person wrote instead.
    pub title: Option<String>,
    /// The topics the person left.
    pub hashtags: Option<Vec<String>>,
    /// False keeps the platform from telling the app.
    pub webhook: Option<bool>,
    /// Instead of the policy's.
    pub delay_ms: Option<u32>,
}

/// The tap on the button: a work, and the webhook `create_video` where the app asked for it.
pub fn publish(world: &World, how: Publish) -> Result<Work, Refusal> {
    let opening_id = how.opening_id.ok_or_else(|| Refusal::bad("opening_id or schema is missing"))?;
    let user = how.user.unwrap_or_else(|| SOMEBODY.to_owned());
    let (item_id, video_id, now) = (new_item_id(), new_video_id(), world.clock.now());
    let work = {
        let mut works = lock(&world.douyin.works);
        let opening = works.opening_mut(&opening_id).ok_or_else(|| Refusal::unknown("no such opening"))?;
        if opening.item_id.is_some() {
            return Err(Refusal::conflict("作品已发布"));
        }
        opening.item_id = Some(item_id.clone());
        let opening = opening.clone();
        let work = Work {
            open_id: people::open_id(&opening.client_key, &user),
            nickname: people::nickname(&user),
            title: how.title.unwrap_or_else(|| opening.content.title.clone()),
            hashtags: how.hashtags.unwrap_or_else(|| opening.content.hashtags.clone()),
            item_id,
            video_id,
            client_key: opening.client_key,
            app_name: opening.app_name,
            share_id: opening.share_id,
            user,
            published_at: now,
            webhook_id: None,
            content: opening.content,
        };
        works.add_work(work.clone());
        work
    };
    let callback = note_publication(world, &work);
    let mut work = work;
    if let Some(has_default_hashtag) = callback
        && how.webhook.unwrap_or_else(|| world.douyin.policy().auto_webhook)
    {
        let mut content = json!({ "item_id": work.item_id, "share_id": work.share_id, "video_id": work.video_id });
        if let Some(has) = has_default_hashtag {
            content["has_default_hashtag"] = has.into();
        }
        let event =
            Event { from_user_id: Some(work.open_id.clone()), ..Event::new(&work.client_key, "create_video", content) };
        work.webhook_id =
            world.douyin.webhooks.enqueue(world, event, &Wanted { delay_ms: how.delay_ms, ..Wanted::default() });
        if let Some(kept) = lock(&world.douyin.works).work_mut(&work.item_id) {
            kept.webhook_id = work.webhook_id;
        }
    }
    Ok(work)
}

/// Enters the work with its share. `None`: nobody asked for a callback; otherwise whether the share's topic is still there.
fn note_publication(world: &World, work: &Work) -> Option<Option<bool>> {
    let mut tokens = lock(&world.douyin.tokens);
    let share = tokens.share_mut(work.share_id.as_deref()?)?;
    if share.client_key != work.client_key {
        return None;
    }
    share.item_ids.push(work.item_id.clone());
    let topic = share.default_hashtag.as_ref();
    share.need_callback.then(|| topic.map(|topic| work.hashtags.contains(topic)))
}
