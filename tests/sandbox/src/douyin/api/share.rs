//! Open ticket and share-id (protocol 1.3 and 1.4).

use super::token::{E1, authorized};
use super::{Failure, Outcome, Request, fields};
use crate::douyin::tokens::Share;
use crate::lock;
use crate::world::World;

/// `GET /open/getticket/`: the same ticket until it is about to end.
pub fn ticket(world: &World, request: &Request) -> Outcome {
    let app = authorized(world, request, &E1, &["open.get.ticket"])?;
    let (ticket, seconds) = lock(&world.douyin.tokens).ticket(&app.client_key, world.clock.now());
    Ok(fields([("ticket", ticket.into()), ("expires_in", seconds.into())]))
}

/// `GET /share-id/`: a number to tell a share's result by.
pub fn share_id(world: &World, request: &Request) -> Outcome {
    let app = authorized(world, request, &E1, &["h5.share"])?;
    let need_callback = match request.query("need_callback") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Failure::new(2_100_005, "参数不合法: need_callback")),
    };
    let text = |name: &str| request.query(name).map(str::to_owned);
    let share = Share {
        share_id: String::new(),
        client_key: app.client_key.clone(),
        need_callback,
        default_hashtag: text("default_hashtag"),
        source_style_id: text("source_style_id"),
        link_param: text("link_param"),
        created_at: world.clock.now(),
        item_ids: Vec::new(),
    };
    let share_id = lock(&world.douyin.tokens).add_share(share);
    Ok(fields([("share_id", share_id.into())]))
}
