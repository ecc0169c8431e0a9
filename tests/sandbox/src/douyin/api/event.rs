//! The test tool of protocol 3.3: the platform sends a mock of an event.

use super::token::{E1, authorized};
use super::{Failure, Outcome, Request, fields, wanted};
use crate::douyin::people::{SOMEBODY, open_id};
use crate::douyin::webhook::{Event, Wanted, sample};
use crate::world::World;

/// `POST /sandbox/webhook/event/send/`.
pub fn send(world: &World, request: &Request) -> Outcome {
    let app = authorized(world, request, &E1, &["aweme.webhook"])?;
    let given = request.json();
    let event = wanted(&given, "event_type")?;
    let wrong = |what: &str| Failure::new(2_100_005, format!("参数不合法: {what}"));
    let content = sample(event, &app.client_key, world.clock.now()).ok_or_else(|| wrong("event_type"))?;
    let from_user_id = Some(open_id(&app.client_key, SOMEBODY));
    let event = Event { from_user_id, ..Event::new(&app.client_key, event, content) };
    let sent = world.douyin.webhooks.enqueue(world, event, &Wanted::default());
    sent.map(|_| fields([])).ok_or_else(|| wrong("the app has no webhook address"))
}
