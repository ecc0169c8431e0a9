//! A user's authorization: where it begins, and Douyin's redirect at its end (protocol section 2).

use std::time::Duration;

use dukou_domain::Secret;
use dukou_spi::plugin::{
    Batch, CallbackOutcome, CallbackReply, Document, DocumentError, Host, PluginCall, PluginError, PluginReply,
    PluginRequest,
};
use serde_json::json;

use crate::page::{self, Note};
use crate::plugin::DouyinShare;
use crate::request::Fields;
use crate::sign;
use crate::text::{random, rfc3339};
use crate::{api, authorization};

pub const STATES: &str = "states";
/// How long a user may take.
const STATE_LASTS: Duration = Duration::from_secs(10 * 60);
const STATE_LENGTH: usize = 32;
const MOST_SCOPES: usize = 20;
const LONGEST_WORD: usize = 128;

/// Begins: the address that the user is to be sent to.
pub async fn begin(plugin: &DouyinShare, host: &dyn Host, call: &PluginCall) -> Result<PluginReply, PluginError> {
    let mut fields = Fields::new(&call.body);
    let scopes = fields.texts("scopes", MOST_SCOPES, LONGEST_WORD);
    let reference = fields.text("reference", LONGEST_WORD);
    let legal = |scope: &String| {
        !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    if scopes.is_empty() || !scopes.iter().all(legal) {
        fields.wrong("scopes", "expected a list such as [\"user_info\"]");
    }
    fields.finish().map_err(PluginError::Invalid)?;

    let now = plugin.now();
    let expires_at = now.plus(STATE_LASTS);
    let state = random(plugin.context.outside.random.as_ref(), STATE_LENGTH);
    let value = json!({ "reference": reference, "expires_at": expires_at.as_millis() });
    host.documents().write(Batch::default().put(Document::new(STATES, state.clone(), value).due(expires_at))).await?;
    let redirect = host.callback_url();
    let query = sign::query([
        ("client_key", plugin.settings.client_key.as_str()),
        ("response_type", "code"),
        ("scope", &scopes.join(",")),
        ("redirect_uri", &redirect),
        ("state", &state),
    ]);
    let url = format!("{}/platform/oauth/connect/?{query}", plugin.settings.base_url);
    let answer = json!({ "authorize_url": url, "state": state, "expires_at": rfc3339(expires_at) });
    Ok(PluginReply::json(201, &answer))
}

/// The user comes back, with a code or without.
pub async fn redirected(
    plugin: &DouyinShare,
    host: &dyn Host,
    request: &PluginRequest,
) -> Result<CallbackReply, PluginError> {
    let state = request.parameter("state").filter(|state| is_state(state));
    let Some(state) = state else { return said(CallbackOutcome::Malformed, 400, &Note::STALE) };
    let documents = host.documents();
    let Some(document) = documents.get(STATES, state).await? else {
        return said(CallbackOutcome::BadSignature, 400, &Note::STALE);
    };
    // Used up first: whatever follows, it opens nothing again.
    match documents.write(Batch::default().delete(&document)).await {
        Ok(()) => {}
        Err(DocumentError::Conflict(_)) => return said(CallbackOutcome::Duplicate, 400, &Note::STALE),
        Err(error) => return Err(error.into()),
    }
    let now = plugin.now();
    if document.value["expires_at"].as_i64().is_none_or(|end| now.as_millis() >= end) {
        return said(CallbackOutcome::BadSignature, 400, &Note::STALE);
    }
    let code = request.parameter("code").filter(|code| (1..=512).contains(&code.len()));
    let Some(code) = code else { return said(CallbackOutcome::Applied, 200, &Note::NOT_GRANTED) };
    let tokens = match api::exchange_code(&plugin.settings, &Secret::new(code)).await {
        Ok(tokens) => tokens,
        Err(error) => {
            tracing::warn!(tenant = %host.tenant(), %error, "douyin did not take the code of an authorization");
            return said(CallbackOutcome::Malformed, 502, &Note::NOT_TAKEN);
        }
    };
    let reference = document.value["reference"].as_str().map(str::to_owned);
    authorization::granted(documents, tokens, reference, now).await?;
    said(CallbackOutcome::Applied, 200, &Note::GRANTED)
}

fn is_state(text: &str) -> bool {
    text.len() == STATE_LENGTH && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn said(outcome: CallbackOutcome, status: u16, note: &Note) -> Result<CallbackReply, PluginError> {
    Ok(CallbackReply { outcome, reply: page::note(status, note)? })
}
