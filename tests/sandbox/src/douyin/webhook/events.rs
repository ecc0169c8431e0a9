//! The events of protocol 3.3 and a content of each, for sending one that nothing caused.

use serde_json::{Value, json};

use crate::clock::Millis;
use crate::douyin::people::{SOMEBODY, open_id};
use crate::douyin::works::{new_item_id, new_video_id};
use crate::ledger::token;

/// A content as the platform would write it; `None` for an event that no document lists.
pub fn sample(event: &str, client_key: &str, now: Millis) -> Option<Value> {
    let seconds = now / 1000;
    let person = open_id(client_key, SOMEBODY);
    let talk = |kind: i32, extra: Value| {
        let mut content = json!({
            "conversation_short_id": format!("@{}", token(40)), "server_message_id": format!("@{}", token(40)),
            "conversation_type": kind, "create_time": now, "message_type": "text", "source": "", "scene_type": "",
            "user_infos": [{ "open_id": person, "nick_name": "渡小船", "avatar": "https://p3.example.com/a.png" }],
        });
        if let (Some(content), Value::Object(extra)) = (content.as_object_mut(), extra) {
            content.extend(extra);
        }
        content
    };
    Some(match event {
        "create_video" => json!({ "item_id": new_item_id(), "share_id": "", "video_id": new_video_id() }),
        "authorize" | "unauthorize" => json!({ "scopes": ["user_info"] }),
        "contract_authorize" | "contract_unauthorize" => json!({ "scopes": ["data.external.item"] }),
        "im_receive_msg" | "im_send_msg" => talk(1, json!({ "text": "你好 🎉" })),
        "im_group_receive_msg" | "im_group_send_msg" => talk(2, json!({ "text": "大家好" })),
        "im_enter_direct_msg" => talk(1, json!({ "data-im-extra": "", "query": "", "path": "" })),
        "im_authorize" => json!({
            "create_time": seconds, "expire_time": seconds + 2_592_000, "update_time": seconds, "operation_type": 1,
            "auth_status": 1, "source": "", "extra": "",
        }),
        "enter_group_audit_change" => json!({
            "apply_id": token(19), "apply_status": 1, "group_id": token(19), "user_avatar": "https://p3.example.com/a.png",
            "user_nicker": "渡小船", "create_time": seconds,
        }),
        "group_fans_event" => json!({
            "open_id": person, "im_group_id": token(19), "group_type": 1, "create_group_type": 1, "create_time": seconds,
        }),
        "item_comment_reply" => json!({
            "comment_id": format!("@{}", token(40)), "comment_user_id": person, "content": "好书！", "create_time": seconds,
            "digg_count": 0, "reply_comment_total": 0, "reply_to_comment_id": "", "reply_to_item_id": new_item_id(),
            "at_user_id": "",
        }),
        "new_video_digg" => json!({ "action_type": 1, "action_time": seconds, "item_id": new_item_id() }),
        "new_follow_action" => json!({ "action_type": 1, "action_time": seconds }),
        "receive_msg" => json!({ "message_type": "text", "text": "你好" }),
        "union_auth_info_for_c"
        | "union_auth_info_for_b"
        | "enter_im"
        | "dial_phone"
        | "website_contact"
        | "personal_tab_contact" => json!({}),
        _ => return None,
    })
}
