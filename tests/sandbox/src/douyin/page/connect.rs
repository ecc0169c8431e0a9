//! The authorize page (protocol 2) with its consent button, and where short links lead.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::asset;
use crate::douyin::SHORT_LINK_PATH;
use crate::douyin::api::Failure;
use crate::douyin::control::{Allowed, Consent, authorize};
use crate::douyin::people;
use crate::journal::Entry;
use crate::world::World;

const PATH: &str = "/platform/oauth/connect/";
/// What people read of a scope.
const SCOPES: [(&str, &str); 7] = [
    ("user_info", "获取你的公开信息（昵称、头像等）"),
    ("mobile_alert", "获取你绑定的手机号"),
    ("aweme.share", "分享内容到抖音"),
    ("item.comment", "管理你的评论"),
    ("im.direct_message", "管理你的私信"),
    ("data.external.item", "查询你的作品数据"),
    ("data.external.user", "查询你的粉丝数据"),
];

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route(PATH, web::get().to(ask))
        .route(PATH, web::post().to(decide))
        .route(SHORT_LINK_PATH, web::get().to(short_link));
}

/// Text as it stands in a document or in an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The form may lead to the page itself and, by its redirect, to the app's address.
fn page(content: &str, redirect: Option<&url::Url>) -> HttpResponse {
    let origin = redirect.map(|redirect| redirect.origin().ascii_serialization()).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self' {origin}; frame-ancestors 'none'"
    );
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"zh-CN\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>抖音授权 · Dukou Sandbox</title>\n\
         <link rel=\"stylesheet\" href=\"/_sandbox/phone/style.css\">\n\
         <link rel=\"stylesheet\" href=\"/_sandbox/douyin/style.css\">\n</head>\n<body>\n<main class=\"phone\">\n\
         <header>\n<h1>抖音授权 <small lang=\"en\">authorize</small></h1>\n\
         <p>模拟授权，不是真实的抖音 <span lang=\"en\">Not the real Douyin</span></p>\n</header>\n{content}\n</main>\n\
         </body>\n</html>\n"
    );
    asset("text/html; charset=utf-8", &policy, html)
}

fn refusal(failure: &Failure) -> HttpResponse {
    page(
        &format!(
            "<section class=\"card refused\" id=\"refused\"><h2>无法授权</h2><p>{}</p><p class=\"facts\">error_code {}</p></section>",
            escaped(&failure.description),
            failure.code,
        ),
        None,
    )
}

async fn ask(world: web::Data<World>, request: HttpRequest, consent: web::Query<Consent>) -> HttpResponse {
    let checked = consent.check(&world);
    world.journal.push(Entry {
        at: world.clock.now(),
        operation: "connect",
        method: "GET".to_owned(),
        url: request.uri().to_string(),
        client_key: Some(consent.client_key.clone()),
        status: Some(200),
        note: checked.as_ref().err().map(ToString::to_string),
        ..Entry::default()
    });
    let Allowed { app, scopes, redirect } = match checked {
        Ok(allowed) => allowed,
        Err(failure) => return refusal(&failure),
    };
    let scopes: String = scopes
        .iter()
        .map(|scope| {
            let known = SCOPES.iter().find(|(name, _)| name == scope).map_or("", |(_, words)| words);
            format!("<li class=\"scope\">{known} <small>{}</small></li>", escaped(scope))
        })
        .collect();
    let people: String = people::known()
        .iter()
        .filter_map(|person| Some((person["user"].as_str()?, person["nickname"].as_str()?)))
        .map(|(user, nickname)| format!("<option value=\"{user}\">{nickname}</option>"))
        .collect();
    let hidden: String = [
        ("client_key", &consent.client_key),
        ("response_type", &consent.response_type),
        ("scope", &consent.scope),
        ("redirect_uri", &consent.redirect_uri),
        ("state", &consent.state),
    ]
    .into_iter()
    .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value)))
    .collect();
    page(
        &format!(
            "<form class=\"card consent\" method=\"post\" action=\"{PATH}\">\n\
             <p class=\"body\"><strong id=\"app\">{}</strong> 申请获得以下权限：</p>\n<ul>{scopes}</ul>\n\
             <label>以谁的身份 <select name=\"user\">{people}</select></label>\n{hidden}\n\
             <div class=\"row\"><button class=\"plain\" name=\"decision\" value=\"no\">取消</button>\
             <button id=\"agree\" name=\"decision\" value=\"yes\">同意授权</button></div>\n</form>",
            escaped(app.shown_name())
        ),
        Some(&redirect),
    )
}

#[derive(Deserialize)]
struct Decision {
    decision: String,
    #[serde(flatten)]
    consent: Consent,
}

async fn decide(world: web::Data<World>, form: web::Form<Decision>) -> HttpResponse {
    let Decision { decision, consent } = form.into_inner();
    let agreed = decision == "yes";
    let outcome = agreed.then(|| authorize(&world, &consent));
    world.journal.push(Entry {
        at: world.clock.now(),
        operation: "connect",
        method: "POST".to_owned(),
        url: PATH.to_owned(),
        client_key: Some(consent.client_key.clone()),
        status: Some(if matches!(outcome, Some(Ok(_))) { 303 } else { 200 }),
        note: Some(if agreed { "agreed" } else { "cancelled" }.to_owned()),
        ..Entry::default()
    });
    match outcome {
        Some(Ok((redirect, _))) => HttpResponse::SeeOther()
            .insert_header((header::LOCATION, redirect))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish(),
        Some(Err(failure)) => refusal(&failure),
        // No document says that a cancelled authorization leads anywhere.
        None => page("<section class=\"card\"><h2>已取消授权</h2><p>可以关闭此页面。</p></section>", None),
    }
}

/// A short link leads into the app.
async fn short_link(request: HttpRequest) -> HttpResponse {
    let link = format!("https://open.douyin.com{}", request.uri());
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("schema", &link).finish();
    HttpResponse::Found().insert_header((header::LOCATION, format!("/_sandbox/douyin/open?{query}"))).finish()
}
